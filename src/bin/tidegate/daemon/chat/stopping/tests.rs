//! Rooms with an engine on the simulated network, one of which is stopped while its guests speak.

use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{EndOrder, EventLoop, SocketId, SocketOptions};

use super::*;
use crate::cli::ChatOptions;
use crate::daemon::engine::simulated::{self, FakeEngine};
use crate::daemon::service::{Running, Service, start};
use crate::daemon::stop;

const HERE: &str = "10.0.0.1:5000";
const THERE: &str = "10.0.0.2:5000";

/// What a client has said and heard.
#[derive(Default)]
struct Client {
    id: Option<SocketId>,
    said: u64,
    heard: String,
    has_ended: bool,
    closed: Option<Duration>,
}

struct World {
    sim: Sim,
    engine: EventLoop<FakeEngine>,
    here: EventLoop<Room>,
    there: EventLoop<Room>,
    /// The first ones are here, and the last one is there.
    clients: EventLoop<Vec<Client>>,
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn room(sim: &Sim, flags: &str) -> EventLoop<Room> {
    let flags: Vec<&str> = flags.split(' ').collect();
    let options = ChatOptions::of(&flags);
    let mut room = EventLoop::on(sim.kernel(), Room::new(options.clone()));
    let running = Running::new(&room.state, &options.daemon, 1000).unwrap();
    start(&mut room, &running).unwrap();
    room
}

impl World {
    /// With so many guests here, and one who listens there. All are together.
    fn new(seed: u64, guests: usize, flags: &str) -> Self {
        let sim = Sim::with(seed, Conditions::default());
        let engine = simulated::engine(&sim);
        let bus = format!("--bus redis://{} --flood none", simulated::AT);
        let here = room(&sim, &format!("--listen {HERE} {bus} --bus-node here{flags}"));
        let there = room(&sim, &format!("--listen {THERE} {bus} --bus-node there"));
        let clients = EventLoop::on(sim.kernel(), Vec::new());
        let mut world = World { sim, engine, here, there, clients };
        world.run(ms(1000));
        (0..guests).for_each(|_| world.joins(HERE, false));
        world.joins(THERE, false);
        world.run(ms(2000));
        for client in &world.clients.state {
            assert!(client.heard.contains("* you are guest"), "{}", client.heard);
        }
        world
    }

    /// A client that ends when the room does, or a stubborn one.
    fn joins(&mut self, at: &str, is_stubborn: bool) {
        let number = self.clients.state.len();
        self.clients.state.push(Client::default());
        let options = SocketOptions::new().allow_half_open(is_stubborn);
        let id = self.clients.connect_with(at, options, move |socket| {
            socket.on_text(move |socket, text| socket.state[number].heard.push_str(text));
            socket.on_end(move |socket| socket.state[number].has_ended = true);
            socket.on_error(|_, _| {});
            socket.on_close(move |socket, _| socket.state[number].closed = Some(socket.net.now()));
        });
        self.clients.state[number].id = Some(id.unwrap());
    }

    fn run(&mut self, until: Duration) {
        let World { sim, engine, here, there, clients } = self;
        sim.run(&mut [engine, here, there, clients], until).unwrap();
    }

    /// The engine is stopped meanwhile, as by SIGSTOP.
    fn run_without_engine(&mut self, until: Duration) {
        let World { sim, here, there, clients, .. } = self;
        sim.run(&mut [here, there, clients], until).unwrap();
    }

    fn says(&mut self, number: usize, text: &str) {
        let client = &mut self.clients.state[number];
        client.said += 1;
        self.clients.net.write(client.id.unwrap(), format!("{text}\n").as_bytes());
    }

    /// From now on the guest of this number says `n.1`, `n.2` and so on, until it is closed.
    fn speaks(&mut self, number: usize, pause: Duration) {
        self.clients.every(pause, move |clients| {
            let client = &mut clients.state[number];
            if client.closed.is_none() && clients.net.connection(client.id.unwrap()).is_writable() {
                client.said += 1;
                let line = format!("{number}.{}\n", client.said);
                clients.net.write(client.id.unwrap(), line.as_bytes());
            }
        });
    }

    fn is_told_to_stop(&mut self, drain_timeout: Duration) {
        let mut on = self.here.event_loop();
        Room::shut_down(&mut on, stop::options(drain_timeout, EndOrder::Together));
    }

    fn is_stopping(&mut self) -> bool {
        self.here.event_loop().is_shutting_down()
    }

    /// When it has stopped.
    fn has_stopped(&mut self, run: Run, until: Duration) -> Duration {
        while self.is_stopping() {
            assert!(self.sim.now() < until, "it goes on: {:?}", self.here.state.shared.as_ref().unwrap().stop);
            let next = self.sim.now() + ms(10);
            run(self, next);
        }
        self.sim.now()
    }

