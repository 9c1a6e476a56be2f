//! Whole rooms that are one by an engine, on the simulated network, with guests who read slowly.

use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{EventLoop, ShutDownOptions, Socket, SocketId};

use super::super::bus::Standing;
use super::*;
use crate::cli::ChatOptions;
use crate::daemon::engine::simulated::{self, AT};
use crate::daemon::service::{Running, Service, start};

/// Where the rooms listen.
const A: &str = "10.0.0.1:5000";
const B: &str = "10.0.0.2:5000";

/// What a turn may tell is below the soft limit, and more than the hard one is said.
const LIMITS: &str = "--output-soft 80K --output-hard 200K";

type Guests = EventLoop<Vec<Heard>>;

/// What a guest has heard.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    is_closed: bool,
}

impl Heard {
    /// The lines that were said.
    fn said(&self) -> Vec<&str> {
        self.text.lines().filter(|line| !line.starts_with("* ")).collect()
    }

    fn notices(&self, about: &str) -> usize {
        self.text.lines().filter(|line| line.starts_with("* ") && line.contains(about)).count()
    }
}

fn seconds(time: u64) -> Duration {
    Duration::from_secs(time)
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Little fits into a connection, so that a reader who waits is behind soon.
fn network() -> Sim {
    Sim::with(1, Conditions::new().buffer(4000).delay(ms(1)))
}

fn room(sim: &Sim, at: &str, flags: &str) -> EventLoop<Room> {
    let typed =
        format!("--listen {at} --bus redis://{AT} --bus-node n{} --bus-history 100000 --flood none {flags}", &at[7..8]);
    let options = ChatOptions::of(&typed.split_whitespace().collect::<Vec<_>>());
    let mut room = EventLoop::on(sim.kernel(), Room::new(options.clone()));
    let running = Running::new(&room.state, &options.daemon, 1000).unwrap();
    start(&mut room, &running).unwrap();
    room
}

/// A guest who takes a piece of what came, and then rests for so long, until a time.
fn guest(guests: &mut Guests, at: &str, rest: Duration, until: Duration) -> (usize, SocketId) {
    let number = guests.state.len();
    guests.state.push(Heard::default());
    let joined = guests.connect(at, |socket| {
        socket.on_data(move |socket, chunk| {
            socket.state[number].text.push_str(std::str::from_utf8(chunk).unwrap());
            if socket.net.now() < until {
                socket.pause();
                socket.after(rest, |socket| socket.resume());
            }
        });
        socket.on_error(|_, _| {});
        socket.on_close(move |socket, _| socket.state[number].is_closed = true);
    });
    (number, joined.unwrap())
}

fn readers(guests: &mut Guests, at: &str, count: usize) -> Vec<usize> {
    (0..count).map(|_| guest(guests, at, Duration::ZERO, Duration::ZERO).0).collect()
}

/// Guests who read nothing.
fn stuck(guests: &mut Guests, count: usize) {
    for _ in 0..count {
        guest(guests, B, seconds(1000), seconds(1000));
    }
}

/// Guests who say so many lines of 200 bytes as fast as they are taken, a second after this, and read all.
fn speakers(guests: &mut Guests, at: &str, count: usize, lines: usize) {
    fn speak(socket: &mut Socket<'_, Vec<Heard>>, from: usize, lines: usize) {
        for line in from..lines {
            if !socket.write(format!(
                "{line:4} {}
",
                "x".repeat(194)
            )) {
                return socket.on_drain(move |socket| speak(socket, line + 1, lines));
            }
        }
    }
    for _ in 0..count {
        let (_, id) = guest(guests, at, Duration::ZERO, Duration::ZERO);
        guests.after(seconds(1), move |on| {
            if let Some(mut socket) = on.socket(id) {
                speak(&mut socket, 0, lines);
            }
        });
    }
}

/// All that speakers have said, in their order, and the same for all.
#[track_caller]
fn hear_the_same(guests: &Guests, readers: &[usize], speakers: usize, lines: usize) {
    let all = guests.state[readers[0]].said();
    assert_eq!(all.len(), speakers * lines);
    assert_eq!(all.iter().filter(|line| line.contains(&format!(": {:4} ", lines - 1))).count(), speakers);
    let mut next = std::collections::BTreeMap::<&str, usize>::new();
    for line in &all {
        let (name, said) = line.split_once(": ").unwrap();
        let next = next.entry(name).or_default();
        assert_eq!(said.split_whitespace().next().unwrap(), next.to_string(), "{name}");
        *next += 1;
    }
    for reader in readers {
        assert_eq!(guests.state[*reader].said(), all, "{reader}");
    }
}

fn shared(room: &EventLoop<Room>) -> &super::super::shared::Shared {
    room.state.shared.as_ref().unwrap()
}

#[test]
fn a_burst_from_elsewhere_waits_for_readers_who_are_slow_for_a_while() {
    let sim = network();
    let mut engine = simulated::engine(&sim);
    let (mut a, mut b) = (room(&sim, A, LIMITS), room(&sim, B, LIMITS));
    let mut guests = Guests::on(sim.kernel(), Vec::new());
    sim.run(&mut [&mut engine, &mut a, &mut b], ms(100)).unwrap();
    let readers: Vec<_> = (0..6).map(|_| guest(&mut guests, B, seconds(2), seconds(9)).0).collect();
    speakers(&mut guests, A, 10, 200);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(60)).unwrap();
    assert!(shared(&b).outputs.holds() > 0);
    assert!(guests.state.iter().all(|heard| !heard.is_closed && heard.notices("out of reach") == 0));
    hear_the_same(&guests, &readers, 10, 200);
    assert_eq!(shared(&b).outputs.waiting(), 0);
    sim.check().unwrap();
}

