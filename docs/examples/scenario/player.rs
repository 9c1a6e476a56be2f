//! Plays scenarios: small scripts that drive one server and a few clients, and record the events of each in a trace.
//!
//! The same scripts were played on Node, and `tests/conformance/corpus.json` has its traces. The format is described in
//! `docs/conformance.md`.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate::{Error, EventLoop, Loop, ServerId, ServerOptions, Socket, SocketId, SocketOptions, TimerId};

/// Scenarios that are played at the same time.
const AT_ONCE: usize = 20;

/// The result of one scenario.
pub struct Played {
    pub name: String,
    /// For each actor, its events, and what its calls returned.
    pub trace: Value,
    /// The rules that never fired.
    pub unfired: Vec<usize>,
}

/// An address of this machine that no other run has used. For each address the kernel remembers how fast its connections were,
/// and gives the next one larger buffers: then a write of 4,000,000 bytes would fit, which the scenarios need to be too much.
fn address() -> Ipv4Addr {
    if !cfg!(target_os = "linux") {
        return Ipv4Addr::LOCALHOST;
    }
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, middle, low)
}

/// Plays all scenarios, some at the same time, on event loops that `make` gives.
pub fn play(
    scenarios: &[Value],
    mut make: impl FnMut() -> Result<EventLoop<Stage>, Error>,
) -> Result<Vec<Played>, Error> {
    let mut played = Vec::new();
    for batch in scenarios.chunks(AT_ONCE) {
        let mut event_loop = make()?;
        for scenario in batch {
            start(&mut event_loop.event_loop(), scenario)?;
        }
        event_loop.run()?;
        played.extend(event_loop.state.plays.into_iter().map(Play::into_played));
    }
    Ok(played)
}

/// The scenarios that are being played. This is the loop's state.
#[derive(Default)]
pub struct Stage {
    plays: Vec<Play>,
}

/// One scenario being played.
struct Play {
    scenario: Value,
    trace: Map<String, Value>,
    server: ServerId,
    sockets: HashMap<String, Actor>,
    pending: BTreeSet<usize>,
    received: HashMap<String, u64>,
    seen: HashMap<String, u64>,
    timers: Vec<TimerId>,
    accepted: u32,
    over: bool,
}

/// A socket of a scenario.
struct Actor {
    id: SocketId,
    /// The names of the sockets that it is piped into. Meanwhile its data is not reported.
    pipes: BTreeSet<String>,
    /// Its counters at `close`. After that the id is stale.
    at_close: Option<(u64, u64)>,
}

type On<'a> = Loop<'a, Stage>;

fn start(on: &mut On<'_>, scenario: &Value) -> Result<(), Error> {
    let play = on.state.plays.len();
    let options = &scenario["server"];
    let server = on.new_server(
        ServerOptions::new()
            .allow_half_open(options["allowHalfOpen"].as_bool().unwrap_or(false))
            .pause_on_connect(options["pauseOnConnect"].as_bool().unwrap_or(false))
            .high_water_mark(options["highWaterMark"].as_u64().unwrap_or(16384) as usize)
            .max_connections(options["maxConnections"].as_u64().map(|most| most as usize)),
        move |socket| accepted(socket, play),
    )?;
    let rules = scenario["rules"].as_array().map_or(0, Vec::len);
    on.state.plays.push(Play {
        scenario: scenario.clone(),
        trace: Map::new(),
        server,
        sockets: HashMap::new(),
        pending: (0..rules).collect(),
        received: HashMap::new(),
        seen: HashMap::new(),
        timers: Vec::new(),
        accepted: 0,
        over: false,
    });
    let Some(mut view) = on.server(server) else { return Ok(()) };
    view.on_listening(move |server| listening(&mut server.event_loop(), play));
    view.on_drop(move |server, _| saw(&mut server.event_loop(), play, "server", "drop"));
    view.on_close(move |server| saw(&mut server.event_loop(), play, "server", "close"));
    view.on_error(move |server, error| {
        let mut on = server.event_loop();
        log(&mut on, play, "server", json!(["error", error.code()]));
        fire(&mut on, play, "server", "error");
    });
    view.listen((address(), 0))?;
    let length = Duration::from_millis(scenario["ms"].as_u64().unwrap_or(400));
    on.after(length, move |on| finish(on, play));
    Ok(())
}

fn listening(on: &mut On<'_>, play: usize) {
    saw(on, play, "server", "listening");
    let clients = on.state.plays[play].scenario["clients"].as_u64().unwrap_or(1);
    for n in 1..=clients {
        let name = format!("C{n}");
        if n == 1 {
            act(on, play, &json!([name, "connect"]));
        } else {
            later(on, play, 20 * (n - 1), move |on| act(on, play, &json!([name, "connect"])));
        }
    }
}

