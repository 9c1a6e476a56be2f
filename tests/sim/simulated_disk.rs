//! Files on the simulated disk: a full, a damaged and a slow disk concern those that write and read there, and no
//! others.

use std::time::Duration;

use crate::support::loops::{Heard, World, ms, pattern, quiet, told, watch};
use tidegate::sim::{Call, Conditions, Disk, Fault, Sim};
use tidegate::{CloseReason, EventLoop, FileOptions, OutputLimits, OutputPolicy, ServerOptions, Stdio};

const ADDRESS: &str = "10.0.0.1:7";

/// A world on this network, whose server's socket S is piped into `log`; the client C has sent `bytes` and its end.
fn logging(sim: &Sim, bytes: &[u8]) -> World {
    let mut world = World::on(sim);
    world.file("log", "log", FileOptions::append());
    world.serve_on(ADDRESS, ServerOptions::new(), |socket| {
        watch(socket, "S", quiet);
        socket.off_data();
        let log = socket.state.id("log");
        socket.pipe(log).unwrap();
    });
    world.client("C", ADDRESS, quiet);
    world.of("C").end_with(bytes);
    world
}

/// A client E says something whenever it has heard its echo: "echoes" counts.
fn serve_echoes(world: &mut World, address: &'static str) {
    world.serve_on(address, ServerOptions::new(), |socket| {
        let itself = socket.id();
        socket.pipe(itself).unwrap();
    });
    world.client("E", address, |client, heard| match heard {
        Heard::Connect => {
            client.write(".");
        }
        Heard::Data(_) => {
            client.state.add("echoes", 1);
            client.write(".");
        }
        _ => {}
    });
}

#[test]
fn a_disk_that_fills_up_is_one_error() {
    let sim = Sim::new(1);
    let bytes = pattern(1_000_000);
    sim.set_disk(Disk::new().size(500_000));
    let mut world = logging(&sim, &bytes);
    serve_echoes(&mut world, "10.0.0.1:8");
    world.until_closed(&["log"]);
    assert_eq!(world.state.of("log").last_chunk(), Some(&["error ENOSPC".to_owned(), "close(true)".to_owned()]));
    assert!(sim.file("log").unwrap() == bytes[..500_000], "what fitted is there");
    let closed = world.state.closed("log");
    assert_eq!(closed.reason, CloseReason::Error);
    let piped = 500_000 + closed.unsent as u64;
    // The source is unpiped and stays paused. Its bytes go elsewhere.
    let id = world.id("S");
    assert!(world.net.piped_to(id).is_empty());
    assert!(world.of("S").is_paused() && !world.of("S").is_destroyed());
    assert!(world.of("S").bytes_read() - piped <= 2 * 65536);
    // A client that has nothing to do with the disk does not notice.
    let echoes = world.state.number("echoes");
    world.turn_for(ms(5));
    assert!(echoes > 0 && world.state.number("echoes") > echoes, "{echoes} echoes, and then none");
    assert!(!world.state.is_closed("E"));
    world.of("E").destroy();
    sim.set_disk(Disk::new());
    world.file("other", "other", FileOptions::write());
    world.pipe("S", "other", true);
    world.until_closed(&["S", "C", "other"]);
    assert!(sim.file("other").unwrap() == bytes[piped as usize..], "from there on, and nothing is lost");
}

#[test]
fn written_bytes_are_counted_and_the_rest_is_unsent() {
    let sim = Sim::new(2);
    sim.set_disk(Disk::new().quota(10));
    let mut world = World::on(&sim);
    world
        .event_loop()
        .open("log", FileOptions::write(), |file| {
            watch(file, "log", |file, heard| {
                if let Heard::Error(_) = heard {
                    let written = file.bytes_written() as usize;
                    file.state.add("written", written);
                }
            });
        })
        .unwrap();
    let mut log = world.of("log");
    log.write_then("1234567", told("log", "first"));
    log.write_then("890abc", told("log", "second"));
    log.end_then(told("log", "end"));
    world.until_closed(&["log"]);
    assert_eq!(world.state.number("written"), 10);
    assert_eq!(
        world.state.of("log"),
        ["first ok", "second EDQUOT", "end EDQUOT", "error EDQUOT", "close(true)"],
        "callbacks before the error, as for a socket"
    );
    assert_eq!(world.state.closed("log").unsent, 3);
    assert_eq!(sim.file("log").unwrap(), b"1234567890");
}

