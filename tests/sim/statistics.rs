//! What a loop counts of itself: each figure is provoked and read back. Only what is said takes time here, so all are exact.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate::sim::{Call, Conditions, Fault, Sim};
use tidegate::{
    BlockList, EventLoop, FigureKind, FigureValue, OutputLimits, OutputPolicy, ServerOptions, SocketId, SoftLimit,
    Statistics,
};

use super::tracing::run_with;

const ADDRESS: &str = "10.0.0.1:7";

/// What a turn takes by itself.
const TURN: Duration = Duration::from_micros(10);

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

struct State {
    sim: Sim,
    /// The server's ends, in the order in which they came.
    sockets: Vec<SocketId>,
}

type Loop = EventLoop<State>;

fn counted(conditions: Conditions) -> Loop {
    let sim = Sim::with(1, conditions);
    let mut it = EventLoop::on(sim.kernel(), State { sim, sockets: Vec::new() });
    it.net.keep_statistics();
    it
}

/// A server in the same loop, and so many clients of it that take their data.
fn connected(clients: usize, conditions: Conditions, options: ServerOptions) -> (Loop, Vec<SocketId>) {
    let mut it = counted(conditions);
    it.listen_with(ADDRESS, options, |socket| {
        let id = socket.id();
        socket.state.sockets.push(id);
        socket.on_error(|_, _| {});
    })
    .unwrap();
    let clients = (0..clients)
        .map(|_| {
            let id = it
                .connect(ADDRESS, |client| {
                    client.on_data(|_, _| {});
                    client.on_error(|_, _| {});
                })
                .unwrap();
            run(&mut it, ms(2));
            id
        })
        .collect();
    (it, clients)
}

fn run(it: &mut Loop, time: Duration) {
    let sim = it.state.sim.clone();
    sim.run(&mut [it], sim.now() + time).unwrap();
    it.net.check().unwrap();
}

fn figures(it: &Loop) -> Statistics {
    it.net.statistics().unwrap()
}

/// Those of a map that are not 0.
fn some(of: &BTreeMap<&'static str, u64>) -> Vec<(&'static str, u64)> {
    of.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (*name, *count)).collect()
}

#[test]
fn who_does_not_ask_has_none() {
    let sim = Sim::new(1);
    let mut it = EventLoop::on(sim.kernel(), ());
    it.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!((it.net.statistics(), it.net.take_longest_turn()), (None, None));
}

#[test]
fn time_is_that_of_turns_or_between_them() {
    let mut it = counted(Conditions::new());
    it.after(ms(10), |on| on.state.sim.work(ms(3)));
    it.after(ms(20), |on| on.state.sim.work(ms(1)));
    while it.net.now() < ms(24) {
        it.turn(Some(ms(4))).unwrap();
    }
    let all = figures(&it);
    assert_eq!((all.turns, all.waits), (it.net.counters().turns, it.net.counters().turns));
    assert_eq!((all.working, all.working + all.waiting), (ms(4), it.net.now()));
    assert_eq!((all.turn_times.count(), all.turn_times.sum()), (all.turns, ms(4)));
    let up_to = |time| all.turn_times.buckets().find(|(bound, _)| *bound >= time).unwrap().1;
    assert_eq!((up_to(TURN), up_to(ms(1)), up_to(ms(3))), (all.turns - 2, all.turns - 1, all.turns));
    assert_eq!((all.wait_events, all.ready_left_sum), (0, 0));
}

