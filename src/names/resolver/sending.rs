//! What becomes of a question: it is sent, waits for its turn, or is answered.
//!
//! ```text
//!   in line ──▶ sent ──▶ answered, or all servers have been asked: the look-ups that wait for it go on
//!      ▲         │ a server has not answered, or fails: the next one is asked
//!      └─────────┘ there is no descriptor for it: in 100 ms
//! ```

use std::io;
use std::time::Duration;

use super::questions::UnderWay;
use super::{Action, Asked, Resolver};
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::names::asking::{Asking, Attempt, Setback};
use crate::names::{Answer, message};

/// When a question is tried again for which there was no descriptor. Nobody tells when one is free; what this loop closes meanwhile is
/// left to its connections, which need descriptors too.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

impl Resolver {
    pub(super) fn ask_those_in_line(&mut self, now: Duration, ids: &mut impl FnMut() -> u16) {
        if self.line_waits_until.is_some_and(|until| until > now) {
            return;
        }
        self.line_waits_until = None;
        while self.questions.with_servers() < self.options.most_questions
            && let Some((asked, begun, turn)) = self.questions.take_first()
        {
            // glibc counts the names that are asked for: both families of one are with the same server.
            let first = if self.conf.rotate { turn } else { self.answers };
            if let Some(asking) = begun.or_else(|| Asking::new(&self.conf, first)) {
                let attempt = asking.present();
                self.send(asked, asking, attempt, now, ids);
            }
        }
    }

    pub(super) fn send(
        &mut self,
        asked: Asked,
        mut asking: Asking,
        attempt: Attempt,
        now: Duration,
        ids: &mut impl FnMut() -> u16,
    ) {
        let (id, deadline) = (ids(), now.saturating_add(asking.timeout));
        asking.asked_at = now;
        let Some(question) = self.questions.ask(asked, asking, id, deadline) else { return };
        // A name that was checked can be written.
        let message = message::query(id, question, attempt.extensions).unwrap_or_default();
        let Attempt { server, transport, .. } = attempt;
        self.actions.push_back(Action::Ask { asked, server, transport, message });
    }

    /// No answer yet: another attempt, or none will come.
    pub(super) fn set_back(&mut self, asked: Asked, setback: Setback, now: Duration, ids: &mut impl FnMut() -> u16) {
        let Some(mut asking) = self.questions.withdraw(asked) else { return };
        self.actions.push_back(Action::Close(asked));
        match asking.after(setback) {
            Some(attempt) => self.send(asked, asking, attempt, now, ids),
            None => self.answer(asked, asking.verdict(), now, ids),
        }
    }

    /// There is no descriptor for a question, or no memory: it stands in line again, and so do those that would be sent next. One that
    /// has waited for as long as a server may take is over, with what the system says.
    pub(super) fn falls_short(&mut self, asked: Asked, said: Error, now: Duration, ids: &mut impl FnMut() -> u16) {
        self.line_waits_until = Some(now.saturating_add(TRY_AGAIN_AFTER));
        self.actions.push_back(Action::Close(asked));
        let mut unsent = vec![asked];
        self.actions.retain(|action| match action {
            Action::Ask { asked, .. } => {
                unsent.push(*asked);
                false
            }
            _ => true,
        });
        for asked in unsent {
            if let Some(begun) = self.questions.withdraw(asked) {
                self.questions.stand_in_line(asked, begun);
            }
        }
        let since = *self.shortage_since.get_or_insert(now);
        while let Some((asked, under_way)) = self.questions.first_in_line()
            && now.saturating_sub(under_way.since.max(since)) >= self.conf.timeout
        {
            self.answer(asked, Answer::System(said.clone()), now, ids);
        }
    }

    /// A question is over: all look-ups that wait for it go on.
    pub(super) fn answer(&mut self, asked: Asked, answer: Answer, now: Duration, ids: &mut impl FnMut() -> u16) {
        let Some(UnderWay { question, waiting, .. }) = self.end(asked) else { return };
        for ticket in waiting {
            let Some(lookup) = self.lookups.get_mut(&ticket) else { continue };
            match lookup.answered(question.family, answer.clone()) {
                Some(next) => self.go_on(ticket, next, now, ids),
                None => self.wait_for_the_other(ticket, now),
            }
        }
        self.ask_those_in_line(now, ids);
    }

    /// A question is not under way any more.
    pub(super) fn end(&mut self, asked: Asked) -> Option<UnderWay> {
        let (ended, was_asked) = self.questions.end(asked)?;
        if was_asked {
            self.actions.push_back(Action::Close(asked));
        }
        Some(ended)
    }
}

/// Whether it is this process or this machine that lacks something, for now. With a port that the system chooses, an address in use
/// says that no port is free.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    use ErrorKind::{AddressInUse, OutOfMemory, TooManyOpenFiles};

    matches!(ErrorKind::of(error), TooManyOpenFiles | OutOfMemory | AddressInUse)
}
