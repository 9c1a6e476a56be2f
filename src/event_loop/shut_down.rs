//! The end of a loop in order: who is heard out, and who is ended behind whom.
//!
//! ```text
//!   heard    ──a read finds nothing──▶ ended, unless another that is heard pipes into it
//!   not heard ───────────────────────▶ ended at once, likewise
//!   files    ──no connection is left──▶ ended
//! ```

use std::collections::HashMap;
use std::time::Duration;

use super::Loop;
use crate::base::id::SocketId;
use crate::connection::CloseReason;
use crate::event_loop::hooks::Course;

/// Who is waited for.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    /// Those that have not caught up, with those that they pipe into.
    behind: HashMap<SocketId, Vec<SocketId>>,
    /// How many of those pipe into a socket: what they say is for its ears, so it is ended behind them.
    awaited: HashMap<SocketId, u32>,
}

impl Stop {
    fn of(piped: impl Iterator<Item = (SocketId, Vec<SocketId>)>) -> Self {
        let mut stop = Stop::default();
        for (id, targets) in piped {
            for target in &targets {
                *stop.awaited.entry(*target).or_default() += 1;
            }
            stop.behind.insert(id, targets);
        }
        stop
    }

    fn waits_for(&self, id: SocketId) -> bool {
        self.behind.contains_key(&id) || self.awaited.get(&id).is_some_and(|sources| *sources > 0)
    }

    /// Gives those into which it pipes.
    fn caught_up(&mut self, id: SocketId) -> Vec<SocketId> {
        let targets = self.behind.remove(&id).unwrap_or_default();
        for target in &targets {
            if let Some(sources) = self.awaited.get_mut(target) {
                *sources -= 1;
            }
        }
        targets
    }
}

impl<S> Loop<'_, S> {
    /// Comes to an end in order. No server listens any more; each socket is read until a read finds nothing, so that what
    /// was said is heard, and then ended, behind all that was written. What it says later is thrown away, and so is all
    /// from a socket that nobody listens to. A paused one is waited for. What a socket is piped into is ended behind it, and
    /// files when no connection is left, since any handler may write to them. Whoever has not closed after `patience` is
    /// destroyed, with [`CloseReason::Shutdown`]: what was not sent to it is the `unsent` of [`Socket::on_close`](crate::Socket::on_close). Then
    /// [`EventLoop::run`](crate::EventLoop::run) returns, whatever timers there are.
    ///
    /// Handlers go on working: what they write before their socket is ended goes out. Asked again, it does nothing.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate::EventLoop;
    /// let mut event_loop = EventLoop::new()?;
    /// let server = event_loop.listen("127.0.0.1:0", |socket| {
    ///     socket.on_data(|socket, chunk| {
    ///         socket.write(chunk);
    ///         socket.event_loop().shut_down(Duration::from_secs(10)); // a program does so at a signal
    ///     });
    /// })?;
    /// let address = event_loop.net.server_address(server).expect("it listens");
    /// event_loop.connect(address, |client| {
    ///     client.write("hello");
    ///     client.on_text(|_, text| assert_eq!(text, "hello"));
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn shut_down(&mut self, patience: Duration) {
        if self.hooks.course != Course::Running {
            return;
        }
        self.hooks.course = Course::ShuttingDown;
        self.net.close_servers();
        let all: Vec<SocketId> = self.net.socket_ids().collect();
        let heard = all.iter().copied().filter(|id| self.net.is_heard(*id));
        self.hooks.stop = Stop::of(heard.map(|id| (id, self.net.piped_to(id))));
        for id in all {
            self.bring_to_its_end(id);
        }
        self.end_files_if_alone();
        self.after(patience, |event_loop| event_loop.net.destroy_all());
    }

    fn bring_to_its_end(&mut self, id: SocketId) {
        if self.net.is_pending(id) && !self.net.is_connecting(id) {
            // It has no connection to bring to its end.
            self.net.destroy_because(id, CloseReason::Shutdown);
            self.has_caught_up(id);
        } else if self.hooks.stop.behind.contains_key(&id) {
            if let Some(mut socket) = self.socket(id) {
                socket.catch_up(|socket, _| {
                    let id = socket.id();
                    socket.event_loop().has_caught_up(id);
                });
            }
        } else {
            // What came for it is kept for a handler that there never was, and would not be delivered by waiting.
            self.end_if_nobody_is_awaited(id);
        }
    }

    fn has_caught_up(&mut self, id: SocketId) {
        let targets = self.hooks.stop.caught_up(id);
        for id in targets.into_iter().chain([id]) {
            self.end_if_nobody_is_awaited(id);
        }
    }

    fn end_if_nobody_is_awaited(&mut self, id: SocketId) {
        if !self.net.is_file(id) && !self.net.is_destroyed(id) && !self.hooks.stop.waits_for(id) {
            self.end_and_discard(id);
        }
    }

    /// To be called at the end of each turn: a handler of the last `close` may still have written to them.
    pub(super) fn end_files_if_alone(&mut self) {
        if self.hooks.course == Course::ShuttingDown && self.net.socket_ids().all(|id| self.net.is_file(id)) {
            for id in self.net.socket_ids().collect::<Vec<_>>() {
                if !self.hooks.stop.waits_for(id) {
                    self.end_and_discard(id);
                }
            }
        }
    }

    fn end_and_discard(&mut self, id: SocketId) {
        if let Some(mut socket) = self.socket(id) {
            socket.end_and_discard();
        }
    }
}