#[test]
fn the_longest_turn_is_known_with_its_phase_and_connection() {
    let (mut it, clients) = connected(2, Conditions::new(), ServerOptions::new());
    it.net.take_longest_turn();
    let [quick, slow] = [it.state.sockets[0], it.state.sockets[1]];
    it.socket(quick).unwrap().on_data(|socket, _| socket.state.sim.work(ms(1)));
    it.socket(slow).unwrap().on_data(|socket, _| socket.state.sim.work(ms(2)));
    for client in clients {
        it.net.write(client, b"x");
    }
    run(&mut it, ms(10));
    let longest = figures(&it).longest_turn.unwrap();
    assert_eq!((longest.time, longest.phase, longest.phase_time), (ms(3), "serve", ms(3)));
    assert_eq!((longest.connection, longest.handler_time), (Some(slow), ms(2)));
    assert_eq!(it.net.take_longest_turn(), Some(longest));
    assert_eq!(figures(&it).longest_turn, None, "since it was asked for");
    it.after(ms(1), |on| on.state.sim.work(ms(1)));
    it.next_tick(|on| on.state.sim.work(Duration::from_micros(100)));
    run(&mut it, ms(10));
    let longest = it.net.take_longest_turn().unwrap();
    assert_eq!((longest.phase, longest.phase_time, longest.connection), ("timeouts", ms(1), None));
}

#[test]
fn timers_are_counted_and_how_late_they_are() {
    let mut it = counted(Conditions::new());
    let [first, _, cancelled] = [1, 2, 3].map(|at| it.after(ms(at), |on| on.state.sim.work(ms(5))));
    it.event_loop().cancel(cancelled);
    let mut other = it.event_loop();
    other.cancel(first);
    it.after(ms(1), |on| on.state.sim.work(ms(5)));
    assert_eq!(figures(&it).timers, 2);
    run(&mut it, ms(20));
    let all = figures(&it);
    assert_eq!((all.timers_set, all.timers_due, all.timers_cancelled, all.timers), (4, 2, 2, 0));
    let lags = &all.timer_lags;
    assert_eq!(lags.count(), 2);
    // The second one waits for the first, and each for the end of its wait.
    assert_eq!(lags.sum(), ms(4) + TURN * 3);
}

#[test]
fn each_read_and_write_is_counted_with_its_bytes() {
    let conditions = Conditions::new().buffer(10_000).short(300).interrupted(50);
    let (mut it, clients) = connected(3, conditions, ServerOptions::new());
    let sim = it.state.sim.clone();
    sim.keep_calls();
    let before = figures(&it);
    for server in it.state.sockets.clone() {
        it.net.pipe(server, server).unwrap();
    }
    for client in &clients {
        it.net.write(*client, &[b'x'; 50_000]);
    }
    let segment = vec![b'y'; 3000];
    it.net.broadcast(clients.clone(), &segment);
    run(&mut it, ms(500));
    let all = figures(&it);
    let calls = |call| sim.called().iter().filter(|called| **called == call).count() as u64;
    assert_eq!(all.reads - before.reads, calls(Call::Read));
    assert_eq!(all.writes - before.writes, calls(Call::Write));
    let bytes = 2 * 3 * 53_000;
    assert_eq!((all.bytes_read - before.bytes_read, all.bytes_written - before.bytes_written), (bytes, bytes));
    assert!(all.writes_short > 10 && all.writes_blocked > 0, "{all:?}");
    assert_eq!(all.reads_blocked, 0, "a short read has emptied the socket");
    it.socket(clients[0]).unwrap().catch_up(|_, caught_up| caught_up.unwrap());
    run(&mut it, ms(5));
    assert_eq!((figures(&it).reads_blocked, figures(&it).reads), (1, all.reads + 1));
    // What is gone is counted on.
    it.net.destroy_all();
    run(&mut it, ms(5));
    assert_eq!(figures(&it).bytes_read, all.bytes_read);
}

#[test]
fn a_write_in_part_and_one_that_is_refused() {
    let (mut it, clients) = connected(1, Conditions::new().buffer(10_000), ServerOptions::new());
    it.net.write(clients[0], &[b'x'; 15_000]);
    let all = figures(&it);
    // It was tried again at once.
    assert_eq!((all.writes, all.writes_short, all.writes_blocked), (2, 1, 1));
    assert_eq!((all.bytes_written, all.queued), (10_000, 5000));
    assert!(all.memory_held >= 5000);
}

