//! A hub on the simulated network: its logic with readers who stop and wake, late joiners, sources that are lost and silent; each
//! seed is a run of its own, and the same one each time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{EventLoop, Loop, Socket};

use super::brake::LONGEST;
use super::state::Hub;
use crate::cli::hub_options;
use crate::daemon::service::{Running, start};

const IN: &str = "10.0.0.1:4000";
const OUT: &str = "10.0.0.1:5000";

/// Runs of 3,000 frames, for each combination of a rule and a kind. 200 were tried as well, which are 600,000 frames.
const SEEDS: u64 = 25;

/// Flags in one line.
fn hub(sim: &Sim, flags: &str) -> EventLoop<Hub> {
    let flags: Vec<&str> = flags.split(' ').collect();
    let options = hub_options(&flags);
    let mut hub = EventLoop::on(sim.kernel(), Hub::new(&options));
    let running = Running::new(&hub.state, &options.daemon, 1000).unwrap();
    start(&mut hub, &running).unwrap();
    hub
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// A frame: a line, or a message with its length.
fn frame(number: u64, messages: bool) -> Vec<u8> {
    let text = format!("{number} {}", "x".repeat((number * 7919 % 61) as usize));
    match messages {
        true => [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat(),
        false => [text.as_bytes(), b"\n"].concat(),
    }
}

/// What a consumer has heard: numbers in order, and lines that say how many are missing.
#[derive(Debug, Default)]
struct Heard {
    kept: Vec<u8>,
    first: Option<u64>,
    next: u64,
    frames: u64,
    skipped: u64,
    gaps: u64,
    /// When something came last.
    at: Duration,
    is_closed: bool,
}

impl Heard {
    fn take(&mut self, chunk: &[u8], messages: bool) {
        self.kept.extend_from_slice(chunk);
        let mut at = 0;
        while let Some((text, length)) = next_frame(&self.kept[at..], messages) {
            let text = text.to_owned();
            at += length;
            self.take_frame(&text);
        }
        self.kept.drain(..at);
    }

    fn take_frame(&mut self, text: &str) {
        if let Some(gap) = text.strip_prefix('#') {
            let skipped: u64 = gap.parse().unwrap();
            assert!(skipped > 0);
            self.first.get_or_insert(0);
            self.next += skipped;
            self.skipped += skipped;
            self.gaps += 1;
            return;
        }
        let (number, rest) = text.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        if self.first.is_none() {
            self.first = Some(number);
            self.next = number;
        }
        assert_eq!(number, self.next, "a jump without a line before it");
        assert_eq!(rest.len() as u64, number * 7919 % 61, "it is whole");
        self.next += 1;
        self.frames += 1;
    }
}

fn next_frame(bytes: &[u8], messages: bool) -> Option<(&str, usize)> {
    let (from, to, length) = if messages {
        let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        (4, 4 + length, 4 + length)
    } else {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        (0, end, end + 1)
    };
    Some((std::str::from_utf8(bytes.get(from..to)?).unwrap(), length))
}

type Consumers = Rc<RefCell<Vec<Heard>>>;

/// A consumer that joins after `delay`. If it is `moody`, it stops and wakes many times.
fn consumer(consumers: &mut EventLoop<Consumers>, sim: &Sim, delay: Duration, messages: bool, moody: bool) {
    let sim = sim.clone();
    consumers.after(delay, move |on| {
        let number = on.state.borrow().len();
        on.state.borrow_mut().push(Heard::default());
        let joined = on.connect(OUT, |socket| {
            socket.on_data(move |socket, chunk| {
                let now = socket.net.now();
                socket.state.borrow_mut()[number].at = now;
                socket.state.borrow_mut()[number].take(chunk, messages);
                if moody && sim.random(3) == 0 {
                    socket.pause();
                    let wait = ms(1 + sim.random(200));
                    socket.after(wait, |socket| socket.resume());
                }
            });
            socket.on_close(move |socket, _| socket.state.borrow_mut()[number].is_closed = true);
        });
        joined.unwrap();
    });
}

/// Says all frames from a number on, as fast as they are taken, with a rest now and then.
fn speak(socket: &mut Socket<'_, u64>, sim: &Sim, until: u64, messages: bool) {
    loop {
        let from = *socket.state;
        if from >= until {
            return socket.end();
        }
        let to = (from + 1 + sim.random(60)).min(until);
        *socket.state = to;
        let bytes: Vec<u8> = (from..to).flat_map(|number| frame(number, messages)).collect();
        let goes_on = socket.write(bytes);
        if sim.random(20) == 0 {
            let (sim, wait) = (sim.clone(), ms(sim.random(5) + 1));
            socket.after(wait, move |socket| speak(socket, &sim, until, messages));
            return;
        }
        if !goes_on {
            return;
        }
    }
}

fn producer(sim: &Sim, until: u64, messages: bool) -> EventLoop<u64> {
    let mut producer = EventLoop::on(sim.kernel(), 0);
    let sim = sim.clone();
    let begin = move |on: &mut Loop<'_, u64>| {
        let joined = on.connect(IN, |socket| {
            let drained = sim.clone();
            socket.on_drain(move |socket| speak(socket, &drained, until, messages));
            speak(socket, &sim, until, messages);
        });
        joined.unwrap();
    };
    producer.after(ms(20), begin);
    producer
}

/// What all consumers of a run have heard together.
#[derive(Debug, Default)]
struct Total {
    frames: u64,
    skipped: u64,
    gaps: u64,
}

fn flood(seed: u64, until: u64, flags: &str, messages: bool) -> Total {
    let conditions = Conditions::new().buffer(4000).delay(ms(2)).short(50).late(50).spurious(20).interrupted(20);
    let sim = Sim::with(seed, conditions);
    let mut hub = hub(&sim, &format!("--in listen:{IN} --out {OUT} --queue 8000 --max-frame 1000 --backlog 9 {flags}"));
    let mut producer = producer(&sim, until, messages);
    let mut consumers = EventLoop::on(sim.kernel(), Consumers::default());
    for number in 0..3 {
        consumer(&mut consumers, &sim, ms(1), messages, number > 0);
    }
    // Who joins a stream of bytes begins anywhere.
    for _ in 0..if flags.contains("bytes") { 0 } else { 3 } {
        consumer(&mut consumers, &sim, ms(sim.random(400)), messages, true);
    }
    let mut time = ms(0);
    loop {
        time += ms(500);
        sim.run(&mut [&mut hub, &mut producer, &mut consumers], time).unwrap();
        let is_over = |heard: &Heard| heard.is_closed || heard.next == until || heard.first.is_none();
        if producer.state == until && consumers.state.borrow().iter().all(is_over) {
            break;
        }
        assert!(time < Duration::from_secs(600), "seed {seed}, {flags}: {:?}", consumers.state.borrow());
    }
    let disconnects = flags.contains("disconnect");
    let mut total = Total::default();
    for (number, heard) in consumers.state.borrow().iter().enumerate() {
        let first = heard.first.unwrap_or(until);
        assert_eq!(heard.frames + heard.skipped, heard.next.saturating_sub(first), "seed {seed}, {flags}");
        assert!(heard.is_closed || heard.first.is_none() || heard.next == until && heard.kept.is_empty());
        assert!(disconnects || !heard.is_closed, "seed {seed}, {flags}: nobody is put out");
        assert!(number > 2 || disconnects && heard.is_closed || first == 0, "who was there first hears all");
        total.frames += heard.frames;
        total.skipped += heard.skipped;
        total.gaps += heard.gaps;
    }
    let keys: Vec<_> = hub.state.consumers.keys().copied().collect();
    let mut skipped = 0;
    for key in keys {
        let sum = hub.state.sum(&hub.net, key).unwrap();
        assert_eq!((sum.waiting, sum.taken + sum.skipped.frames), (0, sum.since_joined), "seed {seed}, {flags}");
        skipped += sum.skipped.frames;
    }
    if !disconnects {
        assert_eq!(skipped, total.skipped, "seed {seed}, {flags}: what was told is what was skipped");
    }
    assert!(hub.state.ring.ahead_of(hub.state.ring.oldest()).bytes < 8000 + 300_000);
    sim.check().unwrap();
    total
}

/// 75,000 frames for each combination of a rule and a kind.
fn floods(flags: &str, messages: bool) -> Total {
    let mut total = Total::default();
    for seed in 1..=SEEDS {
        let Total { frames, skipped, gaps } = flood(seed, 3000, flags, messages);
        total.frames += frames;
        total.skipped += skipped;
        total.gaps += gaps;
    }
    println!("{flags}: {total:?}");
    total
}

#[test]
fn each_jump_in_the_numbers_has_a_line_before_it_that_is_exact() {
    for slow in ["drop-oldest", "drop-newest"] {
        for (kind, messages) in [("lines", false), ("u32", true)] {
            let total = floods(&format!("--slow {slow} --frames {kind} --gap-line #{{frames}}"), messages);
            assert!(total.gaps > 25, "{slow} {kind}: {total:?}");
        }
    }
}

#[test]
fn with_pause_nothing_is_lost() {
    for (kind, messages) in [("lines", false), ("u32", true), ("bytes", false)] {
        let total = floods(&format!("--slow pause --frames {kind}"), messages && kind != "bytes");
        assert_eq!((total.skipped, total.gaps), (0, 0));
    }
}

#[test]
fn who_is_disconnected_has_heard_an_exact_beginning() {
    for (kind, messages) in [("lines", false), ("u32", true), ("bytes", false)] {
        let total = floods(&format!("--slow disconnect --frames {kind}"), messages);
        assert!(total.frames > 10_000 && total.skipped == 0, "{total:?}");
    }
}

/// When a reader that keeps up has heard all of a flood, beside so many who are stuck.
fn hears_a_flood(flags: &str, stuck: usize) -> Duration {
    const FRAMES: u64 = 20_000;

    let sim = Sim::with(1, Conditions::new().buffer(4000).delay(ms(2)));
    let mut hub = hub(&sim, &format!("--in listen:{IN} --out {OUT} --queue 64K {flags}"));
    let mut producer = producer(&sim, FRAMES, false);
    let mut reader = EventLoop::on(sim.kernel(), Consumers::default());
    consumer(&mut reader, &sim, ms(1), false, false);
    let mut others = EventLoop::on(sim.kernel(), ());
    for _ in 0..stuck {
        others.connect(OUT, |socket| socket.pause()).unwrap();
    }
    sim.run(&mut [&mut hub, &mut producer, &mut reader, &mut others], Duration::from_secs(100)).unwrap();
    let heard = &reader.state.borrow()[0];
    assert_eq!((heard.first, heard.next, heard.skipped), (Some(0), FRAMES, 0), "{flags}");
    heard.at
}

#[test]
fn who_keeps_up_loses_no_frame_and_no_moment_to_those_who_are_stuck() {
    for rule in ["drop-oldest", "drop-newest", "disconnect", "disconnect --grace 1s"] {
        let flags = format!("--slow {rule}");
        let (beside_stuck, alone) = (hears_a_flood(&flags, 5), hears_a_flood(&flags, 0));
        // The delays of the network are not the same in both runs, but the inputs were not held once.
        assert!(beside_stuck < alone + LONGEST / 2, "{rule}: {beside_stuck:?}, and {alone:?} alone");
    }
}

/// Nobody takes anything: the source is not slowed, but for one moment.
#[test]
fn a_source_is_not_held_up_by_consumers_who_take_nothing() {
    let sim = Sim::new(1);
    let mut hub = hub(&sim, &format!("--in listen:{IN} --out {OUT} --queue 8000 --max-frame 1000"));
    let mut producer = producer(&sim, 20_000, false);
    let mut stuck = EventLoop::on(sim.kernel(), ());
    stuck.connect(OUT, |socket| socket.pause()).unwrap();
    let alone = {
        /* what the rests of the producer take */
        ms(2000)
    };
    sim.run(&mut [&mut hub, &mut producer, &mut stuck], alone).unwrap();
    assert_eq!(producer.state, 20_000);
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let sim = Sim::with(seed, Conditions::new().delay(ms(3)));
        let mut hub = hub(&sim, &format!("--in {IN} --out {OUT} --out dial:10.0.0.7:1 --queue 8000 --max-frame 1000"));
        sim.run(&mut [&mut hub], Duration::from_secs(300)).unwrap();
        sim.fingerprint()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2), "the waits are random");
}

