//! A loop is shut down or stopped while its handlers do whatever they like: it ends in time, and leaves nothing behind.

#![cfg(unix)]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{EndOrder, EventLoop, FileOptions, Loop, ShutDownOptions, Socket, SocketOptions};

const ADDRESS: &str = "10.0.0.1:7";
const PATIENCE: Duration = Duration::from_secs(1);

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[derive(Debug, Default)]
struct Seen {
    opened: u32,
    closed: u32,
    said: Vec<&'static str>,
}

type View<'a> = Socket<'a, Seen>;

/// A loop with a server that it connects to itself, and a handler for each of its sockets. It is shut down after a second.
fn stubborn(options: ShutDownOptions, handler: impl Fn(&mut View<'_>) + Clone + 'static) -> (Sim, EventLoop<Seen>) {
    let sim = Sim::with(1, Conditions::new().turn(Duration::from_millis(5)));
    let mut event_loop = EventLoop::on(sim.kernel(), Seen::default());
    let other = handler.clone();
    event_loop.listen(ADDRESS, move |socket| other(socket)).unwrap();
    event_loop.connect(ADDRESS, |socket| handler(socket)).unwrap();
    event_loop.after(s(1), move |on| on.shut_down_with(options));
    (sim, event_loop)
}

/// It has ended in time, and can be run again as if nothing had been.
fn is_over_in_time(sim: &Sim, event_loop: &mut EventLoop<Seen>) {
    let latest = s(1) + PATIENCE + Duration::from_millis(100);
    assert!(sim.now() <= latest, "{:?}", sim.now());
    assert_eq!((event_loop.net.sockets(), event_loop.event_loop().is_shutting_down()), (0, false));
    event_loop.net.check().unwrap();
    serves_again(sim, event_loop);
}

/// Whatever it was told before: a client that stays as long as it likes is there as long.
fn serves_again(sim: &Sim, event_loop: &mut EventLoop<Seen>) {
    let begun = sim.now();
    let server = event_loop.listen("10.0.0.1:8", |socket| socket.resume()).unwrap();
    let stays = event_loop.connect("10.0.0.1:8", |client| client.resume()).unwrap();
    event_loop.after(PATIENCE * 3, move |on| {
        on.state.said.push("it stays");
        assert!(!on.net.connection(stays).is_pending() && on.net.is_listening(server));
        on.stop();
    });
    event_loop.run().unwrap();
    assert_eq!(event_loop.state.said.last(), Some(&"it stays"));
    assert!(sim.now() >= begun + PATIENCE * 3);
    event_loop.net.check().unwrap();
}

fn options() -> ShutDownOptions {
    ShutDownOptions::new().patience(PATIENCE)
}

/// Each way in each order.
fn whatever_handlers_do(handler: impl Fn(&mut View<'_>) + Clone + 'static) {
    for order in [EndOrder::Each, EndOrder::Together, EndOrder::ByPeers] {
        for linger in [None, Some(Duration::from_millis(200))] {
            let (sim, mut event_loop) = stubborn(options().order(order).linger(linger), handler.clone());
            event_loop.run().unwrap();
            is_over_in_time(&sim, &mut event_loop);
        }
    }
}

#[test]
fn that_connect_again() {
    whatever_handlers_do(|socket| {
        socket.state.opened += 1;
        socket.on_data(|_, _| {});
        socket.on_close(|socket, _| {
            socket.state.closed += 1;
            socket.connect("10.0.0.1:99").unwrap();
        });
    });
}

#[test]
fn that_connect_somewhere_else() {
    fn connect(on: &mut Loop<'_, Seen>) {
        let to = if on.state.opened.is_multiple_of(2) { ADDRESS } else { "10.0.0.1:99" };
        on.state.opened += 1;
        on.connect(to, |socket| {
            if socket.state.opened.is_multiple_of(3) {
                socket.write_then("hello", |socket, _| connect(&mut socket.event_loop()));
            } else {
                socket.on_close(|socket, _| connect(&mut socket.event_loop()));
            }
        })
        .unwrap();
    }
    whatever_handlers_do(|socket| socket.on_close(|socket, _| connect(&mut socket.event_loop())));
}

#[test]
fn that_open_servers() {
    whatever_handlers_do(|socket| {
        socket.on_data(|_, _| {});
        socket.on_close(|socket, _| {
            socket.state.opened += 1;
            let address = format!("10.0.0.1:{}", 100 + socket.state.opened);
            let mut on = socket.event_loop();
            on.listen(address.as_str(), |socket| socket.resume()).unwrap();
            on.connect(address.as_str(), |socket| socket.resume()).unwrap();
        });
    });
}

#[test]
fn that_open_files() {
    fn open(socket: &mut View<'_>) {
        socket.state.opened += 1;
        let name = format!("file{}", socket.state.opened % 3);
        let open_again = |file: &mut View<'_>| {
            file.write("x");
            file.on_close(|file, _| open(file));
        };
        socket.event_loop().open(name, FileOptions::append(), open_again).unwrap();
    }
    whatever_handlers_do(|socket| socket.on_close(|socket, _| open(socket)));
}

#[test]
fn that_make_sockets_which_never_connect() {
    fn make(on: &mut Loop<'_, Seen>) {
        on.new_socket(SocketOptions::new(), |socket| socket.on_close(|socket, _| make(&mut socket.event_loop())))
            .unwrap();
    }
    whatever_handlers_do(|socket| socket.on_close(|socket, _| make(&mut socket.event_loop())));
}

#[test]
fn that_pause_and_resume() {
    whatever_handlers_do(|socket| {
        socket.write("hello");
        socket.on_data(|socket, _| {
            socket.write("and again");
            socket.pause();
            socket.after(Duration::from_millis(300), |socket| socket.resume());
        });
    });
}

#[test]
fn that_pause_and_stay_so() {
    whatever_handlers_do(|socket| {
        socket.on_data(|_, _| {});
        socket.pause();
    });
}

#[test]
fn that_write_for_ever() {
    whatever_handlers_do(|socket| {
        socket.write([b'x'; 100_000]);
        socket.on_data(|_, _| {});
        socket.on_drain(|socket| {
            socket.write([b'x'; 100_000]);
        });
    });
    whatever_handlers_do(|socket| {
        fn write(socket: &mut View<'_>) {
            socket.write_then([b'x'; 50_000], |socket, outcome| {
                if outcome.is_ok() {
                    write(socket);
                }
            });
        }
        socket.on_data(|_, _| {});
        socket.after(Duration::from_millis(1), write);
    });
}

#[test]
fn that_set_timers() {
    whatever_handlers_do(|socket| {
        socket.resume();
        socket.on_close(|socket, _| {
            socket.event_loop().every(Duration::from_millis(700), |on| {
                on.state.opened += 1;
                on.connect("10.0.0.1:99", |_| {}).unwrap();
            });
        });
        socket.set_timeout(Some(s(1)));
        socket.on_timeout(|socket| {
            socket.write("are you there?");
        });
    });
}

#[test]
fn that_shut_down_again() {
    whatever_handlers_do(|socket| {
        socket.resume();
        socket.after(s(2), |socket| socket.event_loop().shut_down(PATIENCE * 100));
        socket.on_close(|socket, _| socket.event_loop().shut_down(PATIENCE * 100));
    });
}

#[test]
fn that_panic() {
    let (sim, mut event_loop) = stubborn(options(), |socket| {
        socket.resume();
        socket.on_close(|_, _| panic!("a mistake"));
    });
    let mut panics = 0;
    while catch_unwind(AssertUnwindSafe(|| event_loop.run().unwrap())).is_err() {
        panics += 1;
    }
    assert_eq!(panics, 2, "each closes once");
    is_over_in_time(&sim, &mut event_loop);
}

#[test]
fn each_connection_that_was_there_closes_once_when_the_patience_is_over() {
    let (sim, mut event_loop) = stubborn(options().order(EndOrder::ByPeers), |socket| {
        socket.resume();
        socket.on_close(|socket, _| {
            socket.state.closed += 1;
            let captured = Rc::new(Cell::new(0));
            socket.connect(ADDRESS).unwrap();
            socket.write_then("lost", move |_, _| captured.set(1));
        });
    });
    event_loop.run().unwrap();
    assert_eq!(event_loop.state.closed, 2);
    is_over_in_time(&sim, &mut event_loop);
}

/// Case of a client that a handler connects for what has arrived last: it is not ended before it has sent that.
#[test]
fn what_a_handler_opens_meanwhile_is_brought_to_its_end_too() {
    let sim = Sim::with(1, Conditions::new().delay(Duration::from_millis(20)));
    let mut upstream = EventLoop::on(sim.kernel(), String::new());
    upstream.listen("10.0.0.9:9", |socket| socket.on_text(|socket, text| socket.state.push_str(text))).unwrap();
    let mut front = EventLoop::on(sim.kernel(), Seen::default());
    front
        .listen(ADDRESS, |socket| {
            socket.on_data(|socket, chunk| {
                let chunk = chunk.to_vec();
                let connected = socket.event_loop().connect("10.0.0.9:9", |target| {
                    target.write(chunk);
                    target.resume();
                    target.on_close(|target, _| target.state.closed += 1);
                });
                connected.unwrap();
            });
        })
        .unwrap();
    front.after(s(1), |front| front.shut_down(PATIENCE));
    let mut client = EventLoop::on(sim.kernel(), ());
    let id = client.connect(ADDRESS, |_| {}).unwrap();
    client.after(s(1) - Duration::from_millis(10), move |client| {
        client.net.write(id, b"the last words");
    });
    sim.run(&mut [&mut upstream, &mut front, &mut client], s(60)).unwrap();
    assert_eq!((upstream.state.as_str(), front.state.closed, front.net.sockets()), ("the last words", 1, 0));
    assert!(!front.event_loop().is_shutting_down());
}

// ---- what is told before `run`, between two runs, twice --------------------------------------------------------------

/// A loop that would run for ever.
fn endless() -> (Sim, EventLoop<Seen>) {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), Seen::default());
    event_loop.listen(ADDRESS, |socket| socket.on_data(|_, _| {})).unwrap();
    event_loop.connect(ADDRESS, |socket| socket.on_data(|_, _| {})).unwrap();
    event_loop.every(s(1), |_| {});
    event_loop.after(s(100), |_| panic!("run did not return"));
    (sim, event_loop)
}

