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
//! a reader that keeps up. The clock has its own timer, since a silent room gives no other occasion. It stops the moment that
//! the queue falls below, and is set back when the queue is empty: a reader that has caught up must not be punished later,
//! and one that only dips under the limit now and then has not.

use super::Conn;
use super::rare::Grace;
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::base::id::SocketId;
use crate::base::timers::Due;
use crate::connection::{CloseReason, Stage};
use crate::net::agenda::Task;
use crate::net::clock::TimerKind;
use crate::net::cx::Cx;
use crate::net::output_limits::{OutputLimits, OutputPolicy};
use crate::net::statistics::Budget;
use crate::net::trace::Kind;

fn drops(limits: &OutputLimits) -> bool {
    matches!(limits.policy, OutputPolicy::DropNewest | OutputPolicy::DropOldest)
}

#[inline]
fn lowest(limits: &OutputLimits) -> usize {
    limits.soft.map(|soft| soft.bytes).or(limits.hard).unwrap_or(usize::MAX)
}

impl Conn {
    /// Sets the output limits. What is queued already is judged at the next write.
    pub fn set_output_limits(&mut self, options: OutputLimits, cx: &mut Cx) {
        self.release_senders(cx);
        self.limits = options.shared();
        self.stop_grace(cx);
        if let Some(rare) = self.rare_if_any() {
            rare.excess.grace = Grace::UNUSED;
        }
    }

    /// Whether a write of `length` bytes may be queued. Only the policy that drops the newest says no.
    #[inline]
    pub(super) fn has_room_or_makes_it(&mut self, length: usize, cx: &mut Cx) -> bool {
        match self.limits.as_deref() {
            Some(&OutputLimits { hard: Some(hard), policy: OutputPolicy::DropNewest, .. }) => {
                self.fits_or_drop(length, hard, cx)
            }
            _ => true,
        }
    }

    fn fits_or_drop(&mut self, length: usize, hard: usize, cx: &mut Cx) -> bool {
        let fits =
            |conn: &Conn| conn.connection.is_free_to_write() || conn.connection.queue().unsent() + length <= hard;
        if fits(self) || !self.connection.is_writable() {
            return true;
        }
        // What only waits for the flush has not been refused by anybody: it goes out, and then there is room perhaps.
        self.write_waiting(cx);
        if fits(self) {
            return true;
        }
        self.drop_newest(length, cx);
        false
    }

    fn drop_newest(&mut self, length: usize, cx: &mut Cx) {
        self.count_dropped(length, cx);
        self.connection.need_drain();
    }

    /// A message is dropped, the newest or another.
    fn count_dropped(&mut self, bytes: usize, cx: &mut Cx) {
        cx.counters.messages_dropped += 1;
        cx.agenda.notes.add(self.id, Kind::Dropped, || "a message was dropped".to_owned());
        let (messages_dropped, bytes_dropped) = &mut self.rare_mut().excess.dropped;
        *messages_dropped += 1;
        *bytes_dropped += bytes as u64;
    }

    /// How many of its messages were dropped, and their bytes.
    pub fn dropped(&self) -> (u64, u64) {
        self.rare().excess.dropped
    }

    /// Whether so many bytes more are below all limits: then there is nothing to judge.
    #[inline]
    pub(super) fn has_room_for(&self, length: usize) -> bool {
        self.connection.queue().unsent() + length <= self.lowest_limit()
    }

    /// The limit that is passed first.
    #[inline]
    pub(super) fn lowest_limit(&self) -> usize {
        self.limits.as_deref().map_or(usize::MAX, lowest)
    }

    /// Judges a connection by its unsent bytes.
    #[inline]
    pub(super) fn judge(&mut self, cx: &mut Cx) {
        // Of most connections it is known that no grace period runs and that they hold up nobody.
        if self.rare.is_some() || !self.has_room_for(0) {
            self.judge_limited(cx);
        }
    }

    /// Whether a message of a broadcast is queued that passes a limit.
    #[cold]
    pub(super) fn takes_above_limit(&mut self, length: usize, cx: &mut Cx) -> bool {
        if self.connection.stage() == Stage::Fresh {
            return false;
        }
        match self.limits.as_deref() {
            // What waits for the flush has not been refused by anybody.
            Some(OutputLimits { hard: Some(hard), policy: OutputPolicy::DropNewest, .. }) => {
                let fits = self.waits_for_flush() || self.connection.queue().unsent() + length <= *hard;
                if !fits && self.connection.is_writable() {
                    self.drop_newest(length, cx);
                    return false;
                }
                true
            }
            _ => true,
        }
    }

