//! Names on a stream that has just begun: nodes start, stop and are killed within seconds, and a guest who comes then has a
//! name at once, that nobody else has.

use std::time::Duration;

use super::engine::Engine;
use super::{EPOCH, Event, Random, Settings, World};

/// A connection stands after this time.
const CONNECTED: u64 = 2_100;

/// An answer of the engine, and of another node that has just answered, comes within this time.
const SOON: u64 = 1_000;

struct Young {
    world: World,
    guests: u64,
}

impl Young {
    fn with(machines: usize) -> Self {
        Young::with_engine(machines, Engine::new(10_000, 1000))
    }

    fn with_engine(machines: usize, engine: Engine) -> Self {
        let patience = Duration::from_secs(2);
        let settings = Settings { patience, outbox_bytes: 1_000_000, catch_up: 100, most_guests: 100 };
        let world = World::of(Random(7), engine, machines, &settings);
        Young { world, guests: 0 }
    }

    fn waits(&mut self, milliseconds: u64) {
        let end = self.world.now + milliseconds;
        self.world.run_to(end);
    }

    fn starts(&mut self, at: usize) {
        self.begins_to_start(at);
        self.waits(CONNECTED);
    }

    fn begins_to_start(&mut self, at: usize) {
        self.world.after(0, Event::Returns(at));
    }

    fn stops(&mut self, at: usize) {
        let now = self.world.time();
        self.world.machines[at].on_node(|node| node.stops(now));
        self.world.do_outputs(at);
        self.waits(SOON);
        assert!(self.world.machines[at].node.as_ref().unwrap().has_stopped());
        self.is_killed(at);
    }

    fn is_killed(&mut self, at: usize) {
        assert!(self.world.machine_is_gone(at));
    }

    fn hangs(&mut self, at: usize) {
        self.world.machines[at].asleep_until = EPOCH + 1_000_000_000;
    }

    /// What it is called soon after it has come.
    fn name_of_a_guest_at(&mut self, at: usize) -> String {
        let guest = self.comes_to(at);
        self.waits(SOON);
        self.name(at, guest).expect("it has a name")
    }

    fn comes_to(&mut self, at: usize) -> u64 {
        self.guests += 1;
        let (guest, now) = (self.guests, self.world.time());
        self.world.machines[at].on_node(|node| {
            node.arrives(guest, None, now);
            node.joins(guest, now);
        });
        self.world.do_outputs(at);
        guest
    }

    fn says(&mut self, at: usize, guest: u64) {
        let now = self.world.time();
        self.world.machines[at].on_node(|node| node.says(guest, "a line", now));
        self.world.do_outputs(at);
    }

    fn name(&self, at: usize, guest: u64) -> Option<String> {
        self.world.machines[at].node.as_ref().unwrap().name(guest).map(str::to_owned)
    }
}

#[test]
fn a_node_that_is_stopped_in_order_and_started_again_has_names_at_once() {
    let mut young = Young::with(1);
    young.starts(0);
    assert_eq!(young.name_of_a_guest_at(0), "guest1");
    young.stops(0);
    young.starts(0);
    assert_eq!(young.name_of_a_guest_at(0), "guest2");
}

#[test]
fn a_node_that_is_killed_and_started_again_has_names_at_once() {
    let mut young = Young::with(1);
    young.starts(0);
    assert_eq!(young.name_of_a_guest_at(0), "guest1");
    young.is_killed(0);
    young.starts(0);
    assert_eq!(young.name_of_a_guest_at(0), "guest2", "guest1 may still be there");
    young.is_killed(0);
    young.starts(0);
    assert_eq!(young.name_of_a_guest_at(0), "guest3");
}

#[test]
fn a_node_without_guests_that_is_killed_and_started_again_has_names_at_once() {
    let mut young = Young::with(1);
    young.starts(0);
    young.is_killed(0);
    young.starts(0);
    assert_eq!(young.name_of_a_guest_at(0), "guest1");
}

#[test]
fn nodes_that_start_at_the_same_time_have_names_at_once() {
    let mut young = Young::with(3);
    (0..3).for_each(|at| young.begins_to_start(at));
    young.waits(CONNECTED);
    let guests: Vec<u64> = (0..3).map(|at| young.comes_to(at)).collect();
    young.waits(SOON);
    let mut names: Vec<String> = guests.iter().enumerate().map(|(at, guest)| young.name(at, *guest).unwrap()).collect();
    names.sort();
    assert_eq!(names, ["guest1", "guest2", "guest3"]);
}

#[test]
fn whoever_starts_while_another_hangs_has_names_at_once() {
    let mut young = Young::with(3);
    young.starts(0);
    young.starts(1);
    assert_eq!(young.name_of_a_guest_at(0), "guest1");
    assert_eq!(young.name_of_a_guest_at(1), "guest2");
    young.hangs(1);
    young.starts(2);
    assert_eq!(young.name_of_a_guest_at(2), "guest3");
    young.is_killed(0);
    young.starts(0);
    assert_eq!(young.name_of_a_guest_at(0), "guest4", "nobody is left who could say who is there");
}

#[test]
fn of_a_node_that_hangs_and_had_no_guests_that_is_known_from_a_history_of_half_a_minute() {
    let mut young = Young::with_engine(3, Engine::new(60, 30));
    young.starts(0);
    young.starts(1);
    let guest = young.comes_to(0);
    for _ in 0..120 {
        young.says(0, guest);
        young.waits(1000);
    }
    young.hangs(1);
    young.starts(2);
    assert_eq!(young.name_of_a_guest_at(2), "guest2");
}

#[test]
fn an_engine_without_its_data_and_nodes_that_were_killed_begin_anew() {
    let mut young = Young::with(2);
    young.starts(0);
    young.starts(1);
    young.is_killed(0);
    young.is_killed(1);
    young.world.engine.empties();
    young.starts(1);
    young.is_killed(1);
    young.starts(0);
    assert_eq!(young.name_of_a_guest_at(0), "guest1");
}

#[test]
fn in_a_stream_that_was_emptied_while_nodes_are_there_a_new_one_soon_knows_them() {
    let mut young = Young::with(4);
    young.starts(0);
    young.starts(1);
    assert_eq!(young.name_of_a_guest_at(0), "guest1");
    assert_eq!(young.name_of_a_guest_at(1), "guest2");
    young.world.engine.empties();
    young.starts(2);
    let guest = young.comes_to(2);
    young.waits(3 * SOON);
    assert_eq!(young.name(2, guest).unwrap(), "guest3");
    young.starts(3);
    assert_eq!(young.name_of_a_guest_at(3), "guest4");
    for at in 0..4 {
        let who = young.world.machines[at].node.as_ref().unwrap().who();
        let mut names: Vec<String> = who.into_iter().flat_map(|(_, names)| names).collect();
        names.sort();
        assert_eq!(names, ["guest1", "guest2", "guest3", "guest4"], "at {at}");
    }
}
