//! Time: timers, ticks, the idle clock of a socket, and what keeps the loop running.
//!
//! Only lower bounds of time are asserted: a machine can be as slow as it likes.

use std::cell::Cell;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::support::loops::{self, FLOOD, Heard, World, ms, pattern, quiet, watch};
use tidegate::{ServerOptions, SocketOptions};

// ---- timers and ticks -----------------------------------------------------------------------------------------------

#[test]
fn timers_come_in_order_of_time_then_of_setting_and_never_early() {
    let mut world = World::new();
    let started = Instant::now();
    for (delay, name) in [(30, "third"), (10, "first"), (30, "fourth"), (20, "second"), (30, "fifth")] {
        world.after(ms(delay), move |on| {
            assert!(started.elapsed() >= ms(delay), "{name} was early");
            on.state.note("timer", name);
        });
    }
    world.run_dry();
    assert_eq!(world.state.of("timer"), ["first", "second", "third", "fourth", "fifth"]);
}

#[test]
fn a_timer_set_late_in_a_long_handler_counts_from_there() {
    let mut world = World::new();
    world.after(ms(1), |on| {
        std::thread::sleep(ms(20));
        let set = Instant::now();
        on.after(ms(15), move |on| {
            assert!(set.elapsed() >= ms(15), "{:?}", set.elapsed());
            on.state.note("timer", "fired");
        });
    });
    world.run_dry();
    assert_eq!(world.state.of("timer"), ["fired"]);
}

#[test]
fn no_delay_is_the_next_round_so_a_timer_that_sets_itself_again_does_not_hang_the_loop() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    fn again(on: &mut tidegate::Loop<'_, loops::Log>) {
        if !on.state.saw("server", "connection") {
            on.after(Duration::ZERO, again);
        }
    }
    world.after(Duration::ZERO, again);
    let _raw = TcpStream::connect(address).unwrap();
    world.until_saw("server", "connection");
}

#[test]
fn every_comes_again_and_can_cancel_itself() {
    let mut world = World::new();
    let started = Instant::now();
    let mut count = 0;
    let own_id = Rc::new(Cell::new(None));
    let id = own_id.clone();
    let timer = world.every(ms(5), move |on| {
        count += 1;
        assert!(started.elapsed() >= ms(5 * count));
        on.state.note("timer", count.to_string());
        if count == 3 {
            let id = id.get().expect("it was set at once");
            assert!(on.cancel(id));
            assert!(!on.cancel(id), "it is gone already");
        }
    });
    own_id.set(Some(timer));
    world.run_dry();
    assert_eq!(world.state.of("timer"), ["1", "2", "3"]);
}

#[test]
fn a_timer_cancelled_by_another_that_is_due_at_the_same_time_does_not_come() {
    let mut world = World::new();
    let victim = world.after(ms(20), |on| on.state.note("timer", "victim"));
    world.after(ms(10), move |on| {
        on.state.note("timer", "first");
        // The victim is due by now, but its handler has not run yet.
        std::thread::sleep(ms(30));
        assert!(on.cancel(victim));
    });
    world.run_dry();
    assert_eq!(world.state.of("timer"), ["first"]);
}

#[test]
fn a_cancelled_timer_keeps_nothing_running_and_its_id_is_stale() {
    let mut world = World::new();
    let id = world.after(Duration::from_secs(3600), |_| {});
    assert!(world.event_loop().cancel(id));
    assert!(!world.event_loop().cancel(id));
    let other = world.after(ms(1), |on| on.state.note("timer", "other"));
    assert_ne!(id, other);
    assert!(!world.event_loop().cancel(id), "and is nobody else's");
    world.run_dry();
    assert_eq!(world.state.of("timer"), ["other"]);
}

#[test]
fn a_socket_takes_its_timers_back() {
    let mut world = World::new();
    let options = SocketOptions::new();
    world
        .event_loop()
        .new_socket(options, |socket| {
            let hour = socket.after(Duration::from_secs(3600), |socket| socket.state.note("timer", "an hour"));
            assert!(socket.cancel(hour));
            assert!(!socket.cancel(hour));
            socket.after(ms(1), |socket| socket.state.note("timer", "a millisecond"));
        })
        .unwrap();
    world.run_dry();
    assert_eq!(world.state.of("timer"), ["a millisecond"]);
}

