//! The daemon among other processes: without standard input, left behind by its parent, killed.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::process::{Pid, kill_process};

use crate::support::loops::{Heard, World, pattern};
use crate::support::{Client, Daemon, Signal, Stderr};

#[track_caller]
fn echoes(address: SocketAddr) {
    let mut client = Client::connect(address);
    client.sends(b"hello");
    client.ends_its_side();
    client.receives(b"hello");
    client.ends();
}

// covers: listen-after-destroying-stdin
#[test]
fn a_server_whose_program_has_no_standard_input_serves() {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"exec "$0" echo --listen 127.0.0.1:0 <&-"#, env!("CARGO_BIN_EXE_tidegate")]);
    let mut echo = Daemon::launch_with(&mut shell, Stderr::Kept);
    echo.finds_its_addresses(1);
    echoes(echo.address());
    echo.signal(Signal::TERM);
    echo.exits_with(0);
}

/// The daemon in the background of a shell that has ended: on the listener that the shell was given, with the shell's
/// standard streams or without. Its process.
fn left_behind(listener: TcpListener, streams: &str) -> Pid {
    // In the background a shell takes the standard input away, so the listener is another descriptor by then.
    let script = format!(
        r#"exec 3<&0 0</dev/null
        (LISTEN_FDS=1 LISTEN_PID=$(sh -c 'echo $PPID') exec "$0" echo) {streams} &
        echo $!"#
    );
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_tidegate")]);
    let input = Stdio::from(OwnedFd::from(listener));
    let mut parent = shell.stdin(input).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(parent.wait().unwrap().success());
    Pid::from_raw(first.trim().parse().unwrap()).unwrap()
}

// covers: listen-fd-detached, listen-fd-detached-inherit
#[test]
fn a_child_serves_on_its_parents_listener_when_the_parent_is_gone() {
    for streams in [">/dev/null 2>&1", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let child = left_behind(listener, streams);
        for _ in 0..2 {
            echoes(address);
        }
        kill_process(child, Signal::TERM).unwrap();
    }
}

// covers: child-process-connect-reset
#[test]
fn a_peer_whose_process_is_killed_is_a_reset_at_worst() {
    let echo = Daemon::echo(&[]);
    let mut world = World::new();
    let address = echo.address();
    let echo = RefCell::new(echo);
    world.client("C", address, move |socket, heard| {
        if let Heard::Connect = heard {
            socket.write(pattern(1000));
            echo.borrow_mut().is_killed();
        }
    });
    world.run_dry();
    let seen = world.state.of("C");
    let errors: Vec<_> = seen.iter().filter(|event| event.starts_with("error")).collect();
    assert!(errors.is_empty() || errors == ["error ECONNRESET"], "{seen:?}");
    assert!(world.state.is_closed("C"));
}
