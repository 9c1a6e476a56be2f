//! An engine on the simulated network, for tests: streams that are cut, readers that wait, a user with a password, and whatever
//! goes wrong with an engine.
//!
//! An engine that is stopped (SIGSTOP) is one whose loop does not run. One whose network is cut is `Sim::partition`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tidegate::sim::Sim;
use tidegate::{EventLoop, Loop, Socket, SocketId, TimerId};

use super::EntryId;
use super::reply::{Bounds, Replies, Reply};

/// Where it listens.
pub const AT: &str = "10.9.9.9:6379";

/// When the clock of the network begins, in the milliseconds of the engine's.
const EPOCH: u64 = 1_700_000_000_000;

/// A stream is cut in whole nodes of so many entries, as `MAXLEN ~` does.
const NODE: usize = 100;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Default)]
pub struct FakeEngine {
    pub streams: BTreeMap<Vec<u8>, Stream>,
    /// The user and its password, if one is wanted.
    pub user: Option<(String, String)>,
    /// What commands are answered with in place of the truth: the name of a command, and bytes.
    pub lies: BTreeMap<&'static str, Vec<u8>>,
    /// These are not answered at all.
    pub silent: Vec<&'static str>,
    /// After so many bytes that it has sent from now on, the connection is reset.
    pub cut_after: Option<usize>,
    /// How far its clock is ahead of the network's, in milliseconds.
    pub ahead: i64,
    /// Each command that came, as people type it.
    pub commands: Vec<String>,
    /// Each entry that was added to a stream.
    pub added: Vec<(EntryId, Fields)>,
    pub sent: usize,
    clients: BTreeMap<SocketId, Client>,
}

#[derive(Clone, Debug, Default)]
pub struct Stream {
    pub entries: VecDeque<(EntryId, Fields)>,
    pub last: EntryId,
}

struct Client {
    asks: Replies,
    is_authenticated: bool,
    waits: Option<Waits>,
}

/// It waits for an entry.
struct Waits {
    stream: Vec<u8>,
    after: EntryId,
    count: usize,
    timer: TimerId,
}

impl Stream {
    fn behind(&self, after: EntryId, count: usize) -> Vec<&(EntryId, Fields)> {
        self.entries.iter().filter(|(id, _)| *id > after).take(count).collect()
    }

    fn add(&mut self, milliseconds: u64, most: usize, fields: Fields) -> EntryId {
        let next = EntryId { number: self.last.number + 1, ..self.last };
        let id = if milliseconds > self.last.milliseconds { EntryId { milliseconds, number: 0 } } else { next };
        self.last = id;
        self.entries.push_back((id, fields));
        while self.entries.len() >= most + NODE {
            self.entries.drain(..NODE);
        }
        id
    }
}

/// An engine that listens on [`AT`].
pub fn engine(sim: &Sim) -> EventLoop<FakeEngine> {
    let mut engine = EventLoop::on(sim.kernel(), FakeEngine::default());
    begin(&mut engine);
    engine
}

/// It listens again, after [`end`].
pub fn begin(engine: &mut EventLoop<FakeEngine>) {
    listen(engine, AT);
}

pub fn listen(engine: &mut EventLoop<FakeEngine>, at: &str) {
    engine.listen(at, welcome).unwrap();
}

/// It is killed: all connections are gone.
pub fn end(engine: &mut EventLoop<FakeEngine>) {
    engine.net.close_servers();
    for id in engine.net.socket_ids().collect::<Vec<_>>() {
        engine.net.reset(id);
    }
    engine.state.clients.clear();
}

/// As an engine that was killed has it: the last entries were acknowledged, and are gone.
pub fn forget(engine: &mut EventLoop<FakeEngine>, last: usize) {
    for stream in engine.state.streams.values_mut() {
        let kept = stream.entries.len().saturating_sub(last);
        stream.entries.truncate(kept);
        stream.last = stream.entries.back().map_or(EntryId::ZERO, |(id, _)| *id);
    }
}

/// What stands before this place is trimmed.
pub fn trim(engine: &mut EventLoop<FakeEngine>, before: EntryId) {
    for stream in engine.state.streams.values_mut() {
        stream.entries.retain(|(id, _)| *id >= before);
    }
}

fn welcome(socket: &mut Socket<'_, FakeEngine>) {
    let id = socket.id();
    let is_authenticated = socket.state.user.is_none();
    let client = Client { asks: Replies::new(Bounds::DEFAULT), is_authenticated, waits: None };
    socket.state.clients.insert(id, client);
    socket.on_error(|_, _| {});
    socket.on_close(move |socket, _| drop(socket.state.clients.remove(&id)));
    socket.on_data(move |socket, chunk| {
        let on = &mut socket.event_loop();
        if let Some(client) = on.state.clients.get_mut(&id) {
            client.asks.push(chunk);
        }
        while let Some(client) = on.state.clients.get_mut(&id) {
            match client.asks.next() {
                Ok(Some(Reply::Array(words))) => obey(on, id, &words),
                Ok(None) => return,
                other => panic!("an engine was asked {other:?}"),
            }
        }
    });
}

