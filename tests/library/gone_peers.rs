//! A peer that is gone is noticed while nothing is read from its socket, if the option asks for it.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use crate::support::loops::{Heard, View, World, ms, pattern, quiet, watch};
use socket2::SockRef;
use tidegate::{CloseReason, ErrorKind, ServerOptions, SocketOptions};

fn noticing() -> ServerOptions {
    ServerOptions::new().notice_gone_peers(true)
}

fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

/// S has heard of a reset, and of nothing else.
fn is_gone(world: &mut World, actor: &str) {
    world.until_closed(&[actor]);
    assert_eq!(world.state.of(actor), ["error ECONNRESET", "close(true)"]);
    assert_eq!(world.state.closed(actor).reason, CloseReason::PeerReset);
}

#[test]
fn a_socket_that_is_paused_from_the_beginning() {
    let mut world = World::new();
    let raw = world.raw_pair(noticing().pause_on_connect(true), |_, heard| {
        if let Heard::Error(error) = heard {
            assert_eq!((error.kind(), error.to_string().starts_with("read ")), (ErrorKind::ConnectionReset, true));
        }
    });
    world.until_saw("server", "connection");
    reset(raw);
    is_gone(&mut world, "S");
}

#[test]
fn a_socket_with_full_read_ahead() {
    let mut world = World::new();
    let raw = world.raw_pair(noticing(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.pause();
        }
    });
    world.write_raw(&raw, &pattern(1 << 20));
    world.turn_for(ms(10));
    assert!(world.of("S").bytes_read() < 1 << 20);
    reset(raw);
    is_gone(&mut world, "S");
}

#[test]
fn a_socket_whose_destination_is_stuck() {
    let stuck = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new();
    world.client("D", stuck.local_addr().unwrap(), quiet);
    let destination = world.id("D");
    let raw = world.raw_pair(noticing(), move |socket, heard| {
        if let Heard::Accepted = heard {
            socket.off_data();
            socket.pipe(destination).unwrap();
        }
    });
    raw.set_nonblocking(true).unwrap();
    let mut still = 0;
    while still < 20 {
        still = if (&raw).write(&[b'x'; 1 << 16]).is_ok() { 0 } else { still + 1 };
        world.turn(Some(ms(1))).unwrap();
    }
    assert!(world.of("S").is_paused());
    reset(raw);
    is_gone(&mut world, "S");
}

#[test]
fn a_socket_that_has_connected() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new();
    world.client_with(
        SocketOptions::new().notice_gone_peers(true),
        "C",
        peer.local_addr().unwrap(),
        |socket, heard| {
            if let Heard::Connect = heard {
                socket.pause();
            }
        },
    );
    world.of("C").pause();
    world.until_saw("C", "connect");
    reset(peer.accept().unwrap().0);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "error ECONNRESET", "close(true)"]);
}

#[test]
fn a_socket_that_was_adopted() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let adopted = TcpStream::connect(peer.local_addr().unwrap()).unwrap();
    let raw = peer.accept().unwrap().0;
    let mut world = World::new();
    let options = SocketOptions::new().notice_gone_peers(true);
    let setup = |socket: &mut View<'_>| {
        socket.pause();
        watch(socket, "S", quiet);
    };
    world.event_loop().adopt_socket(adopted, options, setup).unwrap();
    (&raw).write_all(&pattern(1 << 20)).unwrap();
    world.turn_for(ms(10));
    reset(raw);
    is_gone(&mut world, "S");
}

/// The kernel reports it with the first readiness.
#[test]
fn a_client_that_has_reset_before_it_was_accepted() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(noticing().pause_on_connect(true), quiet);
    reset(TcpStream::connect(address).unwrap());
    world.until_saw("server", "connection");
    is_gone(&mut world, "S");
}

