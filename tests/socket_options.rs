//! What is set for a connection, and the clocks that it sets going: no-delay, keep-alive, the idle timeout.
//!
//! On a simulated network: it counts the calls, and shows by what happens on it which value was set.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

#[path = "support/loops.rs"]
mod loops;

use std::time::Duration;

use loops::{Heard, World, ms, quiet};
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
    world.serve_on("10.0.0.1:7", ServerOptions::default(), |socket| loops::watch(socket, "S", quiet));
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
        let (sim, mut world) = connected(SocketOptions { no_delay, ..SocketOptions::default() });
        world.of("C").set_no_delay(no_delay);
        assert_eq!(options_set(&sim), calls);
        // A small write stands behind a large one that is not acknowledged yet: Nagle holds it back for 40 ms.
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
        let keep_alive = Some(KeepAlive { initial_delay: delay, ..KeepAlive::default() });
        let (sim, mut world) = connected(SocketOptions { keep_alive, ..SocketOptions::default() });
        world.of("C").set_keep_alive(keep_alive).unwrap();
        assert_eq!(options_set(&sim), 1, "{delay:?}");
        let noticed = notices_a_cut_after(&sim, &mut world).unwrap();
        assert!(noticed >= begins && noticed <= begins + 2 * probes, "{delay:?}: after {noticed:?}");
    }
    let (sim, mut world) = connected(SocketOptions::default());
    assert_eq!(options_set(&sim), 0);
    assert_eq!(notices_a_cut_after(&sim, &mut world), None);
}

// covers: keepalive
#[test]
fn keep_alive_does_nothing_to_who_is_merely_silent() {
    let mut world = World::on(&Sim::new(1));
    world.pair(
        |socket, heard| match heard {
            Heard::Accepted => {
                socket.set_timeout(None);
                socket.set_keep_alive(Some(KeepAlive { initial_delay: ms(50), ..KeepAlive::default() })).unwrap();
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
