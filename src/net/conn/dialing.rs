//! Connecting to a host by its name: the look-up, and then its addresses.
//!
//! ```text
//!   look up ──▶ `lookup` for each address ──▶ Race: an attempt, and another ──▶ one has connected: the others are closed
//!                                               each with its events            all have failed: the last error, with all
//! ```
//!
//! Attempts overlap, so there may be several descriptors, all with the token of this connection. An edge of one of them has all
//! of them asked. What comes next is a task ([`ConnTask::Dial`]), one event at a time.

use std::net::SocketAddr;

use super::dial::{Dial, Stage, Told};
use super::{Conn, Latches};
use crate::address::Address;
use crate::address::host_name::HostName;
use crate::base::error::{Error, Syscall};
use crate::base::error_kind::ErrorKind;
use crate::base::timers::Due;
use crate::connection::race::{Race, Step};
use crate::connection::{ConnTask, Tasks};
use crate::kernel::Handle;
use crate::names::{Failure, Families, Outcome, Ticket};
use crate::net::clock::TimerKind;
use crate::net::cx::Cx;
use crate::net::event::Event;

impl Conn {
    fn dial_mut(&mut self) -> Option<&mut Dial> {
        self.rare_if_any()?.dial.as_deref_mut()
    }

    /// Whether it connects to a name.
    pub fn is_dialing(&self) -> bool {
        self.rare().dial.is_some()
    }

    /// Whether one of its attempts has a descriptor.
    pub fn has_attempts(&self) -> bool {
        self.rare().dial.as_ref().is_some_and(|dial| !dial.attempts.is_empty())
    }

    /// When the next address of the name has its turn.
    pub fn next_attempt(&self) -> Option<Due> {
        self.rare().dial.as_ref()?.next
    }

    pub(super) fn look_up(&mut self, cx: &mut Cx) {
        let (id, mut families) = (self.id, self.rare().setup.manner.families);
        if let (Some(local), Families::Both) = (self.rare().setup.local_address, families) {
            families = if local.is_ipv4() { Families::V4 } else { Families::V6 };
        }
        if let Some(dial) = self.dial_mut() {
            dial.stage = Stage::LookingUp(cx.look_up(dial.host, families, id));
        }
    }

    /// The look-up has come to its outcome, unless nobody waits for it any more.
    pub fn looked_up(&mut self, ticket: Ticket, outcome: Outcome, cx: &mut Cx) -> Option<Event> {
        let manner = self.rare().setup.manner;
        let dial = self.dial_mut()?;
        if !matches!(dial.stage, Stage::LookingUp(awaited) if awaited == ticket) {
            return None;
        }
        match outcome {
            Ok(addresses) => {
                dial.to_emit.extend(addresses.iter().map(|ip| Told::Lookup(Ok(*ip))));
                let port = dial.port;
                let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
                dial.stage = Stage::Racing(Race::new(addresses, manner.attempts, manner.delay));
            }
            Err(failure) => {
                let error = error_of(failure, &dial.host);
                dial.to_emit.push_back(Told::Lookup(Err(error.clone())));
                dial.stage = Stage::Failed(error);
            }
        }
        self.touch(cx);
        self.dial(cx)
    }

    /// Goes on up to an event, or until an attempt comes to its outcome.
    pub(super) fn dial(&mut self, cx: &mut Cx) -> Option<Event> {
        loop {
            let (id, task) = (self.id, self.task(ConnTask::Dial));
            let dial = self.dial_mut()?;
            if let Some(told) = dial.to_emit.pop_front() {
                if let Told::Attempt(address) = told {
                    dial.announced = Some(address);
                }
                let host = dial.host;
                cx.agenda.push_first([task]);
                return Some(told.event(id, host));
            }
            if let Some(address) = dial.announced.take() {
                self.begin_attempt(address, cx);
                continue;
            }
            if let Some((address, handle)) = dial.winner {
                return self.attempt_has_connected(address, handle, cx);
            }
            let race = match &mut dial.stage {
                Stage::Racing(race) => race,
                Stage::Failed(error) => {
                    let error = error.clone();
                    self.broke(error, cx);
                    return None;
                }
                Stage::Fresh | Stage::LookingUp(_) => return None,
            };
            let now = cx.time_of_call();
            match race.next(now) {
                Step::Begin(address) => dial.to_emit.push_back(Told::Attempt(address)),
                Step::CutOff => self.cut_off(cx),
                Step::Wait(until) => {
                    cx.clock.cancel(dial.next.take());
                    dial.next = until.map(|until| {
                        let delay = until.saturating_sub(now);
                        cx.clock.timers.insert_after(now, delay, TimerKind::Attempt(id))
                    });
                    return None;
                }
                Step::Lost => {
                    let error = Error::of_attempts(dial.host.as_str(), std::mem::take(&mut dial.failures));
                    self.broke(error, cx);
                    return None;
                }
            }
        }
    }

    fn begin_attempt(&mut self, address: SocketAddr, cx: &mut Cx) {
        if self.rare().setup.blocks(address.ip()) {
            return self.attempt_failed(address, Error::blocked(address.ip()));
        }
        let options = self.rare().setup.to_connect(address.into());
        let begun = cx.kernel.connect(address.into(), &options).and_then(|handle| {
            let registered = cx.kernel.register(handle, self.id.into());
            registered.map(|()| handle).map_err(|error| {
                cx.kernel.close(handle);
                (Syscall::Connect, error)
            })
        });
        match begun {
            Ok(handle) => {
                if let Some(dial) = self.dial_mut() {
                    dial.attempts.push((address, handle));
                }
                self.watch(cx);
            }
            Err((Syscall::Bind, error)) => {
                let local = options.local.unwrap_or(address);
                self.attempt_failed(address, Error::system(&error, Syscall::Bind).at(local));
            }
            Err((syscall, error)) => self.attempt_failed(address, Error::system(&error, syscall)),
        }
    }

