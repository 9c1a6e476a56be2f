//! The whole loop on a simulated network, under conditions that no real network has: random calls on random sockets, all
//! from one seed.
//!
//! What must hold whatever happens: the bytes that arrive are those that were written, in order, and none is missing
//! where nobody cut the connection short; `close` comes once for each socket, and nothing after it; each callback comes
//! once; `buffer_size` is the sum of the writes that are not completed; no timer is early; a paused socket hears
//! nothing, and so does one that has given its turn away; a turn takes its budget of time and no more than some handlers;
//! when the random calls are over and the network is quiet, everything comes to its end, and nothing is left.
//! Besides, the library looks at itself every 64th turn and at the end (`Net::check`), and so does the simulator
//! (`Sim::check`).
//!
//! ```text
//! cargo test --test sim simulation                           2,000 seeds of 5,000 turns, a process for each core
//! SEED=17 cargo test --test sim simulation -- --nocapture    one seed again, with the end of its trace
//! SEED=17 RECORD=/run/seed cargo test --test sim simulation -- --nocapture      its loops recorded, and played
//! SEED=17 PLAY=/run/seed cargo test --test sim simulation -- --nocapture        they are played again
//! SEEDS=1000000 FROM=2000 TURNS=500 cargo test --release --test sim simulation
//! ```

mod acts;
mod party;
mod stage;
mod stops;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tidegate::kernel::RunEnd;
use tidegate::sim::{Conditions, Disk, Sim, Turning};
use tidegate::{Endpoint, EventLoop, Statistics};

use acts::{Mistake, SIGNAL, act, conditions, disk, leave_path, listen_at};
use party::{Connection, Ledger, Party, settle_accounts};
use stage::{Kernel, Records, Stage};

use crate::support::folder::Folder;

const SEEDS: u64 = 2000;
const TURNS: u64 = 5000;

/// One seed in so many is played twice.
const TWICE: u64 = 100;

/// A long run reports its progress every so many seeds.
const PROGRESS: u64 = 10_000;

/// Lines of the trace that a failing seed prints.
const TRACE: usize = 400;

/// What one seed came to.
#[derive(Debug, PartialEq)]
struct Outcome {
    problems: Vec<String>,
    turns: u64,
    closes: u64,
    calls: u64,
    fingerprint: u64,
    ended: Duration,
    /// How each loop has ended, if they are played from recordings.
    played: Vec<RunEnd>,
}

fn play(seed: u64, turns: u64) -> Outcome {
    play_on(&Sim::new(seed), turns, &Records::None)
}

/// Plays one seed, from the first connection until nothing is left.
fn play_on(network: &Sim, turns: u64, records: &Records) -> Outcome {
    // What is decided between the turns belongs to the first loop.
    let (sim, kernel) = &mut Stage::new(network, records, 0);
    sim.set_conditions(conditions(sim));
    sim.set_disk(disk(sim));
    let ledger = Ledger::default();
    let mut parties = gather(sim, std::mem::replace(kernel, Kernel::Live), records, &ledger);
    let mut problems = Vec::new();
    while turns_of(&parties) < turns && problems.is_empty() {
        turn(sim, &mut parties, Duration::from_millis(1));
        look(&mut parties, &mut problems);
        stop_some(sim, &mut parties);
    }
    if problems.is_empty() {
        part(sim, &mut parties, &mut problems);
        settle_accounts(&ledger, &mut problems);
    }
    let closes = parties.iter().map(|party| party.state.closes).sum();
    let turns = turns_of(&parties);
    let (calls, fingerprint, ended) = (sim.calls(), sim.fingerprint(), sim.now());
    let stages: Vec<Stage> = parties.iter().map(|party| party.state.sim.clone()).collect();
    drop(parties);
    let played = stages.iter().filter_map(|stage| Some(stage.playback()?.report().end)).collect();
    Outcome { problems, turns, closes, calls, fingerprint, ended, played }
}

