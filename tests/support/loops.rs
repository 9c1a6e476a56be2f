//! A world for tests: one event loop, and a log of what each of its actors saw.
//!
//! An actor is a socket or a server with a name. Watching a socket hangs a handler on each of its events, which writes
//! the event down and then asks the test's own closure. So a test says what its actors do, runs the world until
//! something was seen, and compares lists of events. A deadline ends a world that does not come so far.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidegate::sim::Sim;
use tidegate::{
    Closed, Endpoint, Error, EventLoop, FileOptions, ServerId, ServerOptions, Socket, SocketId, SocketOptions,
};

/// After so long a test has failed.
const DEADLINE: Duration = Duration::from_secs(10);

/// More than the kernel takes for a peer that does not read (some 7 MB on loopback, with the usual bounds).
pub const FLOOD: usize = 16 << 20;

pub type View<'a> = Socket<'a, Log>;

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What a watched socket tells the test.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// A server has just accepted it.
    Accepted,
    Connect,
    Data(&'a [u8]),
    End,
    Drain,
    Finish,
    Timeout,
    Error(&'a Error),
    Close(Closed),
}

/// What was seen, in order, and what tests keep for themselves.
pub struct Log {
    entries: Vec<(String, What)>,
    ids: HashMap<String, SocketId>,
    closed: HashMap<String, Closed>,
    /// Numbers that a test counts or measures.
    pub numbers: HashMap<&'static str, usize>,
    /// Moments that a test measures from, on the loop's own clock: a real one may be ahead of it by as much as the
    /// machine is slow.
    pub moments: HashMap<&'static str, Duration>,
}

#[derive(Debug)]
enum What {
    Event(String),
    Data(Vec<u8>),
}

impl Log {
    fn new() -> Self {
        Log {
            entries: Vec::new(),
            ids: HashMap::new(),
            closed: HashMap::new(),
            numbers: HashMap::new(),
            moments: HashMap::new(),
        }
    }

    /// Writes down that `actor` saw `event`.
    pub fn note(&mut self, actor: &str, event: impl Into<String>) {
        self.entries.push((actor.to_owned(), What::Event(event.into())));
    }

    fn note_data(&mut self, actor: &str, bytes: &[u8]) {
        let last = self.entries.iter_mut().rev().find(|(of, _)| of == actor);
        if let Some((_, What::Data(all))) = last {
            all.extend_from_slice(bytes);
        } else {
            self.entries.push((actor.to_owned(), What::Data(bytes.to_vec())));
        }
    }

    pub fn id(&self, actor: &str) -> SocketId {
        *self.ids.get(actor).unwrap_or_else(|| panic!("nobody is called {actor}; so far: {:#?}", self.all()))
    }

    /// Whether there ever was an actor of this name.
    pub fn knows(&self, actor: &str) -> bool {
        self.ids.contains_key(actor)
    }

    /// The events of one actor. Chunks of data that follow each other are one.
    pub fn of(&self, actor: &str) -> Vec<String> {
        self.entries.iter().filter(|(of, _)| of == actor).map(|(_, what)| what.to_string()).collect()
    }

    /// The events of all actors, each with its actor before it.
    pub fn all(&self) -> Vec<String> {
        self.entries.iter().map(|(actor, what)| format!("{actor} {what}")).collect()
    }

    /// The events of some actors, in their common order.
    pub fn of_all(&self, actors: &[&str]) -> Vec<String> {
        let wanted = self.entries.iter().filter(|(actor, _)| actors.contains(&actor.as_str()));
        wanted.map(|(actor, what)| format!("{actor} {what}")).collect()
    }

    pub fn saw(&self, actor: &str, event: &str) -> bool {
        self.times(actor, event) > 0
    }

    pub fn times(&self, actor: &str, event: &str) -> usize {
        self.entries
            .iter()
            .filter(|(of, what)| of == actor && matches!(what, What::Event(seen) if seen == event))
            .count()
    }

    pub fn is_closed(&self, actor: &str) -> bool {
        self.closed.contains_key(actor)
    }

    /// How the last connection of an actor ended.
    pub fn closed(&self, actor: &str) -> Closed {
        *self.closed.get(actor).unwrap_or_else(|| panic!("{actor} has not closed: {:#?}", self.all()))
    }

    /// All bytes that an actor got.
    pub fn data(&self, actor: &str) -> Vec<u8> {
        let of_actor = self.entries.iter().filter(|(of, _)| of == actor);
        of_actor.flat_map(|(_, what)| if let What::Data(bytes) = what { &bytes[..] } else { &[] }).copied().collect()
    }

    pub fn number(&self, name: &str) -> usize {
        self.numbers.get(name).copied().unwrap_or(0)
    }

    pub fn add(&mut self, name: &'static str, n: usize) -> usize {
        let number = self.numbers.entry(name).or_default();
        *number += n;
        *number
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            What::Event(event) => f.write_str(event),
            What::Data(bytes) if bytes.len() <= 40 => write!(f, "data {}", String::from_utf8_lossy(bytes)),
            What::Data(bytes) => write!(f, "data of {}", bytes.len()),
        }
    }
}

