//! What random programs have shown, played here and on Node 26: the order of events, callbacks and counters in the corners.
//! Each list of events is what Node gives.
//!
//! They pull the events of a `Net`, because most of it is about what comes before what within one turn.

use std::time::{Duration, Instant};

use crate::support::folder::Folder;
use tidegate::kernel::MioKernel;
use tidegate::{Error, Event, Net, ServerId, ServerOptions, SocketId, SocketOptions};

const PATIENCE: Duration = Duration::from_secs(10);

/// More than the kernel takes for a peer that does not read.
const FLOOD: usize = 16 << 20;

/// A connection over loopback, with its two ends; both may stay half-open.
struct Pair {
    net: Net,
    server: ServerId,
    client: SocketId,
    accepted: SocketId,
    seen: Vec<(Option<SocketId>, String)>,
}

fn server_options() -> ServerOptions {
    ServerOptions::new().allow_half_open(true)
}

fn an_error() -> Error {
    std::io::Error::other("own").into()
}

impl Pair {
    fn new() -> Self {
        Pair::with(server_options())
    }

    fn with(options: ServerOptions) -> Self {
        let mut net = Net::new(MioKernel::new().unwrap());
        let server = net.new_server(options).unwrap();
        net.listen(server, "127.0.0.1:0").unwrap();
        let client = net.new_socket(SocketOptions::new().allow_half_open(true)).unwrap();
        net.connect(client, net.server_address(server).unwrap()).unwrap();
        let mut pair = Pair { net, server, client, accepted: client, seen: Vec::new() };
        let (mut connected, mut accepted) = (false, None);
        pair.turn_until(|pair, event| {
            match event {
                Event::Connect(_) => connected = true,
                Event::Connection { socket, .. } => accepted = Some(*socket),
                _ => {}
            }
            pair.accepted = accepted.unwrap_or(pair.client);
            connected && accepted.is_some()
        });
        pair.settle();
        pair.seen.clear();
        pair
    }

    /// Another connection of the client's kind.
    fn another(&mut self) -> SocketId {
        let socket = self.net.new_socket(SocketOptions::new()).unwrap();
        self.net.connect(socket, self.net.server_address(self.server).unwrap()).unwrap();
        self.turn_until(|_, event| matches!(event, Event::Connect(id) if *id == socket));
        self.settle();
        self.seen.clear();
        socket
    }

    /// Turns, up to the end of the turn in which `done` says so. It hears each event, and may do something.
    fn turn_until(&mut self, mut done: impl FnMut(&mut Pair, &Event) -> bool) {
        let began = Instant::now();
        let mut is_done = false;
        while !is_done {
            assert!(began.elapsed() < PATIENCE, "it has not come so far: {:#?}", self.seen);
            while let Some(event) = self.net.next_event(Some(Duration::from_millis(5))).unwrap() {
                self.seen.push((whose(&event), name(&event)));
                is_done |= done(self, &event);
            }
        }
    }

    /// Turns until nothing has come for a few turns.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 4 {
            quiet += 1;
            while let Some(event) = self.net.next_event(Some(Duration::from_millis(5))).unwrap() {
                self.seen.push((whose(&event), name(&event)));
                quiet = 0;
            }
        }
    }

    /// Turns until a socket has closed.
    fn turn_until_closed(&mut self, socket: SocketId, mut hear: impl FnMut(&mut Pair, &Event)) {
        self.turn_until(|pair, event| {
            hear(pair, event);
            matches!(event, Event::Close { socket: closed, .. } if *closed == socket)
        });
    }

    /// What one socket has seen, and the ticks.
    fn seen_by(&self, socket: SocketId) -> Vec<&str> {
        let of = |whose: &Option<SocketId>| whose.is_none_or(|whose| whose == socket);
        self.seen.iter().filter(|(whose, _)| of(whose)).map(|(_, what)| &what[..]).collect()
    }
}

fn name(event: &Event) -> String {
    match event {
        Event::Data { chunk, .. } => format!("data {}", chunk.len()),
        Event::End(_) => "end".into(),
        Event::Finish(_) => "finish".into(),
        Event::Drain(_) => "drain".into(),
        Event::Connect(_) => "connect".into(),
        Event::Error { error, .. } => format!("error {}", error.code()),
        Event::Close { .. } => "close".into(),
        Event::Callback { callback, outcome, .. } => {
            format!("callback {callback} {}", outcome.as_ref().map_or_else(Error::code, |()| "ok"))
        }
        Event::Tick(number) => format!("tick {number}"),
        other => format!("{other:?}"),
    }
}

