//! Options of a connection and the clocks that they start: no-delay, keep-alive, the idle timeout.
//!
//! The simulated network counts the calls, and its behaviour shows which value was set.

#![cfg(unix)]

use std::time::Duration;

use crate::support::loops::{self, Heard, View, World, ms, quiet, watch};
use tidegate::sim::{Call, Sim};
use tidegate::{KeepAlive, ServerOptions, SocketOptions};

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A client C with these options, connected to a server on another address of the simulated network.
fn connected(options: SocketOptions) -> (Sim, World) {
    let sim = Sim::new(1);
    sim.keep_calls();
    let mut world = World::on(&sim);
    world.serve_on("10.0.0.1:7", ServerOptions::new(), |socket| watch(socket, "S", quiet));
    world.client_with(options, "C", "10.0.0.1:7", quiet);
    world.until(|world| world.state.saw("C", "connect") && world.state.saw("server", "connection"));
    (sim, world)
}

fn options_set(sim: &Sim) -> usize {
    sim.called().iter().filter(|call| **call == Call::SetOption).count()
}

/// When C notices that the network is cut, counted from the cut; none within four hours.
fn notices_a_cut_after(sim: &Sim, world: &mut World) -> Option<Duration> {
    let cut = sim.now();
    sim.partition("10.0.0.1".parse().unwrap(), true);
    while sim.now() < cut + s(4 * 3600) {
        if world.state.saw("C", "error ETIMEDOUT") {
            return Some(sim.now() - cut);
        }
        world.turn(Some(s(1))).unwrap();
    }
    None
}

// covers: connect-nodelay
#[test]
fn no_delay_of_a_connect_is_set_once_and_only_if_asked_for() {
    for (no_delay, calls) in [(true, 1), (false, 0)] {
        let (sim, mut world) = connected(SocketOptions::new().no_delay(no_delay));
        world.of("C").set_no_delay(no_delay);
        assert_eq!(options_set(&sim), calls);
        // A small write follows a large one that is not acknowledged yet. Nagle's algorithm holds it back for 40 ms.
        world.of("C").write(loops::pattern(40_000));
        let written = sim.now();
        world.of("C").write("small");
        world.until(|world| world.state.data("S").len() == 40_005);
        assert_eq!(sim.now() - written < ms(30), no_delay);
    }
}

// covers: connect-keepalive
#[test]
fn keep_alive_of_a_connect_is_set_once_in_whole_seconds_and_only_if_asked_for() {
    // The tenth probe, one a second, is the last; without a delay of its own the system begins after two hours.
    let (probes, of_the_system) = (s(10), s(7200));
    for (delay, begins) in [
        (Duration::from_millis(456_123), s(456)),
        (Duration::from_millis(123), of_the_system),
        (Duration::ZERO, of_the_system),
    ] {
        let keep_alive = Some(KeepAlive::new().initial_delay(delay));
        let (sim, mut world) = connected(SocketOptions::new().keep_alive(keep_alive));
        world.of("C").set_keep_alive(keep_alive).unwrap();
        assert_eq!(options_set(&sim), 1, "{delay:?}");
        let noticed = notices_a_cut_after(&sim, &mut world).unwrap();
        assert!(noticed >= begins && noticed <= begins + 2 * probes, "{delay:?}: after {noticed:?}");
    }
    let (sim, mut world) = connected(SocketOptions::new());
    assert_eq!(options_set(&sim), 0);
    assert_eq!(notices_a_cut_after(&sim, &mut world), None);
}

