//! What is shown, as lines: the figures first, then the limits, then the table of connections.

use serde_json::Value;

use super::screen::Size;
use super::words::{age, bytes, count, time};
use crate::cli::InspectOptions;

/// All lines. Without a size that they have to fit, they have as many columns as there are.
pub fn lines(
    options: &InspectOptions,
    before: Option<&Value>,
    now: &Value,
    connections: Option<&Value>,
    size: Size,
) -> Vec<String> {
    let mut lines = figures(before, now, size.width());
    lines.push(String::new());
    match connections {
        Some(connections) => lines.extend(table(options, connections, size)),
        None => lines.push(
            "The table of connections needs the key: the log of the role shows it. Give it with --key, or in the \
             environment as TIDEGATE_INSPECT_KEY."
                .to_owned(),
        ),
    }
    lines
}

/// A number at a path such as `figures/turns_total`. What is missing is 0: an older inspector may not have it.
fn number(value: &Value, path: &str) -> f64 {
    value.pointer(&format!("/{path}")).and_then(Value::as_f64).unwrap_or(0.0)
}

fn whole(value: &Value, path: &str) -> u64 {
    value.pointer(&format!("/{path}")).and_then(Value::as_u64).unwrap_or(0)
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(&format!("/{path}")).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(&format!("/{path}")).and_then(Value::as_array).into_iter().flatten()
}

/// How much more than before, of what only grows.
struct Growth<'v> {
    before: Option<&'v Value>,
    now: &'v Value,
}

impl Growth<'_> {
    /// Another process has begun anew.
    fn before(&self) -> Option<&Value> {
        self.before.filter(|before| number(before, "uptime_seconds") < number(self.now, "uptime_seconds"))
    }

    fn of(&self, path: &str) -> f64 {
        number(self.now, path) - self.before().map_or(0.0, |before| number(before, path))
    }

    fn each_second(&self, path: &str) -> f64 {
        self.of(path) / self.of("uptime_seconds").max(0.001)
    }

    /// The bound that this share of the turns has kept.
    fn turns_within(&self, share: f64) -> String {
        let path = "figures/turn_seconds";
        let all = self.of(&format!("{path}/count"));
        let buckets = list(self.now, &format!("{path}/buckets")).count();
        let of = |bucket: usize| self.of(&format!("{path}/buckets/{bucket}/1"));
        match (0..buckets).find(|bucket| of(*bucket) >= (share * all).max(1.0)) {
            Some(bucket) => format!("≤ {}", time(number(self.now, &format!("{path}/buckets/{bucket}/0")))),
            None if all < 1.0 => "–".to_owned(),
            None => "> 17 s".to_owned(),
        }
    }
}

fn figures(before: Option<&Value>, now: &Value, width: usize) -> Vec<String> {
    let growth = Growth { before, now };
    let since = if growth.before().is_some() { "now" } else { "since the start" };
    let (working, waiting) = (growth.of("figures/working_seconds_total"), growth.of("figures/waiting_seconds_total"));
    let utilisation = 100.0 * working / (working + waiting).max(1e-9);
    let [turns, read, written] = ["turns_total", "read_bytes_total", "written_bytes_total"]
        .map(|name| growth.each_second(&format!("figures/{name}")));
    let paragraphs = [
        (
            "loop",
            vec![
                format!("{utilisation:.1} % working"),
                format!("{} turns a second ({since})", count(turns.round() as u64)),
            ],
        ),
        (
            "turns",
            vec![
                format!("half {}", growth.turns_within(0.5)),
                format!("99 % {}", growth.turns_within(0.99)),
                format!("all {} ({since})", growth.turns_within(1.0)),
            ],
        ),
        (
            "bytes",
            vec![
                format!("{}/s in", bytes(read)),
                format!("{}/s out ({since})", bytes(written)),
                format!("{} queued", bytes(number(now, "figures/queued_bytes"))),
                format!("{} held", bytes(number(now, "figures/held_bytes"))),
            ],
        ),
        ("longest", longest_turn(now)),
        ("limits", list(now, "limits").map(limit).collect()),
        ("closes", counts(now, "figures/closes_total")),
        ("cuts", counts(now, "figures/budget_cuts_total")),
    ];
    let mut lines = vec![title(now), String::new()];
    lines.extend(paragraphs.iter().flat_map(|(title, parts)| paragraph(title, parts, width)));
    lines
}

fn title(now: &Value) -> String {
    let mut title = format!(
        "{} {} {}, up {}",
        text(now, "program"),
        text(now, "version"),
        text(now, "role"),
        age(number(now, "uptime_seconds") as u64)
    );
    let places: Vec<&str> = list(now, "servers").map(|server| text(server, "address")).collect();
    if !places.is_empty() {
        title = format!("{title}, listens on {}", places.join(", "));
    }
    title
}