#[test]
fn ticks_come_in_order_before_anything_else_and_a_tick_of_a_tick_too() {
    let mut world = World::new();
    world.after(ms(5), |on| {
        on.after(ms(1), |on| on.state.note("order", "timer"));
        on.next_tick(|on| {
            on.state.note("order", "tick 1");
            on.next_tick(|on| on.state.note("order", "tick 3"));
            std::thread::sleep(ms(5));
        });
        on.next_tick(|on| on.state.note("order", "tick 2"));
        on.state.note("order", "handler");
    });
    world.run_dry();
    assert_eq!(world.state.of("order"), ["handler", "tick 1", "tick 2", "tick 3", "timer"]);
}

#[test]
fn a_tick_runs_between_two_chunks_of_one_socket() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::new().pause_on_connect(true), |socket, heard| {
        if let Heard::Data(chunk) = heard {
            let length = chunk.len();
            socket.state.note("order", format!("chunk {length}"));
            socket.event_loop().next_tick(|on| on.state.note("order", "tick"));
        }
    });
    raw.write_all(&pattern(128 * 1024)).unwrap();
    world.until_saw("server", "connection");
    world.of("S").resume();
    world.until(|world| world.of("S").bytes_read() == 128 * 1024 && world.state.of("order").len().is_multiple_of(2));
    let order = world.state.of("order");
    assert!(order.iter().skip(1).step_by(2).all(|event| event == "tick"), "{order:?}");
}

// ---- what keeps the loop running ------------------------------------------------------------------------------------

#[test]
fn an_empty_loop_returns_at_once() {
    World::new().run_dry();
}

// covers: server-unref
#[test]
fn a_listening_server_keeps_the_loop_running_unless_it_is_unreferenced() {
    let mut world = World::new();
    let (server, _) = world.serve(ServerOptions::new(), |_| {});
    world.until_saw("server", "listening");
    assert!(world.net.is_alive());
    world.server(server).unwrap().set_ref(false);
    assert!(!world.net.is_alive());
    world.run_dry();
    world.server(server).unwrap().set_ref(true);
    assert!(world.net.is_alive());
}

#[test]
fn an_unreferenced_server_still_serves_while_something_else_runs() {
    let mut world = World::new();
    let (server, _) = world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.end_with("served");
        }
    });
    world.server(server).unwrap().set_ref(false);
    world.run_dry();
    assert_eq!(world.state.of("S"), ["data served", "end", "finish", "close(false)"]);
    assert!(world.net.is_listening(server));
}

// covers: x/loop-liveness
#[test]
fn a_reading_socket_keeps_the_loop_running_unless_it_is_unreferenced() {
    let mut world = World::new();
    let (server, _) = world.pair(quiet, quiet);
    world.server(server).unwrap().set_ref(false);
    world.until(|world| world.state.saw("C", "connect") && world.state.saw("server", "connection"));
    assert!(world.net.is_alive());
    world.of("C").set_ref(false);
    assert!(world.net.is_alive(), "the other one");
    world.of("S").set_ref(false);
    world.run_dry();
    assert_eq!(world.of("C").ready_state().name(), "open");
}

// covers: x/loop-liveness
#[test]
fn a_socket_that_reads_nothing_and_owes_nothing_keeps_nothing_running() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new().pause_on_connect(true), |socket| {
        let server = socket.server().unwrap();
        socket.net.close_server(server);
    });
    let _raw = TcpStream::connect(address).unwrap();
    world.run_dry();
    assert_eq!(world.net.sockets(), 1, "it is there, and paused");
}

// covers: x/loop-liveness
#[test]
fn a_half_open_socket_behind_the_peers_end_keeps_nothing_running_until_it_writes() {
    let mut world = World::new();
    let options = ServerOptions::new().allow_half_open(true);
    let raw = world.raw_pair(options, quiet);
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_saw("S", "end");
    world.net.close_servers();
    world.run_dry();
    world.of("S").write(pattern(FLOOD));
    assert!(world.net.is_alive());
}

