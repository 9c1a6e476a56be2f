//! Peers that are gone while their sockets are paused, in simulated time: noticed if the option is on, and only then.

#![cfg(unix)]

use std::time::Duration;

use tidegate::sim::Sim;
use tidegate::{CloseReason, EventLoop, KeepAlive, ServerOptions, SocketId};

const ADDRESS: &str = "10.0.0.1:7";

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// How the peer goes: what the test does with it after a second.
type Goes = fn(&Sim, &mut EventLoop<()>, SocketId);

/// What the server's paused socket has heard after an hour.
fn heard(option: bool, goes: Goes) -> Vec<(String, Duration)> {
    let sim = Sim::new(1);
    let mut server = EventLoop::on(sim.kernel(), Vec::new());
    let keep_alive = KeepAlive::new().initial_delay(s(60)).interval(s(5)).count(6);
    let options = ServerOptions::new().keep_alive(keep_alive).pause_on_connect(true).notice_gone_peers(option);
    server
        .listen_with(ADDRESS, options, |socket| {
            socket.on_error(|socket, error| {
                let now = socket.net.now();
                socket.state.push((error.to_string(), now));
            });
            socket.on_close(|socket, closed| {
                let now = socket.net.now();
                socket.state.push((format!("{:?}", closed.reason), now));
            });
        })
        .unwrap();
    let mut client = EventLoop::on(sim.kernel(), ());
    let id = client.connect(ADDRESS, |client| _ = client.write("hello")).unwrap();
    sim.run(&mut [&mut server, &mut client], s(1)).unwrap();
    goes(&sim, &mut client, id);
    sim.run(&mut [&mut server, &mut client], s(3600)).unwrap();
    assert_eq!(server.net.sockets(), usize::from(server.state.is_empty()));
    server.net.check().unwrap();
    server.state
}

const RESET: Goes = |_, client, id| client.net.reset(id);
const ENDED: Goes = |_, client, id| client.net.end(id, None);
const CUT_OFF: Goes = |sim, _, _| sim.partition("10.1.0.2".parse().unwrap(), true);
const CRASHED: Goes = |sim, _, _| sim.crash("10.1.0.2".parse().unwrap());

#[test]
fn without_the_option_nobody_looks() {
    for goes in [RESET, ENDED, CUT_OFF, CRASHED] {
        assert_eq!(heard(false, goes), []);
    }
}

#[test]
fn a_reset_is_noticed_at_once() {
    let [(error, at), (closed, _)] = &heard(true, RESET)[..] else { panic!("twice") };
    assert!(error.starts_with("read ECONNRESET"), "{error}");
    assert_eq!(*closed, format!("{:?}", CloseReason::PeerReset));
    assert!(*at < s(2), "{at:?}");
}

#[test]
fn an_end_is_not_noticed() {
    assert_eq!(heard(true, ENDED), []);
}

#[test]
fn keep_alive_finds_a_network_that_is_cut() {
    let [(error, at), (closed, _)] = &heard(true, CUT_OFF)[..] else { panic!("twice") };
    assert!(error.starts_with("read ETIMEDOUT"), "{error}");
    assert_eq!(*closed, format!("{:?}", CloseReason::Timeout));
    assert!((s(90)..s(95)).contains(at), "{at:?}");
}

#[test]
fn keep_alive_finds_a_machine_that_has_crashed() {
    let [(error, at), (closed, _)] = &heard(true, CRASHED)[..] else { panic!("twice") };
    assert!(error.starts_with("read ECONNRESET"), "{error}");
    assert_eq!(*closed, format!("{:?}", CloseReason::PeerReset));
    assert!((s(60)..s(65)).contains(at), "{at:?}");
}
