//! Several nodes and a model of an engine, with faults that a seed chooses. What each node told is compared line by line.
//!
//! `engine.rs` is the model, `machine.rs` a node with its guests and its connection, `faults.rs` what goes wrong, `../checks.rs`
//! what has to hold. `young.rs` has no seeds: it tells what happens to names when nodes start and end within seconds.

mod engine;
mod faults;
mod machine;
mod young;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::panic::{RefUnwindSafe, catch_unwind};
use std::time::Duration;

use super::checks::{self, Life};
use super::node::Read;
use super::{Entry, EntryId, Output, Settings};
use engine::{Engine, Process};
use machine::Machine;

/// How many entries a batch has at most.
pub const COUNT: [usize; 2] = [7, 30];

/// Xorshift, so that a seed gives the same numbers everywhere.
pub struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }

    fn of(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    fn one_in(&mut self, number: u64) -> bool {
        self.below(number) == 0
    }
}

/// A connection of a machine. A new one has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    machine: usize,
    number: u64,
}

/// What happens at a time.
enum Event {
    Connects(Wire),
    /// At the engine.
    Published(Wire, Entry),
    Asked(Wire, u64, EntryId, bool),
    /// At the machine.
    Answered(Wire, u64, Vec<Read>, bool),
    Refused(Wire),
    Cut(Wire),
    ReadsOn(usize),
    GuestActs(usize),
    Fault,
    EngineGoesOn(Process),
    /// The boot is that of the machine.
    Dies(usize, u64),
    Returns(usize),
}

struct Scheduled(u64, u64, Event);

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// The time of the engine's clock at the beginning, in milliseconds.
const EPOCH: u64 = 1_000_000;

