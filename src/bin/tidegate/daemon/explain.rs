//! What the loop does, told: `--explain` for people, and each line of the trace at `-vv`.

use tidegate::{EventLoop, Explainer, Net, TraceLine};

use crate::cli::{ExplainOptions, Followed};
use crate::process::log::explanation;
use crate::process::outside;

/// Has the loop tell what it does, if that is asked for.
pub fn explain<S>(event_loop: &mut EventLoop<S>, options: &ExplainOptions) {
    let pause = options.slow_motion();
    // A daemon waits for no reader. A run that is played does: it has nothing else to do.
    let is_played = outside::is_played();
    let explainer = Explainer::new(move |paragraph: &str| {
        if is_played {
            if !outside::say(paragraph) {
                // Nobody reads on, so there is nothing more to do.
                std::process::exit(0);
            }
        } else {
            explanation(paragraph);
        }
        std::thread::sleep(pause);
    });
    match options.followed() {
        Some(Followed::All) => event_loop.net.trace(explainer),
        Some(Followed::Connection(number)) => event_loop.net.trace(explainer.only(number)),
        None if log::log_enabled!(log::Level::Trace) => trace(&mut event_loop.net),
        None => {}
    }
}

/// Each line goes to the log.
pub fn trace(net: &mut Net) {
    net.trace(|line: &TraceLine<'_>| log::trace!("{line}"));
}
