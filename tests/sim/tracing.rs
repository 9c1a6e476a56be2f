//! The trace: of each event of a random run it names the cause, and it changes nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{
    EventLoop, Explainer, Loop, OutputLimits, OutputPolicy, Socket, SocketId, SoftLimit, Statistics, TraceLine,
};

const ADDRESS: &str = "10.0.0.1:7";

/// What the trace has told, and what the handlers have seen, in one order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    Told {
        turn: u64,
        whom: String,
        text: String,
    },
    /// A handler runs: whose, for which event, with which detail.
    Ran {
        whom: String,
        event: &'static str,
        detail: String,
    },
}

type Entries = Rc<RefCell<Vec<Entry>>>;

struct Party {
    sim: Sim,
    entries: Entries,
    sockets: Vec<SocketId>,
}

fn ran(on: &Party, whom: impl ToString, event: &'static str, detail: impl ToString) {
    on.entries.borrow_mut().push(Entry::Ran { whom: whom.to_string(), event, detail: detail.to_string() });
}

/// All handlers that a socket can have say that they ran.
fn say_all(socket: &mut Socket<'_, Party>) {
    let id = socket.id();
    socket.state.sockets.push(id);
    socket.on_connect(|it| ran(it.state, it.id(), "connect", ""));
    socket.on_data(|it, chunk| ran(it.state, it.id(), "data", chunk.len()));
    socket.on_end(|it| ran(it.state, it.id(), "end", ""));
    socket.on_drain(|it| ran(it.state, it.id(), "drain", ""));
    socket.on_finish(|it| ran(it.state, it.id(), "finish", ""));
    socket.on_timeout(|it| ran(it.state, it.id(), "timeout", ""));
    socket.on_error(|it, error| ran(it.state, it.id(), "error", error));
    socket.on_close(|it, closed| {
        let id = it.id();
        ran(it.state, id, "close", closed.reason);
        it.state.sockets.retain(|other| *other != id);
    });
}

/// One random call on a random socket.
fn act(on: &mut Loop<'_, Party>) {
    let sim = on.state.sim.clone();
    if on.state.sockets.len() < 8 && sim.random(4) == 0 {
        let _ = on.connect(ADDRESS, say_all);
    }
    if sim.random(20) == 0 {
        on.next_tick(|on| ran(on.state, "loop", "tick", ""));
    }
    if sim.random(20) == 0 {
        on.next_turn(|on| ran(on.state, "loop", "tick", ""));
    }
    if sim.random(50) == 0 {
        on.after(Duration::from_millis(1 + sim.random(5)), |on| ran(on.state, "loop", "timer", ""));
    }
    let count = on.state.sockets.len() as u64;
    if count == 0 {
        return;
    }
    let id = on.state.sockets[sim.random(count) as usize];
    let everybody = on.state.sockets.clone();
    let Some(mut socket) = on.socket(id) else { return };
    let length = [1, 100, 20_000, 200_000][sim.random(4) as usize];
    match sim.random(16) {
        0..=4 => {
            socket.write(vec![b'x'; length]);
        }
        5 | 6 => {
            socket.write_then(vec![b'y'; length], |it, outcome| {
                ran(it.state, it.id(), "callback", outcome.map_or_else(|error| error.to_string(), |()| "ok".into()));
            });
        }
        7 => socket.end(),
        8 => socket.pause(),
        9 | 10 => socket.resume(),
        11 => socket.set_timeout(Some(Duration::from_millis(3))),
        12 => on.net.broadcast(everybody, vec![b'z'; length]),
        13 if sim.random(3) == 0 => socket.destroy(),
        14 if sim.random(3) == 0 => socket.reset(),
        _ => {
            let soft = SoftLimit::new(100_000, Duration::from_millis(20));
            let limits = OutputLimits::new().hard(1_000_000).soft(soft).policy(OutputPolicy::Disconnect);
            let _ = socket.net.set_output_limits(id, limits);
        }
    }
}

/// A run of one seed: everything that was told and run, and the fingerprint.
fn run(seed: u64, traced: bool) -> (Vec<Entry>, u64) {
    let (entries, fingerprint, _) = run_with(seed, traced, false);
    (entries, fingerprint)
}

