//! A simulated kernel, for tests: a network of its own, a clock of its own, and a seed.
//!
//! The whole loop runs on it unchanged. A test needs no real time (an idle hour costs nothing) and no ports, and it can
//! have failures on demand that a real kernel shows once a year. Everything random comes from the seed: the same seed
//! gives the same run, byte for byte. It is public because users of the library need it for the tests of their own
//! servers.
//!
//! ```
//! use std::time::Duration;
//! use tidegate::EventLoop;
//! use tidegate::sim::Sim;
//!
//! let sim = Sim::new(1);
//! let mut event_loop = EventLoop::on(sim.kernel(), Vec::new());
//! event_loop.listen("10.0.0.1:7", |socket| {
//!     socket.set_timeout(Some(Duration::from_secs(3600)));
//!     socket.on_timeout(|socket| socket.end_with("an hour of silence"));
//! })?;
//! event_loop.connect("10.0.0.1:7", |client| {
//!     client.on_text(|client, text| client.state.push(text.to_owned()));
//!     client.on_end(|client| client.event_loop().close_all());
//! })?;
//! event_loop.run()?; // takes no time at all
//! assert_eq!(event_loop.state, ["an hour of silence"]);
//! assert!(sim.now() >= Duration::from_secs(3600));
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! It models TCP as Linux shows it to a program: bounded buffers, FIN, RST and the errors that follow them, Nagle's rule,
//! keep-alive and the other timeouts, and readiness as edges, in their order. It does not model windows, congestion or the
//! loss of single packets. A Unix socket is a connection whose ends have no address, between loops that are processes of
//! one machine: it is connected at once or not at all, no partition cuts it, and it has no mode and no owner. Its path is
//! a file on the one [`Disk`], and it may be stale ([`Sim::put_stale_socket`]).
//!
//! A loop is a machine. An address can be listened on once in the whole network, unless all that listen on it share it
//! ([`ServerOptions::reuse_port`](field@crate::ServerOptions::reuse_port)). The wildcard, `0.0.0.0` or `[::]`, excludes
//! other addresses on its own machine only.
//!
//! ```text
//!   write ──▶ [ in flight: a delay, or a partition ] ──▶ inbox of the other end ──▶ read
//!             └───────────── both count against the buffer's bound ───────────┘
//! ```
//!
//! A partition in the middle of a conversation, and what a server does about it:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::time::Duration;
//! use tidegate::sim::Sim;
//! use tidegate::{EventLoop, SocketId};
//!
//! // The server under test: a room that drops a guest who has been silent for a minute. (An idle timeout would not do:
//! // as in Node, what the room writes to a guest counts as activity.)
//! let sim = Sim::new(7);
//! let mut room = EventLoop::on(sim.kernel(), BTreeMap::<SocketId, Duration>::new());
//! room.listen("10.0.0.1:7000", |guest| {
//!     let id = guest.id();
//!     guest.state.insert(id, guest.net.now());
//!     guest.on_data(move |guest, line| {
//!         guest.state.insert(id, guest.net.now());
//!         let everybody: Vec<_> = guest.state.keys().copied().collect();
//!         guest.net.broadcast(everybody, line);
//!     });
//!     guest.on_close(move |guest, _| {
//!         guest.state.remove(&id);
//!     });
//! })?;
//! room.every(Duration::from_secs(5), |on| {
//!     let now = on.net.now();
//!     for (id, heard) in &*on.state {
//!         if now > *heard + Duration::from_secs(60) {
//!             on.net.destroy(*id);
//!         }
//!     }
//! });
//!
//! // Two guests, each on a machine of its own; each speaks every 20 s.
//! let guest = || {
//!     let mut guest = EventLoop::on(sim.kernel(), String::new());
//!     let id = guest.connect("10.0.0.1:7000", |me| me.on_text(|me, text| me.state.push_str(text)))?;
//!     guest.every(Duration::from_secs(20), move |on| {
//!         on.net.write(id, b"still here\n");
//!     });
//!     Ok::<_, tidegate::Error>(guest)
//! };
//! let (mut anna, mut bert) = (guest()?, guest()?);
//! sim.run(&mut [&mut room, &mut anna, &mut bert], Duration::from_secs(30))?;
//! assert_eq!(room.state.len(), 2);
//!
//! // Bert's network is cut for two minutes. The room drops him, and goes on with Anna.
//! let bert_is_at = "10.1.0.3".parse().unwrap();
//! sim.partition(bert_is_at, true);
//! sim.run(&mut [&mut room, &mut anna, &mut bert], Duration::from_secs(150))?;
//! assert_eq!(room.state.len(), 1);
//! let heard = bert.state.len();
//!
//! // It is back: Bert learns at once that the room has closed his connection.
//! sim.partition(bert_is_at, false);
//! sim.run(&mut [&mut room, &mut anna, &mut bert], Duration::from_secs(151))?;
//! assert_eq!(bert.net.sockets(), 0);
//! assert!(heard < anna.state.len());
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! The seed plays a failing run again. [`Sim::keep_trace`] records every call and everything that arrives, and
//! [`Sim::fingerprint`] says whether two runs were the same.

