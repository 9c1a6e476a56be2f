//! The clock of a run. It stands still while this process does not run: suspended by SIGSTOP or Ctrl-Z, or on a virtual
//! machine that is moved.
//!
//! Otherwise an answer that came meanwhile would be as late as this process itself, what was due meanwhile would never have
//! been sent, and a silence of which this process heard nothing would be the server's.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The clock is read at least this often. The event loop has a timer for it.
pub const READ_EVERY: Duration = Duration::from_millis(100);

/// Between two readings: more than this is no delay of a busy machine.
const SUSPENDED: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    /// The latest reading, with the time in which this process did not run.
    read: Cell<Duration>,
    suspended: Cell<Duration>,
}

impl Clock {
    pub fn new() -> Self {
        Clock { origin: Instant::now(), read: Cell::default(), suspended: Cell::default() }
    }

    #[inline]
    pub fn now(&self) -> Duration {
        self.at(self.origin.elapsed())
    }

    /// How long it has stood still.
    pub fn suspended(&self) -> Duration {
        self.suspended.get()
    }

    #[inline]
    fn at(&self, elapsed: Duration) -> Duration {
        let since_last = elapsed.saturating_sub(self.read.replace(elapsed));
        if since_last > SUSPENDED {
            self.suspended.set(self.suspended.get() + since_last);
        }
        elapsed.saturating_sub(self.suspended.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_while_nobody_reads_it() {
        let ms = Duration::from_millis;
        let clock = Clock::new();
        assert_eq!([100, 200, 650].map(|elapsed| clock.at(ms(elapsed))), [100, 200, 650].map(ms));
        assert_eq!(clock.suspended(), Duration::ZERO);
        assert_eq!([3650, 3700, 9700].map(|elapsed| clock.at(ms(elapsed))), [650, 700, 700].map(ms));
        assert_eq!(clock.suspended(), ms(9000));
    }
}
