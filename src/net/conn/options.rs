//! What a user sets on a connection: its clock and its options. What is set before the connection waits for it.

use std::time::Duration;

use super::Conn;
use super::dial::Manner;
use super::rare::{Rare, Setup};
use crate::kernel::{Handle, KeepAlive, SocketOption};
use crate::net::clock::TimerKind;
use crate::net::cx::Cx;
use crate::net::options::SocketOptions;

impl Conn {
    /// With these options, for a socket that will connect or was made elsewhere.
    pub fn with_options(self, options: &SocketOptions, usual: Manner) -> Self {
        let (setup, keep_alive) = (Setup::of(options, usual), options.tcp.keep_alive);
        let is_usual = setup.is_usual() && keep_alive.is_none();
        let rare = (!is_usual).then(|| Box::new(Rare { setup, keep_alive: Some(keep_alive), ..Rare::default() }));
        let (no_delay, limits, outlasts) = (options.tcp.no_delay, options.output_limits.shared(), options.outlasts);
        Conn { no_delay, limits, outlasts, rare, ..self }.notices_hang_up(options.notice_gone_peers)
    }

    /// Sets what waited for the connection.
    pub fn set_options_at_connection(&self, handle: Handle, cx: &mut Cx) {
        if self.no_delay {
            set_option(handle, SocketOption::NoDelay(true), cx);
        }
        let keep_alive = self.rare().keep_alive.flatten();
        if keep_alive.is_some() {
            set_option(handle, SocketOption::KeepAlive(keep_alive), cx);
        }
    }

    /// Node's idle clock: see [`Net::set_timeout`](crate::Net::set_timeout).
    pub fn set_timeout(&mut self, period: Option<Duration>, cx: &mut Cx) {
        if self.connection.is_destroyed() {
            return;
        }
        let period = period.filter(|period| !period.is_zero());
        let now = cx.time_of_call();
        self.connection.set_idle(period, now, &mut cx.clock.timers, TimerKind::Idle(self.id));
    }

    /// Its idle clock came up. Whether `timeout` is to be emitted.
    pub fn expire_idle(&mut self, cx: &mut Cx) -> bool {
        let now = cx.timer_base();
        self.connection.expire_idle(now, &mut cx.clock.timers, TimerKind::Idle(self.id))
    }

    pub fn set_no_delay(&mut self, on: bool, cx: &mut Cx) {
        if self.no_delay != on {
            self.no_delay = on;
            self.set_if_connected(SocketOption::NoDelay(on), cx);
        }
    }

    /// `inherited` is that of the server that has accepted it.
    pub fn set_keep_alive(&mut self, keep_alive: Option<KeepAlive>, inherited: Option<KeepAlive>, cx: &mut Cx) {
        if self.rare().keep_alive.unwrap_or(inherited) != keep_alive {
            self.rare_mut().keep_alive = Some(keep_alive);
            self.set_if_connected(SocketOption::KeepAlive(keep_alive), cx);
        }
    }

    pub fn set_type_of_service(&mut self, value: u8, cx: &mut Cx) {
        self.rare_mut().setup.tcp.type_of_service = Some(value);
        self.set_if_connected(SocketOption::TypeOfService(value), cx);
    }

    /// What was set; the system may have another value.
    pub fn type_of_service(&self) -> Option<u8> {
        self.rare().setup.tcp.type_of_service
    }

    pub fn set_user_timeout(&mut self, timeout: Option<Duration>, cx: &mut Cx) {
        self.rare_mut().setup.tcp.user_timeout = timeout;
        self.set_if_connected(SocketOption::UserTimeout(timeout), cx);
    }

    /// What an option says is remembered for the next connection, and said to one that is there already.
    fn set_if_connected(&self, option: SocketOption, cx: &mut Cx) {
        if let Some(handle) = self.handle_if_connected() {
            set_option(handle, option, cx);
        }
    }
}

/// Sets an option, and lets it be where the system will not: a peer that is gone already makes it fail, and that peer's
/// connection tells so itself. Node ignores it too.
fn set_option(handle: Handle, option: SocketOption, cx: &mut Cx) {
    if let Err(error) = cx.kernel.set_option(handle, option) {
        log::debug!("{option:?} was not set: {error}");
    }
}
