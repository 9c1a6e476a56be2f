//! Connecting: from the user's `connect` to the connection, or to the error that says why there is none.
//!
//! ```text
//!   connect ──next task──▶ `connectionAttempt` ──▶ connect(2) ──an edge──▶ connected? ──yes──▶ `connect` is emitted
//!                │                                                             │ no
//!                └─ a name: dialing.rs                                         └──▶ `connectionAttemptFailed`, `error`
//! ```
//!
//! A Unix socket has no such attempts.

use super::dial::Dial;
use super::{Conn, Ending, Latches, Remote};
use crate::address::Address;
use crate::address::endpoint::Destination;
use crate::base::error::{Error, Syscall};
use crate::base::error_kind::ErrorKind;
use crate::base::timers::Due;
use crate::connection::{ConnTask, Tasks};
use crate::kernel::{Handle, KeepAlive};
use crate::net::clock::TimerKind;
use crate::net::cx::Cx;
use crate::net::event::Event;

impl Conn {
    /// Connects a socket that is fresh or closed. `inherited` is the keep-alive of the server that has accepted it before.
    pub fn connect(&mut self, to: Destination, inherited: Option<KeepAlive>, cx: &mut Cx) -> Result<(), Error> {
        if self.is_leaving() {
            return Err(Error::new(ErrorKind::Gone));
        }
        if let (Destination::Address(to), Some(local)) = (&to, self.rare().setup.local_address)
            && to.ip().is_some_and(|to| to.is_ipv4() != local.is_ipv4())
        {
            return Err(Error::invalid(format!("cannot connect from {local} to {to}: one is IPv4, the other is IPv6")));
        }
        if self.is_file() {
            return Err(Error::invalid("a file cannot be connected: make a socket"));
        }
        let (before, read) = (self.connection.read_ahead_held(), self.connection.bytes_read());
        self.connection.connect(&mut self.tasks(cx))?;
        cx.count(|tally| tally.bytes_read += read);
        cx.memory.read_ahead_changed(before, self.connection.read_ahead_held());
        self.forget_last_connection(cx);
        let by_path = matches!(&to, Destination::Address(to) if to.unix().is_some());
        let rare = self.rare_mut();
        match to {
            Destination::Address(to) => rare.connecting_to = Some(to),
            Destination::Name(host, port) => rare.dial = Some(Box::new(Dial::new(host, port))),
        }
        rare.keep_alive.get_or_insert(inherited);
        let now = cx.time_of_call();
        self.connection.activity(now, &mut cx.clock.timers, TimerKind::Idle(self.id));
        if by_path {
            self.set_connect_limit(cx);
            self.connect_now(cx);
        } else {
            self.tasks(cx).push(ConnTask::Connect);
        }
        Ok(())
    }

    fn forget_last_connection(&mut self, cx: &mut Cx) {
        if std::mem::take(&mut self.lists.ready) {
            // It stands in line for the last connection's sake. The next one begins at the end.
            cx.agenda.not_ready(self.id);
        }
        let rare = self.rare_mut();
        rare.outcome = None;
        rare.shutdown_error = None;
        rare.discarded = 0;
        rare.attempted.clear();
        rare.excess.begin_anew();
        self.remote = Remote::Unknown;
        // The server that has accepted it once is its no more.
        self.server = None;
        self.latches = Latches::default();
        self.await_hang_up();
        if !matches!(self.ending, Ending::DestroyOnFinish { .. }) {
            self.ending = Ending::AsUsual;
        }
    }

    /// One task after `connect`: an address is tried, or a name is looked up.
    pub(super) fn start_connect(&mut self, cx: &mut Cx) -> Option<Event> {
        if !self.connection.is_connecting() {
            return None;
        }
        self.set_connect_limit(cx);
        if self.is_dialing() {
            return self.dial(cx);
        }
        let address = self.rare().connecting_to.and_then(Address::ip)?;
        cx.agenda.push_first([self.task(ConnTask::Attempt)]);
        Some(Event::ConnectionAttempt { socket: self.id, address })
    }

    /// connect(2): at once for a Unix socket; for TCP when its event was emitted.
    pub(super) fn connect_now(&mut self, cx: &mut Cx) {
        if !self.connection.is_connecting() {
            return;
        }
        let Some(address) = self.rare().connecting_to else { return };
        let options = self.rare().setup.to_connect(address);
        if let Some(to) = address.ip()
            && self.rare().setup.blocks(to.ip())
        {
            return self.connect_failed(Error::blocked(to.ip()), cx);
        }
        let begun = cx.kernel.connect(address, &options).and_then(|handle| {
            let registered = cx.kernel.register(handle, self.id.into());
            registered.map(|()| handle).map_err(|error| {
                cx.kernel.close(handle);
                (Syscall::Connect, error)
            })
        });
        match begun {
            Ok(handle) => {
                self.handle = Some(handle);
                self.watch(cx);
            }
            Err((Syscall::Bind, error)) => {
                let local = options.local.map_or(address, Address::Ip);
                self.connect_failed(Error::system(&error, Syscall::Bind).at(local), cx);
            }
            Err((syscall, error)) => {
                let error = Error::system(&error, syscall);
                // libuv keeps these for its pending phase. What failed at once in a call must not be told inside it.
                if address.unix().is_some() || error.kind() == ErrorKind::ConnectionRefused {
                    self.emit_outcome_later(Err(error), cx);
                } else {
                    self.connect_failed(error, cx);
                }
            }
        }
    }

