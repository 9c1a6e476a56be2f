//! What a recording says of the present turn, and how much of it has been done.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::time::Duration;

use super::blocks::Header;
use super::difference::{Difference, RunEnd};
use super::effect::{Call, Detail, Fingerprint, described};
use super::entry::{Answer, Entries, Entry, Found, TurnEnd};
use super::format::{Class, Failure, Kind};
use super::replay::{ReplayOptions, Report};

/// A turn with more entries is damaged: what takes two bytes in a file may take a hundred in memory.
const MOST_ENTRIES: usize = 1_000_000;

/// What is asked, about which handle, and the name of a fact.
type Question = (Kind, u32, String);

pub(super) struct Script {
    entries: Entries,
    options: ReplayOptions,
    /// The calls of the present turn, and the looks at the clock between them.
    turn: Vec<Entry>,
    done: Vec<bool>,
    /// All before it is done, or need not be.
    first: usize,
    /// The same for effects.
    first_effect: usize,
    /// Where the next look at the clock is to be found, and the next one that decides nothing.
    clock_at: usize,
    measured_at: usize,
    turn_end: TurnEnd,
    calls_in_turn: u64,

    now: Duration,
    last_measured: Duration,
    slack: Duration,
    /// The questions of the present turn that have not been asked yet: where each stands.
    questions: BTreeMap<Question, VecDeque<usize>>,
    /// The last answer to each question about a handle that is open, and to each question for a fact.
    answers: BTreeMap<Question, Answer>,
    /// Who is at the other end of each handle.
    peers: BTreeMap<u32, String>,
    end: Option<RunEnd>,
    report: Report,
    fingerprint: Fingerprint,
}

impl Script {
    pub fn open(recording: Box<dyn Read>, options: ReplayOptions) -> io::Result<(Header, Self)> {
        let (header, entries) = Entries::open(recording)?;
        let mut script = Script {
            entries,
            options,
            turn: Vec::new(),
            done: Vec::new(),
            first: 0,
            first_effect: 0,
            clock_at: 0,
            measured_at: 0,
            turn_end: TurnEnd::ProgramEnded,
            calls_in_turn: 0,
            now: Duration::ZERO,
            last_measured: Duration::ZERO,
            slack: Duration::ZERO,
            questions: BTreeMap::new(),
            answers: BTreeMap::new(),
            peers: BTreeMap::new(),
            end: None,
            report: Report::default(),
            fingerprint: Fingerprint::EMPTY,
        };
        script.load_turn();
        Ok((header, script))
    }

    // ---- reading -------------------------------------------------------------------------------------------------------

    /// Reads up to the end of a turn.
    fn load_turn(&mut self) {
        self.turn.clear();
        loop {
            match self.entries.next() {
                Entry::Slack(slack) => self.slack = slack,
                Entry::Turn(end) => {
                    self.turn_end = end;
                    break;
                }
                entry if self.turn.len() < MOST_ENTRIES => self.turn.push(entry),
                _ => {
                    let why = format!("it is damaged: turn {} has more than {MOST_ENTRIES} entries", self.report.turns);
                    self.turn_end = TurnEnd::Damaged(why);
                    break;
                }
            }
        }
        self.questions.clear();
        for (at, entry) in self.turn.iter().enumerate() {
            if let Entry::Call(call, _) = entry
                && call.kind.class() == Class::Question
            {
                self.questions.entry(question(call)).or_default().push_back(at);
            }
        }
        self.done.clear();
        self.done.resize(self.turn.len(), false);
        (self.first, self.first_effect, self.clock_at, self.measured_at, self.calls_in_turn) = (0, 0, 0, 0, 0);
    }

    // ---- answering -----------------------------------------------------------------------------------------------------

    /// What was recorded at this place of the run, and else the last time.
    pub fn now(&mut self) -> Duration {
        let look = |entry: &Entry| if let Entry::Clock(now) = entry { Some(*now) } else { None };
        if let Some((at, now)) = self.look_from(self.clock_at, look) {
            (self.clock_at, self.now) = (at + 1, now);
        }
        self.now
    }

    /// The same for a look that decides nothing.
    pub fn measured(&mut self) -> Duration {
        let look = |entry: &Entry| if let Entry::Measured(now) = entry { Some(*now) } else { None };
        if let Some((at, now)) = self.look_from(self.measured_at, look) {
            (self.measured_at, self.last_measured) = (at + 1, now);
        }
        self.last_measured.max(self.now)
    }