/// As [`run`], with statistics if they are to be kept.
pub(super) fn run_with(seed: u64, traced: bool, counted: bool) -> (Vec<Entry>, u64, Option<Statistics>) {
    let sim = Sim::new(seed);
    let buffer = [4096, 100_000][sim.random(2) as usize];
    sim.set_conditions(Conditions::new().buffer(buffer).short(100).late(50).delay(Duration::from_micros(300)));
    let entries = Entries::default();
    let party = Party { sim: sim.clone(), entries: Rc::clone(&entries), sockets: Vec::new() };
    let mut event_loop = EventLoop::on(sim.kernel(), party);
    if counted {
        event_loop.net.keep_statistics();
    }
    if traced {
        let entries = Rc::clone(&entries);
        event_loop.net.trace(move |line: &TraceLine<'_>| {
            let whom = line.name().to_string();
            entries.borrow_mut().push(Entry::Told { turn: line.turn(), whom, text: line.text().to_owned() });
        });
    }
    event_loop
        .listen(ADDRESS, |socket| {
            ran(socket.state, socket.id(), "connection", "");
            say_all(socket);
        })
        .unwrap();
    event_loop.every(Duration::from_millis(1), |on| {
        ran(on.state, "loop", "timer", "");
        act(on);
    });
    while event_loop.net.counters().turns < 2000 {
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
    }
    event_loop.net.check().unwrap();
    let statistics = event_loop.net.statistics();
    drop(event_loop);
    (entries.take(), sim.fingerprint(), statistics)
}

/// What must be true of the cause that the trace names for an event.
fn is_the_cause(event: &str, detail: &str, cause: &str) -> bool {
    let plural = if detail == "1" { "" } else { "s" };
    match event {
        "data" => {
            cause.contains(&format!("read {detail} byte{plural}"))
                || cause.contains(&format!("{detail} bytes that were kept"))
        }
        "end" => cause.contains("read the end"),
        "connect" => cause.contains("the connect has succeeded"),
        "connection" => cause.contains("server #1 accepted"),
        "drain" => cause.contains("wrote"),
        "finish" => cause.contains("writing: over"),
        "timeout" => cause.contains("its idle time is over"),
        "close" => cause.contains(&format!("destroyed: {detail}")),
        "error" => cause.contains(detail) || cause.contains("destroyed: "),
        "callback" if detail == "ok" => cause.contains("wrote") || cause.contains("writing: over"),
        "callback" => cause.contains("destroyed: ") || cause.contains("failed"),
        "tick" => cause.contains("was put off"),
        "timer" => cause.contains("is due"),
        _ => false,
    }
}

/// The line that tells an event, and the cause in it.
fn cause_of(entries: &[Entry], at: usize) -> (&str, &str) {
    let Entry::Ran { whom, event, .. } = &entries[at] else { panic!("{:?} is no event", entries[at]) };
    let Some(Entry::Told { whom: told, text, .. }) = entries[..at].last() else {
        panic!("nothing is told before {:?}", entries[at]);
    };
    assert_eq!(told, whom, "{text}, before {event}");
    let cause = match (text.split_once(" ← "), text.split_once(" → ")) {
        (Some((_, cause)), _) | (None, Some((cause, _))) => cause,
        (None, None) => panic!("{text} names no cause"),
    };
    assert!(text.contains(event), "{text} is told before {event}");
    (text, cause)
}

/// Whether a line that tells the cause comes before the event, for the one that it names.
fn is_told_before(entries: &[Entry], at: usize, whom: &str, cause: &str) -> bool {
    let (whom, cause) = match cause.strip_prefix("server #1 ") {
        Some(cause) => ("server #1", cause),
        None => (whom, cause),
    };
    let cause = cause.split(" (turn ").next().unwrap();
    entries[..at]
        .iter()
        .rev()
        .any(|entry| matches!(entry, Entry::Told { whom: told, text, .. } if told == whom && text.contains(cause)))
}

