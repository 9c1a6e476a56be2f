//! What the engine answers: to greetings, to publications and to what is read.

use std::time::Duration;

use tidegate::Loop;

use super::connecting::open_if_ready;
use super::ending::{lose, refuse};
use super::patience::expect_answer;
use super::{Link, Linked, Reading, Role, SILENCE, State, go_on};
use crate::daemon::engine::failure::Failure;
use crate::daemon::engine::greeting::not_asked;
use crate::daemon::engine::reply::Reply;
use crate::daemon::engine::{EntryId, command, entries};

/// How long the engine waits for an entry before it answers that there is none.
const BLOCK: Duration = Duration::from_secs(5);

pub fn receive<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, role: Role, chunk: &[u8]) {
    let now = on.net.now();
    let Some(half) = on.state.link().half(attempt, role) else { return };
    half.replies.push(chunk);
    // An answer that is on its way is not missing, however large it is.
    half.due = half.due.map(|due| due.max(now + SILENCE));
    // Whoever is told of a reply may end the link.
    while let Some(half) = on.state.link().half(attempt, role) {
        match half.replies.next() {
            Ok(Some(reply)) if half.greeting.is_over() => match role {
                Role::Publisher => published(on, attempt, reply),
                Role::Reader => read(on, attempt, reply),
            },
            Ok(Some(reply)) => greeted(on, attempt, role, reply),
            Ok(None) => return,
            Err(malformed) => lose(on, attempt, &Failure::lost(format_args!("it has answered with {malformed}"))),
        }
    }
}

fn greeted<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, role: Role, reply: Reply) {
    let Some(half) = on.state.link().half(attempt, role) else { return };
    match half.greeting.answered(reply) {
        Ok(()) if half.greeting.is_over() => {
            half.due = None;
            open_if_ready(on);
        }
        Ok(()) => {}
        Err(failure) => lose(on, attempt, &failure),
    }
}

/// An XADD was answered.
fn published<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, reply: Reply) {
    let now = on.net.now();
    let Link { state, figures, is_another, .. } = on.state.link();
    let State::Open { pair, publishing, .. } = state else { return };
    if publishing.answered == publishing.sent {
        return lose(on, attempt, &not_asked());
    }
    publishing.answered += 1;
    let id = match reply {
        Reply::Bulk(id) => entries::id_of(&id),
        Reply::Error(error) => {
            let failure = pair.publisher.greeting.error(&error);
            return refuse(on, attempt, &failure);
        }
        _ => None,
    };
    let Some(id) = id else { return lose(on, attempt, &Failure::lost("it has answered an XADD with no id")) };
    figures.published += 1;
    pair.publisher.due = (publishing.answered < publishing.sent).then_some(now + SILENCE);
    let Some(measured) = publishing.measured.take_if(|measured| measured.number == publishing.answered) else { return };
    figures.round_trip = Some(now.saturating_sub(measured.sent));
    if id <= measured.read {
        *is_another = true;
        lose(on, attempt, &Failure::lost("the stream has begun anew, with a clock that is behind the one of before"));
    }
}

/// An XREAD was answered.
fn read<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, reply: Reply) {
    let now = on.net.now();
    let Link { state, figures, settings, .. } = on.state.link();
    let State::Open { pair, reading, .. } = state else { return lose(on, attempt, &not_asked()) };
    let Reading::Asked { after, waits_until } = *reading else { return lose(on, attempt, &not_asked()) };
    if pair.reader.due.take().is_none() {
        return lose(on, attempt, &not_asked());
    }
    if let Reply::Error(error) = &reply {
        let failure = pair.reader.greeting.error(error);
        return lose(on, attempt, &failure);
    }
    let found = match entries::entries(reply, &settings.stream, after) {
        // It would be asked again and again.
        Ok(found) if found.is_empty() && now < waits_until => {
            return lose(on, attempt, &Failure::lost("it was to wait for an entry, and has not waited"));
        }
        Ok(found) => found,
        Err(entries::Wrong(what)) => {
            return lose(on, attempt, &Failure::lost(format_args!("it has answered an XREAD with {what}")));
        }
    };
    figures.read += found.len() as u64;
    let is_end = found.len() < command::COUNT;
    let next = found.last().map_or(after, |entry| entry.id);
    *reading = Reading::Nowhere;
    S::read(on, found, is_end);
    let Link { state, is_held, attempt: present, .. } = on.state.link();
    let State::Open { reading: reading @ Reading::Nowhere, .. } = state else { return };
    if *present != attempt {
        return;
    }
    *reading = Reading::Held { after: next, block: is_end.then_some(BLOCK) };
    if !*is_held {
        go_on(on);
    }
}

/// Asks for what stands behind a place, and waits for it there.
pub fn ask<S: Linked>(on: &mut Loop<'_, S>, after: EntryId, block: Option<Duration>) {
    let now = on.net.now();
    let Link { settings, state, attempt, .. } = on.state.link();
    let State::Open { pair, reading, .. } = state else { return };
    *reading = Reading::Asked { after, waits_until: now + block.unwrap_or_default() / 2 };
    let bytes = command::xread(&settings.stream, after, block.map(|block| block.as_millis() as u64));
    let (socket, attempt) = (pair.reader.socket, *attempt);
    on.net.write(socket, &bytes);
    expect_answer(on, attempt, Role::Reader, block.unwrap_or_default() + SILENCE);
}