#[test]
fn a_reader_who_is_stuck_slows_no_line_from_elsewhere() {
    let sim = network();
    let mut engine = simulated::engine(&sim);
    let (mut a, mut b) = (room(&sim, A, LIMITS), room(&sim, B, LIMITS));
    let mut guests = Guests::on(sim.kernel(), Vec::new());
    sim.run(&mut [&mut engine, &mut a, &mut b], ms(100)).unwrap();
    let readers = readers(&mut guests, B, 3);
    stuck(&mut guests, 1);
    speakers(&mut guests, A, 10, 200);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(5)).unwrap();
    hear_the_same(&guests, &readers, 10, 200);
    assert_eq!((shared(&b).outputs.holds(), b.net.counters().limited), (0, 1));
}

/// The hold of the node lasts as long as the grace. Then readers who have not read are disconnected, and the others hear all. What
/// guests here say meanwhile comes back late, and nobody is told that the engine is out of reach.
#[test]
fn readers_who_are_too_slow_hold_a_room_for_the_grace_and_no_longer() {
    let sim = network();
    let mut engine = simulated::engine(&sim);
    let (mut a, mut b) = (room(&sim, A, LIMITS), room(&sim, B, LIMITS));
    let mut guests = Guests::on(sim.kernel(), Vec::new());
    sim.run(&mut [&mut engine, &mut a, &mut b], ms(100)).unwrap();
    stuck(&mut guests, 3);
    let (reads, says) = guest(&mut guests, B, Duration::ZERO, Duration::ZERO);
    speakers(&mut guests, A, 1, 2000);
    guests.after(seconds(4), move |on| {
        on.net.write(says, b"still here\n");
    });
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(8)).unwrap();
    assert!(shared(&b).outputs.holds() > 0 && guests.state[reads].said().len() < 2000);
    let holds = shared(&b).outputs.holds();
    let turns = b.net.counters().turns;
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(9)).unwrap();
    assert!((40..=51).contains(&(shared(&b).outputs.holds() - holds)));
    assert!(b.net.counters().turns - turns < 500);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(30)).unwrap();
    assert_eq!(b.net.counters().limited, 3);
    assert_eq!(guests.state[reads].said().len(), 2000);
    let elsewhere = guests.state.last().unwrap();
    assert_eq!(elsewhere.said().last().unwrap().split_once(": ").unwrap().1, "still here");
    assert!(guests.state.iter().all(|heard| heard.notices("out of reach") == 0));
    assert_eq!(shared(&b).node.figures().standing, Standing::Together);
}

