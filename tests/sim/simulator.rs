//! The simulated network as its users see it: what it promises in `tidegate::sim`.

#![cfg(unix)]

use std::net::IpAddr;
use std::time::Duration;

use tidegate::sim::{Call, Conditions, Fault, Short, Sim, Turning};
use tidegate::{Closed, EventLoop, FileOptions, KeepAlive, OpenMode, ServerOptions, SocketOptions};

const SERVER: &str = "10.0.0.1:7";

/// What one loop has heard.
#[derive(Debug, Default)]
struct Heard {
    bytes: usize,
    events: Vec<String>,
    closed: Option<(Closed, Duration)>,
}

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn server_ip() -> IpAddr {
    "10.0.0.1".parse().unwrap()
}

/// A server that notes what it hears.
fn server(sim: &Sim, options: ServerOptions) -> EventLoop<Heard> {
    let mut server = EventLoop::on(sim.kernel(), Heard::default());
    server.listen_with(SERVER, options, watch).unwrap();
    server
}

fn watch(socket: &mut tidegate::Socket<'_, Heard>) {
    socket.on_data(|socket, chunk| socket.state.bytes += chunk.len());
    socket.on_end(|socket| socket.state.events.push("end".to_owned()));
    socket.on_error(|socket, error| socket.state.events.push(error.code().to_owned()));
    socket.on_close(|socket, closed| socket.state.closed = Some((closed, socket.net.now())));
}

/// A client on a machine of its own, which has written something.
fn client(sim: &Sim, options: SocketOptions) -> (EventLoop<Heard>, tidegate::SocketId) {
    let mut client = EventLoop::on(sim.kernel(), Heard::default());
    let id = client
        .event_loop()
        .connect_with(SERVER, options, |socket| {
            watch(socket);
            socket.write("hello");
        })
        .unwrap();
    (client, id)
}

fn run(sim: &Sim, loops: &mut [&mut dyn Turning], until: Duration) {
    sim.run(loops, until).unwrap();
}

#[test]
fn a_connect_without_an_answer_gives_up_after_127_seconds() {
    let sim = Sim::new(1);
    let mut server = server(&sim, ServerOptions::new());
    sim.partition(server_ip(), true);
    let (mut client, _) = client(&sim, SocketOptions::new());
    run(&sim, &mut [&mut server, &mut client], s(126));
    assert_eq!(client.state.events, Vec::<String>::new());
    run(&sim, &mut [&mut server, &mut client], s(128));
    assert_eq!(client.state.events, ["ETIMEDOUT"]);
}

#[test]
fn a_connect_that_a_partition_held_up_arrives_when_it_is_over() {
    let sim = Sim::new(1);
    let mut server = server(&sim, ServerOptions::new());
    sim.partition(server_ip(), true);
    let (mut client, _) = client(&sim, SocketOptions::new());
    run(&sim, &mut [&mut server, &mut client], s(60));
    sim.partition(server_ip(), false);
    run(&sim, &mut [&mut server, &mut client], s(61));
    assert_eq!(server.state.bytes, 5);
}

#[test]
fn an_unacknowledged_write_fails_after_a_quarter_of_an_hour() {
    let sim = Sim::new(1);
    let mut server = server(&sim, ServerOptions::new());
    let (mut client, id) = client(&sim, SocketOptions::new());
    run(&sim, &mut [&mut server, &mut client], s(1));
    sim.partition(server_ip(), true);
    client.net.write(id, b"is anybody there?");
    run(&sim, &mut [&mut server, &mut client], s(900));
    assert_eq!(client.net.sockets(), 1);
    run(&sim, &mut [&mut server, &mut client], s(930));
    assert_eq!(client.state.events, ["ETIMEDOUT"]);
    assert_eq!((server.state.bytes, server.net.sockets()), (5, 1), "the server waits, and knows nothing");
}

#[test]
fn bytes_sent_during_a_partition_arrive_in_order_when_it_is_over() {
    let sim = Sim::with(3, Conditions::new().delay(Duration::from_millis(20)));
    let mut server = server(&sim, ServerOptions::new());
    let (mut client, id) = client(&sim, SocketOptions::new());
    run(&sim, &mut [&mut server, &mut client], s(1));
    sim.partition(server_ip(), true);
    for _ in 0..10 {
        client.net.write(id, b"more");
    }
    client.net.end(id, None);
    run(&sim, &mut [&mut server, &mut client], s(100));
    assert_eq!((server.state.bytes, server.state.events.len()), (5, 0));
    sim.partition(server_ip(), false);
    run(&sim, &mut [&mut server, &mut client], s(101));
    assert_eq!((server.state.bytes, server.state.events.as_slice()), (45, ["end".to_owned()].as_slice()));
}

