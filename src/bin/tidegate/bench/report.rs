//! What is shown at the end: a summary for people, or a JSON object for programs, and the problems in both.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::held_back::Evidence;
use super::run;
use super::run_state::{Mismatch, RunState};
use crate::cli::{Workload, counted};

/// Above this share of a core, this process may have been the bottleneck.
const BUSY: f64 = 0.9;

/// Above this share of all cores, programs have waited for each other.
const MACHINE_BUSY: f64 = 0.95;

/// Below this share of the rate, it was not reached.
const REACHED: f64 = 0.95;

/// The quantiles that are shown, and their names in JSON and in the summary.
const QUANTILES: [(f64, &str, &str); 7] = [
    (0.5, "p50", "50 %"),
    (0.75, "p75", "75 %"),
    (0.9, "p90", "90 %"),
    (0.95, "p95", "95 %"),
    (0.99, "p99", "99 %"),
    (0.999, "p99_9", "99.9 %"),
    (0.9999, "p99_99", "99.99 %"),
];

/// A line of the summary: a name and its value.
type Row = (&'static str, String);

pub struct Report<'r> {
    workload: &'r Workload,
    run: &'r RunState,
    time: Duration,
}

impl<'r> Report<'r> {
    pub fn new(workload: &'r Workload, run: &'r RunState) -> Self {
        Report { workload, run, time: run.measurement.time(run.now()) }
    }

    /// Any of them makes the exit code 1.
    pub fn problems(&self) -> Vec<String> {
        let RunState { connections, .. } = self.run;
        let because = |why: Option<String>| why.map_or_else(String::new, |why| format!(": {why}"));
        let mut problems = Vec::new();
        if connections.failed > 0 {
            let why = because(connections.first_failure.clone());
            problems.push(format!("could not open {}{why}", counted(connections.failed as u64, "connection")));
        }
        if connections.lost > 0 {
            let why = because(connections.first_loss.clone());
            problems.push(format!("lost {}{why}", counted(connections.lost as u64, "connection")));
        }
        if let Some(Mismatch { connection, at, what }) = &self.run.first_mismatch {
            let (connections, bytes) = (counted(self.run.mismatches as u64, "connection"), counted(*at, "byte"));
            problems.push(format!("wrong bytes on {connections}, first on number {connection} after {bytes}: {what}"));
        }
        if let Some(Evidence { waited, other }) = self.run.held_back {
            problems.push(format!(
                "this room limits how fast a guest may send, so that limit was measured: a line of a sender waited for {}, \
                 while one of a guest that had been silent took {}. Start 'tidegate chat' with '--flood none' to measure \
                 the room",
                seconds(waited),
                seconds(other)
            ));
        }
        if self.run.unanswered > 0 {
            problems.push(format!("missing {}", counted(self.run.unanswered as u64, self.answer())));
        }
        problems.extend(self.not_sent().filter(|_| self.run.plan.duration.is_none()));
        if problems.is_empty() && self.run.measurement.count == 0 {
            problems.push(self.nothing_measured());
        }
        problems
    }

    /// The number was not reached. A time that was given too is no problem, and a silence is.
    fn not_sent(&self) -> Option<String> {
        let (left, number) = (self.run.to_send.filter(|left| *left > 0)?, self.run.plan.number?);
        let why = match self.run.plan.duration {
            _ if self.run.interrupted => return None,
            _ if self.run.connections.open() == 0 && !matches!(self.workload, Workload::Churn { .. }) => {
                "no connection was left".to_owned()
            }
            Some(duration) => format!("--duration was over after {}", seconds(duration)),
            None if matches!(self.workload, Workload::Sink { .. }) => {
                format!("the server took nothing for {}", seconds(run::STALLED))
            }
            None => format!("nothing came for {}", seconds(run::STALLED)),
        };
        Some(format!("{left} of {number} were not sent: {why}"))
    }

