//! Whole rooms on the simulated network, that are one by a stream: event loops of rooms with their links, a fake engine, and guests
//! who speak bytes. A seed chooses what goes wrong. What each node told is compared line by line, in its order.
//!
//! `machine.rs` is a node from its start to its end, `crowd.rs` has the guests, `faults.rs` what goes wrong, and `heard.rs` what a
//! guest has heard. What has to hold is in `../bus/checks.rs`, which judges the nodes without sockets too, and in `heard.rs`.

mod crowd;
mod faults;
mod heard;
mod machine;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Range;
use std::time::Duration;

use tidegate::EventLoop;
use tidegate::sim::{Conditions, Sim, Turning};

use super::bus::Entry;
use super::bus::checks::{self, Entries, Life};
use super::bus::tests::play;
use crate::daemon::engine::simulated::{self, FakeEngine};
use crowd::Crowd;
use faults::Process;
use machine::Machine;

/// The longest time after all faults in which the nodes have to be together again: some of them have to be declared dead.
const HEALS_WITHIN: Duration = Duration::from_secs(150);

/// Turns in a second, of all loops together. One that spins takes a hundred thousand.
const MOST_TURNS: u64 = 200;

/// So long nothing may change: each node has listed its guests by then.
const QUIET: Duration = Duration::from_secs(11);

/// What happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    GuestActs(usize),
    Fault,
    EngineGoesOn,
    /// The engine answers the truth again.
    EngineIsHonest,
    /// The partition of this machine ends.
    Joins(usize),
    Wakes(usize),
    Returns(usize),
}

struct World {
    sim: Sim,
    engine: EventLoop<FakeEngine>,
    process: Process,
    crowd: EventLoop<Crowd>,
    machines: Vec<Machine>,
    /// Those that are over.
    lives: Vec<Life>,
    /// All that ever stood in the stream.
    all: Entries,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    order: u64,
    /// Loops that were made. Each is a machine of the network with an address of its own.
    loops: u8,
    /// Faults and guests come until then.
    until: Duration,
    is_traced: bool,
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

impl World {
    fn new(seed: u64) -> Self {
        let sim = Sim::new(seed);
        let delay = [1, 20, 300][sim.random(3) as usize];
        let rare = [0, 30][sim.random(2) as usize];
        let conditions = Conditions::new().delay(ms(delay)).short(rare).late(rare).spurious(rare).interrupted(rare);
        sim.set_conditions(conditions.buffer([4_000, 200_000][sim.random(2) as usize]));
        let outbox = ["64KiB", "1MiB"][sim.random(2) as usize];
        let catch_up = [5, 1000][sim.random(2) as usize];
        let soft = ["4KiB", "256KiB"][sim.random(2) as usize]; // readers are behind, and hold the stream up, or not
        let flags = format!("--bus-outbox {outbox} --catch-up {catch_up} --output-soft {soft}");
        let machines = 2 + sim.random(3) as usize;
        let mut world = World {
            engine: simulated::engine(&sim),
            process: Process::Running,
            crowd: EventLoop::on(sim.kernel(), Crowd::default()),
            machines: (0..machines).map(|at| Machine::new(at, &flags)).collect(),
            lives: Vec::new(),
            all: Entries::new(),
            events: BinaryHeap::new(),
            order: 0,
            loops: 2,
            until: ms(15_000 + sim.random(30_000)),
            is_traced: std::env::var_os("TRACE").is_some(),
            sim,
        };
        for at in 0..machines {
            let start = world.random(5_000);
            world.after(start, Event::Returns(at));
            world.after(start, Event::GuestActs(at));
        }
        world.after(5_000, Event::Fault);
        world
    }

    fn random(&self, bound: u64) -> u64 {
        self.sim.random(bound)
    }

    fn of(&self, range: Range<u64>) -> u64 {
        range.start + self.random(range.end - range.start)
    }

    fn one_in(&self, number: u64) -> bool {
        self.random(number) == 0
    }

    fn after(&mut self, milliseconds: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((self.sim.now() + ms(milliseconds), self.order, event)));
    }

    fn trace(&self, what: impl std::fmt::Display) {
        if self.is_traced {
            println!("{:9.3} {what}", self.sim.now().as_secs_f64());
        }
    }

    /// Faults and guests for a while, then a quiet time in which all is whole again.
    fn run(&mut self) {
        self.run_events();
        self.become_quiet();
        self.everybody_speaks();
        self.check_the_end();
    }

