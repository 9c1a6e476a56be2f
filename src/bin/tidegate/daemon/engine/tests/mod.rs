//! A link and an engine on the simulated network; in `faults.rs` whatever goes wrong, in `real.rs` the
//! engines themselves, and in `recorded.rs` a recording.

mod faults;
#[cfg(unix)]
mod real;
#[cfg(unix)]
mod recorded;

use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{EventLoop, Loop};

use super::simulated::{self, AT, FakeEngine};
use super::{EntryId, EntryRead, Figures, Link, Linked, Password, Settings};
use super::{change, go_on, hold, publish, read_from, start, stop};

/// A node that tells what it was told.
struct Node {
    link: Link,
    told: Vec<String>,
    read: Vec<EntryRead>,
    /// What it publishes when it is connected and has read to the end: what a room has in its outbox.
    outbox: Vec<String>,
}

impl Node {
    fn place(&self) -> EntryId {
        self.read.last().map_or(EntryId::ZERO, |entry| entry.id)
    }

    fn values(&self) -> Vec<String> {
        let first = |entry: &EntryRead| entry.fields.first().map_or(vec![], |(_, value)| value.clone());
        self.read.iter().map(|entry| String::from_utf8(first(entry)).unwrap()).collect()
    }
}

impl Linked for Node {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn connected(on: &mut Loop<'_, Self>) {
        tell(on, "connected");
        let place = on.state.place();
        read_from(on, place);
    }

    fn read(on: &mut Loop<'_, Self>, entries: Vec<EntryRead>, is_end: bool) {
        if !entries.is_empty() || !is_end {
            let what = format!("read {}{}", entries.len(), if is_end { ", the end" } else { "" });
            tell(on, &what);
        }
        on.state.read.extend(entries);
        if is_end {
            let values = on.state.values();
            on.state.outbox.retain(|value| !values.contains(value));
            for value in on.state.outbox.clone() {
                publish(on, &[(b"v", value.as_bytes())]);
            }
        }
    }

    fn refused(on: &mut Loop<'_, Self>, why: String) {
        tell(on, &format!("refused: {why}"));
    }

    fn lost(on: &mut Loop<'_, Self>, why: String) {
        tell(on, &format!("lost: {why}"));
    }
}

fn tell(on: &mut Loop<'_, Node>, what: &str) {
    on.state.told.push(what.to_owned());
}

fn settings(engine: &str) -> Settings {
    Settings {
        engine: engine.parse().unwrap(),
        password: Password::Environment,
        stream: "tidegate:lobby".to_owned(),
        label: "a".to_owned(),
        history: 1000,
        outbox: 1 << 20,
    }
}

fn node_with(sim: &Sim, settings: Settings) -> EventLoop<Node> {
    let node = Node { link: Link::new(settings), told: vec![], read: vec![], outbox: vec![] };
    let mut node = EventLoop::on(sim.kernel(), node);
    start(&mut node.event_loop());
    node
}

fn node(sim: &Sim) -> EventLoop<Node> {
    node_with(sim, settings(&format!("redis://{AT}")))
}

fn say(node: &mut EventLoop<Node>, value: &str) {
    publish(&mut node.event_loop(), &[(b"v", value.as_bytes())]);
}

fn fill(engine: &mut EventLoop<FakeEngine>, count: usize) {
    let stream = engine.state.streams.entry(b"tidegate:lobby".to_vec()).or_default();
    for number in 0..count {
        let id = EntryId { milliseconds: 5, number: number as u64 };
        stream.entries.push_back((id, vec![(b"v".to_vec(), format!("old {number}").into_bytes())]));
        stream.last = id;
    }
}

fn seconds(time: u64) -> Duration {
    Duration::from_secs(time)
}

fn run(sim: &Sim, node: &mut EventLoop<Node>, engine: &mut EventLoop<FakeEngine>, until: Duration) {
    sim.run(&mut [node, engine], until).unwrap();
    sim.check().unwrap();
}

