//! What goes wrong.

use std::cmp::Reverse;

use super::machine::Machine;
use super::{Event, World};
use crate::daemon::engine::{EntryId, simulated};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    Running,
    /// SIGSTOP: what comes to it waits.
    Stopped,
    Dead,
}

/// What an engine may say in place of the truth.
const LIES: [(&str, &str); 4] = [
    ("XADD", "-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
    ("XADD", "-READONLY You can't write against a read only replica.\r\n"),
    ("XREAD", "-LOADING Redis is loading the dataset in memory\r\n"),
    ("HELLO", "-LOADING Redis is loading the dataset in memory\r\n"),
];

/// Each node writes each five seconds.
const ALL_HAVE_WRITTEN: u64 = 6_500;

const COMMANDS: [&str; 3] = ["XADD", "XREAD", "HELLO"];

impl World {
    pub(super) fn fault(&mut self) {
        if self.sim.now() >= self.until {
            return self.heal();
        }
        let wait = self.of(500..8_000);
        self.after(wait, Event::Fault);
        let at = self.random(self.machines.len() as u64) as usize;
        match self.random(18) {
            0 | 1 => self.cut(at),
            2 | 3 => {
                let time = self.of(100..45_000);
                self.sim.partition(self.machines[at].address, true);
                self.after(time, Event::Joins(at));
            }
            4 | 5 => {
                let time = self.of(100..45_000);
                self.machines[at].sleeps(self.sim.now(), super::ms(time));
                self.after(time, Event::Wakes(at));
            }
            6 => self.machine_dies(at),
            7 | 8 => {
                let now = self.sim.now();
                self.machines[at].stops(now);
            }
            _ if self.process != Process::Running => {}
            9 | 10 => {
                self.process = Process::Stopped;
                let pause = self.pause_of_the_engine();
                self.after(pause, Event::EngineGoesOn);
            }
            11 => {
                let (command, lie) = LIES[self.random(LIES.len() as u64) as usize];
                self.engine.state.lies.insert(command, lie.as_bytes().to_vec());
                let pause = self.pause_of_the_engine();
                self.after(pause, Event::EngineIsHonest);
            }
            12 => {
                self.engine.state.silent.push(COMMANDS[self.random(COMMANDS.len() as u64) as usize]);
                let pause = self.pause_of_the_engine();
                self.after(pause, Event::EngineIsHonest);
            }
            13 => {
                let bytes = self.random(3_000) as usize;
                self.engine.state.cut_after = Some(self.engine.state.sent + bytes);
            }
            14 => self.history_ends(),
            15 => self.engine_forgets_all(),
            _ => self.engine_dies(),
        }
    }

    /// Entries are trimmed, which only nodes that are away have not read: the history is longer than what the others may lack.
    fn history_ends(&mut self) {
        if let Some(unread) = self.is_read_everywhere() {
            self.trace(format_args!("what stands before {unread} is trimmed"));
            simulated::trim(&mut self.engine, unread);
        }
    }

    /// FLUSHALL. Nobody notices. But a node that comes, or comes back, before each has written something again would take the stream for
    /// a new one: then nothing else goes wrong.
    fn engine_forgets_all(&mut self) {
        let end = self.all.keys().next_back().copied().unwrap_or_default();
        let are_there = self.machines.iter().all(Machine::is_connected) && self.engine.state.cut_after.is_none();
        let is_read = self.is_read_everywhere().is_some_and(|read| read >= end);
        if are_there && is_read && self.is_honest() {
            self.trace("the engine forgets all");
            simulated::forget(&mut self.engine, usize::MAX);
            self.events.retain(|Reverse((_, _, event))| *event != Event::Fault);
            self.after(ALL_HAVE_WRITTEN, Event::Fault);
        }
    }

    fn is_honest(&self) -> bool {
        self.engine.state.lies.is_empty() && self.engine.state.silent.is_empty()
    }

    /// So far all nodes have read that have an engine.
    fn is_read_everywhere(&self) -> Option<EntryId> {
        let now = self.sim.now();
        self.machines.iter().map(|machine| machine.has_read(now)).min().flatten()
    }

    /// Sometimes longer than a node may be silent.
    fn pause_of_the_engine(&mut self) -> u64 {
        let longest = if self.one_in(4) { 45_000 } else { 8_000 };
        self.of(100..longest)
    }

    /// One connection of a machine is reset.
    fn cut(&mut self, at: usize) {
        let address = self.machines[at].address;
        let ids: Vec<_> = self.engine.net.socket_ids().collect();
        let is_its = |id: &tidegate::SocketId| {
            self.engine.net.connection(*id).remote_address().is_some_and(|remote| remote.ip() == address)
        };
        let its: Vec<_> = ids.into_iter().filter(is_its).collect();
        if !its.is_empty() {
            let one = self.random(its.len() as u64) as usize;
            self.engine.net.reset(its[one]);
        }
    }

    /// It is killed, or its machine is: then nobody learns of it.
    fn machine_dies(&mut self, at: usize) {
        if self.machines[at].room.is_none() {
            return;
        }
        if self.one_in(2) {
            self.sim.crash(self.machines[at].address);
        }
        self.retire(at);
    }

    fn engine_dies(&mut self) {
        simulated::end(&mut self.engine);
        let lost = [0, usize::MAX, self.random(30) as usize][self.random(3) as usize];
        simulated::forget(&mut self.engine, lost);
        self.process = Process::Dead;
        let down = self.of(100..6_000);
        self.after(down, Event::EngineGoesOn);
    }

    pub(super) fn engine_goes_on(&mut self) {
        if self.process == Process::Dead {
            simulated::begin(&mut self.engine);
        }
        self.process = Process::Running;
    }

    /// What it has not answered stays so, also on the connections on which that was asked.
    pub(super) fn engine_is_honest(&mut self) {
        self.engine.state.lies.clear();
        if !std::mem::take(&mut self.engine.state.silent).is_empty() && self.process != Process::Dead {
            simulated::end(&mut self.engine);
            simulated::begin(&mut self.engine);
        }
    }

    pub(super) fn heal(&mut self) {
        let now = self.sim.now();
        self.engine_is_honest();
        self.engine.state.cut_after = None;
        if self.process == Process::Stopped {
            self.engine_goes_on();
        }
        for machine in &mut self.machines {
            machine.asleep_until = machine.asleep_until.min(now);
            self.sim.partition(machine.address, false);
        }
        let gone: Vec<usize> = (0..self.machines.len()).filter(|at| self.machines[*at].room.is_none()).collect();
        gone.into_iter().for_each(|at| self.after(0, Event::Returns(at)));
    }
}
