//! A chat in which every line goes to everybody else: some connections send, and all of them receive.
//!
//! A line has the number of its run, of its sender and its own, so it is recognized after whatever the server puts before
//! it. Other lines are the server's own and are skipped. Every connection must receive each line of every other sender,
//! once and in order.
//!
//! A connection is open before the server has let it into the room. So at first one sender sends probes, lines that do not
//! count, until everybody else has received one.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate::{Lines, SocketId};

use super::held_back::{self, HeldBack};
use super::line_format::{LineFormat, Read};
use super::run::{self, Bench, BenchLoop, BenchSocket, Load};
use super::run_state::{Mismatch, Stage};
use crate::cli::Workload;

/// The longest name that a server may put before a line, and the longest line of its own.
const MAX_SERVER_TEXT: usize = 4096;

/// The number of a line that does not count.
const PROBE: u64 = 9_999_999_999;

/// The sender of a line that does not count and that asks whether the senders are held back.
const NO_SENDER: usize = 999;

/// The first probe is repeated after this time, each later one after twice the time of the one before.
const PROBE_AGAIN: Duration = Duration::from_millis(10);

/// A connection that has received no probe after this time is in no room.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The first connections are senders, and receive too.
pub struct Chat {
    format: LineFormat,
    /// How many more lines may be in flight.
    free_slots: usize,
    /// The sender whose turn it is.
    next_sender: usize,
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
    open: usize,
    /// How many connections have received no probe.
    outside: usize,
    held_back: HeldBack,
}

struct Sender {
    id: Option<SocketId>,
    /// The number of the first line in flight.
    first: u64,
    /// Lines that some receivers have not received yet.
    lines: VecDeque<SentLine>,
    /// The number of the first line that nobody has received yet, and when somebody received the one before.
    unheard: u64,
    heard_at: Duration,
}

struct SentLine {
    /// When it was sent, or was due.
    since: Duration,
    sent: Duration,
    /// How many connections have not received it.
    awaited: usize,
}

struct Receiver {
    lines: Lines,
    /// For each sender, the number of the next line.
    next: Vec<u64>,
    received: u64,
    presence: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// It has received no probe.
    Outside,
    InTheRoom,
    Closed,
}

impl Chat {
    pub fn new(workload: &Workload, senders: usize, size: usize, depth: usize) -> Self {
        let connections = workload.all_connections();
        let sender = || Sender { id: None, first: 0, lines: VecDeque::new(), unheard: 0, heard_at: Duration::ZERO };
        let receiver = || Receiver {
            lines: Lines::at_most(size + MAX_SERVER_TEXT),
            next: vec![0; senders],
            received: 0,
            presence: Presence::Outside,
        };
        Chat {
            format: LineFormat::new(std::process::id(), size),
            free_slots: depth,
            next_sender: 0,
            senders: std::iter::repeat_with(sender).take(senders).collect(),
            receivers: std::iter::repeat_with(receiver).take(connections).collect(),
            open: 0,
            outside: connections,
            held_back: HeldBack::new(connections - senders),
        }
    }

    /// The next open sender. None if there is none, or no other connection to receive its line.
    fn take_sender(&mut self) -> Option<usize> {
        let count = self.senders.len();
        let in_turn = (0..count).map(|step| (self.next_sender + step) % count);
        let number = in_turn.into_iter().find(|number| self.senders[*number].id.is_some())?;
        if self.open < 2 {
            return None;
        }
        self.next_sender = (number + 1) % count;
        Some(number)
    }
}

impl Presence {
    /// A connection leaves the outside once.
    fn change(&mut self, to: Presence, outside: &mut usize) {
        *outside -= usize::from(*self == Presence::Outside);
        *self = to;
    }
}

/// Sends one more line, if there is a sender.
fn send(on: &mut BenchLoop<'_, Chat>, since: Duration, now: Duration) -> Option<()> {
    let Bench { run, load } = &mut *on.state;
    let number = load.take_sender()?;
    let awaited = load.open - 1;
    let sender = &mut load.senders[number];
    let line = load.format.line(number, sender.first + sender.lines.len() as u64);
    sender.lines.push_back(SentLine { since, sent: now, awaited });
    on.net.write(sender.id?, line);
    run.sent(line.len());
    load.free_slots -= 1;
    run.take(1);
    Some(())
}

