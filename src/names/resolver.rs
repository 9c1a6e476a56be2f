//! All look-ups and all questions of a loop.
//!
//! Whoever has sockets and a clock calls it with what has happened, and does the [`Action`]s that it gives:
//!
//! ```text
//!   look_up, cancel ──▶ ┌──────────┐ ──▶ Ask: send this, and watch for an answer
//!   received, failed ─▶ │ Resolver │ ──▶ Close: nothing is waited for there any more
//!   expire ───────────▶ └──────────┘ ──▶ Deliver: these are the addresses
//! ```
//!
//! Equal questions under way are one. So many are under way at most; others stand in line, and so many look-ups are there at most.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use super::asking::{Asking, Attempt, Setback, Transport};
use super::cache::Cache;
use super::lookup::{Lookup, Next};
use super::message::{self, Reply};
use super::{Answer, Families, Family, Hosts, NamesOptions, Question, ResolvConf};
use crate::address::host_name::HostName;
use crate::base::id::Key;

pub(crate) use super::lookup::Failure;

/// How long the other family is waited for when one has addresses. RFC 8305 has this time and this name for it, in section 3: some
/// name servers never answer for AAAA.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// The number of a look-up. No two of a resolver have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// A question that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked(pub Key);

/// What a look-up has come to.
pub(crate) type Outcome = Result<Vec<IpAddr>, Failure>;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send this to a name server, from a port of its own.
    Ask {
        asked: Asked,
        server: SocketAddr,
        transport: Transport,
        message: Vec<u8>,
    },
    /// No answer is waited for there any more.
    Close(Asked),
    Deliver(Ticket, Outcome),
}

#[derive(Debug)]
pub(crate) struct Resolver {
    options: NamesOptions,
    conf: Rc<ResolvConf>,
    hosts: Hosts,
    cache: Cache,
    lookups: BTreeMap<Ticket, Lookup>,
    questions: Slab<UnderWay>,
    by_question: BTreeMap<Question, usize>,
    /// Questions that wait until others are over. One of which nobody wants to know any more stays here until its turn.
    line: VecDeque<Asked>,
    /// How many are with a server.
    with_servers: usize,
    deadlines: BTreeSet<(Duration, Asked)>,
    /// Look-ups that have addresses of one family, and wait for the other only so long.
    patience: BTreeSet<(Duration, Ticket)>,
    actions: VecDeque<Action>,
    next_ticket: u64,
    next_generation: u32,
    /// How many questions were begun, for `rotate`.
    begun: usize,
    /// The place of the server that has answered last. It is asked first: otherwise each name would wait for a dead one.
    answers: usize,
}

/// A question that is under way.
#[derive(Debug)]
struct UnderWay {
    generation: u32,
    question: Question,
    waiting: Vec<Ticket>,
    state: State,
}

#[derive(Debug)]
enum State {
    InLine,
    WithServer { asking: Asking, id: u16, deadline: Duration },
}

impl Resolver {
    pub fn new(options: NamesOptions) -> Self {
        Resolver {
            options,
            conf: Rc::default(),
            hosts: Hosts::default(),
            cache: Cache::default(),
            lookups: BTreeMap::new(),
            questions: Slab::new(),
            by_question: BTreeMap::new(),
            line: VecDeque::new(),
            with_servers: 0,
            deadlines: BTreeSet::new(),
            patience: BTreeSet::new(),
            actions: VecDeque::new(),
            next_ticket: 0,
            next_generation: 0,
            begun: 0,
            answers: 0,
        }
    }

    pub fn options(&self) -> &NamesOptions {
        &self.options
    }

