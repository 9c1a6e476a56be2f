//! The state of a run: its stage, what was measured, and what went wrong.

use std::time::Duration;

use tidegate::{CloseReason, Endpoint, Error, ErrorKind};

use super::clock::Clock;
use super::held_back::Evidence;
use super::measurement::Measurement;
use super::schedule::{self, Schedule};
use crate::cli::Workload;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Connecting,
    WarmingUp,
    Measuring,
    /// The measurement is over, but answers to what is in flight may still come.
    Draining,
    Over,
}

pub struct RunState {
    pub plan: Plan,
    pub stage: Stage,
    pub connections: Connections,
    pub measurement: Measurement,
    /// The latest error of a connection, until the close that follows it.
    pub error: Option<Error>,
    /// How many connections had wrong bytes.
    pub mismatches: usize,
    pub first_mismatch: Option<Mismatch>,
    /// With a number, from the measurement on: how many messages are still to be sent.
    pub to_send: Option<u64>,
    /// Messages whose answers did not come.
    pub unanswered: usize,
    /// Messages that were due and were never sent.
    pub unsent: u64,
    /// A chat holds its senders back.
    pub held_back: Option<Evidence>,
    /// A signal came before the end.
    pub interrupted: bool,
    /// With a rate, from the warm-up on.
    pub schedule: Option<Schedule>,
    pub clock: Clock,
    stage_began: Duration,
    /// When the last answer came, in the measurement or after it.
    pub last_answer: Duration,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub to: Endpoint,
    /// With the senders of a chat.
    pub connections: usize,
    pub warmup: Duration,
    /// None: only the number ends the measurement.
    pub duration: Option<Duration>,
    /// Of messages.
    pub number: Option<u64>,
    pub connect_timeout: Duration,
    pub rate: Option<u32>,
}

/// How many connections there are, by what became of them.
#[derive(Debug, Default)]
pub struct Connections {
    pub started: usize,
    pub opened: usize,
    pub failed: usize,
    /// Of the opened ones.
    pub closed: usize,
    /// Of the closed ones: those that this side did not close.
    pub lost: usize,
    pub first_failure: Option<String>,
    pub first_loss: Option<String>,
    /// The shortest connect: no answer can come sooner.
    pub fastest: Duration,
}

/// Bytes that are not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which connection, counted from 0.
    pub connection: usize,
    /// How many bytes came on it before.
    pub at: u64,
    pub what: String,
}

impl Connections {
    pub fn open(&self) -> usize {
        self.opened - self.closed
    }
}

impl RunState {
    pub fn new(workload: &Workload) -> Self {
        let options = workload.options();
        let plan = Plan {
            to: options.to,
            connections: workload.all_connections(),
            warmup: workload.warmup(),
            duration: workload.duration(),
            number: workload.number(),
            connect_timeout: options.connect_timeout,
            rate: workload.pressure().and_then(|pressure| pressure.rate),
        };
        let clock = Clock::new();
        let began = clock.now();
        RunState {
            plan,
            stage: Stage::Connecting,
            connections: Connections::default(),
            measurement: Measurement::begin(began),
            error: None,
            mismatches: 0,
            first_mismatch: None,
            to_send: None,
            unanswered: 0,
            unsent: 0,
            held_back: None,
            interrupted: false,
            schedule: None,
            clock,
            stage_began: began,
            last_answer: began,
        }
    }

    /// The time of the clock, not of the turn: a latency may be shorter than a turn.
    #[inline]
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Goes to a later stage. What was counted before the measurement is dropped, unless the connects are measured.
    pub fn go_to(&mut self, stage: Stage, measures_connects: bool) {
        let now = self.now();
        if !measures_connects && self.stage < Stage::Measuring {
            self.measurement = Measurement::begin(now);
        }
        if self.stage <= Stage::Measuring && stage > Stage::Measuring {
            self.measurement.end(now);
            let overdue = self.schedule.as_ref().map_or(0, |schedule| schedule.overdue(now));
            self.unsent = overdue.min(self.to_send.unwrap_or(u64::MAX));
        }
        (self.stage, self.stage_began) = (stage, now);
    }

    /// The run is over. What has no answer yet has waited until now, and what was never sent until the measurement ended.
    pub fn count_waiting(&mut self, in_flight: impl Iterator<Item = (Duration, u64)>) {
        let (now, ended) = (self.now(), self.measurement.end_or(self.now()));
        self.measurement.still_waiting(in_flight.map(|(since, many)| (now.saturating_sub(since), many)));
        if let (Some(schedule), Some(rate)) = (&self.schedule, self.plan.rate)
            && self.unsent > 0
        {
            let longest = ended.saturating_sub(schedule.next());
            self.measurement.still_waiting(schedule::waits(longest, rate, self.unsent));
        }
    }

    /// Whether all connections were opened, or could not be.
    pub fn has_connected(&self) -> bool {
        self.connections.opened + self.connections.failed == self.plan.connections
    }