#[test]
fn clients_are_accepted_dropped_blocked_and_shed() {
    let (mut it, _) = connected(3, Conditions::new(), ServerOptions::new().max_connections(2));
    let mut list = BlockList::new();
    list.add_address(it.net.connection(it.state.sockets[0]).remote_address().unwrap().ip());
    let server = it.net.connection(it.state.sockets[0]).server().unwrap();
    let all = figures(&it);
    assert_eq!((all.accepted, all.dropped, all.blocked, all.shed), (2, 1, 0, 0));
    assert_eq!(all.server_connections, BTreeMap::from([(server, 2)]));
    it.net.set_max_connections(server, None);
    it.net.set_block_list(server, Some(list));
    it.connect(ADDRESS, |client| client.on_error(|_, _| {})).unwrap();
    run(&mut it, ms(2));
    assert_eq!((figures(&it).accepted, figures(&it).blocked), (2, 1));
}

/// A server that has a machine of its own, and another machine for its clients.
struct Apart {
    sim: Sim,
    server: Loop,
    clients: EventLoop<()>,
}

impl Apart {
    fn new(conditions: Conditions) -> Self {
        let sim = Sim::with(1, conditions);
        let mut server = EventLoop::on(sim.kernel(), State { sim: sim.clone(), sockets: Vec::new() });
        server.net.keep_statistics();
        server.listen(ADDRESS, |socket| socket.state.sockets.push(socket.id())).unwrap();
        let mut apart = Apart { clients: EventLoop::on(sim.kernel(), ()), sim, server };
        apart.run(ms(5));
        apart
    }

    /// A client whose connect has arrived, and whom the server has not looked at.
    fn client(&mut self) {
        self.clients.connect(ADDRESS, |client| client.on_error(|_, _| {})).unwrap();
        let until = self.sim.now() + ms(5);
        self.sim.run(&mut [&mut self.clients], until).unwrap();
    }

    fn run(&mut self, time: Duration) {
        let until = self.sim.now() + time;
        self.sim.run(&mut [&mut self.server, &mut self.clients], until).unwrap();
    }
}

#[test]
fn each_client_for_whom_there_is_no_descriptor_is_counted() {
    // The server's listener and two connections, and a client each.
    let mut it = Apart::new(Conditions::new().descriptors(3));
    let mut others: Vec<_> = (0..5).map(|_| EventLoop::on(it.sim.kernel(), ())).collect();
    for (number, client) in others.iter_mut().enumerate() {
        client.connect(ADDRESS, |client| client.on_error(|_, _| {})).unwrap();
        let until = it.sim.now() + ms(5);
        it.sim.run(&mut [&mut it.server, client], until).unwrap();
        let (accepted, shed) = (number.min(1) + 1, number.saturating_sub(1));
        let all = figures(&it.server);
        assert_eq!((all.accepted, all.shed), (accepted as u64, shed as u64), "after {} clients", number + 1);
    }
}

#[test]
fn the_time_is_counted_in_which_a_server_cannot_accept() {
    let mut it = Apart::new(Conditions::new());
    assert_eq!(figures(&it.server).accepting_paused, Duration::ZERO);
    it.client();
    let since = it.sim.now() + TURN;
    let paused = |it: &Apart| figures(&it.server).accepting_paused;
    // The first accept, and the one after a pause of 10 ms.
    for pause in [10, 20] {
        it.sim.fail_call(it.sim.calls(), Fault::Error(12)); // ENOMEM
        it.server.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!((paused(&it), figures(&it.server).accepted), (it.sim.now() - since, 0), "{pause}");
        it.sim.work(ms(pause + 1));
        assert_eq!(paused(&it), it.sim.now() - since, "it goes on");
        // The timer of the pause has come up by then, so the next turn accepts.
        it.server.turn(Some(Duration::ZERO)).unwrap();
    }
    let until = it.sim.now() + TURN;
    it.server.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!((paused(&it), figures(&it.server).accepted), (until - since, 1));
    assert_eq!(until - since, ms(32) + TURN * 4);
    it.run(ms(1000));
    assert_eq!(paused(&it), until - since, "and no longer");
}