#[test]
fn keep_alive_notices_a_peer_that_has_vanished() {
    let sim = Sim::new(1);
    let keep_alive = Some(KeepAlive::new().initial_delay(s(60)));
    let mut server = server(&sim, ServerOptions::new().keep_alive(keep_alive));
    let (mut client, _) = client(&sim, SocketOptions::new());
    run(&sim, &mut [&mut server, &mut client], s(1));
    sim.partition("10.1.0.2".parse().unwrap(), true);
    run(&sim, &mut [&mut server, &mut client], s(65));
    assert_eq!(server.net.sockets(), 1);
    run(&sim, &mut [&mut server, &mut client], s(75));
    assert_eq!(server.state.events, ["ETIMEDOUT"]);
    assert_eq!(client.net.sockets(), 1, "without keep-alive nobody notices");
}

#[test]
fn one_partition_does_not_change_how_long_another_is_waited_out() {
    let sim = Sim::new(1);
    let keep_alive = Some(KeepAlive::new().initial_delay(s(60)));
    let mut server = server(&sim, ServerOptions::new().keep_alive(keep_alive));
    let (mut client, id) = client(&sim, SocketOptions::new());
    run(&sim, &mut [&mut server, &mut client], s(1));
    sim.partition("10.1.0.2".parse().unwrap(), true);
    client.net.write(id, b"is anybody there?");
    for (cut, at) in [(true, s(30)), (false, s(40))] {
        run(&sim, &mut [&mut server, &mut client], at);
        sim.partition("10.9.9.9".parse().unwrap(), cut);
    }
    run(&sim, &mut [&mut server, &mut client], s(75));
    assert_eq!(server.state.events, ["ETIMEDOUT"], "of keep-alive");
    run(&sim, &mut [&mut server, &mut client], s(926));
    assert_eq!(client.state.events, ["ETIMEDOUT"], "of what nobody acknowledges");
}

#[test]
fn a_write_to_a_machine_that_lost_its_power_is_answered_with_a_reset() {
    let sim = Sim::new(1);
    let mut server = server(&sim, ServerOptions::new());
    let (mut client, id) = client(&sim, SocketOptions::new());
    run(&sim, &mut [&mut server, &mut client], s(1));
    sim.crash(server_ip());
    drop(server);
    run(&sim, &mut [&mut client], s(100));
    assert_eq!(client.net.sockets(), 1, "nobody has told it");
    client.net.write(id, b"still there?");
    run(&sim, &mut [&mut client], s(101));
    assert_eq!(client.state.events, ["ECONNRESET"]);
}

#[test]
fn keep_alive_notices_a_power_loss_with_its_first_probe() {
    let sim = Sim::new(1);
    let mut server = server(&sim, ServerOptions::new());
    let keep_alive = Some(KeepAlive::new().initial_delay(s(60)));
    let (mut client, _) = client(&sim, SocketOptions::new().keep_alive(keep_alive));
    run(&sim, &mut [&mut server, &mut client], s(5));
    sim.crash(server_ip());
    drop(server);
    let lost = sim.now();
    run(&sim, &mut [&mut client], s(3600));
    assert_eq!(client.state.events, ["ECONNRESET"]);
    let (_, noticed) = client.state.closed.unwrap();
    assert!(noticed - lost >= s(60) && noticed - lost < s(61), "after {:?}", noticed - lost);
}

#[test]
fn a_process_that_ends_closes_its_connections() {
    let sim = Sim::new(1);
    let mut server = server(&sim, ServerOptions::new());
    let (mut client, _) = client(&sim, SocketOptions::new());
    run(&sim, &mut [&mut server, &mut client], s(1));
    drop(server);
    run(&sim, &mut [&mut client], s(2));
    assert_eq!(client.state.events, ["end"]);
    assert_eq!(sim.descriptors(), 0);
}

#[test]
fn a_full_backlog_is_tried_again_later() {
    let sim = Sim::new(1);
    // The server's loop does not turn: nobody is accepted.
    let mut server = server(&sim, ServerOptions::new().backlog(1));
    let mut clients: Vec<_> = (0..3).map(|_| client(&sim, SocketOptions::new()).0).collect();
    for client in &mut clients {
        run(&sim, &mut [client], sim.now() + Duration::from_millis(10));
    }
    assert_eq!(server.net.sockets(), 0);
    let mut all: Vec<&mut dyn Turning> = vec![&mut server];
    all.extend(clients.iter_mut().map(|client| client as &mut dyn Turning));
    run(&sim, &mut all, s(10));
    assert_eq!(server.state.bytes, 15);
}

