//! Names of guests who have gone before the others knew of them: of a port scan, a health check, a client of HTTP. The next guests get them, so
//! that such clients leave nothing in the stream but the first claims.

use std::time::Duration;

use super::Node;

/// More of them go. It is a list of some 4 KB, and more clients than this come at the same time only if somebody means it.
const MOST: usize = 100;

/// A health check comes again long before.
const KEPT_FOR: Duration = Duration::from_secs(60);

impl Node {
    /// A guest who has no name may have this number: it [arrives](Node::arrives) with a name that is decided. None: it has to be a new one.
    pub fn vacant(&mut self) -> Option<u64> {
        self.here.take_vacant()
    }

    /// Whether the name of a guest who leaves is kept for the next one.
    pub(super) fn vacate(&mut self, guest: u64, now: Duration) -> bool {
        let is_known = self.roster.knows(self.whom(guest));
        let is_kept = |here: &super::Here| {
            here.get(guest).is_some_and(|here| here.is_new_number() && (is_known || here.claim.is_some()))
        };
        if self.bye.is_some() || !is_kept(&self.here) {
            return false;
        }
        self.here.vacate(guest, now);
        while self.here.vacant() > MOST {
            self.give_up_oldest(now);
        }
        true
    }

    /// Nobody came for it.
    pub(super) fn give_up_vacant(&mut self, now: Duration) {
        while self.here.vacant_since().is_some_and(|since| since + KEPT_FOR <= now) {
            self.give_up_oldest(now);
        }
    }

    fn give_up_oldest(&mut self, now: Duration) {
        if let Some(guest) = self.here.oldest_vacant() {
            self.goes(guest, now);
        }
    }
}