// covers: keepalive
#[test]
fn keep_alive_does_not_close_a_silent_connection() {
    let mut world = World::on(&Sim::new(1));
    world.pair(
        |socket, heard| match heard {
            Heard::Accepted => {
                socket.set_timeout(None);
                socket.set_keep_alive(Some(KeepAlive::new().initial_delay(ms(50)))).unwrap();
            }
            Heard::End => socket.end(),
            _ => {}
        },
        |socket, heard| {
            if let Heard::Connect = heard {
                socket.set_timeout(Some(Duration::ZERO));
            }
        },
    );
    world.until(|world| world.state.saw("C", "connect") && world.state.saw("server", "connection"));
    world.after(s(5), |on| {
        for actor in ["C", "S"] {
            let mut socket = on.socket(on.state.id(actor)).unwrap();
            assert_eq!(socket.ready_state().name(), "open");
            socket.end();
        }
        on.net.close_servers();
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
    assert_eq!(world.state.of("S"), ["finish", "end", "close(false)"]);
}

// covers: can-reset-timeout
#[test]
fn a_write_in_the_timeout_sets_the_clock_back() {
    let mut world = World::on(&Sim::new(1));
    world.pair(
        |socket, heard| match heard {
            Heard::Accepted => {
                socket.set_timeout(Some(ms(100)));
                let now = socket.net.now();
                socket.state.moments.insert("set", now);
            }
            Heard::Timeout => {
                assert!(socket.net.now() - socket.state.moments["set"] >= ms(100));
                let now = socket.net.now();
                socket.state.moments.insert("set", now);
                if socket.state.add("timeouts", 1) == 1 {
                    socket.write("hello");
                }
            }
            Heard::End => socket.end(),
            _ => {}
        },
        |socket, heard| match heard {
            Heard::Data(_) => {
                // Nearly as long as the clock: it has run again from the write on.
                socket.after(ms(90), |socket| socket.end());
            }
            Heard::End => socket.net.close_servers(),
            _ => {}
        },
    );
    world.run_dry();
    assert_eq!(world.state.of("S"), ["timeout", "end", "finish", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "data hello", "finish", "end", "close(false)"]);
}

// ---- set before, set again ------------------------------------------------------------------------------------------

/// A client C that is given `set` before it connects.
fn set_before(set: impl FnOnce(&mut View<'_>)) -> (Sim, World) {
    let sim = Sim::new(1);
    sim.keep_calls();
    let mut world = World::on(&sim);
    world.serve_on("10.0.0.1:7", ServerOptions::new(), |socket| watch(socket, "S", quiet));
    let fresh = |socket: &mut View<'_>| {
        watch(socket, "C", quiet);
        set(socket);
    };
    let id = world.event_loop().new_socket(SocketOptions::new(), fresh).unwrap();
    assert_eq!(options_set(&sim), 0, "there is nothing to set it on");
    world.net.connect(id, "10.0.0.1:7").unwrap();
    world.until(|world| world.state.saw("C", "connect") && world.state.saw("server", "connection"));
    (sim, world)
}

fn delay(delay: Duration) -> Option<KeepAlive> {
    Some(KeepAlive::new().initial_delay(delay))
}

// covers: persistent-keepalive
#[test]
fn keep_alive_set_before_the_connection_holds_in_it() {
    let (sim, mut world) = set_before(|socket| socket.set_keep_alive(delay(s(4))).unwrap());
    assert_eq!(options_set(&sim), 1);
    let before = sim.now();
    while sim.now() < before + s(60) {
        world.turn(Some(s(1))).unwrap();
    }
    assert_eq!((world.of("C").ready_state().name(), world.of("S").ready_state().name()), ("open", "open"));
    let noticed = notices_a_cut_after(&sim, &mut world).unwrap();
    assert!(noticed <= s(4) + 2 * s(10), "after {noticed:?}");
}

// covers: persistent-nodelay
#[test]
fn no_delay_set_before_the_connection_is_set_once_in_it() {
    let (sim, mut world) = set_before(|socket| socket.set_no_delay(true));
    assert_eq!(options_set(&sim), 1);
    world.of("C").set_no_delay(true);
    assert_eq!(options_set(&sim), 1);
}

// covers: socket-setnodelay
#[test]
fn an_option_that_is_set_already_is_not_set_again() {
    let (sim, mut world) = connected(SocketOptions::new());
    world.of("C").set_no_delay(false);
    assert_eq!(options_set(&sim), 0, "it is off from the start");
    for (on, calls) in [(true, 1), (true, 1), (false, 2), (false, 2), (true, 3), (true, 3)] {
        world.of("C").set_no_delay(on);
        assert_eq!(options_set(&sim), calls);
    }
}

/// A server with these options, and a client C of it. `accepted` counts the calls that setting an option makes.
fn accepted(options: ServerOptions, accepted: impl Fn(&mut View<'_>, &Sim) + 'static) -> (Sim, World) {
    let sim = Sim::new(1);
    sim.keep_calls();
    let mut world = World::on(&sim);
    let seen = sim.clone();
    world.serve_on("10.0.0.1:7", options, move |socket| {
        watch(socket, "S", quiet);
        accepted(socket, &seen);
    });
    world.client("C", "10.0.0.1:7", quiet);
    world.until(|world| world.state.saw("C", "connect") && world.state.saw("server", "connection"));
    (sim, world)
}

// covers: server-nodelay
#[test]
fn no_delay_of_a_server_is_there_before_the_connection_and_the_same_again_is_no_call() {
    let options = ServerOptions::new().no_delay(true);
    let (sim, mut world) = accepted(options, |socket, sim| {
        let before = options_set(sim);
        socket.set_no_delay(true);
        assert_eq!(options_set(sim), before);
    });
    // And it is on: see the client's.
    world.of("S").write(loops::pattern(40_000));
    let written = sim.now();
    world.of("S").write("small");
    world.until(|world| world.state.data("C").len() == 40_005);
    assert!(sim.now() - written < ms(30));
}

// covers: server-keepalive
#[test]
fn keep_alive_of_a_server_is_there_before_the_connection_and_the_same_again_is_no_call() {
    let options = ServerOptions::new().keep_alive(delay(s(1)));
    let (sim, mut world) = accepted(options, |socket, sim| {
        let before = options_set(sim);
        for (seconds, calls) in [(1, 0), (2, 1), (3, 2), (1, 3)] {
            socket.set_keep_alive(delay(s(seconds))).unwrap();
            assert_eq!(options_set(sim), before + calls);
        }
    });
    let cut = sim.now();
    sim.partition("10.0.0.1".parse().unwrap(), true);
    world.until_saw("S", "error ETIMEDOUT");
    assert!(sim.now() - cut <= s(1) + 2 * s(10), "after {:?}", sim.now() - cut);
}

#[test]
fn keep_alive_of_a_server_goes_with_a_socket_that_connects_again() {
    let sim = Sim::new(1);
    sim.keep_calls();
    let mut world = World::on(&sim);
    let options = ServerOptions::new().keep_alive(delay(s(1)));
    world.serve_on("10.0.0.1:7", options, |socket| {
        watch(socket, "S", quiet);
        socket.on_close(|socket, _| socket.connect("10.0.0.2:7").unwrap());
    });
    world.serve_on("10.0.0.2:7", ServerOptions::new(), |_| {});
    world.client("C", "10.0.0.1:7", |socket, heard| {
        if let Heard::Connect = heard {
            socket.destroy();
        }
    });
    world.until_saw("S", "connect");
    let before = options_set(&sim);
    assert_eq!(before, 1, "once, as it has connected");
    world.of("S").set_keep_alive(delay(s(1))).unwrap();
    assert_eq!(options_set(&sim), before, "it is on already");
}

// ---- the idle timeout -----------------------------------------------------------------------------------------------

// covers: settimeout
#[test]
fn a_timeout_turned_off_in_the_same_turn_does_not_come() {
    let (_, mut world) = connected(SocketOptions::new());
    world.of("C").set_timeout(Some(ms(100)));
    world.of("C").set_timeout(Some(Duration::ZERO));
    world.of("S").write("hello");
    world.after(ms(200), |on| on.close_all());
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "data hello", "close(false)"]);
}

// covers: socket-timeout
#[test]
fn the_shortest_timeout_is_a_millisecond_and_none_comes_after_a_destroy() {
    let (sim, mut world) = connected(SocketOptions::new());
    let set = sim.now();
    world.of("C").set_timeout(Some(Duration::from_micros(1)));
    let id = world.id("C");
    world.socket(id).unwrap().on_timeout(move |socket| {
        socket.state.note("C", "timeout");
        assert!(socket.net.now() - set >= ms(1));
        socket.destroy();
        socket.set_timeout(Some(ms(1)));
    });
    world.after(ms(50), |on| on.close_all());
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "timeout", "close(false)"]);
}