    /// The files have been read, those that could be. What other servers have said does not count any more.
    pub fn configure(&mut self, conf: Option<ResolvConf>, hosts: Option<Hosts>) {
        let mut conf = conf.unwrap_or_else(|| ResolvConf::clone(&self.conf));
        if !self.options.servers.is_empty() {
            conf.ask(self.options.servers.iter().copied());
        }
        if *self.conf != conf {
            self.conf = Rc::new(conf);
            self.cache.clear();
            self.answers = 0;
        }
        self.hosts = hosts.unwrap_or_else(|| std::mem::take(&mut self.hosts));
    }

    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Resolver::expire`] is to be called.
    pub fn next_deadline(&self) -> Option<Duration> {
        let of_questions = self.deadlines.first().map(|(deadline, _)| *deadline);
        let of_lookups = self.patience.first().map(|(deadline, _)| *deadline);
        of_questions.into_iter().chain(of_lookups).min()
    }

    /// Looks a name up. The outcome comes as an action, also if it is known. `ids` gives random numbers.
    pub fn look_up(
        &mut self,
        host: HostName,
        families: Families,
        now: Duration,
        ids: &mut impl FnMut() -> u16,
    ) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let known = self.known(&host, families);
        if !known.is_empty() {
            self.actions.push_back(Action::Deliver(ticket, Ok(known)));
        } else if self.lookups.len() >= self.options.most_lookups {
            self.actions.push_back(Action::Deliver(ticket, Err(Failure::TooMany)));
        } else {
            let mut lookup = Lookup::new(host, families, Rc::clone(&self.conf));
            let next = lookup.begin();
            self.lookups.insert(ticket, lookup);
            self.go_on(ticket, next, now, ids);
        }
        ticket
    }

    /// What is known without a question.
    fn known(&self, host: &HostName, families: Families) -> Vec<IpAddr> {
        if host.is_localhost() {
            let of = |family: &Family| match family {
                Family::V4 => IpAddr::from(Ipv4Addr::LOCALHOST),
                Family::V6 => Ipv6Addr::LOCALHOST.into(),
            };
            return families.each().iter().map(of).collect();
        }
        self.hosts.addresses(host, families)
    }

    /// Nobody wants to know any more.
    pub fn cancel(&mut self, ticket: Ticket, now: Duration, ids: &mut impl FnMut() -> u16) {
        let Some(lookup) = self.lookups.remove(&ticket) else { return };
        self.is_over(ticket, &lookup);
        self.ask_those_in_line(now, ids);
    }

    /// A look-up waits for nothing any more.
    fn is_over(&mut self, ticket: Ticket, lookup: &Lookup) {
        if let Some(until) = lookup.waits_until {
            self.patience.remove(&(until, ticket));
        }
        for question in lookup.questions() {
            let Some(slot) = self.by_question.get(&question).copied() else { continue };
            let waiting = &mut self.questions[slot].waiting;
            waiting.retain(|waiting| *waiting != ticket);
            if waiting.is_empty() {
                self.end(slot);
            }
        }
    }

    /// Something has come from where a question was sent to. Whether it was an answer: anything else changes nothing.
    pub fn received(&mut self, asked: Asked, bytes: &[u8], now: Duration, ids: &mut impl FnMut() -> u16) -> bool {
        let Some(under_way) = self.get(asked) else { return false };
        let State::WithServer { id, ref asking, .. } = under_way.state else { return false };
        let Some(reply) = message::reply(bytes, id, &under_way.question) else { return false };
        let server = asking.present().server;
        let setback = match reply {
            Reply::Answer(answer, good_for) => {
                let question = under_way.question;
                self.answers = self.conf.servers.iter().position(|one| *one == server).unwrap_or(0);
                if let Some(good_for) = good_for {
                    self.cache.keep(question, &answer, good_for, now, &self.options);
                }
                self.answer(asked, answer, now, ids);
                return true;
            }
            Reply::Truncated => Setback::Truncated,
            Reply::NoExtensions => Setback::NoExtensions,
            Reply::Failed => Setback::Failed,
            Reply::Refused => Setback::Refused,
        };
        self.set_back(asked, setback, now, ids);
        true
    }

    /// A server could not be asked, or has closed the connection.
    pub fn failed(&mut self, asked: Asked, now: Duration, ids: &mut impl FnMut() -> u16) {
        self.set_back(asked, Setback::Silent, now, ids);
    }

    /// Servers have been silent for too long.
    pub fn expire(&mut self, now: Duration, ids: &mut impl FnMut() -> u16) {
        while let Some((deadline, asked)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.set_back(asked, Setback::Silent, now, ids);
        }
        while let Some((until, ticket)) = self.patience.first().copied()
            && until <= now
        {
            self.patience.pop_first();
            let Some(lookup) = self.lookups.get_mut(&ticket) else { continue };
            if !std::mem::replace(&mut lookup.is_impatient, true) {
                // A loop that is late itself has not read yet what has come meanwhile: one more turn.
                let until = now.saturating_add(Duration::from_millis(1));
                lookup.waits_until = Some(until);
                self.patience.insert((until, ticket));
            } else if let Some(outcome) = lookup.with_one_family()
                && let Some(lookup) = self.lookups.remove(&ticket)
            {
                self.is_over(ticket, &lookup);
                self.actions.push_back(Action::Deliver(ticket, Ok(outcome)));
            }
        }
        self.ask_those_in_line(now, ids);
    }

    // ---- look-ups --------------------------------------------------------------------------------------------------------

    fn go_on(&mut self, ticket: Ticket, mut next: Next, now: Duration, ids: &mut impl FnMut() -> u16) {
        loop {
            match next {
                Next::Over(outcome) => {
                    let lookup = self.lookups.remove(&ticket);
                    if let Some(until) = lookup.and_then(|lookup| lookup.waits_until) {
                        self.patience.remove(&(until, ticket));
                    }
                    return self.actions.push_back(Action::Deliver(ticket, outcome));
                }
                Next::Ask(name) => match self.ask(ticket, name, now, ids) {
                    Some(known) => next = known,
                    None => return,
                },
            }
        }
    }

    /// Asks for both families of a name. What comes next, if all of it is known.
    fn ask(&mut self, ticket: Ticket, name: HostName, now: Duration, ids: &mut impl FnMut() -> u16) -> Option<Next> {
        let families = self.lookups.get(&ticket)?.families;
        let mut next = None;
        for family in families.each() {
            let question = Question { name, family: *family };
            match self.cache.get(&question, now) {
                Some(answer) => next = self.lookups.get_mut(&ticket)?.answered(*family, answer),
                None => self.wait_for(question, ticket, now, ids),
            }
        }
        next
    }

    // ---- questions -------------------------------------------------------------------------------------------------------

    fn get(&self, asked: Asked) -> Option<&UnderWay> {
        self.questions.get(asked.0.slot as usize).filter(|under_way| under_way.generation == asked.0.generation)
    }

    /// The look-up waits for an answer, with others that do.
    fn wait_for(&mut self, question: Question, ticket: Ticket, now: Duration, ids: &mut impl FnMut() -> u16) {
        if let Some(slot) = self.by_question.get(&question) {
            self.questions[*slot].waiting.push(ticket);
            return;
        }
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let slot =
            self.questions.insert(UnderWay { generation, question, waiting: vec![ticket], state: State::InLine });
        self.by_question.insert(question, slot);
        self.line.push_back(Asked(Key { slot: slot as u32, generation }));
        self.ask_those_in_line(now, ids);
    }

    fn ask_those_in_line(&mut self, now: Duration, ids: &mut impl FnMut() -> u16) {
        while self.with_servers < self.options.most_questions
            && let Some(asked) = self.line.pop_front()
        {
            if self.get(asked).is_none() {
                continue;
            }
            let first = if self.conf.rotate { self.begun } else { self.answers };
            self.begun = self.begun.wrapping_add(1);
            if let Some(asking) = Asking::new(&self.conf, first) {
                self.with_servers += 1;
                let attempt = asking.present();
                self.send(asked, asking, attempt, now, ids);
            }
        }
    }

    fn send(&mut self, asked: Asked, asking: Asking, attempt: Attempt, now: Duration, ids: &mut impl FnMut() -> u16) {
        let Some(under_way) = self.questions.get_mut(asked.0.slot as usize) else { return };
        let id = ids();
        let deadline = now.saturating_add(asking.timeout);
        // A name that was checked can be written.
        let message = message::query(id, &under_way.question, attempt.extensions).unwrap_or_default();
        under_way.state = State::WithServer { asking, id, deadline };
        self.deadlines.insert((deadline, asked));
        let Attempt { server, transport, .. } = attempt;
        self.actions.push_back(Action::Ask { asked, server, transport, message });
    }

    /// No answer yet: another attempt, or none will come.
    fn set_back(&mut self, asked: Asked, setback: Setback, now: Duration, ids: &mut impl FnMut() -> u16) {
        if self.get(asked).is_none() {
            return;
        }
        let slot = asked.0.slot as usize;
        let State::WithServer { mut asking, deadline, .. } =
            std::mem::replace(&mut self.questions[slot].state, State::InLine)
        else {
            return;
        };
        self.deadlines.remove(&(deadline, asked));
        self.actions.push_back(Action::Close(asked));
        match asking.after(setback) {
            Some(attempt) => self.send(asked, asking, attempt, now, ids),
            None => {
                self.with_servers -= 1;
                self.answer(asked, asking.verdict(), now, ids);
            }
        }
    }

    /// A question is over: all look-ups that wait for it go on.
    fn answer(&mut self, asked: Asked, answer: Answer, now: Duration, ids: &mut impl FnMut() -> u16) {
        let Some(UnderWay { question, waiting, .. }) = self.end(asked.0.slot as usize) else { return };
        for ticket in waiting {
            let Some(lookup) = self.lookups.get_mut(&ticket) else { continue };
            match lookup.answered(question.family, answer.clone()) {
                Some(next) => self.go_on(ticket, next, now, ids),
                None if matches!(answer, Answer::Addresses(_)) => {
                    let until = now.saturating_add(RESOLUTION_DELAY);
                    lookup.waits_until = Some(until);
                    self.patience.insert((until, ticket));
                }
                None => {}
            }
        }
        self.ask_those_in_line(now, ids);
    }

    /// A question is not under way any more.
    fn end(&mut self, slot: usize) -> Option<UnderWay> {
        let ended = self.questions.try_remove(slot)?;
        self.by_question.remove(&ended.question);
        let asked = Asked(Key { slot: slot as u32, generation: ended.generation });
        if let State::WithServer { deadline, .. } = &ended.state {
            self.with_servers -= 1;
            self.deadlines.remove(&(*deadline, asked));
            self.actions.push_back(Action::Close(asked));
        }
        Some(ended)
    }
}
