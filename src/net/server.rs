//! One server: its socket, its options, and how it accepts. Listening is in `listen.rs`.

use std::io;
use std::time::Duration;

use super::accepting::{Accepting, Place, Response, response_to};
use super::clock::TimerKind;
use super::cx::Cx;
use super::event::Event;
use super::naming::Naming;
use super::options::ServerOptions;
use super::output_limits::Limits;
use super::trace::Kind;
use crate::address::Address;
use crate::base::arena::HasId;
use crate::base::error::{Error, Syscall};
use crate::base::id::ServerId;
use crate::kernel::Handle;

/// One server of the net.
#[derive(Debug)]
pub(super) struct Server {
    pub id: ServerId,
    /// While it listens.
    pub handle: Option<Handle>,
    pub address: Option<Address>,
    pub options: ServerOptions,
    /// The output limits of all that it accepts.
    pub limits: Option<Limits>,
    pub referenced: bool,
    /// While it is to listen on a name.
    pub naming: Option<Box<Naming>>,
    /// The program looks its names up.
    pub looks_up_itself: bool,
    accepting: Accepting,
}

/// What came of an accept.
#[derive(Debug)]
pub(super) enum Accepted {
    Connection(Handle, Address),
    /// None came. The event tells of trouble.
    Nothing(Option<Event>),
}

impl HasId for Server {
    type Id = ServerId;

    fn id(&self) -> ServerId {
        self.id
    }
}

impl Server {
    pub fn new(id: ServerId, options: ServerOptions) -> Self {
        let limits = options.output_limits.shared();
        let referenced = !options.apart;
        Server {
            id,
            handle: None,
            address: None,
            options,
            limits,
            referenced,
            naming: None,
            looks_up_itself: false,
            accepting: Accepting::new(),
        }
    }

    pub fn is_listening(&self) -> bool {
        self.handle.is_some()
    }

    pub fn keeps_alive(&self) -> bool {
        self.referenced && (self.is_listening() || self.awaits_resolver())
    }

    /// Whether it listens, or will.
    pub fn is_to_listen(&self) -> bool {
        self.is_listening() || self.naming.is_some()
    }

    /// It has its socket.
    pub fn begin_listening(&mut self, handle: Handle, address: Address, cx: &mut Cx) {
        self.handle = Some(handle);
        self.address = Some(address);
        cx.servers.set_listening(self.id, true);
    }

    /// Stops listening; the connections stay.
    pub fn close(&mut self, cx: &mut Cx) {
        self.address = None;
        self.end_naming(cx);
        cx.agenda.notes.add(self.id, Kind::Asked, || "listens no more".to_owned());
        if let Some(handle) = self.handle.take() {
            cx.close(handle);
            cx.servers.set_listening(self.id, false);
            self.trouble_is_over(cx);
        }
        cx.close_server_if_over(self.id);
    }

    /// There are connections, or may be: it stands on the ready list, once.
    pub fn accept_soon(&mut self, cx: &mut Cx) {
        if !self.accepting.listed {
            self.accepting.begin();
            cx.agenda.ready.push(self.id.into());
        }
    }

    /// A descriptor was freed: it need not wait for one any longer.
    pub fn accept_if_paused(&mut self, cx: &mut Cx) {
        if self.accepting.is_paused() {
            self.accept_soon(cx);
        }
    }

    /// Accepts one connection, if there is one.
    pub fn accept(&mut self, cx: &mut Cx) -> Accepted {
        self.accepting.listed = false;
        let Some(handle) = self.handle else { return Accepted::Nothing(None) };
        match cx.kernel.accept(handle) {
            Ok((socket, remote)) => {
                self.accept_again(cx);
                self.trouble_is_over(cx);
                Accepted::Connection(socket, remote)
            }
            Err(error) => Accepted::Nothing(self.accept_failed(handle, &error, cx)),
        }
    }

    fn accept_again(&mut self, cx: &mut Cx) {
        match self.accepting.again() {
            Place::First => cx.agenda.ready.push_again(self.id.into()),
            Place::NextTurn => cx.agenda.ready.push(self.id.into()),
        }
    }

    fn accept_failed(&mut self, handle: Handle, error: &io::Error, cx: &mut Cx) -> Option<Event> {
        match response_to(error) {
            Response::Nobody => {
                self.recovered(cx);
                return None;
            }
            Response::Next if !self.accepting.lost_one() => {
                self.accept_again(cx);
                return None;
            }
            Response::Next => self.pause(cx),
            Response::Shed => match cx.kernel.shed(handle) {
                Ok(true) => {
                    cx.counters.shed += 1;
                    self.accept_again(cx);
                }
                Ok(false) => {
                    self.recovered(cx);
                    return None;
                }
                Err(_) => self.pause(cx),
            },
            Response::Pause => self.pause(cx),
        }
        let reports = self.accepting.reports_trouble();
        reports.then(|| Event::ServerError { server: self.id, error: Error::system(error, Syscall::Accept) })
    }

    /// It does not accept for a while: no edge will tell when it works again.
    fn pause(&mut self, cx: &mut Cx) {
        let length = self.accepting.pause_length();
        log::debug!("accepting again in {length:?}");
        let until = cx.set_timer(length, TimerKind::Accept(self.id));
        let before = self.accepting.pause_until(until, cx.now());
        cx.clock.cancel(before);
    }

    /// Its pause has ended.
    pub fn end_pause(&mut self, cx: &mut Cx) {
        self.accepting.end_pause();
        self.accept_soon(cx);
    }

    /// It can take connections, or listens no more: trouble that comes now is reported again.
    fn trouble_is_over(&mut self, cx: &mut Cx) {
        self.recovered(cx);
        self.accepting.forget_trouble();
    }

    /// Whatever kept it from accepting is over.
    fn recovered(&mut self, cx: &mut Cx) {
        let Some((since, timer)) = self.accepting.recovered() else { return };
        cx.clock.cancel(timer);
        let now = cx.now();
        cx.count(|tally| tally.accepting_paused += now.saturating_sub(since.max(tally.base.since)));
    }

    /// Since when it cannot accept, if it cannot.
    pub fn paused_since(&self) -> Option<Duration> {
        self.accepting.paused_since()
    }

    /// Whether it will accept again: see [`Accepting::check`].
    pub fn check(&self, listed: usize, has_timer: bool) -> Result<(), String> {
        self.accepting.check(listed, has_timer)
    }
}