/// A source that can be reached at some times only; when it was connected to.
fn attempts(flags: &str, until: u64, serve: impl Fn(&mut Socket<'_, Vec<u64>>) + Clone + 'static) -> Vec<u64> {
    let sim = Sim::new(3);
    let mut source = EventLoop::on(sim.kernel(), Vec::new());
    source
        .listen("10.0.0.2:1", move |socket| {
            let now = socket.net.now().as_millis() as u64;
            socket.state.push(now);
            serve(socket);
        })
        .unwrap();
    let mut hub = hub(&sim, &format!("--in 10.0.0.2:1 --out {OUT} {flags}"));
    sim.run(&mut [&mut hub, &mut source], ms(until)).unwrap();
    source.state
}

#[test]
fn a_source_that_closes_at_once_is_tried_again_after_longer_and_longer_waits() {
    let times = attempts("--backlog last", 300_000, |socket| socket.end_with("hello\n"));
    let waits: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, bound) in waits.iter().zip([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]) {
        assert!((bound / 2..=bound + 50).contains(wait), "{waits:?}");
    }
    assert!(waits.len() > 10, "{waits:?}");
}

#[test]
fn a_source_that_is_silent_is_lost_and_one_that_speaks_is_not() {
    let silent = attempts("--quiet-timeout 60s", 200_000, |socket| socket.on_data(|_, _| {}));
    assert!((60_500..61_200).contains(&(silent[1] - silent[0])), "{silent:?}");
    assert!((60_500..61_200).contains(&(silent[2] - silent[1])), "what has lasted is no failure: {silent:?}");
    let speaks = attempts("--quiet-timeout 60s", 600_000, |socket| {
        socket.on_data(|_, _| {});
        let id = socket.id();
        socket.event_loop().every(Duration::from_secs(59), move |on| {
            on.net.write(id, b"still here\n");
        });
    });
    assert_eq!(speaks.len(), 1);
}

