//! The same with unbound, which writes its answers in its own way.

use std::process::{Command, Stdio};

use super::{NameServer, glibcs, has_tools_and, ours, own_etc, sh, write};
use crate::support::folder::Folder;
use crate::support::isolated::isolated_with_a_network;
use crate::support::wait_until;

/// A name server at 127.0.0.1, with these records of `example`.
fn unbound(folder: &Folder, records: &[String]) -> NameServer {
    sh("ip link set lo up");
    let file = folder.path("unbound.conf");
    let mut conf = "server:\nchroot: ''\nusername: ''\npidfile: ''\nuse-syslog: no\nlogfile: ''\ndo-daemonize: no\n\
        interface: 127.0.0.1\nmodule-config: iterator\nlocal-zone: 'example.' static\n\
        local-data: 'example. 60 IN SOA ns.example. hostmaster.example. 1 3600 1200 604800 30'\n"
        .to_owned();
    for record in records {
        conf += &format!("local-data: '{record}'\n");
    }
    std::fs::write(&file, conf + "remote-control:\ncontrol-enable: no\n").unwrap();
    let mut unbound = Command::new("unbound");
    let server = NameServer(unbound.arg("-d").arg("-c").arg(&file).stderr(Stdio::null()).spawn().unwrap());
    wait_until("the name server listens", || std::net::TcpStream::connect("127.0.0.1:53").is_ok());
    server
}

#[test]
fn it_says_the_same_to_us_and_to_getaddrinfo() {
    if !has_tools_and("unbound -V") {
        return;
    }
    isolated_with_a_network("names::unbound::it_says_the_same_to_us_and_to_getaddrinfo", || {
        let folder = Folder::new();
        own_etc(&folder);
        write("resolv.conf", "nameserver 127.0.0.1\nsearch corp.example\n");
        let record = |name: &str, rest: &str| format!("{name}.corp.example. 60 IN {rest}");
        let mut records = vec![
            record("alpha", "A 10.0.0.1"),
            record("alpha", "AAAA fd00::1"),
            record("beta", "AAAA fd00::2"),
            record("text", "TXT hello"),
            record("deep.gamma", "A 10.0.0.3"),
        ];
        // By one datagram, by TCP for one family, and by TCP for both. A name is used with 64 addresses of each family at most.
        for (name, v4, v6) in [("few", 20, 10), ("some", 20, 60), ("many", 64, 64)] {
            records.extend((1..=v4).map(|number| record(name, &format!("A 10.1.1.{number}"))));
            records.extend((1..=v6).map(|number| record(name, &format!("AAAA fd01::{number:x}"))));
            // As large as what DNSSEC adds.
            records.push(record(name, &format!("TXT \"{}\"", "x".repeat(250))));
        }
        let _server = unbound(&folder, &records);
        let names = [
            "alpha",
            "alpha.corp.example",
            "ALPHA.CORP.EXAMPLE.",
            "alpha.",
            "beta",
            "text",
            "deep.gamma",
            "gamma",
            "nobody",
            "nobody.example.",
            "few",
            "some",
            "many",
            "many.corp.example.",
        ];
        let (ours, glibcs) = (ours(&names), glibcs(&names));
        for name in names {
            assert_eq!(ours[name], glibcs[name], "{name}");
        }
        let counts = ["few", "some", "many", "text"].map(|name| ours[name].len());
        assert_eq!(counts, [30, 80, 128, 1]);
    });
}
