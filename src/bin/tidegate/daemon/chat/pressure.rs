//! While most readers are behind, speakers are read more slowly.
//!
//! A hundred speakers who each keep to the flood limit may say more together than an honest reader can take, and the output
//! limits would disconnect the reader. So speakers wait while more than half of the readers are above their soft limit. One
//! reader that is stuck slows nobody: it is disconnected after the grace period. For no longer than that does anybody wait, so
//! that readers who are slow on purpose cannot stop a room.
//!
//! If the room is shared, the stream is such a speaker: see `outputs.rs`.

use std::time::Duration;

use tidegate::{Loop, SocketId};

use super::room::{Presence, Room};

/// A guest of whom nothing has come for so long is a reader, and no speaker.
const SILENT: Duration = Duration::from_secs(1);

/// How often a speaker looks whether it has to wait still.
pub const PAUSE: Duration = Duration::from_millis(20);

/// What may be said in a turn. Whether readers keep up shows when it was sent to them, at the end of the turn; many speakers
/// could take them from below the soft limit to above the hard one before that.
const MOST_IN_A_TURN: usize = 64 * 1024;

#[derive(Debug, Default)]
pub struct SaidInTurn {
    turn: u64,
    bytes: usize,
}

impl SaidInTurn {
    /// What follows is said in this turn. The same one may begin more than once.
    pub fn begin(&mut self, turn: u64) {
        if self.turn != turn {
            *self = SaidInTurn { turn, bytes: 0 };
        }
    }

    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    pub fn is_enough(&self) -> bool {
        self.bytes >= MOST_IN_A_TURN
    }
}

#[derive(Debug, Default)]
pub struct Pressure {
    /// Since when most of the readers have been behind.
    since: Option<Duration>,
    /// The turn in which that was found.
    turn: Option<u64>,
    holds: bool,
}

impl Pressure {
    fn was_judged(&self, turn: u64) -> bool {
        self.turn == Some(turn)
    }

    /// So many of the `readers` are `behind`, and the grace period is so long.
    fn judge(&mut self, behind: usize, readers: usize, grace: Duration, now: Duration, turn: u64) {
        self.turn = Some(turn);
        if behind * 2 <= readers {
            self.since = None;
        }
        self.holds = behind * 2 > readers && now.saturating_sub(*self.since.get_or_insert(now)) < grace;
    }

    /// Whether speakers have to wait.
    fn holds(&self) -> bool {
        self.holds
    }
}

/// Whether speakers have to wait, of whom `speaker` is one. It is looked at once in a turn: what was said shows at its end.
pub fn readers_are_behind(on: &mut Loop<'_, Room>, speaker: Option<SocketId>) -> bool {
    let (counters, now) = (on.net.counters(), on.net.now());
    if counters.above_soft == 0 {
        on.state.pressure = Pressure::default();
        return false;
    }
    let Some(soft) = on.state.options.output.limits().soft else { return false };
    if !on.state.pressure.was_judged(counters.turns) {
        let (behind, readers) = readers_behind(on, speaker, soft.bytes, now);
        on.state.pressure.judge(behind, readers, soft.grace, now, counters.turns);
    }
    on.state.pressure.holds()
}

/// Readers are guests who have said nothing for a moment: speakers who do not read must not hide that those who listen are
/// behind. If all speak, all but this one are readers.
fn readers_behind(on: &Loop<'_, Room>, speaker: Option<SocketId>, soft: usize, now: Duration) -> (usize, usize) {
    let others =
        on.state.guests.iter().filter(|(id, guest)| Some(**id) != speaker && guest.presence() != Presence::Gone);
    let (mut all, mut silent) = ((0, 0), (0, 0));
    for (id, guest) in others {
        let is_behind = usize::from(on.net.connection(*id).unsent() > soft);
        all = (all.0 + is_behind, all.1 + 1);
        if guest.held.is_empty() && now.saturating_sub(guest.last_heard) >= SILENT {
            silent = (silent.0 + is_behind, silent.1 + 1);
        }
    }
    if silent.1 > 0 { silent } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn speakers_wait_while_more_than_half_of_the_readers_are_behind() {
        for (behind, readers, holds) in
            [(0, 0, false), (0, 1, false), (1, 1, true), (1, 2, false), (2, 3, true), (50, 100, false), (51, 100, true)]
        {
            let mut pressure = Pressure::default();
            pressure.judge(behind, readers, GRACE, at(0), 1);
            assert_eq!(pressure.holds(), holds, "{behind} of {readers}");
        }
    }

    #[test]
    fn what_is_said_counts_for_its_turn() {
        let mut said = SaidInTurn::default();
        said.begin(7);
        said.add(MOST_IN_A_TURN - 1);
        assert!(!said.is_enough());
        said.begin(7);
        said.add(1);
        assert!(said.is_enough());
        said.begin(8);
        assert!(!said.is_enough());
    }

    #[test]
    fn they_wait_no_longer_than_the_grace_period_at_a_time() {
        let mut pressure = Pressure::default();
        let mut holds = |behind, second| {
            pressure.judge(behind, 2, GRACE, at(second), second);
            pressure.holds()
        };
        assert!(holds(2, 1) && holds(2, 10) && !holds(2, 11) && !holds(2, 100));
        assert!(!holds(1, 101), "they have caught up");
        assert!(holds(2, 102));
    }
}
