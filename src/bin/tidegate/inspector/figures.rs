//! The figures of the loop, for Prometheus (its text format, version 0.0.4) and as JSON.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate::{Figure, FigureKind, FigureValue, Histogram, Statistics};

use super::subject::{Limit, Look, OwnFigure};

/// By name, without a prefix.
pub fn json(statistics: &Statistics) -> Value {
    let figures = statistics.each().map(|figure| (figure.name.to_owned(), value(&figure.value)));
    Value::Object(figures.collect::<Map<_, _>>())
}

fn value(value: &FigureValue<'_>) -> Value {
    match value {
        FigureValue::Count(count) => json!(count),
        FigureValue::Time(time) => json!(time.as_secs_f64()),
        FigureValue::Labelled { counts, .. } => {
            Value::Object(counts.iter().map(|(label, count)| (label.clone(), json!(count))).collect())
        }
        FigureValue::Histogram(times) => json!({
            "buckets": times.buckets().map(|(bound, count)| json!([bound.as_secs_f64(), count])).collect::<Vec<_>>(),
            "count": times.count(),
            "sum": times.sum().as_secs_f64(),
        }),
        _ => Value::Null,
    }
}

pub fn prometheus(look: &Look) -> String {
    let mut text = String::with_capacity(16 << 10);
    // A text takes everything, so there is no error.
    let _ = write_all(&mut text, look);
    text
}

fn write_all(text: &mut String, look: &Look) -> fmt::Result {
    let (version, role) = (env!("CARGO_PKG_VERSION"), Escaped(&look.role));
    family(text, "tidegate_build_info", "gauge", "The version and the role, always 1.")?;
    writeln!(text, "tidegate_build_info{{version=\"{version}\",role=\"{role}\"}} 1")?;
    let flags = look.flags.join(" ");
    family(text, "tidegate_flags_info", "gauge", "The command line behind the role, always 1.")?;
    writeln!(text, "tidegate_flags_info{{flags=\"{}\"}} 1", Escaped(&flags))?;
    family(text, "tidegate_uptime_seconds", "gauge", "For how long it has run.")?;
    writeln!(text, "tidegate_uptime_seconds {}", Seconds(look.uptime))?;
    for figure in look.statistics.each() {
        write_figure(text, &figure)?;
    }
    for OwnFigure { name, help, value } in &look.own {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        family(text, &format!("tidegate_{name}"), kind, help)?;
        writeln!(text, "tidegate_{name} {value}")?;
    }
    write_limits(text, &look.limits)?;
    let usage = look.usage;
    let process = [
        ("process_open_fds", "gauge", "Descriptors that are open.", usage.open_descriptors),
        ("process_max_fds", "gauge", "Most descriptors that may be open.", usage.max_descriptors),
        ("process_resident_memory_bytes", "gauge", "Memory of the process.", usage.resident_bytes),
    ];
    for (name, kind, help, value) in process {
        if let Some(value) = value {
            family(text, name, kind, help)?;
            writeln!(text, "{name} {value}")?;
        }
    }
    if let Some(seconds) = usage.cpu_seconds {
        family(text, "process_cpu_seconds_total", "counter", "CPU time of the process, with the kernel's for it.")?;
        writeln!(text, "process_cpu_seconds_total {seconds}")?;
    }
    Ok(())
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn write_figure(text: &mut String, figure: &Figure<'_>) -> fmt::Result {
    let name = format!("tidegate_{}", figure.name);
    let kind = match figure.kind {
        FigureKind::Counter => "counter",
        FigureKind::Gauge => "gauge",
        FigureKind::Histogram => "histogram",
    };
    family(text, &name, kind, figure.help)?;
    match &figure.value {
        FigureValue::Count(count) => writeln!(text, "{name} {count}"),
        FigureValue::Time(time) => writeln!(text, "{name} {}", Seconds(*time)),
        FigureValue::Labelled { label, counts } => counts
            .iter()
            .try_for_each(|(value, count)| writeln!(text, "{name}{{{label}=\"{}\"}} {count}", Escaped(value))),
        FigureValue::Histogram(times) => write_histogram(text, &name, times),
        _ => Ok(()),
    }
}

fn write_histogram(text: &mut String, name: &str, times: &Histogram) -> fmt::Result {
    for (bound, count) in times.buckets() {
        writeln!(text, "{name}_bucket{{le=\"{}\"}} {count}", Seconds(bound))?;
    }
    let (count, sum) = (times.count(), Seconds(times.sum()));
    writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}")
}