#[test]
fn the_trace_names_the_cause_of_each_of_twenty_random_events() {
    let chooser = Sim::new(1);
    let mut kinds: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in 0..20 {
        let (entries, _) = run(seed, true);
        let events: Vec<usize> = (0..entries.len()).filter(|at| matches!(entries[*at], Entry::Ran { .. })).collect();
        let chosen = (0..20).map(|_| events[chooser.random(events.len() as u64) as usize]);
        // And each that is rare.
        let rare = events.iter().copied().filter(|at| !matches!(&entries[*at], Entry::Ran { event: "timer", .. }));
        for at in chosen.chain(rare) {
            let Entry::Ran { whom, event, detail } = &entries[at] else { continue };
            let (text, cause) = cause_of(&entries, at);
            assert!(is_the_cause(event, detail, cause), "seed {seed}: {whom} {event} {detail}: {text}");
            assert!(is_told_before(&entries, at, whom, cause), "seed {seed}: nothing has told {cause} before");
            *kinds.entry(event).or_default() += 1;
        }
    }
    let all = [
        "callback",
        "close",
        "connect",
        "connection",
        "data",
        "drain",
        "end",
        "error",
        "finish",
        "tick",
        "timeout",
        "timer",
    ];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), all, "{kinds:?}");
}

#[test]
fn a_read_is_told_after_what_has_allowed_it() {
    let (entries, _) = run(3, true);
    let mut may_read: BTreeMap<&str, bool> = BTreeMap::new();
    let mut reads = 0;
    for entry in &entries {
        let Entry::Told { whom, text, .. } = entry else { continue };
        if text.starts_with("ready to read") || text.contains("the peer is gone") || text.contains("has more to do") {
            may_read.insert(whom, true);
        } else if text.starts_with("read: nothing") {
            may_read.insert(whom, false);
        } else if text.starts_with("read ") {
            reads += 1;
            assert_eq!(may_read.get(whom.as_str()), Some(&true), "{whom}: {text}");
        }
    }
    assert!(reads > 100, "{reads} reads");
}

#[test]
fn a_trace_changes_nothing() {
    for seed in 20..25 {
        let (with, traced) = run(seed, true);
        let (without, plain) = run(seed, false);
        assert_eq!(traced, plain, "seed {seed}: another run");
        let ran: Vec<Entry> = with.into_iter().filter(|entry| matches!(entry, Entry::Ran { .. })).collect();
        assert!(ran == without, "seed {seed}: other handlers ran");
    }
}

/// A room of two on the simulator, told to `sink`.
fn explained(sink: impl FnOnce(&mut EventLoop<Vec<SocketId>>)) {
    let sim = Sim::new(1);
    let mut room = EventLoop::on(sim.kernel(), Vec::new());
    sink(&mut room);
    room.listen(ADDRESS, |guest| {
        let (id, number) = (guest.id(), guest.state.len());
        guest.state.push(id);
        guest.set_label(["anna", "bert"][number]);
        assert_eq!(guest.net.connection(id).label(), Some(["anna", "bert"][number]));
        guest.on_data(move |guest, line| {
            let others: Vec<SocketId> = guest.state.iter().copied().filter(|other| *other != id).collect();
            guest.net.broadcast_from(id, others, line);
        });
    })
    .unwrap();
    let mut guests = EventLoop::on(sim.kernel(), ());
    let anna = guests.connect(ADDRESS, |_| {}).unwrap();
    guests.connect(ADDRESS, |_| {}).unwrap();
    guests.after(Duration::from_millis(5), move |on| {
        on.net.write(anna, b"hello\n");
    });
    sim.run(&mut [&mut room, &mut guests], Duration::from_millis(8)).unwrap();
}