mod arrivals;
mod conditions;
mod datagrams;
mod end;
mod fault;
mod files;
mod kernel;
mod listener;
mod outages;
mod readiness;
mod stream;
mod world;

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

pub use conditions::Conditions;
pub use datagrams::Answer;
pub use fault::{Call, Fault, Short};
pub use files::Disk;
pub use kernel::SimKernel;

use world::{Machine, World, at};

/// A simulated network, on which any number of loops can run.
#[derive(Clone)]
pub struct Sim {
    world: Rc<RefCell<World>>,
}

impl Sim {
    /// A network with the default [`Conditions`], under which nothing is random. What a test makes random later comes from
    /// `seed`.
    pub fn new(seed: u64) -> Self {
        Sim::with(seed, Conditions::default())
    }

    /// A network with these conditions.
    pub fn with(seed: u64, conditions: Conditions) -> Self {
        Sim { world: Rc::new(RefCell::new(World::new(seed, conditions))) }
    }

    /// A kernel for one more loop. The clock moves while the only loop waits; if there are several, [`Sim::run`] moves it.
    pub fn kernel(&self) -> SimKernel {
        let mut world = self.world.borrow_mut();
        let machine = world.machines.len();
        world.machines.push(Machine::default());
        SimKernel { world: Rc::clone(&self.world), machine }
    }

    /// The time on the network's clock.
    pub fn now(&self) -> Duration {
        self.world.borrow().now
    }

    /// Lets so much time pass inside a handler, as if it had worked so long: nothing of a loop takes time by itself.
    pub fn work(&self, time: Duration) {
        let mut world = self.world.borrow_mut();
        let until = world.now + time;
        world.advance(until);
    }

    /// Changes the conditions from now on.
    pub fn set_conditions(&self, conditions: Conditions) {
        let mut world = self.world.borrow_mut();
        world.conditions = conditions;
        world.wake_writers();
    }

    /// Cuts the network between this address and all others, or ends the partition: what is sent meanwhile arrives
    /// afterwards. Nobody waits for ever: a connect fails after 127 s, a write that is not acknowledged breaks its
    /// connection after 15 minutes, and keep-alive does after its times, each with `ETIMEDOUT`.
    ///
    /// The connections that the first kernel makes come from 10.1.0.1, those of the second from 10.1.0.2, and so on. The
    /// address of a server is the one that it listens on.
    pub fn partition(&self, address: IpAddr, cut: bool) {
        let mut world = self.world.borrow_mut();
        if cut { world.cut_off(address) } else { world.heal(address) }
    }

    /// The machine with this address crashes: its connections are gone, and no peer learns of it. A peer that writes gets a
    /// reset, and so does the first probe of its keep-alive, unless there is a partition too. The loop of the machine gets
    /// no event any more; drop it.
    pub fn crash(&self, address: IpAddr) {
        self.world.borrow_mut().crash(address);
    }