/// A limit that there is not has no line: nothing can be divided by it.
fn write_limits(text: &mut String, limits: &[Limit]) -> fmt::Result {
    family(text, "tidegate_limit", "gauge", "The most that may be used, by what it is a limit of.")?;
    for Limit { name, allowed, .. } in limits {
        if let Some(allowed) = allowed {
            writeln!(text, "tidegate_limit{{name=\"{name}\"}} {allowed}")?;
        }
    }
    family(text, "tidegate_limit_used", "gauge", "How much of a limit is used.")?;
    for Limit { name, used, .. } in limits {
        if let Some(used) = used {
            writeln!(text, "tidegate_limit_used{{name=\"{name}\"}} {used}")?;
        }
    }
    Ok(())
}

/// Without an exponent, and exact.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        match format!("{seconds}.{nanos:09}").trim_end_matches('0') {
            whole if whole.ends_with('.') => seconds.fmt(f),
            decimal => f.write_str(decimal),
        }
    }
}

/// The value of a label.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            letter => f.write_char(letter),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::usage::Usage;

    #[test]
    fn seconds_are_exact_and_labels_are_escaped() {
        for (nanos, text) in [(0, "0"), (1_000, "0.000001"), (1_500_000_000, "1.5"), (20_000_000_000, "20")] {
            assert_eq!(Seconds(Duration::from_nanos(nanos)).to_string(), text);
        }
        assert_eq!(Escaped("a\"b\\c\nd").to_string(), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn each_figure_has_a_family_and_each_limit_a_line() {
        let look = Look {
            role: "echo".to_owned(),
            flags: vec!["--listen".to_owned(), "7".to_owned()],
            uptime: Duration::from_millis(1500),
            statistics: Statistics::default(),
            longest_turn: None,
            usage: Usage { open_descriptors: Some(9), ..Usage::default() },
            limits: vec![
                Limit { name: "connections", used: Some(1), allowed: Some(10) },
                Limit { name: "memory_bytes", used: Some(2), allowed: None },
            ],
            servers: vec![],
            own: vec![
                OwnFigure { name: "bus_nodes", help: "Nodes.", value: 3.0 },
                OwnFigure { name: "bus_lost_lines_total", help: "Lines.", value: 0.5 },
            ],
        };
        let text = prometheus(&look);
        for figure in look.statistics.each() {
            assert!(text.contains(&format!("# HELP tidegate_{} {}\n", figure.name, figure.help)), "{}", figure.name);
        }
        for line in [
            "tidegate_flags_info{flags=\"--listen 7\"} 1",
            "tidegate_uptime_seconds 1.5",
            "tidegate_turns_total 0",
            "tidegate_turn_seconds_bucket{le=\"0.000001\"} 0",
            "tidegate_turn_seconds_bucket{le=\"+Inf\"} 0",
            "tidegate_turn_seconds_count 0",
            "tidegate_limit{name=\"connections\"} 10",
            "tidegate_limit_used{name=\"memory_bytes\"} 2",
            "process_open_fds 9",
            "# TYPE tidegate_bus_nodes gauge",
            "tidegate_bus_nodes 3",
            "# TYPE tidegate_bus_lost_lines_total counter",
            "tidegate_bus_lost_lines_total 0.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(!text.contains("tidegate_limit{name=\"memory_bytes\"}") && !text.contains("process_cpu"), "{text}");
        let names = look.json()["figures"].as_object().map(|figures| figures.len());
        assert_eq!(names, Some(look.statistics.each().count()));
    }
}