#[test]
fn timers_keep_the_loop_running_unless_they_are_unreferenced() {
    let mut world = World::new();
    let hour = Duration::from_secs(3600);
    let timer = world.after(hour, |_| {});
    let second = world.every(hour, |_| {});
    assert!(world.net.is_alive());
    world.net.set_timer_ref(timer, false);
    world.net.set_timer_ref(timer, false);
    assert!(world.net.is_alive(), "references are not counted");
    world.net.set_timer_ref(second, false);
    assert!(!world.net.is_alive());
    world.run_dry();
    world.net.set_timer_ref(timer, true);
    assert!(world.net.is_alive());
    world.event_loop().cancel(timer);
    assert!(!world.net.is_alive());
}

#[test]
fn an_unreferenced_timer_still_comes_while_something_else_runs() {
    let mut world = World::new();
    let timer = world.after(ms(5), |on| on.state.note("timer", "unreferenced"));
    world.net.set_timer_ref(timer, false);
    world.after(ms(20), |on| on.state.note("timer", "referenced"));
    world.run_dry();
    assert_eq!(world.state.of("timer"), ["unreferenced", "referenced"]);
}

// covers: timeout-no-handle
#[test]
fn the_idle_clock_of_a_socket_keeps_nothing_running() {
    let mut world = World::new();
    world
        .event_loop()
        .new_socket(SocketOptions::new(), |socket| socket.set_timeout(Some(Duration::from_secs(3600))))
        .unwrap();
    world.run_dry();
}

#[test]
fn stop_returns_from_run_with_everything_open_and_run_goes_on_afterwards() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.event_loop().stop();
        }
    });
    world.run_dry();
    assert_eq!(world.of("C").ready_state().name(), "open");
    world.of("C").end();
    world.run_out();
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
}

// ---- the idle clock of a socket -------------------------------------------------------------------------------------

/// A client that is idle from its connection on, with a clock of `period`.
fn idle_pair(period: Duration) -> World {
    let mut world = World::new();
    world.pair(quiet, move |socket, heard| match heard {
        Heard::Connect => {
            socket.set_timeout(Some(period));
            assert_eq!(socket.timeout(), Some(period));
            socket.state.moments.insert("set", socket.net.now());
        }
        Heard::Timeout => assert!(socket.net.now() - socket.state.moments["set"] >= period, "it was early"),
        _ => {}
    });
    world
}

// covers: x/timeout-once
#[test]
fn timeout_comes_once_for_each_idle_period_and_does_nothing_else() {
    let mut world = idle_pair(ms(20));
    world.until_saw("C", "timeout");
    world.turn_for(ms(80));
    assert_eq!(world.state.of("C"), ["connect", "timeout"]);
    assert_eq!(world.of("C").ready_state().name(), "open");
    world.of("S").write("activity");
    world.until(|world| world.state.times("C", "timeout") == 2);
    world.turn_for(ms(60));
    assert_eq!(world.state.of("C"), ["connect", "timeout", "data activity", "timeout"]);
}

#[test]
fn reads_and_writes_put_the_timeout_off() {
    let mut world = idle_pair(ms(100));
    world.until_saw("C", "connect");
    for n in 0..6 {
        world.turn_for(ms(30));
        let now = world.net.now();
        world.state.moments.insert("set", now);
        if n % 2 == 0 {
            world.of("C").write("x");
        } else {
            world.of("S").write("y");
            world.until(|world| world.of("C").bytes_read() == n / 2 + 1);
        }
    }
    world.until_saw("C", "timeout");
}

#[test]
fn none_and_zero_turn_the_timeout_off_and_it_can_be_set_again() {
    for off in [None, Some(Duration::ZERO)] {
        let mut world = idle_pair(ms(20));
        world.until_saw("C", "connect");
        world.of("C").set_timeout(off);
        assert_eq!(world.of("C").timeout(), None);
        world.turn_for(ms(60));
        assert_eq!(world.state.of("C"), ["connect"]);
        world.of("C").set_timeout(Some(ms(20)));
        world.until_saw("C", "timeout");
    }
}