    fn attempt_failed(&mut self, address: SocketAddr, error: Error) {
        let local = self.rare().setup.to_connect(address.into()).local;
        let mut error = error.or_at(address);
        if let Some(local) = local
            && error.syscall() == Some(Syscall::Connect)
        {
            error = error.with_local(local);
        }
        let Some(dial) = self.dial_mut() else { return };
        dial.to_emit.push_back(Told::Failed(error.clone()));
        dial.failures.push(error);
        if let Stage::Racing(race) = &mut dial.stage {
            race.failed();
        }
    }

    /// The attempt that goes on is closed, and the next address has its turn.
    fn cut_off(&mut self, cx: &mut Cx) {
        let limit = self.rare().setup.manner.delay;
        let Some(dial) = self.dial_mut() else { return };
        // One after the other has begun, so the oldest has had the time of all of them.
        let limit = limit.saturating_mul(u32::try_from(dial.attempts.len()).unwrap_or(u32::MAX));
        if !dial.attempts.is_empty() {
            let (address, handle) = dial.attempts.remove(0);
            cx.close(handle);
            dial.to_emit.push_back(Told::TimedOut(address));
            dial.failures.push(Error::cut_off(limit).at(address));
        }
        if let Stage::Racing(race) = &mut dial.stage {
            race.failed();
        }
    }

    /// The next address has its turn.
    pub fn attempt_next(&mut self, cx: &mut Cx) {
        if let Some(dial) = self.dial_mut() {
            dial.next = None;
            self.tasks(cx).push(ConnTask::Dial);
        }
    }

    /// One of the attempts may have come to its outcome: all of them are asked. Those that have failed are told before the one that
    /// has connected.
    pub(super) fn finish_attempts(&mut self, cx: &mut Cx) -> Option<Event> {
        let latches = std::mem::take(&mut self.latches);
        self.await_hang_up();
        if self.ask_attempts(cx) {
            self.latches = self.latches_of_winner(latches);
        }
        self.dial(cx)
    }

    /// Whether one of the attempts has connected. The kernel gives the error of each of the others once, so each is kept.
    fn ask_attempts(&mut self, cx: &mut Cx) -> bool {
        let mut place = 0;
        while let Some((address, handle)) = self.dial_mut().and_then(|dial| dial.attempts.get(place).copied()) {
            match cx.kernel.connected(handle) {
                Ok(false) => place += 1,
                Ok(true) => {
                    if let Some(dial) = self.dial_mut() {
                        dial.winner = Some((address, handle));
                    }
                    return true;
                }
                Err(error) => {
                    cx.close(handle);
                    if let Some(dial) = self.dial_mut() {
                        dial.attempts.remove(place);
                    }
                    self.attempt_failed(address, Error::system(&error, Syscall::Connect));
                }
            }
        }
        false
    }

    /// What was reported may have been said of another attempt. So whatever can be tried is tried, and a read that was short is
    /// not taken for the last.
    fn latches_of_winner(&self, reported: Latches) -> Latches {
        let is_only_one = match self.rare().dial.as_deref() {
            Some(Dial { stage: Stage::Racing(race), .. }) => race.attempted().len() == 1,
            _ => false,
        };
        if is_only_one {
            return Latches { writable: false, ..reported };
        }
        Latches { readable: true, writable: true, ended: false, has_more: true, hung_up: false }
    }

    fn attempt_has_connected(&mut self, address: SocketAddr, handle: Handle, cx: &mut Cx) -> Option<Event> {
        let mut dial = self.rare_if_any()?.dial.take()?;
        dial.attempts.retain(|(_, other)| *other != handle);
        if let Stage::Racing(race) = &dial.stage {
            self.rare_mut().attempted = race.attempted().to_vec();
        }
        dial.end(cx);
        self.handle = Some(handle);
        self.remote = Address::from(address).into();
        self.has_connected(handle, cx)
    }

    /// Its time to connect is over. The kernel may know more than this loop has looked at, which may be late itself.
    pub(super) fn expire_dial(&mut self, cx: &mut Cx) {
        if self.ask_attempts(cx) {
            self.latches = self.latches_of_winner(self.latches);
        } else {
            let limit = self.rare().setup.connect_timeout.unwrap_or_default();
            let Some(dial) = self.dial_mut() else { return };
            let error = dial.timed_out(limit);
            std::mem::replace(&mut dial.stage, Stage::Failed(error)).end(cx);
        }
        self.tasks(cx).push(ConnTask::Dial);
    }

    /// It connects no more.
    pub(super) fn end_dial(&mut self, cx: &mut Cx) {
        if let Some(dial) = self.rare_if_any().and_then(|rare| rare.dial.take()) {
            dial.end(cx);
        }
    }

    /// The addresses that were tried for the present connection, or the last one, if it was made by a name.
    pub fn attempted_addresses(&self) -> &[SocketAddr] {
        match self.rare().dial.as_deref() {
            Some(Dial { stage: Stage::Racing(race), .. }) => race.attempted(),
            _ => &self.rare().attempted,
        }
    }
}

/// The error of a look-up, with what a reader has to know.
fn error_of(failure: Failure, host: &HostName) -> Error {
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
