//! Errors, lies, silence, and connections that are cut.

use std::time::Duration;

use tidegate::sim::{Conditions, Sim};

use super::super::simulated;
use super::{fill, node, run, say, seconds};

/// How often a link connects in the first two minutes, if a command is answered so. What it is told first beside `connected`.
fn with_answer(command: &'static str, bytes: &[u8]) -> (usize, Option<String>) {
    let sim = Sim::new(2);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    engine.state.lies.insert(command, bytes.to_vec());
    node.state.outbox.push("mine".to_owned());
    run(&sim, &mut node, &mut engine, seconds(120));
    assert!(!node.state.link.figures().is_connected && node.state.link.figures().why.is_some());
    let greetings = engine.state.commands.iter().filter(|command| command.starts_with("HELLO")).count();
    (greetings / 2, node.state.told.into_iter().find(|told| told != "connected"))
}

#[test]
fn an_error_that_goes_over_is_tried_again_soon_and_one_that_does_not_is_not() {
    let cases: [(&str, &str, &str, bool); 10] = [
        ("XADD", "OOM command not allowed when used memory > 'maxmemory'.", "refused: OOM command", true),
        ("XADD", "READONLY You can't write against a read only replica.", "refused: READONLY You", true),
        ("XADD", "MISCONF Redis is configured to save RDB snapshots", "refused: MISCONF", true),
        ("XADD", "NOPERM this user has no permissions", "refused: NOPERM", false),
        ("XADD", "WRONGTYPE Operation against a key", "refused: WRONGTYPE", false),
        ("XREAD", "LOADING Redis is loading the dataset in memory", "lost: LOADING", true),
        ("XREAD", "MASTERDOWN Link with MASTER is down", "lost: MASTERDOWN", true),
        ("XREAD", "NOAUTH Authentication required.", "lost: NOAUTH", false),
        ("XREAD", "WRONGTYPE Operation against a key", "lost: WRONGTYPE", false),
        (
            "XREAD",
            "ERR unknown command `XREAD`, with args beginning with: \x1b[2J",
            "lost: ERR unknown command `XREAD`, with args beginning with: [2J",
            false,
        ),
    ];
    for (command, error, says, is_soon) in cases {
        let (attempts, told) = with_answer(command, format!("-{error}\r\n").as_bytes());
        assert!(told.as_ref().is_some_and(|told| told.starts_with(says)), "{error}: {told:?}");
        let expected = if is_soon { 14..=28 } else { 5..=9 };
        assert!(expected.contains(&attempts), "{error}: {attempts}");
    }
    // A greeting that is refused is nothing that was lost.
    for error in ["NOAUTH HELLO must be called with the client already authenticated", "ERR unknown command `HELLO`"] {
        let (attempts, told) = with_answer("HELLO", format!("-{error}\r\n").as_bytes());
        assert_eq!(told, None);
        assert!((5..=9).contains(&attempts), "{error}: {attempts}");
    }
}

#[test]
fn an_engine_that_lies_is_lost() {
    let huge = format!("*1\r\n*2\r\n$14\r\ntidegate:lobby\r\n*{}\r\n", u32::MAX);
    let deep = "*1\r\n".repeat(50_000);
    let lies: [(&str, &str, &str); 19] = [
        ("XADD", "+OK\r\n", "an XADD with no id"),
        ("XADD", "$1\r\nx\r\n", "an XADD with no id"),
        ("XADD", ":1\r\n", "an XADD with no id"),
        ("XADD", "*-1\r\n", "an XADD with no id"),
        ("XADD", "$3\r\n9-1\r\n$3\r\n9-2\r\n", "what it was not asked"),
        ("XADD", "HTTP/1.1 400 Bad Request\r\n", "a reply that begins with the byte 0x48"),
        ("XREAD", "+OK\r\n", "an XREAD with no array of streams"),
        ("XREAD", "*0\r\n", "an XREAD with not one stream"),
        ("XREAD", "*-1\r\n", "it was to wait for an entry, and has not waited"),
        ("XREAD", "*-1\r\n*-1\r\n", "it was to wait for an entry, and has not waited"),
        ("XREAD", "*1\r\n*2\r\n$1\r\nx\r\n*0\r\n", "an XREAD with another stream"),
        (
            "XREAD",
            "*1\r\n*2\r\n$14\r\ntidegate:lobby\r\n*1\r\n*2\r\n$3\r\n0-0\r\n*0\r\n",
            "an XREAD with ids that do not rise",
        ),
        ("XREAD", "$-7\r\n", "a length that is none"),
        ("XREAD", "*-7\r\n", "a length that is none"),
        ("XREAD", "$99999999999\r\n", "a reply with too many bytes"),
        ("XREAD", &huge, "a reply with too many elements"),
        ("XREAD", &deep, "a reply that is too deep"),
        ("XREAD", "%1\r\n+a\r\n+b\r\n", "a reply that begins with the byte 0x25"),
        ("XREAD", ":1x\r\n", "a number that is none"),
    ];
    for (command, bytes, says) in lies {
        let (attempts, told) = with_answer(command, bytes.as_bytes());
        let told = told.unwrap();
        assert!(
            told.starts_with("lost: it ") && told.ends_with(says) && attempts > 5,
            "{told}, after {attempts} attempts"
        );
    }
    assert_eq!(with_answer("HELLO", b"+OK\r\n").1, None);
    // The second one is taken for the answer to what is asked next.
    assert_eq!(
        with_answer("HELLO", b"*0\r\n:1\r\n").1.unwrap(),
        "lost: it has answered an XREAD with no array of streams"
    );
}

