//! The end of a connection that does not wait for the other side: destroyed by its user, reset, or broken.
//!
//! Whatever ends one comes through [`Net::destroy_as`]: it takes the connection out of everything that it stands in, closes
//! its descriptor, and owes the `close`, which comes in its phase (`turn.rs`).

use super::Net;
use super::link::ResetPlace;
use crate::base::error::{Code, Error, ErrorKind, Syscall};
use crate::base::id::SocketId;
use crate::connection::{CloseReason, Stage};

impl Net {
    /// Ends a connection at once. Unsent bytes are thrown away; `close` follows.
    pub fn destroy(&mut self, id: SocketId) {
        self.destroy_as(id, None, Some(CloseReason::DestroyedHere));
    }

    /// As [`Net::destroy`], with the reason that `close` is to give.
    pub fn destroy_because(&mut self, id: SocketId, reason: CloseReason) {
        self.destroy_as(id, None, Some(reason));
    }

    /// As [`Net::destroy`], with an error that is told first.
    pub fn destroy_with(&mut self, id: SocketId, error: Error) {
        self.destroy_as(id, Some(error), Some(CloseReason::DestroyedHere));
    }

    /// Destroys all sockets, with [`CloseReason::Shutdown`]. Servers that listen go on.
    pub fn destroy_all(&mut self) {
        for id in self.socket_ids().collect::<Vec<_>>() {
            self.destroy_because(id, CloseReason::Shutdown);
        }
    }

    /// Ends, and destroys when all is written: it does not wait for the other side's end.
    #[doc(alias = "destroySoon")]
    pub fn destroy_soon(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if link.connection.is_finished() {
            self.destroy(id);
        } else {
            link.destroy_on_finish = true;
            if link.connection.is_writable() {
                self.end(id, None);
            }
        }
    }

    /// Closes with a reset (RST). While connecting it waits for the connection; a socket that never was connected gets
    /// an error.
    #[doc(alias = "resetAndDestroy")]
    pub fn reset(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        match link.connection.stage() {
            Stage::Connecting => {
                let place = match link.connection.is_parked() {
                    true => ResetPlace::BehindTheWrite,
                    false => ResetPlace::BeforeTheWrite,
                };
                link.reset_when_connected.get_or_insert(place);
            }
            Stage::Connected => {
                link.reset = true;
                self.destroy(id);
            }
            Stage::Fresh => self.destroy_with(id, Error::new(Code::SocketClosed)),
            Stage::Destroyed { .. } | Stage::Closed => {}
        }
    }

    /// Closes the descriptor now, and owes the `close`. Both halves being over gives no reason of its own.
    pub(super) fn destroy_as(&mut self, id: SocketId, error: Option<Error>, reason: Option<CloseReason>) {
        let Some((link, mut later)) = self.link(id) else { return };
        let (stage, had_idle_entry) =
            (link.connection.stage(), link.connection.idle.as_ref().is_some_and(|idle| idle.has_entry()));
        if !link.connection.destroy(error, reason, &mut later) {
            return;
        }
        let (handle, reset, server) = (link.handle.take(), link.reset, link.server);
        for callback in link.rare_if_any().map(|rare| std::mem::take(&mut rare.catching_up)).unwrap_or_default() {
            link.connection.callback_due(callback, Err(Error::new(Code::Destroyed)), &mut later);
        }
        self.discard_output(id);
        if let Some(handle) = handle {
            if reset {
                self.kernel.reset(handle)
            } else {
                self.kernel.close(handle)
            }
            self.descriptor_was_freed();
        }
        if stage != Stage::Fresh {
            self.closing.push(id);
        }
        self.relieve(id);
        if had_idle_entry {
            self.forget_alarm();
        }
        if let Some(server) = server {
            self.connection_was_destroyed(server);
        }
    }

    /// Destroys it for an error of a system call.
    pub(super) fn broke(&mut self, id: SocketId, error: Error) {
        let reason = reason_of(&error);
        self.destroy_as(id, Some(error), Some(reason));
    }
}

/// What a connection died of.
fn reason_of(error: &Error) -> CloseReason {
    match (error.kind(), error.syscall()) {
        (_, Some(Syscall::Connect | Syscall::Bind | Syscall::SetOption)) | (ErrorKind::IpBlocked, _) => {
            CloseReason::ConnectFailed
        }
        (
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::EndedByOtherParty,
            _,
        ) => CloseReason::PeerReset,
        (ErrorKind::TimedOut, _) => CloseReason::Timeout,
        _ => CloseReason::Error,
    }
}