#[test]
fn a_stop_before_run_makes_it_return_at_once() {
    let (sim, mut event_loop) = endless();
    event_loop.stop();
    event_loop.stop();
    event_loop.run().unwrap();
    assert_eq!((event_loop.net.counters().turns, sim.now()), (0, Duration::ZERO));
    // It is used up, both of them.
    event_loop.after(s(3), |on| on.stop());
    event_loop.run().unwrap();
    assert!(sim.now() >= s(3));
    assert_eq!(event_loop.net.sockets(), 2, "what is open stays open");
}

#[test]
fn a_stop_in_a_turn_of_ones_own_counts_for_run_and_not_for_other_turns() {
    let (sim, mut event_loop) = endless();
    event_loop.event_loop().next_turn(|on| on.stop());
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    for _ in 0..5 {
        let before = sim.now();
        event_loop.turn(None).unwrap();
        assert!(sim.now() > before);
    }
    let (before, turns) = (sim.now(), event_loop.net.counters().turns);
    event_loop.run().unwrap();
    assert_eq!((sim.now(), event_loop.net.counters().turns), (before, turns));
    event_loop.after(s(3), |on| on.stop());
    event_loop.run().unwrap();
    assert!(sim.now() >= before + s(3));
}

#[test]
fn a_stop_before_a_turn_makes_that_turn_return_at_once() {
    let (sim, mut event_loop) = endless();
    event_loop.turn(Some(s(5))).unwrap();
    while event_loop.net.next_deadline().unwrap() <= sim.now() {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
    let deadline = event_loop.net.next_deadline().unwrap();
    event_loop.stop();
    event_loop.turn(None).unwrap();
    assert!(sim.now() < deadline);
}

#[test]
fn a_stop_in_the_last_turn_of_a_run_is_used_up() {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), Seen::default());
    event_loop.after(s(1), |on| on.stop());
    event_loop.run().unwrap();
    event_loop.after(s(1), |_| {});
    event_loop.run().unwrap();
    assert!(sim.now() >= s(2));
}