/// One loop, or two that talk with each other and with themselves.
fn gather(sim: &Stage, first: Kernel, records: &Records, ledger: &Ledger) -> Vec<EventLoop<Party>> {
    let ips: Vec<IpAddr> = (0..=sim.random(2)).map(|n| IpAddr::from([10, 0, 0, 1 + n as u8])).collect();
    let mixed = sim.random(2) == 0;
    let places: Vec<Vec<Endpoint>> = ips.iter().map(|ip| places_of(sim, *ip)).collect();
    let mut first = Some(first);
    let gathered = ips.iter().zip(&places).enumerate().map(|(number, (ip, own))| {
        let (stage, kernel) = match first.take() {
            Some(kernel) => (sim.clone(), kernel),
            None => Stage::new(sim, records, number),
        };
        let mut party = Party::new(stage.clone(), *ip, places.concat(), mixed, ledger.clone());
        party.places = own.iter().map(|place| (*place, None)).collect();
        let slow = [0, 0, 10, 200, 1000][sim.random(5) as usize];
        party.slow = Duration::from_micros(slow);
        party.makes_mistakes = sim.random(4) == 0;
        party.stops.are_played = sim.random(3) == 0;
        let mut event_loop = stage.event_loop(kernel, party);
        if own.len() == 2 {
            event_loop.net.keep_statistics();
        }
        let budget = [None, Some(100), Some(1000), Some(5000), Some(5000)][sim.random(5) as usize];
        event_loop.net.set_turn_budget(budget.map(Duration::from_micros)).expect("it is more than a microsecond");
        (0..own.len()).for_each(|at| listen_at(&mut event_loop.event_loop(), at));
        let period = Duration::from_millis(1 + sim.random(2));
        event_loop.every(period, act);
        event_loop.on_signal(SIGNAL, |on| on.state.signals += 1).expect("the simulated kernel has signals");
        event_loop
    });
    gathered.collect()
}

/// An address, sometimes for two to share, and sometimes a Unix socket beside it, with a path or with a name.
fn places_of(sim: &Stage, ip: IpAddr) -> Vec<Endpoint> {
    let mut places = vec![Endpoint::from((ip, 7)); 1 + sim.random(2) as usize];
    let unix = match sim.random(4) {
        0 | 1 => Some(format!("unix:/run/{ip}")),
        2 => Some(format!("unix:@{ip}")),
        _ => None,
    };
    places.extend(unix.map(|unix| unix.parse::<Endpoint>().expect("a path or a name")));
    if sim.random(2) == 0 {
        places.iter().for_each(|place| leave_path(sim, *place));
    }
    places
}

fn turns_of(parties: &[EventLoop<Party>]) -> u64 {
    parties.iter().map(|party| party.net.counters().turns).sum()
}

/// A turn of the loop that is alone, or so much time of those that are not. After a mistake of a handler all turns come to
/// their end.
fn turn(sim: &Stage, parties: &mut [EventLoop<Party>], most: Duration) {
    let turned = without_mistake(|| {
        if let [alone] = parties
            && alone.state.stops.are_played
            && sim.random(3) == 0
        {
            stops::run(alone, most);
        } else if let [alone] = parties {
            sim.turn(alone, most);
        } else {
            let mut turning: Vec<&mut dyn Turning> =
                parties.iter_mut().map(|party| party as &mut dyn Turning).collect();
            let ran = sim.run(&mut turning, sim.now() + most);
            parties.iter().for_each(|party| party.state.sim.goes_on());
            ran.expect("a simulated kernel can wait");
        }
    });
    if !turned {
        for party in parties {
            while !without_mistake(|| sim.turn(party, Duration::ZERO)) {}
        }
    }
}

/// False if a handler made a mistake.
fn without_mistake(work: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(work)) {
        Err(panicked) if !panicked.is::<Mistake>() => resume_unwind(panicked),
        worked => worked.is_ok(),
    }
}

/// Between two turns a loop is stopped or shut down as well.
fn stop_some(sim: &Stage, parties: &mut [EventLoop<Party>]) {
    for party in parties {
        if party.state.stops.are_played && sim.random(200) == 0 {
            stops::tell(&mut party.event_loop());
        }
    }
}