impl Load for Chat {
    fn set_up(socket: &mut BenchSocket<'_, Self>, number: usize) {
        let id = socket.id();
        if let Some(sender) = socket.state.load.senders.get_mut(number) {
            sender.id = Some(id);
        } else {
            let load = &mut socket.state.load;
            load.held_back.set_guest(number - load.senders.len(), Some(id));
        }
        socket.on_data(move |socket, chunk| receive(socket, number, chunk));
    }

    fn all_open(on: &mut BenchLoop<'_, Self>) {
        probe(on, PROBE_AGAIN);
    }

    fn begin(on: &mut BenchLoop<'_, Self>) {
        on.state.load.open = on.state.run.connections.open();
        on.every(held_back::LOOK_EVERY, look_for_a_limit);
    }

    /// Sends as many lines as there are free slots, and with a rate those that are due. The slots that become free in one
    /// turn are used together, as in a room where many people answer the same line.
    fn work(on: &mut BenchLoop<'_, Self>) -> Option<Duration> {
        let run = &on.state.run;
        if !run.is_loading() || run.to_send == Some(0) || on.state.load.free_slots == 0 {
            return None;
        }
        let now = on.state.run.now();
        while on.state.load.free_slots > 0 && on.state.run.to_send != Some(0) {
            let since = match &mut on.state.run.schedule {
                None => now,
                Some(schedule) => match schedule.take(now) {
                    Some(due) => due,
                    None => return Some(schedule.next()),
                },
            };
            send(on, since, now)?;
        }
        None
    }

    /// Its lines are awaited no more, nor is it as a receiver.
    fn lost(on: &mut BenchLoop<'_, Self>, number: usize) {
        let load = &mut on.state.load;
        if let Some(sender) = load.senders.get_mut(number) {
            sender.id = None;
        } else {
            load.held_back.set_guest(number - load.senders.len(), None);
        }
        load.open = load.open.saturating_sub(1);
        for (who, sender) in load.senders.iter_mut().enumerate().filter(|(who, _)| *who != number) {
            let received = load.receivers[number].next[who].saturating_sub(sender.first) as usize;
            for line in sender.lines.iter_mut().skip(received) {
                load.free_slots += line.received_by_one();
            }
            sender.forget_delivered_lines();
        }
        load.receivers[number].presence.change(Presence::Closed, &mut load.outside);
    }

    fn in_flight(&self) -> usize {
        self.senders.iter().flat_map(|sender| &sender.lines).map(|line| line.awaited).sum()
    }

    fn unfinished(&self) -> u64 {
        self.senders.iter().map(|sender| sender.lines.len() as u64).sum()
    }

    fn waiting(&self) -> impl Iterator<Item = (Duration, u64)> {
        let lines = self.senders.iter().flat_map(|sender| &sender.lines);
        lines.filter(|line| line.awaited > 0).map(|line| (line.since, line.awaited as u64))
    }
}

impl SentLine {
    /// Returns how many slots become free: one, if all have received it now.
    #[inline]
    fn received_by_one(&mut self) -> usize {
        if self.awaited == 0 {
            return 0;
        }
        self.awaited -= 1;
        usize::from(self.awaited == 0)
    }
}

impl Sender {
    /// Since when the first of its lines that nobody has received waits for its receipt, and for no line before it.
    fn waits_since(&self) -> Option<Duration> {
        let line = self.lines.get(self.unheard.checked_sub(self.first)? as usize)?;
        Some(line.sent.max(self.heard_at))
    }

    #[inline]
    fn forget_delivered_lines(&mut self) {
        while self.lines.front().is_some_and(|line| line.awaited == 0) {
            self.lines.pop_front();
            self.first += 1;
        }
    }
}

/// If a line of a sender waits for long, a guest that only receives sends one that does not count.
fn look_for_a_limit(on: &mut BenchLoop<'_, Chat>) {
    let Bench { run, load } = &mut *on.state;
    let waiting = load.senders.iter().enumerate().filter_map(|(number, sender)| Some((number, sender.waits_since()?)));
    let longest = waiting.min_by_key(|(_, since)| *since);
    if run.is_loading()
        && let Some(guest) = load.held_back.look(longest, run.now(), run.connections.fastest)
    {
        on.net.write(guest, load.format.line(NO_SENDER, PROBE));
    }
}

