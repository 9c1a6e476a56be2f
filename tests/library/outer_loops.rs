//! A loop inside another loop, or with a loop of the program's own around its turns.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::loops::{Heard, World, ms, quiet};
use tidegate::{EventLoop, FileOptions, OpenMode, ServerOptions, SocketOptions};

// ---- its clock and its deadline --------------------------------------------------------------------------------------

#[test]
fn a_turn_without_waiting_returns_at_once() {
    let mut world = World::new();
    world.serve(ServerOptions::new(), |_| {});
    world.after(Duration::from_secs(3600), |_| {});
    for _ in 0..3 {
        world.turn(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(world.state.of("server"), ["listening"]);
}

#[test]
fn a_turn_waits_no_longer_than_it_may_and_no_shorter_than_nothing_happens() {
    let mut world = World::new();
    world.serve(ServerOptions::new(), |_| {});
    world.until_saw("server", "listening");
    let began = Instant::now();
    world.turn(Some(ms(20))).unwrap();
    assert!(began.elapsed() >= ms(19), "{:?}", began.elapsed());
}

#[test]
fn the_next_deadline_is_the_earliest_timer_now_if_there_is_work_and_none_if_only_an_event_can_bring_some() {
    let mut world = World::new();
    assert_eq!(world.net.next_deadline(), None);
    world.serve(ServerOptions::new(), |_| {});
    assert!(world.net.next_deadline().unwrap() <= world.net.now(), "listening is to be told");
    world.until_saw("server", "listening");
    world.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(world.net.next_deadline(), None);
    world.after(Duration::from_secs(50), |_| {});
    world.after(Duration::from_secs(5), |_| {});
    let deadline = world.net.next_deadline().unwrap();
    assert!(deadline >= world.net.now() + Duration::from_secs(5));
    assert!(deadline < world.net.now() + Duration::from_secs(50));
}

/// Another loop waits for the loop's descriptor and its deadline, and turns it without waiting.
#[cfg(unix)]
#[test]
fn a_loop_lives_inside_another_loop_by_its_descriptor_and_its_deadline() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Data(chunk) = heard {
                socket.write(chunk);
            }
        },
        |socket, heard| match heard {
            Heard::Connect => {
                socket.write("ping");
            }
            Heard::Data(_) => {
                socket.after(ms(20), |socket| {
                    socket.state.note("C", "timer");
                    socket.end();
                });
            }
            _ => {}
        },
    );
    let fd = world.net.poll_fd().unwrap().as_raw_fd();
    let mut outer = mio::Poll::new().unwrap();
    let mut source = mio::unix::SourceFd(&fd);
    outer.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE).unwrap();
    let mut events = mio::Events::with_capacity(8);
    let end = Instant::now() + Duration::from_secs(10);
    while !(world.state.is_closed("S") && world.state.is_closed("C")) {
        let wait = world.net.next_deadline().map(|deadline| deadline.saturating_sub(world.net.now()));
        outer.poll(&mut events, Some(wait.unwrap_or(Duration::from_secs(5)))).unwrap();
        world.turn(Some(Duration::ZERO)).unwrap();
        assert!(Instant::now() < end, "{:#?}", world.state.all());
    }
    assert_eq!(world.state.of("C"), ["connect", "data ping", "timer", "finish", "end", "close(false)"]);
}

/// How long the loop has not turned, because the program did other things.
const ELSEWHERE: Duration = ms(60);

/// By the rule of `EventLoop::turn`: how long an outer loop may wait.
fn left(world: &World) -> Duration {
    world.net.next_deadline().unwrap().saturating_sub(world.net.now())
}

#[test]
fn the_clock_goes_on_between_two_turns() {
    let mut world = World::new();
    world.turn(Some(Duration::ZERO)).unwrap();
    let before = world.net.now();
    thread::sleep(ELSEWHERE);
    assert!(world.net.now() >= before + ELSEWHERE);
}