fn look(parties: &mut [EventLoop<Party>], problems: &mut Vec<String>) {
    let turn = parties.iter().map(|party| party.net.counters().longest_turn).sum();
    let is_alone = parties.len() == 1;
    for party in parties {
        stops::look(&mut party.event_loop(), turn, is_alone);
        Party::compare(&mut party.event_loop());
        problems.append(&mut party.state.problems);
    }
}

/// The network is without failures from now on: all that was written arrives, then all is ended, and everything has to come to its end.
fn part(sim: &Stage, parties: &mut [EventLoop<Party>], problems: &mut Vec<String>) {
    sim.set_conditions(Conditions::new().buffer(100_000));
    sim.set_disk(Disk::new());
    for party in parties.iter_mut() {
        // Slow handlers come among other work that costs nothing here, what follows an event is not put off, and a disk takes
        // up to 100 us for a call.
        let piece = party.state.slow + Duration::from_micros(100);
        let (longest, budget) = (party.net.counters().longest_turn, party.net.turn_budget());
        // A turn that a mistake has cut in two has the time of the other loops in it.
        if !party.state.makes_mistakes && budget.is_some_and(|budget| longest > budget + 100 * piece) {
            problems.push(format!("a turn took {longest:?}, where {budget:?} is the budget"));
        }
        sim.partition(party.state.ip, false);
        party.state.quiet = true;
        party.state.slow = Duration::ZERO;
        Party::let_go(&mut party.event_loop());
        party.every(Duration::from_millis(20), Party::resume_all);
    }
    // Two echoes that are connected to each other would go on for ever.
    if !parties[0].state.mixed {
        let half_a_second = Duration::from_millis(500);
        run_until(sim, parties, sim.now() + half_a_second, |_| false);
        let before = streams(parties);
        run_until(sim, parties, sim.now() + half_a_second, |_| false);
        look(parties, problems);
        compare_streams(&before, &streams(parties), problems);
    }

    for party in parties.iter_mut() {
        party.every(Duration::from_millis(20), Party::end_all);
    }
    // A connect that found no place may be tried again after a minute. Nothing takes longer.
    let nobody = |parties: &[EventLoop<Party>]| parties.iter().all(|party| party.net.sockets() == 0);
    run_until(sim, parties, sim.now() + Duration::from_secs(200), nobody);
    look(parties, problems);
    for party in parties.iter_mut() {
        problems.extend(party.net.check().err());
        for id in &party.state.open {
            let (state, buffered) =
                (party.net.connection(*id).ready_state().name(), party.net.connection(*id).buffer_size());
            problems.push(format!("{id:?} has not come to its end: {state}, {buffered} bytes buffered"));
        }
        party.event_loop().close_all();
    }
    run_until(sim, parties, sim.now() + Duration::from_secs(1), |_| false);
    for party in parties.iter_mut() {
        party.state.settle();
        problems.extend(party.net.statistics().and_then(|statistics| add_up(&statistics, party)));
        if party.net.sockets() != 0 {
            problems.push(format!("{} sockets are left", party.net.sockets()));
        }
    }
    look(parties, problems);
    problems.extend(sim.check().err());
    if sim.descriptors() != 0 {
        problems.push(format!("{} descriptors are left", sim.descriptors()));
    }
}

