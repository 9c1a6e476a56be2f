//! What the roles of the daemon have in common.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{self, Client, Daemon, Signal, wait_until};

#[test]
fn an_idle_connection_is_closed() {
    for role in ["chat", "echo"] {
        let daemon = Daemon::role(role, &["--idle-timeout", "1s"]);
        let began = Instant::now();
        let mut anna = daemon.join();
        anna.says("/quiet");
        anna.hears_line();
        anna.is_dismissed();
        assert!(began.elapsed() >= Duration::from_secs(1), "{role}: {:?}", began.elapsed());
    }
}

#[test]
fn connections_above_the_bound_are_closed_and_the_others_stay() {
    for role in ["chat", "echo"] {
        let daemon = Daemon::role(role, &["--max-connections", "2"]);
        let mut clients = [daemon.join(), daemon.join()];
        for client in &mut clients {
            client.says("/first");
            client.hears_line();
        }
        daemon.join().is_dismissed();
        daemon.join().is_dismissed();
        for client in &mut clients {
            client.says("/second");
            while !client.hears_line().contains("/second") {}
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn there_is_one_thread() {
    for role in ["chat", "echo"] {
        let daemon = Daemon::role(role, &["-v"]);
        let mut clients = [daemon.join(), daemon.join()];
        for client in &mut clients {
            client.says("/hello");
            client.hears_line();
        }
        assert_eq!(daemon.status("Threads"), 1, "{role}");
    }
}

#[test]
fn an_address_has_so_many_places_and_gets_them_back() {
    for role in ["echo", "sink", "source", "chat"] {
        let daemon = Daemon::role(role, &["--max-per-address", "2"]);
        let [first, _second] = [daemon.join(), daemon.join()];
        wait_until("a third is turned away", || match role {
            "chat" => daemon.join().hears_to_the_end() == ["* too many guests from your address (--max-per-address)"],
            _ => {
                daemon.log().contains("too many connections from its address, --max-per-address is 2") || {
                    drop(daemon.join());
                    false
                }
            }
        });
        drop(first);
        match role {
            "chat" => wait_until("a place", || daemon.join().hears_line().starts_with("* you are guest")),
            "echo" => wait_until("a place", || is_served(&daemon)),
            _ => {}
        }
    }
}

/// Whether an echo answers somebody who comes now.
fn is_served(echo: &Daemon) -> bool {
    let mut client = TcpStream::connect(echo.address()).unwrap();
    let mut answer = [0];
    client.write_all(b"x").and_then(|()| client.read_exact(&mut answer)).is_ok()
}

#[test]
fn only_those_who_are_allowed_are_served_and_a_block_is_stronger() {
    assert!(is_served(&Daemon::echo(&["--allow", "127.0.0.0/8"])));
    let echo = Daemon::echo(&["--allow", "192.0.2.0/24", "-v"]);
    echo.join().is_dismissed();
    echo.logs("why", |line| line.contains("its address is not among those of --allow: 127.0.0.1:"));
    let echo = Daemon::echo(&["--allow", "127.0.0.0/8", "--block", "127.0.0.1", "-v"]);
    echo.join().is_dismissed();
    echo.logs("why", |line| line.contains("its address is blocked: 127.0.0.1:"));
}

/// Clients that send and do not read: the proxy's target would send more than fits.
#[test]
fn what_is_queued_for_all_has_a_bound() {
    let room = Daemon::chat(&["--memory", "4MiB", "--output-hard", "64MiB", "--output-soft", "none"]);
    let mut stuck: Vec<Client> = (0..4).map(|_| Client::connect_narrow(room.address())).collect();
    for guest in &mut stuck {
        guest.sends("/help\n".repeat(40_000).as_bytes());
    }
    room.logs("one is put out", |line| line.contains(" was disconnected: the other side does not read: "));
    assert!(room.log().contains("memory limit"), "{}", room.log());
}

/// The administrator may want to change the limit, so this is no affair of `-v`.
#[test]
fn the_log_names_whom_a_limit_puts_out_of_a_role_without_names() {
    for role in ["echo", "source"] {
        let daemon = Daemon::role(role, &["--memory", "1MiB", "--send-buffer", "16KiB"]);
        let mut stuck: Vec<TcpStream> =
            (0..40).map(|_| Client::connect_narrow(daemon.address()).into_stream()).collect();
        for client in &stuck {
            client.set_nonblocking(true).unwrap();
        }
        wait_until("one is put out", || {
            for client in stuck.iter_mut().filter(|_| role == "echo") {
                while client.write(&[b'x'; 65_536]).is_ok() {}
            }
            daemon.log().contains(" was disconnected")
        });
        let line = daemon.logs("who", |line| line.contains(" was disconnected: the other side does not read: "));
        assert!(line.contains("INFO") && line.contains(" 127.0.0.1:") && line.contains("memory limit"), "{line}");
    }
}

/// What the kernel takes for a client that does not read is bounded; what comes after it is the role's own affair.
#[cfg(target_os = "linux")]
#[test]
fn the_kernel_holds_no_more_than_the_send_buffer_for_a_peer_that_does_not_read() {
    let taken = |flags: &[&str]| {
        let source = Daemon::role("source", flags);
        let _stuck = Client::connect_narrow(source.address());
        support::a_quiet_moment();
        source.signal(Signal::USR1);
        let row = source.logs("its row", |line| line.contains(" out, "));
        let bytes = row.split("in, ").nth(1).unwrap().split(' ').next().unwrap();
        bytes.parse::<u64>().unwrap()
    };
    let (small, usual) = (taken(&["--send-buffer", "16KiB"]), taken(&[]));
    assert!(small < 256 << 10 && small * 4 < usual, "{small} bytes, {usual} without the flag");
}
