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
//! Equal questions under way are one. So many are with servers at most; others stand in line, and so many look-ups are there at
//! most. If the system has no descriptor or no memory for a question, that is no answer of a server: it stands in line again.

mod questions;
mod sending;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use self::questions::Questions;
use super::asking::{Setback, Transport};
use super::cache::Cache;
use super::lookup::{Lookup, Next};
use super::message::{self, Reply};
use super::told;
use super::{Answer, Families, Hints, Hosts, NamesOptions, Question, ResolvConf};
use crate::address::host_name::HostName;
use crate::base::error::{Error, Syscall};
use crate::base::error_kind::ErrorKind;
use crate::base::id::Key;

pub(crate) use self::sending::is_shortage;
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

/// Whether it is known whom to ask.
#[derive(Debug)]
enum Files {
    /// They were read, or there are none.
    Read,
    /// They will be known soon.
    BeingRead,
    /// They could not be read yet, and this is why.
    Unread(Error),
}

/// A look-up that was not begun.
#[derive(Debug)]
struct Held {
    host: HostName,
    families: Families,
    hints: Hints,
}

#[derive(Debug)]
pub(crate) struct Resolver {
    options: NamesOptions,
    conf: Rc<ResolvConf>,
    hosts: Hosts,
    files: Files,
    /// Look-ups that wait for the files.
    held: BTreeMap<Ticket, Held>,
    cache: Cache,
    lookups: BTreeMap<Ticket, Lookup>,
    questions: Questions,
    /// Nothing in line is asked before this time, and something may be at it.
    line_waits_until: Option<Duration>,
    /// Since when the system has had no descriptor or no memory for any question.
    shortage_since: Option<Duration>,
    /// Look-ups that have addresses of one family, and wait for the other only so long.
    patience: BTreeSet<(Duration, Ticket)>,
    actions: VecDeque<Action>,
    next_ticket: u64,
    /// How many names were asked for, for `rotate`.
    names_asked: Option<usize>,
    /// The place of the server that has answered last. It is asked first: otherwise each name would wait for a dead one.
    answers: usize,
}

impl Resolver {
    pub fn new(options: NamesOptions) -> Self {
        Resolver {
            options,
            conf: Rc::default(),
            hosts: Hosts::default(),
            files: Files::Read,
            held: BTreeMap::new(),
            cache: Cache::default(),
            lookups: BTreeMap::new(),
            questions: Questions::default(),
            line_waits_until: None,
            shortage_since: None,
            patience: BTreeSet::new(),
            actions: VecDeque::new(),
            next_ticket: 0,
            names_asked: None,
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
            self.questions.set_apart();
            self.answers = 0;
        }
        self.hosts = hosts.unwrap_or_else(|| std::mem::take(&mut self.hosts));
        self.files = Files::Read;
    }

    /// The files are being read: look-ups wait until [`Resolver::configure`] or [`Resolver::set_unread`].
    pub fn await_files(&mut self) {
        self.files = Files::BeingRead;
    }