/// What is wrong with the statistics of a loop at its end.
fn add_up(statistics: &Statistics, party: &EventLoop<Party>) -> Option<String> {
    let counters = party.net.counters();
    let closes: u64 = statistics.closes.values().sum();
    let sums = [
        (statistics.turns, counters.turns, "turns"),
        (statistics.turn_times.count(), counters.turns, "times of turns"),
        (statistics.accepted, counters.accepted, "accepted"),
        (statistics.messages_dropped, counters.messages_dropped, "messages dropped"),
        (statistics.connections.values().sum(), 0, "connections at the end"),
        (statistics.server_connections.values().sum(), 0, "connections of servers at the end"),
        (statistics.queued, 0, "bytes queued at the end"),
        (statistics.memory_held, counters.memory_held as u64, "memory"),
        (statistics.timers_set - statistics.timers_due - statistics.timers_cancelled, statistics.timers, "timers"),
        (statistics.timer_lags.count(), statistics.timers_due, "lags"),
        (closes.max(party.state.closes), closes, "closes"),
    ];
    let wrong = sums.iter().find(|(counted, is, _)| counted != is);
    let wrong = wrong.map(|(counted, is, what)| format!("the statistics have {counted} {what}: it is {is}"));
    let adds_up = statistics.turn_times.sum() == statistics.working
        && statistics.reads >= statistics.reads_blocked
        && statistics.writes >= statistics.writes_blocked + statistics.writes_short;
    wrong.or_else(|| (!adds_up).then(|| format!("the statistics do not add up: {statistics:?}")))
}

fn run_until(
    sim: &Stage,
    parties: &mut [EventLoop<Party>],
    end: Duration,
    enough: impl Fn(&[EventLoop<Party>]) -> bool,
) {
    while sim.now() < end && !enough(parties) {
        turn(sim, parties, Duration::from_millis(20));
    }
}

/// What each side of each open connection has written and heard.
type Streams = HashMap<Connection, Vec<(u64, u64)>>;

fn streams(parties: &[EventLoop<Party>]) -> Streams {
    let mut streams = Streams::new();
    for party in parties {
        for id in &party.state.open {
            let seen = &party.state.seen[id];
            if let Some((connection, written, received)) = seen.stream()
                && !seen.affected.discards
            {
                streams.entry(connection).or_default().push((written, received));
            }
        }
    }
    streams
}

/// If two sockets were connected a while ago and write nothing, each has heard all that the other has written.
fn compare_streams(before: &Streams, now: &Streams, problems: &mut Vec<String>) {
    for (connection, sides) in now {
        let settled = before.get(connection).is_some_and(|sides| sides.len() == 2);
        if let [one, other] = sides.as_slice()
            && settled
            && (one.0, one.1) != (other.1, other.0)
        {
            problems.push(format!("{connection:?} is idle, and (written, received) are {one:?} and {other:?}"));
        }
    }
}

/// Plays a range of seeds, and says what went wrong first.
fn play_all(seeds: std::ops::Range<u64>, turns: u64) -> Result<(u64, u64), String> {
    let (mut played, mut calls) = (0, 0);
    for seed in seeds {
        if seed.is_multiple_of(PROGRESS) {
            println!("seed {seed}");
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| play(seed, turns)));
        let fault = match &outcome {
            Err(_) => Some("it panicked".to_owned()),
            Ok(outcome) if !outcome.problems.is_empty() => Some(outcome.problems.join("\n  ")),
            Ok(outcome) if seed.is_multiple_of(TWICE) && play(seed, turns) != *outcome => {
                Some("the second run was another".to_owned())
            }
            Ok(outcome) => {
                played += outcome.turns;
                calls += outcome.calls;
                None
            }
        };
        if let Some(fault) = fault {
            return Err(format!(
                "seed {seed}: {fault}\nreplay it with\n    SEED={seed} TURNS={turns} cargo test --test sim simulation -- --nocapture\n\
                 With RECORD=/run/seed its loops are recorded there, and with PLAY=/run/seed in its place they are played again."
            ));
        }
    }
    Ok((played, calls))
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn whatever_happens_the_promises_hold() {
    let turns = setting("TURNS").unwrap_or(TURNS);
    if let Some(seed) = setting("SEED") {
        return replay(seed, turns);
    }
    let (from, seeds) = (setting("FROM").unwrap_or(0), setting("SEEDS").unwrap_or(SEEDS));
    if std::env::var_os("IN_A_PROCESS_OF_ITS_OWN").is_some() {
        match play_all(from..from + seeds, turns) {
            Ok((turns, calls)) => println!("{turns} turns, {calls} kernel calls"),
            Err(what) => panic!("{what}"),
        }
        return;
    }
    in_processes(from, seeds);
}

