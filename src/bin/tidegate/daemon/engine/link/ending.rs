//! The end of an attempt, and of what came of it.

use std::time::Duration;

use tidegate::Loop;

use super::connecting::attempt;
use super::{Linked, State};
use crate::daemon::engine::failure::{Failure, Lasts};

pub fn lose<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, failure: &Failure) {
    if fail(on, attempt, failure) {
        S::lost(on, failure.why.clone());
    }
}

/// A publication was answered with an error.
pub fn refuse<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, failure: &Failure) {
    if fail(on, attempt, failure) {
        S::refused(on, failure.why.clone());
    }
}

/// Both connections are given up, and made again later. Whether they were open.
pub fn fail<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, failure: &Failure) -> bool {
    let now = on.net.now();
    let link = on.state.link();
    if link.attempt != attempt {
        return false;
    }
    link.attempt += 1;
    let (pair, since) = match std::mem::replace(&mut link.state, State::Waiting) {
        State::Opening(pair) => (pair, None),
        State::Open { pair, since, .. } => (pair, Some(since)),
        State::Idle | State::Waiting => return false,
    };
    on.net.destroy(pair.publisher.socket);
    on.net.destroy(pair.reader.socket);
    try_later(on, since.map_or(Duration::ZERO, |since| now.saturating_sub(since)), failure);
    since.is_some()
}

/// The link, which has `lasted` so long, waits for its next attempt.
pub fn try_later<S: Linked>(on: &mut Loop<'_, S>, lasted: Duration, failure: &Failure) {
    let is_shutting_down = on.is_shutting_down();
    let link = on.state.link();
    link.figures.why = Some(failure.why.clone());
    let (number, mut retry) = (link.attempt, link.retry.clone());
    if !is_shutting_down {
        log::warn!("{}: {}", retry.name, failure.why);
    }
    let lasted = match failure.lasts {
        Lasts::AWhile => lasted,
        Lasts::UntilChanged => {
            retry.has_to_be_changed();
            Duration::ZERO
        }
    };
    retry.later(on, lasted, move |on, retry| {
        let link = on.state.link();
        if link.attempt == number {
            link.retry = retry;
            attempt(on);
        }
    });
}