#[test]
fn all_handlers_of_a_turn_see_one_time() {
    let mut world = World::new();
    for _ in 0..2 {
        world.event_loop().next_turn(|on| {
            let now = on.net.now();
            assert!(on.state.moments.insert("now", now).is_none_or(|first| first == now));
            thread::sleep(ms(2));
        });
    }
    world.turn(Some(Duration::ZERO)).unwrap();
    assert!(world.state.moments.contains_key("now"));
}

#[test]
fn a_timer_that_is_set_long_after_the_last_turn_has_no_more_than_its_time_left() {
    let mut world = World::new();
    world.turn(Some(Duration::ZERO)).unwrap();
    thread::sleep(ELSEWHERE);
    world.after(ms(20), |_| {});
    // A millisecond more, by which a timer is rounded up.
    assert!(left(&world) <= ms(21), "{:?}", left(&world));
    world.every(ms(10), |_| {});
    assert!(left(&world) <= ms(11), "{:?}", left(&world));
}

#[test]
fn a_deadline_that_passes_between_two_turns_has_nothing_left() {
    let mut world = World::new();
    world.after(ms(20), |on| on.state.note("timer", "ran"));
    world.after(ms(30), |on| on.state.note("timer", "and the other"));
    world.turn(Some(Duration::ZERO)).unwrap();
    thread::sleep(ELSEWHERE);
    for turns in 1..=2 {
        assert_eq!(left(&world), Duration::ZERO);
        world.turn(Some(Duration::ZERO)).unwrap();
        assert!(world.state.of("timer").len() >= turns);
    }
}

#[test]
fn an_idle_clock_that_is_set_long_after_the_last_turn_has_no_more_than_its_time_left() {
    let mut world = World::new();
    world.pair(quiet, quiet);
    world.until_saw("C", "connect");
    thread::sleep(ELSEWHERE);
    world.of("C").set_timeout(Some(ms(20)));
    assert!(left(&world) <= ms(21), "{:?}", left(&world));
}

#[test]
fn a_write_between_two_turns_is_activity_of_that_time() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Timeout = heard {
            assert!(socket.net.now() >= socket.state.moments["written"] + ELSEWHERE * 2, "it was early");
        }
    });
    world.until_saw("C", "connect");
    world.of("C").set_timeout(Some(ELSEWHERE * 2));
    world.turn(Some(Duration::ZERO)).unwrap();
    thread::sleep(ELSEWHERE);
    let now = world.net.now();
    world.state.moments.insert("written", now);
    world.of("C").write("x");
    world.until_saw("C", "timeout");
}

// ---- a turn that waits -------------------------------------------------------------------------------------------------

/// Turns until it has come, in a loop of the program's own. A turn that waits has something to do when it is over.
fn comes_in_a_few_turns(world: &mut World, came: impl Fn(&mut World) -> bool) {
    let before = world.net.counters().turns;
    while !came(world) {
        world.turn(None).unwrap();
        let turns = world.net.counters().turns - before;
        assert!(turns < 20, "{turns} turns that did not wait");
    }
}

/// After a while, on another thread.
fn later<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::spawn(|| {
        thread::sleep(ELSEWHERE);
        what()
    })
}

#[cfg(feature = "signals")]
#[test]
fn a_turn_waits_for_a_signal_alone() {
    use rustix::process::{Signal, getpid, kill_process};
    let mut world = World::new();
    world.on_signal(Signal::WINCH.as_raw(), |on| on.state.note("signal", "came")).unwrap();
    let sender = later(|| kill_process(getpid(), Signal::WINCH));
    comes_in_a_few_turns(&mut world, |world| !world.state.of("signal").is_empty());
    sender.join().unwrap().unwrap();
}

