//! What goes wrong.

use super::engine::Process;
use super::{Event, Wire, World};

impl World {
    pub(super) fn fault(&mut self) {
        if self.now >= self.until {
            return self.heal();
        }
        let wait = self.random.of(500..8_000);
        self.after(wait, Event::Fault);
        let at = self.random.below(self.machines.len() as u64) as usize;
        match self.random.below(11) {
            0 | 1 => self.cut(at),
            2 => {
                self.machines[at].cut_off_until = self.now + self.random.of(100..45_000);
                self.cut(at);
            }
            3 | 4 => {
                let wakes = self.now + self.random.of(100..45_000);
                self.machines[at].asleep_until = self.machines[at].asleep_until.max(wakes);
            }
            5 => self.machine_dies(at),
            10 => self.machine_holds(at),
            9 => self.machine_stops(at),
            _ if self.engine.process != Process::Running => {}
            6 => {
                self.engine.process = Process::Stopped;
                let pause = self.pause_of_the_engine();
                self.after(pause, Event::EngineGoesOn(Process::Running));
                let notices = self.random.of(3_000..6_000);
                if pause > notices {
                    let wires: Vec<Wire> = self.machines.iter().filter_map(|machine| machine.wire).collect();
                    wires.into_iter().for_each(|wire| self.after(notices, Event::Cut(wire)));
                }
            }
            7 => {
                self.engine.process = Process::Refusing;
                let pause = self.pause_of_the_engine();
                self.after(pause, Event::EngineGoesOn(Process::Running));
            }
            _ => self.engine_dies(),
        }
    }

    /// Sometimes longer than a node may be silent.
    fn pause_of_the_engine(&mut self) -> u64 {
        let longest = if self.random.one_in(4) { 45_000 } else { 8_000 };
        self.random.of(100..longest)
    }

    pub(super) fn cut(&mut self, at: usize) {
        if let Some(wire) = self.machines[at].wire {
            self.after(0, Event::Cut(wire));
        }
    }

    pub(super) fn heal(&mut self) {
        self.latency = self.latency.min(100);
        for at in 0..self.machines.len() {
            let machine = &mut self.machines[at];
            machine.asleep_until = machine.asleep_until.min(self.now);
            machine.cut_off_until = machine.cut_off_until.min(self.now);
            if machine.node.is_none() {
                self.after(0, Event::Returns(at));
            }
        }
        if self.engine.process != Process::Running && self.engine.process != Process::Dead {
            self.engine_goes_on(Process::Running);
        }
    }

    pub(super) fn machine_dies(&mut self, at: usize) {
        if self.machine_is_gone(at) {
            let down = if self.random.one_in(2) { self.random.of(10..1_500) } else { self.random.of(100..40_000) };
            self.after(down, Event::Returns(at));
        }
    }

    /// False if it was gone before.
    pub(super) fn machine_is_gone(&mut self, at: usize) -> bool {
        if let Some(wire) = self.machines[at].wire.take() {
            self.engine.forget(wire);
            self.delay_what_is_under_way(wire);
        }
        self.machines[at].question += 1;
        let life = self.machines[at].dies();
        let was_there = life.is_some();
        self.lives.extend(life);
        was_there
    }

    /// Its readers are behind: it reads nothing more until they have caught up.
    fn machine_holds(&mut self, at: usize) {
        let longest = if self.random.one_in(4) { 45_000 } else { 10_000 };
        let until = self.now + self.random.of(100..longest);
        let now = self.time();
        let machine = &mut self.machines[at];
        if machine.on_node(|node| node.is_behind(true, now)).is_some() {
            machine.holds_until = machine.holds_until.max(until);
            self.at(until, Event::ReadsOn(at));
        }
    }

    pub(super) fn machine_reads_on(&mut self, at: usize) {
        let now = self.time();
        let machine = &mut self.machines[at];
        if machine.holds_until <= self.now {
            machine.on_node(|node| node.is_behind(false, now));
            self.do_outputs(at);
        }
    }

    /// It says goodbye, waits a while for it to come back, and is gone.
    pub(super) fn machine_stops(&mut self, at: usize) {
        let (now, boot) = (self.time(), self.machines[at].boot);
        if self.machines[at].asleep_until > self.now {
            return;
        }
        if self.machines[at].on_node(|node| node.stops(now)).is_some() {
            self.machines[at].is_stopping = true;
            self.do_outputs(at);
            let wait = self.random.of(1..3_000);
            self.after(wait, Event::Dies(at, boot));
        }
    }

    pub(super) fn machine_returns(&mut self, at: usize) {
        if self.machines[at].node.is_some() {
            return;
        }
        let now = self.time();
        let boot = self.random.below(u64::MAX);
        self.machines[at].starts(boot, now);
        self.connect_later(at);
        if self.now < self.until && self.random.one_in(6) {
            let life = self.random.of(10..4_000);
            self.after(life, Event::Dies(at, boot));
        }
    }

    pub(super) fn engine_goes_on(&mut self, process: Process) {
        let was = std::mem::replace(&mut self.engine.process, process);
        if was == Process::Stopped {
            // What had come meanwhile is done now, also of connections that are gone.
            for event in std::mem::take(&mut self.engine.held) {
                self.happen(event);
            }
        }
    }

    pub(super) fn engine_dies(&mut self) {
        let keeps = match self.random.below(3) {
            0 => 0,
            1 => self.engine.len(),
            _ => self.engine.len().saturating_sub(self.random.below(30) as usize),
        };
        self.engine.dies(keeps);
        for at in 0..self.machines.len() {
            if let Some(wire) = self.machines[at].wire {
                self.engine.forget(wire);
                let way = self.way();
                self.after(way, Event::Cut(wire));
            }
        }
        let down = self.random.of(100..6_000);
        self.after(down, Event::EngineGoesOn(Process::Running));
    }
}