#[test]
fn descriptors_run_out_and_come_back() {
    let sim = Sim::with(1, Conditions::new().descriptors(3));
    let mut server = server(&sim, ServerOptions::new());
    let mut clients: Vec<_> = (0..2).map(|_| client(&sim, SocketOptions::new()).0).collect();
    let mut late = client(&sim, SocketOptions::new()).0;
    let [one, two] = clients.as_mut_slice() else { unreachable!() };
    run(&sim, &mut [&mut server, one, two, &mut late], s(1));
    assert_eq!((server.net.sockets(), server.net.counters().shed), (2, 1), "the third is turned away");
    assert!(late.state.closed.is_some(), "and knows");
}

#[test]
fn a_planned_fault_strikes_the_call_that_it_was_planned_for() {
    let sim = Sim::new(1);
    sim.keep_calls();
    let mut server = server(&sim, ServerOptions::new());
    let (mut client, _) = client(&sim, SocketOptions::new());
    run(&sim, &mut [&mut server, &mut client], s(1));
    let calls = sim.called();
    assert_eq!(calls.len() as u64, sim.calls());
    let read = calls.iter().position(|call| *call == Call::Read).unwrap() as u64;

    let sim = Sim::new(1);
    sim.fail_call(read, Fault::Short(Short::ByOne));
    sim.keep_trace(100);
    let mut server = self::server(&sim, ServerOptions::new());
    let (mut client, _) = self::client(&sim, SocketOptions::new());
    run(&sim, &mut [&mut server, &mut client], s(1));
    let trace = sim.trace();
    assert!(trace.contains("Read = 4\n") && trace.contains("Read = 1\n"), "{trace}");
    assert_eq!(server.state.bytes, 5);
}

#[test]
fn every_call_has_errors_to_fail_with() {
    for call in [Call::Listen, Call::Accept, Call::Connect, Call::Connected, Call::Register] {
        assert!(!call.errors().is_empty());
    }
    assert_eq!(Call::Accept.errors().len(), 8);
    assert_eq!((Call::Read.errors().len(), Call::Write.errors().len()), (5, 5));
}

#[test]
fn a_trace_keeps_the_last_lines_and_notes() {
    let sim = Sim::new(1);
    sim.keep_trace(3);
    for n in 0..5 {
        sim.note(format!("line {n}"));
    }
    assert_eq!(
        sim.trace().lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>(),
        ["0.000 ms line 2", "0.000 ms line 3", "0.000 ms line 4"]
    );
    sim.keep_trace(1);
    assert_eq!(sim.trace().trim(), "0.000 ms line 4", "fewer are the last ones too");
}

#[test]
fn an_endless_exchange_does_not_stop_the_clock() {
    let sim = Sim::new(1);
    let mut server = EventLoop::on(sim.kernel(), ());
    let echo = |socket: &mut tidegate::Socket<'_, ()>| {
        let id = socket.id();
        socket.pipe(id).unwrap();
    };
    server.listen(SERVER, echo).unwrap();
    let mut client = EventLoop::on(sim.kernel(), ());
    client
        .connect(SERVER, |socket| {
            let id = socket.id();
            socket.pipe(id).unwrap();
            socket.write("for ever");
        })
        .unwrap();
    run(&sim, &mut [&mut server, &mut client], Duration::from_millis(50));
    assert!(sim.now() >= Duration::from_millis(50));
}

// ---- Unix sockets ---------------------------------------------------------------------------------------------------