/// An event loop with a log.
pub struct World(EventLoop<Log>);

impl Deref for World {
    type Target = EventLoop<Log>;

    fn deref(&self) -> &EventLoop<Log> {
        &self.0
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut EventLoop<Log> {
        &mut self.0
    }
}

impl World {
    pub fn new() -> Self {
        World(EventLoop::with_state(Log::new()).unwrap())
    }

    /// On a simulated kernel.
    pub fn on(sim: &Sim) -> Self {
        World(EventLoop::on(sim.kernel(), Log::new()))
    }

    // ---- actors -----------------------------------------------------------------------------------------------------

    /// A server called `server` on 127.0.0.1. `accepted` runs for each connection.
    pub fn serve(
        &mut self,
        options: ServerOptions,
        accepted: impl FnMut(&mut View<'_>) + 'static,
    ) -> (ServerId, SocketAddr) {
        self.serve_on("127.0.0.1:0", options, accepted)
    }

    pub fn serve_on(
        &mut self,
        on: impl TryInto<Endpoint, Error: Into<Error>>,
        options: ServerOptions,
        mut accepted: impl FnMut(&mut View<'_>) + 'static,
    ) -> (ServerId, SocketAddr) {
        let id = self
            .listen_with(on, options, move |socket| {
                socket.state.note("server", "connection");
                accepted(socket);
            })
            .unwrap();
        self.watch_server(id, "server");
        let address = self.net.server_address(id).unwrap();
        (id, address)
    }

    pub fn watch_server(&mut self, id: ServerId, name: &'static str) {
        let mut server = self.0.server(id).unwrap();
        server.on_listening(move |server| server.state.note(name, "listening"));
        server.on_drop(move |server, _| server.state.note(name, "drop"));
        server.on_error(move |server, error| server.state.note(name, format!("error {}", error.code())));
        server.on_close(move |server| server.state.note(name, "close"));
    }

    /// A watched socket that connects to `to`.
    pub fn client(
        &mut self,
        name: &str,
        to: impl TryInto<Endpoint, Error: Into<Error>>,
        hear: impl Fn(&mut View<'_>, Heard<'_>) + 'static,
    ) -> SocketId {
        self.client_with(SocketOptions::new(), name, to, hear)
    }

    pub fn client_with(
        &mut self,
        options: SocketOptions,
        name: &str,
        to: impl TryInto<Endpoint, Error: Into<Error>>,
        hear: impl Fn(&mut View<'_>, Heard<'_>) + 'static,
    ) -> SocketId {
        self.event_loop().connect_with(to, options, |socket| watch(socket, name, hear)).unwrap()
    }

    /// A watched file. It flows only if it is resumed or piped.
    pub fn file(&mut self, name: &str, path: impl AsRef<Path>, options: FileOptions) -> SocketId {
        self.event_loop()
            .open(path, options, |file| {
                file.pause();
                watch(file, name, quiet);
            })
            .unwrap()
    }

    /// A server whose sockets are called S, and a client C that connects to it.
    pub fn pair(
        &mut self,
        server_side: impl Fn(&mut View<'_>, Heard<'_>) + 'static,
        client_side: impl Fn(&mut View<'_>, Heard<'_>) + 'static,
    ) -> (ServerId, SocketAddr) {
        self.pair_with(ServerOptions::new(), server_side, SocketOptions::new(), client_side)
    }

    pub fn pair_with(
        &mut self,
        server_options: ServerOptions,
        server_side: impl Fn(&mut View<'_>, Heard<'_>) + 'static,
        client_options: SocketOptions,
        client_side: impl Fn(&mut View<'_>, Heard<'_>) + 'static,
    ) -> (ServerId, SocketAddr) {
        let (server, address) = self.sockets_called_s(server_options, server_side);
        self.client_with(client_options, "C", address, client_side);
        (server, address)
    }

    /// A server whose sockets are called S, and a plain blocking socket connected to it.
    pub fn raw_pair(
        &mut self,
        options: ServerOptions,
        server_side: impl Fn(&mut View<'_>, Heard<'_>) + 'static,
    ) -> TcpStream {
        let (_, address) = self.sockets_called_s(options, server_side);
        TcpStream::connect(address).unwrap()
    }

    pub fn sockets_called_s(
        &mut self,
        options: ServerOptions,
        hear: impl Fn(&mut View<'_>, Heard<'_>) + 'static,
    ) -> (ServerId, SocketAddr) {
        let hear = Rc::new(hear);
        self.serve(options, move |socket| {
            let tell = hear.clone();
            watch(socket, "S", move |socket, heard| tell(socket, heard));
            hear(socket, Heard::Accepted);
        })
    }

    /// A world with a server whose sockets are called S1, S2 and so on, and so many plain sockets connected to it.
    pub fn room(
        options: ServerOptions,
        count: usize,
        hear: impl Fn(&mut View<'_>, Heard<'_>) + Copy + 'static,
    ) -> (World, Vec<SocketId>, Vec<TcpStream>) {
        let mut world = World::new();
        let (_, address) = world.serve(options, move |socket| {
            let name = format!("S{}", socket.state.add("accepted", 1));
            watch(socket, &name, hear);
        });
        let peers = (1..=count).map(|n| world.peer(address, n)).collect();
        let ids = (1..=count).map(|n| world.id(&format!("S{n}"))).collect();
        (world, ids, peers)
    }

    /// A server whose sockets are called a, b and c; they are paused and have no handler for data.
    pub fn serve_paused(&mut self, options: ServerOptions) -> SocketAddr {
        let (_, address) = self.serve(options, |socket| {
            let name = ["a", "b", "c"][socket.state.add("accepted", 1) - 1];
            socket.pause();
            watch(socket, name, quiet);
            socket.off_data();
        });
        address
    }

    /// A plain socket that is the `number`th to connect to a server that counts what it has `accepted`.
    pub fn peer(&mut self, address: SocketAddr, number: usize) -> TcpStream {
        let stream = TcpStream::connect(address).unwrap();
        self.until(|world| world.state.number("accepted") == number);
        stream
    }

    pub fn pipe(&mut self, from: &str, to: &str, end: bool) {
        let (from, to) = (self.id(from), self.id(to));
        let piped = if end { self.net.pipe(from, to) } else { self.net.pipe_without_end(from, to) };
        piped.unwrap();
    }

    pub fn unpipe(&mut self, from: &str, to: &str) {
        let (from, to) = (self.id(from), self.id(to));
        self.net.unpipe(from, to);
    }

    pub fn id(&self, actor: &str) -> SocketId {
        self.state.id(actor)
    }

    /// A view on an actor that must be there.
    pub fn of(&mut self, actor: &str) -> View<'_> {
        let id = self.id(actor);
        self.0.socket(id).unwrap_or_else(|| panic!("{actor} is gone"))
    }

    // ---- running ----------------------------------------------------------------------------------------------------

    /// Turns until `found` finds something.
    pub fn until_some<T>(&mut self, mut found: impl FnMut(&mut World) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(it) = found(self) {
                return it;
            }
            assert!(Instant::now() < deadline, "this did not happen in {DEADLINE:?}; so far: {:#?}", self.state.all());
            self.turn(Some(ms(2))).unwrap();
        }
    }