    /// The next look of a kind that comes before the next call.
    fn look_from(&self, at: usize, look: impl Fn(&Entry) -> Option<Duration>) -> Option<(usize, Duration)> {
        if self.end.is_some() {
            return None;
        }
        let mut places = at..self.turn.len();
        let next = places.find_map(|at| match look(&self.turn[at]) {
            Some(now) => Some(Some((at, now))),
            None if self.done[at] || self.is_passed_over(at) => None,
            None => Some(None),
        });
        next.flatten()
    }

    pub fn slack(&self) -> Duration {
        self.slack
    }

    fn is_question(&self, at: usize) -> bool {
        matches!(self.turn.get(at), Some(Entry::Call(call, _)) if call.kind.class() == Class::Question)
    }

    /// The next turn: when it comes, and what is ready. `None` if the run is over.
    pub fn wait(&mut self) -> Option<Result<Vec<Found>, Failure>> {
        if self.end.is_some() {
            return None;
        }
        if let Some(then) = self.next_to_do() {
            self.differ(then, "go on to the next turn".to_owned());
            return None;
        }
        self.end = self.turn_end.without_more();
        if self.end.is_some() {
            return None;
        }
        let end = std::mem::replace(&mut self.turn_end, TurnEnd::ProgramEnded);
        let found = match end {
            // That there is no more was seen above.
            TurnEnd::ProgramEnded | TurnEnd::NoMore(_) | TurnEnd::Damaged(_) => {
                self.differ("the program ended".to_owned(), "go on to the next turn".to_owned());
                return None;
            }
            _ if self.options.until.is_some_and(|until| self.report.turns >= until) => {
                self.end = Some(RunEnd::Until);
                return None;
            }
            TurnEnd::Wait(found) => Ok(found),
            TurnEnd::WaitFailed(failure) => Err(failure),
        };
        self.report.turns += 1;
        self.load_turn();
        Some(found)
    }

    /// The time at which the present turn began, as far as it is known.
    pub fn turn_began(&self) -> Option<Duration> {
        self.turn.iter().find_map(|entry| match entry {
            Entry::Clock(now) => Some(*now),
            _ => None,
        })
    }

    /// The answer to something that the program does. `detail` is given that of the next effect, for what depends on it.
    /// `None` if the run is over, or differs here.
    pub fn effect(
        &mut self,
        kind: Kind,
        handle: u32,
        detail: impl FnOnce(Option<&Detail>) -> Detail,
        preview: &[u8],
    ) -> Option<Answer> {
        if self.end.is_some() {
            return None;
        }
        let next = self.next_effect();
        let then = next.and_then(|at| self.call_at(at));
        let call = Call { kind, handle, detail: detail(then.map(|call| &call.detail)) };
        if then != Some(&call) {
            self.miss(&call, preview);
            return None;
        }
        self.fingerprint.add(kind, handle, &call.detail);
        if let Detail::Bytes { taken, .. } = call.detail {
            self.report.bytes_written += taken;
        }
        let answer = self.take(next?);
        if let (Kind::Close | Kind::Reset, _) = (kind, &answer) {
            self.forget(handle);
        }
        if let (Kind::Connect, Some(Answer::Number(made)), Detail::Text(to)) = (kind, &answer, &call.detail) {
            self.report.connections += 1;
            self.peers.insert(*made as u32, to.split(',').next().unwrap_or(to).to_owned());
        }
        self.meet(answer)
    }

    /// The answer to something that the program gets.
    pub fn input(&mut self, kind: Kind, handle: u32) -> Option<Answer> {
        if self.end.is_some() {
            return None;
        }
        while self.done.get(self.first) == Some(&true) || self.is_passed_over(self.first) {
            self.first += 1;
        }
        let at = (self.first..self.turn.len()).find(|at| {
            !self.done[*at] && self.call_at(*at).is_some_and(|call| (call.kind, call.handle) == (kind, handle))
        });
        let Some(at) = at else {
            self.miss(&Call { kind, handle, detail: Detail::Nothing }, b"");
            return None;
        };
        let answer = self.take(at);
        match (kind, &answer) {
            (Kind::Read | Kind::Receive, Some(Answer::Bytes(bytes))) => self.report.bytes_read += bytes.len() as u64,
            (Kind::Read | Kind::Receive, Some(Answer::Length(length))) => self.report.bytes_read += *length as u64,
            _ => {}
        }
        self.meet(answer)
    }

    /// A connection is there: its peer is named from now on.
    fn meet(&mut self, answer: Option<Answer>) -> Option<Answer> {
        if let Some(Answer::Peer(handle, peer)) = &answer {
            self.report.connections += 1;
            if let Some(peer) = peer {
                self.peers.insert(*handle, peer.to_string());
            }
        }
        answer
    }

    fn forget(&mut self, handle: u32) {
        self.peers.remove(&handle);
        self.answers.retain(|(kind, of, _), _| *kind == Kind::Fact || *of != handle);
    }

