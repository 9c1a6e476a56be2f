//! The event loop: takes each event of the net and runs the closure that waits for it.
//!
//! It decides nothing about sockets; that is the net's. [`EventLoop`] is what a program owns. [`Loop`] (`view.rs`),
//! [`Socket`] and [`Server`] are views that handlers are lent: each has the application's state and the net side by side.
//! The handlers are kept in `handlers.rs` and `socket_handlers.rs`; which of them is run for which event is in
//! `dispatch.rs`.

mod dispatch;
mod handlers;
mod lingering;
pub(crate) mod server;
mod shut_down;
mod shut_down_options;
pub(crate) mod socket;
mod socket_handlers;
mod view;

use std::fmt;
use std::time::Duration;

pub(crate) use shut_down::ShutDown;
pub use shut_down_options::{EndOrder, ShutDownOptions, ShutDownReport};
pub use view::Loop;

use crate::address::endpoint::Endpoint;
use crate::base::error::Error;
use crate::base::id::{ServerId, SocketId, TimerId};
use crate::event_loop::handlers::Handlers;
use crate::event_loop::server::Server;
use crate::event_loop::socket::Socket;
use crate::kernel::{Kernel, MioKernel};
use crate::net::{Explainer, Net, ServerOptions, Sleep, SocketOptions, Waker};

/// A single-threaded event loop with the application's state `S`.
///
/// It is not `Send`: it stays on the thread that made it. Its handlers and its state are touched by that thread alone, so they
/// may hold an [`Rc`](std::rc::Rc) and need no lock. A program with other threads wakes the loop from them, with a [`Waker`];
/// one that wants several loops makes each on a thread of its own.
///
/// ```
/// use tidegate::EventLoop;
///
/// // An echo server that counts its bytes, and stops with its first client.
/// let mut echo = EventLoop::with_state(0)?;
/// let server = echo.listen("127.0.0.1:0", |socket| {
///     socket.on_data(|socket, chunk| {
///         *socket.state += chunk.len();
///         socket.write(chunk);
///     });
///     socket.on_close(|socket, _closed| socket.event_loop().close_all());
/// })?;
/// let address = echo.net.server_address(server).expect("it listens");
/// echo.connect(address, |client| {
///     client.write(b"hello");
///     client.on_data(|client, _| client.end());
/// })?;
/// echo.run()?;
/// assert_eq!(echo.state, 5);
/// # Ok::<(), tidegate::Error>(())
/// ```
#[doc(alias = "net")]
pub struct EventLoop<S = ()> {
    /// The application's own state.
    pub state: S,
    /// The engine. Its commands and questions are by id.
    pub net: Net,
    handlers: Handlers<S>,
}

/// How long a loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    /// As long as anything keeps it running.
    Running,
    /// Until the last socket has closed, or the patience is over.
    ShuttingDown,
    /// Until what was destroyed at the end of the patience has closed. What handlers open then is not waited for.
    OutOfPatience,
}

/// Whether a `run` is to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    /// After this turn, which does not sleep.
    AfterThisTurn,
    /// The turn is over. A `run` returns at once; a turn of the program's own is like any other.
    Now,
}

impl EventLoop<()> {
    /// Makes a loop without state, on the machine's kernel.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new() -> Result<Self, Error> {
        EventLoop::with_state(())
    }
}

