//! The table of connections: what it says of each, and why one is not read from, with whom.

use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{
    ConnectionKind, EventLoop, OutputLimits, OutputPolicy, PausedBy, ReadyState, ServerOptions, Socket, SocketId,
    SoftLimit,
};

const ADDRESS: &str = "10.0.0.1:7";

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[derive(Default)]
struct State {
    sockets: Vec<SocketId>,
}

/// A server and its clients on two loops, with buffers of 10,000 bytes between them.
struct World {
    sim: Sim,
    room: EventLoop<State>,
    guests: EventLoop<State>,
}

impl World {
    /// The server's ends go through `setup`. Nobody takes the data of a guest.
    fn new(guests: usize, options: ServerOptions, setup: impl Fn(&mut Socket<'_, State>) + 'static) -> Self {
        let sim = Sim::with(1, Conditions::new().buffer(10_000));
        let mut room = EventLoop::on(sim.kernel(), State::default());
        room.listen_with(ADDRESS, options, move |socket| {
            let id = socket.id();
            socket.state.sockets.push(id);
            setup(socket);
        })
        .unwrap();
        let mut world = World { room, guests: EventLoop::on(sim.kernel(), State::default()), sim };
        for _ in 0..guests {
            let id = world.guests.connect(ADDRESS, |_| {}).unwrap();
            world.guests.state.sockets.push(id);
            world.run(ms(5));
        }
        assert_eq!(world.room.state.sockets.len(), guests);
        world
    }

    fn run(&mut self, time: Duration) {
        let until = self.sim.now() + time;
        self.sim.run(&mut [&mut self.room, &mut self.guests], until).unwrap();
        self.room.net.check().unwrap();
    }

    /// Of the server's ends: why each is not read from. The table and a single look say the same.
    fn paused(&self) -> Vec<Option<PausedBy>> {
        let net = &self.room.net;
        let all: Vec<_> = net.connections().map(|info| (info.id(), info.paused_by())).collect();
        for (id, paused_by) in &all {
            assert_eq!(net.connection(*id).paused_by(), *paused_by, "{id}");
        }
        all.into_iter().map(|(_, paused_by)| paused_by).collect()
    }

    fn id(&self, number: usize) -> SocketId {
        self.room.state.sockets[number]
    }
}

fn takes_data(socket: &mut Socket<'_, State>) {
    socket.on_data(|_, _| {});
}

#[test]
fn each_connection_is_there_once_with_what_is_known_of_it() {
    let mut world = World::new(2, ServerOptions::new().high_water_mark(5000), takes_data);
    let (anna, bert) = (world.id(0), world.id(1));
    world.room.net.set_label(anna, "anna");
    world.room.net.pipe(bert, anna).unwrap();
    world.guests.net.write(world.guests.state.sockets[0], b"hello");
    world.room.after(ms(3000), |_| {});
    world.run(ms(3005));
    world.room.net.write(anna, &[b'x'; 200_000]);
    world.run(ms(5));
    world.room.net.end(bert, None);
    world.room.turn(Some(Duration::ZERO)).unwrap();

    let table: Vec<_> = world.room.net.connections().collect();
    assert_eq!(table.iter().map(|info| info.id()).collect::<Vec<_>>(), [anna, bert]);
    let [a, b] = [table[0], table[1]];
    assert_eq!((a.id().to_string(), a.label(), b.label()), ("#1".to_owned(), Some("anna"), None));
    assert_eq!(a.kind(), ConnectionKind::Server);
    assert_eq!((a.stage(), a.reading(), a.writing(), a.flow()), ("connected", "open", "open", "flowing"));
    assert_eq!((a.ready_state(), b.ready_state()), (ReadyState::Open, ReadyState::ReadOnly));
    assert_eq!((b.reading(), b.writing()), ("open", "over"));
    assert_eq!((a.bytes_read(), a.bytes_written(), a.high_water_mark()), (5, 200_000, 5000));
    assert!(a.unsent() > 100_000 && a.buffer_size() >= a.unsent(), "{a:?}");
    assert_eq!((a.pipes().collect::<Vec<_>>(), b.pipes().collect::<Vec<_>>()), (vec![], vec![anna]));
    assert_eq!((a.age().as_secs(), a.idle().as_secs()), (3, 0));
    assert_eq!((b.age().as_secs(), b.idle().as_secs()), (3, 3));
    assert_eq!(a.local_address(), Some(ADDRESS.parse().unwrap()));
    let guest = world.guests.net.connection(world.guests.state.sockets[0]);
    assert_eq!((a.remote_address(), guest.remote_address()), (guest.local_address(), a.local_address()));

    let client = world.guests.net.connections().next().unwrap();
    assert_eq!((client.kind(), client.kind().name(), client.server()), (ConnectionKind::Client, "client", None));
    assert!(client.read_ahead() > 0, "{client:?}");

    world.room.net.destroy(anna);
    assert_eq!(world.room.net.connection(anna).stage(), "destroyed");
    world.run(ms(5));
    let gone = world.room.net.connection(anna);
    assert_eq!((gone.stage(), gone.reading(), gone.writing(), gone.id()), ("closed", "over", "over", anna));
    assert_eq!(world.room.net.connections().count(), 0, "both are gone");
}

#[test]
fn a_user_who_pauses_may_say_why() {
    let mut world = World::new(1, ServerOptions::new(), takes_data);
    let id = world.id(0);
    let paused = |world: &World| world.paused()[0];
    assert_eq!(paused(&world), None);
    world.room.net.pause_for(id, "flood");
    assert_eq!(paused(&world), Some(PausedBy::User(Some("flood"))));
    assert_eq!(paused(&world).unwrap().to_string(), "the program (flood)");
    world.room.net.pause(id);
    assert_eq!(paused(&world), Some(PausedBy::User(None)));
    world.room.net.pause_for(id, "flood");
    world.room.net.resume(id);
    world.run(ms(1));
    assert_eq!(paused(&world), None);
    world.room.net.pause(id);
    assert_eq!(paused(&world), Some(PausedBy::User(None)), "the reason was that of another pause");
    world.room.socket(id).unwrap().pause_for("lunch");
    assert_eq!(paused(&world), Some(PausedBy::User(Some("lunch"))));
    world.room.net.destroy(id);
    assert_eq!(paused(&world), None);
}

#[test]
fn a_pipe_names_the_destination_that_is_full() {
    let mut world = World::new(3, ServerOptions::new().high_water_mark(5000), |_| {});
    let [source, free, stuck] = [world.id(0), world.id(1), world.id(2)];
    world.room.net.pipe(source, free).unwrap();
    world.room.net.pipe(source, stuck).unwrap();
    let free_guest = world.guests.state.sockets[1];
    world.guests.net.listen_for_data(free_guest, true);
    world.guests.net.resume(free_guest);
    world.guests.net.write(world.guests.state.sockets[0], &[b'x'; 500_000]);
    world.run(ms(200));
    assert_eq!(world.paused(), [Some(PausedBy::Pipe(stuck)), None, None]);
    assert_eq!(world.paused()[0].unwrap().to_string(), "a pipe into #3");
    assert_eq!(world.room.net.connection(free).unsent(), 0);
    world.guests.net.resume(world.guests.state.sockets[2]);
    world.guests.net.listen_for_data(world.guests.state.sockets[2], true);
    world.run(ms(200));
    assert_eq!(world.paused(), [None; 3]);
}

#[test]
fn a_sender_is_held_by_a_receiver_that_is_named() {
    let soft = SoftLimit::new(20_000, Duration::from_secs(60));
    let limits = OutputLimits::new().soft(soft).policy(OutputPolicy::PauseSenders);
    let mut world = World::new(4, ServerOptions::new().output_limits(limits), takes_data);
    let everybody = world.room.state.sockets.clone();
    for sender in [everybody[0], everybody[3]] {
        world.room.net.broadcast_from(sender, [everybody[1]], [b'x'; 150_000]);
    }
    world.run(ms(5));
    let receiver = PausedBy::Receiver(everybody[1]);
    assert_eq!(world.paused(), [Some(receiver), None, None, Some(receiver)]);
    assert_eq!(receiver.to_string(), "receiver #2");
    world.room.net.destroy(everybody[1]);
    world.run(ms(5));
    assert_eq!(world.paused(), [None; 3]);
}

#[test]
fn nobody_is_read_from_without_memory_and_nobody_who_takes_no_data_for_ever() {
    let mut world = World::new(1, ServerOptions::new().high_water_mark(5000), |_| {});
    world.guests.net.write(world.guests.state.sockets[0], &[b'x'; 100_000]);
    world.run(ms(50));
    assert_eq!(world.paused(), [Some(PausedBy::ReadAhead)]);
    assert_eq!(world.paused()[0].unwrap().to_string(), "read-ahead that nobody takes");

    let mut world = World::new(1, ServerOptions::new().high_water_mark(1 << 20), |_| {});
    world.room.net.set_memory_limit(Some(100_000));
    world.guests.net.write(world.guests.state.sockets[0], &[b'x'; 100_000]);
    world.run(ms(50));
    assert_eq!(world.paused(), [Some(PausedBy::Memory)]);
}

#[test]
fn one_that_has_given_its_turn_away_waits_for_the_next() {
    let mut world = World::new(1, ServerOptions::new(), takes_data);
    let id = world.id(0);
    world.room.socket(id).unwrap().yield_turn(|socket| {
        assert_eq!(socket.net.connection(socket.id()).paused_by(), None);
        socket.pause_for("its turn");
    });
    assert_eq!(world.paused(), [Some(PausedBy::Turn)]);
    world.run(ms(5));
    assert_eq!(world.paused(), [Some(PausedBy::User(Some("its turn")))]);
}

#[test]
fn what_was_dropped_is_counted_for_each() {
    for (policy, is_broadcast) in
        [(OutputPolicy::DropNewest, true), (OutputPolicy::DropNewest, false), (OutputPolicy::DropOldest, true)]
    {
        let limits = OutputLimits::new().hard(20_000).policy(policy);
        let mut world = World::new(2, ServerOptions::new().output_limits(limits), takes_data);
        let (stuck, quiet) = (world.id(0), world.id(1));
        let mut offered = 0;
        for _ in 0..500 {
            offered += 1000;
            if is_broadcast {
                world.room.net.broadcast([stuck], [b'x'; 1000]);
            } else {
                world.room.net.write(stuck, &[b'x'; 1000]);
            }
            world.run(ms(1));
        }
        let info = world.room.net.connection(stuck);
        assert!(info.messages_dropped() > 100, "{policy:?}: {} dropped", info.messages_dropped());
        assert_eq!(info.bytes_dropped(), 1000 * info.messages_dropped());
        assert_eq!(info.messages_dropped(), world.room.net.counters().messages_dropped);
        assert_eq!(info.bytes_written() + info.bytes_dropped(), offered, "{policy:?}");
        assert_eq!(world.room.net.connection(quiet).messages_dropped(), 0);
    }
}