/// An engine that answers this command no more, and how long it takes to notice.
fn silence(command: &'static str) -> (Duration, Vec<String>) {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    run(&sim, &mut node, &mut engine, seconds(7));
    engine.state.silent.push(command);
    say(&mut node, "mine");
    let mut time = seconds(7);
    while node.state.link.figures().why.is_none() {
        time += Duration::from_millis(50);
        run(&sim, &mut node, &mut engine, time);
        assert!(time < seconds(60), "{:?}", node.state.told);
    }
    (time - seconds(7), node.state.told)
}

#[test]
fn a_silent_engine_is_noticed() {
    let (after, told) = silence("XADD");
    assert!((seconds(5)..=Duration::from_millis(5100)).contains(&after), "{after:?}");
    assert_eq!(told, ["connected", "lost: it has not answered in time"]);
    // What was published is read, and then nothing more.
    let (after, told) = silence("XREAD");
    assert!((seconds(10)..=Duration::from_millis(10_200)).contains(&after), "{after:?}");
    assert_eq!(told, ["connected", "read 1, the end", "lost: it has not answered in time"]);
}

#[test]
fn an_engine_that_is_silent_from_the_start_is_tried_again() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    engine.state.silent.push("HELLO");
    run(&sim, &mut node, &mut engine, seconds(60));
    let greetings = engine.state.commands.len();
    assert!((6..=10).contains(&greetings) && node.state.told.is_empty(), "{greetings} {:?}", node.state.told);
    engine.state.silent.clear();
    run(&sim, &mut node, &mut engine, seconds(120));
    assert_eq!(node.state.told, ["connected"]);
}

#[test]
fn an_engine_that_is_stopped_for_a_short_time_is_not_lost() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    run(&sim, &mut node, &mut engine, seconds(2));
    say(&mut node, "mine");
    sim.run(&mut [&mut node], seconds(6)).unwrap();
    run(&sim, &mut node, &mut engine, seconds(7));
    assert_eq!(node.state.told, ["connected", "read 1, the end"]);
    // And for a long one: both what it reads and what it writes show it.
    sim.run(&mut [&mut node], seconds(30)).unwrap();
    assert_eq!(node.state.told[2..], ["lost: it has not answered in time"]);
    run(&sim, &mut node, &mut engine, seconds(90));
    assert_eq!(node.state.told[3..], ["connected"]);
}

/// Whatever the engine had sent when the connection was cut: all is read in the end, once, and what was published twice is
/// there twice.
#[test]
fn a_connection_may_be_cut_at_each_byte() {
    let once = |cut: Option<usize>| {
        let sim = Sim::with(1, Conditions::new().delay(Duration::from_millis(2)));
        let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
        fill(&mut engine, 3);
        engine.state.cut_after = cut;
        node.state.outbox = ["one", "two", "three"].map(str::to_owned).to_vec();
        run(&sim, &mut node, &mut engine, seconds(20));
        let values = node.state.values();
        assert_eq!(values[..3], ["old 0", "old 1", "old 2"], "{cut:?}");
        for value in ["one", "two", "three"] {
            assert!(values.iter().any(|read| read == value), "{cut:?}: {values:?}");
        }
        assert!(node.state.read.is_sorted_by(|first, second| first.id < second.id), "{cut:?}");
        assert_eq!(node.state.read.len(), engine.state.streams[&b"tidegate:lobby"[..]].entries.len(), "{cut:?}");
        let figures = node.state.link.figures();
        assert_eq!((figures.is_connected, engine.state.cut_after), (true, None), "{cut:?}");
        (engine.state.sent, figures.connects, values.len())
    };
    let (bytes, connects, _) = once(None);
    assert_eq!(connects, 1);
    let cuts: Vec<_> = (0..bytes).map(|cut| once(Some(cut))).collect();
    assert!(
        cuts.iter().any(|(_, connects, _)| *connects == 2) && cuts.iter().any(|(_, _, read)| *read > 6),
        "{cuts:?}"
    );
}

/// Somebody else has written an entry into the stream, with these values.
fn with_large_entry(sim: &Sim, values: &[usize], until: Duration) -> (Vec<String>, u64) {
    let (mut engine, mut node) = (simulated::engine(sim), node(sim));
    fill(&mut engine, 3);
    let stream = engine.state.streams.get_mut(&b"tidegate:lobby"[..]).unwrap();
    stream.entries[1].1 = values.iter().map(|length| (b"v".to_vec(), vec![b'x'; *length])).collect();
    run(sim, &mut node, &mut engine, until);
    (node.state.values(), node.state.link.figures().connects)
}

#[test]
fn an_entry_that_is_too_large_is_passed_over() {
    for values in [&[40 << 20][..], &[1; 20_000]] {
        let sim = Sim::with(1, Conditions::new().buffer(1 << 20));
        let (values, connects) = with_large_entry(&sim, values, seconds(20));
        assert_eq!((values, connects), (["old 0", "", "old 2"].map(str::to_owned).to_vec(), 1));
    }
}

#[test]
fn an_answer_that_takes_long_to_come_is_not_missing() {
    let sim = Sim::with(1, Conditions::new().buffer(64_000).delay(Duration::from_millis(500)));
    let (values, connects) = with_large_entry(&sim, &[2 << 20], seconds(60));
    assert_eq!((values.len(), connects), (3, 1));
}