fn whose(event: &Event) -> Option<SocketId> {
    match event {
        Event::Data { socket, .. } | Event::Error { socket, .. } | Event::Close { socket, .. } => Some(*socket),
        Event::Callback { socket, .. } | Event::Connection { socket, .. } => Some(*socket),
        Event::Connect(socket) | Event::End(socket) | Event::Finish(socket) | Event::Drain(socket) => Some(*socket),
        _ => None,
    }
}

// ---- callbacks ------------------------------------------------------------------------------------------------------

#[test]
fn an_end_with_bytes_after_an_end_gives_the_error_before_its_callback() {
    let mut pair = Pair::new();
    pair.net.end(pair.client, None);
    pair.net.end_with(pair.client, b"more", Some(7));
    pair.turn_until_closed(pair.client, |_, _| {});
    let code = "ERR_STREAM_WRITE_AFTER_END";
    assert_eq!(pair.seen_by(pair.client), [&format!("error {code}"), &format!("callback 7 {code}"), "close"]);
}

#[test]
fn a_write_after_an_end_gives_its_callback_before_the_error() {
    let mut pair = Pair::new();
    pair.net.end(pair.client, None);
    pair.net.write_with(pair.client, b"more", 7);
    pair.turn_until_closed(pair.client, |_, _| {});
    let code = "ERR_STREAM_WRITE_AFTER_END";
    assert_eq!(pair.seen_by(pair.client), [&format!("callback 7 {code}"), &format!("error {code}"), "close"]);
}

#[test]
fn the_callback_of_an_end_fails_between_those_of_the_writes_around_it() {
    let mut pair = Pair::new();
    pair.net.write_with(pair.client, b"1", 1);
    pair.net.end(pair.client, Some(2));
    pair.net.write_with(pair.client, b"2", 3);
    pair.turn_until_closed(pair.client, |_, _| {});
    let code = "ERR_STREAM_WRITE_AFTER_END";
    let failed = |what: &str| format!("{what} {code}");
    assert_eq!(
        pair.seen_by(pair.client),
        ["callback 1 ok", &failed("callback 2"), &failed("callback 3"), &failed("error"), "close"]
    );
}

/// A callback that was due already keeps its outcome when others come before it.
#[test]
fn callbacks_that_come_first_do_not_take_the_outcomes_of_others() {
    let mut pair = Pair::new();
    pair.net.cork(pair.client);
    pair.net.write_with(pair.client, b"waits", 1);
    pair.net.destroy(pair.client); // 1 is to fail
    pair.net.end(pair.client, Some(2)); // after that
    pair.net.write_with(pair.client, b"late", 3);
    pair.turn_until_closed(pair.client, |_, _| {});
    assert_eq!(
        pair.seen_by(pair.client),
        [
            "callback 1 ERR_STREAM_DESTROYED",
            "callback 2 ERR_STREAM_DESTROYED",
            "callback 3 ERR_STREAM_WRITE_AFTER_END",
            "close"
        ]
    );
}

#[test]
fn an_end_after_a_destroy_counts_as_an_end_for_the_write_after_it() {
    let mut pair = Pair::new();
    pair.net.destroy(pair.accepted);
    pair.net.write_with(pair.accepted, b"x", 1);
    pair.net.end(pair.accepted, None);
    pair.net.write_with(pair.accepted, b"x", 2);
    pair.turn_until_closed(pair.accepted, |_, _| {});
    let expected = ["callback 1 ERR_STREAM_DESTROYED", "callback 2 ERR_STREAM_WRITE_AFTER_END", "close"];
    assert_eq!(pair.seen_by(pair.accepted), expected);
}

// ---- writes that fail -----------------------------------------------------------------------------------------------

/// A pair whose accepted end has bytes that it does not read, and has been reset.
fn reset_unnoticed() -> Pair {
    let mut pair = Pair::with(server_options().pause_on_connect(true));
    pair.net.reset(pair.client);
    pair
}

#[test]
fn an_empty_write_tells_that_the_peer_is_gone() {
    for corked in [false, true] {
        let mut pair = reset_unnoticed();
        let accepted = pair.accepted;
        if corked {
            pair.net.cork(accepted);
        }
        assert_eq!(pair.net.write_with(accepted, b"", 7), corked);
        pair.net.uncork(accepted);
        pair.turn_until_closed(accepted, |_, _| {});
        assert_eq!(pair.seen_by(accepted), ["callback 7 ECONNRESET", "error ECONNRESET", "close"], "corked: {corked}");
    }
}

