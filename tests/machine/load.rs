//! Many connections at once: what they cost, and that none of them delays another.
//!
//! The tests run one after another, since each measures. The daemon is a process of its own, so the descriptors, the
//! memory and the CPU time of that process are what it needs. What they measure they print (`-- --nocapture`); asserted
//! are bounds that a slow machine keeps too. `docs/reliability.md` has the figures.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::alone::alone;
use crate::support::many::{connect, raise_descriptor_limit};
use crate::support::{Client, Daemon, PATIENCE, Random, Signal, Stderr, program_after, stuff, wait_until};
use socket2::SockRef;

// ---------------------------------------------------------------------------------------------------------------------
// Out of descriptors
// ---------------------------------------------------------------------------------------------------------------------

/// For ten seconds there is no descriptor left, and some hundred clients a second keep coming. They are turned away,
/// the connections that are there are served, and it costs next to nothing. A client that finds a free slot is served
/// at once.
#[test]
fn out_of_descriptors_for_ten_seconds() {
    const TIME: Duration = Duration::from_secs(10);

    let _alone = alone();
    raise_descriptor_limit();
    let mut command = program_after("ulimit -n 64");
    command.args(["echo", "--listen", "127.0.0.1:0", "--max-connections", "1000"]);
    let mut echo = Daemon::launch_with(&mut command, Stderr::Kept);
    echo.finds_its_addresses(1);
    let address = echo.address();
    let mut served: Vec<TcpStream> = Vec::new();
    while let Some(stream) = come(address) {
        served.push(stream);
    }
    assert!((50..64).contains(&served.len()), "{} have found a descriptor", served.len());

    let (over, turned_away) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (before, began) = (echo.cpu_time(), Instant::now());
    let mut slowest = Duration::ZERO;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) && began.elapsed() < 2 * TIME {
                assert!(come(address).is_none(), "there is no descriptor for another");
                turned_away.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(10));
            }
        });
        while began.elapsed() < TIME {
            for stream in &mut served {
                slowest = slowest.max(round_trip(stream).expect("who was there is served"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        over.store(true, Ordering::Relaxed);
    });
    let cpu = (echo.cpu_time() - before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;

    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        served.remove(0);
        let free = Instant::now();
        served.push(loop {
            if let Some(stream) = come(address) {
                break stream;
            }
            assert!(free.elapsed() < PATIENCE, "nobody is accepted though there is a descriptor");
        });
        longest = longest.max(free.elapsed());
    }
    let turned_away = turned_away.into_inner();
    let warnings = echo.log().lines().filter(|line| line.contains("EMFILE")).count();
    println!(
        "out of descriptors: {cpu:.1} % of a CPU, {turned_away} turned away, slowest round trip of {} who are there \
         {slowest:?}, a free slot is taken within {longest:?}, {warnings} warnings",
        served.len()
    );
    assert!(cpu < 20.0, "{cpu} % of a CPU");
    assert!(turned_away > 100);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    assert!((1..=20).contains(&warnings), "{warnings} warnings:\n{}", echo.log());
    drop(served);
    echo.signal(Signal::TERM);
    echo.exits_with(0);
}

/// A new client, if it is served.
fn come(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = connect(address, 0);
    round_trip(&mut stream).map(|_| stream)
}

/// How long a few bytes take to an echo and back; nothing if the connection has ended.
fn round_trip(stream: &mut TcpStream) -> Option<Duration> {
    let began = Instant::now();
    stream.write_all(b"are you there?").ok()?;
    let mut heard = [0; 14];
    match stream.read_exact(&mut heard) {
        Ok(()) => assert_eq!(&heard, b"are you there?"),
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "silence");
            return None;
        }
    }
    Some(began.elapsed())
}

// ---------------------------------------------------------------------------------------------------------------------
// A room of 5,000
// ---------------------------------------------------------------------------------------------------------------------

const CROWD: usize = 5000;

/// What the state of a guest may cost, with half a line in it.
const PER_GUEST: u64 = 4096;