    /// The connect has come to its outcome, or was only said to have.
    pub fn finish_connect(&mut self, cx: &mut Cx) -> Option<Event> {
        if self.is_dialing() {
            return self.finish_attempts(cx);
        }
        let handle = self.handle?;
        self.latches.writable = false;
        match cx.kernel.connected(handle) {
            Ok(false) => None,
            Ok(true) => {
                if let Some(to) = self.rare_mut().connecting_to.take() {
                    self.remote = to.into();
                }
                self.has_connected(handle, cx)
            }
            Err(error) => {
                self.connect_failed(Error::system(&error, Syscall::Connect), cx);
                None
            }
        }
    }

    /// There is a connection.
    pub(super) fn has_connected(&mut self, handle: Handle, cx: &mut Cx) -> Option<Event> {
        self.connection.connected(&mut cx.agenda.of(self.id));
        self.lift_connect_limit(cx);
        self.set_options_at_connection(handle, cx);
        // One that has given its turn away stands on the ready list already.
        if !self.lists.ready {
            self.lists.ready = true;
            cx.agenda.just_connected.push(self.id);
        }
        self.touch(cx);
        cx.agenda.push_first([self.task(ConnTask::AfterConnect)]);
        Some(Event::Connect(self.id))
    }

    /// Its time begins with the look-up of the name, or with connect(2). A loop that has not turned for long has not lost any of it.
    fn set_connect_limit(&mut self, cx: &mut Cx) {
        if let (Some(timeout), None) = (self.rare().setup.connect_timeout, self.connect_limit()) {
            let now = cx.time_of_call();
            let limit = cx.clock.timers.insert_after(now, timeout, TimerKind::Connect(self.id));
            self.rare_mut().connect_limit = Some(limit);
        }
    }

    /// Its time to connect is over: it is one for all addresses.
    pub fn expire_connect(&mut self, cx: &mut Cx) {
        self.rare_mut().connect_limit = None;
        if self.is_dialing() {
            return self.expire_dial(cx);
        }
        // The kernel may know more than this loop has looked at, which may be late itself.
        let failed = match self.handle.map(|handle| cx.kernel.connected(handle)) {
            Some(Ok(true)) => {
                self.latches.writable = true;
                return self.make_ready(cx);
            }
            Some(Err(error)) => Error::system(&error, Syscall::Connect),
            Some(Ok(false)) | None => Error::connect_timed_out(self.rare().setup.connect_timeout.unwrap_or_default()),
        };
        self.connect_failed(failed, cx);
    }

    /// It has connected, or is destroyed.
    pub(super) fn lift_connect_limit(&mut self, cx: &mut Cx) {
        if let Some(rare) = self.rare_if_any() {
            cx.clock.cancel(rare.connect_limit.take());
        }
    }

    /// When it is to be connected.
    pub fn connect_limit(&self) -> Option<Due> {
        self.rare().connect_limit
    }

    /// There will be no connection. For TCP that is an event of its own, and then an error.
    pub(super) fn connect_failed(&mut self, error: Error, cx: &mut Cx) {
        let Some(to) = self.rare_mut().connecting_to.take() else { return };
        let mut error = error.or_at(to);
        let local = self.rare().setup.to_connect(to).local;
        if let Some(local) = local
            && error.syscall() == Some(Syscall::Connect)
        {
            error = error.with_local(local);
        }
        if to.unix().is_some() {
            return self.could_not_connect(error, cx);
        }
        self.rare_mut().connect_error = Some(error);
        cx.agenda.push_first([self.task(ConnTask::AttemptFailed)]);
    }

    /// What follows is put first, so that no other event comes between.
    pub(super) fn attempt_has_failed(&self, cx: &mut Cx) -> Option<Event> {
        let error = self.rare().connect_error.clone()?;
        cx.agenda.push_first([self.task(ConnTask::ConnectFailed)]);
        Some(Event::ConnectionAttemptFailed { socket: self.id, error })
    }

    pub(super) fn emit_connect_error(&mut self, cx: &mut Cx) {
        if let Some(error) = self.rare_if_any().and_then(|rare| rare.connect_error.take()) {
            self.could_not_connect(error, cx);
        }
    }
}