/// One seed, with the end of its trace if it fails.
fn replay(seed: u64, turns: u64) {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    if let Some(path) = path("PLAY") {
        return play_again(&path, turns);
    }
    let records = path("RECORD").map_or(Records::None, Records::To);
    let sim = Sim::new(seed);
    sim.keep_trace(TRACE);
    let outcome = catch_unwind(AssertUnwindSafe(|| play_on(&sim, turns, &records)));
    if let Records::To(path) = &records {
        play_again(path, turns);
    }
    match outcome {
        Ok(outcome) if outcome.problems.is_empty() => println!("{}seed {seed}: {outcome:?}", sim.trace()),
        Ok(outcome) => panic!("{}\nseed {seed}: {}", sim.trace(), outcome.problems.join("\n  ")),
        Err(_) => panic!("{}\nseed {seed} panicked, see above", sim.trace()),
    }
}

/// Plays the loops of a seed from their recordings, without their network.
fn play_again(path: &Path, turns: u64) {
    let played = catch_unwind(AssertUnwindSafe(|| play_on(&Sim::new(0), turns, &Records::From(path.to_owned()))));
    match played {
        Ok(outcome) => {
            let (problems, turns) = (outcome.problems.join("\n  "), outcome.turns);
            println!("played from {}, {turns} turns: {:?}\n  {problems}", path.display(), outcome.played);
        }
        Err(_) => println!("what was played from {} has panicked, see above", path.display()),
    }
}

/// A process for each core: the library has no threads, and neither has its test.
fn in_processes(from: u64, seeds: u64) {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let began = Instant::now();
    let mut children: VecDeque<_> = (0..cores)
        .map(|core| {
            let (first, last) = (from + seeds * core / cores, from + seeds * (core + 1) / cores);
            Command::new(std::env::current_exe().expect("this test is a program"))
                .args(["--exact", "simulation::whatever_happens_the_promises_hold", "--nocapture"])
                .env("IN_A_PROCESS_OF_ITS_OWN", "1")
                .env("FROM", first.to_string())
                .env("SEEDS", (last - first).to_string())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a process can be made")
        })
        .collect();
    while let Some(child) = children.pop_front() {
        let output = child.wait_with_output().expect("a child ends");
        let told = String::from_utf8_lossy(&output.stdout);
        let has_played = told.contains(" kernel calls");
        if !output.status.success() {
            // One seed is enough: the others need not be played to their end.
            children.iter_mut().for_each(|child| child.kill().expect("a child can be ended"));
        }
        assert!(output.status.success() && has_played, "{told}\n{}", String::from_utf8_lossy(&output.stderr));
        print!("{}", told.lines().filter(|line| line.contains("turns")).collect::<String>() + "\n");
    }
    println!("{seeds} seeds in {:.1?}", began.elapsed());
}

#[test]
fn a_seed_gives_the_same_run_again_and_another_seed_another() {
    let (once, again) = (play(3, 2000), play(3, 2000));
    assert_eq!(once, again);
    assert!(once.closes > 10 && once.calls > 1000, "it does something: {once:?}");
    assert_ne!(once.fingerprint, play(4, 2000).fingerprint);
}

/// The loops of some seeds, one and two of them, with shut-downs, mistakes and failures.
#[test]
fn recorded_loops_make_the_same_run_again_without_their_network() {
    let folder = Folder::new();
    for seed in 0..12 {
        let path = folder.path(&format!("seed{seed}"));
        let live = play(seed, 800);
        let recorded = play_on(&Sim::new(seed), 800, &Records::To(path.clone()));
        assert_eq!(recorded, live, "seed {seed}: to be recorded changes nothing");
        let played = play_on(&Sim::new(999), 800, &Records::From(path));
        assert!(played.played.iter().all(|end| *end == RunEnd::Ended), "seed {seed}: {:?}", played.played);
        assert!(!played.played.is_empty());
        assert_eq!((played.turns, played.closes, played.ended), (live.turns, live.closes, live.ended), "seed {seed}");
        assert_eq!(played.calls, 0, "nobody was on its network");
    }
}
