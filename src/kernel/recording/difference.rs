//! How a run that is played has ended, and where it was not the run of then.

use std::fmt;

/// Where a program did not do what it did then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The number of the turn, from 1. What comes before the first wait is turn 0.
    pub turn: u64,
    /// The number of the call within the turn, from 1. Looks at the clock and other questions do not count.
    pub call: u64,
    /// What was done then.
    pub then: String,
    /// What is done now.
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { turn, call, then, now } = self;
        write!(f, "turn {turn}, call {call}\n  then: {then}\n   now: {now}")
    }
}

/// How a run that is played has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEnd {
    /// The program has ended where it ended then.
    Ended,
    /// The recording goes no further, for this reason: it was stopped or cut. Up to here all was as then.
    NoMore(String),
    /// The recording cannot be played further, for this reason: it is damaged, or cannot be read. Up to here all was as then.
    Damaged(String),
    /// The turn was reached that the run was to be played up to.
    Until,
    /// From here on the program does something else.
    Differs(Difference),
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunEnd::Ended => f.write_str("it ended as it ended then"),
            RunEnd::NoMore(why) => write!(f, "the recording goes no further: {why}"),
            RunEnd::Damaged(why) => write!(f, "the recording cannot be played further: {why}"),
            RunEnd::Until => f.write_str("it was to be played up to here"),
            RunEnd::Differs(difference) => write!(f, "it differs in {difference}"),
        }
    }
}