/// Parts behind their title, in as many lines as they need. None, if there is no part.
fn paragraph(title: &str, parts: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.chars().count() + part.chars().count() + 2 <= width => *line = format!("{line}, {part}"),
            Some(line) => {
                line.push(',');
                lines.push(format!("{:<10} {part}", ""));
            }
            None => lines.push(format!("{title:<10} {part}")),
        }
    }
    lines
}

/// Those that are not 0.
fn counts(now: &Value, path: &str) -> Vec<String> {
    let counts = now.pointer(&format!("/{path}")).and_then(Value::as_object).into_iter().flatten();
    let counts = counts.map(|(name, number)| (words(name), number.as_u64().unwrap_or(0)));
    counts.filter(|(_, number)| *number > 0).map(|(name, number)| format!("{name} {}", count(number))).collect()
}

fn longest_turn(now: &Value) -> Vec<String> {
    let Some(longest) = now.get("longest_turn").filter(|longest| longest.is_object()) else { return vec![] };
    let connection = longest.get("connection").and_then(Value::as_u64);
    let with = connection.map_or_else(String::new, |id| format!(" with #{id}"));
    let phase = time(number(longest, "phase_seconds"));
    vec![
        format!("{} in the last minute", time(number(longest, "seconds"))),
        format!("{phase} of it in its phase '{}'{with}", words(text(longest, "phase"))),
    ]
}

