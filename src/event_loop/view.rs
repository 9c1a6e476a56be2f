//! The loop as a handler sees it.

use std::fmt;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use crate::address::endpoint::Endpoint;
use crate::base::error::Error;
use crate::base::id::{ServerId, SocketId, TimerId};
use crate::connection::CallbackId;
use crate::event_loop::Stop;
use crate::event_loop::handlers::{Handlers, TimerHandler};
use crate::event_loop::server::{Server, ServerHandlers};
use crate::event_loop::socket::Socket;
use crate::kernel::Stdio;
use crate::net::{FileOptions, Net, ServerOptions, SocketOptions, Waker};

/// A loop, as a handler sees it. [`EventLoop::event_loop`](crate::EventLoop::event_loop) gives the same view to a program.
///
/// `state` and `net` are two fields, so one expression can use both.
pub struct Loop<'a, S> {
    /// The application's own state.
    pub state: &'a mut S,
    /// The engine. Its commands and questions are by id.
    pub net: &'a mut Net,
    pub(crate) handlers: &'a mut Handlers<S>,
}

impl<S> Loop<'_, S> {
    /// Makes a server with Node's defaults that listens. `connection` runs for each connection that it accepts.
    ///
    /// ```
    /// # use tidegate::EventLoop;
    /// # let mut event_loop = EventLoop::new()?;
    /// let server = event_loop.listen("127.0.0.1:0", |socket| {
    ///     socket.write(b"hello\n");
    ///     socket.end();
    /// })?;
    /// assert_ne!(event_loop.net.server_address(server).expect("it listens").port(), 0);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    ///
    /// On the name of a host it listens when the name was looked up: see [`Net::listen`].
    ///
    /// # Errors
    /// Text that is no address; what the system says, with the address. No `error` event follows.
    pub fn listen(
        &mut self,
        on: impl TryInto<Endpoint, Error: Into<Error>>,
        connection: impl FnMut(&mut Socket<'_, S>) + 'static,
    ) -> Result<ServerId, Error> {
        self.listen_with(on, ServerOptions::new(), connection)
    }

    /// As [`Loop::listen`], with options.
    ///
    /// # Errors
    /// Those of [`Loop::listen`], and an option out of its bounds.
    pub fn listen_with(
        &mut self,
        on: impl TryInto<Endpoint, Error: Into<Error>>,
        options: ServerOptions,
        connection: impl FnMut(&mut Socket<'_, S>) + 'static,
    ) -> Result<ServerId, Error> {
        let id = self.new_server(options, connection)?;
        let listens = self.net.listen(id, on);
        self.keep_if_it_listens(id, listens)
    }

    /// As [`Loop::listen_with`], on a socket that listens already: an `OwnedFd`, std's `TcpListener` or `UnixListener`. It
    /// is made non-blocking.
    ///
    /// ```
    /// # use tidegate::EventLoop;
    /// # let mut event_loop = EventLoop::new()?;
    /// # #[cfg(unix)] {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// event_loop.event_loop().listen_fd(listener, Default::default(), |socket| socket.end_with("hello\n"))?;
    /// # }
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Net::listen_fd`].
    #[cfg(unix)]
    pub fn listen_fd(
        &mut self,
        listener: impl Into<OwnedFd>,
        options: ServerOptions,
        connection: impl FnMut(&mut Socket<'_, S>) + 'static,
    ) -> Result<ServerId, Error> {
        let id = self.new_server(options, connection)?;
        let listens = self.net.listen_fd(id, listener);
        self.keep_if_it_listens(id, listens)
    }

    fn keep_if_it_listens(&mut self, id: ServerId, listens: Result<(), Error>) -> Result<ServerId, Error> {
        if listens.is_err() {
            self.net.remove_server(id);
            self.handlers.servers.remove(&id);
        }
        listens.map(|()| id)
    }

    /// Makes a server that does not listen yet. See [`Server::listen`].
    ///
    /// # Errors
    /// An option out of its bounds.
    #[doc(alias = "createServer")]
    pub fn new_server(
        &mut self,
        options: ServerOptions,
        connection: impl FnMut(&mut Socket<'_, S>) + 'static,
    ) -> Result<ServerId, Error> {
        let id = self.net.new_server(options)?;
        self.handlers.servers.insert(id, ServerHandlers::new(connection));
        Ok(id)
    }

    /// Makes a socket that connects. `setup` runs at once, to set handlers on it. It may write, too: that waits for the
    /// connection.
    ///
    /// # Errors
    /// Text that is no address. A connect that fails later is an `error` event of the socket.
    pub fn connect(
        &mut self,
        to: impl TryInto<Endpoint, Error: Into<Error>>,
        setup: impl FnOnce(&mut Socket<'_, S>),
    ) -> Result<SocketId, Error> {
        self.connect_with(to, SocketOptions::new(), setup)
    }

    /// As [`Loop::connect`], with options.
    ///
    /// # Errors
    /// Those of [`Loop::connect`], and an option out of its bounds.
    pub fn connect_with(
        &mut self,
        to: impl TryInto<Endpoint, Error: Into<Error>>,
        options: SocketOptions,
        setup: impl FnOnce(&mut Socket<'_, S>),
    ) -> Result<SocketId, Error> {
        let to = to.try_into().map_err(Into::into)?;
        let id = self.net.new_socket(options)?;
        if let Err(error) = self.net.connect(id, to) {
            self.net.forget_fresh(id);
            return Err(error);
        }
        self.set_up(id, setup);
        Ok(id)
    }

    /// Makes a socket that is not connected yet. See [`Socket::connect`].
    ///
    /// # Errors
    /// An option out of its bounds.
    pub fn new_socket(
        &mut self,
        options: SocketOptions,
        setup: impl FnOnce(&mut Socket<'_, S>),
    ) -> Result<SocketId, Error> {
        let id = self.net.new_socket(options)?;
        self.set_up(id, setup);
        Ok(id)
    }

    /// Takes a socket that is connected already: an `OwnedFd`, std's `TcpStream` or `UnixStream`. It is made non-blocking.
    /// `setup` runs at once, and reading begins. There is no `connect` event.
    ///
    /// # Errors
    /// Those of [`Net::adopt_socket`].
    #[cfg(unix)]
    #[doc(alias = "fd")]
    pub fn adopt_socket(
        &mut self,
        socket: impl Into<OwnedFd>,
        options: SocketOptions,
        setup: impl FnOnce(&mut Socket<'_, S>),
    ) -> Result<SocketId, Error> {
        let id = self.net.adopt_socket(socket, options)?;
        self.set_up(id, setup);
        Ok(id)
    }

    /// Opens a file, a FIFO or a device. It is a socket with one half: it has handlers, is written to or read from, and can be
    /// piped.
    ///
    /// ```
    /// # use tidegate::{EventLoop, FileOptions};
    /// # let directory = std::env::temp_dir().join(format!("tidegate-open-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory).expect("a directory can be made");
    /// # let log = directory.join("log");
    /// let mut event_loop = EventLoop::with_state(String::new())?;
    /// event_loop.event_loop().open(&log, FileOptions::append(), |file| file.end_with("hello"))?;
    /// event_loop.run()?;
    /// event_loop.event_loop().open(&log, FileOptions::read(), |file| file.on_text(|file, text| file.state.push_str(text)))?;
    /// event_loop.run()?;
    /// assert_eq!(event_loop.state, "hello");
    /// # std::fs::remove_dir_all(&directory).expect("it can be removed");
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Net::open`].
    #[doc(alias = "createReadStream")]
    #[doc(alias = "createWriteStream")]
    pub fn open(
        &mut self,
        path: impl AsRef<Path>,
        options: FileOptions,
        setup: impl FnOnce(&mut Socket<'_, S>),
    ) -> Result<SocketId, Error> {
        let id = self.net.open(path, options)?;
        self.set_up(id, setup);
        Ok(id)
    }

    /// Takes a stream that the process was started with. It can be ended like any other; the process's own descriptor stays
    /// open.
    ///
    /// # Errors
    /// Those of [`Net::stdio`].
    #[doc(alias = "stdin")]
    #[doc(alias = "stdout")]
    #[doc(alias = "stderr")]
    pub fn stdio(&mut self, stream: Stdio, setup: impl FnOnce(&mut Socket<'_, S>)) -> Result<SocketId, Error> {
        let id = self.net.stdio(stream)?;
        self.set_up(id, setup);
        Ok(id)
    }

    /// Takes a pipe, a terminal or a file that was opened elsewhere: the output of a child process, an end of
    /// [`std::io::pipe`]. For a connection there is [`Loop::adopt_socket`].
    ///
    /// It takes everything else that can be read or written too: the master of a pseudo-terminal, a device, and on Linux an
    /// eventfd, a timerfd, a signalfd, inotify. No call on it blocks the loop, although nothing changes for others that share
    /// it. Those that give whole records need a high-water mark of at least one record, as their read fails otherwise.
    ///
    /// # Errors
    /// Those of [`Net::adopt_file`].
    #[cfg(unix)]
    pub fn adopt_file(
        &mut self,
        descriptor: impl Into<OwnedFd>,
        options: FileOptions,
        setup: impl FnOnce(&mut Socket<'_, S>),
    ) -> Result<SocketId, Error> {
        let id = self.net.adopt_file(descriptor, options)?;
        self.set_up(id, setup);
        Ok(id)
    }

    fn set_up(&mut self, id: SocketId, setup: impl FnOnce(&mut Socket<'_, S>)) {
        self.handlers.add_socket(id);
        self.has_opened(id);
        if let Some(mut socket) = self.socket(id) {
            setup(&mut socket);
        }
    }

    /// Runs `handler` once, after `delay`, and never early. The delay is at least 1 ms and at most 2^31 - 1 ms: one that is
    /// not is set to that.
    #[doc(alias = "setTimeout")]
    pub fn after(&mut self, delay: Duration, handler: impl FnOnce(&mut Loop<'_, S>) + 'static) -> TimerId {
        let id = self.net.after(delay);
        self.handlers.timers.insert(id, TimerHandler::Once(Box::new(handler)));
        id
    }

    /// Runs `handler` again and again, until the timer is cancelled.
    #[doc(alias = "setInterval")]
    pub fn every(&mut self, period: Duration, handler: impl FnMut(&mut Loop<'_, S>) + 'static) -> TimerId {
        let id = self.net.every(period);
        self.handlers.timers.insert(id, TimerHandler::Every(Some(Box::new(handler))));
        id
    }

    /// Cancels a timer. False if it is gone already.
    #[doc(alias = "clearTimeout")]
    #[doc(alias = "clearInterval")]
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        self.handlers.timers.remove(&timer);
        self.net.cancel(timer)
    }

    /// Whether a timer keeps the loop running.
    #[doc(alias = "ref")]
    #[doc(alias = "unref")]
    pub fn set_ref(&mut self, timer: TimerId, on: bool) {
        self.net.set_timer_ref(timer, on);
    }

    /// Runs `handler` after the current one, before any other event.
    #[doc(alias = "nextTick")]
    pub fn next_tick(&mut self, handler: impl FnOnce(&mut Loop<'_, S>) + 'static) {
        let number = self.handlers.add_tick(Box::new(handler));
        self.net.next_tick(number);
    }

    /// Runs `handler` when every socket that is ready was served once. A handler with much to do can do a piece of it and put
    /// the rest off. Then the others wait for a piece only.
    ///
    /// ```
    /// # use tidegate::{EventLoop, Loop};
    /// fn count(event_loop: &mut Loop<'_, u32>) {
    ///     *event_loop.state += 1;
    ///     if *event_loop.state < 1000 {
    ///         event_loop.next_turn(count);
    ///     }
    /// }
    /// let mut event_loop = EventLoop::with_state(0)?;
    /// event_loop.event_loop().next_turn(count);
    /// event_loop.run()?;
    /// assert_eq!(event_loop.state, 1000);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    #[doc(alias = "setImmediate")]
    pub fn next_turn(&mut self, handler: impl FnOnce(&mut Loop<'_, S>) + 'static) {
        self.put_off(handler);
    }

    /// As [`Loop::next_turn`]. Gives the number by which [`Loop::take_back`] takes it back.
    pub(super) fn put_off(&mut self, handler: impl FnOnce(&mut Loop<'_, S>) + 'static) -> CallbackId {
        let number = self.handlers.add_tick(Box::new(handler));
        self.net.next_turn(number);
        number
    }

    pub(super) fn take_back(&mut self, number: CallbackId) {
        self.net.cancel_next_turn(number);
        self.handlers.take_tick(number);
    }

    /// Runs `handler` for each signal of this number, in place of the signal's default effect. A second call replaces the
    /// handler. Signals do not keep the loop running. It needs the feature `signals`, which is on by default.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use tidegate::{EventLoop, signal};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// for number in [signal::INTERRUPT, signal::TERMINATE] {
    ///     event_loop.on_signal(number, |event_loop| event_loop.shut_down(Duration::from_secs(10)))?;
    /// }
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    ///
    /// Each loop of the process that listens to a signal hears it. A handler that the program had before the first of them,
    /// by sigaction(2) or by signal-hook, is still called. Signals of one number that come before the loop turns are heard
    /// once, as with any handler.
    ///
    /// # Errors
    /// A number that no signal has, 0 and -1 among them; a signal that cannot be caught: SIGKILL, SIGSTOP, and the faults
    /// SIGILL, SIGFPE and SIGSEGV; out of descriptors; a build without the feature `signals`.
    pub fn on_signal(&mut self, signal: i32, handler: impl FnMut(&mut Loop<'_, S>) + 'static) -> Result<(), Error> {
        self.net.watch_signal(signal)?;
        self.handlers.signals.insert(signal, Some(Box::new(handler)));
        Ok(())
    }

    /// Removes the handler of a signal. Then the signal does again what it did before, unless another loop of the process
    /// listens to it: what a loop has listened to is as good as new when the last one has stopped, or was dropped. One that
    /// has arrived and was not heard yet has no effect. If there is no handler, nothing happens.
    ///
    /// The default effect comes from a handler of the process that stays installed. On Linux it is the signal's own, whether
    /// it ends the process, stops it or does nothing; only realtime signals, SIGPWR and SIGSTKFLT end the process with exit
    /// code 128 + number, as a shell would report it. A signal that was ignored, as `nohup` does with SIGHUP, stays without
    /// effect, and so does one for which the program had a handler of its own: that is called. A handler that is set by
    /// signal-hook, or a crate that is built on it, *after* a loop has listened is not known here: such a signal still has its
    /// default effect while no loop listens. On other systems, where this cannot be found out, a signal that a loop has
    /// listened to has no effect afterwards.
    ///
    /// ```
    /// # use tidegate::{EventLoop, signal};
    /// # let mut event_loop = EventLoop::new()?;
    /// # #[cfg(all(unix, feature = "signals"))]
    /// event_loop.on_signal(signal::INTERRUPT, |event_loop| {
    ///     println!("press Ctrl-C again to stop at once");
    ///     event_loop.off_signal(signal::INTERRUPT);
    /// })?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn off_signal(&mut self, signal: i32) {
        self.net.unwatch_signal(signal);
        self.handlers.signals.remove(&signal);
    }

    /// Gives a waker to hand to another thread, which is how that thread has the handler of [`Loop::on_wake`] run. The loop
    /// runs as long as there is one: see [`Waker`].
    ///
    /// # Errors
    /// Out of descriptors; a kernel that cannot be woken.
    pub fn waker(&mut self) -> Result<Waker, Error> {
        self.net.waker()
    }

    /// Runs `handler` after a [`Waker`] of this loop was used: once, if it was used several times before the turn. A second
    /// call replaces the handler.
    pub fn on_wake(&mut self, handler: impl FnMut(&mut Loop<'_, S>) + 'static) {
        self.handlers.wake = Some(Box::new(handler));
    }

    /// Gives a view on a socket, if it still exists.
    pub fn socket(&mut self, id: SocketId) -> Option<Socket<'_, S>> {
        self.handlers.socket(self.state, self.net, id)
    }

    /// Gives a view on a server, if it still exists.
    pub fn server(&mut self, id: ServerId) -> Option<Server<'_, S>> {
        self.handlers.server(self.state, self.net, id)
    }

    /// Makes [`EventLoop::run`](crate::EventLoop::run) return when this turn is over. What is open stays open. If the loop is
    /// shutting down, that is given up: what was not ended stays open too, and nothing will be destroyed, neither when the
    /// patience is over nor after a linger time.
    ///
    /// Outside of `run`, in a turn of the program's own or between two turns, it makes the next `run` return at once. Each
    /// `run` uses up all stops before its end.
    pub fn stop(&mut self) {
        self.give_up_shutting_down();
        self.handlers.stop = Stop::AfterThisTurn;
    }

    /// Closes all servers and destroys all sockets. If nothing else keeps the loop running, a timer for example, it ends.
    pub fn close_all(&mut self) {
        self.net.close_all();
    }
}

impl<S> fmt::Debug for Loop<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop").field("sockets", &self.net.sockets()).finish_non_exhaustive()
    }
}
