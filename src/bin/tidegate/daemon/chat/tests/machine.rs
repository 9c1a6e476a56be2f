//! A machine: one process of a room after the other, on the simulated network, and its guests.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tidegate::EventLoop;
use tidegate::sim::Sim;

use super::super::bus::checks::{Entries, Life};
use super::super::bus::{Figures, Node, Standing};
use super::super::room::Room;
use super::crowd::{self, Crowd};
use super::{heard, ms};
use crate::cli::ChatOptions;
use crate::daemon::engine::EntryId;
use crate::daemon::service::{Running, Service, start};
use crate::daemon::stop;

const NAMES: [&str; 6] = ["anna", "bob", "carl", "ANNA", "B-ob", "dora"];
const PATIENCE: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_secs(3);

/// A node that is connected has read all that stands in the stream after this time.
const SETTLES: Duration = Duration::from_secs(5);

/// How many guests a machine has at most, beside the one who listens.
const MOST: usize = 5;

pub struct Machine {
    pub label: String,
    /// Where it listens.
    pub place: String,
    options: ChatOptions,
    pub room: Option<EventLoop<Room>>,
    pub boot: u64,
    /// Its connections to the engine come from there.
    pub address: IpAddr,
    pub asleep_until: Duration,
    /// It is to stop, and has to have stopped then.
    pub stops_until: Option<Duration>,
    /// The guest who listens.
    pub ear: usize,
    /// All guests of this process that have not left.
    guests: Vec<usize>,
    /// What these are called, when all is over.
    pub names: BTreeSet<String>,
    /// All guests that it ever had.
    all: Vec<usize>,
    /// Whether it has an engine, how often it was connected to it, and since when that is so.
    connected: (bool, u64, Duration),
}

impl Machine {
    pub fn new(at: usize, flags: &str) -> Self {
        let (label, place) = (format!("web{at}"), format!("10.0.0.{}:7000", at + 1));
        let flags = format!(
            "--listen {place} --bus redis://10.9.9.9 --bus-node {label} --bus-patience {}s --drain-timeout {}s \
             --flood none --max-per-address none --echo {flags}",
            PATIENCE.as_secs(),
            DRAIN.as_secs()
        );
        let flags: Vec<&str> = flags.split(' ').collect();
        Machine {
            label,
            place,
            options: ChatOptions::of(&flags),
            room: None,
            boot: 0,
            address: Ipv4Addr::UNSPECIFIED.into(),
            asleep_until: Duration::ZERO,
            stops_until: None,
            ear: 0,
            guests: Vec::new(),
            names: BTreeSet::new(),
            all: Vec::new(),
            connected: (false, 0, Duration::ZERO),
        }
    }

    /// `loops`: how many machines the network has. It gives the next one this address.
    pub fn starts(&mut self, sim: &Sim, loops: u8) {
        let mut room = EventLoop::on(sim.kernel(), Room::new(self.options.clone()));
        let running = Running::new(&room.state, &self.options.daemon, 1000).unwrap();
        start(&mut room, &running).unwrap();
        self.room = Some(room);
        self.boot = self.node().unwrap().boot();
        self.asleep_until = Duration::ZERO;
        self.connected = (false, 0, sim.now());
        self.address = Ipv4Addr::new(10, 1, 0, loops + 1).into();
    }

    pub fn node(&self) -> Option<&Node> {
        self.room.as_ref()?.state.shared.as_ref().map(|shared| &shared.node)
    }

    pub fn figures(&self) -> Option<Figures> {
        self.node().map(Node::figures)
    }

    /// As the room counts them.
    pub fn guests_here(&self) -> usize {
        self.room.as_ref().map_or(0, |room| room.state.guests.len())
    }

    // ---- what happens ------------------------------------------------------------------------------------------------------

    /// A guest comes, and is one of those who act.
    pub fn guest_comes(&mut self, crowd: &mut EventLoop<Crowd>) -> usize {
        let guest = crowd::joins(crowd, &self.place, self.boot);
        self.guests.push(guest);
        self.all.push(guest);
        guest
    }

    /// Those that have not left, the one who listens first.
    pub fn guests(&mut self, crowd: &Crowd) -> &[usize] {
        self.guests.retain(|guest| crowd.guests[*guest].is_here());
        &self.guests
    }

    /// Whatever a guest may do. The first one only listens.
    pub fn guest_acts(&mut self, crowd: &mut EventLoop<Crowd>, sim: &Sim) {
        let ear = self.ear;
        let others: Vec<usize> = self.guests(&crowd.state).iter().copied().filter(|guest| *guest != ear).collect();
        let action = sim.random(24);
        if others.is_empty() || action == 0 && others.len() < MOST {
            self.guest_comes(crowd);
            return;
        }
        let guest = others[sim.random(others.len() as u64) as usize];
        match action {
            1 | 2 => {
                let name = NAMES[sim.random(6) as usize];
                let given = format!("guest{}", sim.random(9));
                let name = if sim.random(5) == 0 { &given } else { name };
                crowd.state.types(&mut crowd.net, guest, &format!("/nick {name}"));
            }
            3 => crowd.state.ends(&mut crowd.net, guest),
            4 => crowd.state.quits(&mut crowd.net, guest),
            5 => crowd::pauses(crowd, guest, ms(sim.random(5_000))),
            _ => {
                let lines = match sim.random(60) {
                    0 => 150, // a paste, which may be more than the outbox takes
                    1..=3 => 20,
                    _ => 1,
                };
                for _ in 0..lines {
                    crowd.state.says(&mut crowd.net, guest);
                }
            }
        }
    }