#[test]
fn a_damaged_disk_fails_its_writer_and_its_reader_only() {
    let sim = Sim::new(3);
    let bytes = pattern(300_000);
    sim.put_file("there", bytes.clone());
    sim.damage_file("there", Some(100_000));
    sim.damage_file("log", Some(0));
    let mut world = World::on(&sim);
    world.file("reader", "there", FileOptions::read());
    world.file("copy", "copy", FileOptions::write());
    world.file("log", "log", FileOptions::append());
    world.pipe("reader", "copy", true);
    world.of("log").write("nothing of this");
    world.until_closed(&["reader", "log"]);
    assert_eq!(world.state.of("reader"), ["data of 100000", "error EIO", "close(true)"]);
    assert_eq!(world.state.of("log"), ["error EIO", "close(true)"]);
    world.turn_for(ms(5));
    assert!(world.of("copy").is_writable(), "a source that breaks does not end its destination");
    world.of("copy").end();
    world.until_closed(&["copy"]);
    assert!(sim.file("copy").unwrap() == bytes[..100_000]);
    assert_eq!(sim.descriptors(), 0);
}

#[test]
fn short_reads_and_writes_lose_nothing() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let bytes = pattern(400_000);
        sim.put_file("there", bytes.clone());
        sim.set_disk(Disk::new().short(900));
        sim.set_conditions(Conditions::new().buffer(50_000).short(300).interrupted(20));
        let mut world = World::on(&sim);
        world.serve_on(ADDRESS, ServerOptions::new(), |socket| {
            let mark = [1, 1000, 65536][socket.state.number("mark")];
            let options = FileOptions::write().high_water_mark(mark);
            let file = socket.event_loop().open("copy", options, |file| watch(file, "copy", quiet)).unwrap();
            socket.pipe(file).unwrap();
        });
        world.state.add("mark", seed as usize % 3);
        world.file("file", "there", FileOptions::read().high_water_mark(50_000));
        world.client("C", ADDRESS, quiet);
        world.pipe("file", "C", true);
        world.until_closed(&["file", "copy"]);
        assert!(sim.file("copy").unwrap() == bytes, "seed {seed}");
    }
}

#[test]
fn a_slow_disk_holds_the_loop_for_one_piece() {
    let sim = Sim::new(4);
    sim.put_file("there", pattern(20 * 65536));
    let mut world = World::on(&sim);
    world.file("from", "there", FileOptions::read());
    world.file("to", "copy", FileOptions::write());
    sim.set_disk(Disk::new().slow(ms(10)));
    world.pipe("from", "to", true);
    let slowest = |world: &mut World| {
        let before = world.net.now();
        world.turn(Some(Duration::ZERO)).unwrap();
        world.net.now() - before
    };
    // A client is served between any two pieces.
    serve_echoes(&mut world, ADDRESS);
    let mut longest = Duration::ZERO;
    while !world.state.is_closed("to") {
        longest = longest.max(slowest(&mut world));
    }
    assert!(longest < ms(21), "a turn took {longest:?}: one piece is read and one written at most");
    assert!(sim.now() >= ms(10) * 41, "20 pieces and an end are read, 20 written");
    let (turns, echoes) = (world.net.counters().turns as usize, world.state.number("echoes"));
    assert!(turns >= 20 && 2 * echoes + 6 >= turns, "{echoes} echoes, of two turns each, in {turns} turns");
    assert_eq!(sim.file("copy").unwrap().len(), 20 * 65536);
}

