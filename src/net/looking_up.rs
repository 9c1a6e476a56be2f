//! Names on the loop: when the resolver has its turn.
//!
//! ```text
//!   Conn, Server ── look_up ──▶ Names: a socket for each question ──▶ name servers
//!     ▲                           ▲                                        │
//!     └───── Task::LookedUp ──────┴── its token, on the ready list ◀───────┘
//! ```

use std::time::Duration;

use super::Net;
use super::agenda::Task;
use super::clock::TimerKind;
use super::cx::Cx;
use super::event::Event;
use super::lookup::{LookupAsker, Wanted};
use super::names::Names;
use crate::address::host_name::HostName;
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::base::id::Key;
use crate::base::timers::Due;
use crate::kernel::{Kernel, Token};
use crate::names::{Asked, Failure, NamesOptions, Outcome, Ticket};

/// The place of the names themselves on the ready list, among the questions: no slot is so high.
const OF_NAMES: Key = Key { slot: (1 << 30) - 1, generation: 0 };

/// What a piece of a file, or the begin of a look-up, is in the units of `turn_time.rs`: so much that the clock is read after it.
const UNITS_OF_A_PIECE: usize = 32;

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
        let before = self.cx.names.replace(Box::new(Names::new(options)));
        if let Some(mut before) = before {
            before.close(&mut *self.cx.kernel);
        }
        Ok(())
    }

    /// A look-up has come to its outcome: whoever waits for it goes on.
    pub(super) fn looked_up(&mut self) -> Option<Event> {
        let (asker, ticket, outcome) = self.cx.next_outcome()?;
        match asker {
            LookupAsker::Socket(id) => {
                let conn = self.conns.get_mut(id)?;
                conn.looked_up(ticket, outcome, &mut self.cx)
            }
            LookupAsker::Server(id) => {
                self.servers.get_mut(id)?.looked_up(ticket, outcome);
                self.listen_on_name(id)
            }
        }
    }
}

impl Cx {
    /// Has the resolver look a name up. The outcome comes by [`Task::LookedUp`].
    pub(super) fn ask_resolver(&mut self, wanted: Wanted, asker: LookupAsker) -> Result<Ticket, Error> {
        let now = self.time_of_call();
        let ticket = self.with_names(now, |names, kernel| names.look_up(wanted, asker, kernel, now));
        self.line_up_names();
        Ok(ticket)
    }

    /// What is left to do has its turn among the sockets that are ready.
    fn line_up_names(&mut self) {
        if let Some(names) = self.names.as_mut().filter(|names| names.has_more() && !names.is_in_line) {
            names.is_in_line = true;
            self.agenda.ready.push(Token::of_question(OF_NAMES));
        }
    }

    /// A large file is read, look-ups that have waited for it are begun, and outcomes are told, as far as the time of the turn allows.
    fn go_on_with_names(&mut self) {
        let now = self.time_of_call();
        loop {
            let goes_on = self.with_names(now, |names, kernel| {
                names.is_in_line = false;
                names.go_on(kernel, now)
            });
            self.time.spend(UNITS_OF_A_PIECE);
            if !goes_on || self.time_is_up() {
                break;
            }
        }
        self.line_up_names();
    }

    /// The next one is told after it. Thousands may wait for one answer, so that is in a later turn if the time of this one is up.
    fn next_outcome(&mut self) -> Option<(LookupAsker, Ticket, Outcome)> {
        let has_time = !self.time_is_up();
        let names = self.names.as_mut()?;
        let outcome = names.delivered.pop_front();
        names.is_telling = has_time && !names.delivered.is_empty();
        if names.is_telling {
            self.agenda.push(Task::LookedUp);
        }
        self.line_up_names();
        outcome
    }

    /// Nobody waits for it any more.
    pub(super) fn leave_resolver(&mut self, ticket: Ticket) {
        let now = self.time_of_call();
        self.with_names(now, |names, _| names.cancel(ticket, now));
    }

    /// Something is ready where an answer is waited for.
    pub fn serve_question(&mut self, key: Key) {
        if key == OF_NAMES {
            return self.go_on_with_names();
        }
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
        names.carry_out(&mut *self.kernel, now);
        if !names.delivered.is_empty() && !std::mem::replace(&mut names.is_telling, true) {
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

/// The error of a look-up, with what a reader has to know.
pub(super) fn error_of(failure: Failure, host: &HostName) -> Error {
    let (kind, why) = match failure {
        Failure::NoSuchName => (ErrorKind::HostNotFound, ""),
        Failure::NoAddress => (ErrorKind::HostNotFound, ": there is such a name, and it has no address"),
        Failure::System(error) => return Error::of_lookup_here(error, host.as_str()),
        Failure::NoServer(None) => (ErrorKind::LookupFailed, ": no name server has answered"),
        Failure::NoServer(Some(error)) => {
            let server = error.address().map_or(String::new(), |server| format!("{server} "));
            let why = format!(": no name server has answered ({server}{})", error.code());
            return Error::of_lookup(ErrorKind::LookupFailed, host.as_str(), &why);
        }
        Failure::ServersFail | Failure::ServersRefuse => (ErrorKind::LookupFailed, ": the name servers cannot answer"),
        Failure::TooMany => {
            (ErrorKind::LookupFailed, ": too many names are looked up at a time (NamesOptions::most_lookups)")
        }
    };
    Error::of_lookup(kind, host.as_str(), why)
}