/// 5,000 guests send a byte of their line now and then. Two others talk meanwhile.
#[test]
fn slow_writers_delay_nobody() {
    const BYTES: usize = 40; // of each

    let _alone = alone();
    raise_descriptor_limit();
    let mut room = Daemon::chat(&[]);
    let [mut anna, mut bert] = room.guests();
    let (descriptors, memory) = (room.descriptors(), room.memory());
    let crowd: Vec<TcpStream> = (0..CROWD).map(|number| join(room.address(), number)).collect();

    let mut answers: Vec<Duration> = Vec::new();
    let began = Instant::now();
    thread::scope(|scope| {
        let writers = scope.spawn(|| {
            for number in 0..BYTES {
                for mut stream in &crowd {
                    stream.write_all(&[b'a' + (number % 26) as u8]).unwrap();
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        while !writers.is_finished() {
            // An answer goes to one guest. A line for all 5,000 costs more, so there are few of them.
            let asked = Instant::now();
            anna.says("/what?");
            while !anna.hears_line().contains("unknown command") {}
            answers.push(asked.elapsed());
            if answers.len().is_multiple_of(16) {
                let line = format!("line {}", answers.len());
                anna.says(&line);
                while bert.hears_line() != format!("guest1: {line}") {}
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    let grown = room.memory().saturating_sub(memory);
    answers.sort();
    let (median, slowest) = (answers[answers.len() / 2], answers[answers.len() - 1]);
    println!(
        "slow writers: {CROWD} with {BYTES} bytes each in {:?}; {} answers, median {median:?}, slowest {slowest:?}; {} \
         bytes of memory for each writer",
        began.elapsed(),
        answers.len(),
        grown / CROWD as u64
    );
    assert_eq!(room.descriptors(), descriptors + CROWD);
    assert!(answers.len() > 10);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(grown < CROWD as u64 * PER_GUEST, "{grown} bytes of memory");

    // They go with a reset. After an end, each half line would be a line for all to hear.
    for stream in &crowd {
        SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    drop(crowd);
    goes_back_to(&room, descriptors);
    while !anna.hears_line().ends_with("; 2 online") {}
    drop((anna, bert));
    room.signal(Signal::TERM);
    room.exits_with(0);
}

/// One of 5,000 never reads. All others hear everything, and it is disconnected at its limit.
#[test]
fn a_guest_that_never_reads_delays_none_of_5000() {
    const BATCH: usize = 4; // lines; 16 KiB

    let _alone = alone();
    raise_descriptor_limit();
    let mut room = Daemon::chat(&["-v", "--output-hard", "512KiB"]);
    let descriptors = room.descriptors();
    let stuck = Client::connect_narrow(room.address());
    let mut speaker = room.join();
    speaker.hears("* you are guest2; 2 online");
    // The kernel holds some megabytes for the stuck guest, which need not be sent to 5,000.
    stuff(&mut speaker, &[&stuck], 100_000);
    let mut speaker = Reader::new(speaker.into_stream());
    let mut crowd: Vec<Reader> = (2..CROWD).map(|number| Reader::new(join(room.address(), number))).collect();
    let before = room.memory();
    let mut random = Random(5);
    let (mut deliveries, mut slowest, began) = (0, Duration::ZERO, Instant::now());
    while !speaker.has_seen_guest1_leave {
        let said: Vec<String> = (0..BATCH).map(|_| format!("{:0>4000}", random.below(1 << 30))).collect();
        let batch_began = Instant::now();
        speaker.stream.write_all(format!("{}\n/what?\n", said.join("\n")).as_bytes()).unwrap();
        for reader in &mut crowd {
            for line in &said {
                reader.hears(&format!("guest2: {line}"));
            }
        }
        speaker.hears("* unknown command: /what?; try /help");
        slowest = slowest.max(batch_began.elapsed());
        deliveries += BATCH * crowd.len();
        assert!(deliveries < CROWD * 2000, "nobody is disconnected");
    }
    let (time, grown) = (began.elapsed(), room.peak_memory().saturating_sub(before));
    println!(
        "a stuck reader: {deliveries} deliveries of 4 KB in {time:?}, {BATCH} lines are with all {CROWD} within \
         {slowest:?}, at most {grown} bytes more memory"
    );
    assert!(grown < 4 << 20, "{grown} bytes of memory");
    room.logs("the output limit", |line| line.contains("output limit") || line.contains("does not read"));

    let memory = room.memory();
    drop((stuck, speaker, crowd));
    goes_back_to(&room, descriptors);
    println!("a stuck reader: {memory} bytes of memory with the crowd, {} without", room.memory());
    let _newcomer = joins_alone(&room);
    room.signal(Signal::TERM);
    room.exits_with(0);
}

/// Waits until the room has heard that all have gone. The descriptor of a connection is free a little before that, and what was not
/// sent to those who left counts as lost in a stop that comes between.
fn joins_alone(room: &Daemon) -> Client {
    let mut newcomer = None;
    wait_until("a guest who comes is alone", || {
        let mut guest = room.join();
        newcomer = guest.hears_line().ends_with("; 1 online").then_some(guest);
        newcomer.is_some()
    });
    newcomer.unwrap()
}

/// Waits until a daemon has no more than so many descriptors.
fn goes_back_to(daemon: &Daemon, descriptors: usize) {
    wait_until(&format!("{descriptors} descriptors"), || daemon.descriptors() == descriptors);
}

/// A guest who reads lines, in little memory.
struct Reader {
    stream: TcpStream,
    rest: Vec<u8>,
    has_seen_guest1_leave: bool,
}

impl Reader {
    fn new(stream: TcpStream) -> Reader {
        Reader { stream, rest: Vec::new(), has_seen_guest1_leave: false }
    }

    /// Waits for the next line, which must be this one; what the room announces may come between.
    #[track_caller]
    fn hears(&mut self, expected: &str) {
        let mut piece = [0; 1 << 15];
        loop {
            while let Some(length) = self.rest.iter().position(|byte| *byte == b'\n') {
                let is_it = &self.rest[..length] == expected.as_bytes();
                let line = String::from_utf8_lossy(&self.rest[..length]);
                self.has_seen_guest1_leave |= line.starts_with("* guest1 left; ");
                assert!(is_it || line.starts_with("* "), "expected {expected:?}, but heard {line:?}");
                self.rest.drain(..=length);
                if is_it {
                    return;
                }
            }
            let count = self.stream.read(&mut piece).unwrap();
            assert_ne!(count, 0, "the end");
            self.rest.extend(&piece[..count]);
        }
    }
}

/// A guest who has been welcomed.
fn join(room: SocketAddr, number: usize) -> TcpStream {
    let mut stream = connect(room, number);
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).unwrap(); // and nothing behind the line
    }
    stream
}