// covers: x/timeout-paused-reads-count
#[test]
fn a_pause_does_not_change_the_timeout_and_reads_during_it_put_it_off() {
    let mut world = idle_pair(ms(60));
    world.until_saw("C", "connect");
    world.turn_for(ms(30));
    world.of("C").pause();
    world.until_saw("C", "timeout");
    let now = world.net.now();
    world.state.moments.insert("set", now);
    world.of("S").write("kept");
    world.until(|world| world.state.times("C", "timeout") == 2);
    assert_eq!(world.state.of("C"), ["connect", "timeout", "timeout"], "the data waits for resume");
    assert_eq!(world.of("C").bytes_read(), 4);
}

// covers: x/timeout-stalled-write
#[test]
fn a_stalled_write_times_out_after_twice_the_time() {
    let period = ms(50);
    let mut world = World::new();
    let options = ServerOptions::new().pause_on_connect(true);
    let _raw = world.raw_pair(options, move |socket, heard| match heard {
        Heard::Accepted => {
            socket.set_timeout(Some(period));
            socket.write(pattern(FLOOD));
            socket.state.moments.insert("written", socket.net.now());
        }
        Heard::Timeout => assert!(socket.net.now() - socket.state.moments["written"] >= period * 2),
        _ => {}
    });
    world.until_saw("S", "timeout");
    world.turn_for(ms(120));
    assert_eq!(world.state.of("S"), ["timeout"]);
}

// covers: timeout-no-handle
#[test]
fn the_timeout_runs_without_a_connection_and_after_an_end_but_not_after_a_destroy() {
    let mut world = World::new();
    world
        .event_loop()
        .new_socket(SocketOptions::new(), |socket| {
            watch(socket, "fresh", quiet);
            socket.set_timeout(Some(ms(10)));
        })
        .unwrap();
    world.until_saw("fresh", "timeout");

    let options = ServerOptions::new().allow_half_open(true);
    let raw = world.raw_pair(options, |socket, heard| {
        if let Heard::End = heard {
            socket.set_timeout(Some(ms(20)));
        }
    });
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_saw("S", "timeout");

    world.of("S").set_timeout(Some(ms(10)));
    world.of("S").destroy();
    world.until_closed(&["S"]);
    world.turn_for(ms(30));
    assert_eq!(world.state.of("S"), ["end", "timeout", "close(false)"]);
}

#[test]
fn a_timeout_out_of_any_range_is_taken_as_the_longest() {
    let mut world = idle_pair(Duration::MAX);
    world.until_saw("C", "connect");
    world.after(Duration::MAX, |_| {});
    world.every(Duration::MAX, |_| {});
    world.turn_for(ms(20));
    assert_eq!(world.state.of("C"), ["connect"]);
}

// ---- signals, and what is put off -----------------------------------------------------------------------------------

/// Node's `setImmediate`: input that has come is served first. What is put off in the callback waits for the next turn.
#[test]
fn next_turn_runs_after_the_input_of_this_turn_and_delays_nobody() {
    let mut world = World::new();
    let raw = world.raw_pair(ServerOptions::new(), |socket, heard| {
        if let Heard::Data(_) = heard {
            socket.event_loop().next_turn(|on| on.state.note("order", "put off"));
            socket.event_loop().next_tick(|on| on.state.note("order", "tick"));
        }
    });
    world.until_saw("server", "connection");
    world.write_raw(&raw, b"x");
    world.until(|world| world.state.of("order").len() == 2);
    assert_eq!(world.state.of("order"), ["tick", "put off"]);

    // A callback that puts itself off again and again neither keeps a turn from ending nor lets the loop sleep.
    fn again(on: &mut tidegate::Loop<'_, loops::Log>) {
        on.state.add("turns", 1);
        on.next_turn(again);
    }
    world.event_loop().next_turn(again);
    world.write_raw(&raw, b"y");
    world.until(|world| world.state.of("order").len() == 4);
    assert!(world.state.number("turns") >= 1);
}
