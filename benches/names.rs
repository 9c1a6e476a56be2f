//! How long a long hosts file holds a turn up: `cargo bench --bench names`.
//!
//! A name is looked up that stands in no line, with a name server that nobody runs. The file is read for the first time, again after
//! 5 s although it has not changed, and again with one more line at its begin, which moves all others.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so")]

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tidegate::{EventLoop, NamesOptions};

/// How often each is measured. The best counts: what disturbs only adds.
const TIMES: usize = 3;

fn main() {
    let folder = std::env::temp_dir().join(format!("tidegate-names-{}", std::process::id()));
    fs::create_dir(&folder).expect("a folder");
    for (names, letters) in [(20_000, 37), (150_000, 37), (262_144, 32)] {
        let hosts = folder.join("hosts");
        let line = |number: usize| {
            let end = format!("-{number}.example\n");
            format!("0.0.0.0 {}{end}", "x".repeat(letters - 8 - end.len()))
        };
        let text: String = (0..names).map(line).collect();
        println!("a hosts file of {names} names, {} bytes: the longest turn, and all turns of the look-up", text.len());
        let best = (0..TIMES)
            .map(|_| times(&hosts, &text))
            .reduce(|one, other| std::array::from_fn(|at| one[at].min(other[at])));
        for (what, time) in ["for the first time", "not changed", "changed"].iter().zip(best.expect("some times")) {
            println!("  {what:<20} {:6.2} ms {:6.2} ms", ms(time.longest), ms(time.all));
        }
    }
    fs::remove_dir_all(&folder).expect("the folder");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[derive(Clone, Copy)]
struct Time {
    longest: Duration,
    all: Duration,
}

impl Time {
    fn min(self, other: Time) -> Time {
        Time { longest: self.longest.min(other.longest), all: self.all.min(other.all) }
    }
}

/// A loop of its own, and three look-ups.
fn times(hosts: &Path, text: &str) -> [Time; 3] {
    let mut event_loop = EventLoop::new().expect("a loop");
    let names = NamesOptions::new().hosts(hosts).servers(["127.0.0.1:1".parse().expect("an address")]);
    event_loop.net.set_names(names).expect("good options");
    ["", "", "0.0.0.0 one-more-that-is-longer-than-the-others.example\n"].map(|before| {
        let is_first = event_loop.net.counters().turns == 0;
        if is_first || !before.is_empty() {
            fs::write(hosts, format!("{before}{text}")).expect("a file");
        }
        if !is_first {
            thread::sleep(Duration::from_millis(5_050));
        }
        look_up(&mut event_loop)
    })
}

fn look_up(event_loop: &mut EventLoop<()>) -> Time {
    // The loop's clock is read once in a turn.
    event_loop.turn(Some(Duration::ZERO)).expect("a turn");
    let id = event_loop.connect("no.example.:1", |socket| socket.on_error(|_, _| {})).expect("a socket");
    let mut time = Time { longest: Duration::ZERO, all: Duration::ZERO };
    while event_loop.net.connection(id).exists() {
        let began = Instant::now();
        event_loop.turn(Some(Duration::ZERO)).expect("a turn");
        let took = began.elapsed();
        time = Time { longest: time.longest.max(took), all: time.all + took };
    }
    time
}
