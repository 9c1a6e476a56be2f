//! Pipes: one socket into another, several, or itself; which end ends what, which side pauses which, and what is left.

use crate::support::loops::{FLOOD, World, ms, pattern, quiet, read_now, watch, write_now};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use tidegate::ServerOptions;
use tidegate::sim::{Call, Sim};

/// A server with sockets a, b and c, which are paused, and plain sockets at their other ends.
struct Bench {
    world: World,
    address: SocketAddr,
}

impl Bench {
    fn new(options: ServerOptions) -> Self {
        let mut world = World::new();
        let address = world.serve_paused(options);
        Bench { world, address }
    }

    fn half_open() -> Self {
        Bench::new(ServerOptions::new().allow_half_open(true))
    }

    /// The next of a, b, c.
    fn peer(&mut self) -> TcpStream {
        let number = self.world.state.number("accepted") + 1;
        self.world.peer(self.address, number)
    }

    /// Writes to a plain socket until nothing more goes in, while the world turns; says how much went in.
    fn flood(&mut self, raw: &TcpStream, bytes: &[u8]) -> usize {
        let (mut sent, mut idle) = (0, 0);
        while idle < 20 && sent < bytes.len() {
            idle = if write_now(raw, bytes, &mut sent) { 0 } else { idle + 1 };
            self.world.turn(Some(ms(2))).unwrap();
        }
        sent
    }
}

// covers: stream/pipe-cleanup
#[test]
fn a_pipe_carries_bytes_and_the_end() {
    let mut bench = Bench::new(ServerOptions::new());
    let (mut a, b) = (bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    a.write_all(b"hello").unwrap();
    assert_eq!(bench.world.read_raw(&b, 5), b"hello");
    a.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bench.world.read_raw(&b, 1), b"", "the end of a is the end of b");
    bench.world.until_saw("b", "finish");
    bench.world.until_closed(&["a"]);
    assert_eq!(bench.world.state.of("a"), ["end", "finish", "close(false)"]);
    assert_eq!(bench.world.state.of("b"), ["finish"], "b is still read from");
    let a = bench.world.id("a");
    assert!(bench.world.net.piped_to(a).is_empty());
}

#[test]
fn a_pipe_without_end_leaves_the_other_open() {
    let mut bench = Bench::new(ServerOptions::new());
    let (mut a, b) = (bench.peer(), bench.peer());
    bench.world.pipe("a", "b", false);
    a.write_all(b"hello").unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    bench.world.until_closed(&["a"]);
    let id = bench.world.id("a");
    assert!(bench.world.net.piped_to(id).is_empty());
    bench.world.of("b").write(" and more");
    assert_eq!(bench.world.read_raw(&b, 14), b"hello and more");
    assert_eq!(bench.world.of("b").ready_state().name(), "open");
}

#[test]
fn a_pipe_to_itself_is_an_echo() {
    let mut bench = Bench::half_open();
    let a = bench.peer();
    bench.world.pipe("a", "a", true);
    let bytes = pattern(FLOOD);
    let (mut sent, mut back) = (0, Vec::new());
    bench.world.until(|_| {
        write_now(&a, &bytes, &mut sent);
        if sent == bytes.len() {
            let _ = a.shutdown(Shutdown::Write);
        }
        read_now(&a, &mut back)
    });
    assert!(back == bytes);
    bench.world.until_closed(&["a"]);
    assert_eq!(bench.world.state.of("a").last().unwrap(), "close(false)");
}