#[test]
fn what_is_published_is_read_in_the_order_of_the_stream() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    run(&sim, &mut node, &mut engine, seconds(1));
    assert_eq!(node.state.told, ["connected"]);
    ["one", "two", "three"].iter().for_each(|value| say(&mut node, value));
    run(&sim, &mut node, &mut engine, seconds(2));
    assert_eq!(node.state.values(), ["one", "two", "three"]);
    assert!(node.state.read.is_sorted_by_key(|entry| entry.id));
    let figures = node.state.link.figures();
    let expected = Figures {
        is_connected: true,
        connects: 1,
        round_trip: figures.round_trip,
        unanswered: 0,
        published: 3,
        read: 3,
        engine: Some("fake 1".to_owned()),
        why: None,
    };
    assert_eq!((figures.round_trip.is_some(), figures), (true, expected));
    assert_eq!(
        engine.state.commands[..7],
        [
            "HELLO 2 SETNAME tidegate-a",
            "HELLO 2 SETNAME tidegate-a",
            "XREAD COUNT 500 STREAMS tidegate:lobby 0-0",
            "XREAD COUNT 500 BLOCK 5000 STREAMS tidegate:lobby 0-0",
            "XADD tidegate:lobby MAXLEN ~ 1000 * v one",
            "XADD tidegate:lobby MAXLEN ~ 1000 * v two",
            "XADD tidegate:lobby MAXLEN ~ 1000 * v three",
        ]
    );
}

#[test]
fn a_link_that_is_held_reads_on_when_it_is_to() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    fill(&mut engine, 1001);
    hold(&mut node.event_loop());
    run(&sim, &mut node, &mut engine, seconds(20));
    assert_eq!(node.state.told, ["connected", "read 500"]);
    go_on(&mut node.event_loop());
    run(&sim, &mut node, &mut engine, seconds(21));
    assert_eq!(node.state.told[2..], ["read 500", "read 1, the end"]);
    hold(&mut node.event_loop());
    say(&mut node, "a");
    run(&sim, &mut node, &mut engine, seconds(40));
    say(&mut node, "b");
    run(&sim, &mut node, &mut engine, seconds(41));
    assert_eq!(node.state.read.len(), 1002);
    go_on(&mut node.event_loop());
    go_on(&mut node.event_loop());
    run(&sim, &mut node, &mut engine, seconds(42));
    assert_eq!((node.state.read.len(), node.state.told.len()), (1003, 6));
}

#[test]
fn a_long_stream_is_read_to_its_end_before_anything_is_waited_for() {
    for (entries, told) in [
        (0, vec!["connected"]),
        (1, vec!["connected", "read 1, the end"]),
        (499, vec!["connected", "read 499, the end"]),
        (500, vec!["connected", "read 500"]),
        (1001, vec!["connected", "read 500", "read 500", "read 1, the end"]),
    ] {
        let sim = Sim::new(1);
        let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
        fill(&mut engine, entries);
        run(&sim, &mut node, &mut engine, seconds(3));
        assert_eq!(node.state.told, told);
        assert_eq!(node.state.read.len(), entries);
        let waits = engine.state.commands.iter().filter(|command| command.contains("BLOCK")).count();
        assert_eq!(waits, 1, "{:?}", engine.state.commands);
    }
}

#[test]
fn an_idle_room_asks_every_five_seconds_and_is_not_lost() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    run(&sim, &mut node, &mut engine, seconds(3600));
    assert_eq!(node.state.told, ["connected"]);
    let commands = engine.state.commands.len();
    assert!((720..730).contains(&commands), "{commands}");
}

