//! The random calls: everything that a program can do with sockets, servers, timers and the network, in any order.

use std::panic::resume_unwind;
use std::time::Duration;

use tidegate::sim::{Conditions, Disk};
use tidegate::{
    Endpoint, FileOptions, OpenMode, OutputLimits, OutputPolicy, ServerOptions, SocketId, SocketOptions, SoftLimit,
};

use super::party::{LONGEST_WRITE, On, greet, owe, paid, watch, write, yield_turn};
use super::stage::Stage;
use super::stops;

/// At most so many sockets are open on a side that connects.
const MOST_OPEN: u64 = 16;

/// SIGUSR1, which does nothing but cause an event.
pub const SIGNAL: i32 = 10;

/// What a handler panics with, now and then.
pub struct Mistake;

/// Some random calls. Some handlers make mistakes.
pub fn act(on: &mut On<'_>) {
    stops::settle(on);
    if on.state.makes_mistakes && !on.state.quiet && on.state.random(200) == 0 {
        // As a panic, and nobody prints it.
        resume_unwind(Box::new(Mistake));
    }
    for _ in 0..on.state.random(5) {
        if on.state.quiet {
            return;
        }
        act_once(on);
    }
}

fn act_once(on: &mut On<'_>) {
    let open = on.state.open.len() as u64;
    if open == 0 || (open < MOST_OPEN && on.state.random(8) == 0) {
        return connect(on);
    }
    let id = on.state.open[on.state.random(open) as usize];
    let other = on.state.open[on.state.random(open) as usize];
    match on.state.random(if on.state.mixed { 52 } else { 42 }) {
        0..=13 => write_some(on, id),
        14 => owe(on, id, |socket| socket.end_then(|socket, _| paid(socket))),
        15 => on.net.end(id, None),
        16 if on.state.random(3) == 0 => on.net.destroy(id),
        17 if on.state.random(3) == 0 => on.net.reset(id),
        18 => on.net.destroy_soon(id),
        19 | 20 => on.net.pause(id),
        21..=24 => on.net.resume(id),
        25 => cork(on, id),
        26 | 27 => uncork(on, id),
        28 => set_timeout(on, id),
        29 => on.next_tick(act),
        30 | 31 => set_timer(on),
        32 => on.net.set_no_delay(id, on.state.random(2) == 0),
        33 => on.net.set_ref(id, on.state.random(2) == 0),
        34 => owe(on, id, |socket| socket.catch_up(|socket, _| paid(socket))),
        35 if on.state.random(20) == 0 => partition(on),
        36 if on.state.random(10) == 0 => close_server(on),
        37 => listen(on),
        38 if on.state.random(4) == 0 => on.state.sim.raise(SIGNAL),
        39 if on.state.random(4) == 0 => {
            let conditions = conditions(&on.state.sim);
            on.state.sim.set_conditions(conditions);
            let disk = disk(&on.state.sim);
            on.state.sim.set_disk(disk);
        }
        40 => yield_turn(on, id),
        41 if on.state.stops.are_played && on.state.random(20) == 0 => stops::tell(on),
        42 | 43 => pipe(on, id, other),
        44 => on.net.unpipe(id, other),
        45 => on.net.broadcast(on.state.open.iter().copied(), "to all of you"),
        46 | 47 => {
            let long = vec![b'b'; on.state.one_of(&[10, 1000, 30_000])];
            on.net.broadcast_from(id, on.state.open.iter().copied(), long);
        }
        48 => limit(on, id),
        49 => open_file(on),
        50 => {
            let limit = on.state.one_of(&[None, Some(0), Some(100_000), Some(400_000), Some(2_000_000)]);
            on.net.set_memory_limit(limit);
        }
        _ => {}
    }
}