    /// Turns until the condition holds.
    pub fn until(&mut self, mut holds: impl FnMut(&mut World) -> bool) {
        self.until_some(|world| holds(world).then_some(()));
    }

    /// Turns until an actor has seen an event.
    pub fn until_saw(&mut self, actor: &str, event: &str) {
        self.until(|world| world.state.saw(actor, event));
    }

    pub fn until_closed(&mut self, actors: &[&str]) {
        self.until(|world| actors.iter().all(|actor| world.state.is_closed(actor)));
    }

    /// Turns for a while, to see what comes, and above all what does not.
    pub fn turn_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(Some(ms(2))).unwrap();
        }
    }

    /// Closes all servers and runs until nothing keeps the loop running.
    pub fn run_out(&mut self) {
        self.net.close_servers();
        self.run_dry();
    }

    /// Runs until nothing keeps the loop running.
    pub fn run_dry(&mut self) {
        let guard = self.after(DEADLINE, |on| panic!("run() did not return; so far: {:#?}", on.state.all()));
        self.net.set_timer_ref(guard, false);
        self.run().unwrap();
        self.event_loop().cancel(guard);
    }

    // ---- plain sockets ----------------------------------------------------------------------------------------------

    /// Reads from a plain socket, while the world turns, until so many bytes or the end have come.
    pub fn read_raw(&mut self, stream: &TcpStream, most: usize) -> Vec<u8> {
        stream.set_nonblocking(true).unwrap();
        let mut stream = stream;
        let mut all = Vec::new();
        let mut buffer = vec![0; 1 << 18];
        self.until_some(|_| {
            while all.len() < most {
                let room = buffer.len().min(most - all.len());
                match stream.read(&mut buffer[..room]) {
                    Ok(0) => return Some(()),
                    Ok(count) => all.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                    Err(error) => panic!("read: {error}"),
                }
            }
            Some(())
        });
        all
    }

    /// Writes all to a plain socket while the world turns.
    pub fn write_raw(&mut self, stream: &TcpStream, mut bytes: &[u8]) {
        stream.set_nonblocking(true).unwrap();
        let mut stream = stream;
        self.until(|_| {
            match stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("write: {error}"),
            }
            bytes.is_empty()
        });
    }
}

