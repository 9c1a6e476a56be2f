//! Pipes, as Node's own tests look at them: which side waits for which, and that pipes leave nothing when they go.
//!
//! On a simulated network: a, b, c and so on are sockets of a server, paused and without a handler, and A, B, C are the
//! clients at their other ends. A client that is paused makes its counterpart a slow destination.

#![cfg(unix)]

use std::time::Duration;

use crate::support::loops::{Heard, View, World, ms, pattern, quiet, watch};
use tidegate::sim::{Conditions, Sim};
use tidegate::{FileOptions, ServerOptions};

/// Far more than the sockets and the network between them hold.
const MUCH: usize = 2_000_000;

/// The server's ends, in lower case, and the clients', in upper case.
const NAMES: [(&str, &str); 6] = [("a", "A"), ("b", "B"), ("c", "C"), ("d", "D"), ("e", "E"), ("f", "F")];

struct Bench(World);

impl Bench {
    fn new(count: usize) -> Self {
        Bench::with(count, ServerOptions::new().allow_half_open(true))
    }

    fn with(count: usize, options: ServerOptions) -> Self {
        let mut world = World::on(&Sim::with(1, Conditions::new().buffer(200_000)));
        let (_, address) = world.serve(options, |socket| {
            let (name, _) = NAMES[socket.state.add("accepted", 1) - 1];
            socket.pause();
            watch(socket, name, quiet);
            socket.off_data();
        });
        for (n, (_, name)) in NAMES[..count].iter().enumerate() {
            world.client(name, address, quiet);
            world.until(|world| world.state.saw(name, "connect") && world.state.number("accepted") == n + 1);
        }
        Bench(world)
    }

    fn pipe(&mut self, from: &str, to: &str) {
        self.0.pipe(from, to, true);
    }

    fn unpipe(&mut self, from: &str, to: &str) {
        self.0.unpipe(from, to);
    }

    fn pipes_of(&self, from: &str) -> usize {
        self.0.net.piped_to(self.0.id(from)).len()
    }

    /// Runs until nothing more happens.
    fn settle(&mut self) {
        let before = self.0.state.number("settled");
        self.0.after(Duration::from_secs(10), |on| _ = on.state.add("settled", 1));
        self.0.until(|world| world.state.number("settled") > before);
    }

    fn written(&self, to: &str) -> usize {
        self.0.net.connection(self.0.id(to)).bytes_written() as usize
    }

    fn heard(&self, by: &str) -> usize {
        self.0.state.data(by).len()
    }

    #[track_caller]
    fn all_heard(&mut self, by: &[&str], bytes: &[u8]) {
        self.settle();
        for by in by {
            assert_eq!(self.heard(by), bytes.len(), "{by}");
            assert!(self.0.state.data(by) == bytes, "{by}");
        }
    }
}

// ---- which side waits for which -------------------------------------------------------------------------------------

// covers: stream/pipe-await-drain
#[test]
fn a_source_waits_for_all_of_its_destinations_that_are_full() {
    let mut bench = Bench::new(4);
    for to in ["b", "c", "d"] {
        bench.pipe("a", to);
    }
    bench.0.of("C").pause();
    bench.0.of("D").pause();
    bench.0.of("A").write(pattern(MUCH));
    bench.settle();
    let written = bench.written("c");
    assert!(written < MUCH);
    assert!(bench.0.of("a").is_paused());
    assert_eq!((bench.written("d"), bench.heard("B")), (written, written));
    // One of the two has drained. The source still waits for the other.
    bench.0.of("C").resume();
    bench.settle();
    assert!(bench.0.state.saw("c", "drain"));
    assert!(bench.0.of("a").is_paused());
    assert_eq!((bench.heard("B"), bench.heard("C")), (written, written));
    bench.0.of("D").resume();
    bench.all_heard(&["B", "C", "D"], &pattern(MUCH));
}

// covers: stream/pipe-await-drain-manual-resume
#[test]
fn a_resume_by_hand_gives_one_chunk_more_and_does_not_undo_the_waiting() {
    let mut bench = Bench::new(2);
    bench.pipe("a", "b");
    bench.0.of("B").pause();
    bench.0.of("A").end_with(pattern(MUCH));
    bench.settle();
    for _ in 0..2 {
        let before = bench.written("b");
        bench.0.of("a").resume();
        bench.settle();
        assert!((before + 1..=before + 65_536).contains(&bench.written("b")));
        assert!(bench.0.of("a").is_paused());
    }
    bench.0.of("B").resume();
    bench.all_heard(&["B"], &pattern(MUCH));
    assert!(bench.0.state.saw("b", "finish"));
}