    /// The answer to a question. One that was not asked then has none.
    pub fn question(&mut self, kind: Kind, handle: u32, name: &str) -> Option<Answer> {
        let key = (kind, handle, name.to_owned());
        let at = self.questions.get_mut(&key).and_then(VecDeque::pop_front);
        if let Some(at) = at
            && let Some(Entry::Call(_, answer)) = self.turn.get(at)
        {
            self.answers.insert(key.clone(), answer.clone());
            self.done[at] = true;
        }
        self.answers.get(&key).cloned()
    }

    // ---- the present turn ----------------------------------------------------------------------------------------------

    fn call_at(&self, at: usize) -> Option<&Call> {
        match self.turn.get(at) {
            Some(Entry::Call(call, _)) => Some(call),
            _ => None,
        }
    }

    /// Whether nobody has to ask for it.
    fn is_passed_over(&self, at: usize) -> bool {
        matches!(self.turn.get(at), Some(Entry::Clock(_) | Entry::Measured(_))) || self.is_question(at)
    }

    fn next_effect(&mut self) -> Option<usize> {
        let is_effect = |call: &Call| call.kind.class() == Class::Effect;
        let at =
            (self.first_effect..self.turn.len()).find(|at| !self.done[*at] && self.call_at(*at).is_some_and(is_effect));
        self.first_effect = at.unwrap_or(self.turn.len());
        at
    }

    /// What has to be done next.
    fn next_to_do(&self) -> Option<String> {
        let at = (self.first..self.turn.len()).find(|at| !self.done[*at] && !self.is_passed_over(*at))?;
        self.call_at(at).map(|call| self.described(call))
    }

    fn take(&mut self, at: usize) -> Option<Answer> {
        self.done[at] = true;
        self.clock_at = self.clock_at.max(at + 1);
        self.measured_at = self.measured_at.max(at + 1);
        self.calls_in_turn += 1;
        self.report.calls += 1;
        match self.turn.get_mut(at) {
            Some(Entry::Call(_, answer)) => Some(std::mem::replace(answer, Answer::Done)),
            _ => None,
        }
    }

    // ---- the end -------------------------------------------------------------------------------------------------------

    fn described(&self, call: &Call) -> String {
        described(call, self.peers.get(&call.handle).map(String::as_str))
    }

    /// The program does what it did not do then, or the recording does not say whether it did.
    fn miss(&mut self, call: &Call, preview: &[u8]) {
        let next = self.next_to_do();
        if next.is_none() {
            self.end = self.turn_end.without_more();
            if self.end.is_some() {
                return;
            }
        }
        let then = match (next, &self.turn_end) {
            (Some(then), _) => then,
            (None, TurnEnd::ProgramEnded) => "the program ended".to_owned(),
            (None, _) => "go on to the next turn".to_owned(),
        };
        let mut now = self.described(call);
        if !preview.is_empty() {
            const SHOWN: usize = 60;
            let cut = if preview.len() > SHOWN { "..." } else { "" };
            now += &format!(": \"{}{cut}\"", preview[..preview.len().min(SHOWN)].escape_ascii());
        }
        if then == now || preview.is_empty() && then == self.described(call) {
            now += ", of another content";
        }
        self.differ(then, now);
    }

    /// Something in the answer does not fit, a buffer that is too small for example.
    pub fn does_not_fit(&mut self, what: &str) {
        if self.end.is_none() {
            self.differ("it was taken".to_owned(), what.to_owned());
        }
    }

    fn differ(&mut self, then: String, now: String) {
        let (turn, call) = (self.report.turns, self.calls_in_turn + 1);
        self.end = Some(RunEnd::Differs(Difference { turn, call, then, now }));
    }

    /// The program has ended.
    pub fn finish(&mut self) {
        if self.end.is_some() {
            return;
        }
        if let Some(then) = self.next_to_do() {
            return self.differ(then, "the program ends".to_owned());
        }
        self.end = match &self.turn_end {
            TurnEnd::ProgramEnded => Some(RunEnd::Ended),
            other => other.without_more(),
        };
        if self.end.is_none() {
            self.differ("go on to the next turn".to_owned(), "the program ends".to_owned());
        }
    }

    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// What has become of the run so far.
    pub fn report(&self) -> Report {
        let end = self.end.clone().unwrap_or(RunEnd::Until);
        Report { time: self.now, fingerprint: self.fingerprint.0, end, ..self.report.clone() }
    }
}

/// What a call asks.
fn question(call: &Call) -> Question {
    let name = match &call.detail {
        Detail::Text(name) if call.kind == Kind::Fact => name.clone(),
        _ => String::new(),
    };
    (call.kind, call.handle, name)
}
