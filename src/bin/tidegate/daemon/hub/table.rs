//! What SIGUSR1 writes of a hub, after the table of connections: what became of the frames for each consumer.

use std::cmp::Reverse;

use tidegate::Loop;

use super::state::{Hub, Key};
use crate::cli::counted;
use crate::daemon::signals::{LINES_AT_ONCE, MOST_ROWS, PAUSE, level, write_table};

pub fn write_table_of_consumers(on: &mut Loop<'_, Hub>) {
    write_table(on);
    let ring = on.state.ring.ahead_of(on.state.ring.oldest());
    let (frames, bytes) = (counted(ring.frames, "frame"), counted(ring.bytes, "byte"));
    let consumers = counted(on.state.consumers.len() as u64, "consumer");
    log::log!(level(), "table of consumers: {consumers}; {frames} of {bytes} in the queue of all");
    write_rows(on, those_with_most_waiting(on).into_iter());
}

/// As in the table of connections, not all are shown where there are thousands.
fn those_with_most_waiting(on: &Loop<'_, Hub>) -> Vec<Key> {
    let waiting = |key: Key| on.state.sum(on.net, key).map_or(0, |sum| sum.waiting);
    let mut keys: Vec<(Reverse<u64>, Key)> =
        on.state.consumers.keys().map(|key| (Reverse(waiting(*key)), *key)).collect();
    keys.sort_unstable();
    keys.truncate(MOST_ROWS);
    keys.into_iter().map(|(_, key)| key).collect()
}

fn write_rows(on: &mut Loop<'_, Hub>, mut keys: std::vec::IntoIter<Key>) {
    for key in keys.by_ref().take(LINES_AT_ONCE) {
        let (Some(sum), Some(outlet)) = (on.state.sum(on.net, key), on.state.consumers.get(&key)) else { continue };
        let is_connected = if outlet.socket.is_some() { "" } else { " (not connected)" };
        log::log!(
            level(),
            "{}{is_connected}: {} since it joined: {} taken, {} waiting, {} skipped",
            outlet.name,
            counted(sum.since_joined, "frame"),
            sum.taken,
            sum.waiting,
            sum.skipped.frames
        );
    }
    if keys.len() > 0 {
        let timer = on.after(PAUSE, move |on| write_rows(on, keys));
        on.set_ref(timer, false);
    }
}