    /// Plans a fault for the call with this number, counted from 0 over all loops.
    pub fn fail_call(&self, number: u64, fault: Fault) {
        self.world.borrow_mut().record.planned.insert(number, fault);
    }

    /// How many calls have been made that can fail.
    pub fn calls(&self) -> u64 {
        self.world.borrow().record.next
    }

    /// Records each call from now on, for [`Sim::called`]. With it a test can make each of them fail in turn.
    pub fn keep_calls(&self) {
        self.world.borrow_mut().record.calls = Some(Vec::new());
    }

    /// The calls since [`Sim::keep_calls`], in order.
    pub fn called(&self) -> Vec<Call> {
        self.world.borrow().record.calls.clone().unwrap_or_default()
    }

    /// Keeps the last `lines` lines of a trace: every call with its answer, and everything that arrives. 0 keeps none.
    pub fn keep_trace(&self, lines: usize) {
        self.world.borrow_mut().record.keep_lines(lines);
    }

    /// Adds a line of a test's own to the trace.
    pub fn note(&self, what: impl fmt::Display) {
        let mut world = self.world.borrow_mut();
        let now = world.now;
        world.record.line(|| format!("{} {what}", at(now)));
    }

    /// The trace as text, the oldest line first.
    pub fn trace(&self) -> String {
        self.world.borrow().record.text()
    }

    /// A hash of every call, its answer and everything that has arrived. Two runs with the same hash were the same.
    pub fn fingerprint(&self) -> u64 {
        self.world.borrow().record.fingerprint
    }

    /// Checks the network's own counts.
    ///
    /// # Errors
    /// What does not add up. Then the simulator is wrong, not the program that runs on it.
    pub fn check(&self) -> Result<(), String> {
        self.world.borrow().check()
    }

    /// How many descriptors are open on all machines together. A connection that waits to be accepted counts too.
    pub fn descriptors(&self) -> usize {
        let world = self.world.borrow();
        world.ends.len() + world.files.descriptors()
    }

    /// Raises a signal for all loops that watch it.
    pub fn raise(&self, signal: i32) {
        for machine in &mut self.world.borrow_mut().machines {
            if machine.watched.contains(&signal) {
                machine.signals.push_back(signal);
            }
        }
    }

    /// Runs several loops on this network until the clock has reached `until`, or until nothing will happen any more: no
    /// loop has anything to do, now or later, and nothing is in flight. In that case the clock does not move on.
    ///
    /// A loop that is not among them is a process that is stopped: what comes to it waits until it runs again.
    ///
    /// # Errors
    /// Those of [`EventLoop::turn`](crate::EventLoop::turn).
    pub fn run(&self, loops: &mut [&mut dyn Turning], until: Duration) -> Result<(), crate::Error> {
        self.world.borrow_mut().machines.iter_mut().for_each(|machine| machine.runs = false);
        // Each turn takes time, so this ends even if two loops never stop talking.
        while self.now() < until {
            let mut next: Option<Duration> = None;
            for event_loop in loops.iter_mut() {
                event_loop.turn_now()?;
                let deadline = event_loop.next_deadline();
                next = [next, deadline].into_iter().flatten().min();
            }
            if self.world.borrow().has_edges() {
                continue;
            }
            let arrival = self.world.borrow().next_arrival();
            let Some(next) = [next, arrival].into_iter().flatten().min() else { return Ok(()) };
            self.world.borrow_mut().advance(next.min(until));
        }
        Ok(())
    }

    /// A random number below `bound` from the network's seed, for a test's own decisions.
    pub fn random(&self, bound: u64) -> u64 {
        self.world.borrow_mut().random(bound)
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// A loop that [`Sim::run`] can run: any [`EventLoop`](crate::EventLoop).
pub trait Turning {
    /// Runs one turn without waiting.
    ///
    /// # Errors
    /// The kernel's, of waiting.
    fn turn_now(&mut self) -> Result<(), crate::Error>;

    /// When it next has something to do, if nothing arrives.
    fn next_deadline(&self) -> Option<Duration>;
}
