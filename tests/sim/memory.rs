//! The memory that a loop holds for peers that do not read, or whom nobody reads, counted and not measured.

use std::collections::HashMap;
use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{
    CloseReason, ErrorKind, EventLoop, OutputLimits, OutputPolicy, ServerOptions, Socket, SocketId, SoftLimit,
};

const ADDRESS: &str = "10.0.0.1:7";

/// A segment that is being filled, whoever waits: 256 KiB, and an eighth for the boundaries.
const SEGMENT: usize = (256 << 10) * 9 / 8 + 1024;

#[derive(Debug, Default)]
struct Room {
    guests: Vec<SocketId>,
    errors: Vec<(SocketId, String)>,
    closed: HashMap<SocketId, CloseReason>,
    received: usize,
    most: usize,
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn welcome(socket: &mut Socket<'_, Room>) {
    let id = socket.id();
    socket.state.guests.push(id);
    socket.on_data(|socket, chunk| socket.state.received += chunk.len());
    socket.on_error(|socket, error| {
        assert_eq!(error.kind(), ErrorKind::OutputLimit);
        let id = socket.id();
        socket.state.errors.push((id, error.to_string()));
    });
    socket.on_close(|socket, closed| {
        let id = socket.id();
        socket.state.closed.insert(id, closed.reason);
        socket.state.guests.retain(|guest| *guest != id);
    });
}

/// A room with so many guests that read nothing, and after them so many that read all.
struct World {
    sim: Sim,
    room: EventLoop<Room>,
    guests: EventLoop<Room>,
    stuck: Vec<SocketId>,
}

impl World {
    fn new(stuck: usize, reading: usize, limits: OutputLimits) -> Self {
        let sim = Sim::with(1, Conditions::new().buffer(10_000));
        let mut room = EventLoop::on(sim.kernel(), Room::default());
        room.listen_with(ADDRESS, ServerOptions::new().output_limits(limits), welcome).unwrap();
        let mut guests = EventLoop::on(sim.kernel(), Room::default());
        for number in 0..stuck + reading {
            guests
                .connect(ADDRESS, move |socket| {
                    socket.on_data(|socket, chunk| socket.state.received += chunk.len());
                    socket.on_error(|_, _| {});
                    if number < stuck {
                        socket.pause();
                    }
                })
                .unwrap();
            sim.run(&mut [&mut room, &mut guests], sim.now() + ms(5)).unwrap();
        }
        assert_eq!(room.state.guests.len(), stuck + reading);
        let stuck = room.state.guests[..stuck].to_vec();
        // All that the two kernels and the read-ahead of a guest take.
        for id in &stuck {
            room.net.write(*id, &[b'-'; 200_000]);
        }
        let mut world = World { sim, room, guests, stuck };
        world.run(ms(50));
        world
    }

    fn run(&mut self, time: Duration) {
        let until = self.sim.now() + time;
        self.sim.run(&mut [&mut self.room, &mut self.guests], until).unwrap();
        self.room.net.check().unwrap();
    }

    fn unsent(&self) -> usize {
        self.stuck.iter().map(|id| self.room.net.connection(*id).unsent()).sum()
    }