// covers: socket-timeout-unref
#[test]
fn timeouts_of_sockets_that_are_not_referenced_keep_nothing_running() {
    let sim = Sim::new(1);
    let mut world = World::on(&sim);
    let (server, address) = world.serve(ServerOptions::new(), |socket| {
        socket.state.add("accepted", 1);
        socket.set_ref(false);
    });
    world.net.set_server_ref(server, false);
    let names: Vec<_> = (2..8).map(|seconds| format!("C{seconds}")).collect();
    for (name, seconds) in names.iter().zip(2..) {
        world.client(name, address, move |socket, heard| {
            if let Heard::Connect = heard {
                socket.set_timeout(Some(s(seconds)));
            }
        });
    }
    world.until(|world| names.iter().all(|name| world.state.saw(name, "connect")));
    world.until(|world| world.state.number("accepted") == names.len());
    for name in &names {
        world.of(name).set_ref(false);
    }
    world.run_dry();
    assert!(sim.now() < s(2));
    for name in &names {
        assert_eq!(world.state.of(name), ["connect"]);
    }
}

// covers: pummel/timeout
#[test]
fn exchanges_put_a_timeout_off_and_silence_brings_it() {
    let mut world = World::on(&Sim::new(1));
    world.pair(
        |socket, heard| match heard {
            Heard::Accepted => socket.set_timeout(Some(ms(1000))),
            Heard::Data(chunk) => {
                let now = socket.net.now();
                socket.state.moments.insert("last", now);
                socket.write(chunk);
            }
            Heard::Timeout => {
                assert!(socket.net.now() - socket.state.moments["last"] >= ms(1000));
                socket.destroy();
                socket.net.close_servers();
            }
            _ => {}
        },
        |socket, heard| match heard {
            Heard::Connect => {
                socket.write("hello");
            }
            Heard::Data(_) if socket.state.add("exchanges", 1) < 5 => {
                socket.after(ms(500), |socket| _ = socket.write("hello"));
            }
            _ => {}
        },
    );
    world.run_dry();
    assert_eq!(world.state.number("exchanges"), 5);
    assert_eq!(world.state.of("S"), ["data hellohellohellohellohello", "timeout", "close(false)"]);
    assert_eq!(world.state.of("C").last().unwrap(), "close(false)");
}