#[test]
fn connections_are_counted_by_state_and_closes_by_reason() {
    let (mut it, clients) = connected(4, Conditions::new(), ServerOptions::new().allow_half_open(true));
    it.event_loop().new_socket(Default::default(), |_| {}).unwrap();
    assert_eq!(some(&figures(&it).connections), [("fresh", 1), ("open", 8)]);
    it.net.listen_for_data(it.state.sockets[0], true);
    it.net.end(clients[0], None);
    it.net.destroy(clients[1]);
    it.net.reset(clients[2]);
    assert_eq!(some(&figures(&it).connections), [("closing", 2), ("fresh", 1), ("open", 5), ("read_only", 1)]);
    run(&mut it, ms(5));
    let all = figures(&it);
    assert_eq!(all.closes.values().sum::<u64>(), 9 - all.connections.values().sum::<u64>());
    assert_eq!((all.closes["destroyed_here"], all.closes["peer_reset"]), (2, 1), "{:?}", all.closes);
    assert_eq!((all.connections["write_only"], all.connections["read_only"]), (2, 1), "{:?}", all.connections);
    let _ = it.connect("10.0.0.1:8", |client| client.on_error(|_, _| {}));
    assert_eq!(figures(&it).connections["connecting"], 1);
    run(&mut it, ms(5));
    assert_eq!(figures(&it).closes["connect_failed"], 1);
    let before = figures(&it).closes["shutdown"];
    it.net.destroy_all();
    run(&mut it, ms(5));
    let all = figures(&it);
    assert!(all.closes["shutdown"] > before);
    assert_eq!(some(&all.connections), []);
}

#[test]
fn what_is_broadcast_and_not_sent_is_a_segment() {
    let limits = OutputLimits::new().hard(50_000).policy(OutputPolicy::DropNewest);
    let options = ServerOptions::new().output_limits(limits);
    let (mut it, clients) = connected(2, Conditions::new().buffer(10_000), options);
    clients.iter().for_each(|client| it.net.pause(*client));
    let receivers = it.state.sockets.clone();
    assert_eq!(figures(&it).shared_segments, 0);
    for _ in 0..40 {
        it.net.broadcast(receivers.iter().copied(), [b'x'; 20_000]);
        run(&mut it, ms(1));
    }
    let all = figures(&it);
    let unsent: usize = receivers.iter().map(|id| it.net.connection(*id).unsent()).sum();
    assert_eq!((all.queued, all.messages_dropped), (unsent as u64, it.net.counters().messages_dropped));
    assert!(all.shared_segments > 0 && all.queued > 0 && all.messages_dropped > 0, "{all:?}");
    assert_eq!(all.memory_held, it.net.counters().memory_held as u64);
}

/// 60 connections whose turns may take a millisecond, and nothing that was cut yet.
fn busy(options: ServerOptions) -> (Loop, Vec<SocketId>) {
    let (mut it, clients) = connected(60, Conditions::new().buffer(10_000_000), options);
    for id in it.state.sockets.clone() {
        it.socket(id).unwrap().on_data(|_, _| {});
    }
    is_slow(&mut it);
    (it, clients)
}

/// A turn may take a millisecond, and the loop knows that each handler takes one: so it looks at the clock after each.
fn is_slow(it: &mut Loop) {
    it.net.set_turn_budget(Some(ms(1))).unwrap();
    it.after(ms(1), |on| on.state.sim.work(ms(1)));
    run(it, ms(5));
    assert_eq!(cuts(it), []);
}

