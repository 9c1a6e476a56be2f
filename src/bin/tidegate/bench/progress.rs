//! The progress bar, on a terminal only.
//!
//! indicatif would draw it in a thread of its own. Here a timer of the event loop does it.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidegate::EventLoop;

use super::run::{Bench, Load};
use super::run_state::Stage;

/// The position of the bar counts to this.
const STEPS: u32 = 1000;

const REDRAWN_EVERY: Duration = Duration::from_millis(200);

/// The timer owns the bar.
pub fn show<L: Load>(event_loop: &mut EventLoop<Bench<L>>) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let bar = ProgressBar::with_draw_target(Some(u64::from(STEPS)), ProgressDrawTarget::stderr());
    // With a wrong template the bar would keep its default style.
    if let Ok(style) = ProgressStyle::with_template("{msg} [{wide_bar}] {elapsed}") {
        bar.set_style(style.progress_chars("=> "));
    }
    event_loop.every(REDRAWN_EVERY, move |on| {
        let run = &on.state.run;
        bar.set_position((run.progress() * f64::from(STEPS)) as u64);
        let opened = run.connections.opened;
        bar.set_message(match run.stage {
            Stage::Connecting => format!("connecting: {opened} open"),
            Stage::WarmingUp => "warming up".to_owned(),
            Stage::Measuring if L::MEASURES_CONNECTS => format!("holding {opened} connections"),
            Stage::Measuring => format!("measuring: {} so far", run.measurement.count),
            Stage::Draining | Stage::Over => "waiting for the last answers".to_owned(),
        });
    });
}