/// Reads what has come from a plain socket that does not block; whether its end has come too.
pub fn read_now(mut stream: &TcpStream, into: &mut Vec<u8>) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 1 << 18];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            return true;
        }
        into.extend_from_slice(&buffer[..count]);
    }
    false
}

/// Writes to a plain socket what it takes without blocking, from `sent` on; whether it took anything.
pub fn write_now(mut stream: &TcpStream, bytes: &[u8], sent: &mut usize) -> bool {
    stream.set_nonblocking(true).unwrap();
    let before = *sent;
    while let Ok(count @ 1..) = stream.write(&bytes[*sent..]) {
        *sent += count;
    }
    *sent > before
}

/// Has a socket write down what it sees and then tell `hear`.
pub fn watch(socket: &mut View<'_>, name: &str, hear: impl Fn(&mut View<'_>, Heard<'_>) + 'static) {
    let id = socket.id();
    socket.state.ids.insert(name.to_owned(), id);
    let name: Rc<str> = name.into();
    let hear = Rc::new(hear);
    let plain = |event: &'static str, heard: Heard<'static>| {
        let (name, hear) = (name.clone(), hear.clone());
        move |socket: &mut View<'_>| {
            socket.state.note(&name, event);
            hear(socket, heard);
        }
    };
    socket.on_connect(plain("connect", Heard::Connect));
    socket.on_end(plain("end", Heard::End));
    socket.on_drain(plain("drain", Heard::Drain));
    socket.on_finish(plain("finish", Heard::Finish));
    socket.on_timeout(plain("timeout", Heard::Timeout));
    let (of, tell) = (name.clone(), hear.clone());
    socket.on_data(move |socket, chunk| {
        socket.state.note_data(&of, chunk);
        tell(socket, Heard::Data(chunk));
    });
    let (of, tell) = (name.clone(), hear.clone());
    socket.on_error(move |socket, error| {
        socket.state.note(&of, format!("error {}", error.code()));
        tell(socket, Heard::Error(error));
    });
    let (of, tell) = (name, hear);
    socket.on_close(move |socket, closed| {
        socket.state.note(&of, format!("close({})", closed.had_error));
        socket.state.closed.insert(of.to_string(), closed);
        tell(socket, Heard::Close(closed));
    });
}

/// An actor that does nothing by itself.
pub fn quiet(_: &mut View<'_>, _: Heard<'_>) {}

/// The outcome of a callback, for the log.
pub fn outcome(name: &str, outcome: &Result<(), Error>) -> String {
    match outcome {
        Ok(()) => format!("{name} ok"),
        Err(error) => format!("{name} {}", error.code()),
    }
}

/// A callback for `write_then` and its like that writes its outcome down.
pub fn told(actor: &'static str, name: &'static str) -> impl FnOnce(&mut View<'_>, Result<(), Error>) + 'static {
    move |socket, result| socket.state.note(actor, outcome(name, &result))
}

/// Bytes of which each says where it stands.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}
