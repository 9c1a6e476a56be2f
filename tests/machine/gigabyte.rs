//! A large file through two sockets into another file, on one loop, while a thousand clients are served beside it; and
//! the same with a disk that is full at half the way.
//!
//! 64 MiB in `cargo test`. `MEGABYTES=1024 cargo test --release --test machine gigabyte -- --nocapture` moves a
//! gigabyte, and says how long the clients have waited and how much memory it took; `docs/reliability.md` has the
//! figures.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::alone::alone;
use crate::support::folder::Folder;
use crate::support::isolated::{assert_one_passes, isolated};
use crate::support::many::raise_descriptor_limit;
use crate::support::process::peak_memory;
use tidegate::{EventLoop, FileOptions, Loop, Socket};

const CLIENTS: usize = 1_000;
/// Each client says something so often.
const PERIOD: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(300);

fn megabytes() -> usize {
    std::env::var("MEGABYTES").map_or(64, |text| text.parse().unwrap())
}

/// Bytes that do not repeat themselves: a 32-bit multiplicative sequence.
fn fill(path: &Path, megabytes: usize) {
    let mut file = File::create(path).unwrap();
    let mut number = 1u32;
    for _ in 0..megabytes {
        let megabyte: Vec<u8> = (0..1 << 18)
            .flat_map(|_| {
                number = number.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                number.to_le_bytes()
            })
            .collect();
        file.write_all(&megabyte).unwrap();
    }
}

/// How many bytes two files have in common, from the beginning.
fn common(one: &Path, other: &Path) -> usize {
    let (mut one, mut other) = (File::open(one).unwrap(), File::open(other).unwrap());
    let mut common = 0;
    loop {
        let (left, right) = (megabyte(&mut one), megabyte(&mut other));
        let equal = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
        common += equal;
        if left.is_empty() || equal < left.len() {
            return common;
        }
    }
}

/// The next one of a file, or what is left.
fn megabyte(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.take(1 << 20).read_to_end(&mut bytes).unwrap();
    bytes
}

/// What the clients, on a loop and a thread of their own, have waited for their answers.
fn ask(address: SocketAddr, until: &AtomicBool) -> Vec<Duration> {
    #[derive(Default)]
    struct Clients {
        asked: HashMap<usize, Instant>,
        answered: HashSet<usize>,
        waited: Vec<Duration>,
        no_more: bool,
    }
    let mut clients = EventLoop::with_state(Clients::default()).unwrap();
    for number in 0..CLIENTS {
        let setup = |client: &mut Socket<'_, Clients>| {
            client.set_no_delay(true);
            client.on_data(move |client, chunk| {
                assert_eq!(chunk, b"?");
                let asked = client.state.asked.remove(&number).unwrap();
                client.state.waited.push(asked.elapsed());
                client.state.answered.insert(number);
            });
        };
        let id = clients.connect(address, setup).unwrap();
        let ask = move |on: &mut Loop<'_, Clients>| {
            // The answer to the last question first.
            if !on.state.no_more && !on.state.asked.contains_key(&number) {
                on.state.asked.insert(number, Instant::now());
                on.net.write(id, b"?");
            }
        };
        // Not all of them at once.
        clients.after(PERIOD * number as u32 / CLIENTS as u32, move |on| {
            ask(on);
            on.every(PERIOD, ask);
        });
    }
    let deadline = Instant::now() + PATIENCE;
    while !clients.state.no_more || !clients.state.asked.is_empty() {
        clients.turn(Some(Duration::from_millis(5))).unwrap();
        clients.state.no_more = until.load(Ordering::Relaxed) && clients.state.answered.len() == CLIENTS;
        assert!(Instant::now() < deadline, "{} clients were answered", clients.state.answered.len());
    }
    clients.state.waited
}

/// What the loop has seen while the file was carried.
#[derive(Debug, Default)]
struct Seen {
    errors: Vec<String>,
    written: u64,
    into_is_closed: bool,
}

/// Writes down an error, and whose it is.
fn note_errors(socket: &mut Socket<'_, Seen>, who: &'static str) {
    socket.on_error(move |socket, error| socket.state.errors.push(format!("{who}: {error}")));
}

