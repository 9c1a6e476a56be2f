use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::{consumer, has_consumers, hub, producer, read_exactly};
use crate::support::{Client, Daemon, Random, Signal, wait_until};

const GAP: [&str; 2] = ["--gap-line", "# {frames} frames ({bytes} bytes) skipped"];

/// A frame: a line, or a message with its length.
fn numbered(number: usize, messages: bool) -> Vec<u8> {
    let text = format!("{number:09} {}", "x".repeat(number % 97));
    match messages {
        true => [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat(),
        false => [text.as_bytes(), b"\n"].concat(),
    }
}

/// As a consumer reads it, in lines or in messages: the numbers that it has heard, and how many it was told that it missed.
#[derive(Default)]
struct Heard {
    kept: Vec<u8>,
    next: usize,
    frames: usize,
    skipped: usize,
    gaps: usize,
}

impl Heard {
    fn take(&mut self, bytes: &[u8], messages: bool) {
        self.kept.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((start, end, next)) = frame(&self.kept[at..], messages) {
            let text = std::str::from_utf8(&self.kept[at + start..at + end]).unwrap().to_owned();
            at += next;
            self.take_frame(&text, messages);
        }
        self.kept.drain(..at);
    }

    fn take_frame(&mut self, text: &str, messages: bool) {
        if let Some(gap) = text.strip_prefix("# ") {
            let words: Vec<&str> = gap.split(' ').collect();
            let (frames, bytes): (usize, usize) = (words[0].parse().unwrap(), words[2][1..].parse().unwrap());
            let expected: usize = (self.next..self.next + frames).map(|number| numbered(number, messages).len()).sum();
            assert_eq!(bytes, expected, "the bytes of {frames} frames from {}", self.next);
            assert!(frames > 0);
            self.next += frames;
            self.skipped += frames;
            self.gaps += 1;
        } else {
            assert_eq!(text[..9].parse(), Ok(self.next), "a jump without a line before it");
            self.next += 1;
            self.frames += 1;
        }
    }
}

/// Where the first whole frame is, without its end or its length, and where the next one begins.
fn frame(bytes: &[u8], messages: bool) -> Option<(usize, usize, usize)> {
    if messages {
        let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
        return (bytes.len() >= 4 + length).then_some((4, 4 + length, 4 + length));
    }
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((0, end, end + 1))
}

/// 60,000 frames to readers who stop and wake many times, beside one who reads all.
#[track_caller]
fn readers_stop_and_wake(slow: &str, kind: &str, may_skip: bool) {
    const FRAMES: usize = 60_000;

    let messages = kind == "u32";
    let mut arguments = vec!["--in", "listen:0", "--out", "0", "--frames", kind, "--slow", slow, "--queue", "64K"];
    arguments.extend(["--send-buffer", "16K", "--max-frame", "4K"]);
    if may_skip {
        arguments.extend(GAP);
    }
    let hub = hub(&arguments);
    let readers: Vec<TcpStream> =
        (0..3).map(|_| Client::connect_narrow(super::address_of(&hub, "out")).into_stream()).collect();
    has_consumers(&hub, readers.len());
    let mut producer = producer(&hub);
    let all: Vec<u8> = (0..FRAMES).flat_map(|number| numbered(number, messages)).collect();
    let readers: Vec<_> = readers
        .into_iter()
        .enumerate()
        .map(|(seed, mut stream)| {
            thread::spawn(move || {
                let (mut heard, mut random) = (Heard::default(), Random(seed as u64 + 1));
                let mut buffer = vec![0; 1 << 16];
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                while heard.next < FRAMES {
                    if random.below(40) == 0 {
                        thread::sleep(Duration::from_millis(random.below(60) as u64));
                    }
                    let count = stream.read(&mut buffer).unwrap();
                    assert!(count > 0, "the end after {} frames", heard.next);
                    heard.take(&buffer[..count], messages);
                }
                (heard.frames, heard.skipped, heard.gaps)
            })
        })
        .collect();
    producer.sends(&all);
    for reader in readers {
        let (frames, skipped, gaps) = reader.join().unwrap();
        assert_eq!(frames + skipped, FRAMES);
        assert!(may_skip || skipped == 0);
        println!("{slow} {kind}: {frames} heard, {skipped} skipped in {gaps} gaps");
    }
    wait_until("the sums", || {
        hub.signal(Signal::USR1);
        let log = hub.log();
        log.lines()
            .filter(|line| line.contains(" 0 waiting, ") && line.contains("60000 frames since it joined"))
            .count()
            >= 3
    });
}

#[test]
fn drop_oldest_tells_each_gap_of_lines_in_its_place() {
    readers_stop_and_wake("drop-oldest", "lines", true);
}

#[test]
fn drop_newest_tells_each_gap_of_lines_in_its_place() {
    readers_stop_and_wake("drop-newest", "lines", true);
}

#[test]
fn drop_oldest_tells_each_gap_of_messages_in_its_place() {
    readers_stop_and_wake("drop-oldest", "u32", true);
}

#[test]
fn drop_newest_tells_each_gap_of_messages_in_its_place() {
    readers_stop_and_wake("drop-newest", "u32", true);
}

#[test]
fn pause_loses_no_line() {
    readers_stop_and_wake("pause", "lines", false);
}

#[test]
fn pause_loses_no_message() {
    readers_stop_and_wake("pause", "u32", false);
}

fn lines(from: usize, to: usize) -> Vec<u8> {
    (from..to).flat_map(|number| format!("{number:09}\n").into_bytes()).collect()
}

/// A producer has said all of it, and the hub has heard it.
#[track_caller]
fn flood(hub: &Daemon, producer: &mut Client, bytes: &[u8], frames: usize) {
    producer.sends(bytes);
    wait_until("all has come", || {
        hub.signal(Signal::USR1);
        hub.log().contains(&format!("{frames} frames since it joined"))
    });
}

#[test]
fn a_stuck_consumer_that_wakes_gets_the_newest_bytes_of_the_queue_whole() {
    const FRAMES: usize = 500_000;

    let hub = hub(&["--in", "listen:0", "--out", "0", "--queue", "100000", "--send-buffer", "16K", GAP[0], GAP[1]]);
    let mut stuck = Client::connect_narrow(super::address_of(&hub, "out"));
    has_consumers(&hub, 1);
    let mut producer = producer(&hub);
    flood(&hub, &mut producer, &lines(0, FRAMES), FRAMES);
    let mut first = 0;
    let gap = loop {
        let heard = stuck.hears_line();
        if heard.starts_with('#') {
            break heard;
        }
        assert_eq!(heard.parse(), Ok(first));
        first += 1;
    };
    let newest = 100_000 / 10;
    let skipped = FRAMES - newest - first;
    assert_eq!(gap, format!("# {skipped} frames ({} bytes) skipped", skipped * 10));
    stuck.receives(&lines(FRAMES - newest, FRAMES));
    producer.says("live");
    stuck.hears("live");
}

#[test]
fn one_that_drops_the_newest_goes_on_live_after_what_it_was_given() {
    const FRAMES: usize = 500_000;

    let arguments =
        ["--in", "listen:0", "--out", "0", "--queue", "100000", "--send-buffer", "16K", "--slow", "drop-newest"];
    let hub = hub(&[&arguments[..], &GAP].concat());
    let mut stuck = Client::connect_narrow(super::address_of(&hub, "out"));
    has_consumers(&hub, 1);
    let mut producer = producer(&hub);
    flood(&hub, &mut producer, &lines(0, FRAMES), FRAMES);
    let mut first = 0;
    let gap = loop {
        let heard = stuck.hears_line();
        if heard.starts_with('#') {
            break heard;
        }
        assert_eq!(heard.parse(), Ok(first));
        first += 1;
    };
    assert_eq!(gap, format!("# {} frames ({} bytes) skipped", FRAMES - first, (FRAMES - first) * 10));
    producer.says("live");
    stuck.hears("live");
}

#[test]
fn one_that_is_too_far_behind_is_disconnected_and_the_others_hear_all() {
    for kind in ["lines", "bytes"] {
        let hub = hub(&["--in", "listen:0", "--out", "0", "--slow", "disconnect", "--frames", kind]);
        let (mut stuck, mut good) = (Client::connect_narrow(super::address_of(&hub, "out")), consumer(&hub));
        has_consumers(&hub, 2);
        let mut producer = producer(&hub);
        let all = lines(0, 1_000_000);
        let handle = good.handle();
        let reader = thread::spawn(move || read_exactly(&mut { handle }, 10_000_000));
        producer.sends(&all);
        assert!(reader.join().unwrap() == all, "the good one hears all");
        hub.logs("why", |line| line.contains(" was disconnected: it is more than 1048576 bytes behind"));
        let mut end = [0; 1 << 16];
        let mut stream = stuck.handle();
        stuck.is_patient_for(Duration::from_secs(5));
        while let Ok(1..) = stream.read(&mut end) {}
        producer.says("on");
        good.receives(b"on\n");
    }
}

#[test]
fn one_that_takes_nothing_holds_the_inputs_for_the_grace_period_and_no_longer() {
    let hub = hub(&["--in", "listen:0", "--out", "0", "--slow", "pause", "--grace", "400ms", "--queue", "100K"]);
    let (_stuck, good) = (Client::connect_narrow(super::address_of(&hub, "out")), consumer(&hub));
    has_consumers(&hub, 2);
    let mut producer = producer(&hub);
    let all = lines(0, 1_500_000);
    let began = Instant::now();
    let reader = thread::spawn(move || {
        let mut stream = good.into_stream();
        read_exactly(&mut stream, 15_000_000)
    });
    producer.sends(&all);
    assert!(reader.join().unwrap() == all);
    assert!(began.elapsed() >= Duration::from_millis(400));
    hub.logs("why", |line| line.contains(" was disconnected: it has taken nothing for 400ms"));
}

#[test]
fn who_joins_in_the_middle_of_a_flood_hears_an_exact_stream() {
    let hub = hub(&["--in", "listen:0", "--out", "0", "--backlog", "50", "--slow", "pause"]);
    let mut producer = producer(&hub);
    let first = consumer(&hub);
    has_consumers(&hub, 1);
    const FRAMES: usize = 400_000;
    let address = super::address_of(&hub, "out");
    let sender = thread::spawn(move || {
        for piece in 0..FRAMES / 1000 {
            producer.sends(&lines(piece * 1000, (piece + 1) * 1000));
        }
        producer
    });
    let check = |mut client: Client, from_start: bool| {
        thread::spawn(move || {
            let mut next: usize = client.hears_line().parse().unwrap();
            assert!(!from_start || next == 0);
            while next < FRAMES - 1 {
                next += 1;
                let heard = client.hears_line();
                assert_eq!(heard.parse(), Ok(next));
            }
        })
    };
    let mut readers = vec![check(first, true)];
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(5));
        readers.push(check(Client::connect(address), false));
    }
    let _producer = sender.join().unwrap();
    let ended: Vec<_> = readers.into_iter().map(thread::JoinHandle::join).collect();
    assert!(ended.iter().all(Result::is_ok), "{}", hub.log());
}