    fn exits_with(&mut self, code: u8) {
        let found = format!("{:?}", sum_up(&mut self.here, ExitCode::SUCCESS));
        assert_eq!(found, format!("{:?}", ExitCode::from(code)), "{:?}", self.figures());
    }

    fn figures(&self) -> bus::Figures {
        self.here.state.shared.as_ref().unwrap().node.figures()
    }

    /// How many lines of this guest another has heard. They are in order, and none comes twice.
    fn heard_of(&self, number: usize, by: usize) -> u64 {
        let prefix = format!("{number}.");
        let said = |line: &str| line.split_once(": ")?.1.strip_prefix(&prefix)?.parse::<u64>().ok();
        let heard: Vec<u64> = self.clients.state[by].heard.lines().filter_map(said).collect();
        assert!(heard.windows(2).all(|pair| pair[0] < pair[1]), "{heard:?}");
        heard.len() as u64
    }

    fn all_said(&self, guests: usize) -> u64 {
        self.clients.state[..guests].iter().map(|client| client.said).sum()
    }

    fn all_heard(&self, guests: usize, by: usize) -> u64 {
        (0..guests).map(|number| self.heard_of(number, by)).sum()
    }

    #[track_caller]
    fn hears(&self, number: usize, line: &str) {
        let heard = &self.clients.state[number].heard;
        assert!(heard.lines().any(|it| it == line), "not heard: {line}\n{heard}");
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_guests_say_until_they_are_gone_is_heard_at_the_other_node() {
    for seed in 1..=20 {
        let mut world = World::new(seed, 10, "");
        (0..10).for_each(|number| world.speaks(number, ms(7)));
        world.run(ms(2500 + seed));
        world.is_told_to_stop(10 * SECOND);
        let stopped = world.has_stopped(World::run, 13 * SECOND);
        assert!(stopped < 4 * SECOND, "all had gone when they saw the end: {stopped:?}");
        world.run(15 * SECOND);
        assert_eq!((world.all_heard(10, 10), world.figures().not_heard), (world.all_said(10), 0));
        world.exits_with(0);
        world.hears(10, "* here is gone; 10 left; 1 online");
        world.hears(0, "* the server is shutting down");
        assert!(world.clients.state[0].has_ended);
    }
}

#[test]
fn a_guest_who_stays_and_speaks_is_heard_until_the_goodbye_and_then_counted() {
    let mut world = World::new(1, 1, "");
    world.joins(HERE, true);
    world.run(ms(2500));
    world.speaks(2, ms(100));
    world.is_told_to_stop(10 * SECOND);
    let stopped = world.has_stopped(World::run, 13 * SECOND);
    assert!(stopped >= ms(12_500) && stopped < ms(12_600), "as long as the drain timeout: {stopped:?}");
    let (said, heard, not_heard) = (world.clients.state[2].said, world.heard_of(2, 1), world.figures().not_heard);
    assert!(heard >= 78, "for eight seconds: {heard}");
    assert!((said - 1..=said).contains(&(heard + not_heard)), "{said} said, {heard} heard, {not_heard} not");
    assert!(not_heard >= 18);
    world.exits_with(1);
}

/// From the stop on, after so long, until the end. All lines are counted.
fn an_engine_fails(after: Duration, fail: Fail, run: Run) -> World {
    let mut world = World::new(after.as_millis() as u64, 3, "");
    (0..3).for_each(|number| world.speaks(number, ms(20)));
    world.run(ms(2500));
    world.is_told_to_stop(10 * SECOND);
    let until = world.sim.now() + after;
    if after > Duration::ZERO {
        world.run(until);
    }
    fail(&mut world);
    let stopped = world.has_stopped(run, 13 * SECOND);
    assert!(stopped < ms(2500 + 1000 + 2000 + 500), "{stopped:?}");
    // The other node was not harmed, and hears what it is to hear.
    world.run(stopped + 20 * SECOND);
    world
}

type Fail = fn(&mut World);
type Run = fn(&mut World, Duration);

const FAILURES: [(Fail, Run); 4] = [
    (|_| {}, World::run_without_engine),
    (|world| simulated::end(&mut world.engine), World::run),
    (|world| drop(world.engine.state.lies.insert("XADD", b"-OOM command not allowed\r\n".to_vec())), World::run),
    (|world| world.engine.state.silent.push("XADD"), World::run),
];

#[test]
fn without_an_engine_the_stop_ends_in_time_and_counts_what_was_not_heard() {
    for after in [0, 50, 500, 990, 1010] {
        for (at, (fail, run)) in FAILURES.into_iter().enumerate() {
            let mut world = an_engine_fails(ms(after), fail, run);
            let (said, figures) = (world.all_said(3), world.figures());
            let heard = world.all_heard(3, 3);
            let unheard = figures.not_heard + figures.outbox_lines as u64;
            // An engine that was stopped may have taken what it had not answered yet.
            assert!(heard + unheard >= said, "{at} after {after}: {said} said, {heard} heard, {figures:?}");
            if at == 2 || at == 3 {
                assert_eq!(heard + unheard, said, "{at} after {after}: {figures:?}");
            }
            if after < 990 {
                assert!(unheard > 0, "{at} after {after}");
            }
            if unheard > 0 {
                world.exits_with(1);
            }
            if after < 900 {
                // Each guest here has heard what the others have said, up to a moment before its end.
                let told = world.heard_of(1, 0) + 10;
                assert!(told >= world.clients.state[1].said, "{at} after {after}: {told}");
            }
        }
    }
}

#[test]
fn a_room_whose_engine_was_never_there_stops_at_once() {
    let sim = Sim::new(1);
    let mut here = room(&sim, &format!("--listen {HERE} --bus redis://{}", simulated::AT));
    sim.run(&mut [&mut here], SECOND).unwrap();
    Room::shut_down(&mut here.event_loop(), stop::options(10 * SECOND, EndOrder::Together));
    sim.run(&mut [&mut here], SECOND + ms(100)).unwrap();
    assert!(!here.event_loop().is_shutting_down());
    assert_eq!(format!("{:?}", sum_up(&mut here, ExitCode::SUCCESS)), format!("{:?}", ExitCode::SUCCESS));
}

#[test]
fn commands_are_answered_during_the_stop_and_names_are_told_elsewhere() {
    let mut world = World::new(1, 2, "");
    world.is_told_to_stop(10 * SECOND);
    world.says(0, "/nick anna");
    world.says(0, "/who");
    world.says(1, "hello");
    world.run(ms(2100));
    world.says(0, "/who");
    world.says(1, "/nick anna");
    world.has_stopped(World::run, 13 * SECOND);
    for guest in 0..3 {
        let heard = &world.clients.state[guest].heard;
        assert!(heard.contains(" is now anna\n"), "{heard}");
    }
    assert!(world.clients.state[0].heard.contains(" online: anna, "), "{}", world.clients.state[0].heard);
    world.hears(1, "* name taken: anna");
    world.exits_with(0);
}

#[test]
fn a_paused_guest_has_the_grant_of_a_second_once() {
    let mut world = World::new(1, 1, "");
    world.here.state.options = ChatOptions::of(&["--flood", "2/3", "--bus", "redis://x"]);
    world.joins(HERE, false);
    world.run(ms(2500));
    (1..=9).for_each(|number| world.says(2, &format!("2.{number}")));
    world.run(ms(2600));
    world.is_told_to_stop(10 * SECOND);
    world.has_stopped(World::run, 13 * SECOND);
    let heard = world.heard_of(2, 1);
    assert!((5..=6).contains(&heard), "a burst of two, three that were granted, and perhaps one of the time: {heard}");
    assert_eq!(world.here.state.dropped, 4 * (9 - heard));
}

#[test]
fn what_somebody_sends_who_had_left_before_the_stop_is_no_loss() {
    let mut world = World::new(1, 1, "");
    world.joins(HERE, true);
    world.run(ms(2400));
    world.says(2, "/quit");
    world.run(ms(2500));
    world.is_told_to_stop(10 * SECOND);
    world.speaks(2, ms(50));
    world.has_stopped(World::run, 13 * SECOND);
    world.exits_with(0);
}

#[test]
fn a_client_that_comes_with_the_stop_is_refused_or_has_its_place_and_its_end() {
    let mut world = World::new(1, 1, "");
    for late in 0..20 {
        let at = ms(2495) + Duration::from_micros(500 * late);
        world.clients.after(at.saturating_sub(world.sim.now()), |_| {});
        world.run(at);
        world.joins(HERE, false);
        if late == 10 {
            world.is_told_to_stop(10 * SECOND);
        }
    }
    world.has_stopped(World::run, 13 * SECOND);
    world.run(14 * SECOND);
    for client in &world.clients.state[2..] {
        assert!(client.closed.is_some());
        let is_told =
            client.heard.contains("* you are guest") && client.heard.contains("* the server is shutting down");
        assert!(client.heard.is_empty() || is_told, "{}", client.heard);
    }
    world.exits_with(0);
}