#[test]
fn a_line_names_turn_phase_connection_and_label() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&lines);
    explained(|room| room.net.trace(move |line: &TraceLine<'_>| kept.borrow_mut().push(line.to_string())));
    let lines = lines.borrow();
    let place =
        |what: &str| lines.iter().position(|line| line.ends_with(what)).unwrap_or_else(|| panic!("{what}: {lines:#?}"));
    let read = place("serve #1 anna: read 6 bytes → data");
    let said = place("serve #1 anna: broadcast of 6 bytes to 1, by its data handler");
    let wrote = place("flush #2 bert: wrote 6 of 6 bytes");
    assert!(read < said && said < wrote, "{lines:#?}");
    assert!(lines[read].starts_with("turn "), "{}", lines[read]);
}

#[test]
fn a_turn_is_a_paragraph_and_one_connection_can_be_followed() {
    let paragraphs = |only: Option<u32>| {
        let texts = Rc::new(RefCell::new(Vec::new()));
        let kept = Rc::clone(&texts);
        explained(|room| {
            let explainer = Explainer::new(move |text: &str| kept.borrow_mut().push(text.to_owned()));
            match only {
                Some(number) => room.net.trace(explainer.only(number)),
                None => room.net.trace(explainer),
            }
        });
        texts.take()
    };
    let all = paragraphs(None);
    let hello = all.iter().find(|text| text.contains("read 6 bytes")).unwrap();
    let lines: Vec<&str> = hello.lines().collect();
    assert!(lines[0].starts_with("turn ") && lines[0].contains(", at 0.00"), "{hello}");
    assert_eq!(
        lines[1..],
        [
            "  wait        #1 anna: ready to read, ready to write",
            "  serve       #1 anna: read 6 bytes → data",
            "              #2 bert: a message of 6 bytes waits for the flush, by #1's data handler",
            "              #1 anna: broadcast of 6 bytes to 1, by its data handler",
            "  flush       #2 bert: wrote 6 of 6 bytes",
        ]
    );
    let berts = paragraphs(Some(2));
    assert!(berts.iter().flat_map(|text| text.lines()).all(|line| line.starts_with("turn ") || line.contains("#2")));
    assert!(berts.iter().any(|text| text.contains("flush       #2 bert: wrote 6 of 6 bytes")), "{berts:?}");
}

#[test]
fn the_cause_of_an_error_is_the_call_that_has_failed() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sim = Sim::new(1);
    let mut client = EventLoop::on(sim.kernel(), ());
    let kept = Rc::clone(&lines);
    client.net.trace(move |line: &TraceLine<'_>| kept.borrow_mut().push(line.to_string()));
    client.connect("10.0.0.9:1", |_| {}).unwrap();
    client.run().unwrap();
    let lines = lines.borrow();
    let error = lines.iter().find(|line| line.contains("error (")).unwrap_or_else(|| panic!("{lines:#?}"));
    let cause = error.split(" ← ").last().unwrap();
    assert!(cause.starts_with("connect ECONNREFUSED"), "{error}");
}

#[test]
fn what_a_handler_did_before_it_panicked_is_told() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&lines);
    let run = std::panic::AssertUnwindSafe(move || {
        let mut event_loop = EventLoop::on(Sim::new(1).kernel(), ());
        event_loop.explain(move |text| kept.borrow_mut().push(text.to_owned()));
        event_loop.after(Duration::from_millis(1), |on| {
            on.next_tick(|_| {});
            panic!("a mistake");
        });
        event_loop.run().unwrap();
    });
    assert!(std::panic::catch_unwind(run).is_err());
    let told = lines.borrow().concat();
    assert!(told.contains("timer #1 was set: it is due in 1ms\n"), "{told}");
    assert!(told.contains("timer #1 is due → timer #1"), "{told}");
    assert!(told.contains("was put off, for the next tick, by its timer #1 handler"), "{told}");
}

#[test]
fn a_trace_that_begins_in_the_middle_knows_whose_handles_there_are() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sim = Sim::new(1);
    let mut echo = EventLoop::on(sim.kernel(), ());
    echo.listen(ADDRESS, |socket| {
        let id = socket.id();
        socket.pipe(id).unwrap();
    })
    .unwrap();
    let mut client = EventLoop::on(sim.kernel(), ());
    let id = client.connect(ADDRESS, |_| {}).unwrap();
    sim.run(&mut [&mut echo, &mut client], Duration::from_millis(1)).unwrap();
    let kept = Rc::clone(&lines);
    echo.net.trace(move |line: &TraceLine<'_>| kept.borrow_mut().push(line.to_string()));
    client.net.write(id, b"hello");
    client.net.end(id, None);
    sim.run(&mut [&mut echo, &mut client], Duration::from_millis(2)).unwrap();
    let lines = lines.borrow();
    for what in [
        "serve #1: read 5 bytes → pipe into #1",
        "serve #1: wrote 5 of 5 bytes",
        "close ← destroyed: the other side ended first",
    ] {
        assert!(lines.iter().any(|line| line.ends_with(what)), "{what}: {lines:#?}");
    }
}