#[test]
fn a_shut_down_before_run_counts() {
    for in_a_turn in [false, true] {
        let (sim, mut event_loop) = endless();
        if in_a_turn {
            event_loop.event_loop().next_turn(|on| on.shut_down(PATIENCE));
            event_loop.turn(Some(Duration::ZERO)).unwrap();
        } else {
            event_loop.shut_down(PATIENCE);
        }
        event_loop.run().unwrap();
        assert_eq!(event_loop.net.sockets(), 0);
        assert!(sim.now() <= s(1), "{:?}", sim.now());
    }
}

#[test]
fn a_shut_down_that_has_ended_in_turns_of_ones_own_makes_run_return_once() {
    let (sim, mut event_loop) = endless();
    event_loop.shut_down(PATIENCE);
    while event_loop.event_loop().is_shutting_down() {
        event_loop.turn(None).unwrap();
    }
    let before = sim.now();
    event_loop.run().unwrap();
    assert_eq!((event_loop.net.sockets(), sim.now()), (0, before));
    serves_again(&sim, &mut event_loop);
}

#[test]
fn a_shut_down_of_a_loop_without_sockets_tells_its_servers() {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), Seen::default());
    let server = event_loop.listen(ADDRESS, |_| {}).unwrap();
    event_loop.server(server).unwrap().on_close(|server| server.state.said.push("closed"));
    event_loop.shut_down(PATIENCE);
    event_loop.run().unwrap();
    assert_eq!((&event_loop.state.said[..], sim.now() < s(1)), (&["closed"][..], true));
}