#[test]
fn a_user_a_password_and_a_database_are_said_first() {
    let path = std::env::temp_dir().join(format!("tidegate-bus-password-{}", std::process::id()));
    std::fs::write(&path, "s3cret\n").unwrap();
    let sim = Sim::new(1);
    let mut engine = simulated::engine(&sim);
    engine.state.user = Some(("room".to_owned(), "s3cret".to_owned()));
    let with_password =
        Settings { password: Password::File(path.clone()), ..settings(&format!("redis://room@{AT}/3")) };
    let mut node = node_with(&sim, with_password);
    run(&sim, &mut node, &mut engine, seconds(1));
    assert_eq!(engine.state.commands[..3], ["AUTH room s3cret", "HELLO 2 SETNAME tidegate-a", "SELECT 3"]);
    assert_eq!(node.state.told, ["connected"]);

    // Another password of the engine: it is asked for seldom. Then the file has it too.
    engine.state.user = Some(("room".to_owned(), "0ther".to_owned()));
    simulated::end(&mut engine);
    simulated::begin(&mut engine);
    engine.state.commands.clear();
    run(&sim, &mut node, &mut engine, seconds(40));
    let tried = engine.state.commands.iter().filter(|command| command.starts_with("AUTH")).count();
    assert!((2..=6).contains(&tried), "{:?}", engine.state.commands);
    let why = node.state.link.figures().why.unwrap();
    assert!(
        why.starts_with("WRONGPASS invalid") && why.ends_with("(look at the user of --bus and at the password)"),
        "{why}"
    );
    std::fs::write(&path, "0ther").unwrap();
    run(&sim, &mut node, &mut engine, seconds(80));
    assert_eq!(node.state.told.last().unwrap(), "connected");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_user_without_a_password_is_not_tried() {
    let sim = Sim::new(1);
    let mut engine = simulated::engine(&sim);
    let mut node = node_with(&sim, settings(&format!("redis://room@{AT}")));
    run(&sim, &mut node, &mut engine, seconds(5));
    assert_eq!((engine.state.commands.len(), node.state.told.len()), (0, 0));
    assert!(node.state.link.figures().why.unwrap().contains("--bus-password-file"));
}

#[test]
fn an_engine_that_is_killed_and_comes_back_is_found_again() {
    let sim = Sim::new(3);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    run(&sim, &mut node, &mut engine, seconds(1));
    say(&mut node, "one");
    run(&sim, &mut node, &mut engine, seconds(20));
    simulated::end(&mut engine);
    run(&sim, &mut node, &mut engine, seconds(60));
    assert_eq!(node.state.told[..2], ["connected", "read 1, the end"]);
    assert!(node.state.told.len() == 3 && node.state.told[2].starts_with("lost: "), "{:?}", node.state.told);
    let why = node.state.link.figures().why.unwrap();
    assert!(why.contains("ECONNREFUSED"), "{why}");
    say(&mut node, "nobody takes it");
    simulated::begin(&mut engine);
    run(&sim, &mut node, &mut engine, seconds(100));
    say(&mut node, "two");
    run(&sim, &mut node, &mut engine, seconds(101));
    assert_eq!(node.state.values(), ["one", "two"]);
}

/// With another clock its new entries stand before what was read of the old stream.
#[test]
fn an_engine_that_has_lost_its_data_and_its_clock_is_read_from_the_beginning() {
    let sim = Sim::new(3);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    engine.state.ahead = 3_600_000;
    run(&sim, &mut node, &mut engine, seconds(1));
    say(&mut node, "one");
    run(&sim, &mut node, &mut engine, seconds(20));
    simulated::end(&mut engine);
    simulated::forget(&mut engine, usize::MAX);
    engine.state.ahead = 0;
    simulated::begin(&mut engine);
    run(&sim, &mut node, &mut engine, seconds(40));
    say(&mut node, "two");
    run(&sim, &mut node, &mut engine, seconds(80));
    assert!(
        node.state.told.iter().any(|told| told.starts_with("lost: the stream has begun anew")),
        "{:?}",
        node.state.told
    );
    assert_eq!(node.state.values(), ["one", "two"]);
    say(&mut node, "three");
    run(&sim, &mut node, &mut engine, seconds(81));
    assert_eq!(node.state.values(), ["one", "two", "three"]);
}

#[test]
fn what_an_engine_does_not_read_is_bounded() {
    let sim = Sim::with(1, Conditions::new().buffer(4000));
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    run(&sim, &mut node, &mut engine, seconds(1));
    let line = "x".repeat(1000);
    for _ in 0..5000 {
        say(&mut node, &line);
    }
    sim.run(&mut [&mut node], seconds(2)).unwrap();
    assert!(node.state.told[1].starts_with("lost: "), "{:?}", node.state.told);
    assert!(node.state.told[1].contains("limit"), "{:?}", node.state.told);
}

#[test]
fn what_is_published_in_one_turn_is_written_at_once() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    run(&sim, &mut node, &mut engine, seconds(1));
    let before = sim.calls();
    for number in 0..100 {
        say(&mut node, &number.to_string());
    }
    sim.run(&mut [&mut node], Duration::from_millis(1100)).unwrap();
    let calls = sim.calls() - before;
    assert!(calls < 5, "{calls}");
    run(&sim, &mut node, &mut engine, seconds(2));
    assert_eq!(node.state.read.len(), 100);
}