#[test]
fn the_preamble_is_sent_at_each_connect() {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let preambles = Rc::clone(&heard);
    attempts(r"--preamble hello\n", 10_000, move |socket| {
        let preambles = Rc::clone(&preambles);
        socket.on_data(move |socket, chunk| {
            preambles.borrow_mut().push(chunk.to_vec());
            socket.end();
        });
    });
    assert!(heard.borrow().len() > 2 && heard.borrow().iter().all(|chunk| chunk == b"hello\n"), "{heard:?}");
}

/// Memory is the ring, whatever the number of consumers.
#[test]
fn a_thousand_stuck_consumers_hold_one_queue() {
    let sim = Sim::with(1, Conditions::new().buffer(4000));
    let mut hub = hub(&sim, &format!("--in listen:{IN} --out {OUT} --max-per-address none"));
    let mut producer = producer(&sim, 100_000, false);
    let mut consumers = EventLoop::on(sim.kernel(), ());
    for _ in 0..1000 {
        consumers.connect(OUT, |socket| socket.pause()).unwrap();
    }
    sim.run(&mut [&mut hub, &mut producer, &mut consumers], Duration::from_secs(60)).unwrap();
    assert_eq!(producer.state, 100_000);
    assert_eq!(hub.state.consumers.len(), 1000);
    let held = hub.net.counters().memory_held;
    assert!(held <= 1000 * 64 * 1024, "{held}");
    let ring = hub.state.ring.ahead_of(hub.state.ring.oldest()).bytes;
    assert!(ring <= (1 << 20) + (400 << 10), "{ring}");
}
