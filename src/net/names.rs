//! The sockets and the files of the resolver in `names/`, which decides what is asked, and of whom.
//!
//! A question has a socket of its own, so that an answer has to come to a port that nobody else knows. It is closed when the
//! answer has come, or the next server is asked.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use super::file_lines::again;
use super::lookup::Wanted;
use super::name_files::{NameFiles, Read};
use crate::base::timers::Due;
use crate::kernel::{ConnectOptions, Handle, Kernel, Token};
use crate::names::{Action, Asked, NamesOptions, Outcome, Resolver, Ticket, Transport};
use crate::net::lookup::LookupAsker;

/// Room for any datagram. No more than 1,232 bytes are asked for, but some servers send more, and what is cut is of no use.
const LARGEST_DATAGRAM: usize = 65_535;

/// How many datagrams of one question are looked at in a turn: anybody may send some.
const DATAGRAMS_IN_A_TURN: usize = 8;

#[derive(Debug)]
pub(super) struct Names {
    resolver: Resolver,
    files: NameFiles,
    /// Whether it stands on the ready list, to go on with what it has left.
    pub is_in_line: bool,
    exchanges: BTreeMap<Asked, Exchange>,
    waiting: BTreeMap<Ticket, LookupAsker>,
    /// The outcomes that nobody has heard of yet.
    pub delivered: VecDeque<(LookupAsker, Ticket, Outcome)>,
    /// Whether a task will tell the first of them.
    pub is_telling: bool,
    /// When the resolver is to be asked next, and the entry for it.
    pub timer: Option<(Duration, Due)>,
    ids: Ids,
    /// Where datagrams are received. Only the pages that one was long enough for are the process's.
    buffer: Vec<u8>,
}

/// A socket on which an answer is waited for.
#[derive(Debug)]
enum Exchange {
    Datagrams(Handle),
    Stream(Box<Stream>),
}

/// A message to a server by TCP, and what comes back. Each has its length before it, in two bytes.
#[derive(Debug)]
struct Stream {
    handle: Handle,
    is_connected: bool,
    message: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
}

/// Random numbers that nobody can guess, some at a time.
#[derive(Debug, Default)]
struct Ids {
    bytes: [u8; 32],
    left: usize,
    /// The kernel has none. Without them nothing is asked.
    is_missing: bool,
}

impl Names {
    pub fn new(options: NamesOptions) -> Self {
        Names {
            resolver: Resolver::new(options),
            files: NameFiles::default(),
            is_in_line: false,
            exchanges: BTreeMap::new(),
            waiting: BTreeMap::new(),
            delivered: VecDeque::new(),
            is_telling: false,
            timer: None,
            ids: Ids::default(),
            buffer: Vec::new(),
        }
    }