fn connect(on: &mut On<'_>) {
    let options = SocketOptions::new()
        .allow_half_open(on.state.random(2) == 0)
        .high_water_mark(on.state.one_of(&[0, 1, 1000, 65536]))
        .no_delay(on.state.random(2) == 0)
        .notice_gone_peers(on.state.random(3) == 0)
        .outlasts(on.state.random(20) == 0)
        .connect_timeout(on.state.one_of(&[
            None,
            None,
            Some(Duration::from_millis(50)),
            Some(Duration::from_secs(20)),
        ]));
    let to = on.state.one_of(&on.state.neighbours);
    let made = on.connect_with(to, options, |socket| {
        watch(socket);
        if matches!(to, Endpoint::Unix(_)) && !socket.state.mixed {
            greet(socket);
        }
    });
    assert!(made.is_ok(), "the address and the options are good: {made:?}");
}

fn write_some(on: &mut On<'_>, id: SocketId) {
    let length = match on.state.random(40) {
        0 => on.state.one_of(&[70_000, LONGEST_WRITE]),
        1..=4 => 0,
        5..=12 => 5000,
        _ => 1 + on.state.random(300) as usize,
    };
    write(on, id, length);
}

fn cork(on: &mut On<'_>, id: SocketId) {
    on.net.cork(id);
    if let Some(seen) = on.state.seen.get_mut(&id) {
        seen.corks += 1;
    }
}

fn uncork(on: &mut On<'_>, id: SocketId) {
    on.net.uncork(id);
    if let Some(seen) = on.state.seen.get_mut(&id) {
        seen.corks = seen.corks.saturating_sub(1);
    }
}

fn set_timeout(on: &mut On<'_>, id: SocketId) {
    let period = Duration::from_millis(on.state.random(50));
    on.net.set_timeout(id, Some(period));
    let now = on.state.sim.now();
    if let Some(seen) = on.state.seen.get_mut(&id) {
        seen.clock = Some((now, period));
    }
}

/// A timer that acts, and is not early; sometimes one that is cancelled and never comes.
fn set_timer(on: &mut On<'_>) {
    let due = on.state.sim.now() + Duration::from_millis(on.state.random(20));
    let delay = due - on.state.sim.now();
    let cancelled = on.state.random(4) == 0;
    let timer = on.after(delay, move |on| {
        let now = on.state.sim.now();
        if now < due || cancelled {
            on.state.problems.push(format!("{now:?}: a timer for {due:?}, cancelled: {cancelled}"));
        }
        act(on);
    });
    if cancelled {
        on.cancel(timer);
    }
}

/// Cuts this side off for a while.
fn partition(on: &mut On<'_>) {
    let ip = on.state.ip;
    on.state.sim.partition(ip, true);
    let sim = on.state.sim.clone();
    on.after(Duration::from_millis(on.state.random(60)), move |_| sim.partition(ip, false));
}

/// Closes a server, if it has one at this place. Its path may stay, like that of one that was killed.
fn close_server(on: &mut On<'_>) {
    if let (place, Some(server)) = on.state.one_of(&on.state.places) {
        on.net.close_server(server);
        if on.state.random(2) == 0 {
            leave_path(&on.state.sim, place);
        }
    }
}

/// A socket's file on which nobody listens.
pub fn leave_path(sim: &Stage, place: Endpoint) {
    if let Endpoint::Unix(address) = place
        && let Some(path) = address.as_path()
    {
        sim.put_stale_socket(path);
    }
}

/// Listens at one of its places, unless it does already.
fn listen(on: &mut On<'_>) {
    let at = on.state.random(on.state.places.len() as u64) as usize;
    listen_at(on, at);
}

