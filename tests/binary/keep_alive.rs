//! `--keep-alive`, judged by the kernel's table of connections: a peer that is silent is probed, and on both sides of a
//! proxy.

#![cfg(target_os = "linux")]

use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::time::Duration;

use crate::support::{Daemon, PATIENCE, Signal, wait_for};

/// How long until the peer of this end is probed, if it is (proc_net_tcp: `tr tm->when`, in 1/100 s).
#[track_caller]
fn probed_in(here: SocketAddr, there: SocketAddr) -> Option<Duration> {
    const RETRANSMIT: u64 = 1;
    const KEEP_ALIVE: u64 = 2;

    wait_for(&format!("{here} is acknowledged"), || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row[1] == shown(here) && row[2] == shown(there)).expect("the connection");
        let (timer, left) = row[5].split_once(':').unwrap();
        let timer = u64::from_str_radix(timer, 16).unwrap();
        let left = || Duration::from_millis(10 * u64::from_str_radix(left, 16).unwrap());
        // What was written may not be acknowledged yet.
        (timer != RETRANSMIT).then(|| (timer == KEEP_ALIVE).then(left))
    })
}

/// An address as the table has it.
fn shown(address: SocketAddr) -> String {
    let SocketAddr::V4(address): SocketAddr = address else { panic!("{address} is in another table") };
    let (ip, port): (u32, u16) = (u32::from_ne_bytes(address.ip().octets()), SocketAddrV4::port(&address));
    format!("{ip:08X}:{port:04X}")
}

/// The flags, and the seconds that they ask for.
const ASKED: [(&[&str], Option<u64>); 3] =
    [(&[], Some(60)), (&["--keep-alive", "1h"], Some(3600)), (&["--keep-alive", "none"], None)];

#[track_caller]
fn is_as_asked(left: Option<Duration>, asked: Option<u64>) {
    let at_most = asked.map(|asked| Duration::from_secs(asked + 1));
    let at_least = asked.map(|asked| Duration::from_secs(asked) - PATIENCE);
    assert!(at_least <= left && left <= at_most, "{left:?} of {asked:?} s");
}

/// A machine that has crashed sends no FIN. Its connection must not stay for ever.
#[test]
fn a_silent_peer_is_probed_after_a_minute_or_as_it_is_asked() {
    for role in ["chat", "echo", "sink"] {
        for (flags, seconds) in ASKED {
            let daemon = Daemon::role(role, &[flags, &["-v"]].concat());
            let client = daemon.join();
            let address = client.local_address();
            daemon.logs("that it has come", |line| line.contains(&address.to_string()));
            is_as_asked(probed_in(daemon.address(), address), seconds);
        }
    }
}

#[test]
fn a_proxy_probes_both_of_a_pair() {
    for (flags, seconds) in ASKED {
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = target.local_addr().unwrap();
        let proxy = Daemon::role("proxy", &[flags, &["--to", &to.to_string()]].concat());
        let mut client = proxy.join();
        let (mut server, from) = target.accept().unwrap();
        std::io::Write::write_all(&mut server, b"hello\n").unwrap();
        client.hears("hello");
        is_as_asked(probed_in(proxy.address(), client.local_address()), seconds);
        is_as_asked(probed_in(from, to), seconds);
    }
}

/// Those who come after it inherit what the listener had before.
#[test]
fn a_reload_changes_it_for_those_who_are_here_and_for_those_who_come() {
    let folder = crate::support::folder::Folder::new();
    let file = folder.path("t.toml");
    let settings = |keep_alive: &str| format!("[echo]\nlisten = \"127.0.0.1:0\"\nkeep-alive = \"{keep_alive}\"\n");
    std::fs::write(&file, settings("1h")).unwrap();
    let mut echo = Daemon::launch(&["echo", "--config", file.to_str().unwrap()]);
    echo.finds_its_addresses(1);
    let mut here = echo.join();
    here.sends(b"x");
    here.receives(b"x");
    is_as_asked(probed_in(echo.address(), here.local_address()), Some(3600));
    for (keep_alive, seconds) in [("60s", Some(60)), ("none", None), ("1h", Some(3600))] {
        std::fs::write(&file, settings(keep_alive)).unwrap();
        echo.signal(Signal::HUP);
        echo.logs("the change", |line| line.contains(&format!("and is '{keep_alive}'")));
        is_as_asked(probed_in(echo.address(), here.local_address()), seconds);
        let mut comes = echo.join();
        comes.sends(b"x");
        comes.receives(b"x"); // it was accepted
        is_as_asked(probed_in(echo.address(), comes.local_address()), seconds);
    }
}