    /// The files could not be read, for a reason that may go by.
    pub fn set_unread(&mut self, why: Error) {
        self.files = Files::Unread(why);
    }

    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Resolver::expire`] is to be called.
    pub fn next_deadline(&self) -> Option<Duration> {
        let of_questions = self.questions.first_deadline().map(|(deadline, _)| deadline);
        let of_lookups = self.patience.first().map(|(deadline, _)| *deadline);
        let of_line = self.line_waits_until.filter(|_| self.questions.first_in_line().is_some());
        [of_questions, of_lookups, of_line].into_iter().flatten().min()
    }

    /// Looks a name up. The outcome comes as an action, also if it is known. `ids` gives random numbers.
    pub fn look_up(
        &mut self,
        host: HostName,
        families: Families,
        hints: Hints,
        now: Duration,
        ids: &mut impl FnMut() -> u16,
    ) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let held = Held { host, families, hints };
        match self.files {
            Files::BeingRead if self.held.len() < self.options.most_lookups => {
                self.held.insert(ticket, held);
            }
            Files::BeingRead => self.actions.push_back(Action::Deliver(ticket, Err(Failure::TooMany))),
            Files::Read | Files::Unread(_) => self.begin(ticket, held, now, ids),
        }
        ticket
    }

    /// Whether look-ups have waited for the files, which have been read now.
    pub fn holds_look_ups(&self) -> bool {
        !self.held.is_empty() && !matches!(self.files, Files::BeingRead)
    }

    /// Begins the first look-up that has waited for the files.
    pub fn begin_held(&mut self, now: Duration, ids: &mut impl FnMut() -> u16) {
        if self.holds_look_ups()
            && let Some((ticket, held)) = self.held.pop_first()
        {
            self.begin(ticket, held, now, ids);
        }
    }

    fn begin(&mut self, ticket: Ticket, held: Held, now: Duration, ids: &mut impl FnMut() -> u16) {
        let Held { host, families, hints } = held;
        let known = self.known(&host, families, hints);
        if !known.is_empty() {
            self.actions.push_back(Action::Deliver(ticket, Ok(known)));
        } else if let Files::Unread(why) = &self.files {
            self.actions.push_back(Action::Deliver(ticket, Err(Failure::System(why.clone()))));
        } else if self.lookups.len() >= self.options.most_lookups {
            self.actions.push_back(Action::Deliver(ticket, Err(Failure::TooMany)));
        } else {
            let mut lookup = Lookup::new(host, families, hints, Rc::clone(&self.conf));
            let next = lookup.begin();
            self.lookups.insert(ticket, lookup);
            self.go_on(ticket, next, now, ids);
        }
    }

    /// What is known without a question.
    fn known(&self, host: &HostName, families: Families, hints: Hints) -> Vec<IpAddr> {
        if host.is_localhost() {
            return hints.choose(families, vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let found = hints.choose(families, self.hosts.addresses(host));
        if !found.is_empty() {
            log::debug!("{host} stands in the hosts file");
        }
        found
    }

    /// Nobody wants to know any more. Those in line have their turn later: they may be cancelled next, all of them.
    pub fn cancel(&mut self, ticket: Ticket, now: Duration) {
        self.held.remove(&ticket);
        let Some(lookup) = self.lookups.remove(&ticket) else { return };
        self.is_over(ticket, &lookup);
        self.line_waits_until.get_or_insert(now);
    }

    /// A look-up waits for nothing any more.
    fn is_over(&mut self, ticket: Ticket, lookup: &Lookup) {
        if let Some(until) = lookup.waits_until {
            self.patience.remove(&(until, ticket));
        }
        for question in lookup.questions() {
            if let Some(asked) = self.questions.leave(&question, ticket) {
                self.end(asked);
            }
        }
    }

    /// Something has come from where a question was sent to. Whether it was an answer: anything else changes nothing.
    pub fn received(&mut self, asked: Asked, bytes: &[u8], now: Duration, ids: &mut impl FnMut() -> u16) -> bool {
        let Some((under_way, asking, id)) = self.questions.asking(asked) else { return false };
        let Some(reply) = message::reply(bytes, id, &under_way.question) else { return false };
        told::answered(&under_way.question, asking, &reply, now);
        let server = asking.present().server;
        let setback = match reply {
            Reply::Answer(answer, good_for) => {
                let question = under_way.question;
                // What is said by a server that is not asked any more counts for those who have asked it, and for nobody else.
                if let Some(place) = self.conf.servers.iter().position(|one| *one == server) {
                    self.answers = place;
                    self.cache.keep(question, &answer, good_for.unwrap_or_default(), now, &self.options);
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
    pub fn failed(&mut self, asked: Asked, error: &io::Error, now: Duration, ids: &mut impl FnMut() -> u16) {
        let Some((under_way, asking, _)) = self.questions.asking(asked) else { return };
        told::failed(&under_way.question, asking, error, now);
        let said = Error::system(error, Syscall::Lookup).at(asking.present().server);
        match (said.kind(), said.raw_os_error()) {
            _ if is_shortage(error) => self.falls_short(asked, said, now, ids),
            // A kernel that cannot do it at all, whoever is asked.
            (ErrorKind::Unsupported, None) => self.answer(asked, Answer::System(said), now, ids),
            // It is of the server, or of the way to it: another one may do better.
            (_, Some(_)) => self.set_back(asked, Setback::Unreachable(said), now, ids),
            (_, None) => self.set_back(asked, Setback::Silent, now, ids),
        }
    }

    /// A question was sent.
    pub fn was_sent(&mut self) {
        self.shortage_since = None;
    }

    /// Servers have been silent for too long.
    pub fn expire(&mut self, now: Duration, ids: &mut impl FnMut() -> u16) {
        while let Some((deadline, asked)) = self.questions.first_deadline()
            && deadline <= now
        {
            if let Some((under_way, asking, _)) = self.questions.asking(asked) {
                told::silent(&under_way.question, asking, now);
            }
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
        // Otherwise programs that look one name up would all ask the first server. glibc begins at random too.
        let turn = *self.names_asked.get_or_insert_with(|| if self.conf.rotate { ids().into() } else { 0 });
        let (mut next, mut is_new) = (None, false);
        for family in families.each() {
            let question = Question { name, family: *family };
            match self.cache.get(&question, now) {
                Some(answer) => {
                    told::kept(&question, &answer);
                    next = self.lookups.get_mut(&ticket)?.answered(*family, answer);
                }
                None if self.questions.join(&question, ticket) => {}
                None => {
                    self.questions.add(question, ticket, turn, now);
                    is_new = true;
                }
            }
        }
        if is_new {
            self.names_asked = Some(turn.wrapping_add(1));
            self.ask_those_in_line(now, ids);
        }
        if next.is_none() {
            self.wait_for_the_other(ticket, now);
        }
        next
    }

    /// One family may have addresses now: the other is waited for, but not for long.
    fn wait_for_the_other(&mut self, ticket: Ticket, now: Duration) {
        let Some(lookup) = self.lookups.get_mut(&ticket) else { return };
        if lookup.has_one_family() && lookup.waits_until.is_none() {
            let until = now.saturating_add(RESOLUTION_DELAY);
            lookup.waits_until = Some(until);
            self.patience.insert((until, ticket));
        }
    }

    /// How many entries all its lists have.
    #[cfg(all(test, target_os = "linux"))]
    pub fn entries(&self) -> [usize; 9] {
        let [under_way, by_question, line, with_servers, deadlines] = self.questions.entries();
        let Resolver { lookups, patience, actions, held, .. } = self;
        let (lookups, patience, actions) = (lookups.len(), patience.len(), actions.len());
        [under_way, by_question, line, with_servers, deadlines, lookups, patience, actions, held.len()]
    }
}