#[test]
fn another_history_is_that_of_the_next_entry_and_another_password_that_of_the_next_connect() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    run(&sim, &mut node, &mut engine, seconds(1));
    change(&mut node.event_loop(), Settings { history: 7, ..settings(&format!("redis://{AT}/1")) });
    say(&mut node, "one");
    run(&sim, &mut node, &mut engine, seconds(2));
    assert_eq!(
        engine.state.commands.last().unwrap(),
        "XREAD COUNT 500 BLOCK 5000 STREAMS tidegate:lobby 1700000001000-0"
    );
    assert!(engine.state.commands.contains(&"XADD tidegate:lobby MAXLEN ~ 7 * v one".to_owned()));
    assert_eq!(node.state.told, ["connected", "read 1, the end"]);
    simulated::end(&mut engine);
    simulated::begin(&mut engine);
    run(&sim, &mut node, &mut engine, seconds(10));
    assert!(engine.state.commands.contains(&"SELECT 1".to_owned()));
}

#[test]
fn a_stream_keeps_about_its_history() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    change(&mut node.event_loop(), Settings { history: 50, ..settings(&format!("redis://{AT}")) });
    run(&sim, &mut node, &mut engine, seconds(1));
    for number in 0..1000 {
        say(&mut node, &number.to_string());
        run(&sim, &mut node, &mut engine, Duration::from_millis(1000 + 10 * (number + 1)));
    }
    let kept = engine.state.streams[&b"tidegate:lobby"[..]].entries.len();
    assert!((50..150).contains(&kept), "{kept}");
    assert_eq!(node.state.read.len(), 1000);
}

#[test]
fn a_link_that_is_stopped_sends_what_it_has_and_tells_nothing_more() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    run(&sim, &mut node, &mut engine, seconds(1));
    say(&mut node, "the last one");
    stop(&mut node.event_loop());
    say(&mut node, "after it");
    run(&sim, &mut node, &mut engine, seconds(100));
    assert_eq!(node.state.told, ["connected"]);
    assert_eq!(node.net.sockets() + engine.net.sockets(), 0);
    assert_eq!(engine.state.commands.iter().filter(|command| command.starts_with("XADD")).count(), 1);
    // And it can be started again.
    start(&mut node.event_loop());
    run(&sim, &mut node, &mut engine, seconds(101));
    assert_eq!(node.state.values(), ["the last one"]);
}

#[test]
fn a_link_that_waits_for_its_next_attempt_can_be_stopped() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    simulated::end(&mut engine);
    run(&sim, &mut node, &mut engine, seconds(3));
    stop(&mut node.event_loop());
    simulated::begin(&mut engine);
    run(&sim, &mut node, &mut engine, seconds(100));
    assert_eq!((node.state.told.len(), engine.state.commands.len()), (0, 0));
}

#[test]
fn a_loop_that_shuts_down_does_not_connect_again() {
    let sim = Sim::new(1);
    let (mut engine, mut node) = (simulated::engine(&sim), node(&sim));
    run(&sim, &mut node, &mut engine, seconds(1));
    node.event_loop().shut_down(seconds(10));
    run(&sim, &mut node, &mut engine, seconds(60));
    assert_eq!(node.net.sockets() + engine.net.sockets(), 0);
    let greetings = engine.state.commands.iter().filter(|command| command.starts_with("HELLO")).count();
    assert_eq!(greetings, 2);
}