// covers: stream/pipe-needDrain
#[test]
fn a_destination_that_is_full_already_is_waited_for() {
    let mut bench = Bench::new(2);
    bench.0.of("B").pause();
    bench.0.of("b").write(pattern(MUCH));
    bench.pipe("a", "b");
    assert!(bench.0.of("a").is_paused());
    bench.0.of("A").write("behind it");
    bench.settle();
    assert_eq!(bench.written("b"), MUCH);
    bench.0.of("B").resume();
    bench.all_heard(&["B"], &[pattern(MUCH), b"behind it".to_vec()].concat());
}

// covers: stream/pipe-deadlock
#[test]
fn a_source_at_its_end_and_a_full_destination_do_not_wait_for_each_other() {
    let mut bench = Bench::new(2);
    bench.0.of("A").end_with("the last words");
    bench.0.of("B").pause();
    bench.0.of("b").write(pattern(MUCH));
    bench.settle();
    let (a, b) = (bench.0.id("a"), bench.0.id("b"));
    assert_eq!((bench.0.net.connection(a).read_ahead(), bench.0.net.connection(a).is_paused()), (14, true));
    assert!(bench.0.net.connection(b).needs_drain());
    bench.pipe("a", "b");
    bench.settle();
    assert!(!bench.0.state.saw("b", "finish"));
    bench.0.of("B").resume();
    bench.all_heard(&["B"], &[pattern(MUCH), b"the last words".to_vec()].concat());
    assert!(bench.0.state.saw("a", "end") && bench.0.state.saw("b", "finish"));
}

// covers: stream/pipe-flow
#[test]
fn with_a_mark_of_0_everything_arrives() {
    let mut bench = Bench::with(2, ServerOptions::new().high_water_mark(0));
    bench.pipe("a", "b");
    bench.0.of("A").end_with(pattern(MUCH));
    bench.all_heard(&["B"], &pattern(MUCH));
    assert!(bench.0.state.saw("b", "finish"));
}

// covers: stream/pipe-manual-resume
#[test]
fn a_resume_by_hand_loses_nothing() {
    let mut bench = Bench::new(2);
    bench.pipe("a", "b");
    fn speak(socket: &mut View<'_>) {
        let said = socket.state.add("said", 1);
        socket.write(format!("{said:>2000}"));
        if said < 1000 {
            socket.after(ms(1), speak);
        }
    }
    // Its destination is full for a while, and then again.
    let reader = bench.0.id("B");
    bench.0.net.pause(reader);
    for (at, reads) in [(300, true), (600, false), (1500, true)] {
        bench.0.after(ms(at), move |on| if reads { on.net.resume(reader) } else { on.net.pause(reader) });
    }
    speak(&mut bench.0.of("A"));
    let a = bench.0.id("a");
    let timer = bench.0.every(ms(3), move |on| {
        if on.net.connection(a).is_paused() {
            on.state.add("resumed", 1);
        }
        on.net.resume(a);
    });
    bench.settle();
    bench.0.event_loop().cancel(timer);
    assert!(bench.0.state.number("resumed") > 10, "the pipe has waited, and was resumed all the same");
    assert!(bench.0.state.saw("b", "drain"));
    let all: String = (1..=1000).map(|said| format!("{said:>2000}")).collect();
    bench.all_heard(&["B"], all.as_bytes());
}

// covers: stream2/unpipe-drain
#[test]
fn two_sources_of_one_stuck_destination_are_bounded_with_and_without_their_pipes() {
    let mut bench = Bench::new(3);
    bench.pipe("a", "c");
    bench.pipe("b", "c");
    bench.0.of("C").pause();
    bench.0.of("A").write(pattern(MUCH));
    bench.0.of("B").write(pattern(MUCH));
    bench.settle();
    bench.unpipe("b", "c");
    let written = bench.written("c");
    bench.settle();
    assert_eq!(bench.written("c"), written);
    for source in ["a", "b"] {
        assert!(bench.0.of(source).is_paused(), "{source}");
        let id = bench.0.id(source);
        assert!(bench.0.net.connection(id).read_ahead() < 2 * 65_536, "{source}");
    }
}

// ---- pipes that come and go -----------------------------------------------------------------------------------------

// covers: stream/pipe-cleanup-pause
#[test]
fn bytes_not_yet_given_to_a_slow_destination_go_to_another() {
    for in_the_handler in [false, true] {
        let mut bench = Bench::new(3);
        bench.pipe("a", "b");
        bench.0.of("B").pause();
        if in_the_handler {
            let (b, c) = (bench.0.id("b"), bench.0.id("c"));
            bench.0.of("a").on_data(move |socket, _| {
                socket.unpipe(b);
                socket.pipe(c).unwrap();
                socket.off_data();
            });
        }
        bench.0.of("A").write(pattern(MUCH));
        bench.settle();
        if !in_the_handler {
            bench.unpipe("a", "b");
            bench.pipe("a", "c");
        }
        bench.0.of("B").resume();
        bench.settle();
        assert!(bench.heard("B") > 0 && bench.heard("C") > 0);
        let all = [bench.0.state.data("B"), bench.0.state.data("C")].concat();
        assert!(all == pattern(MUCH), "{in_the_handler}");
    }
}