// covers: pummel/timeout2
#[test]
fn writes_put_a_timeout_off() {
    let mut world = World::on(&Sim::new(1));
    world.pair(
        |socket, heard| {
            fn write(socket: &mut View<'_>) {
                if socket.state.add("writes", 1) > 5 {
                    return socket.end();
                }
                socket.write("hello");
                socket.after(s(1), write);
            }
            if let Heard::Accepted = heard {
                socket.set_timeout(Some(ms(2500)));
                socket.after(s(1), write);
                socket.net.close_servers();
            }
        },
        quiet,
    );
    world.run_dry();
    assert_eq!(world.state.of("S"), ["finish", "end", "close(false)"], "no timeout");
    assert_eq!(world.state.data("C"), b"hello".repeat(5));
}

// covers: internet/connect-timeout
#[test]
fn a_timeout_comes_once_while_nobody_answers_the_connect() {
    let sim = Sim::new(1);
    let mut world = World::on(&sim);
    world.serve_on("10.0.0.1:7", ServerOptions::new(), |_| {});
    sim.partition("10.0.0.1".parse().unwrap(), true);
    let begun = sim.now();
    world.client("C", "10.0.0.1:7", move |socket, heard| {
        if let Heard::Timeout = heard {
            assert!(socket.is_connecting());
            assert!(socket.net.now() - begun >= ms(100));
            socket.after(ms(500), |socket| socket.destroy());
        }
    });
    world.of("C").set_timeout(Some(ms(100)));
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["timeout", "close(false)"]);
}

// covers: timers-socket-timeout-removes-other-socket-unref-timer
#[test]
fn a_timeout_handler_can_turn_off_another_sockets_timeout() {
    let mut world = World::on(&Sim::new(1));
    let (_, address) = world.serve(ServerOptions::new(), |socket| {
        let name = ["S1", "S2"][socket.state.add("accepted", 1) - 1];
        watch(socket, name, |socket, heard| {
            if let Heard::Timeout = heard {
                for name in ["S1", "S2"] {
                    let id = socket.state.id(name);
                    socket.net.set_timeout(id, None);
                    socket.net.end(id, None);
                }
                socket.net.close_servers();
            }
        });
        if name == "S2" {
            let first = socket.state.id("S1");
            socket.net.set_timeout(first, Some(ms(1)));
            socket.set_timeout(Some(ms(50)));
        }
    });
    world.client("C1", address, quiet);
    world.client("C2", address, quiet);
    world.after(ms(200), |_| {});
    world.run_dry();
    assert_eq!(world.state.of("S1"), ["timeout", "finish", "end", "close(false)"]);
    assert_eq!(world.state.of("S2"), ["finish", "end", "close(false)"]);
    for name in ["C1", "C2"] {
        assert_eq!(world.state.of(name), ["connect", "end", "finish", "close(false)"]);
    }
}
