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
use crate::address::families::Families;
use crate::base::error::{Error, Syscall};
use crate::base::timers::Due;
use crate::connection::race::{Race, Step};
use crate::connection::{ConnTask, Tasks};
use crate::kernel::Handle;
#[cfg(feature = "names")]
use crate::names::{Outcome, Ticket};
use crate::net::clock::TimerKind;
use crate::net::cx::Cx;
use crate::net::event::Event;
#[cfg(feature = "names")]
use crate::net::looking_up::error_of;
use crate::net::lookup::{Awaited, Found, LookupAsker, Wanted, suitable};

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

    /// The families of the addresses that it can use.
    fn families(&self) -> Families {
        let setup = &self.rare().setup;
        match (setup.local_address, setup.manner.families) {
            (Some(local), Families::Both) if local.is_ipv4() => Families::V4,
            (Some(_), Families::Both) => Families::V6,
            (_, families) => families,
        }
    }

    /// Asks for the addresses. Those of `localhost` are known, unless the program wants to be asked.
    fn look_up(&mut self, cx: &mut Cx) -> Option<Event> {
        let (asker, families) = (LookupAsker::Socket(self.id), self.families());
        let (own, hints) = (self.rare().setup.manner.own_lookup, self.rare().setup.manner.hints);
        let dial = self.dial_mut()?;
        let wanted = Wanted { host: dial.host, families, hints };
        if wanted.host.is_localhost() && !own {
            self.found(cx.addresses_of_localhost(wanted), cx);
            return None;
        }
        match cx.look_up(wanted, asker, own) {
            Ok(awaited) => {
                dial.stage = Stage::LookingUp(awaited);
                let request = awaited.request(asker, wanted)?;
                Some(Event::LookupWanted(Box::new(request)))
            }
            Err(error) => {
                self.found(Err(error), cx);
                None
            }
        }
    }

    /// Whether the program is to say what its name means. Nothing else will have it go on.
    pub fn awaits_program(&self) -> bool {
        let dial = self.rare().dial.as_deref();
        dial.is_some_and(|dial| matches!(dial.stage, Stage::LookingUp(awaited) if awaited.is_program()))
    }

    pub fn set_lookup(&mut self, own: bool) {
        self.rare_mut().setup.manner.own_lookup = own;
    }

    fn awaits(&self, awaited: Awaited) -> bool {
        let dial = self.rare().dial.as_deref();
        dial.is_some_and(|dial| matches!(dial.stage, Stage::LookingUp(other) if other == awaited))
    }

    /// The program has answered. False if nobody waits for that answer.
    pub fn look_up_answered(&mut self, number: u64, answer: Found, cx: &mut Cx) -> bool {
        let is_awaited = self.awaits(Awaited::Program(number));
        if is_awaited {
            self.found(answer, cx);
            self.tasks(cx).push(ConnTask::Dial);
        }
        is_awaited
    }

    /// The resolver has come to its outcome, unless nobody waits for it any more.
    #[cfg(feature = "names")]
    pub fn looked_up(&mut self, ticket: Ticket, outcome: Outcome, cx: &mut Cx) -> Option<Event> {
        if !self.awaits(Awaited::Resolver(ticket)) {
            return None;
        }
        let host = self.dial_mut()?.host;
        self.found(outcome.map_err(|failure| error_of(failure, &host)), cx);
        self.dial(cx)
    }

    /// The look-up has come to its outcome.
    fn found(&mut self, found: Found, cx: &mut Cx) {
        let (manner, families) = (self.rare().setup.manner, self.families());
        let Some(dial) = self.dial_mut() else { return };
        match suitable(found, &dial.host, families) {
            Ok(addresses) => {
                dial.to_emit.extend(addresses.iter().map(|ip| Told::Lookup(Ok(*ip))));
                let port = dial.port;
                let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
                dial.stage = Stage::Racing(Race::new(addresses, manner.attempts, manner.delay));
            }
            Err(error) => {
                dial.to_emit.push_back(Told::Lookup(Err(error.clone())));
                dial.stage = Stage::Failed(error);
            }
        }
        self.touch(cx);
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
                    self.could_not_connect(error, cx);
                    return None;
                }
                Stage::Fresh => match self.look_up(cx) {
                    None => continue,
                    wanted => return wanted,
                },
                Stage::LookingUp(_) => return None,
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
                    let error = dial.error_of_all();
                    self.could_not_connect(error, cx);
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