    fn run_events(&mut self) {
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            self.run_until(time);
            self.happen(event);
        }
    }

    /// A loop of a process that is stopped takes no turn.
    fn run_until(&mut self, time: Duration) {
        let now = self.sim.now();
        let mut loops: Vec<&mut dyn Turning> = vec![&mut self.crowd];
        if self.process != Process::Stopped {
            loops.push(&mut self.engine);
        }
        let awake = self.machines.iter_mut().filter(|machine| machine.asleep_until <= now);
        loops.extend(awake.filter_map(|machine| machine.room.as_mut()).map(|room| room as &mut dyn Turning));
        self.sim.run(&mut loops, time).unwrap();
        self.sim.work(time.saturating_sub(self.sim.now()));
        self.read_what_was_published();
        self.crowd.state.trace(self.is_traced);
        for at in 0..self.machines.len() {
            if self.machines[at].has_stopped() {
                self.retire(at);
            }
            self.machines[at].look_at(time);
        }
    }

    fn read_what_was_published(&mut self) {
        for command in std::mem::take(&mut self.engine.state.commands) {
            self.trace(command);
        }
        for (id, fields) in std::mem::take(&mut self.engine.state.added) {
            self.all.insert(id, Entry::from_fields(&fields).unwrap());
        }
    }

    fn happen(&mut self, event: Event) {
        self.trace(format_args!("{event:?}"));
        match event {
            Event::GuestActs(at) => self.guest_acts(at),
            Event::Fault => self.fault(),
            Event::EngineGoesOn => self.engine_goes_on(),
            Event::EngineIsHonest => self.engine_is_honest(),
            Event::Joins(at) => self.sim.partition(self.machines[at].address, false),
            Event::Wakes(_) => {}
            Event::Returns(at) => self.machine_returns(at),
        }
    }

    // ---- machines ----------------------------------------------------------------------------------------------------------

    /// It listens, and its first guest, who listens to all that is told there, has come before anything is told.
    fn machine_returns(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        if machine.room.is_some() {
            return;
        }
        machine.starts(&self.sim, self.loops);
        self.loops += 1;
        machine.ear = machine.guest_comes(&mut self.crowd);
        while machine.guests_here() == 0 {
            let soon = self.sim.now() + ms(5);
            let room = machine.room.as_mut().unwrap();
            self.sim.run(&mut [&mut self.crowd, room], soon).unwrap();
        }
    }

    /// Its process is over.
    fn retire(&mut self, at: usize) {
        self.lives.extend(self.machines[at].life(&self.crowd.state, &self.all, false));
        let down = self.of(50..30_000);
        self.after(down, Event::Returns(at));
    }

    // ---- guests ------------------------------------------------------------------------------------------------------------

    fn guest_acts(&mut self, at: usize) {
        if self.sim.now() >= self.until {
            return;
        }
        let wait = self.of(20..1_500);
        self.after(wait, Event::GuestActs(at));
        if self.machines[at].room.is_some() {
            self.machines[at].guest_acts(&mut self.crowd, &self.sim);
        }
    }

    // ---- the end -----------------------------------------------------------------------------------------------------------

    fn become_quiet(&mut self) {
        let (healed, mut quiet_since) = (self.sim.now(), None);
        loop {
            let now = self.sim.now();
            let others = self.machines.len();
            let is_quiet = self.machines.iter().all(|machine| machine.is_quiet(others));
            quiet_since = if is_quiet { quiet_since.or(Some(now)) } else { None };
            if quiet_since.is_some_and(|since| now >= since + QUIET) {
                return;
            }
            if now > healed + HEALS_WITHIN {
                let figures: Vec<_> = self.machines.iter().map(Machine::figures).collect();
                panic!("not all is well again: {figures:#?}");
            }
            self.run_until(now + ms(1000));
            self.run_events(); // a process that was still stopping comes back
        }
    }

    /// Each guest says a last line, which is heard everywhere under one name. Then the first one of each node asks who is there.
    fn everybody_speaks(&mut self) {
        let mut said = Vec::new();
        for (at, machine) in self.machines.iter_mut().enumerate() {
            for guest in machine.guests(&self.crowd.state).to_vec() {
                said.push((at, self.crowd.state.says(&mut self.crowd.net, guest)));
            }
        }
        self.run_until(self.sim.now() + ms(4_000));
        for (at, text) in said {
            let heard = |machine: &Machine| heard::name_of(&text, &self.crowd.state.guests[machine.ear].heard);
            let names: BTreeSet<Option<String>> = self.machines.iter().map(heard).collect();
            let name = names.first().cloned().flatten().filter(|name| !name.contains('@') && names.len() == 1);
            assert!(name.is_some(), "{text} of {} is heard as of {names:?}", self.machines[at].label);
            self.machines[at].names.extend(name);
        }
        for machine in &self.machines {
            self.crowd.state.types(&mut self.crowd.net, machine.ear, "/who");
        }
        self.run_until(self.sim.now() + ms(4_000));
    }

    fn check_the_end(&mut self) {
        for machine in &mut self.machines {
            heard::check_guests(machine, &self.crowd.state);
            self.lives.extend(machine.life(&self.crowd.state, &self.all, true));
        }
        let (turns, seconds) = (self.crowd.net.counters().turns, self.sim.now().as_secs());
        self.trace(format_args!("{turns} turns, {} entries", self.all.len()));
        assert!(turns < MOST_TURNS * seconds, "{turns} turns in {seconds} s: a loop spins");
        checks::check(&self.lives, &self.all);
        self.sim.check().unwrap();
    }
}

#[test]
fn whole_rooms_tell_the_same_order_and_every_loss() {
    play(0..1000, |seed| World::new(seed).run());
}

#[test]
fn whole_rooms_tell_the_same_order_and_every_loss_with_other_seeds() {
    play(1000..2000, |seed| World::new(seed).run());
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed);
        world.run();
        let heard: Vec<_> = world.crowd.state.guests.into_iter().map(|guest| guest.heard).collect();
        (world.sim.fingerprint(), heard)
    };
    for seed in 0..3 {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(1), run(2));
}
