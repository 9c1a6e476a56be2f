//! The time of a turn: handlers that take long, in simulated time, where nothing else takes any.

use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{
    EndOrder, EventLoop, Loop, OutputLimits, OutputPolicy, ServerOptions, ShutDownOptions, Socket, SocketId,
    SocketOptions, SoftLimit,
};

const ADDRESS: &str = "10.0.0.1:7";

/// What one piece of work takes here, where it takes anything.
const PIECE: Duration = ms(1);

const BUDGET: Duration = ms(5);

/// One piece more in each of the phases that run handlers; and 32 when slow ones come all at once after fast ones.
const LONGEST: Duration = ms(5 + 5 + 32);

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What has happened, each with the number of its turn.
struct Log {
    sim: Sim,
    events: Vec<(u64, String)>,
    sockets: Vec<SocketId>,
}

impl Log {
    fn texts(&self) -> Vec<&str> {
        self.events.iter().map(|(_, what)| what.as_str()).collect()
    }

    /// The place of an event among the others.
    fn place(&self, what: &str) -> usize {
        let place = self.events.iter().position(|(_, event)| event == what);
        place.unwrap_or_else(|| panic!("{what} is missing: {:?}", self.events))
    }

    fn count(&self, what: &str) -> usize {
        self.events.iter().filter(|(_, event)| event == what).count()
    }
}

/// Something has happened, and its handler takes a piece of time.
fn works(on: &mut Loop<'_, Log>, what: impl Into<String>) {
    note(on, what);
    on.state.sim.work(PIECE);
}

fn note(on: &mut Loop<'_, Log>, what: impl Into<String>) {
    let turn = on.net.counters().turns;
    on.state.events.push((turn, what.into()));
}

