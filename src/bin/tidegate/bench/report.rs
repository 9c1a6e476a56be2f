//! What is told at the end: a summary for people, an object for machines, and what went wrong for both.

use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::course::Course;
use crate::cli::{BenchOptions, Workload};
use crate::daemon::counted;

/// Above this share of a core, this process may have been what was measured.
const BUSY: f64 = 0.9;

/// Below this share of the asked rate, it was not kept.
const KEPT: f64 = 0.95;

/// The quantiles that are told, and their names in JSON and in the summary.
const QUANTILES: [(f64, &str, &str); 5] = [
    (0.5, "p50", "50 %"),
    (0.9, "p90", "90 %"),
    (0.99, "p99", "99 %"),
    (0.999, "p99_9", "99.9 %"),
    (0.9999, "p99_99", "99.99 %"),
];

/// A line of the summary: what it tells of, and what.
type Row = (&'static str, String);

/// A measurement, to be told of.
pub struct Report<'c> {
    options: &'c BenchOptions,
    course: &'c Course,
    time: Duration,
}

impl<'c> Report<'c> {
    pub fn new(options: &'c BenchOptions, course: &'c Course) -> Self {
        Report { options, course, time: course.measured.time(course.now()) }
    }

    /// What makes the exit code 1.
    pub fn problems(&self) -> Vec<String> {
        let course = self.course;
        let mut problems = Vec::new();
        if course.connecting.failed > 0 {
            let why = course.connecting.why.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            problems.push(format!("could not open {}{why}", counted(course.connecting.failed as u64, "connection")));
        }
        if course.lost > 0 {
            let why = course.why_lost.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            problems.push(format!("lost {}{why}", counted(course.lost as u64, "connection")));
        }
        if let Some(wrong) = &course.where_wrong {
            problems.push(format!(
                "wrong bytes on {}, first on number {} after {}: {}",
                counted(course.wrong as u64, "connection"),
                wrong.connection,
                counted(wrong.at, "byte"),
                wrong.what
            ));
        }
        if course.unanswered > 0 {
            let unit = if matches!(self.options.workload, Workload::Chat { .. }) { "delivery" } else { "answer" };
            problems.push(format!("missing {}", counted(course.unanswered as u64, unit)));
        }
        if problems.is_empty() && self.course.measured.count == 0 {
            problems.push("it ended before anything was measured".to_owned());
        }
        problems
    }

    /// What is no fault and changes what the figures mean.
    fn notes(&self) -> Vec<String> {
        let course = self.course;
        let mut notes = Vec::new();
        if self.is_client_bound() {
            notes.push(
                "this client was busy nearly all the time: it may have been the bottleneck, and not the server"
                    .to_owned(),
            );
        }
        if let Some(rate) = self.rate()
            && self.per_second() < KEPT * self.expected(rate)
        {
            notes.push(format!("the rate of {rate}/s was not kept; {} were due and never sent", course.unsent));
        }
        if course.is_interrupted {
            notes.push("a signal has ended it early".to_owned());
        }
        notes
    }

    fn rate(&self) -> Option<u32> {
        self.options.workload.pressure()?.rate
    }

    /// What a rate makes in what is counted: a line of a chat is heard by many.
    fn expected(&self, rate: u32) -> f64 {
        let each = match self.options.workload {
            Workload::Chat { .. } => self.course.connections - 1,
            _ => 1,
        };
        f64::from(rate) * each as f64
    }

    fn is_client_bound(&self) -> bool {
        self.course.measured.busy_share().is_some_and(|share| share > BUSY)
    }

    fn per_second(&self) -> f64 {
        per_second(self.course.measured.count, self.time)
    }