#[test]
fn a_turn_waits_for_a_server_that_is_not_referenced() {
    let mut world = World::new();
    let (server, address) = world.serve(ServerOptions::new(), |_| {});
    world.server(server).unwrap().set_ref(false);
    let client = later(move || TcpStream::connect(address));
    comes_in_a_few_turns(&mut world, |world| world.state.saw("server", "connection"));
    client.join().unwrap().unwrap();
}

#[test]
fn a_turn_waits_for_a_timer_that_is_not_referenced() {
    let mut world = World::new();
    let timer = world.after(ELSEWHERE, |on| on.state.note("timer", "ran"));
    world.net.set_timer_ref(timer, false);
    comes_in_a_few_turns(&mut world, |world| !world.state.of("timer").is_empty());
}

#[test]
fn a_turn_waits_for_a_socket_that_is_not_referenced() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new();
    world.client("C", peer.local_addr().unwrap(), quiet);
    world.until_saw("C", "connect");
    world.of("C").set_ref(false);
    let mut stream = peer.accept().unwrap().0;
    let writer = later(move || stream.write_all(b"x").map(|()| stream));
    comes_in_a_few_turns(&mut world, |world| world.state.data("C") == b"x");
    writer.join().unwrap().unwrap();
}

/// What comes for it is an event of the kernel's, though of no handler.
#[test]
fn a_turn_waits_for_a_socket_that_is_paused() {
    let mut world = World::new();
    let address = world.serve_paused(ServerOptions::new().pause_on_connect(true));
    let mut raw = TcpStream::connect(address).unwrap();
    world.until(|world| world.net.sockets() == 1);
    world.net.close_servers();
    world.turn_for(ms(10));
    assert!(!world.net.is_alive());
    let written = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&written);
    let writer = later(move || {
        told.store(true, Ordering::SeqCst);
        raw.write_all(b"x").map(|()| raw)
    });
    comes_in_a_few_turns(&mut world, |_| written.load(Ordering::SeqCst));
    writer.join().unwrap().unwrap();
}

#[test]
fn a_turn_waits_for_the_last_waker() {
    let mut world = World::new();
    let waker = world.waker().unwrap();
    world.on_wake(|on| on.state.note("waker", "woken"));
    let other = later(move || waker.wake());
    comes_in_a_few_turns(&mut world, |world| !world.state.of("waker").is_empty());
    other.join().unwrap().unwrap();
}

#[test]
fn a_turn_that_nothing_could_ever_wake_returns_at_once() {
    let mut world = World::new();
    world.turn(None).unwrap();
    // A socket without a connection; a server that does not listen; a file that is always ready and that nobody reads.
    world.event_loop().new_socket(SocketOptions::new(), |_| {}).unwrap();
    world.event_loop().new_server(ServerOptions::new(), |_| {}).unwrap();
    world.event_loop().open(file!(), FileOptions::new(OpenMode::Read), |_| {}).unwrap();
    drop(world.waker().unwrap());
    for _ in 0..3 {
        world.turn(None).unwrap();
    }
    assert!(!world.net.is_alive());
}

#[test]
fn run_does_not_wait_for_what_keeps_nothing_running() {
    let mut world = World::new();
    let (server, _) = world.serve(ServerOptions::new(), |_| {});
    world.server(server).unwrap().set_ref(false);
    let timer = world.after(Duration::from_secs(3600), |_| {});
    // It is cancelled after `run` has looked whether it is to go on, and before the turn would sleep.
    world.next_tick(move |on| {
        on.cancel(timer);
    });
    world.run_dry();
}

#[cfg(unix)]
#[test]
fn a_turn_on_the_simulated_network_waits_for_a_signal_too() {
    let sim = tidegate::sim::Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), false);
    event_loop.on_signal(15, |on| *on.state = true).unwrap();
    sim.raise(15);
    event_loop.turn(None).unwrap();
    assert!(event_loop.state);
    assert!(event_loop.turn(None).unwrap_err().to_string().contains("stuck"), "nothing will ever raise one");
}