pub fn listen_at(on: &mut On<'_>, at: usize) {
    let (place, server) = on.state.places[at];
    if let Some(id) = server {
        if on.net.is_listening(id) {
            return on.net.set_max_connections(id, on.state.one_of(&[None, None, Some(6)]));
        }
        on.net.remove_server(id);
    }
    let options = ServerOptions::new()
        .allow_half_open(on.state.random(2) == 0)
        .pause_on_connect(on.state.random(4) == 0)
        .high_water_mark(on.state.one_of(&[0, 1, 1000, 65536]))
        .no_delay(on.state.random(2) == 0)
        .notice_gone_peers(on.state.random(3) == 0)
        .backlog(on.state.one_of(&[1, 511]))
        .reuse_port(on.state.random(2) == 0);
    // It may fail for want of descriptors, or because one of two servers does not share its port. Then it is tried
    // again.
    let server = on.listen_with(place, options.clone(), |socket| {
        watch(socket);
        act(&mut socket.event_loop());
    });
    let listens = server.is_ok();
    on.state.places[at].1 = server.ok();
    // Servers that do not share a place have it alone.
    if listens {
        let second = on.listen_with(place, options.reuse_port(false), |_| {});
        assert!(second.is_err(), "two servers listen at {place}");
    }
}

fn pipe(on: &mut On<'_>, from: SocketId, to: SocketId) {
    let with_a_file = on.net.connection(from).is_file() || on.net.connection(to).is_file();
    let piped = match on.state.random(2) == 0 {
        true => on.net.pipe(from, to),
        false => on.net.pipe_without_end(from, to),
    };
    assert!(piped.is_ok() || with_a_file, "an open socket can be piped");
}

/// A file, which from then on is one of the sockets and gets the same random calls.
fn open_file(on: &mut On<'_>) {
    let mode = on.state.one_of(&[OpenMode::Read, OpenMode::Write, OpenMode::Append]);
    let path = if mode == OpenMode::Read { "source" } else { "sink" };
    let options = FileOptions::new(mode).high_water_mark(on.state.one_of(&[1, 1000, 65536]));
    // It may fail for want of descriptors.
    let opened = on.open(path, options, watch);
    if let (Ok(file), Some(other)) = (opened, on.state.open.first().copied()) {
        if mode == OpenMode::Read { pipe(on, file, other) } else { pipe(on, other, file) }
    }
}

fn limit(on: &mut On<'_>, id: SocketId) {
    let policy = on.state.one_of(&[
        OutputPolicy::Disconnect,
        OutputPolicy::DropNewest,
        OutputPolicy::DropOldest,
        OutputPolicy::PauseSenders,
    ]);
    if matches!(policy, OutputPolicy::DropNewest | OutputPolicy::DropOldest) {
        on.state.drops.insert(id);
    }
    let soft = SoftLimit::new(50_000, Duration::from_millis(20));
    let set = on.net.set_output_limits(id, OutputLimits::new().hard(200_000).soft(soft).policy(policy));
    assert!(set.is_ok(), "the limits are in order");
}

/// Any disk, with a file to read on it.
pub fn disk(sim: &Stage) -> Disk {
    let one_of = |choices: &[u64]| choices[sim.random(choices.len() as u64) as usize];
    sim.put_file("source", vec![b's'; one_of(&[0, 10, 5000, 200_000]) as usize]);
    sim.damage_file("source", [None, None, Some(3000)][sim.random(3) as usize]);
    Disk::new()
        .size(one_of(&[u64::MAX, 300_000]))
        .quota(one_of(&[u64::MAX, u64::MAX, 250_000]))
        .slow(Duration::from_micros(one_of(&[0, 0, 100])))
        .short(one_of(&[0, 200]) as u32)
}

/// Any conditions.
pub fn conditions(sim: &Stage) -> Conditions {
    let one_of = |choices: &[u32]| choices[sim.random(choices.len() as u64) as usize];
    Conditions::new()
        .buffer(one_of(&[1, 4096, 10_000, 100_000, 3_900_000]) as usize)
        .delay(Duration::from_micros(u64::from(one_of(&[0, 100, 5000]))))
        .short(one_of(&[0, 100, 500]))
        .late(one_of(&[0, 100]))
        .spurious(one_of(&[0, 200]))
        .interrupted(one_of(&[0, 20]))
        .resets(one_of(&[0, 0, 1]))
        .no_buffers(one_of(&[0, 20]))
        .faults(one_of(&[0, 0, 0, 2, 10]))
        .descriptors(one_of(&[20_000, 20_000, 14]) as usize)
}
