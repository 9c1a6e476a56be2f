//! Output limits: what is done about a connection whose other side does not read.
//!
//! ```text
//!   unsent bytes      hard ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄  above: the policy acts at once
//!                     soft ┄┄┄┄┄╱▔▔▔▔▔▔▔▔╲┄┄┄┄┄┄┄┄  above for the grace period: the policy acts
//!                          ____╱          ╲_______
//!                              clock runs  clock stops
//! ```
//!
//! They judge what the kernel has refused: after a write's attempt, after a flush. So a message of any size goes out to
//! a reader that keeps up. The clock has its own timer, since a silent room gives no other occasion; and it stops the
//! moment that the queue falls below, since a reader that has caught up must not be punished later.

use std::rc::Rc;

use super::link::Link;
use super::options::{OutputLimits, OutputPolicy};
use super::ticks::Later;
use super::{Alarm, Net};
use crate::base::error::{Code, Error};
use crate::base::id::SocketId;
use crate::base::timers::Due;
use crate::connection::{Borders, CloseReason};

/// The limits of one connection. Those that a server has accepted share its own.
pub(super) type Limits = Rc<OutputLimits>;

/// None for those that limit nothing.
pub(super) fn limits(options: OutputLimits) -> Option<Limits> {
    (!options.is_off()).then(|| Rc::new(options))
}

/// Where a connection stands that is above its limits, or was.
#[derive(Debug, Default)]
pub(super) struct Excess {
    /// Above the soft limit since a while: when the grace period ends.
    grace: Option<Due>,
    /// Senders that are not read from because of this receiver.
    holding: Vec<SocketId>,
}

impl Excess {
    pub const NONE: Excess = Excess { grace: None, holding: Vec::new() };

    /// Another connection begins.
    pub fn begin_anew(&mut self) {
        self.grace = None;
    }
}

fn drops(limits: &OutputLimits) -> bool {
    matches!(limits.policy, OutputPolicy::DropNewest | OutputPolicy::DropOldest)
}

/// The limit that is passed first.
#[inline]
fn lowest(limits: &OutputLimits) -> usize {
    limits.soft.map(|soft| soft.bytes).or(limits.hard).unwrap_or(usize::MAX)
}

impl Link {
    /// Writes are kept apart where one may be dropped.
    pub fn borders(&self) -> Borders {
        match &self.limits {
            Some(limits) if drops(limits) => Borders::Keep,
            _ => Borders::Merge,
        }
    }

    /// Whether so many bytes more are below all limits: then there is nothing to judge.
    #[inline]
    pub fn has_room_for(&self, length: usize) -> bool {
        match &self.limits {
            Some(limits) => self.connection.queue().unsent() + length <= lowest(limits),
            None => true,
        }
    }

    /// Whether a grace period of its may run, or it may hold up senders. Of most this is known to be not so.
    #[inline]
    pub fn may_be_in_excess(&self) -> bool {
        self.rare.is_some()
    }

    /// Whether this entry of the timers is the end of its grace period.
    pub fn waits_for_grace(&self, entry: Due) -> bool {
        self.rare().excess.grace == Some(entry)
    }

    /// Whether its grace period runs.
    pub fn is_in_grace(&self) -> bool {
        self.rare().excess.grace.is_some()
    }

    /// Those that are not read from because of it.
    pub fn held_senders(&self) -> &[SocketId] {
        &self.rare().excess.holding
    }

    /// Whether who sends to it has to wait. Where messages are dropped instead, nobody has.
    pub fn holds_senders(&self) -> bool {
        self.is_above_soft() && self.limits.as_ref().is_some_and(|limits| !drops(limits))
    }

    pub fn is_above_soft(&self) -> bool {
        self.limits
            .as_ref()
            .and_then(|limits| limits.soft)
            .is_some_and(|soft| self.connection.queue().unsent() > soft.bytes)
    }
}

impl Net {
    /// Sets the output limits of a connection. What is queued already is judged at the next write.
    ///
    /// # Errors
    /// A soft limit above the hard one, or without time.
    pub fn set_output_limits(&mut self, id: SocketId, options: OutputLimits) -> Result<(), Error> {
        options.check()?;
        self.release_senders(id);
        if let Some(link) = self.sockets.get_mut(id) {
            link.limits = limits(options);
            if link.rare_if_any().is_some_and(|rare| rare.excess.grace.take().is_some()) {
                self.forget_alarm();
            }
        }
        Ok(())
    }

    /// Whether a write of `length` bytes may be queued. Only the policy that drops the newest says no.
    pub(super) fn limits_admit(&mut self, id: SocketId, length: usize) -> bool {
        let Some(link) = self.sockets.get_mut(id) else { return false };
        let Some(limits) = &link.limits else { return true };
        let OutputLimits { hard: Some(hard), policy: OutputPolicy::DropNewest, .. } = **limits else {
            return true;
        };
        let fits = |link: &Link| link.connection.writes_at_once() || link.connection.queue().unsent() + length <= hard;
        if fits(link) || !link.connection.is_writable() {
            return true;
        }
        // What only waits for the flush has not been refused by anybody: it goes out, and then there is room perhaps.
        self.dispatch_waiting(id);
        if self.sockets.get(id).is_some_and(fits) {
            return true;
        }
        self.counters.messages_dropped += 1;
        if let Some(link) = self.sockets.get_mut(id) {
            link.connection.owe_drain();
        }
        false
    }

