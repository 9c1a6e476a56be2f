//! An attempt: both connections are made, and each is greeted.

use std::time::Duration;

use tidegate::{Loop, OutputLimits, Socket, SocketOptions};

use super::answers::receive;
use super::ending::{lose, try_later};
use super::patience::expect_answer;
use super::{Figures, Half, Linked, Pair, Publishing, Reading, Role, SILENCE, State};
use crate::daemon::engine::Settings;
use crate::daemon::engine::failure::Failure;
use crate::daemon::engine::greeting::Greeting;
use crate::daemon::engine::reply::{Bounds, Replies};

pub fn attempt<S: Linked>(on: &mut Loop<'_, S>) {
    let link = on.state.link();
    link.attempt += 1;
    let attempt = link.attempt;
    let pair = connect(on, attempt, Role::Publisher).and_then(|publisher| match connect(on, attempt, Role::Reader) {
        Ok(reader) => Ok(Pair { publisher, reader }),
        Err(error) => {
            on.net.destroy(publisher.socket);
            Err(error)
        }
    });
    let link = on.state.link();
    match pair {
        Ok(pair) => {
            link.state = State::Opening(pair);
            expect_answer(on, attempt, Role::Publisher, SILENCE * 2);
            expect_answer(on, attempt, Role::Reader, SILENCE * 2);
        }
        Err(error) => {
            link.state = State::Waiting;
            try_later(on, Duration::ZERO, &Failure::lost(error));
        }
    }
}

fn connect<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, role: Role) -> Result<Half, tidegate::Error> {
    let settings = &on.state.link().settings;
    let (engine, options) = (settings.engine.at, options(settings));
    let socket = on.connect_with(engine, options, move |socket| {
        socket.on_connect(move |socket| greet(socket, attempt, role));
        socket.on_data(move |socket, chunk| receive(&mut socket.event_loop(), attempt, role, chunk));
        socket.on_error(move |socket, error| lose(&mut socket.event_loop(), attempt, &Failure::lost(error)));
        socket.on_close(move |socket, closed| lose(&mut socket.event_loop(), attempt, &Failure::lost(closed.reason)));
    })?;
    Ok(Half { socket, replies: Replies::new(Bounds::DEFAULT), greeting: Greeting::new(), due: None, watch: None })
}

fn options(settings: &Settings) -> SocketOptions {
    /// Commands have more bytes than the entries in the outbox, and each reconnect publishes all of it.
    fn most_unsent(outbox: usize) -> usize {
        outbox.saturating_mul(2).saturating_add(1 << 20)
    }

    SocketOptions::new()
        .no_delay(true)
        .notice_gone_peers(true)
        .outlasts(true) // what guests say while the loop shuts down is published
        .connect_timeout(SILENCE)
        .output_limits(OutputLimits::disconnect_above(most_unsent(settings.outbox)))
}

fn greet<S: Linked>(socket: &mut Socket<'_, S>, attempt: u64, role: Role) {
    let settings = socket.state.link().settings.clone();
    socket.set_label(match role {
        Role::Publisher => "--bus, publishes",
        Role::Reader => "--bus, reads",
    });
    let Some(half) = socket.state.link().half(attempt, role) else { return };
    if let Err(failure) = half.greeting.begin(&settings).and_then(|bytes| bytes.send(socket)) {
        lose(&mut socket.event_loop(), attempt, &failure);
    }
}

/// Both are greeted, and not one of them alone.
pub fn open_if_ready<S: Linked>(on: &mut Loop<'_, S>) {
    let now = on.net.now();
    let link = on.state.link();
    link.state = match std::mem::replace(&mut link.state, State::Waiting) {
        State::Opening(pair) if pair.is_greeted() => {
            State::Open { pair, since: now, publishing: Publishing::default(), reading: Reading::Nowhere }
        }
        other => other,
    };
    let State::Open { pair, .. } = &link.state else { return };
    let engine = pair.publisher.greeting.engine.clone();
    log::info!("{}: connected to {}", link.retry.name, engine.as_deref().unwrap_or("an engine without a name"));
    link.figures = Figures { connects: link.figures.connects + 1, engine, why: None, ..link.figures.clone() };
    S::connected(on);
}
