//! Hints: what the system's `getaddrinfo` does with the same flags.

use std::collections::BTreeSet;
use std::net::IpAddr;

use tidegate::{Families, Hints, SocketOptions};

use super::{NAMES, glibcs_with, has_tools, name_server, ours_with, own_etc, sh, write};
use crate::support::folder::Folder;
use crate::support::isolated::isolated_with_a_network;

const FAMILIES: [(Families, &str); 3] =
    [(Families::Both, "AF_UNSPEC"), (Families::V4, "AF_INET"), (Families::V6, "AF_INET6")];

const HOSTS: &str =
    "127.0.0.1 localhost\n::1 localhost\n10.7.7.7 printer\nfd00::7 Printer\n10.7.7.8 alpha\nfd00::9 gamma\n";

/// Asked for one family, glibc says that there is no such name also if the servers have refused. This library says it as of both.
fn comparable(outcome: &BTreeSet<String>, families: Families) -> Vec<&str> {
    let is_error = |found: &&String| found.parse::<IpAddr>().is_err();
    outcome.iter().filter(|found| families == Families::Both || !is_error(found)).map(String::as_str).collect()
}

/// Compares all names with each choice of families. How many, and how many of them have another outcome than without the hints.
#[track_caller]
fn compare(names: &[&str], hints: Hints, flags: &str) -> [usize; 2] {
    let (mut compared, mut others) = (0, 0);
    for (families, family) in FAMILIES {
        let options = SocketOptions::new().families(families);
        let without = ours_with(names, &options);
        let (ours, glibcs) = (ours_with(names, &options.hints(hints)), glibcs_with(names, family, flags));
        for name in names {
            let [ours_is, glibcs_is] = [&ours[*name], &glibcs[*name]].map(|outcome| comparable(outcome, families));
            assert_eq!(ours_is, glibcs_is, "{name} with {family} and {flags}");
            compared += 1;
            others += usize::from(ours[*name] != without[*name]);
        }
    }
    [compared, others]
}

#[test]
fn mapped_addresses_are_those_that_getaddrinfo_finds() {
    if !has_tools() {
        return;
    }
    isolated_with_a_network("names::hints::mapped_addresses_are_those_that_getaddrinfo_finds", || {
        let folder = Folder::new();
        own_etc(&folder);
        let _server = name_server(&[]);
        let mut sums = [0; 2];
        for hosts in ["", HOSTS] {
            write("hosts", hosts);
            for search in ["corp.example", "lab.example corp.example"] {
                write("resolv.conf", &format!("nameserver 127.0.0.1\nsearch {search}\n"));
                let (mapped, all) = (Hints::new().v4_mapped(true), Hints::new().all(true));
                for (hints, flags) in
                    [(mapped, "AI_V4MAPPED"), (mapped.all(true), "AI_V4MAPPED | AI_ALL"), (all, "AI_ALL")]
                {
                    let these = compare(NAMES, hints, flags);
                    sums = [sums[0] + these[0], sums[1] + these[1]];
                }
            }
        }
        println!(
            "{} names, families, flags and configurations; {} with another outcome than without flags",
            sums[0], sums[1]
        );
        assert!(sums[0] >= 400 && sums[1] >= 30, "{sums:?}");
    });
}

#[test]
fn the_families_of_this_machine_are_those_that_getaddrinfo_sees() {
    if !has_tools() {
        return;
    }
    isolated_with_a_network("names::hints::the_families_of_this_machine_are_those_that_getaddrinfo_sees", || {
        let folder = Folder::new();
        own_etc(&folder);
        let _server = name_server(&[]);
        write("hosts", HOSTS);
        write("resolv.conf", "nameserver 127.0.0.1\nsearch corp.example lab.example\n");
        // A link without an address of its own making.
        sh("ip link add out type veth peer name other
            ip link set out addrgenmode none
            ip link set other addrgenmode none
            ip link set out up
            ip link set other up");
        let v4 = "ip address add 10.66.0.1/24 dev out; ip route add default dev out";
        let v6 = "ip address add fd66::1/64 dev out nodad; ip -6 route add default dev out";
        let names = ["localhost", "printer", "alpha", "beta", "gamma", "delta.deep", "nobody"];
        let flush = "ip address flush dev out; ip -6 route flush dev out";
        let hints = Hints::new().address_config(true);
        for (setup, of_both) in [
            ("true", &["10.0.0.6", "fd00::6"][..]),
            (v4, &["10.0.0.6"]),
            (v6, &["fd00::6"]),
            (&format!("{v4}; {v6}"), &["10.0.0.6", "fd00::6"]),
        ] {
            sh(setup);
            compare(&names, hints, "AI_ADDRCONFIG");
            compare(&names, hints.v4_mapped(true), "AI_ADDRCONFIG | AI_V4MAPPED");
            compare(&names, hints.v4_mapped(true).all(true), "AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL");
            let found = &ours_with(&["delta.deep"], &SocketOptions::new().hints(hints))["delta.deep"];
            assert_eq!(found.iter().collect::<Vec<_>>(), of_both, "{setup}");
            sh(flush);
        }
    });
}
