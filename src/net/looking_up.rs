//! Names on the loop: who looks one up, and when the resolver has its turn.
//!
//! ```text
//!   Conn ── look_up ──▶ Names: a socket for each question ──▶ name servers
//!     ▲                   ▲                                        │
//!     └── Task::LookedUp ─┴── its token, on the ready list ◀───────┘
//! ```

use std::time::Duration;

use super::Net;
use super::agenda::Task;
use super::clock::TimerKind;
use super::cx::Cx;
use super::event::Event;
use super::names::Names;
use crate::address::host_name::HostName;
use crate::base::error::Error;
use crate::base::id::{Key, SocketId};
use crate::base::timers::Due;
use crate::kernel::{Kernel, Token};
use crate::names::{Asked, Families, NamesOptions, Ticket};

impl Net {
    /// Sets how names become addresses. What is under way goes on as it was, and what was kept is forgotten.
    ///
    /// # Errors
    /// An option out of its bounds; look-ups that are under way.
    pub fn set_names(&mut self, options: NamesOptions) -> Result<(), Error> {
        options.check()?;
        if self.cx.names.as_ref().is_some_and(|names| names.is_busy()) {
            return Err(Error::invalid("look-ups are under way: set the options before the first one"));
        }
        self.cx.names = Some(Box::new(Names::new(options)));
        Ok(())
    }

    /// A look-up has come to its outcome: whoever waits for it goes on.
    pub(super) fn looked_up(&mut self) -> Option<Event> {
        let (id, ticket, outcome) = self.cx.names.as_mut()?.delivered.pop_front()?;
        self.conns.get_mut(id)?.looked_up(ticket, outcome, &mut self.cx)
    }
}

impl Cx {
    /// Looks a name up for a socket. The outcome comes by [`Task::LookedUp`].
    pub fn look_up(&mut self, host: HostName, families: Families, who: SocketId) -> Ticket {
        let now = self.time_of_call();
        self.with_names(now, |names, kernel| names.look_up(host, families, who, kernel, now))
    }

    pub fn cancel_look_up(&mut self, ticket: Ticket) {
        let now = self.time_of_call();
        self.with_names(now, |names, _| names.cancel(ticket, now));
    }

    /// Something is ready where an answer is waited for.
    pub fn serve_question(&mut self, key: Key) {
        let now = self.time_of_call();
        let goes_on = self.with_names(now, |names, kernel| names.serve(Asked(key), kernel, now));
        if goes_on {
            self.agenda.ready.push(Token::of_question(key));
        }
    }

    /// A name server has been silent for too long.
    pub fn expire_names(&mut self) {
        let now = self.time_of_call();
        self.with_names(now, |names, kernel| names.expire(kernel, now));
    }

    /// Does something with the names, and what follows from it.
    fn with_names<T>(&mut self, now: Duration, act: impl FnOnce(&mut Names, &mut dyn Kernel) -> T) -> T {
        let mut names = self.names.take().unwrap_or_else(|| Box::new(Names::new(NamesOptions::new())));
        let answer = act(&mut names, &mut *self.kernel);
        let delivered = names.delivered.len();
        names.carry_out(&mut *self.kernel, now);
        for _ in delivered..names.delivered.len() {
            self.agenda.push(Task::LookedUp);
        }
        let due = names.next_deadline();
        if due != names.timer.map(|(time, _)| time) {
            self.clock.cancel(names.timer.take().map(|(_, due)| due));
            names.timer = due.map(|time| {
                let delay = time.saturating_sub(now);
                (time, self.clock.timers.insert_after(now, delay, TimerKind::Names))
            });
        }
        self.names = Some(names);
        answer
    }

    /// The timer of the names, if it runs.
    pub fn names_due(&self) -> Option<Due> {
        self.names.as_ref()?.timer.map(|(_, due)| due)
    }
}