fn accepted(socket: &mut Socket<'_, Stage>, play: usize) {
    let this = &mut socket.state.plays[play];
    this.accepted += 1;
    let name = format!("S{}", this.accepted);
    watch(socket, play, &name);
    let mut on = socket.event_loop();
    saw(&mut on, play, "server", "connection");
    fire(&mut on, play, &name, "connection");
}

fn connect(on: &mut On<'_>, play: usize, name: &str) {
    let this = &on.state.plays[play];
    let Some(address) = on.net.server_address(this.server) else { return };
    let options = &this.scenario["client"];
    let options = SocketOptions::new()
        .allow_half_open(options["allowHalfOpen"].as_bool().unwrap_or(false))
        .high_water_mark(options["highWaterMark"].as_u64().unwrap_or(16384) as usize);
    let made = on.new_socket(options, |socket| {
        watch(socket, play, name);
        let to: SocketAddr = address;
        if let Err(error) = socket.connect(to) {
            unreachable!("a fresh socket connects: {error}");
        }
    });
    debug_assert!(made.is_ok(), "the options are within their bounds");
}

/// Sets the handlers of a socket that record its trace.
fn watch(socket: &mut Socket<'_, Stage>, play: usize, name: &str) {
    let actor = Actor { id: socket.id(), pipes: BTreeSet::new(), at_close: None };
    let this = &mut socket.state.plays[play];
    this.sockets.insert(name.to_owned(), actor);
    this.received.insert(name.to_owned(), 0);
    let tell = |event: &'static str| {
        let name = name.to_owned();
        move |socket: &mut Socket<'_, Stage>| saw(&mut socket.event_loop(), play, &name, event)
    };
    if name.starts_with('C') {
        socket.on_connect(tell("connect"));
    }
    socket.on_end(tell("end"));
    socket.on_finish(tell("finish"));
    socket.on_drain(tell("drain"));
    socket.on_timeout(tell("timeout"));
    let error_name = name.to_owned();
    socket.on_error(move |socket, error| {
        let mut on = socket.event_loop();
        log(&mut on, play, &error_name, json!(["error", error.code()]));
        fire(&mut on, play, &error_name, "error");
    });
    let close_name = name.to_owned();
    socket.on_close(move |socket, closed| {
        let counters = (socket.bytes_read(), socket.bytes_written());
        if let Some(actor) = socket.state.plays[play].sockets.get_mut(&close_name) {
            actor.at_close = Some(counters);
        }
        let mut on = socket.event_loop();
        log(&mut on, play, &close_name, json!(["close", closed.had_error]));
        fire(&mut on, play, &close_name, "close");
    });
    watch_data(socket, play, name);
}

fn watch_data(socket: &mut Socket<'_, Stage>, play: usize, name: &str) {
    let name = name.to_owned();
    socket.on_data(move |socket, chunk| {
        let mut on = socket.event_loop();
        let received = on.state.plays[play].received.entry(name.clone()).or_default();
        *received += chunk.len() as u64;
        let entry = json!(["data", *received]);
        log(&mut on, play, &name, entry);
        fire(&mut on, play, &name, "data");
    });
}

/// An event without values. It is recorded, and its rules fire.
fn saw(on: &mut On<'_>, play: usize, actor: &str, event: &'static str) {
    log(on, play, actor, json!([event]));
    fire(on, play, actor, event);
}

fn log(on: &mut On<'_>, play: usize, actor: &str, entry: Value) {
    let this = &mut on.state.plays[play];
    if this.over {
        return;
    }
    let Value::Array(list) = this.trace.entry(actor).or_insert_with(|| json!([])) else { return };
    match list.last_mut() {
        Some(last) if entry[0] == "data" && last[0] == "data" => *last = entry,
        _ => list.push(entry),
    }
}

fn fire(on: &mut On<'_>, play: usize, actor: &str, event: &str) {
    let key = format!("{actor}.{event}");
    let this = &mut on.state.plays[play];
    let seen = this.seen.entry(key.clone()).or_default();
    *seen += 1;
    let (seen, received) = (*seen, this.received.get(actor).copied().unwrap_or(0));
    for at in this.pending.clone() {
        let this = &mut on.state.plays[play];
        let rule = &this.scenario["rules"][at];
        let due = match rule["bytes"].as_u64() {
            Some(bytes) => received >= bytes,
            None => seen >= rule["nth"].as_u64().unwrap_or(1),
        };
        if rule["on"] != key.as_str() || !due || !this.pending.remove(&at) {
            continue;
        }
        match rule["after"].as_u64().unwrap_or(0) {
            0 => run_rule(on, play, at),
            after => later(on, play, after, move |on| run_rule(on, play, at)),
        }
    }
}

fn run_rule(on: &mut On<'_>, play: usize, at: usize) {
    if on.state.plays[play].over {
        return;
    }
    let steps = on.state.plays[play].scenario["rules"][at]["do"].as_array().cloned().unwrap_or_default();
    for step in steps {
        act(on, play, &step);
    }
}

