//! What happens once in a second: those who listen get the figures, and the clocks of all conversations are looked at.

use std::any::Any;
use std::rc::Rc;
use std::time::Duration;

use tidegate::{CloseReason, Loop, Net, Socket};

use super::super::Inspector;
use super::super::request::Request;
use super::super::response::{self, Kind, Manner};
use super::super::table::cells;
use super::{Conversation, Stage, close};

/// How long a connection may stay without a request. Prometheus asks once in 15 s or in a minute.
const IDLE_TIME: Duration = Duration::from_secs(65);

/// A client that has not taken `LEAST_TAKEN` bytes of what waits for so long is put out.
const STUCK_TIME: Duration = Duration::from_secs(10);
const LEAST_TAKEN: u64 = 1024;

/// How long an answer may take to be taken whole: the rows of a table are kept for that long.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// How often events are sent, and the clocks of all conversations looked at.
const PULSE: Duration = Duration::from_secs(1);

pub(super) fn listen<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>, request: &Request) {
    let manner = Manner::endless(request);
    socket.write(response::head("200 OK", Kind::EVENTS, manner));
    if !manner.has_body {
        return close(socket, inspector, "");
    }
    inspector.enter(socket.net, socket.id(), Stage::Listening);
    inspector.conversation(socket.id(), |it| it.input.clear());
    socket.resume(); // so that its end is heard
    let event = event(inspector, socket.net, socket.state);
    socket.write(format!("retry: 1000\n{event}"));
}

/// The figures and the cells, as server-sent events have it.
fn event(inspector: &Inspector, net: &mut Net, state: &dyn Any) -> String {
    let mut json = inspector.look(net, state).json();
    json["cells"] = cells(net).into();
    format!("data: {json}\n\n")
}

pub(super) fn begin<S: 'static>(on: &mut Loop<'_, S>, inspector: &Rc<Inspector>) {
    if inspector.state.borrow().pulse.is_some() {
        return;
    }
    let its = Rc::clone(inspector);
    let pulse = on.every(PULSE, move |on| beat(on, &its));
    on.set_ref(pulse, false);
    inspector.state.borrow_mut().pulse = Some(pulse);
}

/// What becomes of a conversation at a beat.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Stays,
    /// It gets an event.
    Listens,
    /// It has not asked for anything for long.
    IsIdle,
    /// Its client does not read.
    IsStuck,
}

impl Conversation {
    /// `unsent` bytes wait for its client, which has taken so many others.
    fn beat(&mut self, now: Duration, unsent: usize, taken: u64) -> Verdict {
        if unsent == 0 || taken >= self.taken + LEAST_TAKEN {
            (self.taken, self.taken_at) = (taken, now);
        }
        match self.stage {
            _ if now.saturating_sub(self.taken_at) >= STUCK_TIME => Verdict::IsStuck,
            Stage::Answering(_) if now.saturating_sub(self.since) >= ANSWER_TIME => Verdict::IsStuck,
            Stage::Idle if now.saturating_sub(self.since) >= IDLE_TIME => Verdict::IsIdle,
            Stage::Listening if unsent == 0 => Verdict::Listens,
            _ => Verdict::Stays,
        }
    }
}

fn beat<S: 'static>(on: &mut Loop<'_, S>, inspector: &Rc<Inspector>) {
    let (now, net) = (on.net.now(), &*on.net);
    let mut state = inspector.state.borrow_mut();
    let verdicts = state.conversations.iter_mut().map(|(id, it)| {
        let info = net.connection(*id);
        let unsent = info.unsent();
        (*id, it.beat(now, unsent, info.bytes_written().saturating_sub(unsent as u64)))
    });
    let verdicts: Vec<_> = verdicts.collect();
    if let (true, Some(pulse)) = (verdicts.is_empty(), state.pulse) {
        state.pulse = None;
        on.cancel(pulse);
        return;
    }
    drop(state);
    if verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Listens) {
        let event = event(inspector, on.net, on.state);
        let listeners = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Listens);
        on.net.broadcast(listeners.map(|(id, _)| *id), event);
    }
    for (id, verdict) in verdicts {
        match verdict {
            Verdict::Stays | Verdict::Listens => {}
            Verdict::IsStuck => on.net.reset_because(id, CloseReason::Timeout),
            Verdict::IsIdle => {
                if let Some(mut socket) = on.socket(id) {
                    close(&mut socket, inspector, "");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Answer;
    use super::*;

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn at(stage: Stage) -> Conversation {
        Conversation { input: Vec::new(), has_ended: false, stage, since: s(0), taken: 0, taken_at: s(0) }
    }

    #[test]
    fn a_client_that_takes_too_little_is_stuck() {
        let mut it = at(Stage::Answering(Answer { rest: None, stays: true }));
        for second in 1..50 {
            assert_eq!(it.beat(s(second), 5000, second * 200), Verdict::Stays, "{second}");
        }
        for second in 50..54 {
            assert_ne!(it.beat(s(second), 5000, 49 * 200 + 20), Verdict::IsStuck, "{second}");
        }
        assert_eq!(it.beat(s(59), 5000, 49 * 200 + 40), Verdict::IsStuck);
        let mut slow = at(Stage::Answering(Answer { rest: None, stays: true }));
        for second in 1..60 {
            assert_eq!(slow.beat(s(second), 5000, second * 2000), Verdict::Stays, "{second}");
        }
        assert_eq!(slow.beat(s(60), 5000, 60 * 2000), Verdict::IsStuck, "a minute is enough for any answer");
        let mut it = at(Stage::Waiting);
        assert_eq!(it.beat(s(1000), 0, 0), Verdict::Stays, "nothing waits for it");
    }

    #[test]
    fn one_that_listens_gets_an_event_if_it_has_taken_the_last_one() {
        let mut it = at(Stage::Listening);
        assert_eq!(it.beat(s(1), 0, 5000), Verdict::Listens);
        assert_eq!(it.beat(s(2), 10, 10_000), Verdict::Stays);
        assert_eq!(it.beat(s(12), 10, 10_000), Verdict::IsStuck);
    }

    #[test]
    fn one_that_asks_for_nothing_is_idle_after_a_minute() {
        let mut it = at(Stage::Idle);
        assert_eq!(it.beat(s(64), 0, 0), Verdict::Stays);
        assert_eq!(it.beat(s(65), 0, 0), Verdict::IsIdle);
        assert_eq!(at(Stage::Waiting).beat(s(65), 0, 0), Verdict::Stays);
    }
}