fn obey(on: &mut Loop<'_, FakeEngine>, id: SocketId, words: &[Reply]) {
    let words: Vec<&[u8]> = words
        .iter()
        .map(|word| match word {
            Reply::Bulk(word) => &word[..],
            other => panic!("an argument is {other:?}"),
        })
        .collect();
    let typed: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
    let name = typed[0].to_string();
    on.state.commands.push(typed.join(" "));
    if on.state.silent.contains(&&*name) {
        return;
    }
    if let Some(lie) = on.state.lies.get(&*name).cloned() {
        return send(on, id, &lie);
    }
    if !on.state.clients.get(&id).is_some_and(|client| client.is_authenticated) && name != "AUTH" {
        return send(on, id, b"-NOAUTH Authentication required.\r\n");
    }
    match &words[..] {
        [b"AUTH", name @ .., password] => auth(on, id, name.first(), password),
        [b"HELLO", b"2", ..] => send(on, id, b"*4\r\n$6\r\nserver\r\n$4\r\nfake\r\n$7\r\nversion\r\n$1\r\n1\r\n"),
        [b"SELECT", _] | [b"PING"] => send(on, id, b"+OK\r\n"),
        [b"XADD", stream, b"MAXLEN", b"~", most, b"*", fields @ ..] => add(on, id, stream, number(most), fields),
        [b"XREAD", b"COUNT", count, b"STREAMS", stream, after] => read(on, id, stream, after, number(count), None),
        [b"XREAD", b"COUNT", count, b"BLOCK", time, b"STREAMS", stream, after] => {
            let time = Duration::from_millis(number(time) as u64);
            read(on, id, stream, after, number(count), Some(time));
        }
        _ => send(on, id, format!("-ERR unknown command '{name}'\r\n").as_bytes()),
    }
}

fn auth(on: &mut Loop<'_, FakeEngine>, id: SocketId, name: Option<&&[u8]>, password: &[u8]) {
    let name = name.map_or("default".into(), |name| String::from_utf8_lossy(name));
    let is_right = on.state.user.as_ref().is_none_or(|user| (&*user.0, user.1.as_bytes()) == (&*name, password));
    if let Some(client) = on.state.clients.get_mut(&id) {
        client.is_authenticated = is_right;
    }
    match is_right {
        true => send(on, id, b"+OK\r\n"),
        false => send(on, id, b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"),
    }
}

fn add(on: &mut Loop<'_, FakeEngine>, id: SocketId, name: &[u8], most: usize, fields: &[&[u8]]) {
    let milliseconds = (EPOCH + on.net.now().as_millis() as u64).saturating_add_signed(on.state.ahead);
    let fields = fields.chunks_exact(2).map(|pair| (pair[0].to_vec(), pair[1].to_vec())).collect();
    let stream = on.state.streams.entry(name.to_vec()).or_default();
    let entry = stream.add(milliseconds, most, fields);
    on.state.added.extend(stream.entries.back().cloned());
    let entry = entry.to_string();
    send(on, id, format!("${}\r\n{entry}\r\n", entry.len()).as_bytes());
    let waits = |client: &Client| client.waits.as_ref().is_some_and(|waits| waits.stream == name);
    let waiting: Vec<_> = on.state.clients.iter().filter(|(_, client)| waits(client)).map(|(id, _)| *id).collect();
    for id in waiting {
        let Some(waits) = on.state.clients.get_mut(&id).and_then(|client| client.waits.take()) else { continue };
        on.cancel(waits.timer);
        answer(on, id, name, waits.after, waits.count);
    }
}

fn read(on: &mut Loop<'_, FakeEngine>, id: SocketId, name: &[u8], after: &[u8], count: usize, block: Option<Duration>) {
    let after: EntryId = str::from_utf8(after).unwrap().parse().unwrap();
    let is_there = on.state.streams.get(name).is_some_and(|stream| stream.last > after && !stream.entries.is_empty());
    let Some(block) = block.filter(|_| !is_there) else { return answer(on, id, name, after, count) };
    let timer = on.after(block, move |on| {
        if on.state.clients.get_mut(&id).and_then(|client| client.waits.take()).is_some() {
            send(on, id, b"*-1\r\n");
        }
    });
    if let Some(client) = on.state.clients.get_mut(&id) {
        client.waits = Some(Waits { stream: name.to_vec(), after, count, timer });
    }
}

fn answer(on: &mut Loop<'_, FakeEngine>, id: SocketId, name: &[u8], after: EntryId, count: usize) {
    let found = on.state.streams.get(name).map(|stream| stream.behind(after, count)).unwrap_or_default();
    if found.is_empty() {
        return send(on, id, b"*-1\r\n");
    }
    let mut bytes = b"*1\r\n*2\r\n".to_vec();
    put(&mut bytes, name);
    bytes.extend(format!("*{}\r\n", found.len()).bytes());
    for (entry, fields) in found {
        bytes.extend(b"*2\r\n");
        put(&mut bytes, entry.to_string().as_bytes());
        bytes.extend(format!("*{}\r\n", fields.len() * 2).bytes());
        for (field, value) in fields {
            put(&mut bytes, field);
            put(&mut bytes, value);
        }
    }
    send(on, id, &bytes);
}

fn put(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend(format!("${}\r\n", text.len()).bytes());
    bytes.extend_from_slice(text);
    bytes.extend(b"\r\n");
}

fn send(on: &mut Loop<'_, FakeEngine>, id: SocketId, bytes: &[u8]) {
    let left = on.state.cut_after.map(|most| most.saturating_sub(on.state.sent));
    let sent = &bytes[..left.unwrap_or(usize::MAX).min(bytes.len())];
    on.state.sent += sent.len();
    on.net.write(id, sent);
    if left.is_some_and(|left| left <= bytes.len()) {
        on.state.cut_after = None;
        on.net.destroy_soon(id);
        on.state.clients.remove(&id);
    }
}

fn number(text: &[u8]) -> usize {
    str::from_utf8(text).unwrap().parse().unwrap()
}