fn later(on: &mut On<'_>, play: usize, ms: u64, then: impl FnOnce(&mut On<'_>) + 'static) {
    let timer = on.after(Duration::from_millis(ms), then);
    on.state.plays[play].timers.push(timer);
}

/// One step of a rule: `[actor, verb, argument?]`.
fn act(on: &mut On<'_>, play: usize, step: &Value) {
    let name = step[0].as_str().unwrap_or_default();
    let verb = step[1].as_str().unwrap_or_default();
    let server = on.state.plays[play].server;
    let exists = name == "server" || on.state.plays[play].sockets.contains_key(name);
    match verb {
        "connect" if exists || !on.net.is_listening(server) => log(on, play, name, json!([verb, "refused"])),
        "connect" => connect(on, play, name),
        _ if !exists => log(on, play, name, json!([verb, "absent"])),
        _ if name == "server" => act_on_server(on, play, verb, &step[2]),
        "pipe" | "unpipe" => act_on_pipe(on, play, name, verb, step[2].as_str().unwrap_or_default()),
        _ => act_on_socket(on, play, name, verb, step[2].as_u64().unwrap_or(0)),
    }
}

fn act_on_server(on: &mut On<'_>, play: usize, verb: &str, argument: &Value) {
    let Some(mut server) = on.server(on.state.plays[play].server) else { return };
    match verb {
        "close" => server.close(),
        "maxConnections" => server.set_max_connections(argument.as_u64().map(|most| most as usize)),
        "getConnections" => server.get_connections(move |on, connections| {
            log(on, play, "server", json!(["connections", connections]));
        }),
        _ => unreachable!("unknown verb {verb} for a server"),
    }
}

fn act_on_pipe(on: &mut On<'_>, play: usize, name: &str, verb: &str, to: &str) {
    let sockets = &mut on.state.plays[play].sockets;
    let Some(to_id) = sockets.get(to).map(|actor| actor.id) else {
        return log(on, play, name, json!([verb, "absent"]));
    };
    let Some(actor) = sockets.get_mut(name) else { return };
    let id = actor.id;
    if verb == "pipe" {
        if on.net.connection(id).is_destroyed() || !actor.pipes.insert(to.to_owned()) {
            return log(on, play, name, json!(["pipe", "refused"]));
        }
        if let Some(mut socket) = on.socket(id) {
            socket.off_data();
        }
        if let Err(error) = on.net.pipe(id, to_id) {
            unreachable!("a socket that is there can be piped: {error}");
        }
        return;
    }
    if !actor.pipes.remove(to) {
        return log(on, play, name, json!(["unpipe", "refused"]));
    }
    let last = actor.pipes.is_empty();
    on.net.unpipe(id, to_id);
    if last && let Some(mut socket) = on.socket(id) {
        watch_data(&mut socket, play, name);
    }
}

fn act_on_socket(on: &mut On<'_>, play: usize, name: &str, verb: &str, argument: u64) {
    let Some(actor) = on.state.plays[play].sockets.get(name) else { return };
    let (id, at_close) = (actor.id, actor.at_close);
    let bytes = || vec![b'x'; argument as usize];
    match verb {
        "write" => {
            let returned = on.net.write(id, &bytes());
            log(on, play, name, json!(["write", returned]));
        }
        "end" if argument > 0 => on.net.end_with(id, &bytes(), None),
        "end" => on.net.end(id, None),
        "destroy" => on.net.destroy(id),
        "destroySoon" => on.net.destroy_soon(id),
        "reset" => on.net.reset(id),
        "pause" => on.net.pause(id),
        "resume" => on.net.resume(id),
        "cork" => on.net.cork(id),
        "uncork" => on.net.uncork(id),
        "setTimeout" => on.net.set_timeout(id, Some(Duration::from_millis(argument))),
        "state" => {
            let (read, written) = match at_close {
                Some(counters) if !on.net.connection(id).exists() => counters,
                _ => (on.net.connection(id).bytes_read(), on.net.connection(id).bytes_written()),
            };
            let (state, destroyed) = (on.net.connection(id).ready_state().name(), on.net.connection(id).is_destroyed());
            let connecting = on.net.connection(id).is_connecting();
            log(on, play, name, json!(["state", state, read, written, destroyed, connecting]));
        }
        _ => unreachable!("unknown verb {verb}"),
    }
}

fn finish(on: &mut On<'_>, play: usize) {
    let this = &mut on.state.plays[play];
    this.over = true;
    let (server, timers) = (this.server, std::mem::take(&mut this.timers));
    let sockets: Vec<SocketId> = this.sockets.values().map(|actor| actor.id).collect();
    for timer in timers {
        on.cancel(timer);
    }
    for id in sockets {
        on.net.destroy(id);
    }
    on.net.close_server(server);
}

impl Play {
    fn into_played(self) -> Played {
        Played {
            name: self.scenario["name"].as_str().unwrap_or_default().to_owned(),
            trace: Value::Object(self.trace),
            unfired: self.pending.into_iter().collect(),
        }
    }
}
