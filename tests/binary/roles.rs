//! What the roles of the daemon have in common.

use std::time::{Duration, Instant};

use crate::support::Daemon;

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