#[test]
fn a_node_that_holds_goes_away_nevertheless_if_its_engine_is_gone() {
    let sim = network();
    let mut engine = simulated::engine(&sim);
    let limits = format!("{LIMITS} --output-grace 60s");
    let (mut a, mut b) = (room(&sim, A, &limits), room(&sim, B, &limits));
    let mut guests = Guests::on(sim.kernel(), Vec::new());
    sim.run(&mut [&mut engine, &mut a, &mut b], ms(100)).unwrap();
    stuck(&mut guests, 2);
    speakers(&mut guests, A, 1, 2000);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(12)).unwrap();
    assert_eq!(shared(&b).node.figures().standing, Standing::Together);
    assert!(shared(&b).outputs.waiting() > 0);
    // It is silent: what the node says of its own accord shows it.
    sim.run(&mut [&mut a, &mut b, &mut guests], seconds(12 + 13)).unwrap();
    assert_eq!(shared(&b).node.figures().standing, Standing::Away);
    assert!(shared(&b).outputs.waiting() > 0, "the readers are behind still");
    simulated::end(&mut engine);
    simulated::begin(&mut engine);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(55)).unwrap();
    assert_eq!(shared(&b).node.figures().standing, Standing::Away, "the stream is read when all is told");
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(120)).unwrap();
    assert_eq!(shared(&b).node.figures().standing, Standing::Together);
}

#[test]
fn what_was_missed_is_told_in_pieces_and_before_what_is_new() {
    let sim = network();
    let mut engine = simulated::engine(&sim);
    let flags = format!("{LIMITS} --catch-up 2000");
    let (mut a, mut b) = (room(&sim, A, &flags), room(&sim, B, &flags));
    let mut guests = Guests::on(sim.kernel(), Vec::new());
    sim.run(&mut [&mut engine, &mut a, &mut b], ms(100)).unwrap();
    let readers = readers(&mut guests, B, 3);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], ms(900)).unwrap();
    // Those of the third machine to the engine.
    sim.partition("10.1.0.3".parse().unwrap(), true);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(20)).unwrap();
    assert_eq!(shared(&b).node.figures().standing, Standing::Away);
    speakers(&mut guests, A, 10, 200);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(40)).unwrap();
    sim.partition("10.1.0.3".parse().unwrap(), false);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(60)).unwrap();
    speakers(&mut guests, A, 2, 10);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(70)).unwrap();
    for reader in &readers {
        let heard = &guests.state[*reader];
        assert!(!heard.is_closed && heard.text.contains("* together again; 2000 lines were said elsewhere"));
        assert_eq!(heard.said().len(), 2020);
        assert_eq!(heard.said(), guests.state[readers[0]].said());
    }
    assert!(guests.state[readers[0]].said()[..2000].iter().all(|line| line.len() > 200));
}

/// Without --flood a guest may say more than comes back: it is read more slowly, and the room does not part.
#[test]
fn guests_who_say_more_than_comes_back_are_read_more_slowly() {
    let sim = Sim::with(1, Conditions::new().delay(ms(20)));
    let mut engine = simulated::engine(&sim);
    let (mut a, mut b) = (room(&sim, A, "--bus-outbox 64K"), room(&sim, B, ""));
    let mut guests = Guests::on(sim.kernel(), Vec::new());
    sim.run(&mut [&mut engine, &mut a, &mut b], ms(200)).unwrap();
    let reads = readers(&mut guests, B, 1)[0];
    speakers(&mut guests, A, 3, 2000);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(60)).unwrap();
    hear_the_same(&guests, &[reads], 3, 2000);
    assert!(guests.state.iter().all(|heard| heard.notices("out of reach") + heard.notices("not heard") == 0));
    assert!(shared(&a).node.figures().outbox_bytes < 64 << 10);
}