/// The patience of then is nobody's any more.
#[test]
fn a_shut_down_that_a_stop_gives_up_leaves_nothing_behind() {
    let (sim, mut event_loop) = endless();
    let quiet = event_loop.connect(ADDRESS, |socket| socket.on_data(|_, _| {})).unwrap();
    event_loop.after(s(1), |on| on.shut_down(s(5)));
    event_loop.after(s(1), |on| on.next_tick(|on| on.stop()));
    event_loop.run().unwrap();
    assert!(sim.now() < s(2) && !event_loop.event_loop().is_shutting_down());
    assert!(event_loop.net.connection(quiet).is_writable(), "it is not ended when it has caught up");
    serves_again(&sim, &mut event_loop);
    assert!(event_loop.net.connection(quiet).is_writable());
    // And it can be shut down for good.
    event_loop.shut_down(PATIENCE);
    event_loop.run().unwrap();
    assert_eq!(event_loop.net.sockets(), 0);
}

/// The clocks of a shut-down are its own: those of sockets that catch up, and of ended ones that linger.
#[test]
fn no_clock_of_a_shut_down_that_was_given_up_is_left() {
    for given_up_after in [1, 30, 70, 120, 400] {
        let (sim, mut event_loop) = endless();
        // One that has read something, and one that was ended at once.
        let options = SocketOptions::new().allow_half_open(true);
        let speaks = event_loop.connect(ADDRESS, |socket| socket.on_data(|_, _| {})).unwrap();
        let silent = event_loop.connect_with(ADDRESS, options, |socket| socket.pause()).unwrap();
        event_loop.after(s(1), move |on| {
            on.net.write(speaks, b"hello");
            let linger = Some(Duration::from_millis(50));
            on.shut_down_with(options_of_a_given_up_one(linger));
        });
        let ends_at = s(1) + Duration::from_millis(given_up_after);
        event_loop.after(ends_at, |on| on.stop());
        event_loop.run().unwrap();
        let (there, closed) = (event_loop.net.sockets(), event_loop.state.closed);
        // What is left are the timers of the program: one each second, and one in the far future.
        let next = event_loop.net.next_deadline().unwrap();
        assert_eq!(next, s(2), "given up after {given_up_after} ms");
        serves_again(&sim, &mut event_loop);
        assert_eq!(event_loop.state.closed, closed);
        assert!(event_loop.net.sockets() >= there, "given up after {given_up_after} ms");
        assert!(event_loop.net.connection(silent).exists());
    }
}

fn options_of_a_given_up_one(linger: Option<Duration>) -> ShutDownOptions {
    ShutDownOptions::new().patience(s(5)).quiet(Duration::from_millis(100)).linger(linger)
}

/// What was read ahead for it was counted for ever.
#[test]
fn the_memory_of_what_is_taken_away_is_given_back() {
    let sim = Sim::new(1);
    let mut peer = EventLoop::on(sim.kernel(), ());
    peer.listen("10.0.0.9:9", |socket| {
        socket.write("hello");
        socket.after(Duration::from_millis(5), |socket| {
            socket.write([b'x'; 10_000]);
        });
        socket.on_data(|_, _| {});
    })
    .unwrap();
    let mut event_loop = EventLoop::on(sim.kernel(), Seen::default());
    event_loop.net.set_turn_budget(Some(Duration::from_micros(10))).unwrap();
    for _ in 0..100 {
        let sim = sim.clone();
        let connected = event_loop.connect("10.0.0.9:9", move |socket| {
            socket.on_data(|_, _| {});
            socket.on_close(move |socket, _| {
                socket.state.closed += 1;
                sim.work(Duration::from_millis(1));
                if socket.state.closed == 1 {
                    let opened =
                        socket.event_loop().connect("10.0.0.9:9", |socket| socket.on_data(|socket, _| socket.pause()));
                    opened.unwrap();
                }
            });
        });
        connected.unwrap();
    }
    event_loop.after(s(1), |on| on.shut_down_with(options().order(EndOrder::ByPeers)));
    let mut held = 0;
    while event_loop.state.closed < 100 {
        sim.run(&mut [&mut peer, &mut event_loop], sim.now() + Duration::from_millis(1)).unwrap();
        held = held.max(event_loop.net.counters().memory_held);
    }
    sim.run(&mut [&mut peer, &mut event_loop], sim.now() + s(1)).unwrap();
    assert!(held >= 10_000, "{held}: it has read ahead when the patience was over");
    assert_eq!((event_loop.net.sockets(), event_loop.net.counters().memory_held), (0, 0));
    event_loop.net.check().unwrap();
}