/// A server with these options, and so many clients that are connected to it. Their ids are the state's sockets; the
/// server's end of each goes through `setup`.
fn connected(
    clients: usize,
    options: ServerOptions,
    setup: impl Fn(&mut Socket<'_, Log>) + 'static,
) -> (EventLoop<Log>, Vec<SocketId>) {
    let sim = Sim::new(1);
    let log = Log { sim: sim.clone(), events: Vec::new(), sockets: Vec::new() };
    let mut event_loop = EventLoop::on(sim.kernel(), log);
    event_loop
        .listen_with(ADDRESS, options, move |socket| {
            let id = socket.id();
            socket.state.sockets.push(id);
            setup(socket);
        })
        .unwrap();
    let ids: Vec<SocketId> =
        (0..clients).map(|_| event_loop.connect(ADDRESS, |client| client.resume()).unwrap()).collect();
    turns(&mut event_loop, |it| it.state.sockets.len() == clients);
    turns(&mut event_loop, |it| ids.iter().all(|id| it.net.connection(*id).remote_address().is_some()));
    (event_loop, ids)
}

/// Turns until it is so, at most 10,000 times.
fn turns(event_loop: &mut EventLoop<Log>, mut is_so: impl FnMut(&EventLoop<Log>) -> bool) {
    for _ in 0..10_000 {
        if is_so(event_loop) {
            return event_loop.net.check().unwrap();
        }
        event_loop.turn(Some(ms(1))).unwrap();
    }
    panic!("it does not come: {:?}", event_loop.state.events);
}

fn longest(event_loop: &EventLoop<Log>) -> Duration {
    event_loop.net.counters().longest_turn
}

#[track_caller]
fn assert_bounded(event_loop: &EventLoop<Log>) {
    let longest = longest(event_loop);
    assert!(longest <= LONGEST, "a turn took {longest:?}");
    assert!(longest >= PIECE, "nothing took any time");
}

#[test]
fn lines_of_one_chunk_are_cut_in_many_turns_and_all_come_in_order() {
    let (mut it, clients) = connected(1, ServerOptions::new().allow_half_open(true), |socket| {
        socket.on_data(|socket, chunk| note(&mut socket.event_loop(), format!("data {}", chunk.len())));
        socket.on_line(100, |socket, line| {
            assert!(!socket.is_paused());
            works(&mut socket.event_loop(), line.text());
        });
        socket.on_end(|socket| note(&mut socket.event_loop(), "end"));
    });
    let lines: Vec<String> = (0..200).map(|n| format!("line {n}")).collect();
    it.net.end_with(clients[0], (lines.join("\n") + "\nlast").as_bytes(), None);
    turns(&mut it, |it| it.state.count("end") == 1);
    let heard = it.state.texts();
    assert!(heard[0].starts_with("data"), "the chunk is heard once, and before its lines");
    assert_eq!(heard[1..201], lines);
    assert_eq!(heard[201..], ["last", "end"]);
    assert_bounded(&it);
    let of_turns: Vec<u64> = it.state.events.iter().map(|(turn, _)| *turn).collect();
    assert!(of_turns[200] - of_turns[0] >= 20, "{of_turns:?}");
}

#[test]
fn others_are_served_and_timers_run_between_the_lines_of_one() {
    let (mut it, clients) = connected(3, ServerOptions::new(), |socket| {
        socket.on_line(100, |socket, line| works(&mut socket.event_loop(), line.text()));
    });
    it.net.write(clients[0], "flood\n".repeat(200).as_bytes());
    turns(&mut it, |it| it.state.count("flood") > 0);
    it.net.write(clients[1], b"hello\n");
    it.net.write(clients[2], b"hi\n");
    it.after(ms(1), |on| note(on, "timer"));
    it.event_loop().next_turn(|on| note(on, "next turn"));
    turns(&mut it, |it| it.state.count("flood") == 200);
    for what in ["hello", "hi", "timer", "next turn"] {
        assert!(it.state.place(what) < 60, "{what}: {:?}", it.state.events);
    }
    assert_bounded(&it);
}

#[test]
fn a_socket_that_closes_loses_the_lines_that_were_not_cut_and_nothing_else() {
    let (mut it, clients) = connected(1, ServerOptions::new(), |socket| {
        socket.on_line(100, |socket, line| {
            works(&mut socket.event_loop(), line.text());
            if socket.state.count("x") == 20 {
                socket.destroy();
            }
        });
        socket.on_close(|socket, _| note(&mut socket.event_loop(), "close"));
    });
    it.net.write(clients[0], "x\n".repeat(100).as_bytes());
    turns(&mut it, |it| it.state.count("close") == 1);
    assert_eq!(it.state.count("x"), 20);
    let server = it.state.sockets[0];
    turns(&mut it, |it| !it.net.connection(server).exists());
}

#[test]
fn a_socket_can_be_paused_ended_and_reset_while_its_lines_wait() {
    for how in ["pause", "end", "reset", "destroy", "off"] {
        let (mut it, clients) = connected(1, ServerOptions::new(), |socket| {
            socket.on_line(100, |socket, line| works(&mut socket.event_loop(), line.text()));
            socket.on_close(|socket, _| note(&mut socket.event_loop(), "close"));
        });
        let server = it.state.sockets[0];
        it.net.write(clients[0], "x\n".repeat(60).as_bytes());
        turns(&mut it, |it| it.state.count("x") > 0);
        assert!(it.state.count("x") < 60);
        match how {
            "pause" => it.net.pause(server),
            "end" => it.net.end(server, None),
            "reset" => it.net.reset(server),
            "destroy" => it.net.destroy(server),
            _ => it.net.reset(clients[0]),
        }
        let ends = matches!(how, "reset" | "destroy");
        turns(&mut it, |it| if ends { it.state.count("close") == 1 } else { it.state.count("x") == 60 });
        assert_eq!(it.state.count("x") < 60, ends, "{how}");
        if how == "pause" {
            assert!(it.net.connection(server).is_paused());
            it.net.write(clients[0], b"more\n");
            (0..20).for_each(|_| it.turn(Some(ms(1))).unwrap());
            assert_eq!(it.state.count("more"), 0);
            it.net.resume(server);
            turns(&mut it, |it| it.state.count("more") == 1);
        }
    }
}

#[test]
fn each_phase_has_its_bound_and_keeps_its_order() {
    let numbers: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let expected: Vec<&str> = numbers.iter().map(String::as_str).collect();

    // Data of many sockets.
    let (mut it, clients) = connected(100, ServerOptions::new(), |socket| {
        socket.on_text(|socket, text| works(&mut socket.event_loop(), text));
        socket.on_close(|socket, _| works(&mut socket.event_loop(), "close"));
    });
    for (client, number) in clients.iter().zip(&numbers) {
        it.net.write(*client, number.as_bytes());
    }
    turns(&mut it, |it| it.state.events.len() == 100);
    assert_eq!(it.state.texts(), expected);
    assert_bounded(&it);

    // What was put off.
    it.state.events.clear();
    for number in numbers.clone() {
        it.event_loop().next_turn(move |on| works(on, number));
    }
    turns(&mut it, |it| it.state.events.len() == 100);
    assert_eq!(it.state.texts(), expected);
    assert_bounded(&it);

    // Timers of one millisecond.
    it.state.events.clear();
    for number in numbers.clone() {
        it.after(ms(5), move |on| works(on, number));
    }
    turns(&mut it, |it| it.state.events.len() == 100);
    assert_eq!(it.state.texts(), expected);
    assert_bounded(&it);

    // Closes, last in, first out.
    it.state.events.clear();
    for id in it.state.sockets.clone() {
        it.net.destroy(id);
    }
    turns(&mut it, |it| it.state.count("close") == 100);
    assert_bounded(&it);
}

#[test]
fn closes_that_are_left_come_before_newer_ones() {
    let (mut it, _) = connected(40, ServerOptions::new(), |socket| {
        let number = socket.state.sockets.len();
        socket.on_close(move |socket, _| works(&mut socket.event_loop(), number.to_string()));
    });
    let (first, second) = (it.state.sockets[..20].to_vec(), it.state.sockets[20..].to_vec());
    first.into_iter().for_each(|id| it.net.destroy(id));
    turns(&mut it, |it| !it.state.events.is_empty());
    assert!(it.state.events.len() < 20);
    second.into_iter().for_each(|id| it.net.destroy(id));
    turns(&mut it, |it| it.state.events.len() == 40);
    let expected: Vec<String> = (1..=20).rev().chain((21..=40).rev()).map(|n| n.to_string()).collect();
    assert_eq!(it.state.texts(), expected);
    assert_bounded(&it);
}

#[test]
fn chunks_that_were_kept_flow_in_many_turns_and_new_ones_come_after_them() {
    let (mut it, clients) = connected(2, ServerOptions::new().high_water_mark(1 << 20), |socket| {
        socket.on_text(|socket, text| works(&mut socket.event_loop(), text));
        socket.on_end(|socket| note(&mut socket.event_loop(), "end"));
        socket.pause();
    });
    let [server, other] = [it.state.sockets[0], it.state.sockets[1]];
    // The first read was asked for before the pause.
    it.net.resume(server);
    it.net.resume(other);
    it.turn(Some(ms(1))).unwrap();
    it.net.pause(server);
    for n in 0..50 {
        it.net.write(clients[0], format!("{n} ").as_bytes());
        let before = it.net.connection(server).read_ahead();
        turns(&mut it, |it| it.net.connection(server).read_ahead() > before);
    }
    it.net.resume(server);
    turns(&mut it, |it| !it.state.events.is_empty());
    assert!(it.state.events.len() < 50);
    it.net.write(clients[1], b"other");
    it.net.end_with(clients[0], b"new", None);
    turns(&mut it, |it| it.state.count("end") == 1);
    let heard: Vec<&str> = it.state.texts().into_iter().filter(|what| *what != "other").collect();
    let expected: String = (0..50).map(|n| format!("{n} ")).collect::<String>() + "new" + "end";
    assert_eq!(heard.concat(), expected);
    assert!(it.state.place("other") < 40, "it did not wait for all kept chunks");
    assert_bounded(&it);
}

#[test]
fn a_handler_that_asks_can_stop_and_go_on() {
    fn work(socket: &mut Socket<'_, Log>, left: u32) {
        for done in 1..=left {
            works(&mut socket.event_loop(), "work");
            if socket.net.time_is_up() {
                return socket.yield_turn(move |socket| work(socket, left - done));
            }
        }
        note(&mut socket.event_loop(), "done");
    }
    let (mut it, clients) = connected(2, ServerOptions::new(), |socket| {
        socket
            .on_text(|socket, text| if text == "go" { work(socket, 60) } else { note(&mut socket.event_loop(), text) });
    });
    it.net.write(clients[0], b"go");
    turns(&mut it, |it| it.state.count("work") > 0);
    it.net.write(clients[0], b"after");
    it.net.write(clients[1], b"other");
    turns(&mut it, |it| it.state.count("after") == 1);
    assert_eq!(it.state.count("work"), 60);
    assert!(it.state.place("other") < 50);
    assert_eq!(it.state.place("after"), it.state.place("done") + 1, "no data before it has gone on");
    assert_bounded(&it);
}

#[test]
fn a_turn_that_was_given_away_ends_with_its_socket_and_is_not_the_next_connections() {
    let (mut it, _) = connected(1, ServerOptions::new(), |_| {});
    let server = it.state.sockets[0];
    it.socket(server).unwrap().yield_turn(|_| panic!("it was destroyed"));
    it.net.destroy(server);
    turns(&mut it, |it| !it.net.connection(server).exists());

    let again = it
        .connect(ADDRESS, |client| {
            client.on_connect(|client| note(&mut client.event_loop(), "connect"));
            client.on_close(|client, _| {
                if client.state.count("connect") == 1 {
                    client.connect(ADDRESS).unwrap();
                }
            });
        })
        .unwrap();
    turns(&mut it, |it| it.state.count("connect") == 1);
    it.socket(again).unwrap().yield_turn(|_| panic!("that connection is over"));
    it.net.destroy(again);
    turns(&mut it, |it| it.state.count("connect") == 2);
    (0..10).for_each(|_| it.turn(Some(ms(1))).unwrap());
}

#[test]
fn a_turn_of_slow_handlers_is_as_long_as_its_budget_and_one_piece_in_each_phase() {
    let (mut it, clients) = connected(50, ServerOptions::new(), |socket| {
        socket.on_line(100, |socket, line| works(&mut socket.event_loop(), line.text()));
        socket.on_close(|socket, _| works(&mut socket.event_loop(), "close"));
    });
    fn busy(on: &mut Loop<'_, Log>) {
        works(on, "next turn");
        on.next_turn(busy);
    }
    it.event_loop().next_turn(busy);
    // Its pace is known from here on.
    for _ in 0..20 {
        it.turn(Some(ms(1))).unwrap();
    }
    for n in 0..500 {
        let client = clients[n % 50];
        it.net.write(client, b"a\nb\nc\n");
        it.after(ms(n as u64 % 7), |on| works(on, "timer"));
        if n % 10 == 9 {
            it.net.destroy(client);
        }
        let before = it.state.sim.now();
        it.turn(Some(ms(1))).unwrap();
        let took = it.state.sim.now() - before;
        assert!(took <= ms(5 + 5 + 1), "turn {n} took {took:?}");
    }
}

/// Case of 1,000 guests with unread data: the turn in which the patience was over took 26 ms.
#[test]
fn what_the_end_of_the_patience_destroys_is_shared_among_turns_and_all_of_it_closes() {
    for stops in [false, true] {
        let clients = 100;
        let (mut it, _) = connected(clients, ServerOptions::new(), |socket| {
            socket.pause();
            socket.on_close(|socket, _| note(&mut socket.event_loop(), "closed"));
        });
        it.state.sim.set_conditions(Conditions::new().close(PIECE));
        it.after(ms(500), |on| note(on, "timer"));
        if stops {
            it.after(ms(500), |on| on.stop());
        }
        let (began, turns) = (it.state.sim.now(), it.net.counters().turns);
        it.event_loop().shut_down_with(ShutDownOptions::new().patience(ms(450)).order(EndOrder::ByPeers));
        it.run().unwrap();
        assert_eq!(it.state.count("timer"), 1, "others are served meanwhile");
        assert!(it.state.sim.now() - began >= ms(450) && !it.event_loop().is_shutting_down());
        assert_bounded(&it);
        assert!(it.net.counters().turns - turns >= 10, "all were destroyed in a few turns");
        if stops {
            assert!((1..clients).contains(&it.state.count("closed")), "a stop ends it at once: {:?}", it.state.events);
            assert!(it.net.next_deadline().is_none(), "nothing is left of it");
        } else {
            assert_eq!((it.state.count("closed"), it.net.sockets()), (clients, 0));
        }
        it.net.check().unwrap();
    }
}

#[test]
fn what_a_memory_limit_puts_out_is_shared_among_turns_too() {
    let (mut it, clients) = connected(100, ServerOptions::new(), |socket| {
        socket.on_close(|socket, _| note(&mut socket.event_loop(), "closed"));
    });
    clients.iter().for_each(|client| it.net.pause(*client));
    it.state.sim.set_conditions(Conditions::new().close(PIECE).buffer(1000));
    for id in it.state.sockets.clone() {
        it.net.write(id, &[b'x'; 400_000]);
    }
    for _ in 0..50 {
        it.turn(Some(ms(1))).unwrap();
    }
    it.net.set_memory_limit(Some(100_000));
    it.after(ms(20), |on| note(on, "timer"));
    // It does not sleep while it has connections to put out, and does afterwards.
    let mut turns = 0;
    while it.net.counters().memory_limited < 100 {
        it.turn(None).unwrap();
        turns += 1;
    }
    assert!(it.state.place("timer") < 40 && turns >= 10, "{turns} turns: {:?}", it.state.events);
    assert_bounded(&it);
    self::turns(&mut it, |it| it.state.count("closed") == 100);
    it.net.check().unwrap();
}

#[test]
fn the_budget_can_be_set_and_taken_away() {
    let flood = |budget| {
        let (mut it, clients) = connected(1, ServerOptions::new(), |socket| {
            socket.on_line(100, |socket, line| works(&mut socket.event_loop(), line.text()));
        });
        it.net.set_turn_budget(budget).unwrap();
        it.net.write(clients[0], "x\n".repeat(200).as_bytes());
        turns(&mut it, |it| it.state.count("x") == 200);
        longest(&it)
    };
    assert!((ms(20)..=ms(30)).contains(&flood(Some(ms(50)))), "half of it is for what comes in");
    assert_eq!(flood(None), ms(200));
    let mut it = EventLoop::on(Sim::new(1).kernel(), ());
    assert_eq!(it.net.turn_budget(), Some(BUDGET));
    assert!(it.net.set_turn_budget(Some(Duration::ZERO)).is_err());
}

/// A room in which everybody hears everybody.
fn room(guests: usize, limits: OutputLimits) -> (EventLoop<Log>, Vec<SocketId>) {
    connected(guests, ServerOptions::new().output_limits(limits), |socket| {
        socket.on_line(1 << 20, |socket, line| {
            note(&mut socket.event_loop(), "line");
            let everybody = socket.state.sockets.clone();
            let me = socket.id();
            socket.net.broadcast_from(me, everybody, line.bytes());
        });
    })
}

#[test]
fn a_broadcast_makes_no_system_call_whatever_the_limits_say() {
    for policy in
        [OutputPolicy::Disconnect, OutputPolicy::DropNewest, OutputPolicy::DropOldest, OutputPolicy::PauseSenders]
    {
        let soft = SoftLimit::new(1000, ms(100));
        let (mut it, _) = room(3, OutputLimits::new().soft(soft).hard(5000).policy(policy));
        let (sim, everybody) = (it.state.sim.clone(), it.state.sockets.clone());
        let before = sim.calls();
        for _ in 0..20 {
            it.net.broadcast_from(everybody[0], everybody.iter().copied(), [b'x'; 900]);
        }
        assert_eq!(sim.calls(), before, "{policy:?}");
        // All of it goes out to readers that keep up.
        let received =
            |it: &EventLoop<Log>| everybody.iter().all(|id| it.net.connection(*id).bytes_written() == 18_000);
        turns(&mut it, |it| received(it) && everybody.iter().all(|id| it.net.connection(*id).unsent() == 0));
        assert_eq!((it.net.counters().limited, it.net.counters().messages_dropped), (0, 0), "{policy:?}");
    }
}

#[test]
fn a_speaker_waits_for_the_flush_when_a_receiver_has_passed_its_limit() {
    // Two lines pass the soft limit of each receiver. All of them keep up.
    let soft = SoftLimit::new(1000, ms(100));
    let (mut it, clients) = room(3, OutputLimits::new().soft(soft).hard(2000));
    let line = "x".repeat(600) + "\n";
    it.net.write(clients[0], line.repeat(50).as_bytes());
    turns(&mut it, |it| it.state.count("line") == 50);
    assert_eq!(it.net.counters().limited, 0);
    let mut in_a_turn = std::collections::BTreeMap::<u64, u32>::new();
    it.state.events.iter().for_each(|(turn, _)| *in_a_turn.entry(*turn).or_default() += 1);
    assert!(in_a_turn.values().all(|lines| *lines <= 2), "{in_a_turn:?}");
}

#[test]
fn a_speaker_is_held_from_the_flush_on_and_no_line_is_said_meanwhile() {
    let soft = SoftLimit::new(1000, ms(10_000));
    let (mut it, clients) = room(2, OutputLimits::new().soft(soft).hard(1 << 20).policy(OutputPolicy::PauseSenders));
    it.state.sim.set_conditions(Conditions::new().buffer(10_000));
    it.net.pause(clients[1]);
    let line = "x".repeat(600) + "\n";
    let mut written = 0;
    for _ in 0..2000 {
        it.net.write(clients[0], line.as_bytes());
        written += 1;
        it.turn(Some(ms(1))).unwrap();
    }
    let heard = it.state.count("line");
    assert!(heard < written, "the one that does not read holds the speaker up: {heard} of {written}");
    let stuck = it.state.sockets[1];
    let unsent = it.net.connection(stuck).unsent();
    assert!((1001..5000).contains(&unsent), "{unsent} bytes wait");
    it.net.check().unwrap();
    it.net.resume(clients[1]);
    turns(&mut it, |it| it.state.count("line") == written);
}

#[test]
fn a_loop_that_is_behind_does_not_fall_further() {
    let sim = Sim::new(1);
    let log = Log { sim: sim.clone(), events: Vec::new(), sockets: Vec::new() };
    let mut it = EventLoop::on(sim.kernel(), log);
    fn busy(on: &mut Loop<'_, Log>) {
        on.state.sim.work(ms(3));
        on.next_turn(busy);
    }
    it.event_loop().next_turn(busy);
    for n in 1..=1000 {
        let due = sim.now() + ms(n);
        it.after(ms(n), move |on| {
            let late = on.state.sim.now().saturating_sub(due);
            assert!(late <= ms(50 + 10), "{n}: {late:?} late");
            note(on, n.to_string());
        });
    }
    turns(&mut it, |it| it.state.events.len() == 1000);
    let expected: Vec<String> = (1..=1000).map(|n| n.to_string()).collect();
    assert_eq!(it.state.texts(), expected, "in order");
}

#[test]
fn a_stall_of_the_loop_is_no_silence_of_its_peers() {
    let (mut it, clients) = connected(200, ServerOptions::new(), |socket| {
        socket.set_timeout(Some(ms(1000)));
        socket.on_timeout(|socket| note(&mut socket.event_loop(), "timeout"));
        socket.on_text(|socket, _| works(&mut socket.event_loop(), "data"));
    });
    for _ in 0..5 {
        it.state.events.clear();
        // All say something, then the loop is away for a minute. What they said takes it many turns.
        clients.iter().for_each(|id| assert!(it.net.write(*id, b"x")));
        it.state.sim.work(ms(60_000));
        turns(&mut it, |it| it.state.count("data") == 200);
        assert_eq!(it.state.count("timeout"), 0);
    }
    // And a real silence is noticed, also under load.
    it.state.events.clear();
    for _ in 0..2000 {
        it.net.write(clients[0], b"x");
        it.turn(Some(ms(1))).unwrap();
    }
    assert_eq!(it.state.count("timeout"), 199);
}

#[test]
fn a_users_own_clock_is_served_after_what_has_come_in_during_a_stall() {
    let (mut it, clients) = connected(100, ServerOptions::new(), |socket| {
        socket.on_text(|socket, _| works(&mut socket.event_loop(), "answer"));
    });
    it.after(ms(1000), |on| note(on, "judges"));
    clients.iter().for_each(|id| assert!(it.net.write(*id, b"x")));
    it.state.sim.work(ms(5000));
    turns(&mut it, |it| it.state.count("judges") == 1);
    assert_eq!(it.state.place("judges"), 100, "all answers were there");
}

#[test]
fn a_reader_that_has_room_after_a_stall_is_not_ended() {
    let soft = SoftLimit::new(1000, ms(1000));
    let (mut it, clients) = room(2, OutputLimits::new().soft(soft));
    it.state.sim.set_conditions(Conditions::new().buffer(10_000));
    let receiver = it.state.sockets[1];
    it.net.pause(clients[1]);
    it.turn(Some(ms(1))).unwrap();
    while it.net.connection(receiver).unsent() <= 1000 {
        it.net.broadcast([receiver], [b'x'; 10_000]);
        it.turn(Some(ms(1))).unwrap();
    }
    // It reads again, and the loop is away until after the grace period.
    it.net.resume(clients[1]);
    it.turn(Some(ms(1))).unwrap();
    it.state.sim.work(ms(10_000));
    turns(&mut it, |it| it.net.connection(receiver).unsent() == 0);
    assert_eq!(it.net.counters().limited, 0);
}

#[test]
fn a_loop_is_shut_down_in_order_while_lines_wait() {
    let (mut it, clients) = connected(1, ServerOptions::new(), |socket| {
        socket.on_line(100, |socket, line| works(&mut socket.event_loop(), line.text()));
    });
    it.net.write(clients[0], "x\n".repeat(100).as_bytes());
    turns(&mut it, |it| it.state.count("x") > 0);
    assert!(it.state.count("x") < 100);
    it.shut_down(ms(10_000));
    it.run().unwrap();
    assert_eq!(it.state.count("x"), 100, "what had come was handled");
    assert_eq!(it.event_loop().shut_down_report().discarded_bytes, 0);
}

#[test]
fn what_a_connect_yields_before_it_is_connected_comes_and_so_does_the_connection() {
    let (mut it, _) = connected(1, ServerOptions::new(), |_| {});
    let id = it
        .connect_with(ADDRESS, SocketOptions::new(), |client| {
            client.on_connect(|client| note(&mut client.event_loop(), "connect"));
            client.yield_turn(|client| note(&mut client.event_loop(), "goes on"));
        })
        .unwrap();
    turns(&mut it, |it| it.state.count("connect") == 1 && it.state.count("goes on") == 1);
    it.net.destroy(id);
}