// covers: stream/pipe-flow-after-unpipe
#[test]
fn without_its_stuck_destination_a_source_flows_on_to_its_handler() {
    let mut bench = Bench::new(2);
    bench.0.of("a").on_data(|socket, chunk| _ = socket.state.add("heard", chunk.len()));
    bench.pipe("a", "b");
    bench.0.of("B").pause();
    bench.0.of("A").write(pattern(MUCH));
    bench.settle();
    assert!(bench.0.of("a").is_paused() && bench.0.state.number("heard") < MUCH);
    bench.unpipe("a", "b");
    bench.settle();
    assert!(!bench.0.of("a").is_paused());
    assert_eq!(bench.0.state.number("heard"), MUCH);
}

// covers: stream/readable-unpipe-resume
#[test]
fn unpiped_and_resumed_in_its_handler_a_source_runs_to_its_end() {
    let mut bench = Bench::new(2);
    let b = bench.0.id("b");
    bench.pipe("a", "b");
    bench.0.of("a").on_data(move |socket, chunk| {
        socket.state.add("heard", chunk.len());
        socket.unpipe(b);
        socket.resume();
    });
    bench.0.of("A").end_with(pattern(MUCH));
    bench.settle();
    assert_eq!(bench.0.state.number("heard"), MUCH);
    assert!(bench.0.state.saw("a", "end") && !bench.0.state.saw("b", "finish"));
    assert!(bench.written("b") <= 65_536);
}

// covers: stream/pipe-multiple-pipes
#[test]
fn five_destinations_get_each_chunk_until_they_are_unpiped() {
    let mut bench = Bench::new(6);
    let destinations = &NAMES[1..];
    for (to, _) in destinations {
        bench.pipe("a", to);
    }
    bench.0.of("A").write("0");
    bench.settle();
    for (n, (to, _)) in destinations.iter().enumerate() {
        bench.unpipe("a", to);
        assert_eq!(bench.pipes_of("a"), destinations.len() - n - 1);
        bench.0.of("A").write((n + 1).to_string());
        bench.settle();
    }
    for (n, (_, client)) in destinations.iter().enumerate() {
        assert_eq!(bench.0.state.data(client), &b"01234"[..=n], "{client}");
    }
    assert!(bench.0.of("a").is_paused());
}

// covers: stream/pipe-unpipe-streams
#[test]
fn pipes_are_taken_away_in_any_order_all_at_once_and_where_there_is_none() {
    for order in [["b", "c", "d"], ["c", "b", "d"], ["d", "b", "c"], ["d", "c", "b"]] {
        let mut bench = Bench::new(5);
        for to in ["b", "c", "d"] {
            bench.pipe("a", to);
        }
        bench.unpipe("a", "e");
        bench.unpipe("b", "a");
        assert_eq!(bench.pipes_of("a"), 3);
        for (n, to) in order.iter().enumerate() {
            assert!(!bench.0.of("a").is_paused());
            bench.unpipe("a", to);
            let left: Vec<_> = order[n + 1..].iter().map(|to| bench.0.id(to)).collect();
            let a = bench.0.id("a");
            assert!(bench.0.net.piped_to(a).iter().all(|to| left.contains(to)));
            assert_eq!(bench.pipes_of("a"), left.len());
        }
        assert!(bench.0.of("a").is_paused());
    }
    let mut bench = Bench::new(3);
    let a = bench.0.id("a");
    bench.0.net.unpipe_all(a);
    bench.pipe("a", "b");
    bench.pipe("a", "c");
    bench.0.net.unpipe_all(a);
    assert_eq!(bench.pipes_of("a"), 0);
    assert!(bench.0.of("a").is_paused());
    bench.0.of("A").end_with("nobody hears this");
    bench.settle();
    assert_eq!((bench.written("b"), bench.written("c")), (0, 0));
    assert!(bench.0.of("b").is_writable() && bench.0.of("c").is_writable());
}

