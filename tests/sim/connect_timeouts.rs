//! The time that a connect may take: exact, and one for all addresses.

#![cfg(unix)]

use std::time::Duration;

use tidegate::sim::Sim;
use tidegate::{Closed, Error, ErrorKind, EventLoop, Socket, SocketId, SocketOptions, Syscall};

const SILENT: &str = "10.0.0.1:7";
const LIMIT: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Seen {
    connects: u32,
    errors: Vec<(Error, Duration)>,
    closed: Vec<Closed>,
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn note(socket: &mut Socket<'_, Seen>) {
    socket.on_connect(|socket| socket.state.connects += 1);
    socket.on_error(|socket, error| {
        let (error, now) = (error.clone(), socket.net.now());
        socket.state.errors.push((error, now));
    });
    socket.on_close(|socket, closed| socket.state.closed.push(closed));
}

/// A loop, and a network in which nobody answers at 10.0.0.1.
fn silence() -> (Sim, EventLoop<Seen>) {
    let sim = Sim::new(1);
    let event_loop = EventLoop::on(sim.kernel(), Seen::default());
    sim.partition("10.0.0.1".parse().unwrap(), true);
    (sim, event_loop)
}

fn limited(event_loop: &mut EventLoop<Seen>, to: &str) -> SocketId {
    event_loop.connect_with(to, SocketOptions::new().connect_timeout(LIMIT), note).unwrap()
}

#[test]
fn a_connect_without_an_answer_ends_after_its_time() {
    let (_sim, mut event_loop) = silence();
    limited(&mut event_loop, SILENT);
    event_loop.run().unwrap();
    let [(error, at)] = &event_loop.state.errors[..] else { panic!("one error") };
    assert_eq!(
        (error.kind(), error.code(), error.syscall()),
        (ErrorKind::TimedOut, "ETIMEDOUT", Some(Syscall::Connect))
    );
    assert_eq!(error.to_string(), "connect ETIMEDOUT: no connection within 3s 10.0.0.1:7");
    assert_eq!(error.address(), Some(SILENT.parse().unwrap()));
    assert!((LIMIT..LIMIT + ms(2)).contains(at), "{at:?}");
    let [closed] = event_loop.state.closed[..] else { panic!("one close") };
    assert_eq!((closed.reason, closed.had_error), (tidegate::CloseReason::ConnectFailed, true));
}

#[test]
fn without_a_limit_it_is_the_systems() {
    let (sim, mut event_loop) = silence();
    event_loop.connect(SILENT, note).unwrap();
    event_loop.run().unwrap();
    assert!(sim.now() >= Duration::from_secs(127), "{:?}", sim.now());
}

#[test]
fn a_connection_or_a_destroy_takes_the_time_away() {
    let (sim, mut event_loop) = silence();
    event_loop.listen("10.0.0.2:7", |_| {}).unwrap();
    let connects = limited(&mut event_loop, "10.0.0.2:7");
    let destroyed = limited(&mut event_loop, SILENT);
    event_loop.after(ms(100), move |on| {
        on.net.destroy(destroyed);
        on.net.pause(connects);
    });
    event_loop.after(LIMIT * 2, |on| on.close_all());
    event_loop.run().unwrap();
    assert_eq!((event_loop.state.connects, event_loop.state.errors.len(), event_loop.state.closed.len()), (1, 0, 2));
    assert!(sim.now() >= LIMIT * 2);
    event_loop.net.check().unwrap();
}

#[test]
fn each_connect_of_a_socket_has_it_anew() {
    let (sim, mut event_loop) = silence();
    let id = limited(&mut event_loop, SILENT);
    event_loop.socket(id).unwrap().on_close(|socket, _| {
        if socket.state.errors.len() < 3 {
            socket.connect(SILENT).unwrap();
        }
    });
    event_loop.run().unwrap();
    assert_eq!(event_loop.state.errors.len(), 3);
    assert!((LIMIT * 3..LIMIT * 3 + ms(10)).contains(&sim.now()), "{:?}", sim.now());
}

/// 127.0.0.1 refuses, and ::1 is silent.
#[test]
fn it_is_one_time_for_both_addresses_of_localhost() {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), Seen::default());
    // An address of the machine, from which nothing gets to ::1.
    sim.partition("::1".parse().unwrap(), true);
    let options = SocketOptions::new().connect_timeout(LIMIT).local_address("::9".parse::<std::net::IpAddr>().unwrap());
    event_loop.connect_with("localhost:9", options, note).unwrap();
    event_loop.run().unwrap();
    let [(error, at)] = &event_loop.state.errors[..] else { panic!("one error") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!((LIMIT..LIMIT + ms(2)).contains(at), "{at:?}");
}

#[test]
fn what_waited_for_the_connection_fails() {
    let (_sim, mut event_loop) = silence();
    let id = limited(&mut event_loop, SILENT);
    event_loop.socket(id).unwrap().write_then("hello", |socket, outcome| {
        assert!(outcome.is_err());
        socket.state.connects += 100;
    });
    event_loop.run().unwrap();
    assert_eq!(event_loop.state.connects, 100);
}

#[test]
fn a_time_out_of_its_bounds_is_refused() {
    let (_sim, mut event_loop) = silence();
    for time in [Duration::ZERO, Duration::from_micros(999), Duration::from_millis(1 << 31), Duration::MAX] {
        let options = SocketOptions::new().connect_timeout(time);
        let error = event_loop.connect_with(SILENT, options, |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("connect timeout"), "{error}");
    }
    assert_eq!(event_loop.net.sockets(), 0);
}