#[test]
fn an_empty_write_to_a_peer_that_is_there_is_taken() {
    let mut pair = Pair::new();
    assert!(pair.net.write_with(pair.client, b"", 7));
    pair.settle();
    assert_eq!(pair.seen_by(pair.client), ["callback 7 ok"]);
}

#[test]
fn each_callback_of_writes_that_failed_sees_what_waits_after_it() {
    let mut pair = reset_unnoticed();
    let accepted = pair.accepted;
    pair.net.write_with(accepted, b"x", 1);
    for (bytes, callback) in [(&b"yy"[..], 2), (b"zzz", 3)] {
        pair.net.write_with(accepted, bytes, callback);
    }
    pair.net.end(accepted, Some(4));
    let mut counted = Vec::new();
    pair.turn_until_closed(accepted, |pair, event| {
        if whose(event) == Some(accepted) && !matches!(event, Event::Error { .. }) {
            let info = pair.net.connection(accepted);
            counted.push((name(event), info.buffer_size(), info.bytes_written(), info.is_destroyed()));
        }
    });
    let failed = |number| format!("callback {number} ECONNRESET");
    assert_eq!(
        counted,
        [
            (failed(1), 5, 6, false),
            (failed(2), 3, 6, false),
            (failed(3), 0, 6, false),
            // What is asked for after a write that has failed has its answer after all else.
            (failed(4), 0, 1, true),
            ("close".to_owned(), 0, 1, true),
        ]
    );
}

#[test]
fn what_destroy_was_given_is_the_error_and_the_callbacks_have_that_of_the_write() {
    let mut pair = reset_unnoticed();
    let accepted = pair.accepted;
    pair.net.write_with(accepted, b"x", 1);
    pair.net.destroy_with(accepted, an_error());
    pair.turn_until_closed(accepted, |_, _| {});
    assert_eq!(pair.seen_by(accepted), ["callback 1 ECONNRESET", "error UNKNOWN", "close"]);
}

// ---- a turn ---------------------------------------------------------------------------------------------------------

#[test]
fn an_end_in_a_handler_finishes_before_what_was_put_off_there() {
    let mut pair = Pair::new();
    let (accepted, client) = (pair.accepted, pair.client);
    pair.net.listen_for_data(accepted, true);
    pair.net.listen_for_data(client, true);
    pair.net.write(client, b"x");
    pair.turn_until(|pair, event| {
        match event {
            Event::Data { .. } => {
                pair.net.end(accepted, None);
                pair.net.next_turn(1);
            }
            // What this handler ends finishes as well.
            Event::Finish(socket) if *socket == accepted => pair.net.end(client, None),
            _ => {}
        }
        matches!(event, Event::Tick(1))
    });
    let order: Vec<_> = pair.seen.iter().map(|(_, what)| &what[..]).collect();
    assert_eq!(order[..4], ["data 1", "finish", "finish", "tick 1"]);
}

#[test]
fn what_is_done_between_two_turns_is_flushed_before_the_next_one_reads() {
    let mut pair = Pair::new();
    pair.net.listen_for_data(pair.accepted, true);
    pair.settle();
    pair.net.write(pair.client, b"x");
    pair.net.end(pair.accepted, None);
    pair.turn_until(|_, event| matches!(event, Event::Data { .. }));
    assert_eq!(pair.seen_by(pair.accepted), ["finish", "data 1"]);
}

/// libuv ends the writing side right after the read that found the end, where the other side is gone altogether.
#[cfg(unix)]
#[test]
fn an_end_after_a_peer_that_is_gone_finishes_before_others_are_served() {
    let folder = Folder::new();
    let mut net = Net::new(MioKernel::new().unwrap());
    let server = net.new_server(ServerOptions::new()).unwrap();
    net.listen(server, folder.endpoint("socket")).unwrap();
    let [first, second] = [0; 2].map(|_| {
        let client = net.new_socket(SocketOptions::new()).unwrap();
        net.connect(client, folder.endpoint("socket")).unwrap();
        client
    });
    let mut pair = Pair { net, server, client: first, accepted: first, seen: Vec::new() };
    let mut accepted = Vec::new();
    pair.turn_until(|_, event| {
        if let Event::Connection { socket, .. } = event {
            accepted.push(*socket);
        }
        accepted.len() == 2
    });
    pair.settle();
    pair.seen.clear();
    pair.net.destroy(first);
    pair.net.destroy(second);
    pair.turn_until_closed(accepted[1], |_, _| {});
    let order: Vec<_> = pair.seen.iter().filter(|(_, what)| what == "end" || what == "finish").collect();
    let [one, other] = [accepted[0], accepted[1]].map(Some);
    let expected = [(one, "end"), (one, "finish"), (other, "end"), (other, "finish")];
    assert_eq!(order.iter().map(|(whose, what)| (*whose, &what[..])).collect::<Vec<_>>(), expected);
}