    /// A message of a broadcast was queued that may pass a limit.
    #[cold]
    pub(super) fn passed_limit(&mut self, sender: Option<SocketId>, cx: &mut Cx) {
        if self.has_room_for(0) {
            return;
        }
        if self.waits_for_flush() {
            // The flush shows whether it keeps up. Nobody should speak before.
            cx.time.use_up();
            cx.cut(Budget::Receiver);
            cx.agenda
                .notes
                .add(self.id, Kind::Budget, || "above a limit: it is flushed before more is said".to_owned());
        } else if self.limits.as_deref().is_some_and(drops) {
            return self.judge(cx);
        }
        let excess = &mut self.rare_mut().excess;
        excess.to_be_judged = true;
        if let Some(sender) = sender
            && !excess.heard.contains(&sender)
        {
            excess.heard.push(sender);
        }
        self.flush_later(cx);
    }

    /// Whether all that is queued will be offered to the kernel in the flush, and none of it was before.
    fn waits_for_flush(&self) -> bool {
        self.connection.is_free_to_write() || self.connection.is_connected() && self.connection.has_write_ready()
    }

    /// Whether it has passed a limit since it was flushed last.
    #[inline]
    pub(super) fn is_to_be_judged(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.excess.to_be_judged)
    }

    /// Judges a receiver that was flushed. If it is still above its soft limit, those that it has heard since the last flush
    /// wait for it.
    #[inline]
    pub(super) fn judge_flushed(&mut self, cx: &mut Cx) {
        self.judge(cx);
        if self.is_to_be_judged() {
            self.hold_heard(cx);
        }
    }

    fn hold_heard(&mut self, cx: &mut Cx) {
        let (receiver, holds) = (self.id, self.holds_senders());
        let excess = &mut self.rare_mut().excess;
        excess.to_be_judged = false;
        for sender in std::mem::take(&mut excess.heard) {
            if holds && !excess.holding.contains(&sender) {
                excess.holding.push(sender);
                cx.agenda.notes.add(sender, Kind::Held, || format!("not read: {receiver} is above its soft limit"));
                cx.agenda.push(Task::HoldSender(sender));
            }
        }
    }

    fn judge_limited(&mut self, cx: &mut Cx) {
        let Some(limits) = self.limits.as_deref().copied() else { return };
        if let Some(hard) = limits.hard
            && self.connection.queue().unsent() > hard
        {
            match limits.policy {
                OutputPolicy::Disconnect | OutputPolicy::PauseSenders => return self.disconnect("hard", hard, cx),
                OutputPolicy::DropNewest => {}
                OutputPolicy::DropOldest => self.drop_oldest_above(hard, cx),
            }
        }
        self.run_grace(&limits, cx);
    }

    /// Starts or stops the grace period's clock.
    fn run_grace(&mut self, limits: &OutputLimits, cx: &mut Cx) {
        if !self.is_above_soft() {
            return self.relieve_limited(cx);
        }
        let Some(soft) = limits.soft.filter(|_| !drops(limits)) else { return };
        if let Grace::Stopped { used } = self.rare().excess.grace {
            let since = cx.time_of_call();
            let left = soft.grace.saturating_sub(used);
            let end = cx.clock.timers.insert_after(since, left, TimerKind::Grace(self.id));
            self.rare_mut().excess.grace = Grace::Running { used, since, end };
            cx.counters.above_soft += 1;
            let text = || format!("above its soft limit: it has {left:?} to catch up");
            cx.agenda.notes.add(self.id, Kind::State, text);
        }
    }

    /// The grace period has ended.
    pub fn expire_grace(&mut self, cx: &mut Cx) {
        if let Some(soft) = self.limits.as_ref().and_then(|limits| limits.soft)
            && self.is_above_soft()
        {
            self.disconnect("soft", soft.bytes, cx);
        }
        self.stop_grace(cx);
    }

    /// The queue has become shorter.
    #[inline]
    pub(super) fn relieve(&mut self, cx: &mut Cx) {
        if self.rare.is_some() {
            self.relieve_limited(cx);
        }
    }

    /// It can only stop the clock: what made the queue shorter is no reason to start it, and what a pipe has put there
    /// is not judged at all.
    fn relieve_limited(&mut self, cx: &mut Cx) {
        if !self.is_above_soft() {
            self.stop_grace(cx);
            self.release_senders(cx);
        }
        if self.connection.queue().unsent() == 0
            && let Some(rare) = self.rare_if_any()
        {
            rare.excess.grace = Grace::UNUSED;
        }
    }

    fn stop_grace(&mut self, cx: &mut Cx) {
        let Some(rare) = self.rare_if_any() else { return };
        if let Grace::Running { used, since, end } = rare.excess.grace {
            cx.clock.cancel(Some(end));
            cx.counters.above_soft -= 1;
            let used = used + cx.time_of_call().saturating_sub(since);
            rare.excess.grace = Grace::Stopped { used };
        }
    }

    /// The senders that this receiver held up are read from again, unless another holds them too.
    fn release_senders(&mut self, cx: &mut Cx) {
        let receiver = self.id;
        let Some(rare) = self.rare_if_any() else { return };
        for sender in std::mem::take(&mut rare.excess.holding) {
            cx.agenda.notes.add(sender, Kind::State, || format!("{receiver} does not hold it up any more"));
            cx.agenda.push(Task::ReleaseSender(sender));
        }
    }

    fn drop_oldest_above(&mut self, hard: usize, cx: &mut Cx) {
        // What is on its way stays, also when it waits for the connection: it is counted as a write already.
        let keep = self.connection.unsent_in_current();
        while self.connection.queue().unsent() > hard {
            let Some(evicted) = self.connection.queue_mut().drop_oldest(keep, &mut cx.segments) else { return };
            self.count_dropped(evicted.bytes, cx);
            self.connection.evicted(&evicted, &mut cx.agenda.of(self.id));
        }
    }

    /// Drops messages as the policy says, while `is_above`.
    pub fn drop_for_memory(&mut self, is_above: impl Fn(&Cx) -> bool, cx: &mut Cx) {
        let Some(policy) = self.limits.as_deref().filter(|limits| drops(limits)).map(|limits| limits.policy) else {
            return;
        };
        let keep = self.connection.unsent_in_current();
        while is_above(cx) {
            let (queue, segments) = (self.connection.queue_mut(), &mut cx.segments);
            let evicted = match policy {
                OutputPolicy::DropNewest => queue.drop_newest(keep, segments),
                _ => queue.drop_oldest(keep, segments),
            };
            let Some(evicted) = evicted else { return };
            self.count_dropped(evicted.bytes, cx);
            self.connection.evicted(&evicted, &mut cx.agenda.of(self.id));
        }
    }

    pub fn disconnect(&mut self, which: &str, bound: usize, cx: &mut Cx) {
        let unsent = self.connection.queue().unsent();
        cx.counters.limited += 1;
        let mut text = format!("the other side does not read: {unsent} bytes unsent, {which} limit {bound}");
        if let Grace::Running { used, since, .. } = self.rare().excess.grace {
            let above = used + cx.time_of_call().saturating_sub(since);
            text.push_str(&format!(", {above:.1?} above the soft limit"));
        }
        let error = Error::limit(text);
        debug_assert_eq!(error.kind(), ErrorKind::OutputLimit);
        self.destroy(Some(error), Some(CloseReason::OutputLimit), cx);
    }

    /// Whether a sender has to wait for it. Where messages are dropped instead, none has.
    pub fn holds_senders(&self) -> bool {
        self.is_above_soft() && self.limits.as_deref().is_some_and(|limits| !drops(limits))
    }

    pub fn is_above_soft(&self) -> bool {
        let soft = self.limits.as_ref().and_then(|limits| limits.soft);
        soft.is_some_and(|soft| self.connection.queue().unsent() > soft.bytes)
    }

    /// The end of its grace period in the timers.
    pub fn grace(&self) -> Option<Due> {
        match self.rare().excess.grace {
            Grace::Running { end, .. } => Some(end),
            Grace::Stopped { .. } => None,
        }
    }

    /// Those that are not read from because of it.
    pub fn held_senders(&self) -> &[SocketId] {
        &self.rare().excess.holding
    }
}