    fn held(&self) -> usize {
        self.room.net.counters().memory_held
    }
}

/// A stuck guest is sent a line each turn, in the same turn as the others are sent much: it held all of that.
#[test]
fn a_guest_that_reads_nothing_does_not_keep_what_others_were_sent() {
    let mut world = World::new(1, 3, OutputLimits::new());
    let before = world.unsent();
    world.room.every(ms(1), |room| {
        let stuck = room.state.guests[0];
        let others: Vec<_> = room.state.guests[1..].to_vec();
        room.net.broadcast(others.iter().copied(), vec![b'f'; 2000]);
        room.net.broadcast(room.state.guests.iter().copied(), "guest2: x\n");
        room.net.broadcast(others, vec![b'f'; 2000]);
        let (held, unsent) = (room.net.counters().memory_held, room.net.connection(stuck).unsent());
        room.state.most = room.state.most.max(held.saturating_sub(unsent * 2));
    });
    world.run(Duration::from_secs(10));
    assert!(world.unsent() >= before + 4000 * 10, "{} bytes unsent", world.unsent());
    assert!(world.guests.state.received > 4000 * 3 * 4000, "the others read on");
    assert!(world.held() <= 2 * world.unsent() + 4096 + SEGMENT, "{} for {}", world.held(), world.unsent());
    assert!(world.room.state.most <= 4096 + SEGMENT, "{} above twice what is unsent", world.room.state.most);
}

#[test]
fn what_many_are_stuck_with_is_there_once() {
    let mut world = World::new(40, 0, OutputLimits::new());
    world.room.net.set_memory_limit(Some(world.held() + 2_500_000));
    let before = world.held();
    for _ in 0..20 {
        world.room.net.broadcast(world.stuck.iter().copied(), vec![b's'; 100_000]);
        world.run(ms(5));
    }
    assert!(world.held() - before < 2_400_000, "{} for twenty times 100 KB", world.held() - before);
    assert_eq!(world.room.net.counters().limited, 0);
    assert!(world.room.net.counters().most_memory_held >= world.held());
}

#[test]
fn above_the_memory_limit_those_with_the_most_are_ended_one_after_the_other() {
    let mut world = World::new(4, 1, OutputLimits::new());
    for (at, id) in world.stuck.clone().into_iter().enumerate() {
        world.room.net.write(id, &vec![b'm'; [300_000, 900_000, 100_000, 600_000][at]]);
    }
    world.run(ms(5));
    assert_eq!(world.room.net.counters().limited, 0, "there is no limit by default");
    world.room.net.set_memory_limit(Some(1_800_000));
    world.run(ms(5));
    let (first, rest) = (world.stuck[1], [world.stuck[0], world.stuck[2], world.stuck[3]]);
    assert_eq!(world.room.state.closed, HashMap::from([(first, CloseReason::OutputLimit)]));
    let (id, error) = &world.room.state.errors[0];
    assert_eq!(*id, first);
    assert!(error.contains("does not read") && error.contains("memory limit 1800000"), "{error}");
    assert!(world.held() <= 1_800_000);
    world.room.net.set_memory_limit(Some(500_000));
    world.run(ms(5));
    assert_eq!(world.room.state.errors.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [first, rest[2], rest[0]]);
    assert!(world.held() <= 500_000, "{}", world.held());
    let counters = world.room.net.counters();
    assert_eq!((counters.memory_limited, counters.limited), (3, 3));
    assert!(counters.most_memory_held >= 1_900_000);
    world.room.net.set_memory_limit(None);
    world.room.net.write(rest[1], &vec![b'm'; 3_000_000]);
    world.run(ms(5));
    assert_eq!(world.room.net.counters().limited, 3);
}

/// Each policy, in a room that goes on: the bound holds after every turn.
#[test]
fn each_policy_keeps_the_memory_limit() {
    const LIMIT: usize = 2_000_000;
    for policy in
        [OutputPolicy::Disconnect, OutputPolicy::DropNewest, OutputPolicy::DropOldest, OutputPolicy::PauseSenders]
    {
        let soft = SoftLimit::new(40_000_000, Duration::from_secs(100));
        let limits = OutputLimits::new().hard(50_000_000).soft(soft).policy(policy);
        let mut world = World::new(5, 2, limits);
        world.room.net.set_memory_limit(Some(LIMIT));
        for number in 0..2000_usize {
            let to = world.stuck[number % 5];
            world.room.net.broadcast([to], vec![b'p'; 100 + number]);
            world.room.net.write(to, &vec![b'q'; number]);
            world.room.net.broadcast(world.room.state.guests.clone(), "to all\n");
            world.room.turn(Some(ms(1))).unwrap();
            // What the turn has written after the flush.
            assert!(world.held() <= LIMIT + SEGMENT, "{policy:?}: {} are held", world.held());
        }
        world.run(ms(5000));
        let counters = world.room.net.counters();
        let drops = matches!(policy, OutputPolicy::DropNewest | OutputPolicy::DropOldest);
        assert_eq!(counters.messages_dropped > 0, drops, "{policy:?}");
        assert_eq!(counters.memory_limited == 0, drops, "{policy:?}");
        assert_eq!(world.room.state.guests.len() == 7, drops, "{policy:?}");
        assert!(world.guests.state.received >= 2000 * 2 * 7, "the others have read all");
    }
}

#[test]
fn read_ahead_takes_half_of_the_memory_limit_and_goes_on_when_there_is_room() {
    const LIMIT: usize = 1_000_000;
    let mut world = World::new(0, 20, OutputLimits::new());
    for id in world.room.state.guests.clone() {
        world.room.net.pause(id);
    }
    world.room.net.set_memory_limit(Some(LIMIT));
    let guests: Vec<_> = world.guests.net.socket_ids().collect();
    for _ in 0..50 {
        for id in &guests {
            world.guests.net.write(*id, &[b'r'; 5000]);
        }
        world.run(ms(3));
        assert!(world.held() <= LIMIT / 2, "{}", world.held());
    }
    assert!(world.held() > LIMIT / 4, "it does read ahead: {}", world.held());
    let paused = world.room.state.guests.clone();
    for id in paused {
        world.room.net.resume(id);
        world.run(ms(100));
    }
    world.run(Duration::from_secs(1));
    assert_eq!(world.room.state.received, 20 * 50 * 5000, "nothing is lost");
    assert_eq!(world.room.net.counters().limited, 0, "nobody is ended because others do not take what they sent");
    assert_eq!(world.held(), 0);
}
