//! How a room that is shared stands to the others: for SIGUSR1, after the table of connections, and for `--inspect`.

use std::time::Duration;

use tidegate::Loop;

use super::super::signals::{level, write_table};
use super::bus::{Figures, Standing};
use super::room::Room;
use crate::cli::counted;
use crate::daemon::engine;
use crate::inspector::OwnFigure;

pub fn write_tables(on: &mut Loop<'_, Room>) {
    write_table(on);
    let Some(shared) = &on.state.shared else { return };
    log::log!(level(), "the other machines: {}", line(&shared.node.figures(), &on.state.link.figures()));
}

/// None if the room is not shared.
pub fn figures(room: &Room) -> Vec<OwnFigure> {
    let Some(shared) = &room.shared else { return Vec::new() };
    let (node, link) = (shared.node.figures(), room.link.figures());
    let figure = |name, help, value| OwnFigure { name, help, value };
    let seconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64();
    vec![
        figure("bus_connected", "Whether there is an engine, 1 or 0.", f64::from(u8::from(link.is_connected))),
        figure(
            "bus_together",
            "Whether the node tells the stream, 1 or 0.",
            f64::from(u8::from(node.standing == Standing::Together)),
        ),
        figure("bus_connects_total", "How often the engine was connected to.", link.connects as f64),
        figure(
            "bus_round_trip_seconds",
            "From the last publication that was measured to its answer.",
            seconds(link.round_trip),
        ),
        figure("bus_lag_seconds", "From the last publication to its return by the stream.", seconds(node.lag)),
        figure("bus_untold", "What was read and is not told yet.", shared.outputs.waiting() as f64),
        figure(
            "bus_holds_total",
            "How often it had to wait 20 ms more, as most guests here were behind.",
            shared.outputs.holds() as f64,
        ),
        figure("bus_outbox_entries", "Entries that have not come back.", node.outbox_entries as f64),
        figure("bus_outbox_bytes", "Bytes of those.", node.outbox_bytes as f64),
        figure("bus_nodes", "Nodes of the room that are heard of, this one among them.", node.nodes as f64),
        figure("bus_guests", "Guests of all nodes.", node.guests as f64),
        figure("bus_published_total", "Entries that the engine has taken.", link.published as f64),
        figure("bus_read_total", "Entries that were read.", link.read as f64),
        figure("bus_lost_lines_total", "Lines of others that did not come.", node.lost as f64),
        figure("bus_unheard_lines_total", "Lines of this node that others do not hear.", node.not_heard as f64),
        figure("bus_malformed_total", "Entries that were not understood.", node.malformed as f64),
    ]
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
    let time = |time: Option<Duration>| time.map_or_else(|| "?".to_owned(), |time| format!("{time:.1?}"));
    format!(
        "{standing}; {engine}; {} with {}; round trip {}, lag {}; {} of {} in the outbox; {} lost, {} not heard elsewhere; \
         connected {}, published {}, read {}, not understood {}",
        counted(node.nodes as u64, "machine"),
        counted(node.guests, "guest"),
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