// ---- pipes ----------------------------------------------------------------------------------------------------------

/// What the destination of a pipe has written of a chunk when the handler for it runs.
fn written_when_the_handler_runs(begin: impl FnOnce(&mut Net, SocketId, SocketId)) -> (u64, u64) {
    let mut pair = Pair::new();
    let to = pair.another();
    let (accepted, client) = (pair.accepted, pair.client);
    begin(&mut pair.net, accepted, to);
    pair.settle();
    pair.net.write(client, b"x");
    let mut then = None;
    pair.turn_until(|pair, event| {
        let is_data = matches!(event, Event::Data { socket, .. } if *socket == accepted);
        if is_data {
            then = Some(pair.net.connection(to).bytes_written());
            pair.net.unpipe_all(accepted);
        }
        is_data
    });
    pair.settle();
    (then.unwrap(), pair.net.connection(to).bytes_written())
}

#[test]
fn a_handler_and_a_pipe_have_a_chunk_in_the_order_in_which_they_came() {
    let handler_first = written_when_the_handler_runs(|net, from, to| {
        net.listen_for_data(from, true);
        net.pipe(from, to).unwrap();
    });
    assert_eq!(handler_first, (0, 1), "it is taken away in the handler, and has the chunk for which it was there");
    let pipe_first = written_when_the_handler_runs(|net, from, to| {
        net.pipe(from, to).unwrap();
        net.listen_for_data(from, true);
    });
    assert_eq!(pipe_first, (1, 1));
    let between = written_when_the_handler_runs(|net, from, to| {
        net.pipe(from, to).unwrap();
        net.listen_for_data(from, true);
        net.pipe(from, to).unwrap();
    });
    assert_eq!(between, (1, 2), "one pipe before it, one after it");
    let again = written_when_the_handler_runs(|net, from, to| {
        net.listen_for_data(from, true);
        net.pipe(from, to).unwrap();
        net.listen_for_data(from, false);
        net.listen_for_data(from, true);
    });
    assert_eq!(again, (1, 1), "a handler that comes again comes last");
}

#[test]
fn a_kept_chunk_goes_to_the_handler_and_the_pipe_in_the_same_order() {
    let written = written_when_the_handler_runs(|net, from, to| {
        net.listen_for_data(from, true);
        net.pipe(from, to).unwrap();
        net.pause(from);
        net.next_turn(1);
        while !matches!(net.next_event(Some(Duration::ZERO)).unwrap(), Some(Event::Tick(1))) {}
        net.resume(from);
    });
    assert_eq!(written, (0, 1));
}

#[test]
fn what_the_handler_writes_goes_before_the_chunk_of_the_pipe_after_it() {
    let mut pair = Pair::new();
    let to = pair.another();
    let (accepted, client) = (pair.accepted, pair.client);
    pair.net.listen_for_data(accepted, true);
    pair.net.pipe(accepted, to).unwrap();
    pair.net.pause(accepted);
    pair.settle();
    // Read ahead, so that there are chunks to deliver one after the other.
    pair.net.write(client, b"one");
    pair.settle();
    pair.net.write(client, b"two");
    pair.settle();
    let mut sequence = Vec::new();
    pair.net.resume(accepted);
    pair.turn_until(|pair, event| {
        if matches!(event, Event::Data { socket, .. } if *socket == accepted) {
            sequence.push(pair.net.connection(to).bytes_written());
            pair.net.write(to, b"head");
        }
        sequence.len() == 2
    });
    pair.settle();
    assert_eq!(sequence, [0, 7]);
    assert_eq!(pair.net.connection(to).bytes_written(), 14);
}