/// `memory 1.76 MiB of 256 MiB`.
fn limit(limit: &Value) -> String {
    let name = text(limit, "name");
    let shown = |field: &str| {
        limit.get(field).and_then(Value::as_u64).map(|number| match name.ends_with("_bytes") {
            true => bytes(number as f64),
            false => count(number),
        })
    };
    // The system may not tell how much is used.
    let used = shown("used").unwrap_or_else(|| "?".to_owned());
    let allowed = shown("allowed").map_or_else(String::new, |allowed| format!(" of {allowed}"));
    format!("{} {used}{allowed}", words(name.trim_end_matches("_bytes")))
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

struct Column {
    title: &'static str,
    width: usize,
    /// The narrowest screen that has it.
    from: usize,
    of: fn(&Value) -> String,
}

/// Numbers, from the left on. Behind them is who it is, which is as long as it likes.
const COLUMNS: &[Column] = &[
    Column { title: "id", width: 8, from: 0, of: |it| format!("#{}", whole(it, "id")) },
    Column { title: "queued", width: 10, from: 0, of: |it| bytes(number(it, "queued")) },
    Column { title: "in", width: 10, from: 0, of: |it| bytes(number(it, "bytes_in")) },
    Column { title: "out", width: 10, from: 0, of: |it| bytes(number(it, "bytes_out")) },
    Column { title: "read ahead", width: 11, from: 130, of: |it| bytes(number(it, "read_ahead")) },
    Column { title: "dropped", width: 8, from: 120, of: |it| count(whole(it, "messages_dropped")) },
    Column { title: "age", width: 13, from: 110, of: |it| age(whole(it, "age_seconds")) },
    Column { title: "idle", width: 13, from: 90, of: |it| age(whole(it, "idle_seconds")) },
];

fn table(options: &InspectOptions, connections: &Value, size: Size) -> Vec<String> {
    let columns: Vec<&Column> = COLUMNS.iter().filter(|column| column.from <= size.width()).collect();
    let all = whole(connections, "count");
    let shown = list(connections, "connections");
    let row = |cells: Vec<String>, who: &str| {
        let cells = cells.iter().zip(&columns).map(|(cell, column)| format!("{cell:>width$}", width = column.width));
        format!("{}  {who}", cells.collect::<String>())
    };
    let mut lines = vec![match all {
        0 => "There is no connection.".to_owned(),
        1 => "1 connection".to_owned(),
        _ => format!("{} connections, by {}", count(all), words(&options.sort.to_string())),
    }];
    if all > 0 {
        lines.push(row(columns.iter().map(|column| column.title.to_owned()).collect(), "who"));
    }
    lines.extend(shown.map(|it| row(columns.iter().map(|column| (column.of)(it)).collect(), &who(it))));
    lines
}

/// `anna 127.0.0.1:40112, paused: a pipe into #7`.
fn who(it: &Value) -> String {
    let mut parts: Vec<String> = [text(it, "label"), text(it, "remote")].map(str::to_owned).into();
    if let Some(user) = it.get("user").and_then(Value::as_u64) {
        parts.push(format!("user {user}"));
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() {
        parts.push(text(it, "kind").to_owned());
    }
    let mut who = parts.join(" ");
    if text(it, "state") != "open" {
        who = format!("{who}, {}", words(text(it, "state")));
    }
    match text(it, "paused_by/text") {
        "" => who,
        why => format!("{who}, waits for {why}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn statistics(uptime: f64, turns: u64) -> Value {
        json!({
            "program": "tidegate", "version": "1.2.3", "role": "echo", "uptime_seconds": uptime,
            "figures": {
                "turns_total": turns, "working_seconds_total": uptime / 4.0, "waiting_seconds_total": uptime * 0.75,
                "turn_seconds": { "buckets": [[1e-6, 0], [2e-6, turns / 2], [4e-6, turns]], "count": turns, "sum": 1.0 },
                "read_bytes_total": turns * 1024, "written_bytes_total": 0, "queued_bytes": 2048, "held_bytes": 4096,
                "closes_total": { "ended": 1200, "reset": 0 }, "budget_cuts_total": { "next_turns": 3 },
            },
            "longest_turn": { "seconds": 0.012, "phase": "next_turns", "phase_seconds": 0.01, "connection": 5 },
            "limits": [
                { "name": "connections", "used": 3, "allowed": 19936 },
                { "name": "memory_bytes", "used": 4096, "allowed": null },
            ],
            "servers": [{ "server": "server #1", "address": "127.0.0.1:8080", "connections": 3 }],
        })
    }

    #[test]
    fn the_first_figures_are_since_the_start_and_the_next_ones_of_now() {
        let (first, second) = (statistics(100.0, 1000), statistics(101.0, 3000));
        assert_eq!(
            figures(None, &first, 200),
            [
                "tidegate 1.2.3 echo, up 1 min 40 s, listens on 127.0.0.1:8080",
                "",
                "loop       25.0 % working, 10 turns a second (since the start)",
                "turns      half ≤ 2 µs, 99 % ≤ 4 µs, all ≤ 4 µs (since the start)",
                "bytes      10.0 KiB/s in, 0 B/s out (since the start), 2.00 KiB queued, 4.00 KiB held",
                "longest    12 ms in the last minute, 10 ms of it in its phase 'next turns' with #5",
                "limits     connections 3 of 19,936, memory 4.00 KiB",
                "closes     ended 1,200",
                "cuts       next turns 3",
            ]
        );
        assert!(figures(Some(&first), &second, 200)[2].ends_with("25.0 % working, 2,000 turns a second (now)"));
        let narrow = figures(None, &first, 40);
        let limits = ["limits     connections 3 of 19,936,", "           memory 4.00 KiB"];
        assert!(narrow.windows(2).any(|lines| lines == limits), "{narrow:?}");
        assert!(narrow[2..].iter().all(|line| line.chars().count() <= 56), "{narrow:?}");
        // Another process, which has begun anew.
        assert!(figures(Some(&second), &first, 200)[2].ends_with("10 turns a second (since the start)"));
        assert!(figures(Some(&first), &statistics(101.0, 1000), 200)[3].contains("half –, 99 % –"));
    }

    #[test]
    fn a_row_has_who_it_is_and_for_whom_it_waits() {
        let it = json!({
            "id": 5, "label": "anna", "kind": "server", "remote": "127.0.0.1:40112", "user": null, "state": "read_only",
            "paused_by": { "by": "pipe", "connection": 7, "text": "a pipe into #7" }, "queued": 10, "bytes_in": 2048,
        });
        assert_eq!(who(&it), "anna 127.0.0.1:40112, read only, waits for a pipe into #7");
        assert_eq!(who(&json!({ "kind": "file", "state": "open", "paused_by": null })), "file");
        assert_eq!(who(&json!({ "kind": "server", "user": 0, "state": "open" })), "user 0");
        let Ok(options) = crate::cli::inspect_options(&["9000"]) else { panic!("no options") };
        let rows = |width| table(&options, &json!({ "count": 2000, "connections": [it] }), Size::of(width, 50));
        assert_eq!(
            rows(80),
            [
                "2,000 connections, by queued",
                "      id    queued        in       out  who",
                "      #5      10 B  2.00 KiB       0 B  anna 127.0.0.1:40112, read only, waits for a pipe into #7",
            ]
        );
        assert!(rows(140)[1].ends_with("read ahead dropped          age         idle  who"), "{:?}", rows(140));
        assert_eq!(table(&options, &json!({ "count": 0, "connections": [] }), Size::NONE), ["There is no connection."]);
    }
}