impl<S> EventLoop<S> {
    /// Makes a loop on the machine's kernel.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn with_state(state: S) -> Result<Self, Error> {
        Ok(EventLoop::on(MioKernel::new()?, state))
    }

    /// Makes a loop on a kernel of your choice.
    pub fn on(kernel: impl Kernel + 'static, state: S) -> Self {
        EventLoop { state, net: Net::new(kernel), handlers: Handlers::new() }
    }

    /// Gives the view that handlers are lent. It has all calls; `EventLoop` itself has those that most programs need.
    pub fn event_loop(&mut self) -> Loop<'_, S> {
        Loop { state: &mut self.state, net: &mut self.net, handlers: &mut self.handlers }
    }

    /// Runs until nothing keeps the loop running any more ([`Net::is_alive`]), until [`Loop::stop`], or until
    /// [`Loop::shut_down`] has ended everything. Both count also if they were called before: then it returns at once, or
    /// when everything has ended.
    ///
    /// # Errors
    /// What the system says if it cannot wait for events.
    pub fn run(&mut self) -> Result<(), Error> {
        while self.goes_on() {
            self.turn_with(Sleep::WhileAlive)?;
        }
        self.handlers.stop = Stop::No;
        Ok(())
    }

    fn goes_on(&mut self) -> bool {
        self.handlers.stop == Stop::No && (self.handlers.run_state != RunState::Running || self.net.is_alive())
    }

    /// For how long the turn may sleep: a handler may have stopped the loop before it does.
    #[inline]
    fn sleep_at_most(&self, sleep: Sleep) -> Sleep {
        match (self.handlers.stop, self.handlers.run_state) {
            (Stop::AfterThisTurn, _) => Sleep::AtMost(Duration::ZERO),
            (_, RunState::Running) => sleep,
            (_, RunState::ShuttingDown) if self.net.sockets() > 0 => sleep,
            (_, RunState::ShuttingDown | RunState::OutOfPatience) => Sleep::AtMost(Duration::ZERO),
        }
    }

    /// One turn: waits for events, for `max_wait` at most, and runs their handlers.
    ///
    /// Without a `max_wait` it waits until an event comes or a timer is due, also if only a signal can come, or something
    /// that is not referenced or is paused: it is your loop around it that decides when to end, by [`Net::is_alive`] for
    /// example, as [`EventLoop::run`] does. It returns at once if there is nothing at all that could ever wake it: no timer,
    /// no socket, no server, no file that may have to be waited for, no [`Waker`] and no signal.
    ///
    /// For a loop inside another loop: wait until [`Net::poll_fd`] is readable or [`Net::next_deadline`] has come, then turn
    /// with a `max_wait` of zero. Ask for the deadline before each wait, since what you do between two turns may set an
    /// earlier one.
    ///
    /// # Errors
    /// What the system says if it cannot wait for events.
    pub fn turn(&mut self, max_wait: Option<Duration>) -> Result<(), Error> {
        self.turn_with(max_wait.map_or(Sleep::UntilWoken, Sleep::AtMost))
    }

    fn turn_with(&mut self, sleep: Sleep) -> Result<(), Error> {
        while let Some(event) = self.net.next_event_with(self.sleep_at_most(sleep))? {
            self.event_loop().dispatch(event);
        }
        if self.handlers.stop == Stop::AfterThisTurn {
            self.handlers.stop = Stop::Now;
        }
        self.event_loop().go_on_shutting_down();
        Ok(())
    }

    /// See [`Loop::listen`].
    ///
    /// # Errors
    /// Those of [`Loop::listen`].
    pub fn listen(
        &mut self,
        on: impl TryInto<Endpoint, Error: Into<Error>>,
        connection: impl FnMut(&mut Socket<'_, S>) + 'static,
    ) -> Result<ServerId, Error> {
        self.event_loop().listen(on, connection)
    }

    /// See [`Loop::listen_with`].
    ///
    /// # Errors
    /// Those of [`Loop::listen`].
    pub fn listen_with(
        &mut self,
        on: impl TryInto<Endpoint, Error: Into<Error>>,
        options: ServerOptions,
        connection: impl FnMut(&mut Socket<'_, S>) + 'static,
    ) -> Result<ServerId, Error> {
        self.event_loop().listen_with(on, options, connection)
    }

    /// See [`Loop::connect`].
    ///
    /// # Errors
    /// Those of [`Loop::connect`].
    pub fn connect(
        &mut self,
        to: impl TryInto<Endpoint, Error: Into<Error>>,
        setup: impl FnOnce(&mut Socket<'_, S>),
    ) -> Result<SocketId, Error> {
        self.event_loop().connect(to, setup)
    }

    /// See [`Loop::connect_with`].
    ///
    /// # Errors
    /// Those of [`Loop::connect_with`].
    pub fn connect_with(
        &mut self,
        to: impl TryInto<Endpoint, Error: Into<Error>>,
        options: SocketOptions,
        setup: impl FnOnce(&mut Socket<'_, S>),
    ) -> Result<SocketId, Error> {
        self.event_loop().connect_with(to, options, setup)
    }

    /// See [`Loop::after`].
    pub fn after(&mut self, delay: Duration, handler: impl FnOnce(&mut Loop<'_, S>) + 'static) -> TimerId {
        self.event_loop().after(delay, handler)
    }

    /// See [`Loop::every`].
    pub fn every(&mut self, period: Duration, handler: impl FnMut(&mut Loop<'_, S>) + 'static) -> TimerId {
        self.event_loop().every(period, handler)
    }

    /// See [`Loop::next_tick`].
    #[doc(alias = "nextTick")]
    pub fn next_tick(&mut self, handler: impl FnOnce(&mut Loop<'_, S>) + 'static) {
        self.event_loop().next_tick(handler);
    }

    /// See [`Loop::on_signal`].
    ///
    /// # Errors
    /// Those of [`Loop::on_signal`].
    pub fn on_signal(&mut self, signal: i32, handler: impl FnMut(&mut Loop<'_, S>) + 'static) -> Result<(), Error> {
        self.event_loop().on_signal(signal, handler)
    }

    /// See [`Loop::off_signal`].
    pub fn off_signal(&mut self, signal: i32) {
        self.event_loop().off_signal(signal);
    }

    /// See [`Loop::stop`].
    pub fn stop(&mut self) {
        self.event_loop().stop();
    }

    /// See [`Loop::shut_down`].
    pub fn shut_down(&mut self, patience: Duration) {
        self.event_loop().shut_down(patience);
    }

    /// See [`Loop::waker`].
    ///
    /// # Errors
    /// Those of [`Loop::waker`].
    pub fn waker(&mut self) -> Result<Waker, Error> {
        self.event_loop().waker()
    }

    /// See [`Loop::on_wake`].
    pub fn on_wake(&mut self, handler: impl FnMut(&mut Loop<'_, S>) + 'static) {
        self.event_loop().on_wake(handler);
    }

    /// Tells for people what the loop does and why, from now on: a paragraph for each turn in which something has happened, as one
    /// text with an LF after each line. [`Explainer`] shows one, and can follow one connection; [`Net::trace`] gives the lines.
    ///
    /// ```
    /// let mut event_loop = tidegate::EventLoop::new()?;
    /// event_loop.explain(|paragraph| eprint!("{paragraph}"));
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn explain(&mut self, sink: impl FnMut(&str) + 'static) {
        self.net.trace(Explainer::new(sink));
    }

    /// See [`Loop::socket`].
    pub fn socket(&mut self, id: SocketId) -> Option<Socket<'_, S>> {
        self.handlers.socket(&mut self.state, &mut self.net, id)
    }

    /// See [`Loop::server`].
    pub fn server(&mut self, id: ServerId) -> Option<Server<'_, S>> {
        self.handlers.server(&mut self.state, &mut self.net, id)
    }
}

#[cfg(unix)]
impl<S> crate::sim::Turning for EventLoop<S> {
    fn turn_now(&mut self) -> Result<(), Error> {
        self.turn(Some(Duration::ZERO))
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.net.next_deadline()
    }
}

impl<S: fmt::Debug> fmt::Debug for EventLoop<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("state", &self.state).field("sockets", &self.net.sockets()).finish()
    }
}
