//! What the node says to the others, and when it goes out.

use std::time::Duration;

use super::super::absence::Until;
use super::super::entry::{Entry, What};
use super::super::list::{List, Listed, MOST_LISTED};
use super::super::notice::Notice;
use super::super::output::Output;
use super::{ALIVE, ANSWER, Connection, HELLO, LIST, Node, Stand};

impl Node {
    /// After each call: what is lacking is said, and what may go out goes out.
    pub(super) fn catch_up_with_guests(&mut self, now: Duration) {
        if self.hello.is_none() && self.due.hello <= now && self.may_speak() {
            self.introduce(now);
        }
        if self.is_to_list && self.due.answer <= now && self.may_list() {
            self.list(now); // before claims, so that whoever reads it knows what they are decided by
        }
        if self.may_claim() {
            self.reconcile(now);
        }
        self.drop_what_is_too_much();
        self.tell_what_was_not_heard();
        self.publish();
    }

    /// As far as there is room: the claims of many guests must not take the place of lines, or of the hello before them.
    fn reconcile(&mut self, now: Duration) {
        while let Some(from) = self.reconciled.filter(|_| self.outbox.has_room()) {
            let next = self.here.next(from);
            self.reconciled = next.map(|guest| guest + 1);
            next.into_iter().for_each(|guest| self.state(guest, now));
        }
    }

    fn publish(&mut self) {
        if self.connection != Connection::Live {
            return;
        }
        while self.may_publish()
            && let Some(next) = self.outbox.next_to_publish()
        {
            let (sequence, lines, what) = (next.sequence, next.lines, next.what.clone());
            let born = self.born.unwrap_or_default();
            let entry = Entry { label: self.label.clone(), boot: self.boot, sequence, lines, born, what };
            self.outputs.push_back(Output::Publish(entry));
            self.outbox.is_published(sequence);
        }
    }

    /// Before the first hello has been read no other entry can say where the boot began. And an engine that has taken nothing
    /// gets one entry at a time.
    fn may_publish(&self) -> bool {
        let must_show = matches!(&self.stand, Stand::Away(absence) if absence.until() == Until::ReadBack);
        !(must_show || self.born.is_none()) || !self.outbox.is_under_way()
    }

    /// It has read to the end, and goes on.
    fn may_speak(&self) -> bool {
        self.connection == Connection::Live && self.bye.is_none()
    }

    /// A list without the names that the guests still have at other nodes would be wrong. And it must not take the place of
    /// lines.
    fn may_list(&self) -> bool {
        let is_introduced = self.born.is_some() && self.hello.is_some();
        self.may_speak() && !self.is_away() && is_introduced && self.outbox.has_room()
    }

    /// Whether the others will decide a claim as this node does.
    pub(super) fn may_claim(&self) -> bool {
        self.roster.is_sure() && self.hello.is_some() && self.bye.is_none()
    }

    /// Says hello, which takes the names of the guests away, and claims them again.
    fn introduce(&mut self, now: Duration) {
        if std::mem::take(&mut self.is_to_begin_anew) {
            self.outbox.begins_anew();
        }
        let hello = self.outbox.push(What::Hello, true, now);
        self.hello = Some(hello);
        self.declared.clear(); // what was declared before may not have counted: this node was dead itself
        self.here.forget_claims(hello);
        self.here.forget_vacant();
        self.reconciled = Some(0);
        self.due.hello = now + HELLO;
    }

    pub(super) fn say_of_own_accord(&mut self, now: Duration) {
        self.give_up_vacant(now);
        if self.due.list <= now {
            self.due.list = now + LIST;
            self.is_to_list = true;
        }
        if self.due.alive <= now {
            self.due.alive = now + ALIVE;
            let is_shown_by_a_list = self.is_to_list && self.may_list();
            // What waits for a node that reads shows that it is alive, and is published again.
            if self.outbox.len() == 0 && !is_shown_by_a_list || self.is_behind {
                self.outbox.push(What::Alive, true, now);
            }
        }
        if self.needs_lists() && self.due.hello <= now {
            self.hello = None;
        }
    }

    pub(super) fn next_of_own_accord(&self) -> Duration {
        let hello = (self.hello.is_none() || self.needs_lists()).then_some(self.due.hello);
        let answer = (self.is_to_list && self.may_list()).then_some(self.due.answer);
        hello.into_iter().chain(answer).fold(self.due.alive.min(self.due.list), Duration::min)
    }

    /// Claims were read that only other nodes can decide.
    fn needs_lists(&self) -> bool {
        self.roster.has_undecided() && self.born.is_some() && !self.is_away()
    }

    /// Lists all guests, in parts: what is not listed is not there.
    fn list(&mut self, now: Duration) {
        self.is_to_list = false;
        self.due.list = now + LIST;
        self.due.answer = now + ANSWER;
        let listed = |(guest, here): (u64, &super::super::here::Guest)| {
            let whom = self.whom(guest);
            let name = self.roster.name(whom).map(str::to_owned);
            let granted = self.roster.granted(whom);
            let is_announced = here.join.is_some() || self.roster.is_announced(whom);
            Listed { guest, name, granted, is_announced }
        };
        let all: Vec<Listed> = self.here.iter().map(listed).collect();
        let mut parts: Vec<&[Listed]> = all.chunks(MOST_LISTED).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let mut from = 0;
        let last = parts.len() - 1;
        for (at, part) in parts.into_iter().enumerate() {
            let to = if at == last { u64::MAX } else { part.last().map_or(0, |listed| listed.guest) };
            let boots = self.roster.boots().filter(|_| at == 0);
            let list = List { read: self.read_to, from, to, boots, guests: part.to_vec() };
            self.outbox.push(What::List(list), true, now);
            from = to.saturating_add(1);
        }
    }

    /// Nothing is published again that may have become wrong since.
    pub(super) fn takes_back_what_may_be_old(&mut self) {
        self.outbox.takes_back_what_may_be_old();
        self.declared.clear();
        self.is_to_list = true;
    }

    /// Once each, until it is read.
    pub(super) fn declare_the_silent_dead(&mut self, now: Duration) {
        if !matches!(self.stand, Stand::Together) || self.bye.is_some() {
            return;
        }
        let silent = if self.is_fresh { self.roster.unheard_of(self.read_to) } else { self.roster.silent() };
        for boot in silent {
            if self.declared.insert(boot) {
                self.outbox.push(What::Dead { boot }, true, now);
            }
        }
    }

    fn drop_what_is_too_much(&mut self) {
        while self.outbox.is_too_full() {
            if self.outbox.is_oldest_to_be_told() {
                self.go_away(Until::End); // what is dropped has to be told here before
            }
            let Some(dropped) = self.outbox.drop_oldest() else { return };
            self.lose(dropped.sequence, dropped.what == What::Hello);
        }
    }

    /// Own entries up to this one will not come any more, or are not waited for. How many lines were among them, the next one
    /// that comes shows.
    pub(super) fn lose(&mut self, up_to: u64, a_hello: bool) {
        if a_hello {
            self.hello = None;
        }
        self.here.forget_claims(up_to);
        self.here.forget_joins(up_to);
        self.declared.clear();
        self.reconciled = Some(0);
        self.is_to_list = true;
    }

    fn tell_what_was_not_heard(&mut self) {
        if self.untold_not_heard > 0 && matches!(self.stand, Stand::Together) {
            let lines = std::mem::take(&mut self.untold_not_heard);
            self.outputs.push_back(Output::Notice(Notice::NotHeard { lines }));
        }
    }
}