/// How a connect fails, if it does.
fn failure(event_loop: &mut EventLoop<Heard>, to: &str) -> Option<String> {
    event_loop.state = Heard::default();
    event_loop.connect(to, watch).unwrap();
    for _ in 0..10 {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
    event_loop.state.events.first().cloned()
}

/// As on Linux: a path is a file, and a name is not.
#[test]
fn a_path_that_nobody_listens_on_is_no_file_or_a_stale_one() {
    let sim = Sim::new(1);
    sim.put_stale_socket("/run/stale");
    sim.put_file("/run/text", "not a socket");
    let mut event_loop = EventLoop::on(sim.kernel(), Heard::default());
    for (to, code) in [
        ("unix:/run/nobody", "ENOENT"),
        ("unix:/run/stale", "ECONNREFUSED"),
        ("unix:/run/text", "ECONNREFUSED"),
        ("unix:@nobody", "ECONNREFUSED"),
        ("10.0.0.9:1", "ECONNREFUSED"),
    ] {
        assert_eq!(failure(&mut event_loop, to).as_deref(), Some(code), "{to}");
    }
}

#[test]
fn a_stale_path_is_taken_over_and_removed_at_the_close() {
    const STALE: &str = "unix:/run/stale";
    let sim = Sim::new(1);
    sim.put_stale_socket("/run/stale");
    let mut event_loop = EventLoop::on(sim.kernel(), Heard::default());
    for _ in 0..2 {
        let server = event_loop.listen(STALE, |_| {}).unwrap();
        assert_eq!(failure(&mut event_loop, STALE), None);
        assert_eq!(event_loop.listen(STALE, |_| {}).unwrap_err().code(), "EADDRINUSE", "twice");
        event_loop.net.close_server(server);
        assert_eq!(failure(&mut event_loop, STALE).as_deref(), Some("ENOENT"));
    }
    // A loop that ends takes its files with it.
    event_loop.listen(STALE, |_| {}).unwrap();
    drop(event_loop);
    let mut event_loop = EventLoop::on(sim.kernel(), Heard::default());
    assert_eq!(failure(&mut event_loop, STALE).as_deref(), Some("ENOENT"));
}

#[test]
fn a_path_is_a_file_among_the_others() {
    let sim = Sim::new(1);
    sim.put_file("/run/text", "not a socket");
    sim.put_stale_socket("/run/text");
    let mut event_loop = EventLoop::on(sim.kernel(), ());
    assert_eq!(event_loop.listen("unix:/run/text", |_| {}).unwrap_err().code(), "EADDRINUSE");
    assert_eq!(sim.file("/run/text").unwrap(), b"not a socket");
    event_loop.listen("unix:/run/socket", |_| {}).unwrap();
    for (options, code) in [
        (FileOptions::read(), "ENXIO"),
        (FileOptions::append(), "ENXIO"),
        (FileOptions::new(OpenMode::CreateNew), "EEXIST"),
    ] {
        let opened = event_loop.event_loop().open("/run/socket", options, |_| {});
        assert_eq!(opened.unwrap_err().code(), code, "open(2)");
    }
}

/// TCP tries again; this does not.
#[test]
fn a_full_backlog_of_a_unix_socket_is_an_error_at_once() {
    for on in ["unix:/run/full", "unix:@full"] {
        let sim = Sim::new(1);
        let mut server = EventLoop::on(sim.kernel(), Heard::default());
        // Its loop does not turn: nobody is accepted.
        server.listen_with(on, ServerOptions::new().backlog(1), watch).unwrap();
        let mut clients = EventLoop::on(sim.kernel(), Heard::default());
        let failures: Vec<_> = (0..3).map(|_| failure(&mut clients, on)).collect();
        assert_eq!(failures, [None, None, Some("EAGAIN".to_owned())]);
        server.turn(Some(Duration::ZERO)).unwrap();
        server.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(server.net.sockets(), 2);
        assert_eq!(failure(&mut clients, on), None);
    }
}

/// A loop that is woken twice: by a handler of its own, and by another loop.
fn woken_twice(seed: u64) -> (Vec<Duration>, u64) {
    let sim = Sim::new(seed);
    let mut sleeper = EventLoop::on(sim.kernel(), Vec::new());
    let mut other = EventLoop::on(sim.kernel(), ());
    sleeper.on_wake(|sleeper| sleeper.state.push(sleeper.net.now()));
    let (own, wakers) = (sleeper.waker().unwrap(), sleeper.waker().unwrap());
    sleeper.after(Duration::from_secs(1), move |_| own.wake().unwrap());
    other.after(Duration::from_secs(2), move |_| {
        wakers.wake().unwrap();
        wakers.wake().unwrap();
    });
    sim.run(&mut [&mut sleeper, &mut other], Duration::from_secs(10)).unwrap();
    (sleeper.state, sim.fingerprint())
}

#[test]
fn a_wake_comes_at_once_and_a_run_with_wakes_is_the_same_each_time() {
    let (woken, fingerprint) = woken_twice(1);
    assert_eq!(woken.iter().map(Duration::as_secs).collect::<Vec<_>>(), [1, 2]);
    assert!(woken[1] < Duration::from_millis(2001));
    assert_eq!(woken_twice(1), (woken, fingerprint));
}

/// What comes to it waits for it, and the clock does not wait.
#[test]
fn a_loop_that_does_not_run_holds_up_nobody() {
    let sim = Sim::new(1);
    let mut stopped = server(&sim, ServerOptions::new());
    let mut client = EventLoop::on(sim.kernel(), ());
    client.connect(SERVER, |socket| _ = socket.write("hello")).unwrap();
    client.after(s(3600), |_| {});
    sim.run(&mut [&mut client], s(3600)).unwrap();
    let turns = client.net.counters().turns;
    assert!(sim.now() >= s(3600) && turns < 10, "{turns}");
    assert_eq!(stopped.state.bytes, 0);
    sim.run(&mut [&mut stopped, &mut client], s(3601)).unwrap();
    assert_eq!(stopped.state.bytes, 5);
}