// covers: stream2/unpipe-leak
#[test]
fn pipes_that_come_and_go_leave_nothing() {
    let mut bench = Bench::new(2);
    bench.0.of("B").pause();
    bench.0.of("A").write(pattern(MUCH));
    for _ in 0..10 {
        bench.pipe("a", "b");
        bench.settle();
        bench.unpipe("a", "b");
        bench.settle();
        assert_eq!(bench.pipes_of("a"), 0);
    }
    let a = bench.0.id("a");
    assert!(bench.0.net.connection(a).read_ahead() < 2 * 65_536);
    bench.0.of("B").resume();
    bench.pipe("a", "b");
    bench.all_heard(&["B"], &pattern(MUCH));
}

// ---- ends and errors ------------------------------------------------------------------------------------------------

// covers: stream2/finish-pipe-error
#[test]
fn data_for_a_destination_that_was_ended_fails_like_any_write_after_an_end() {
    let mut bench = Bench::new(2);
    bench.0.of("A").write("too late");
    bench.settle();
    bench.pipe("a", "b");
    bench.0.of("b").end();
    bench.settle();
    assert_eq!(bench.0.state.of("b"), ["error ERR_STREAM_WRITE_AFTER_END", "close(true)"]);
    assert_eq!(bench.pipes_of("a"), 0);
    assert!(!bench.0.of("a").is_destroyed());
}

// covers: x/pipe-source-error, stream/pipe-error-handling
#[test]
fn a_source_that_is_reset_leaves_its_destination_open() {
    let mut bench = Bench::new(2);
    bench.pipe("a", "b");
    bench.0.of("A").reset();
    bench.settle();
    assert_eq!(bench.0.state.of("a"), ["error ECONNRESET", "close(true)"]);
    assert!(bench.0.state.of("b").is_empty());
    assert_eq!(bench.0.of("b").ready_state().name(), "open");
    bench.0.of("b").write("still here");
    bench.all_heard(&["B"], b"still here");
}

// covers: x/pipe-order
#[test]
fn all_events_in_order_of_an_echo() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                let itself = socket.id();
                socket.off_data();
                socket.pipe(itself).unwrap();
            }
        },
        |socket, heard| {
            if let Heard::Connect = heard {
                socket.end_with("hello");
            }
        },
    );
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("S"), ["end", "finish", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "data hello", "end", "close(false)"]);
    let all = world.state.of_all(&["S", "C"]);
    let place = |event: &str| all.iter().position(|seen| seen == event).unwrap();
    let order = ["S end", "C data hello", "S finish", "S close(false)", "C end", "C close(false)"].map(place);
    assert!(order.is_sorted(), "{all:?}");
}

// covers: write-connect-write
#[test]
fn bytes_written_before_and_after_the_connection_come_back_in_order() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                let itself = socket.id();
                socket.pipe(itself).unwrap();
            }
        },
        |socket, heard| match heard {
            Heard::Connect => {
                socket.write(" after");
            }
            Heard::Data(_) => socket.end(),
            Heard::End => assert_eq!(socket.state.data("C"), b"before after"),
            _ => {}
        },
    );
    world.of("C").write("before");
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("C").last().unwrap(), "close(false)");
}

// ---- files ----------------------------------------------------------------------------------------------------------

/// A simulated machine with a file of so many bytes, and a server whose socket is called S.
fn with_file(length: usize, server: ServerOptions) -> (Sim, World, std::net::SocketAddr) {
    let sim = Sim::new(1);
    sim.put_file("/there", pattern(length));
    let mut world = World::on(&sim);
    let (_, address) = world.sockets_called_s(server, quiet);
    world.file("file", "/there", FileOptions::read());
    (sim, world, address)
}

// covers: seq/test-pipe
#[test]
fn a_source_flows_whole_into_a_socket_that_is_connecting() {
    const LENGTH: usize = 5 << 20;
    let (_, mut world, address) = with_file(LENGTH, ServerOptions::new());
    let to = world.client("C", address, quiet);
    assert!(world.of("C").is_connecting());
    world.of("file").pipe(to).unwrap();
    world.until_closed(&["S", "C"]);
    assert!(world.state.data("S") == pattern(LENGTH));
    assert_eq!(world.state.of("S")[1..], ["end", "finish", "close(false)"]);
}

// covers: pipe-file-to-http
#[test]
fn a_file_flows_whole_to_a_late_reader() {
    const LENGTH: usize = 10 << 20;
    let paused = ServerOptions::new().pause_on_connect(true);
    let (sim, mut world, address) = with_file(LENGTH, paused);
    let to = world.client("C", address, quiet);
    world.of("file").pipe(to).unwrap();
    world.after(Duration::from_secs(1), |on| {
        let late = on.state.id("S");
        assert_eq!(on.net.connection(late).bytes_read(), 0);
        on.net.resume(late);
    });
    world.until_closed(&["S", "C"]);
    assert!(sim.now() >= Duration::from_secs(1));
    assert!(world.state.data("S") == pattern(LENGTH));
}
