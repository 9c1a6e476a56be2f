//! The longest turn of late, for several who look: the loop itself forgets it when it is asked.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate::LongestTurn;

/// How long a turn is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The longest turn first, behind it the longest of those after it, and so on.
#[derive(Debug, Default)]
pub struct Longest {
    turns: VecDeque<(Duration, LongestTurn)>,
}

impl Longest {
    /// `turn` is the longest since this was called before. Gives the longest of the last minute; after a time in which nobody
    /// has looked, that of all this time.
    pub fn with(&mut self, now: Duration, turn: Option<LongestTurn>) -> Option<LongestTurn> {
        while self.turns.front().is_some_and(|(at, _)| now.saturating_sub(*at) > REMEMBERED) {
            self.turns.pop_front();
        }
        if let Some(turn) = turn {
            while self.turns.back().is_some_and(|(_, before)| before.time <= turn.time) {
                self.turns.pop_back();
            }
            self.turns.push_back((now, turn));
        }
        self.turns.front().map(|(_, turn)| *turn)
    }
}