    /// Judges a connection by its unsent bytes.
    #[inline]
    pub(super) fn judge(&mut self, id: SocketId) {
        if self.sockets.get(id).is_some_and(|link| !link.has_room_for(0) || link.may_be_in_excess()) {
            self.judge_limited(id);
        }
    }

    fn judge_limited(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        let Some(options) = link.limits.as_deref().copied() else { return };
        let unsent = link.connection.queue().unsent();
        if let Some(hard) = options.hard
            && unsent > hard
        {
            match options.policy {
                OutputPolicy::Disconnect | OutputPolicy::PauseSenders => return self.limited(id, "hard", hard),
                OutputPolicy::DropNewest => {}
                OutputPolicy::DropOldest => self.drop_oldest_above(id, hard),
            }
        }
        self.run_grace(id);
    }

    /// Starts or stops the grace period's clock.
    fn run_grace(&mut self, id: SocketId) {
        if !self.sockets.get(id).is_some_and(Link::is_above_soft) {
            return self.relieve_limited(id);
        }
        let now = self.time_of_call();
        let Some(link) = self.sockets.get_mut(id) else { return };
        let Some(limits) = &link.limits else { return };
        let Some(soft) = limits.soft.filter(|_| !drops(limits)) else { return };
        if !link.is_in_grace() {
            let due = self.timers.after(now, soft.grace);
            link.rare_mut().excess.grace = Some(due);
            self.timers.push(due, Alarm::Grace(id));
        }
    }

    /// The grace period of a connection has ended, if this entry is the one that counts.
    pub(super) fn expire_grace(&mut self, id: SocketId, entry: Due) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if !link.waits_for_grace(entry) {
            self.timers.dropped_stale();
            return;
        }
        link.rare_mut().excess.grace = None;
        if let Some(soft) = link.limits.as_ref().and_then(|limits| limits.soft)
            && link.is_above_soft()
        {
            self.limited(id, "soft", soft.bytes);
        }
    }

    /// The queue of a connection has become shorter.
    #[inline]
    pub(super) fn relieve(&mut self, id: SocketId) {
        if self.sockets.get(id).is_some_and(Link::may_be_in_excess) {
            self.relieve_limited(id);
        }
    }

    /// It can only stop the clock: what made the queue shorter is no reason to start it, and what a pipe has put there
    /// is not judged at all.
    fn relieve_limited(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if link.is_above_soft() {
            return;
        }
        let stopped = link.rare_if_any().is_some_and(|rare| rare.excess.grace.take().is_some());
        if stopped {
            self.forget_alarm();
        }
        self.release_senders(id);
    }

    /// Judges a receiver in the middle of a turn's broadcasts. One whose queue has passed the soft limit is flushed at
    /// once and judged then; what it still has not read holds up the sender, where there is one.
    pub(super) fn judge_broadcast(&mut self, id: SocketId, sender: Option<SocketId>) {
        let Some(link) = self.sockets.get(id) else { return };
        if link.has_room_for(0) {
            return;
        }
        self.dispatch_waiting(id);
        self.judge(id);
        if let Some(sender) = sender
            && self.sockets.get(id).is_some_and(Link::holds_senders)
        {
            self.hold_sender(id, sender);
        }
    }

    fn hold_sender(&mut self, receiver: SocketId, sender: SocketId) {
        let Some(link) = self.sockets.get_mut(receiver) else { return };
        let holding = &mut link.rare_mut().excess.holding;
        if holding.contains(&sender) {
            return;
        }
        holding.push(sender);
        if let Some(link) = self.sockets.get_mut(sender) {
            link.held_by += 1;
        }
    }

    /// The senders that this receiver held up are read from again, unless another holds them too.
    pub(super) fn release_senders(&mut self, receiver: SocketId) {
        let Some(rare) = self.sockets.get_mut(receiver).and_then(|link| link.rare_if_any()) else { return };
        for sender in std::mem::take(&mut rare.excess.holding) {
            if let Some(link) = self.sockets.get_mut(sender) {
                link.held_by = link.held_by.saturating_sub(1);
                self.list_if_readable(sender);
            }
        }
    }

    fn drop_oldest_above(&mut self, id: SocketId, hard: usize) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        let mut later = Later { id, queue: &mut self.deferred };
        // What is on its way stays, also when it waits for the connection: it is counted as a write already.
        let keep = link.connection.unsent_in_unit();
        while link.connection.queue().unsent() > hard {
            let Some(gone) = link.connection.queue_mut().drop_oldest(keep, &mut self.segments) else { return };
            link.connection.dropped(&gone, &mut later);
            self.counters.messages_dropped += u64::from(gone.messages);
        }
    }

    fn limited(&mut self, id: SocketId, which: &str, bound: usize) {
        let Some(link) = self.sockets.get(id) else { return };
        let unsent = link.connection.queue().unsent();
        self.counters.limited += 1;
        let error = Error::limit(format!("the other side does not read: {unsent} bytes unsent, {which} limit {bound}"));
        debug_assert_eq!(error.kind(), Code::OutputLimit);
        self.destroy_as(id, Some(error), Some(CloseReason::OutputLimit));
    }
}