#[test]
fn a_node_that_holds_can_be_stopped() {
    let sim = network();
    let mut engine = simulated::engine(&sim);
    let limits = format!("{LIMITS} --output-grace 60s");
    let (mut a, mut b) = (room(&sim, A, &limits), room(&sim, B, &limits));
    let mut guests = Guests::on(sim.kernel(), Vec::new());
    sim.run(&mut [&mut engine, &mut a, &mut b], ms(100)).unwrap();
    stuck(&mut guests, 2);
    speakers(&mut guests, A, 1, 2000);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(5)).unwrap();
    assert!(shared(&b).outputs.waiting() > 0);
    let options = ShutDownOptions::new().patience(seconds(3));
    Room::shut_down(&mut b.event_loop(), options);
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(15)).unwrap();
    assert_eq!(b.net.sockets(), 0);
    assert_eq!(shared(&b).node.figures().outbox_lines, 0);
}

/// One client after the other: a port scan, a health check, a client of HTTP.
#[test]
fn clients_who_say_nothing_in_the_room_leave_one_claim_in_the_stream() {
    let sim = network();
    let mut engine = simulated::engine(&sim);
    let mut a = room(&sim, A, "");
    let mut guests = Guests::on(sim.kernel(), Vec::new());
    sim.run(&mut [&mut engine, &mut a], ms(100)).unwrap();
    for number in 0..60 {
        let (_, id) = guest(&mut guests, A, Duration::ZERO, Duration::ZERO);
        guests.after(ms(30 + number % 60), move |on| {
            if number % 3 == 0 {
                on.net.write(id, b"GET / HTTP/1.1\r\n\r\n");
            }
            on.net.end(id, None);
        });
        sim.run(&mut [&mut engine, &mut a, &mut guests], ms(100 * (number + 2))).unwrap();
    }
    let entries = &engine.state.streams[&b"tidegate:lobby"[..]].entries;
    let about_guests = |what: &&Vec<u8>| [&b"claim"[..], b"join", b"leave"].contains(&&what[..]);
    let whats = entries.iter().flat_map(|(_, fields)| fields).filter(|(name, _)| name == b"what").map(|(_, what)| what);
    assert_eq!(whats.filter(about_guests).count(), 1);
    assert!(guests.state.iter().all(|heard| heard.text.starts_with("* you are guest1; 1 online\n") && heard.is_closed));
}

#[test]
fn guests_who_speak_here_and_a_stream_that_waits_for_readers_take_turns() {
    let sim = network();
    let mut engine = simulated::engine(&sim);
    let (mut a, mut b) = (room(&sim, A, LIMITS), room(&sim, B, LIMITS));
    let mut guests = Guests::on(sim.kernel(), Vec::new());
    sim.run(&mut [&mut engine, &mut a, &mut b], ms(100)).unwrap();
    (0..6).for_each(|_| {
        guest(&mut guests, B, ms(60), seconds(60));
    });
    let (hears, says) = guest(&mut guests, B, Duration::ZERO, Duration::ZERO);
    speakers(&mut guests, A, 10, 400);
    for line in 0..100 {
        guests.after(ms(1500 + line * 50), move |on| {
            on.net.write(says, format!("mine {line}\n").as_bytes());
        });
    }
    sim.run(&mut [&mut engine, &mut a, &mut b, &mut guests], seconds(8)).unwrap();
    let entries = &engine.state.streams[&b"tidegate:lobby"[..]].entries;
    let mine = entries.iter().flat_map(|(_, fields)| fields).filter(|(_, value)| value.starts_with(b"mine")).count();
    let heard = guests.state[hears].said().len();
    assert!(mine >= 20 && (2000..4000).contains(&heard), "{mine} {heard}");
}