/// Whether a socket that is piped into itself, and that `finish` destroys, is paused by its `finish`: as `prepare` says what
/// comes first.
fn is_paused_after_finish(prepare: impl Fn(&mut Net, SocketId)) -> bool {
    let mut pair = Pair::new();
    let to = pair.another();
    prepare(&mut pair.net, to);
    let mut is_paused = None;
    pair.turn_until_closed(to, |pair, event| {
        if matches!(event, Event::Close { .. }) {
            is_paused = Some(pair.net.connection(to).is_paused());
        }
    });
    is_paused.unwrap()
}

/// The order is that of Node's listeners for `finish`. What comes after the destroy does not pause.
#[test]
fn a_pipe_and_the_destroy_of_destroy_soon_notice_a_finish_in_the_order_in_which_they_came() {
    assert!(is_paused_after_finish(|net, to| {
        net.pipe(to, to).unwrap();
        net.destroy_soon(to);
    }));
    assert!(!is_paused_after_finish(|net, to| {
        net.destroy_soon(to);
        net.pipe(to, to).unwrap();
    }));
}

#[test]
fn what_is_piped_into_a_socket_in_its_close_flows_up_to_its_first_chunk() {
    let mut pair = Pair::new();
    let (from, to) = (pair.accepted, pair.another());
    pair.net.destroy(to);
    pair.turn_until_closed(to, |pair, event| {
        if matches!(event, Event::Close { .. }) {
            pair.net.pipe(from, to).unwrap();
        }
    });
    pair.settle();
    assert!(!pair.net.connection(from).is_paused());
    assert_eq!(pair.net.piped_to(from), [to]);
    pair.net.write(pair.client, b"chunk");
    pair.settle();
    assert!(pair.net.connection(from).is_paused());
    pair.net.unpipe(from, to);
    assert_eq!(pair.net.piped_to(from), []);
}

// ---- connecting again -----------------------------------------------------------------------------------------------

#[test]
fn a_pause_between_destroy_and_close_is_no_pause_of_the_next_connection() {
    let mut pair = Pair::new();
    let client = pair.client;
    let address = pair.net.server_address(pair.server).unwrap();
    pair.net.listen_for_data(client, true);
    pair.settle();
    pair.net.destroy(client);
    pair.net.pause(client);
    pair.turn_until(|pair, event| {
        if matches!(event, Event::Close { socket, .. } if *socket == client) {
            pair.net.connect(client, address).unwrap();
        }
        matches!(event, Event::Connect(_))
    });
    assert!(!pair.net.connection(client).is_paused());
}

/// It stood in line for the connection that it had in this turn. The next one begins at the end of the line.
#[test]
fn a_socket_that_connects_again_in_the_turn_of_its_connection_does_not_pass_others() {
    let mut net = Net::new(MioKernel::new().unwrap());
    let server = net.new_server(ServerOptions::new()).unwrap();
    net.listen(server, "127.0.0.1:0").unwrap();
    let address = net.server_address(server).unwrap();
    let client = net.new_socket(SocketOptions::new()).unwrap();
    net.connect(client, address).unwrap();
    let mut pair = Pair { net, server, client, accepted: client, seen: Vec::new() };
    let (mut order, mut first) = (Vec::new(), None);
    pair.turn_until(|pair, event| {
        match event {
            Event::Connect(_) if order.is_empty() => {
                order.push("connected");
                pair.net.reset(client);
            }
            Event::Connect(_) => order.push("connected again"),
            Event::Close { socket, .. } if *socket == client => pair.net.connect(client, address).unwrap(),
            Event::Connection { socket, .. } => first = first.or(Some(*socket)),
            Event::Error { socket, .. } if Some(*socket) == first => order.push("the first one broke"),
            _ => {}
        }
        order.len() == 3
    });
    assert_eq!(order, ["connected", "the first one broke", "connected again"]);
    pair.net.check().unwrap();
}

#[test]
fn a_destroy_soon_that_was_not_done_is_done_with_the_next_connection_and_no_other() {
    let mut pair = Pair::with(server_options().pause_on_connect(true));
    let client = pair.client;
    let address = pair.net.server_address(pair.server).unwrap();
    pair.net.write(client, &vec![0; FLOOD]);
    pair.net.destroy_soon(client);
    pair.net.destroy(client);
    let (mut connected, mut closed) = (0, 0);
    pair.turn_until(|pair, event| {
        match event {
            Event::Connect(_) => {
                connected += 1;
                pair.net.end(client, None);
            }
            Event::Close { socket, .. } if *socket == client => {
                closed += 1;
                pair.net.connect(client, address).unwrap();
            }
            _ => {}
        }
        connected == 2
    });
    pair.settle();
    assert_eq!((connected, closed), (2, 2), "the third connection is ended, and nobody destroys it");
}