#[test]
fn a_destination_that_does_not_read_stops_the_source_and_nothing_is_lost() {
    let mut bench = Bench::new(ServerOptions::new());
    let (a, b) = (bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    let bytes = pattern(4 * FLOOD);
    let sent = bench.flood(&a, &bytes);
    assert!(sent < bytes.len(), "it went on for ever");
    assert!(bench.world.of("a").is_paused());
    let queued = bench.world.of("b").buffer_size();
    assert!(queued <= 1 << 20, "{queued} bytes queued");
    // Both go on.
    let (mut sent, mut received) = (sent, Vec::new());
    bench.world.until(|_| {
        write_now(&a, &bytes, &mut sent);
        read_now(&b, &mut received);
        received.len() == bytes.len()
    });
    assert!(received == bytes);
}

#[test]
fn a_source_is_as_fast_as_its_slowest_destination() {
    let mut bench = Bench::new(ServerOptions::new());
    let (a, fast, slow) = (bench.peer(), bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    bench.world.pipe("a", "c", true);
    let bytes = pattern(2 * FLOOD);
    let (mut sent, mut to_fast, mut idle) = (0, Vec::new(), 0);
    bench.world.until(|_| {
        idle = if write_now(&a, &bytes, &mut sent) { 0 } else { idle + 1 };
        read_now(&fast, &mut to_fast);
        idle > 20
    });
    assert!(sent < bytes.len(), "the one that does not read holds it up");
    assert!(bench.world.of("a").is_paused());
    // The fast one has all that the slow one was given, and no more.
    let slow_was_given = bench.world.of("c").bytes_written() as usize;
    assert_eq!(to_fast.len(), slow_was_given);
    drop(slow);
    bench.world.until(|_| {
        write_now(&a, &bytes, &mut sent);
        read_now(&fast, &mut to_fast);
        to_fast.len() == bytes.len()
    });
    assert!(to_fast == bytes, "and when it is gone the others go on");
}

#[test]
fn unpipe_pauses_the_source_and_a_resume_gives_the_rest_to_the_handler() {
    let mut bench = Bench::new(ServerOptions::new());
    let (mut a, b) = (bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    a.write_all(b"piped").unwrap();
    assert_eq!(bench.world.read_raw(&b, 5), b"piped");
    bench.world.unpipe("a", "b");
    assert!(bench.world.of("a").is_paused());
    a.write_all(b"heard").unwrap();
    bench.world.until(|world| world.of("a").bytes_read() == 10);
    bench.world.of("a").on_data(|socket, chunk| {
        let text = String::from_utf8_lossy(chunk).into_owned();
        socket.state.note("a", text);
    });
    bench.world.turn_for(ms(20));
    assert!(bench.world.state.of("a").is_empty(), "a handler does not undo the pause");
    bench.world.of("a").resume();
    bench.world.until_saw("a", "heard");
    bench.world.of("b").write("!");
    assert_eq!(bench.world.read_raw(&b, 1), b"!", "and nothing else came to b");
}

#[test]
fn after_an_unpipe_the_other_pipe_flows_on() {
    let mut bench = Bench::new(ServerOptions::new());
    let (mut a, b, c) = (bench.peer(), bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    bench.world.pipe("a", "c", true);
    a.write_all(b"both ").unwrap();
    assert_eq!(bench.world.read_raw(&b, 5), b"both ");
    bench.world.unpipe("a", "b");
    bench.world.unpipe("a", "b");
    assert!(!bench.world.of("a").is_paused());
    a.write_all(b"one").unwrap();
    assert_eq!(bench.world.read_raw(&c, 8), b"both one");
    bench.world.of("b").end();
    assert_eq!(bench.world.read_raw(&b, 1), b"");
}

// covers: stream/pipe-same-destination-twice
#[test]
fn the_same_destination_twice_gets_everything_twice() {
    let mut bench = Bench::new(ServerOptions::new());
    let (mut a, b) = (bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    bench.world.pipe("a", "b", true);
    a.write_all(b"hi").unwrap();
    assert_eq!(bench.world.read_raw(&b, 4), b"hihi");
    bench.world.unpipe("a", "b");
    a.write_all(b"ho").unwrap();
    assert_eq!(bench.world.read_raw(&b, 2), b"ho");
    bench.world.unpipe("a", "b");
    assert!(bench.world.of("a").is_paused());
}

// covers: x/pipe-dest-destroyed
#[test]
fn a_destination_that_closes_is_unpiped_and_the_source_paused() {
    let mut bench = Bench::new(ServerOptions::new());
    let (mut a, _b) = (bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    bench.world.of("b").destroy();
    bench.world.until_closed(&["b"]);
    let id = bench.world.id("a");
    assert!(bench.world.net.piped_to(id).is_empty());
    assert!(bench.world.of("a").is_paused());
    assert!(!bench.world.of("a").is_destroyed());
    a.write_all(b"kept").unwrap();
    bench.world.until(|world| world.of("a").bytes_read() == 4);
    bench.world.of("a").resume();
}

// covers: stream/pipe-error-handling, stream2/pipe-error-handling, stream2/pipe-error-once-listener
#[test]
fn a_destination_that_is_reset_is_unpiped_too() {
    let mut bench = Bench::new(ServerOptions::new());
    let (mut a, b) = (bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    bench.world.of("b").write("unread: closing resets");
    bench.world.turn_for(ms(5));
    drop(b);
    bench.world.until_closed(&["b"]);
    assert_eq!(bench.world.state.of("b"), ["error ECONNRESET", "close(true)"]);
    a.write_all(b"x").unwrap();
    bench.world.turn_for(ms(10));
    assert!(!bench.world.of("a").is_destroyed());
    assert!(bench.world.of("a").is_paused());
}

// covers: stream2/finish-pipe
#[test]
fn a_destination_that_ends_by_itself_is_unpiped_at_its_finish() {
    let mut bench = Bench::new(ServerOptions::new());
    let (_a, _b) = (bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    bench.world.of("b").end();
    bench.world.until_saw("b", "finish");
    bench.world.turn_for(ms(5));
    let id = bench.world.id("a");
    assert!(bench.world.net.piped_to(id).is_empty());
    assert!(bench.world.of("a").is_paused());
}

#[test]
fn a_source_that_is_destroyed_neither_ends_nor_destroys_the_destination() {
    let mut bench = Bench::new(ServerOptions::new());
    let (_a, b) = (bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    bench.world.of("a").destroy();
    bench.world.until_closed(&["a"]);
    bench.world.turn_for(ms(10));
    assert_eq!(bench.world.of("b").ready_state().name(), "open");
    bench.world.of("b").write("still here");
    assert_eq!(bench.world.read_raw(&b, 10), b"still here");
}

// covers: stream/pipe-after-end
#[test]
fn a_pipe_made_after_the_end_ends_its_destination_on_a_tick() {
    let mut bench = Bench::half_open();
    let (a, b) = (bench.peer(), bench.peer());
    bench.world.of("a").resume();
    a.shutdown(Shutdown::Write).unwrap();
    bench.world.until_saw("a", "end");
    bench.world.pipe("a", "b", true);
    assert!(bench.world.of("b").is_writable(), "not inside the call");
    assert_eq!(bench.world.read_raw(&b, 1), b"");
    bench.world.until_saw("b", "finish");
}

#[test]
fn a_pipe_into_a_connecting_socket_goes_through_its_queue() {
    let mut bench = Bench::new(ServerOptions::new());
    let mut a = bench.peer();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    a.write_all(b"early").unwrap();
    bench.world.until(|world| world.of("a").bytes_read() == 5);
    bench.world.client("to", listener.local_addr().unwrap(), quiet);
    bench.world.pipe("a", "to", true);
    bench.world.until_saw("to", "connect");
    let (to, _) = listener.accept().unwrap();
    a.write_all(b" and late").unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bench.world.read_raw(&to, usize::MAX), b"early and late");
}

#[test]
fn piped_data_goes_to_a_data_handler_as_well() {
    let mut bench = Bench::new(ServerOptions::new());
    let (mut a, b) = (bench.peer(), bench.peer());
    bench.world.of("a").on_data(|socket, chunk| {
        let length = chunk.len();
        socket.state.note("a", format!("heard {length}"));
    });
    bench.world.pipe("a", "b", true);
    a.write_all(b"both").unwrap();
    assert_eq!(bench.world.read_raw(&b, 4), b"both");
    assert_eq!(bench.world.state.of("a"), ["heard 4"]);
}

#[test]
fn two_sockets_piped_into_each_other_are_a_proxy() {
    let mut bench = Bench::half_open();
    let (mut a, mut b) = (bench.peer(), bench.peer());
    bench.world.pipe("a", "b", true);
    bench.world.pipe("b", "a", true);
    a.write_all(b"question").unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bench.world.read_raw(&b, usize::MAX), b"question");
    bench.world.turn_for(ms(10));
    b.write_all(b"answer").unwrap();
    b.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bench.world.read_raw(&a, usize::MAX), b"answer");
    bench.world.until_closed(&["a", "b"]);
    assert_eq!((bench.world.state.closed("a").unsent, bench.world.state.closed("b").unsent), (0, 0));
}

#[test]
fn a_pipe_that_moves_much_reads_more_at_once_and_less_again() {
    let sim = Sim::new(1);
    let mut world = World::on(&sim);
    world.serve_on("10.0.0.1:7", ServerOptions::new(), |socket| {
        let itself = socket.id();
        watch(socket, "S", quiet);
        socket.off_data();
        socket.pipe(itself).unwrap();
    });
    world.client("C", "10.0.0.1:7", quiet);
    sim.keep_calls();
    world.until_saw("C", "connect");
    let reads = |world: &mut World, bytes: &[u8]| {
        let (heard, before) = (world.state.data("C").len(), sim.called().len());
        world.of("C").write(bytes);
        world.until(|world| world.state.data("C").len() == heard + bytes.len());
        sim.called()[before..].iter().filter(|call| **call == Call::Read).count()
    };
    let bytes = pattern(3_000_000);
    let narrow = bytes.len().div_ceil(65536);
    let first = reads(&mut world, &bytes);
    // The client's own reads are narrow: it hears them.
    assert!(first - narrow <= narrow / 2, "{first} reads, {narrow} of them the client's");
    for _ in 0..20 {
        reads(&mut world, b"little");
    }
    assert!(world.state.data("C").starts_with(&bytes));
    assert_eq!(world.of("S").bytes_read(), 3_000_120);
    assert_eq!(world.of("S").bytes_written(), 3_000_120);
}
