//! What SIGUSR1 writes of a room that is shared, after the table of connections: how it stands to the others.

use tidegate::Loop;

use super::super::signals::{level, write_table};
use super::bus::{Figures, Standing};
use super::room::Room;
use crate::cli::counted;
use crate::daemon::engine;

pub fn write_tables(on: &mut Loop<'_, Room>) {
    write_table(on);
    let Some(shared) = &on.state.shared else { return };
    log::log!(level(), "the other machines: {}", line(&shared.node.figures(), &on.state.link.figures()));
}

fn line(node: &Figures, link: &engine::Figures) -> String {
    let standing = match node.standing {
        Standing::Starting => "not together yet",
        Standing::Together => "together",
        Standing::Away => "out of reach",
    };
    let engine = match (&link.engine, &link.why) {
        (Some(engine), _) if link.is_connected => engine.clone(),
        (_, Some(why)) => format!("no engine: {why}"),
        _ => "no engine".to_owned(),
    };
    let time = |time: Option<std::time::Duration>| time.map_or_else(|| "?".to_owned(), |time| format!("{time:.1?}"));
    format!(
        "{standing}; {engine}; {} with {}; round trip {}, lag {}; {} of {} in the outbox; {} lost, {} not heard elsewhere; \
         connected {}, published {}, read {}, not understood {}",
        counted(node.nodes as u64, "machine"),
        counted(node.guests as u64, "guest"),
        time(link.round_trip),
        time(node.lag),
        counted(node.outbox_entries as u64, "entry"),
        counted(node.outbox_bytes as u64, "byte"),
        counted(node.lost, "line"),
        node.not_heard,
        counted(link.connects, "time"),
        link.published,
        link.read,
        node.malformed,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_has_all_that_is_known() {
        let node = Figures {
            standing: Standing::Together,
            is_sure: true,
            outbox_entries: 2,
            outbox_bytes: 300,
            outbox_lines: 1,
            lag: Some(Duration::from_micros(1500)),
            nodes: 3,
            guests: 41,
            lost: 1,
            not_heard: 0,
            malformed: 0,
        };
        let link = engine::Figures {
            is_connected: true,
            connects: 2,
            round_trip: Some(Duration::from_micros(300)),
            engine: Some("redis 7.0.15".to_owned()),
            published: 20,
            read: 50,
            ..engine::Figures::default()
        };
        assert_eq!(
            line(&node, &link),
            "together; redis 7.0.15; 3 machines with 41 guests; round trip 300.0µs, lag 1.5ms; 2 entries of 300 bytes in the \
             outbox; 1 line lost, 0 not heard elsewhere; connected 2 times, published 20, read 50, not understood 0"
        );
        let link = engine::Figures { why: Some("connect ECONNREFUSED".to_owned()), ..engine::Figures::default() };
        let line = line(&Figures { standing: Standing::Away, lag: None, ..node }, &link);
        assert!(line.starts_with("out of reach; no engine: connect ECONNREFUSED; "), "{line}");
        assert!(line.contains("round trip ?, lag ?"), "{line}");
    }
}
