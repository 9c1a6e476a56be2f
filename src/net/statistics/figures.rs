//! Each figure of the statistics with its name, for those who show them.

use std::time::Duration;

use super::histogram::Histogram;
use super::snapshot::Statistics;

/// One figure: a line of a page, or a family of a text format.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Figure<'a> {
    /// Its name, by the conventions of Prometheus: `turns_total`, `timer_lag_seconds`. A prefix is the program's affair.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// What can happen to it.
    pub kind: FigureKind,
    /// What it is now.
    pub value: FigureValue<'a>,
}

/// What can happen to a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FigureKind {
    /// It only grows.
    Counter,
    /// It grows and falls.
    Gauge,
    /// Times by their size. It only grows.
    Histogram,
}

/// What a figure is now.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FigureValue<'a> {
    /// A number of things or of bytes.
    Count(u64),
    /// A time.
    Time(Duration),
    /// A number for each value of a label.
    Labelled {
        /// Its name: `reason`.
        label: &'static str,
        /// Its values, each with its number.
        counts: Vec<(String, u64)>,
    },
    /// Times by their size.
    Histogram(&'a Histogram),
}

use FigureKind::{Counter, Gauge};
use FigureValue::{Count, Labelled, Time};

impl Statistics {
    /// Each figure, with its name and what it is.
    pub fn each(&self) -> impl Iterator<Item = Figure<'_>> {
        let figure = |name, kind, help, value| Figure { name, help, kind, value };
        let histogram = |name, help, of| figure(name, FigureKind::Histogram, help, FigureValue::Histogram(of));
        let longest = self.longest_turn.map_or(Duration::ZERO, |longest| longest.time);
        [
            figure("turns_total", Counter, "Turns of the loop.", Count(self.turns)),
            figure("working_seconds_total", Counter, "Time in which turns have worked.", Time(self.working)),
            figure("waiting_seconds_total", Counter, "Time between: asleep in the kernel.", Time(self.waiting)),
            histogram("turn_seconds", "How long turns have worked.", &self.turn_times),
            figure("longest_turn_seconds", Gauge, "The longest turn since it was asked for.", Time(longest)),
            histogram("timer_lag_seconds", "How much later than due timers have come.", &self.timer_lags),
            figure("waits_total", Counter, "Waits for the kernel.", Count(self.waits)),
            figure("wait_events_total", Counter, "Events that waits have reported.", Count(self.wait_events)),
            figure("waits_full_total", Counter, "Waits with as many events as are taken.", Count(self.full_waits)),
            figure("ready_left", Gauge, "What was ready and not served in the last turn.", Count(self.ready_left)),
            figure("ready_left_total", Counter, "ready_left, summed up over turns.", Count(self.ready_left_sum)),
            figure(
                "budget_cuts_total",
                Counter,
                "Work that had to wait for a later turn, by the budget that was used up.",
                labelled("budget", &self.budget_cuts),
            ),
            figure("reads_total", Counter, "Calls that read.", Count(self.reads)),
            figure("reads_blocked_total", Counter, "Reads that found nothing (EAGAIN).", Count(self.reads_blocked)),
            figure("read_bytes_total", Counter, "Bytes that were read.", Count(self.bytes_read)),
            figure("writes_total", Counter, "Calls that write.", Count(self.writes)),
            figure("writes_short_total", Counter, "Writes that were taken in part.", Count(self.writes_short)),
            figure("writes_blocked_total", Counter, "Writes that were refused (EAGAIN).", Count(self.writes_blocked)),
            figure("written_bytes_total", Counter, "Bytes that the kernel has taken.", Count(self.bytes_written)),
            figure("accepted_total", Counter, "Connections that were accepted.", Count(self.accepted)),
            figure("dropped_total", Counter, "Connections above the limit of their server.", Count(self.dropped)),
            figure("blocked_total", Counter, "Connections that a block list has refused.", Count(self.blocked)),
            figure("shed_total", Counter, "Connections for which there was no descriptor.", Count(self.shed)),
            figure(
                "accepting_paused_seconds_total",
                Counter,
                "Time in which servers could not accept.",
                Time(self.accepting_paused),
            ),
            figure("connections", Gauge, "Sockets and files, by state.", labelled("state", &self.connections)),
            figure(
                "server_connections",
                Gauge,
                "Connections of each server.",
                labelled("server", &self.server_connections),
            ),
            figure("closes_total", Counter, "Connections that are over.", labelled("reason", &self.closes)),
            figure("queued_bytes", Gauge, "Bytes that wait to be sent.", Count(self.queued)),
            figure("held_bytes", Gauge, "Memory of what is queued and read ahead.", Count(self.memory_held)),
            figure("shared_segments", Gauge, "Segments of broadcasts not sent to all.", Count(self.shared_segments)),
            figure(
                "messages_dropped_total",
                Counter,
                "Messages that output limits have dropped.",
                Count(self.messages_dropped),
            ),
            figure("limited_total", Counter, "Connections that output limits have ended.", Count(self.limited)),
            figure(
                "errors_unhandled_total",
                Counter,
                "Errors that no handler has listened to.",
                Count(self.errors_unhandled),
            ),
            figure("timers", Gauge, "Timers that run.", Count(self.timers)),
            figure("timers_set_total", Counter, "Timers that were set.", Count(self.timers_set)),
            figure("timers_due_total", Counter, "Timers that have come up.", Count(self.timers_due)),
            figure("timers_cancelled_total", Counter, "Timers that were taken back.", Count(self.timers_cancelled)),
        ]
        .into_iter()
    }
}

fn labelled<'a, 'k, K: ToString + 'k>(
    label: &'static str,
    counts: impl IntoIterator<Item = (&'k K, &'k u64)>,
) -> FigureValue<'a> {
    Labelled { label, counts: counts.into_iter().map(|(value, count)| (value.to_string(), *count)).collect() }
}