    fn nothing_measured(&self) -> String {
        let RunState { plan, connections, .. } = self.run;
        match self.workload {
            workload if !matches!(workload, Workload::Churn { .. }) && !self.run.has_connected() => {
                let (opened, all) = (connections.opened, plan.connections);
                format!("the run ended while connecting: {opened} of {all} connections were open")
            }
            _ if self.time.is_zero() => "the run ended before anything was measured".to_owned(),
            Workload::Sink { .. } => format!("the server took nothing in {}", seconds(self.time)),
            _ => format!("nothing came in {}", seconds(self.time)),
        }
    }

    /// What is no problem, but changes what the figures mean.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.is_client_bound() {
            notes.push(
                "this client was busy nearly all the time: it may have been the bottleneck, and not the server"
                    .to_owned(),
            );
        }
        if let Some(share) = self.run.measurement.machine_share().filter(|share| *share > MACHINE_BUSY) {
            notes.push(format!(
                "all cores of this machine were busy ({:.0} %): this client may have waited for other programs, and a \
                 server on this machine too",
                share * 100.0
            ));
        }
        let (waiting, all) = (self.run.measurement.waiting, self.run.measurement.latencies().map_or(0, Histogram::len));
        if waiting * 100 > all {
            let waiting = counted(waiting, self.answer());
            notes.push(format!("{waiting} did not come: the latencies count them with the time of the wait"));
        }
        notes.extend(self.not_sent().filter(|_| self.run.plan.duration.is_some()));
        if let Some(rate) = self.run.plan.rate
            && self.per_second() < REACHED * self.expected(rate)
        {
            let unsent = self.run.unsent;
            notes.push(format!("the rate of {rate}/s was not reached; {unsent} were due and never sent"));
        }
        let suspended = self.run.clock.suspended();
        if !suspended.is_zero() {
            notes.push(format!("this process did not run for {}, which is not counted", seconds(suspended)));
        }
        if self.run.interrupted {
            notes.push("a signal ended the measurement early".to_owned());
        }
        notes
    }

    /// A rate in what is counted: each line of a chat is delivered to everybody else.
    fn expected(&self, rate: u32) -> f64 {
        let each = match self.workload {
            Workload::Chat { .. } => self.run.plan.connections - 1,
            _ => 1,
        };
        f64::from(rate) * each as f64
    }

    fn is_client_bound(&self) -> bool {
        self.run.measurement.busy_share().is_some_and(|share| share > BUSY)
    }

    fn per_second(&self) -> f64 {
        per_second(self.run.measurement.count, self.time)
    }

    /// What a message waits for.
    fn answer(&self) -> &'static str {
        if matches!(self.workload, Workload::Chat { .. }) { "delivery" } else { "answer" }
    }

    /// What is counted.
    pub fn unit(&self) -> &'static str {
        match self.workload {
            Workload::Echo { .. } => "messages",
            Workload::Request { .. } => "requests",
            Workload::Sink { .. } | Workload::Source { .. } => "bytes",
            Workload::Churn { .. } | Workload::Idle { .. } => "connections",
            Workload::Chat { .. } => "deliveries",
        }
    }

    /// The summary. It ends with a line end.
    pub fn text(&self) -> String {
        let is_idle = matches!(self.workload, Workload::Idle { .. });
        let mut rows = if is_idle { self.connection_rows() } else { self.traffic_rows() };
        rows.extend(self.run.measurement.latencies().map(latency_rows).unwrap_or_default());
        let busy = self.run.measurement.busy_share();
        rows.extend(busy.map(|share| ("this client", format!("busy {:.0} % of the time", share * 100.0))));
        rows.extend(self.notes().into_iter().map(|note| ("note", note)));
        rows.extend(self.problems().into_iter().map(|problem| ("PROBLEM", problem)));
        let mut text = self.title() + "\n";
        for (name, what) in rows {
            let _ = writeln!(text, "  {name:<12} {what}");
        }
        text
    }

    fn connection_rows(&self) -> Vec<Row> {
        let count = grouped(self.run.measurement.count);
        let opened = format!("{count} in {}, {}/s", seconds(self.time), rounded(self.per_second()));
        let open = grouped(self.run.connections.open() as u64);
        vec![
            ("opened", opened),
            ("stayed", format!("{open} for {}", seconds(self.run.plan.duration.unwrap_or_default()))),
        ]
    }

    /// How long it was measured.
    pub fn time(&self) -> String {
        match self.run.plan.warmup {
            Duration::ZERO => seconds(self.time),
            warmup => format!("{}, after {} of warm-up", seconds(self.time), seconds(warmup)),
        }
    }

    fn traffic_rows(&self) -> Vec<Row> {
        let (measurement, time) = (&self.run.measurement, self.time());
        let count = grouped(measurement.count);
        if self.unit() == "bytes" {
            let (bytes, bits) = (megabytes(self.per_second()), self.per_second() * 8.0 / 1e9);
            return vec![("time", time), ("bytes", format!("{count}, {bytes} MB/s, {bits:.2} Gbit/s"))];
        }
        let mut rows = vec![("time", time), (self.unit(), format!("{count}, {}/s", rounded(self.per_second())))];
        for (name, bytes) in [("sent", measurement.bytes_sent), ("received", measurement.bytes_received)] {
            if bytes > 0 {
                let each = megabytes(per_second(bytes, self.time));
                rows.push((name, format!("{} bytes, {each} MB/s", grouped(bytes))));
            }
        }
        rows
    }

    fn title(&self) -> String {
        format!("{}: {}", self.subject(), self.parameters())
    }

    /// What was loaded, and with what.
    pub fn subject(&self) -> String {
        format!("{} on {}", self.workload.name(), self.run.plan.to)
    }

    pub fn parameters(&self) -> String {
        let mut text = counted(self.workload.options().connections as u64, "connection");
        let is_chat = matches!(self.workload, Workload::Chat { .. });
        if let Some(senders) = self.workload.senders() {
            let _ = write!(text, " that receive, {senders} that send");
        }
        if let Some(size) = self.workload.size().filter(|_| !matches!(self.workload, Workload::Request { .. })) {
            let _ = write!(text, ", {size} bytes");
        }
        if let Some(pressure) = self.workload.pressure() {
            let scope = if is_chat { "in all" } else { "on each" };
            let _ = write!(text, ", {} in flight {scope}", pressure.depth);
        }
        if let Some(rate) = self.run.plan.rate {
            let _ = write!(text, ", {rate}/s");
        }
        if let Some(number) = self.run.plan.number {
            let _ = write!(text, ", {number} in all");
        }
        text
    }

    /// One object. `docs/bench.md` describes its fields.
    pub fn json(&self) -> Value {
        let RunState { connections, measurement, .. } = self.run;
        let (point, counts) = measurement.series();
        json!({
            "workload": self.workload.name(),
            "address": self.run.plan.to.to_string(),
            "connections": self.workload.options().connections,
            "senders": self.workload.senders(),
            "size": self.workload.size(),
            "depth": self.workload.pressure().map(|pressure| pressure.depth),
            "rate": self.run.plan.rate,
            "number": self.run.plan.number,
            "warmup_seconds": self.run.plan.warmup.as_secs_f64(),
            "seconds": self.time.as_secs_f64(),
            "unit": self.unit(),
            "count": measurement.count,
            "per_second": self.per_second(),
            "bytes_sent": measurement.bytes_sent,
            "bytes_received": measurement.bytes_received,
            "latency_us": measurement.latencies().map(|latencies| latency_json(latencies, measurement.waiting)),
            "throughput": { "seconds_each": point.as_secs_f64(), "counts": counts },
            "opened": connections.opened,
            "failed": connections.failed,
            "lost": connections.lost,
            "stayed": connections.open(),
            "wrong": self.run.first_mismatch.as_ref().map(|mismatch| json!({
                "connections": self.run.mismatches,
                "connection": mismatch.connection,
                "after_bytes": mismatch.at,
                "what": mismatch.what,
            })),
            "unanswered": self.run.unanswered,
            "unsent": self.run.unsent,
            "client_cpu_share": measurement.busy_share(),
            "machine_cpu_share": measurement.machine_share(),
            "client_bound": self.is_client_bound(),
            "held_back": self.run.held_back.is_some(),
            "suspended_seconds": self.run.clock.suspended().as_secs_f64(),
            "interrupted": self.run.interrupted,
            "notes": self.notes(),
            "problems": self.problems(),
        })
    }
}