    /// Whether somebody waits for an outcome.
    pub fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !self.delivered.is_empty()
    }

    pub fn next_deadline(&self) -> Option<Duration> {
        self.resolver.next_deadline()
    }

    pub fn look_up(&mut self, wanted: Wanted, who: LookupAsker, kernel: &mut dyn Kernel, now: Duration) -> Ticket {
        if self.files.begin_if_due(self.resolver.options(), kernel, now) {
            self.resolver.await_files();
            self.read_on(kernel);
        }
        let Wanted { host, families, hints } = wanted;
        let ticket = self.resolver.look_up(host, families, hints, now, &mut || self.ids.next(kernel));
        self.waiting.insert(ticket, who);
        ticket
    }

    pub fn cancel(&mut self, ticket: Ticket, now: Duration) {
        self.waiting.remove(&ticket);
        self.resolver.cancel(ticket, now);
    }

    pub fn expire(&mut self, kernel: &mut dyn Kernel, now: Duration) {
        self.timer = None;
        self.resolver.expire(now, &mut || self.ids.next(kernel));
    }

    /// Whether it has something to do, and nothing else will have it done.
    pub fn has_more(&self) -> bool {
        self.files.is_reading() || self.resolver.holds_look_ups() || !self.delivered.is_empty() && !self.is_telling
    }

    /// Reads a piece of the files, or begins one of the look-ups that have waited for them. Whether there is more of that.
    pub fn go_on(&mut self, kernel: &mut dyn Kernel, now: Duration) -> bool {
        match self.files.is_reading() {
            true => self.read_on(kernel),
            false => self.resolver.begin_held(now, &mut || self.ids.next(kernel)),
        }
        self.files.is_reading() || self.resolver.holds_look_ups()
    }

    fn read_on(&mut self, kernel: &mut dyn Kernel) {
        match self.files.go_on(self.resolver.options(), self.resolver.hosts(), kernel) {
            None => {}
            Some(Ok(Read { conf, hosts })) => self.resolver.configure(conf, hosts),
            Some(Err(why)) => self.resolver.set_unread(why),
        }
    }

    /// It is not used any more.
    pub fn close(&mut self, kernel: &mut dyn Kernel) {
        self.files.close(kernel);
    }

    /// Does what the resolver wants.
    pub fn carry_out(&mut self, kernel: &mut dyn Kernel, now: Duration) {
        while let Some(action) = self.resolver.next_action() {
            match action {
                Action::Ask { asked, server, transport, message } => {
                    let begun = match (self.ids.is_missing, transport) {
                        (true, _) => Err(io::Error::new(ErrorKind::Unsupported, "there are no random numbers")),
                        (false, Transport::Datagram) => ask_by_datagram(kernel, asked, server, &message),
                        (false, Transport::Stream) => ask_by_stream(kernel, asked, server, &message),
                    };
                    match begun {
                        Ok(exchange) => {
                            self.exchanges.insert(asked, exchange);
                            self.resolver.was_sent();
                        }
                        Err(error) => {
                            self.resolver.failed(asked, &error, now, &mut || self.ids.next(kernel));
                        }
                    }
                }
                Action::Close(asked) => {
                    if let Some(exchange) = self.exchanges.remove(&asked) {
                        kernel.close(exchange.handle());
                    }
                }
                Action::Deliver(ticket, outcome) => {
                    if let Some(who) = self.waiting.remove(&ticket) {
                        self.delivered.push_back((who, ticket, outcome));
                    }
                }
            }
        }
    }

    /// Takes what has come. Whether more may be there.
    pub fn serve(&mut self, asked: Asked, kernel: &mut dyn Kernel, now: Duration) -> bool {
        match self.exchanges.get_mut(&asked) {
            None => false,
            Some(Exchange::Datagrams(handle)) => {
                let handle = *handle;
                self.receive(asked, handle, kernel, now)
            }
            Some(Exchange::Stream(stream)) => {
                let failed = match stream.go_on(kernel) {
                    Ok(false) => None,
                    // What comes by TCP and is no answer is the last that comes.
                    Ok(true) => {
                        let ids = &mut || self.ids.next(kernel);
                        let message = stream.received.get(2..).unwrap_or_default();
                        let is_answer = self.resolver.received(asked, message, now, ids);
                        (!is_answer).then(|| ErrorKind::InvalidData.into())
                    }
                    Err(error) => Some(error),
                };
                if let Some(error) = failed {
                    self.resolver.failed(asked, &error, now, &mut || self.ids.next(kernel));
                }
                false
            }
        }
    }

    /// Takes datagrams until one of them is the answer.
    fn receive(&mut self, asked: Asked, handle: Handle, kernel: &mut dyn Kernel, now: Duration) -> bool {
        self.buffer.resize(LARGEST_DATAGRAM, 0);
        for _ in 0..DATAGRAMS_IN_A_TURN {
            match kernel.receive(handle, &mut self.buffer) {
                Ok(length) => {
                    let ids = &mut || self.ids.next(kernel);
                    if self.resolver.received(asked, &self.buffer[..length], now, ids) {
                        return false;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => {
                    self.resolver.failed(asked, &error, now, &mut || self.ids.next(kernel));
                    return false;
                }
            }
        }
        true
    }
}

fn ask_by_datagram(kernel: &mut dyn Kernel, asked: Asked, server: SocketAddr, message: &[u8]) -> io::Result<Exchange> {
    let handle = kernel.datagrams(server, None)?;
    let sent = kernel.register(handle, Token::of_question(asked.0)).and_then(|()| kernel.send(handle, message));
    match sent {
        Ok(()) => Ok(Exchange::Datagrams(handle)),
        Err(error) => {
            kernel.close(handle);
            Err(error)
        }
    }
}

fn ask_by_stream(kernel: &mut dyn Kernel, asked: Asked, server: SocketAddr, message: &[u8]) -> io::Result<Exchange> {
    let options = ConnectOptions::default();
    let handle = kernel.connect(server.into(), &options).map_err(|(_, error)| error)?;
    if let Err(error) = kernel.register(handle, Token::of_question(asked.0)) {
        kernel.close(handle);
        return Err(error);
    }
    let length = (message.len() as u16).to_be_bytes();
    let message = [&length, message].concat();
    Ok(Exchange::Stream(Box::new(Stream { handle, is_connected: false, message, sent: 0, received: Vec::new() })))
}

impl Exchange {
    fn handle(&self) -> Handle {
        match self {
            Exchange::Datagrams(handle) => *handle,
            Exchange::Stream(stream) => stream.handle,
        }
    }
}

impl Stream {
    /// Sends and receives what can be. Whether the answer is there.
    fn go_on(&mut self, kernel: &mut dyn Kernel) -> io::Result<bool> {
        match self.exchange(kernel) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            exchanged => exchanged,
        }
    }

    fn exchange(&mut self, kernel: &mut dyn Kernel) -> io::Result<bool> {
        if !self.is_connected {
            self.is_connected = kernel.connected(self.handle)?;
        }
        if !self.is_connected {
            return Ok(false);
        }
        while self.sent < self.message.len() {
            self.sent += again(|| kernel.write(self.handle, &self.message[self.sent..]))?;
        }
        // An answer has 65,535 bytes at most, so this comes to an end.
        loop {
            let missing = match self.received.first_chunk::<2>() {
                None => 2 - self.received.len(),
                Some(length) => 2 + usize::from(u16::from_be_bytes(*length)) - self.received.len(),
            };
            if missing == 0 {
                return Ok(true);
            }
            let before = self.received.len();
            self.received.resize(before + missing, 0);
            let read = again(|| kernel.read(self.handle, &mut self.received[before..]));
            self.received.truncate(before + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Ids {
    fn next(&mut self, kernel: &mut dyn Kernel) -> u16 {
        if self.left == 0 {
            self.is_missing = kernel.random(&mut self.bytes).is_err();
            self.left = self.bytes.len();
        }
        self.left -= 2;
        u16::from(self.bytes[self.left]) << 8 | u16::from(self.bytes[self.left + 1])
    }
}
