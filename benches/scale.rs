//! What does not grow: the price of an event, of a timer and of a delivery with ten connections and with a million; and
//! what each connection costs in memory. `cargo bench --bench scale`.
//!
//! It runs on a kernel without sockets (`null_kernel/`), so it shows what a larger machine would hold. It prints tables,
//! which `docs/benchmarks.md` shows.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so")]

mod null_kernel;

use std::time::{Duration, Instant};

use null_kernel::Crowd;
use tidegate::{Lines, Socket};

fn main() {
    events();
    timers();
    deliveries();
    memory();
}

/// The best of several: what disturbs only adds.
fn best(times: usize, mut run: impl FnMut() -> f64) -> f64 {
    (0..times).map(|_| run()).fold(f64::INFINITY, f64::min)
}

/// Nanoseconds for each of `count`, of what `run` does `count` times.
fn nanoseconds(count: usize, run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_secs_f64() * 1e9 / count as f64
}

/// An echo: 64 of them have a message in each turn, the others are idle.
fn events() {
    println!("an event: one message of 64 bytes read, given to a closure, and written back; 64 in a turn");
    for connections in [64, 1_000, 15_000, 1_000_000] {
        let mut crowd = Crowd::of(connections, (), |socket| {
            socket.on_data(|socket, chunk| {
                socket.write(chunk);
            });
        });
        let turns = 2_000;
        let price = best(5, || {
            nanoseconds(turns * 64, || {
                for _ in 0..turns {
                    crowd.wake(64);
                    crowd.turn();
                }
            })
        });
        println!("  {connections:>9} connections: {price:6.1} ns");
    }
}

fn timers() {
    println!("a timer among so many others: set, moved (cancelled and set again), cancelled");
    for others in [10, 1_000, 1_000_000] {
        let mut crowd = Crowd::of(1, (), |_| {});
        let net = crowd.net();
        let delay = |n: usize| Duration::from_millis(1_000_000 + (n as u64 * 7919) % 1_000_000);
        (0..others).for_each(|n| {
            net.after(delay(n));
        });
        let count = 100_000;
        let mut ids = Vec::new();
        let set = nanoseconds(count, || ids.extend((0..count).map(|n| net.after(delay(n)))));
        let moved = nanoseconds(count, || {
            for (n, id) in ids.iter_mut().enumerate() {
                net.cancel(*id);
                *id = net.after(delay(n + 1));
            }
        });
        let cancelled = nanoseconds(count, || ids.drain(..).for_each(|id| assert!(net.cancel(id))));
        println!("  {others:>9} others: {set:6.1} ns, {moved:6.1} ns, {cancelled:6.1} ns");
    }
    println!("an idle clock that is moved by a message");
    for connections in [1_000, 1_000_000] {
        let mut crowd = Crowd::of(connections, (), |socket| {
            socket.set_timeout(Some(Duration::from_secs(60)));
            socket.on_data(|_, _| {});
        });
        let price = best(5, || {
            nanoseconds(1000 * 64, || {
                for _ in 0..1000 {
                    crowd.wake(64);
                    crowd.turn();
                }
            })
        });
        println!("  {connections:>9} connections: {price:6.1} ns, the message included");
    }
}

fn deliveries() {
    println!("a delivery of a broadcast: one line of 64 bytes to all, and to how many in one turn");
    for connections in [100, 15_000, 1_000_000] {
        let mut crowd = Crowd::of(connections, (), |_| {});
        let ids = crowd.ids.clone();
        let mut longest = Duration::ZERO;
        let price = best(5, || {
            nanoseconds(connections, || {
                crowd.net().broadcast(ids.iter().copied(), [b'x'; 64]);
                while crowd.net().connection(ids[connections - 1]).buffer_size() > 0 {
                    let started = Instant::now();
                    crowd.turn();
                    longest = longest.max(started.elapsed());
                }
            })
        });
        println!("  {connections:>9} connections: {price:6.1} ns; the longest turn took {longest:.1?}");
    }
}

/// A way to be that costs memory, and the state of the loop that it needs.
type State = (&'static str, fn(&mut Socket<'_, Vec<Lines>>), fn(&mut Crowd<Vec<Lines>>));

fn memory() {
    const CONNECTIONS: usize = 100_000;
    println!("memory of a connection, of {CONNECTIONS}, the system's for its socket not among it");
    let states: [State; 8] = [
        ("accepted, no handler", |_| {}, |_| {}),
        ("idle, one handler for data", |socket| socket.on_data(|_, _| {}), |_| {}),
        ("idle, piped into itself", |socket| echo(socket), |_| {}),
        (
            "idle, four handlers and a timeout",
            |socket| {
                socket.on_data(|_, _| {});
                socket.on_error(|_, _| {});
                socket.on_close(|_, _| {});
                socket.on_timeout(|_| {});
                socket.set_timeout(Some(Duration::from_secs(60)));
            },
            |_| {},
        ),
        (
            "half a line of 32 bytes held by the user",
            |socket| {
                let mut lines = Lines::at_most(4096);
                lines.push(&[b'x'; 32]).for_each(drop);
                socket.state.push(lines);
            },
            |_| {},
        ),
        (
            "paused, 64 bytes read ahead",
            |socket| socket.pause(),
            |crowd| {
                for at in 0..CONNECTIONS {
                    crowd.plan.borrow_mut().ready.push(at);
                }
                crowd.turn();
            },
        ),
        (
            "queue of 1 KiB, of its own",
            |_| {},
            |crowd| {
                crowd.set_full(true);
                for id in crowd.ids.clone() {
                    crowd.net().write(id, &[b'x'; 1024]);
                }
            },
        ),
        (
            "queue of 1 KiB, of broadcasts",
            |_| {},
            |crowd| {
                crowd.set_full(true);
                let ids = crowd.ids.clone();
                for _ in 0..16 {
                    crowd.net().broadcast(ids.iter().copied(), [b'x'; 64]);
                    crowd.turn();
                }
            },
        ),
    ];
    for (name, setup, then) in states {
        let before = resident();
        let mut crowd = Crowd::of(CONNECTIONS, Vec::new(), setup);
        then(&mut crowd);
        // The benchmark's own books: the ids and the tokens.
        let books = CONNECTIONS * 16;
        let bytes = (resident() - before).saturating_sub(books) as f64 / CONNECTIONS as f64;
        println!("  {name:<42} {bytes:7.0} B");
        std::mem::forget(crowd);
    }
}

fn echo<S>(socket: &mut Socket<'_, S>) {
    let itself = socket.id();
    socket.pipe(itself).expect("the socket is there");
}

/// Bytes of this process in memory (proc_pid_statm(5)); 0 where there is no such file.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
