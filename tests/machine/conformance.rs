//! Node's own traces: in 182 scenarios this library does what Node's `net` did, event for event.
//!
//! The corpus is `tests/conformance/corpus.json`. `docs/conformance.md` says what a scenario is, and how the traces
//! were made. The player is that of the example `scenario`.

#[path = "../../docs/examples/scenario/player.rs"]
mod player;

use crate::support::alone::{alone, beside_others};
use serde_json::Value;
use tidegate::EventLoop;

/// The scenarios have pauses of some ten milliseconds in real time. So no other test may run beside this one.
#[test]
fn every_scenario_gives_nodes_trace() {
    let _alone = alone();
    compare(|| EventLoop::with_state(player::Stage::default()));
}

/// On the simulated network too, where time costs nothing.
#[test]
#[cfg(unix)]
fn every_scenario_gives_nodes_trace_on_the_simulated_network() {
    let _beside_others = beside_others();
    compare(|| Ok(EventLoop::on(tidegate::sim::Sim::new(0).kernel(), player::Stage::default())));
}

fn compare(make_loop: impl Fn() -> Result<EventLoop<player::Stage>, tidegate::Error>) {
    let corpus: Vec<Value> =
        serde_json::from_str(include_str!("../conformance/corpus.json")).expect("the corpus is a list of JSON objects");
    let scenarios: Vec<Value> = corpus.iter().map(|entry| entry["scenario"].clone()).collect();
    let played = player::play(&scenarios, make_loop).expect("a loop can be made and can listen on loopback");
    let mut differing = Vec::new();
    for (entry, one) in corpus.iter().zip(&played) {
        if entry["trace"] != one.trace {
            let rules: Vec<String> =
                entry["scenario"]["rules"].as_array().into_iter().flatten().map(Value::to_string).collect();
            differing.push(format!(
                "{}\n  {}\n  node: {}\n  here: {}\n  rules that never fired here: {:?}",
                one.name,
                rules.join("\n  "),
                entry["trace"],
                one.trace,
                one.unfired
            ));
        }
    }
    assert_eq!(played.len(), 182);
    assert!(differing.is_empty(), "{} of 182 differ:\n{}", differing.len(), differing.join("\n"));
}
