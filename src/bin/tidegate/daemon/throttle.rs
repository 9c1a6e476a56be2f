//! A rate limit for warnings.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tidegate::Loop;

/// Passes on at most one warning per second, so that a flood of connections does not become a flood of log lines. The
/// others are logged at `-v`, and counted in the next warning or when a second is over. A clone is the same.
#[derive(Clone, Default)]
pub struct Throttle(Rc<RefCell<Held>>);

#[derive(Default)]
struct Held {
    last: Option<Duration>,
    count: u64,
}

impl Throttle {
    pub fn warn<S: 'static>(&self, on: &mut Loop<'_, S>, what: &dyn fmt::Display) {
        const SECOND: Duration = Duration::from_secs(1);

        let (now, mut held) = (on.net.now(), self.0.borrow_mut());
        if held.last.is_some_and(|last| now < last + SECOND) {
            held.count += 1;
            if held.count == 1 {
                let throttle = self.clone();
                let timer = on.after(SECOND, move |_| throttle.0.borrow_mut().tell());
                on.set_ref(timer, false);
            }
            return log::debug!("{what}");
        }
        held.tell();
        held.last = Some(now);
        log::warn!("{what}");
    }
}

impl Held {
    fn tell(&mut self) {
        match std::mem::take(&mut self.count) {
            0 => {}
            others => log::warn!("and {others} more of the same kind within a second: -v has each"),
        }
    }
}

/// The loop ends before the second is over.
impl Drop for Held {
    fn drop(&mut self) {
        self.tell();
    }
}