fn cuts(it: &Loop) -> Vec<(&'static str, u64)> {
    some(&figures(it).budget_cuts)
}

/// A phase does a piece that takes all the time, and one more, as each phase may when the time is up.
#[test]
fn the_time_of_a_turn_cuts_what_is_served() {
    let (mut it, clients) = busy(ServerOptions::new());
    for id in it.state.sockets.clone() {
        it.socket(id).unwrap().on_data(|socket, _| socket.state.sim.work(ms(1)));
    }
    for client in clients {
        it.net.write(client, b"x");
    }
    let before = figures(&it).ready_left_sum;
    it.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!((cuts(&it), figures(&it).ready_left), (vec![("serve", 1)], 58));
    run(&mut it, ms(500));
    // The last two of 60 have nobody after them; before them 58, 56 and so on were left.
    assert_eq!((cuts(&it), figures(&it).ready_left), (vec![("serve", 29)], 0));
    assert_eq!(figures(&it).ready_left_sum - before, 29 * 30);
}

#[test]
fn the_time_of_a_turn_cuts_what_was_put_off_timers_and_closes() {
    let (mut it, _) = busy(ServerOptions::new());
    for _ in 0..10 {
        it.event_loop().next_turn(|on| on.state.sim.work(ms(1)));
    }
    run(&mut it, ms(100));
    assert_eq!(cuts(&it), [("next_turns", 4)], "two in each turn");

    let (mut it, _) = busy(ServerOptions::new());
    for _ in 0..10 {
        it.after(ms(1), |on| on.state.sim.work(ms(1)));
    }
    run(&mut it, ms(100));
    assert_eq!(cuts(&it), [("timeouts", 4)]);

    let (mut it, clients) = busy(ServerOptions::new());
    for client in &clients[..10] {
        it.socket(*client).unwrap().on_close(|socket, _| socket.state.sim.work(ms(1)));
        it.net.destroy(*client);
    }
    run(&mut it, ms(100));
    assert_eq!(cuts(&it), [("closes", 4)]);
}

/// A handler has used the turn up. So the flush before the wait does one connection and that after it another one; the others
/// have the next turn's, 32 at one go.
#[test]
fn the_time_of_a_turn_cuts_a_flush_and_so_does_a_long_list() {
    let (mut it, _) = busy(ServerOptions::new());
    let receivers = it.state.sockets[..20].to_vec();
    it.event_loop().next_tick(move |on| {
        on.state.sim.work(ms(1));
        on.net.broadcast(receivers, "hello");
    });
    run(&mut it, ms(5));
    assert_eq!(cuts(&it), [("flush", 2)]);

    let (mut it, _) = busy(ServerOptions::new());
    it.net.broadcast(it.state.sockets.clone(), "hello");
    run(&mut it, ms(5));
    assert_eq!(cuts(&it), [("flushes", 1)], "60 are two times 32");
}

#[test]
fn a_connection_that_gives_its_turn_away_is_counted() {
    let (mut it, _) = busy(ServerOptions::new());
    let id = it.state.sockets[0];
    it.socket(id).unwrap().yield_turn(|_| {});
    assert_eq!(cuts(&it), [("yield", 1)]);
}

/// What one connection is read for in a turn: 2 MiB, after which nobody knows whether there is more.
#[test]
fn what_one_connection_may_be_read_for_is_a_budget() {
    let (mut it, clients) = busy(ServerOptions::new());
    it.net.write(clients[0], &vec![b'x'; 8 << 20]);
    run(&mut it, ms(50));
    assert_eq!((cuts(&it), figures(&it).bytes_read), (vec![("bytes", 4)], 8 << 20));
}