/// from ──▶ client ══▶ server's socket ──▶ into, on one loop that also answers the clients.
fn carry(from: &Path, into: &Path) -> (Seen, Vec<Duration>) {
    let mut event_loop = EventLoop::with_state(Seen::default()).unwrap();
    let answers = event_loop.listen("127.0.0.1:0", |socket| {
        let itself = socket.id();
        socket.pipe(itself).unwrap();
        note_errors(socket, "one of the thousand");
    });
    let answers = event_loop.net.server_address(answers.unwrap()).unwrap();
    let until = Arc::new(AtomicBool::new(false));
    let clients = thread::spawn({
        let until = until.clone();
        move || ask(answers, &until)
    });
    // The clients are there before the first byte.
    let deadline = Instant::now() + PATIENCE;
    while event_loop.net.sockets() < CLIENTS {
        event_loop.turn(Some(Duration::from_millis(50))).unwrap();
        assert!(Instant::now() < deadline, "{} clients", event_loop.net.sockets());
    }

    let file = event_loop
        .event_loop()
        .open(into, FileOptions::write(), |file| {
            note_errors(file, "into");
            file.on_close(|file, _| {
                file.state.written = file.bytes_written();
                file.state.into_is_closed = true;
            });
        })
        .unwrap();
    let server = event_loop
        .listen("127.0.0.1:0", move |socket| {
            socket.pipe(file).unwrap();
            note_errors(socket, "socket");
        })
        .unwrap();
    let address = event_loop.net.server_address(server).unwrap();
    let client = event_loop.connect(address, |client| note_errors(client, "client")).unwrap();
    let source = event_loop.event_loop().open(from, FileOptions::read(), |file| note_errors(file, "from")).unwrap();
    event_loop.net.pipe(source, client).unwrap();

    while !event_loop.state.into_is_closed {
        event_loop.turn(Some(Duration::from_millis(50))).unwrap();
        assert!(Instant::now() < deadline, "{:?}", event_loop.state);
    }
    // Everything goes on: each client is answered at least once more.
    until.store(true, Ordering::Relaxed);
    while !clients.is_finished() {
        event_loop.turn(Some(Duration::from_millis(5))).unwrap();
        assert!(Instant::now() < deadline, "the clients wait");
    }
    (event_loop.state, clients.join().unwrap())
}

fn report(what: &str, started: Instant, mut waited: Vec<Duration>) {
    waited.sort();
    let at = |share: f64| waited[((waited.len() - 1) as f64 * share) as usize];
    println!(
        "{what} in {:.2?}; {} questions of {CLIENTS} clients: median {:.2?}, p99 {:.2?}, longest {:.2?}; {} KiB at most",
        started.elapsed(),
        waited.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        peak_memory("self") >> 10,
    );
}

#[test]
fn a_file_arrives_whole_and_a_thousand_clients_are_answered_meanwhile() {
    let _alone = alone();
    raise_descriptor_limit();
    isolated("gigabyte::a_file_arrives_whole_and_a_thousand_clients_are_answered_meanwhile", carry_all_of_it);
}

fn carry_all_of_it() {
    let folder = Folder::new();
    let (from, into) = (folder.path("from"), folder.path("into"));
    fill(&from, megabytes());
    let before = peak_memory("self");
    let started = Instant::now();
    let (seen, waited) = carry(&from, &into);
    report(&format!("{} MiB", megabytes()), started, waited.clone());
    assert!(seen.errors.is_empty(), "{:?}", seen.errors);
    assert_eq!(seen.written, (megabytes() << 20) as u64);
    assert!(waited.len() >= CLIENTS, "{} answers", waited.len());
    let growth = peak_memory("self") - before;
    assert!(growth < 16 << 20, "{growth} bytes of memory, both ends of a thousand connections among it");
    assert_eq!(common(&from, &into), megabytes() << 20);
}

/// A disk of half the size, in a mount namespace of its own.
#[test]
fn a_full_disk_is_one_clear_error_and_the_clients_are_answered() {
    const INSIDE: &str = "TIDEGATE_SMALL_DISK";
    let half = megabytes() / 2;
    if let Some(disk) = std::env::var_os(INSIDE) {
        let disk = PathBuf::from(disk);
        let folder = Folder::new();
        let (from, into) = (folder.path("from"), disk.join("into"));
        fill(&from, megabytes());
        let started = Instant::now();
        let (seen, waited) = carry(&from, &into);
        assert_eq!(seen.errors, ["into: write ENOSPC: no space left on device"], "one clear error");
        let fitted = common(&from, &into);
        assert_eq!(seen.written, fitted as u64, "what was written is counted");
        assert_eq!(fitted, half << 20);
        assert!(waited.len() >= CLIENTS, "{} answers", waited.len());
        report(&format!("{half} MiB of {}", megabytes()), started, waited);
        return;
    }
    let _alone = alone();
    raise_descriptor_limit();
    let folder = Folder::new();
    let mount = format!("mount -t tmpfs -o size={half}M none \"$0\"");
    let in_a_namespace = |then: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &format!("{mount} && {then}")]);
        command.arg(folder.itself());
        command
    };
    if !in_a_namespace("true").status().is_ok_and(|status| status.success()) {
        return println!("not run: this system lets nobody mount a disk (the simulated one is in simulated_disk.rs)");
    }
    let mut inside = in_a_namespace(
        "exec \"$1\" --exact gigabyte::a_full_disk_is_one_clear_error_and_the_clients_are_answered --nocapture",
    );
    assert_one_passes(inside.arg(std::env::current_exe().unwrap()).env(INSIDE, folder.itself()));
}