    /// What is counted.
    fn unit(&self) -> &'static str {
        match self.options.workload {
            Workload::Echo { .. } => "messages",
            Workload::Request { .. } => "requests",
            Workload::Sink { .. } | Workload::Source => "bytes",
            Workload::Churn { .. } | Workload::Idle => "connections",
            Workload::Chat { .. } => "deliveries",
        }
    }

    /// The summary. It ends with a line end.
    pub fn text(&self) -> String {
        let mut rows = if self.options.workload == Workload::Idle { self.held() } else { self.carried() };
        rows.extend(self.course.measured.latencies().map(spread).unwrap_or_default());
        let busy = self.course.measured.busy_share();
        rows.extend(busy.map(|share| ("this client", format!("busy {:.0} % of the time", share * 100.0))));
        rows.extend(self.notes().into_iter().map(|note| ("note", note)));
        rows.extend(self.problems().into_iter().map(|problem| ("PROBLEM", problem)));
        let mut text = self.title() + "\n";
        for (name, what) in rows {
            let _ = writeln!(text, "  {name:<12} {what}");
        }
        text
    }

    /// Where connections are what is measured.
    fn held(&self) -> Vec<Row> {
        let count = grouped(self.course.measured.count);
        let opened = format!("{count} in {}, {}/s", seconds(self.time), rounded(self.per_second()));
        let stayed = format!("{} for {}", grouped(self.course.open() as u64), seconds(self.options.duration));
        vec![("opened", opened), ("stayed", stayed)]
    }

    /// Where it is what goes through them.
    fn carried(&self) -> Vec<Row> {
        let measured = &self.course.measured;
        let mut time = seconds(self.time);
        if !self.options.warmup.is_zero() {
            let _ = write!(time, ", after {} of warm-up", seconds(self.options.warmup));
        }
        let count = grouped(measured.count);
        if self.unit() == "bytes" {
            return vec![("time", time), ("bytes", format!("{count}, {} MB/s", megabytes(self.per_second())))];
        }
        let mut rows = vec![("time", time), (self.unit(), format!("{count}, {}/s", rounded(self.per_second())))];
        for (name, bytes) in [("sent", measured.bytes_sent), ("received", measured.bytes_received)] {
            if bytes > 0 {
                let each = megabytes(per_second(bytes, self.time));
                rows.push((name, format!("{} bytes, {each} MB/s", grouped(bytes))));
            }
        }
        rows
    }

    fn title(&self) -> String {
        let BenchOptions { to, workload, connections, .. } = self.options;
        let mut title = format!("{} on {to}: {}", workload.name(), counted(*connections as u64, "connection"));
        match workload {
            Workload::Echo { size, pressure } => {
                let _ = write!(title, ", {size} bytes, {} under way on each", pressure.depth);
            }
            Workload::Request { pressure, .. } => {
                let _ = write!(title, ", {} under way on each", pressure.depth);
            }
            Workload::Sink { size } | Workload::Churn { size } => {
                let _ = write!(title, ", {size} bytes");
            }
            Workload::Chat { senders, size, pressure } => {
                let _ = write!(
                    title,
                    " that listen, {senders} that speak, {size} bytes, {} under way in all",
                    pressure.depth
                );
            }
            Workload::Source | Workload::Idle => {}
        }
        if let Some(rate) = self.rate() {
            let _ = write!(title, ", {rate}/s");
        }
        title
    }

    /// One object; `docs/bench.md` tells what its fields are.
    pub fn json(&self) -> Value {
        let (options, course, measured) = (self.options, self.course, &self.course.measured);
        let (point, counts) = measured.series();
        let (size, senders) = match &options.workload {
            Workload::Echo { size, .. } | Workload::Sink { size } | Workload::Churn { size } => (Some(*size), None),
            Workload::Chat { size, senders, .. } => (Some(*size), Some(*senders)),
            Workload::Request { send, .. } => (Some(send.len()), None),
            Workload::Source | Workload::Idle => (None, None),
        };
        json!({
            "workload": options.workload.name(),
            "address": options.to.to_string(),
            "connections": options.connections,
            "senders": senders,
            "size": size,
            "depth": options.workload.pressure().map(|pressure| pressure.depth),
            "rate": self.rate(),
            "warmup_seconds": options.warmup.as_secs_f64(),
            "seconds": self.time.as_secs_f64(),
            "unit": self.unit(),
            "count": measured.count,
            "per_second": self.per_second(),
            "bytes_sent": measured.bytes_sent,
            "bytes_received": measured.bytes_received,
            "latency_us": measured.latencies().map(latency),
            "throughput": { "seconds_each": point.as_secs_f64(), "counts": counts },
            "opened": course.connecting.opened,
            "failed": course.connecting.failed,
            "lost": course.lost,
            "stayed": course.open(),
            "wrong": course.where_wrong.as_ref().map(|wrong| json!({
                "connections": course.wrong,
                "connection": wrong.connection,
                "after_bytes": wrong.at,
                "what": wrong.what,
            })),
            "unanswered": course.unanswered,
            "unsent": course.unsent,
            "client_cpu_share": measured.busy_share(),
            "client_bound": self.is_client_bound(),
            "interrupted": course.is_interrupted,
            "notes": self.notes(),
            "problems": self.problems(),
        })
    }
}

fn spread(latencies: &Histogram<u64>) -> Vec<Row> {
    let mean = format!("mean {}, max {}", time(latencies.mean()), time(latencies.max() as f64));
    let known = QUANTILES.into_iter().filter(|it| is_known(latencies, it.0));
    let quantile = |(quantile, _, name): (f64, _, &str)| {
        ("", format!("{name:>7}  {}", time(latencies.value_at_quantile(quantile) as f64)))
    };
    std::iter::once(("latency", mean)).chain(known.map(quantile)).collect()
}

fn latency(latencies: &Histogram<u64>) -> Value {
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
    Value::Object(fields)
}

/// A quantile is known when at least one value lies above it: with ten values there is no 99 %.
pub fn is_known(latencies: &Histogram<u64>, quantile: f64) -> bool {
    latencies.len() as f64 * (1.0 - quantile) >= 1.0 - 1e-9
}

fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        short if short < 1.0 => format!("{:.1} ms", short * 1e3),
        long => format!("{long:.2} s"),
    }
}

/// Three digits or so, in the unit that fits.
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

/// With a comma between each three digits.
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