pub struct World {
    random: Random,
    now: u64,
    events: BinaryHeap<Reverse<Scheduled>>,
    order: u64,
    engine: Engine,
    machines: Vec<Machine>,
    /// The slowest way between a machine and the engine, in milliseconds.
    latency: u64,
    /// Faults and guests come until then.
    until: u64,
    lives: Vec<Life>,
    is_traced: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..4 {
            random.below(2);
        }
        let history = [60, 250, 100_000][random.below(3) as usize];
        let count = COUNT[random.below(2) as usize];
        let settings = Settings {
            patience: Duration::from_secs(2),
            outbox_bytes: [3_000, 1_000_000][random.below(2) as usize],
            catch_up: [5, 1000][random.below(2) as usize],
            most_guests: 1000,
        };
        let latency = [2, 30, 700][random.below(3) as usize];
        let machines = 2 + random.below(3) as usize;
        let until = EPOCH + if random.one_in(4) { random.of(2_000..20_000) } else { random.of(30_000..90_000) };
        let mut world = World { latency, until, ..World::of(random, Engine::new(history, count), machines, &settings) };
        for machine in 0..machines {
            let start = world.now + world.random.below(8_000);
            world.at(start, Event::Returns(machine));
            world.at(start, Event::GuestActs(machine));
        }
        let first = if world.random.one_in(2) { 5_000 } else { world.random.of(1..5_000) };
        world.at(EPOCH + first, Event::Fault);
        world
    }

    /// Nothing happens in it.
    fn of(random: Random, engine: Engine, machines: usize, settings: &Settings) -> Self {
        World {
            random,
            now: EPOCH,
            events: BinaryHeap::new(),
            order: 0,
            engine,
            machines: (0..machines).map(|at| Machine::new(at, settings.clone())).collect(),
            latency: 2,
            until: EPOCH,
            lives: Vec::new(),
            is_traced: std::env::var_os("TRACE").is_some(),
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse(Scheduled(time, self.order, event)));
    }

    fn after(&mut self, milliseconds: u64, event: Event) {
        self.at(self.now + milliseconds, event);
    }

    fn time(&self) -> Duration {
        Duration::from_millis(self.now - EPOCH)
    }

    /// Faults and guests for a while, then a quiet time in which all is whole again.
    fn run(&mut self) {
        let quiet = Duration::from_secs(100);
        self.run_to(self.until + quiet.as_millis() as u64);
        self.check_the_end();
    }

    fn run_to(&mut self, end: u64) {
        while self.now < end {
            let next = self.events.peek().map_or(end, |Reverse(next)| next.0);
            let deadlines = self.machines.iter().filter_map(Machine::next_deadline).map(|time| time + EPOCH);
            let deadline = deadlines.min().unwrap_or(end).max(self.now);
            if end <= deadline.min(next) {
                self.now = end;
            } else if deadline < next {
                self.now = deadline;
                self.expire();
            } else if let Some(Reverse(Scheduled(time, _, event))) = self.events.pop() {
                self.now = self.now.max(time);
                self.happen(event);
            } else {
                self.now = end;
            }
        }
    }

    fn trace(&self, event: &Event) {
        let now = self.now - EPOCH;
        match event {
            Event::Published(_, entry) => println!("{now} XADD {} {} {:?}", entry.label, entry.sequence, entry.what),
            Event::Asked(wire, _, after, _) => println!("{now} XREAD web{} {after}", wire.machine),
            Event::Answered(wire, _, entries, is_end) => {
                println!(
                    "{now} web{} reads {} {is_end} {:?}",
                    wire.machine,
                    entries.len(),
                    entries.first().map(|e| e.0)
                );
            }
            Event::Connects(wire) => println!("{now} web{} connects {}", wire.machine, wire.number),
            Event::Refused(wire) => println!("{now} web{} refused", wire.machine),
            Event::Cut(wire) => println!("{now} web{} cut {}", wire.machine, wire.number),
            Event::GuestActs(_) => {}
            Event::ReadsOn(at) => println!("{now} web{at} reads on"),
            Event::Fault => println!("{now} fault"),
            Event::EngineGoesOn(process) => println!("{now} engine {process:?}"),
            Event::Dies(at, _) => println!("{now} web{at} dies"),
            Event::Returns(at) => println!("{now} web{at} returns"),
        }
    }

    fn expire(&mut self) {
        let now = self.time();
        for at in 0..self.machines.len() {
            let machine = &mut self.machines[at];
            if machine.next_deadline().is_some_and(|deadline| Duration::from_millis(deadline) <= now) {
                machine.on_node(|node| node.expire(now));
                self.do_outputs(at);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        if self.is_traced {
            self.trace(&event);
        }
        let now = self.time();
        match event {
            Event::Published(wire, entry) => self.engine_takes(wire, entry),
            Event::Asked(wire, question, after, is_first) => {
                if self.engine.process == Process::Stopped {
                    self.engine.held.push(Event::Asked(wire, question, after, is_first));
                } else {
                    self.engine.ask(wire, question, after, is_first);
                    self.answer_the_asked();
                }
            }
            Event::EngineGoesOn(process) => self.engine_goes_on(process),
            Event::Fault => self.fault(),
            Event::Dies(at, boot) if self.machines[at].boot == boot => self.machine_dies(at),
            Event::Dies(..) => {}
            Event::Returns(at) => self.machine_returns(at),
            Event::GuestActs(at) => self.guest_acts(at),
            Event::ReadsOn(at) if self.machines[at].asleep_until > self.now => {
                let wakes = self.machines[at].asleep_until;
                self.at(wakes, event);
            }
            Event::ReadsOn(at) => self.machine_reads_on(at),
            // What comes to a machine that is asleep waits.
            Event::Connects(wire) | Event::Answered(wire, ..) | Event::Refused(wire) | Event::Cut(wire)
                if self.machines[wire.machine].asleep_until > self.now =>
            {
                let wakes = self.machines[wire.machine].asleep_until;
                self.at(wakes, event);
            }
            Event::Connects(wire) => self.connects(wire),
            Event::Answered(wire, question, entries, is_end) => {
                let machine = &mut self.machines[wire.machine];
                if machine.wire == Some(wire) && machine.question == question {
                    machine.cursor = entries.last().map_or(machine.cursor, |(id, _)| *id);
                    machine.on_node(|node| node.read(&entries, is_end, now));
                    self.do_outputs(wire.machine);
                    self.ask_again(wire, question, is_end);
                }
            }
            Event::Refused(wire) => {
                if self.machines[wire.machine].wire == Some(wire) {
                    self.lose(wire.machine, true);
                }
            }
            Event::Cut(wire) => {
                if self.machines[wire.machine].wire == Some(wire) {
                    self.lose(wire.machine, false);
                }
            }
        }
    }

    // ---- connections -------------------------------------------------------------------------------------------------------

    fn connect_later(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        machine.wires += 1;
        let wire = Wire { machine: at, number: machine.wires };
        let wait = self.random.of(50..2_000);
        self.after(wait, Event::Connects(wire));
    }

    fn connects(&mut self, wire: Wire) {
        let machine = &self.machines[wire.machine];
        if machine.wires != wire.number || machine.node.is_none() {
            return;
        }
        if self.engine.process != Process::Running || machine.cut_off_until > self.now {
            return self.connect_later(wire.machine);
        }
        let now = self.time();
        let machine = &mut self.machines[wire.machine];
        machine.wire = Some(wire);
        self.engine.open.push(wire);
        machine.last_arrival = self.now;
        machine.on_node(|node| node.connected(now));
        self.do_outputs(wire.machine);
    }

    /// What is under way may still arrive, later.
    fn lose(&mut self, at: usize, is_refused: bool) {
        let now = self.time();
        let Some(wire) = self.machines[at].wire.take() else { return };
        self.machines[at].question += 1;
        self.engine.forget(wire);
        self.delay_what_is_under_way(wire);
        self.machines[at].on_node(|node| if is_refused { node.refused(now) } else { node.lost(now) });
        self.do_outputs(at);
        self.connect_later(at);
    }

    /// Some of it is lost, from one entry on. The rest comes up to four seconds late.
    fn delay_what_is_under_way(&mut self, wire: Wire) {
        let is_own = |event: &Event| matches!(event, Event::Published(sender, _) if *sender == wire);
        let mut all: Vec<Scheduled> = std::mem::take(&mut self.events).into_iter().map(|Reverse(next)| next).collect();
        all.sort();
        let late = self.random.below(4_000);
        let mut is_lost = false;
        for Scheduled(time, order, event) in all {
            if is_own(&event) {
                is_lost |= self.random.one_in(4);
                if !is_lost {
                    self.events.push(Reverse(Scheduled(time + late, order, event)));
                }
            } else {
                self.events.push(Reverse(Scheduled(time, order, event)));
            }
        }
    }

    fn do_outputs(&mut self, at: usize) {
        while let Some(output) = self.machines[at].on_node(|node| node.next_output()).flatten() {
            match output {
                Output::Publish(entry) => {
                    if let Some(wire) = self.machines[at].wire {
                        let way = self.way();
                        let machine = &mut self.machines[at];
                        machine.last_arrival = machine.last_arrival.max(self.now + way);
                        let arrival = machine.last_arrival;
                        self.at(arrival, Event::Published(wire, entry));
                    }
                }
                Output::ReadFrom(after) => {
                    let machine = &mut self.machines[at];
                    machine.question += 1;
                    machine.cursor = after;
                    let question = machine.question;
                    if let Some(wire) = machine.wire {
                        self.ask(wire, question, after, true);
                    }
                }
                told => self.machines[at].told.push(told),
            }
        }
        self.machines[at].look_at_bounds();
    }

    fn way(&mut self) -> u64 {
        1 + self.random.below(self.latency)
    }

    /// A reader that is at the end waits for what comes next. If it was not the end, the node says from where to read on.
    fn ask_again(&mut self, wire: Wire, question: u64, is_end: bool) {
        let machine = &mut self.machines[wire.machine];
        if machine.wire == Some(wire) && machine.question == question && is_end {
            let after = machine.cursor;
            self.ask(wire, question, after, false);
        }
    }

    /// When its readers have caught up.
    fn ask(&mut self, wire: Wire, question: u64, after: EntryId, is_at_once: bool) {
        let way = self.way();
        let from = self.machines[wire.machine].holds_until.max(self.now);
        self.at(from + way, Event::Asked(wire, question, after, is_at_once));
    }

    // ---- the engine --------------------------------------------------------------------------------------------------------

    fn engine_takes(&mut self, wire: Wire, entry: Entry) {
        match self.engine.process {
            _ if !self.engine.open.contains(&wire) => {}
            Process::Dead => {}
            Process::Stopped => self.engine.held.push(Event::Published(wire, entry)),
            Process::Refusing => {
                let way = self.way();
                self.after(way, Event::Refused(wire));
            }
            Process::Running => {
                self.engine.add(self.now, entry);
                self.answer_the_asked();
            }
        }
    }

    fn answer_the_asked(&mut self) {
        for (wire, question, entries, is_end) in self.engine.answers() {
            let machine = &mut self.machines[wire.machine];
            let way = 1 + self.random.below(self.latency);
            machine.last_answer = machine.last_answer.max(self.now + way);
            let arrival = machine.last_answer;
            self.at(arrival, Event::Answered(wire, question, entries, is_end));
        }
    }

    // ---- guests ------------------------------------------------------------------------------------------------------------

    fn guest_acts(&mut self, at: usize) {
        if self.now >= self.until {
            return;
        }
        let wait = self.random.of(20..1_500);
        self.after(wait, Event::GuestActs(at));
        if self.machines[at].asleep_until <= self.now && self.machines[at].node.is_some() {
            let now = self.time();
            self.machines[at].guest_acts(&mut self.random, now);
            self.do_outputs(at);
        }
    }

    fn check_the_end(&mut self) {
        for machine in &mut self.machines {
            assert!(machine.node.is_some());
            machine.check_that_it_is_quiet();
        }
        self.lives.extend(self.machines.iter_mut().filter_map(Machine::at_the_end));
        checks::check(&self.lives, &self.engine.all);
        checks::what_others_read_of_a_node_it_has_read(&self.lives, &self.engine.all, &self.engine.gone);
    }
}

/// Runs these seeds, or those that are asked for: `FROM=1805 SEEDS=1`.
pub fn play(seeds: Range<u64>, run: impl Fn(u64) + RefUnwindSafe) {
    let setting = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let from = setting("FROM").unwrap_or(seeds.start);
    let seeds = from..from + setting("SEEDS").unwrap_or(seeds.end - seeds.start);
    let fails = |seed: &u64| {
        let fails = catch_unwind(|| run(*seed)).is_err();
        if fails {
            eprintln!("this was seed {seed}");
        }
        fails
    };
    let failed: Vec<u64> = seeds.filter(fails).collect();
    assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
}

#[test]
fn every_node_tells_the_same_order_and_every_loss() {
    play(0..2_000, |seed| World::new(seed).run());
}
