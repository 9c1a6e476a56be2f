//! Frames as fast as they are taken, to readers who stop and wake many times and to some who join late, for each rule and each kind
//! of frames.
//!
//! ```text
//! cargo test --test binary hub::flood                   60,000 frames of each
//! FRAMES=600000 cargo test --test binary hub::flood     ten times as many
//! ```

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::{address_of, has_consumers, hub, producer};
use crate::support::{Client, Random, Signal, wait_until};

fn frames_of_a_run() -> usize {
    std::env::var("FRAMES").ok().and_then(|value| value.parse().ok()).unwrap_or(60_000)
}

/// A frame: a line, or a message with its length.
fn numbered(number: usize, messages: bool) -> Vec<u8> {
    let text = format!("{number:09} {}", "x".repeat(number % 97));
    match messages {
        true => [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat(),
        false => [text.as_bytes(), b"\n"].concat(),
    }
}

/// As a consumer reads it, in lines or in messages: the numbers that it has heard, and how many it was told that it missed.
#[derive(Debug, Default)]
struct Heard {
    kept: Vec<u8>,
    /// Unknown until it has heard a number.
    next: Option<usize>,
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
            assert!(frames > 0);
            if let Some(next) = &mut self.next {
                let expected: usize = (*next..*next + frames).map(|number| numbered(number, messages).len()).sum();
                assert_eq!(bytes, expected, "the bytes of {frames} frames from {next}");
                *next += frames;
            }
            self.skipped += frames;
            self.gaps += 1;
        } else {
            let number: usize = text[..9].parse().unwrap();
            assert_eq!(number, self.next.unwrap_or(number), "a jump without a line before it");
            assert_eq!(text.len(), 10 + number % 97, "it is whole");
            self.next = Some(number + 1);
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
    let end = memchr::memchr(b'\n', bytes)?;
    Some((0, end, end + 1))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// It never stops, and says how far it is.
    Steady,
    Moody(u64),
}

/// What a reader has heard, with its address. It is connected still, unless it was disconnected.
struct Reader {
    address: SocketAddr,
    stream: Option<TcpStream>,
    heard: Heard,
}

fn read(mut stream: TcpStream, mood: Mood, until: usize, messages: bool, progress: &AtomicUsize) -> Reader {
    let address = stream.local_addr().unwrap();
    let (mut heard, mut random) = (Heard::default(), Random(if let Mood::Moody(seed) = mood { seed } else { 1 }));
    let mut buffer = vec![0; 1 << 16];
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    while heard.next.is_none_or(|next| next < until) {
        if mood != Mood::Steady && random.below(40) == 0 {
            thread::sleep(Duration::from_millis(random.below(60) as u64));
        }
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => heard.take(&buffer[..count], messages),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing comes after {heard:?}"),
            Ok(0) | Err(_) => return Reader { address, stream: None, heard },
        }
        if mood == Mood::Steady {
            progress.store(heard.next.unwrap_or(0), Ordering::Relaxed);
        }
    }
    Reader { address, stream: Some(stream), heard }
}

#[track_caller]
fn readers_stop_and_wake(slow: &str, kind: &str) {
    let until = frames_of_a_run();
    let (messages, skips) = (kind == "u32", slow.starts_with("drop"));
    let mut arguments = vec!["--in", "listen:0", "--out", "0", "--frames", kind, "--slow", slow, "--max-frame", "4K"];
    arguments.extend(["--send-buffer", "16K", "--queue", "64K", "--backlog", "7"]);
    if skips {
        arguments.extend(["--gap-line", "# {frames} frames ({bytes} bytes) skipped"]);
    }
    let hub = hub(&arguments);
    let (out, progress) = (address_of(&hub, "out"), Arc::new(AtomicUsize::new(0)));
    let start = |stream, mood| {
        let progress = Arc::clone(&progress);
        thread::spawn(move || read(stream, mood, until, messages, &progress))
    };
    let narrow = || Client::connect_narrow(out).into_stream();
    let mut readers = vec![start(Client::connect(out).into_stream(), Mood::Steady)];
    readers.extend((1..=3).map(|seed| start(narrow(), Mood::Moody(seed))));
    has_consumers(&hub, readers.len());
    let mut producer = producer(&hub);
    // Where one who is slow is disconnected, the source is no faster than who reads all the time.
    let most_ahead = if slow == "disconnect" { 500 } else { usize::MAX };
    let steady = Arc::clone(&progress);
    let speaker = thread::spawn(move || {
        for from in (0..until).step_by(250) {
            let to = until.min(from + 250);
            producer.sends(&(from..to).flat_map(|number| numbered(number, messages)).collect::<Vec<u8>>());
            while to.saturating_sub(steady.load(Ordering::Relaxed)) > most_ahead {
                thread::sleep(Duration::from_micros(100));
            }
        }
        producer
    });
    // Who joins a stream of bytes begins anywhere.
    for part in if kind == "bytes" { 0..0 } else { 1..4 } {
        wait_until("the next part", || progress.load(Ordering::Relaxed) >= until * part / 5);
        readers.push(start(narrow(), Mood::Moody(10 + part as u64)));
    }
    let readers: Vec<Reader> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    let _producer = speaker.join().unwrap();
    for (number, Reader { stream, heard, .. }) in readers.iter().enumerate() {
        let (frames, skipped, gaps) = (heard.frames, heard.skipped, heard.gaps);
        println!("{slow} {kind}: {frames} heard, {skipped} skipped in {gaps} gaps");
        assert!(skips || skipped == 0);
        assert!(stream.is_some() || slow == "disconnect" && number > 0, "number {number} was disconnected");
        let hears_all_from_the_first = number < 4 && stream.is_some();
        assert!(!hears_all_from_the_first || frames + skipped == until, "number {number}");
    }
    // What the hub has counted is what they have counted.
    wait_until("the sums", || {
        hub.signal(Signal::USR1);
        let log = hub.log();
        readers.iter().filter(|reader| reader.stream.is_some()).all(|Reader { address, heard, .. }| {
            let (frames, skipped) = (heard.frames, heard.skipped);
            let sum = match kind {
                "bytes" => " taken, 0 waiting, 0 skipped".to_owned(),
                _ => format!(" {frames} taken, 0 waiting, {skipped} skipped"),
            };
            log.lines().any(|line| line.contains(&format!("{address}: ")) && line.ends_with(&sum))
        })
    });
}

#[test]
fn drop_oldest_tells_each_gap_in_its_place() {
    for kind in ["lines", "u32"] {
        readers_stop_and_wake("drop-oldest", kind);
    }
}

#[test]
fn drop_newest_tells_each_gap_in_its_place() {
    for kind in ["lines", "u32"] {
        readers_stop_and_wake("drop-newest", kind);
    }
}

#[test]
fn pause_loses_nothing() {
    for kind in ["lines", "u32", "bytes"] {
        readers_stop_and_wake("pause", kind);
    }
}

#[test]
fn who_is_disconnected_has_heard_a_beginning_and_who_keeps_up_hears_all() {
    for kind in ["lines", "u32", "bytes"] {
        readers_stop_and_wake("disconnect", kind);
    }
}
