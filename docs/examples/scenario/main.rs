//! Plays scenarios on this library and prints the traces as JSON: `scenario [--sim] FILE...`. With `--sim` it plays them on a
//! simulated network, which takes no time.
//!
//! A file has a scenario, a list of them, or a corpus of `{scenario, trace}`. For a corpus it also says on stderr how many
//! traces are equal, prints those that are not, and exits with 1 if there are any.

mod player;

use std::process::ExitCode;

use serde_json::{Value, json};
use tidegate::EventLoop;
use tidegate::sim::Sim;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("scenario: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let simulated = files.first().is_some_and(|first| first == "--sim");
    if simulated {
        files.remove(0);
    }
    if files.is_empty() {
        return Err("usage: scenario [--sim] FILE...".into());
    }
    let mut entries = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        match serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))? {
            Value::Array(list) => entries.extend(list),
            one => entries.push(one),
        }
    }
    let scenarios: Vec<Value> = entries.iter().map(|entry| entry.get("scenario").unwrap_or(entry).clone()).collect();
    let played = player::play(&scenarios, || match simulated {
        true => Ok(EventLoop::on(Sim::new(0).kernel(), player::Stage::default())),
        false => EventLoop::with_state(player::Stage::default()),
    })?;
    let lines: Vec<String> = played
        .iter()
        .map(|one| json!({ "name": one.name, "trace": one.trace, "unfired": one.unfired }).to_string())
        .collect();
    println!("[\n{}\n]", lines.join(",\n"));

    let expected: Vec<_> =
        entries.iter().zip(&played).filter_map(|(entry, one)| Some((entry.get("trace")?, one))).collect();
    let mut equal = 0;
    for (trace, one) in &expected {
        if **trace == one.trace {
            equal += 1;
            continue;
        }
        eprintln!("{}: differs", one.name);
        let actors = trace.as_object().into_iter().chain(one.trace.as_object()).flat_map(|map| map.keys());
        for actor in actors.collect::<std::collections::BTreeSet<_>>() {
            if trace.get(actor) != one.trace.get(actor) {
                eprintln!("  {actor} node: {}", trace.get(actor).unwrap_or(&Value::Null));
                eprintln!("  {actor} here: {}", one.trace.get(actor).unwrap_or(&Value::Null));
            }
        }
    }
    if !expected.is_empty() {
        eprintln!("{equal} of {} traces equal", expected.len());
    }
    Ok(if equal == expected.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