#[test]
fn a_log_can_have_a_bound() {
    let sim = Sim::new(5);
    let mut world = World::on(&sim);
    let log = world.file("log", "log", FileOptions::append());
    let limits = OutputLimits::new().hard(100).policy(OutputPolicy::DropNewest);
    world.net.set_output_limits(log, limits).unwrap();
    for number in 0..50 {
        world.net.write(log, format!("line {number:02}\n").as_bytes());
    }
    assert!(world.net.connection(log).unsent() <= 100);
    world.net.end(log, None);
    world.until_closed(&["log"]);
    assert!(world.net.counters().messages_dropped >= 30);
    let text = String::from_utf8(sim.file("log").unwrap()).unwrap();
    assert!(text.lines().all(|line| line.len() == 7) && text.starts_with("line 00\n"), "{text}");
}

#[test]
fn standard_output_is_not_ended_by_a_pipe() {
    let sim = Sim::new(6);
    sim.put_file("/dev/stdin", b"typed");
    let mut event_loop = EventLoop::on(sim.kernel(), 0);
    let output = event_loop.event_loop().stdio(Stdio::Output, |_| {}).unwrap();
    event_loop
        .event_loop()
        .stdio(Stdio::Input, |input| {
            input.pipe(output).unwrap();
            input.on_close(|input, _| *input.state += 1);
        })
        .unwrap();
    event_loop.run().unwrap();
    assert_eq!(event_loop.state, 1);
    assert!(event_loop.net.connection(output).is_writable(), "as in Node");
    event_loop.net.write(output, b" and more");
    event_loop.run().unwrap();
    assert_eq!(sim.file("/dev/stdout").unwrap(), b"typed and more");
}

/// Reads a file, pipes it through a connection into another, and says what a third sees meanwhile.
fn busy_program(sim: &Sim) -> World {
    let mut world = World::on(sim);
    sim.put_file("there", pattern(150_000));
    let _ = world.event_loop().open("there", FileOptions::read(), |file| watch(file, "file", quiet));
    let listening = world.event_loop().listen(ADDRESS, |socket| {
        watch(socket, "S", quiet);
        if let Ok(copy) = socket.event_loop().open("copy", FileOptions::write(), |file| watch(file, "copy", quiet)) {
            let _ = socket.pipe(copy);
        }
    });
    if listening.is_ok() {
        world.client("C", ADDRESS, quiet);
        if world.state.knows("file") {
            world.pipe("file", "C", true);
        }
    }
    for _ in 0..400 {
        world.turn(Some(Duration::ZERO)).unwrap();
    }
    world
}

#[test]
fn whichever_call_fails_everything_closes_once_and_nothing_is_left() {
    let calm = Sim::new(7);
    calm.keep_calls();
    busy_program(&calm);
    assert_eq!(calm.file("copy").unwrap().len(), 150_000);
    let calls = calm.called();
    assert!([Call::Open, Call::ReadFile, Call::WriteFile].iter().all(|call| calls.contains(call)));
    for (number, call) in calls.into_iter().enumerate() {
        for errno in call.errors() {
            let sim = Sim::new(7);
            sim.fail_call(number as u64, Fault::Error(*errno));
            let mut world = busy_program(&sim);
            world.event_loop().close_all();
            for _ in 0..20 {
                world.turn(Some(Duration::ZERO)).unwrap();
            }
            for actor in ["file", "copy", "C", "S"].into_iter().filter(|actor| world.state.knows(actor)) {
                let closes = world.state.of(actor).iter().filter(|event| event.starts_with("close")).count();
                assert_eq!(closes, 1, "{actor}, call {number}, {call:?}, {errno}: {:#?}", world.state.all());
            }
            assert_eq!(sim.check(), Ok(()));
            assert_eq!((world.net.sockets(), sim.descriptors()), (0, 0), "call {number}, {call:?}, {errno}");
        }
    }
}