/// What a loop has told at its end, and what of it.
fn told_of(only: Option<u32>, run: impl FnOnce(&mut EventLoop<()>)) -> String {
    let lines = Rc::new(RefCell::new(String::new()));
    let kept = Rc::clone(&lines);
    let mut event_loop = EventLoop::on(Sim::new(1).kernel(), ());
    let explainer = Explainer::new(move |text: &str| kept.borrow_mut().push_str(text));
    match only {
        Some(number) => event_loop.net.trace(explainer.only(number)),
        None => event_loop.net.trace(explainer),
    }
    run(&mut event_loop);
    drop(event_loop);
    lines.take()
}

#[test]
fn a_timer_says_who_has_set_it() {
    let told = told_of(None, |event_loop| {
        event_loop.after(Duration::from_millis(1), |on| {
            let every = on.every(Duration::from_millis(2), |_| {});
            on.after(Duration::from_millis(5), move |on| {
                on.cancel(every);
            });
        });
        event_loop.run().unwrap();
    });
    let due: Vec<&str> = told.lines().filter_map(|line| line.split_once("loop: ")).map(|(_, text)| text).collect();
    assert_eq!(
        due,
        [
            "timer #1 was set: it is due in 1ms",
            "timer #1 is due → timer #1",
            "timer #2 was set: it is due every 2ms, by its timer #1 handler",
            "timer #3 was set: it is due in 5ms, by its timer #1 handler",
            "timer #2 is due: it was set by its timer #1 handler (turn 1) → timer #2",
            "timer #2 is due: it was set by its timer #1 handler (turn 1) → timer #2",
            "timer #3 is due: it was set by its timer #1 handler (turn 1) → timer #3",
            "timer #2 was taken back, by its timer #3 handler",
        ],
        "{told}"
    );
}

#[test]
fn what_the_last_tasks_of_a_turn_do_is_told_in_that_turn() {
    let told = told_of(None, |event_loop| {
        event_loop.listen(ADDRESS, |_| {}).unwrap();
        let client = event_loop.connect(ADDRESS, |_| {}).unwrap();
        event_loop.after(Duration::from_millis(50), move |on| {
            on.net.end(client, None);
        });
        while event_loop.net.now() < Duration::from_millis(60) {
            event_loop.turn(Some(Duration::from_millis(10))).unwrap();
        }
    });
    let due = told.find("timer #1 is due → timer #1").unwrap();
    let rest: Vec<&str> = told[due..].lines().skip(1).collect();
    assert!(rest[0].contains("writing: ") && rest[0].starts_with("       "), "in the phase of the timer: {told}");
    let next_turn = rest.iter().position(|line| line.starts_with("turn ")).unwrap();
    assert!(rest[..next_turn].iter().all(|line| !line.contains("between")), "{told}");
    assert!(!rest[next_turn + 1].contains("between"), "{told}");
}

#[test]
fn a_connection_that_never_was_is_told_at_the_end_with_those_that_were() {
    let connections = |count: usize| {
        move |event_loop: &mut EventLoop<()>| {
            let ids: Vec<_> = (0..count).map(|_| event_loop.connect(ADDRESS, |_| {}).unwrap()).collect();
            for id in ids {
                event_loop.net.destroy(id);
            }
            event_loop.run().unwrap();
        }
    };
    let nothing = "nothing was done with connection #99: ";
    assert_eq!(told_of(Some(99), connections(0)), format!("{nothing}there was none\n"));
    assert_eq!(told_of(Some(99), connections(3)), format!("{nothing}there were #1, #2, #3\n"));
    let many = told_of(Some(99), connections(50));
    assert!(many.starts_with(&format!("{nothing}there were #1, #2, ")), "{many}");
    assert!(many.ends_with("#19, #20 and others, up to #50\n"), "{many}");
    let there = told_of(Some(2), connections(3));
    assert!(there.contains("#2: ") && !there.contains("nothing was done"), "{there}");
}
