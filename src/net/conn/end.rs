//! How a connection ends: in order, at once, by a reset, or because it broke.
//!
//! Whatever destroys one comes through [`Conn::destroy`]: it takes the connection out of everything that it stands in and
//! closes its descriptor. The `close` event comes in its phase (`turn.rs`).

use super::write::WriteKind;
use super::{Conn, Ending, ResetPlace};
use crate::base::error::{Error, Syscall};
use crate::base::error_kind::ErrorKind;
use crate::connection::{CallbackId, CloseReason, Last, Stage};
use crate::net::cx::Cx;
use crate::net::trace::Kind;

impl Conn {
    /// Ends the writing side: after all that was written. Takes all corks away.
    pub fn end(&mut self, callback: Option<CallbackId>, cx: &mut Cx) {
        self.connection.uncork_all();
        self.write_waiting(cx);
        self.connection.end(callback, &mut self.tasks(cx));
        self.finish_if_done(cx);
    }

    /// Writes, then ends. Where the write is refused, its error is emitted before the callback runs.
    pub fn end_with(&mut self, bytes: &[u8], callback: Option<CallbackId>, cx: &mut Cx) {
        let refusal = self.connection.refusal(Last::Yes);
        self.write(bytes, None, WriteKind::LAST, cx);
        match (refusal, callback) {
            (None, _) => self.end(callback, cx),
            (Some(kind), Some(callback)) => self.connection.refuse(callback, kind, &mut self.tasks(cx)),
            (Some(_), None) => {}
        }
    }

    /// An `end` that waited for the last write goes on. shutdown(2) waits for the flush: libuv does it in its pending phase.
    pub(super) fn finish_if_done(&mut self, cx: &mut Cx) {
        if self.connection.finish_if_done(&mut cx.agenda.of(self.id)) {
            self.flush_later(cx);
        }
    }

    /// shutdown(2), once all is written.
    pub fn shut_down_if_due(&mut self, cx: &mut Cx) {
        if !self.connection.awaits_shutdown() {
            return;
        }
        if let Some(handle) = self.handle.filter(|_| !self.is_file())
            && let Err(error) = cx.kernel.shutdown(handle)
        {
            // Only a connection that is broken already fails here, and the next read will say of what. Should it say
            // that nothing is wrong, this is the error: a side that cannot tell its end must not wait for the other's.
            self.rare_mut().shutdown_error = Some(Error::system(&error, Syscall::Shutdown));
            self.latches.readable = true;
            self.watch_if_readable(cx);
        }
        self.connection.shut(&mut cx.agenda.of(self.id));
    }

    /// Ends, and destroys when all is written: it does not wait for the other side's end.
    pub fn destroy_soon(&mut self, cx: &mut Cx) {
        if self.connection.is_finished() {
            return self.destroy(None, Some(CloseReason::DestroyedHere), cx);
        }
        if self.ending == Ending::AsUsual {
            self.ending = Ending::DestroyOnFinish { pipes: cx.agenda.pipes_made };
        }
        if self.connection.is_writable() {
            self.end(None, cx);
        }
    }

    /// Closes with a reset (RST). While connecting it waits for the connection; a socket that never was connected gets
    /// an error.
    pub fn reset(&mut self, reason: CloseReason, cx: &mut Cx) {
        match self.connection.stage() {
            Stage::Connecting => {
                if !matches!(self.ending, Ending::ResetOnConnect(..)) {
                    let place = match self.connection.is_pending() {
                        true => ResetPlace::AfterTheWrite,
                        false => ResetPlace::BeforeTheWrite,
                    };
                    self.ending = Ending::ResetOnConnect(place, reason);
                }
            }
            Stage::Connected => {
                self.ending = Ending::Reset;
                self.destroy(None, Some(reason), cx);
            }
            Stage::Fresh => {
                self.destroy(Some(Error::new(ErrorKind::SocketClosed)), Some(reason), cx);
            }
            Stage::Destroyed { .. } | Stage::Closed => {}
        }
    }

    /// Closes the descriptor now; `close` follows. Without a reason, it is that both halves are over.
    pub fn destroy(&mut self, error: Option<Error>, reason: Option<CloseReason>, cx: &mut Cx) {
        let stage = self.connection.stage();
        if !self.connection.destroy(error, reason, &mut cx.agenda.of(self.id), &mut cx.clock.timers) {
            return;
        }
        self.lift_connect_limit(cx);
        self.end_dial(cx);
        if let Some(rare) = self.rare_if_any() {
            if stage == Stage::Connecting {
                rare.outcome = None;
            }
            cx.clock.cancel(rare.retry.take());
            for callback in std::mem::take(&mut rare.catching_up) {
                let outcome = Err(Error::new(ErrorKind::Destroyed));
                self.connection.callback_due(callback, outcome, &mut cx.agenda.of(self.id));
            }
        }
        self.take_back_turn();
        self.discard_output(cx);
        if let Some(handle) = self.handle.take() {
            match self.ending {
                Ending::Reset => cx.reset(handle),
                _ => cx.close(handle),
            }
        }
        if stage != Stage::Fresh {
            cx.agenda.closes.push(self.id);
        }
        self.relieve(cx);
        self.stop_waiting_for_memory(cx);
        if let Some(server) = self.server {
            cx.connection_went(server);
        }
    }

    /// Destroys it for an error of a system call.
    pub(super) fn broke(&mut self, error: Error, cx: &mut Cx) {
        let reason = reason_of(&error);
        cx.agenda.notes.add(self.id, Kind::Failed, || error.to_string());
        self.destroy(Some(error), Some(reason), cx);
    }

    /// There is no connection. The error may be one that the program has made.
    pub(super) fn could_not_connect(&mut self, error: Error, cx: &mut Cx) {
        cx.agenda.notes.add(self.id, Kind::Failed, || error.to_string());
        self.destroy(Some(error), Some(CloseReason::ConnectFailed), cx);
    }

    /// Whether no other connection will come: `close` was emitted, and its handler did not connect again.
    pub fn is_leaving(&self) -> bool {
        self.ending == Ending::Leaving
    }
}

/// What a connection died of.
fn reason_of(error: &Error) -> CloseReason {
    match (error.kind(), error.syscall()) {
        (_, Some(Syscall::Connect | Syscall::Bind | Syscall::SetOption | Syscall::Lookup))
        | (ErrorKind::IpBlocked, _) => CloseReason::ConnectFailed,
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
