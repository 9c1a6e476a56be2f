//! The order of the table of connections.

use std::fmt;

use clap::ValueEnum;

/// By what the rows are in order. By all but the id, the greatest is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Sort {
    Id,
    Queued,
    In,
    Out,
    Age,
    Idle,
    ReadAhead,
    Dropped,
}

impl Sort {
    /// The word is the same on the command line and in a request to an inspector.
    pub fn of(word: &str) -> Option<Self> {
        Sort::from_str(word, false).ok()
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |word| f.write_str(word.get_name()))
    }
}