/// A pipe does not wait for it before there is something to wait for.
#[test]
fn a_drain_that_did_not_come_comes_with_the_next_connection() {
    let mut pair = Pair::with(server_options().pause_on_connect(true));
    let client = pair.client;
    let address = pair.net.server_address(pair.server).unwrap();
    assert!(!pair.net.write(client, &vec![0; FLOOD]));
    pair.net.destroy(client);
    pair.turn_until(|pair, event| {
        if matches!(event, Event::Close { socket, .. } if *socket == client) {
            pair.net.connect(client, address).unwrap();
        }
        matches!(event, Event::Connect(_))
    });
    assert!(pair.net.connection(client).needs_drain());
    let other = pair.another();
    pair.net.pipe(other, client).unwrap();
    assert!(!pair.net.connection(other).is_paused());
    pair.seen.clear();
    assert!(pair.net.write(client, b"x"));
    pair.turn_until(|_, event| matches!(event, Event::Drain(_)));
    assert_eq!(pair.seen_by(client), ["drain"]);
}

// ---- closing --------------------------------------------------------------------------------------------------------

#[test]
fn what_the_callback_of_a_cancelled_write_puts_off_to_the_next_tick_comes_before_close() {
    let mut pair = Pair::new();
    let client = pair.client;
    pair.net.write_with(client, &vec![b'x'; FLOOD], 1);
    pair.net.write_with(client, b"y", 2);
    pair.net.destroy(client);
    pair.turn_until_closed(client, |pair, event| match event {
        Event::Callback { callback: 1, .. } => pair.net.next_tick(1),
        Event::Tick(1) => pair.net.next_tick(2),
        _ => {}
    });
    assert_eq!(pair.seen_by(client), ["callback 1 ECANCELED", "callback 2 ECANCELED", "tick 1", "tick 2", "close"]);
    pair.net.check().unwrap();
}

// ---- connecting -----------------------------------------------------------------------------------------------------

#[cfg(unix)]
#[test]
fn a_connect_to_a_path_goes_out_at_once() {
    let folder = Folder::new();
    let mut net = Net::new(MioKernel::new().unwrap());
    let server = net.new_server(ServerOptions::new()).unwrap();
    net.listen(server, folder.endpoint("socket")).unwrap();
    let client = net.new_socket(SocketOptions::new()).unwrap();
    net.connect(client, folder.endpoint("socket")).unwrap();
    net.destroy(client); // it was there for a moment
    let mut pair = Pair { net, server, client, accepted: client, seen: Vec::new() };
    pair.turn_until(|_, event| matches!(event, Event::Connection { .. }));
}

#[cfg(unix)]
#[test]
fn a_connect_that_fails_at_once_is_told_in_the_next_flush() {
    let folder = Folder::new();
    let mut pair = Pair::new();
    let (accepted, client) = (pair.accepted, pair.client);
    pair.net.listen_for_data(accepted, true);
    let another = pair.net.new_socket(SocketOptions::new()).unwrap();
    pair.settle();
    pair.net.write(client, b"x");
    pair.turn_until_closed(another, |pair, event| match event {
        Event::Data { .. } => {
            pair.net.connect(another, folder.endpoint("nobody")).unwrap();
            pair.net.next_tick(1);
            pair.net.next_turn(2);
        }
        Event::Tick(1) => assert!(pair.net.connection(another).is_connecting()),
        _ => {}
    });
    assert_eq!(pair.seen_by(another), ["tick 1", "error ENOENT", "tick 2", "close"]);
    pair.net.check().unwrap();
}

/// What was to be told is the last connection's.
#[cfg(unix)]
#[test]
fn a_connect_that_failed_at_once_and_was_destroyed_is_not_told() {
    let folder = Folder::new();
    let mut pair = Pair::new();
    let another = pair.net.new_socket(SocketOptions::new()).unwrap();
    pair.net.connect(another, folder.endpoint("nobody")).unwrap();
    pair.net.write_with(another, b"x", 1);
    pair.net.destroy(another);
    pair.turn_until_closed(another, |_, _| {});
    pair.settle();
    assert_eq!(pair.seen_by(another), ["close", "callback 1 ERR_SOCKET_CLOSED_BEFORE_CONNECTION"]);
}
