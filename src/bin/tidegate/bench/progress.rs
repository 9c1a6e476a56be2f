//! The bar that shows how far a measurement is, on a terminal only.
//!
//! indicatif would draw it from a thread of its own; here a timer of the loop does.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidegate::EventLoop;

use super::course::{Load, Stage};

const REDRAWN_EVERY: Duration = Duration::from_millis(200);

/// It lives in its timer.
pub fn show<L: Load>(event_loop: &mut EventLoop<L>) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    // A template that is wrong would leave the bar as it is by itself.
    if let Ok(style) = ProgressStyle::with_template("{msg:<40} [{bar:30}] {elapsed}") {
        bar.set_style(style.progress_chars("=> "));
    }
    event_loop.every(REDRAWN_EVERY, move |on| {
        let course = on.state.course();
        let (over, all) = course.progress();
        bar.set_length(milliseconds(all));
        bar.set_position(milliseconds(over));
        let opened = course.connecting.opened;
        bar.set_message(match course.stage {
            Stage::Connecting => format!("connecting: {opened} open"),
            Stage::WarmingUp => "warming up".to_owned(),
            Stage::Measuring if L::CONNECTING_COUNTS => format!("holding {opened} connections"),
            Stage::Measuring => format!("measuring: {} so far", course.measured.count),
            Stage::Draining | Stage::Over => "waiting for what is under way".to_owned(),
        });
    });
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