#[test]
fn the_option_stays_when_a_socket_connects_again() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap();
    let mut world = World::new();
    world.client_with(SocketOptions::new().notice_gone_peers(true), "C", address, move |socket, heard| {
        if let Heard::Close(_) = heard
            && socket.state.add("closes", 1) == 1
        {
            socket.connect(address).unwrap();
        }
    });
    world.of("C").pause();
    for closes in 1..=2 {
        world.until(|world| world.state.times("C", "connect") == closes);
        reset(peer.accept().unwrap().0);
        world.until(|world| world.state.number("closes") == closes);
    }
    assert_eq!(world.state.times("C", "error ECONNRESET"), 2);
}

// ---- what is not gone ------------------------------------------------------------------------------------------------

#[test]
fn what_was_sent_before_the_reset_comes_first_to_a_socket_that_is_read_from() {
    let mut world = World::new();
    let raw = world.raw_pair(noticing(), quiet);
    (&raw).write_all(&pattern(500_000)).unwrap();
    // All of it is in the kernel, or was read.
    reset(raw);
    world.until_closed(&["S"]);
    let received = world.state.data("S");
    assert_eq!(received, pattern(500_000)[..received.len()]);
    assert!(!received.is_empty());
    assert_eq!(world.state.times("S", "error ECONNRESET"), 1);
}

#[test]
fn an_end_alone_is_not_the_end_of_the_peer() {
    let mut world = World::new();
    let raw = world.raw_pair(noticing().pause_on_connect(true), quiet);
    world.until_saw("server", "connection");
    (&raw).write_all(b"hello").unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    world.turn_for(ms(20));
    assert!(!world.of("S").is_destroyed());
    world.of("S").resume();
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["data hello", "end", "finish", "close(false)"]);
}

/// The kernel reports a hang-up here too (EPOLLHUP), but no error.
#[test]
fn both_ends_alone_are_no_error() {
    let mut world = World::new();
    let raw = world.raw_pair(noticing().pause_on_connect(true), quiet);
    world.until_saw("server", "connection");
    (&raw).write_all(b"hello").unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    world.of("S").end();
    world.until_saw("S", "finish");
    let turns = world.net.counters().turns;
    world.turn_for(ms(20));
    assert!(world.net.counters().turns - turns < 100, "it sleeps");
    assert!(!world.of("S").is_destroyed());
    world.of("S").resume();
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["finish", "data hello", "end", "close(false)"]);
}

/// A client that has closed, and gets something then: its system answers with a reset.
#[test]
fn a_write_to_a_peer_that_has_closed_shows_that_it_is_gone() {
    let mut world = World::new();
    let raw = world.raw_pair(noticing().pause_on_connect(true).allow_half_open(true), quiet);
    world.until_saw("server", "connection");
    (&raw).write_all(b"hello").unwrap();
    drop(raw);
    world.turn_for(ms(10));
    world.of("S").write("are you there?");
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["error EPIPE", "close(true)"]);
    assert_eq!(world.state.closed("S").reason, CloseReason::PeerReset);
}

#[test]
fn a_peer_of_a_unix_socket_is_gone_if_it_has_left_something_unread() {
    for unread in [true, false] {
        let path = std::env::temp_dir().join(format!("tidegate-gone-{}-{unread}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let mut raw = UnixStream::connect(&path).unwrap();
        let adopted = listener.accept().unwrap().0;
        std::fs::remove_file(&path).unwrap();
        assert!(adopted.as_fd().try_clone_to_owned().is_ok());
        let mut world = World::new();
        let options = SocketOptions::new().notice_gone_peers(true);
        let setup = |socket: &mut View<'_>| {
            socket.pause();
            watch(socket, "S", quiet);
        };
        world.event_loop().adopt_socket(adopted, options, setup).unwrap();
        if unread {
            world.of("S").write("never read");
            raw.write_all(&pattern(100_000)).unwrap();
            world.turn_for(ms(10));
            drop(raw);
            is_gone(&mut world, "S");
        } else {
            raw.write_all(b"hello").unwrap();
            drop(raw);
            world.turn_for(ms(20));
            world.of("S").resume();
            world.until_closed(&["S"]);
            assert_eq!(world.state.of("S"), ["data hello", "end", "finish", "close(false)"]);
        }
    }
}