    /// It stops in order.
    pub fn stops(&mut self, now: Duration) {
        let Some(room) = self.room.as_mut().filter(|_| self.stops_until.is_none()) else { return };
        Room::shut_down(&mut room.event_loop(), stop::options(DRAIN, Room::ORDER));
        self.stops_until = Some(now.max(self.asleep_until) + PATIENCE + DRAIN + ms(500));
    }

    /// Its process does nothing for a while.
    pub fn sleeps(&mut self, now: Duration, time: Duration) {
        let wakes = self.asleep_until.max(now + time);
        let longer = wakes - self.asleep_until.max(now);
        self.asleep_until = wakes;
        self.stops_until = self.stops_until.map(|until| until + longer);
    }

    pub fn has_stopped(&mut self) -> bool {
        let Some(room) = self.room.as_mut().filter(|_| self.stops_until.is_some()) else { return false };
        room.net.sockets() == 0 && !room.event_loop().is_shutting_down()
    }

    // ---- what it is like ---------------------------------------------------------------------------------------------------

    /// How far it has read the stream, if it reads what comes. The end of time, if it has no engine. None, if that is not known.
    pub fn has_read(&self, now: Duration) -> Option<EntryId> {
        let end = EntryId { milliseconds: u64::MAX, number: 0 };
        match (self.node(), self.connected) {
            (None, _) => Some(end),
            _ if self.asleep_until > now => None,
            (Some(_), (false, ..)) => Some(end),
            (Some(node), (true, _, since)) => node.trace.last().map(|(id, _)| *id).filter(|_| now >= since + SETTLES),
        }
    }

    /// It has an engine, and does not stop.
    pub fn is_connected(&self) -> bool {
        self.room.is_some() && self.stops_until.is_none() && self.connected.0
    }

    /// Memory is bounded, a stop takes no longer than it may, and whoever has no engine says so when the patience is over.
    pub fn look_at(&mut self, now: Duration) {
        if let Some(room) = &self.room {
            let figures = room.state.link.figures();
            if (figures.is_connected, figures.connects) != (self.connected.0, self.connected.1) {
                self.connected = (figures.is_connected, figures.connects, now);
            }
        }
        let (Some(node), Some(figures)) = (self.node(), self.figures()) else { return };
        let (is_connected, _, since) = self.connected;
        let is_patient = now < since.max(self.asleep_until) + PATIENCE + ms(500) || self.stops_until.is_some();
        let is_together = figures.standing == Standing::Together;
        assert!(is_connected || is_patient || !is_together, "{} does not say that it has no engine", self.label);
        assert!(figures.outbox_bytes <= self.options.bus.outbox(), "{}: {figures:?}", self.label);
        assert!(node.kept() <= 2 * self.options.bus.catch_up as usize, "{}", self.label);
        let is_late = self.stops_until.is_some_and(|until| now > until);
        let connections = self.room.iter().flat_map(|room| room.net.connections());
        assert!(!is_late, "{} does not stop: {:#?}", self.label, connections.collect::<Vec<_>>());
    }

    /// All that was said is heard everywhere, and it knows of so many nodes.
    pub fn is_quiet(&self, nodes: usize) -> bool {
        self.figures().is_some_and(|figures| {
            let is_heard = figures.outbox_lines == 0 && figures.is_sure;
            is_heard && figures.standing == Standing::Together && figures.nodes == nodes
        })
    }

    /// Its process is over, or the simulation is. What its first guest has heard is what it has told.
    pub fn life(&mut self, crowd: &Crowd, all: &Entries, is_there: bool) -> Option<Life> {
        let room = self.room.take()?;
        let node = room.state.shared?.node;
        let figures = node.figures();
        let ear = &crowd.guests[self.ear];
        let said = std::mem::take(&mut self.all).into_iter().map(|guest| crowd.guests[guest].said).sum();
        assert_eq!(figures.malformed, 0);
        self.guests.clear();
        self.stops_until = None;
        Some(Life {
            label: self.label.clone(),
            boot: self.boot,
            is_there,
            told: heard::told(&ear.heard, all),
            said,
            began: node.began,
            who: if is_there { heard::who(&ear.heard) } else { Vec::new() },
            guests: std::mem::take(&mut self.names),
            not_heard: figures.not_heard,
            trace: node.trace,
        })
    }
}