/// Sends probes until everybody has received one.
fn probe(on: &mut BenchLoop<'_, Chat>, again: Duration) {
    let Bench { run, load } = &mut *on.state;
    if run.stage != Stage::Connecting {
        return;
    }
    let sender = load.senders.iter().enumerate().find_map(|(number, sender)| Some((number, sender.id?)));
    if let Some((number, id)) = sender {
        // If others receive its probe, the sender is in the room as well.
        load.receivers[number].presence.change(Presence::InTheRoom, &mut load.outside);
        on.net.write(id, load.format.line(number, PROBE));
    }
    if load.outside == 0 || sender.is_none() {
        return run::begin(on);
    }
    if again > PROBE_TIMEOUT {
        return no_room(on);
    }
    on.after(again, move |on| probe(on, again * 2));
}

fn no_room(on: &mut BenchLoop<'_, Chat>) {
    let Bench { run, load } = &mut *on.state;
    let outside = |receiver: &Receiver| receiver.presence == Presence::Outside;
    let connection = load.receivers.iter().position(outside).unwrap_or_default();
    let at = load.receivers[connection].received;
    run.mismatches = load.outside;
    let what = "it receives no line of the others: is this a chat?".to_owned();
    run.first_mismatch = Some(Mismatch { connection, at, what });
    run::enter(on, Stage::Over);
}

fn receive(socket: &mut BenchSocket<'_, Chat>, number: usize, chunk: &[u8]) {
    let Bench { run, load } = &mut *socket.state;
    let Chat { format, free_slots, senders, receivers, outside, held_back, .. } = load;
    let Receiver { lines, next, received, presence } = &mut receivers[number];
    let (now, at) = (run.now(), *received);
    *received += chunk.len() as u64;
    run.received(chunk.len());
    let mut mismatch = None;
    for line in lines.push(chunk) {
        let checked = match format.read(line.bytes()) {
            Read::Foreign => Ok(()),
            Read::Own { sender, .. } if sender == number => Ok(()), // some rooms send a line to its author too
            Read::Own { sender: NO_SENDER, line: PROBE } => {
                held_back.arrived(now, run.connections.fastest);
                run.held_back = held_back.evidence();
                Ok(())
            }
            Read::Own { line: PROBE, .. } => {
                presence.change(Presence::InTheRoom, outside);
                Ok(())
            }
            Read::Own { sender, line } => receive_line(senders, next, sender, line, now).map(|(since, freed)| {
                held_back.heard(sender);
                *free_slots += freed;
                run.count_answer(since, now);
            }),
            Read::Changed => Err(format!("a line was changed, {}", format.difference(line.bytes()))),
        };
        if let Err(what) = checked {
            mismatch = Some(Mismatch { connection: number, at, what });
            break;
        }
    }
    let all_are_in_the_room = *outside == 0 && run.stage == Stage::Connecting;
    if let Some(mismatch) = mismatch {
        run::mismatch(socket, mismatch);
    } else if all_are_in_the_room {
        run::begin(&mut socket.event_loop());
    }
}

/// One connection has received a line. Returns since when it was awaited, and how many slots become free.
#[inline]
fn receive_line(
    senders: &mut [Sender],
    next: &mut [u64],
    number: usize,
    line: u64,
    now: Duration,
) -> Result<(Duration, usize), String> {
    let (Some(sender), Some(next)) = (senders.get_mut(number), next.get_mut(number)) else {
        return Err(unexpected(number, line, "there is no such sender"));
    };
    let sent = line.checked_sub(sender.first).and_then(|at| sender.lines.get_mut(at as usize));
    let Some(sent) = sent.filter(|_| *next == line) else {
        return Err(unexpected(number, line, &format!("{next} was expected")));
    };
    *next += 1;
    if line >= sender.unheard {
        (sender.unheard, sender.heard_at) = (line + 1, now);
    }
    let received = (sent.since, sent.received_by_one());
    sender.forget_delivered_lines();
    Ok(received)
}

fn unexpected(sender: usize, line: u64, expected: &str) -> String {
    format!("line {line} of sender {sender} came, but {expected}")
}
