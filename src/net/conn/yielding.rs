//! A connection that has given its turn to the others, and goes on later.
//!
//! The time of the turn is up, and the connection has more to deliver: kept chunks, or what a handler has not done yet. It
//! is not read from meanwhile, and has no `data` and no `end`. It is not paused: what its user says about that holds on.
//!
//! ```text
//!   yield_turn ──▶ last on the ready list ──▶ all is flushed that it is to wait for? ──no──▶ last again
//!                                                    │ yes
//!                                                    ▼
//!                                              `Continue`, then kept chunks, then it is read again
//! ```
//!
//! If a receiver of a broadcast has passed its limit, it waits for all that were on the flush list then: only the flush shows
//! which of them keep up.

use super::Conn;
use super::rare::{AfterYield, Yielded};
use crate::net::cx::Cx;
use crate::net::statistics::Budget;
use crate::net::trace::Kind;

impl Conn {
    /// Gives its turn to the others.
    pub fn yield_turn(&mut self, after: AfterYield, cx: &mut Cx) {
        if self.connection.is_destroyed() {
            return;
        }
        // Without such a receiver it does not wait: many lines should go out in one write.
        let flushes = if cx.time.is_used_up() { cx.agenda.flush.mark() } else { 0 };
        let rare = self.rare_mut();
        match &mut rare.yielded {
            Some(yielded) if after == AfterYield::Event => yielded.after = after,
            Some(_) => {}
            none => {
                *none = Some(Yielded { after, flushes });
                self.held_by += 1;
                cx.cut(Budget::Yield);
            }
        }
        cx.agenda.notes.add(self.id, Kind::Yielded, || "gives its turn to the others".to_owned());
        self.make_ready(cx);
    }

    /// Its place on the ready list has come: how it goes on, if it does. If not, it is the last on the list again, unless a
    /// receiver holds it up: then it waits for that.
    pub(super) fn go_on_if_flushed(&mut self, cx: &mut Cx) -> Option<AfterYield> {
        let yielded = self.rare().yielded.filter(|_| self.held_by == 1)?;
        if !cx.agenda.flush.has_passed(yielded.flushes) {
            self.make_ready(cx);
            return None;
        }
        self.take_back_turn();
        self.connection.end_if_due(&mut self.tasks(cx));
        Some(yielded.after)
    }

    /// It is held up no more by having given its turn away.
    pub(super) fn take_back_turn(&mut self) {
        if self.rare_if_any().is_some_and(|rare| rare.yielded.take().is_some()) {
            self.held_by -= 1;
        }
    }

    pub fn has_yielded(&self) -> bool {
        self.rare().yielded.is_some()
    }

    /// Whether nothing else than its place on the ready list is missing.
    pub fn waits_for_its_turn(&self) -> bool {
        self.has_yielded() && self.held_by == 1
    }
}