    /// Whether there is still something to send.
    #[inline]
    pub fn is_loading(&self) -> bool {
        matches!(self.stage, Stage::WarmingUp | Stage::Measuring)
    }

    /// How many of these messages may be sent. They count as sent.
    #[inline]
    pub fn take(&mut self, many: usize) -> usize {
        let Some(left) = &mut self.to_send else { return many };
        let taken = (*left).min(many as u64);
        *left -= taken;
        taken as usize
    }

    /// A message that was taken could not be sent.
    pub fn give_back(&mut self) {
        self.to_send = self.to_send.map(|left| left + 1);
    }

    /// An answer came to what was sent, or was due, at `since`.
    #[inline]
    pub fn count_answer(&mut self, since: Duration, now: Duration) {
        match self.stage {
            Stage::Measuring => {
                self.last_answer = now;
                self.measurement.count(1, now);
                self.measurement.latency(now.saturating_sub(since));
            }
            Stage::Draining => {
                self.last_answer = now;
                // Without the late ones, the longest latencies would be missing.
                self.measurement.latency(now.saturating_sub(since));
            }
            Stage::Connecting | Stage::WarmingUp | Stage::Over => {}
        }
    }

    /// Bytes, if they are what is counted.
    #[inline]
    pub fn count_bytes(&mut self, bytes: usize) {
        if self.stage == Stage::Measuring {
            let now = self.now();
            self.last_answer = now;
            self.measurement.count(bytes as u64, now);
        }
    }

    #[inline]
    pub fn sent(&mut self, bytes: usize) {
        if self.stage == Stage::Measuring {
            self.measurement.bytes_sent += bytes as u64;
        }
    }

    #[inline]
    pub fn received(&mut self, bytes: usize) {
        if self.stage == Stage::Measuring {
            self.measurement.bytes_received += bytes as u64;
        }
    }

    /// A connection that was open has closed. It is lost unless this side has closed it.
    pub fn count_close(&mut self, reason: CloseReason) {
        let error = self.error.take();
        if reason != CloseReason::DestroyedHere {
            self.connections.lost += 1;
            self.connections.first_loss.get_or_insert_with(|| describe(error.as_ref(), reason));
        }
    }

    /// A connection could not be opened.
    pub fn count_failure(&mut self) {
        self.connections.failed += 1;
        let Some(error) = self.error.take() else { return };
        let is_full = error.kind() == ErrorKind::WouldBlock;
        let why = if is_full { format!("{error}: its backlog is full") } else { error.to_string() };
        self.connections.first_failure.get_or_insert(why);
    }

    /// A connect has failed because the backlog of a Unix socket is full, and its time is not over. TCP tries again by
    /// itself, and a Unix socket does not.
    pub fn may_connect_again(&self, asked: Duration) -> bool {
        let is_full = self.error.as_ref().is_some_and(|error| error.kind() == ErrorKind::WouldBlock);
        is_full && self.now().saturating_sub(asked) < self.plan.connect_timeout
    }

    /// The server does not accept, or no more: those that are still to be opened would take that time each.
    pub fn open_no_more_if_it_does_not_accept(&mut self) {
        let does_not_accept = |error: &Error| matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
        if self.error.as_ref().is_some_and(does_not_accept) {
            self.connections.failed += self.plan.connections - self.connections.started;
            self.connections.started = self.plan.connections;
        }
    }

    /// How long the present stage has been going on.
    pub fn in_stage(&self) -> Duration {
        self.now().saturating_sub(self.stage_began)
    }

    /// How much of the run is over, from 0 to 1, by its time or by its number. The warm-up counts if the time is known.
    pub fn progress(&self) -> f64 {
        let Plan { warmup, duration, number, .. } = self.plan;
        let (warmup, duration) = (warmup.as_secs_f64(), duration.unwrap_or_default().as_secs_f64());
        let in_stage = self.in_stage().as_secs_f64();
        let left = self.to_send.zip(number).map_or(1.0, |(left, number)| left as f64 / number as f64);
        let by_time = if duration > 0.0 { in_stage / duration } else { 0.0 };
        let measured = by_time.max(1.0 - left);
        match self.stage {
            Stage::Connecting => 0.0,
            Stage::WarmingUp => in_stage / (warmup + duration) * if duration > 0.0 { 1.0 } else { 0.0 },
            Stage::Measuring if duration > 0.0 => (warmup + measured * duration) / (warmup + duration),
            Stage::Measuring => measured,
            Stage::Draining | Stage::Over => 1.0,
        }
    }
}

fn describe(error: Option<&Error>, reason: CloseReason) -> String {
    match (error, reason) {
        (Some(error), _) => error.to_string(),
        (None, CloseReason::PeerEnded) => "the server ended it".to_owned(),
        (None, CloseReason::PeerReset) => "the server reset it".to_owned(),
        (None, reason) => reason.to_string(),
    }
}
