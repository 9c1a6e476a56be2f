//! Nodes that stop in order while their guests speak without a pause.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use super::super::support::engine::Engine;
use super::super::support::{Client, Daemon, Signal};
use super::{guest, node};

/// A guest who says `NUMBER.1`, `NUMBER.2` and so on, and leaves when it sees the end of the room. It gives how many lines it has said.
fn speaker(daemon: &Daemon, number: usize) -> JoinHandle<usize> {
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    let (reader, has_ended) = (stream.try_clone().unwrap(), Arc::new(AtomicBool::new(false)));
    let ends = Arc::clone(&has_ended);
    spawn(move || {
        BufReader::new(reader).lines().map_while(Result::ok).for_each(drop);
        ends.store(true, Ordering::Relaxed);
    });
    spawn(move || {
        let mut said = 0;
        while !has_ended.load(Ordering::Relaxed) && writeln!(stream, "{number}.{}", said + 1).is_ok() {
            said += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        said
    })
}

/// What one guest has heard of each speaker: each line has the number behind the one before.
struct Heard {
    listener: Client,
    of: Vec<usize>,
}

impl Heard {
    /// Listens until a speaker has said so much.
    fn listen_to(&mut self, number: usize, place: usize) {
        while self.of[number] < place {
            self.take_line();
        }
    }

    fn listen_until(&mut self, end: &str) {
        while !self.take_line().starts_with(end) {}
    }

    fn take_line(&mut self) -> String {
        let line = self.listener.hears_line();
        if let Some((_, text)) = line.split_once(": ").filter(|_| !line.starts_with("* ")) {
            let (number, place) = text.split_once('.').unwrap();
            let (number, place): (usize, usize) = (number.parse().unwrap(), place.parse().unwrap());
            assert_eq!(place, self.of[number] + 1, "of {number}");
            self.of[number] = place;
        }
        line
    }
}

const SPEAKERS: usize = 20;

#[test]
fn what_is_said_while_a_node_stops_is_heard_at_another_one() {
    let Some(engine) = Engine::start() else { return };
    let (mut here, there) = (node(&engine, "here", &[]), node(&engine, "there", &[]));
    let mut heard = Heard { listener: guest(&there).0, of: vec![0; SPEAKERS] };
    let speakers: Vec<JoinHandle<usize>> = (0..SPEAKERS).map(|number| speaker(&here, number)).collect();
    heard.listen_to(0, 100);
    here.signal(Signal::TERM);
    heard.listen_until("* here is gone; 20 left; ");
    here.exits_with(0);
    let said: Vec<usize> = speakers.into_iter().map(|speaker| speaker.join().unwrap()).collect();
    assert_eq!(heard.of, said);
}

/// The engine hangs as the node stops: its goodbye never comes back.
#[test]
fn a_stop_lasts_no_longer_than_the_drain_timeout_if_the_engine_hangs() {
    let Some(engine) = Engine::start() else { return };
    let mut here = node(&engine, "here", &["--drain-timeout", "2s", "--bus-patience", "30s"]);
    let (mut anna, _) = guest(&here);
    engine.stops();
    anna.says("does anybody hear?");
    let began = Instant::now();
    here.signal(Signal::TERM);
    here.exits_with(1);
    assert!(began.elapsed() < Duration::from_secs(20), "not the patience of 30 s: {:?}", began.elapsed());
    here.logs("how many", |line| line.contains("1 line did not come back from the engine"));
}

/// Also while it waits for its goodbye, when all guests have gone.
#[test]
fn a_second_signal_ends_a_stop_at_once() {
    let Some(engine) = Engine::start() else { return };
    for has_guests in [true, false] {
        let mut here = node(&engine, "here", &["--drain-timeout", "600s", "--bus-patience", "600s"]);
        let anna = has_guests.then(|| guest(&here).0);
        engine.stops();
        here.signal(Signal::TERM);
        here.logs("that it stops", |line| line.contains("stopping: up to "));
        here.signal(Signal::TERM);
        here.exits_with(128 + 15);
        engine.goes_on();
        drop(anna);
    }
}