#[test]
fn a_receiver_above_its_limit_is_a_budget() {
    let soft = SoftLimit::new(1000, ms(60_000));
    let limits = OutputLimits::new().soft(soft).policy(OutputPolicy::PauseSenders);
    let (mut it, _) = busy(ServerOptions::new().output_limits(limits));
    let receivers = it.state.sockets[..20].to_vec();
    it.event_loop().next_tick(move |on| on.net.broadcast(receivers, [b'x'; 5000]));
    run(&mut it, ms(2));
    // The first of them ends the turn, so the flush of it is cut after one piece.
    assert_eq!(cuts(&it), [("flush", 1), ("receiver", 20)]);
}

/// A handler has used the turn up. So one connection is ended before the wait and one after it, and the others of those that
/// are too many in the next turn.
#[test]
fn the_memory_limit_is_kept_in_as_many_turns_as_it_takes() {
    let (mut it, clients) = connected(10, Conditions::new().buffer(1000), ServerOptions::new());
    is_slow(&mut it);
    it.net.set_memory_limit(Some(450_000));
    clients.iter().for_each(|client| it.net.pause(*client));
    it.event_loop().next_tick(|on| {
        for id in on.state.sockets.clone() {
            on.net.write(id, &[b'x'; 100_000]);
        }
        on.state.sim.work(ms(1));
    });
    it.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!((figures(&it).budget_cuts["memory"], figures(&it).limited), (2, 2));
    run(&mut it, ms(5));
    assert_eq!((figures(&it).budget_cuts["memory"], figures(&it).limited), (2, 6), "the next turn has time for all");
    assert_eq!(figures(&it).closes["output_limit"], 6);
}

#[test]
fn waits_say_how_much_was_ready() {
    let (mut it, clients) = connected(5, Conditions::new(), ServerOptions::new());
    for id in it.state.sockets.clone() {
        it.socket(id).unwrap().on_data(|_, _| {});
    }
    run(&mut it, ms(5));
    let before = figures(&it);
    clients.iter().for_each(|client| {
        it.net.write(*client, b"x");
    });
    it.turn(Some(ms(1))).unwrap();
    let all = figures(&it);
    assert_eq!((all.waits - before.waits, all.wait_events - before.wait_events, all.full_waits), (1, 5, 0));
}

#[test]
fn each_figure_has_a_name_as_prometheus_wants_it() {
    let it = counted(Conditions::new());
    let all = figures(&it);
    let mut names = Vec::new();
    for figure in all.each() {
        assert!(figure.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", figure.name);
        assert_eq!(figure.kind == FigureKind::Counter, figure.name.ends_with("_total"), "{}", figure.name);
        let is_time = matches!(figure.value, FigureValue::Time(_) | FigureValue::Histogram(_));
        assert_eq!(is_time, figure.name.trim_end_matches("_total").ends_with("_seconds"), "{}", figure.name);
        assert_eq!(figure.kind == FigureKind::Histogram, matches!(figure.value, FigureValue::Histogram(_)));
        assert!(figure.help.ends_with('.'), "{}", figure.help);
        names.push(figure.name);
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn statistics_change_nothing_with_a_trace_or_without() {
    for seed in 30..34 {
        let (ran, fingerprint, none) = run_with(seed, false, false);
        assert_eq!(none, None);
        let (counted, same, statistics) = run_with(seed, false, true);
        assert!(counted == ran && same == fingerprint, "seed {seed}: another run");
        let (told, same, traced) = run_with(seed, true, true);
        assert!(told.len() > ran.len() && same == fingerprint, "seed {seed}: another run");
        let [all, traced] = [statistics, traced].map(|statistics| {
            let mut all = statistics.unwrap();
            // The ids of another loop are others.
            (all.server_connections, all.longest_turn) = (BTreeMap::new(), None);
            all
        });
        assert_eq!(all, traced, "seed {seed}: the trace is not counted");
        assert_eq!((all.turns, all.turn_times.count()), (2000, 2000));
        assert!(all.reads > 0 && all.writes > 0 && all.timers_due > 0, "{all:?}");
    }
}