fn latency_rows(latencies: &Histogram<u64>) -> Vec<Row> {
    let mean = format!("mean {}, max {}", time(latencies.mean()), time(latencies.max() as f64));
    let known = QUANTILES.into_iter().filter(|it| is_known(latencies, it.0));
    let quantile = |(quantile, _, name): (f64, _, &str)| {
        ("", format!("{name:>7}  {}", time(latencies.value_at_quantile(quantile) as f64)))
    };
    std::iter::once(("latency", mean)).chain(known.map(quantile)).collect()
}

fn latency_json(latencies: &Histogram<u64>, waiting: u64) -> Value {
    let mut fields = serde_json::Map::new();
    let mut put = |name: &str, nanoseconds: f64| fields.insert(name.to_owned(), json!(nanoseconds / 1000.0));
    put("min", latencies.min() as f64);
    put("mean", latencies.mean());
    put("stdev", latencies.stdev());
    put("max", latencies.max() as f64);
    for (quantile, name, _) in QUANTILES.into_iter().filter(|it| is_known(latencies, it.0)) {
        put(name, latencies.value_at_quantile(quantile) as f64);
    }
    fields.insert("count".to_owned(), json!(latencies.len()));
    fields.insert("waiting".to_owned(), json!(waiting));
    Value::Object(fields)
}

