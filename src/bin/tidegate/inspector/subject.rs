//! What is looked at: a role with its flags, and its limits.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::{LongestTurn, Net, SocketId, Statistics};

use super::MOST;
use super::figures;
use crate::process::outside;
use crate::process::usage::Usage;

/// A role, or a workload of the load generator.
#[derive(Clone, Debug)]
pub struct Subject {
    /// `echo`, `bench echo`.
    pub role: String,
    pub limits: Limits,
    pub own: OwnFigures,
}

/// What a role counts beside the figures of its loop, found in the loop's state when somebody looks.
#[derive(Clone, Default)]
pub struct OwnFigures(Option<Rc<Find>>);

type Find = dyn Fn(&dyn Any) -> Vec<OwnFigure>;

impl OwnFigures {
    /// Those of a loop whose state is of this type.
    pub fn of<S: 'static>(figures: fn(&S) -> Vec<OwnFigure>) -> Self {
        OwnFigures(Some(Rc::new(move |state| state.downcast_ref().map(figures).unwrap_or_default())))
    }

    fn at(&self, state: &dyn Any) -> Vec<OwnFigure> {
        self.0.as_ref().map(|figures| figures(state)).unwrap_or_default()
    }
}

impl fmt::Debug for OwnFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "OwnFigures" } else { "none" })
    }
}

/// A figure of a role. Its name, without the `tidegate_` of all, ends with `_total` if it only grows.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnFigure {
    pub name: &'static str,
    pub help: &'static str,
    pub value: f64,
}

/// What it may have: connections of all kinds, and bytes that are held for them. None is no limit. A clone is the same: they may change
/// while it runs.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    connections: Rc<Cell<Option<usize>>>,
    memory: Rc<Cell<Option<usize>>>,
}

impl Limits {
    pub fn set(&self, connections: Option<usize>, memory: Option<usize>) {
        self.connections.set(connections);
        self.memory.set(memory);
    }
}

/// A limit, and how much of it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    pub name: &'static str,
    pub used: Option<u64>,
    pub allowed: Option<u64>,
}

/// All that is known of it at one time.
#[derive(Clone, Debug)]
pub struct Look {
    pub role: String,
    pub flags: Vec<String>,
    pub uptime: Duration,
    pub statistics: Statistics,
    pub longest_turn: Option<LongestTurn>,
    pub usage: Usage,
    pub limits: Vec<Limit>,
    /// Each server of the role, where it listens, and its connections.
    pub servers: Vec<(String, String, u64)>,
    pub own: Vec<OwnFigure>,
}

impl Look {
    pub fn at(
        net: &Net,
        state: &dyn Any,
        subject: &Subject,
        flags: &[String],
        inspectors: usize,
        uptime: Duration,
        longest: Option<LongestTurn>,
    ) -> Self {
        let statistics = net.statistics().unwrap_or_default();
        let usage = Usage::now();
        let number = |number: Option<usize>| number.map(|number| number as u64);
        let limits = vec![
            Limit {
                name: "connections",
                used: Some(net.sockets() as u64),
                allowed: number(subject.limits.connections.get()),
            },
            Limit { name: "descriptors", used: usage.open_descriptors, allowed: usage.max_descriptors },
            Limit {
                name: "memory_bytes",
                used: Some(statistics.memory_held),
                allowed: number(subject.limits.memory.get()),
            },
            Limit { name: "inspector_connections", used: Some(inspectors as u64), allowed: Some(MOST as u64) },
        ];
        let servers = statistics.server_connections.iter().map(|(server, connections)| {
            let address =
                net.server_endpoint(*server).map_or_else(|| "nothing any more".to_owned(), |at| at.to_string());
            (server.to_string(), address, *connections)
        });
        Look {
            role: subject.role.clone(),
            flags: flags.to_vec(),
            uptime,
            servers: servers.collect(),
            own: subject.own.at(state),
            limits,
            usage,
            longest_turn: longest,
            statistics,
        }
    }

    pub fn json(&self) -> Value {
        let limits = self.limits.iter();
        let limits =
            limits.map(|Limit { name, used, allowed }| json!({"name": name, "used": used, "allowed": allowed}));
        let servers = self.servers.iter().map(
            |(server, address, connections)| json!({"server": server, "address": address, "connections": connections}),
        );
        json!({
            "program": "tidegate",
            "version": env!("CARGO_PKG_VERSION"),
            "role": self.role,
            "flags": self.flags,
            "uptime_seconds": self.uptime.as_secs_f64(),
            "figures": figures::json(&self.statistics),
            "own_figures": self.own.iter().map(|it| (it.name, it.value)).collect::<BTreeMap<_, _>>(),
            "longest_turn": self.longest_turn.map(|turn| json!({
                "seconds": turn.time.as_secs_f64(),
                "phase": turn.phase,
                "phase_seconds": turn.phase_time.as_secs_f64(),
                "connection": turn.connection.map(SocketId::number),
                "handler_seconds": turn.handler_time.as_secs_f64(),
            })),
            "limits": limits.collect::<Vec<_>>(),
            "process": {
                "open_descriptors": self.usage.open_descriptors,
                "max_descriptors": self.usage.max_descriptors,
                "resident_bytes": self.usage.resident_bytes,
                "cpu_seconds": self.usage.cpu_seconds,
            },
            "servers": servers.collect::<Vec<_>>(),
        })
    }
}

/// The words behind the role, as they were typed: in the list of processes everybody can read them too.
pub fn typed_flags() -> Vec<String> {
    let words = outside::fact("flags", || Some(Value::from(crate::cli::typed_words()).to_string()));
    let words: Vec<String> = match words.and_then(|words| serde_json::from_str(&words).ok()) {
        Some(Value::Array(words)) => words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    words.into_iter().skip(1).collect()
}