/// A quantile is known if at least one value lies above it: of ten values there is no 99 %.
pub fn is_known(latencies: &Histogram<u64>, quantile: f64) -> bool {
    latencies.len() as f64 * (1.0 - quantile) >= 1.0 - 1e-9
}

fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

pub fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        short if short < 1.0 => format!("{:.1} ms", short * 1e3),
        long => format!("{long:.2} s"),
    }
}

/// About three digits, in the unit that fits.
pub fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        short if short < 1e3 => format!("{short:.0} ns"),
        short if short < 100e3 => format!("{:.1} us", short / 1e3),
        short if short < 1e6 => format!("{:.0} us", short / 1e3),
        middle if middle < 100e6 => format!("{:.2} ms", middle / 1e6),
        middle if middle < 1e9 => format!("{:.0} ms", middle / 1e6),
        long => format!("{:.2} s", long / 1e9),
    }
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1}", bytes / 1e6)
}

fn rounded(number: f64) -> String {
    grouped(number.round() as u64)
}

/// With a comma between groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([0, 7, 999, 1000, 1_234_567].map(grouped), ["0", "7", "999", "1,000", "1,234,567"]);
        let times = [12.0, 1234.0, 123_456.0, 1_234_567.0, 123_456_789.0, 12e9].map(time);
        assert_eq!(times, ["12 ns", "1.2 us", "123 us", "1.23 ms", "123 ms", "12.00 s"]);
    }

    #[test]
    fn a_quantile_needs_values_above_it() {
        let mut latencies = Histogram::new(3).unwrap();
        for value in 1..=100 {
            latencies.record(value).unwrap();
        }
        assert!(is_known(&latencies, 0.5) && is_known(&latencies, 0.99));
        assert!(!is_known(&latencies, 0.999));
    }
}
