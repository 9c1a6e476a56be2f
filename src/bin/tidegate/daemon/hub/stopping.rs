//! The end of a hub: at a signal, or when every input has come to its end.

use std::process::ExitCode;

use tidegate::{EndOrder, EventLoop, Loop, ShutDownOptions};

use super::consumer::Torn;
use super::distribution::{log_sum, regulate, skip, stop_giving};
use super::ring::Cursor;
use super::state::{Hub, Key, Phase};
use crate::cli::counted;
use crate::daemon::stop;

/// An input has come to its end, and will not come again.
pub fn input_has_ended(on: &mut Loop<'_, Hub>) {
    if let Phase::Runs { ending, .. } = &mut on.state.phase {
        *ending = ending.saturating_sub(1);
    }
    stop_if_over(on);
}

/// Standard output has come to its end. If nobody else can ever hear anything, that is the end.
pub fn output_has_ended(on: &mut Loop<'_, Hub>) {
    let options = &on.state.options;
    let was_the_only_one = options.outputs.len() == 1 && !options.has_members();
    if was_the_only_one && !on.state.is_stopping() {
        log::info!("nobody reads standard output any more");
        let options = stop::options(on.state.options.daemon.drain_timeout, EndOrder::Together);
        shut_down(on, options);
    }
}

/// Every input has ended, and what they said is distributed.
pub fn stop_if_over(on: &mut Loop<'_, Hub>) {
    if on.state.phase == (Phase::Runs { ending: 0, lasts: false }) && on.state.live_at == on.state.ring.head() {
        log::info!("all inputs have ended");
        let options = stop::options(on.state.options.daemon.drain_timeout, EndOrder::Together);
        shut_down(on, options);
    }
}

/// Everybody is given all that there is, and then ended.
pub fn shut_down(on: &mut Loop<'_, Hub>, options: ShutDownOptions) {
    on.state.phase = Phase::Stopping;
    give_the_rest(on);
    regulate(on); // what the inputs have sent is read
    on.shut_down_with(options);
}

/// What waits in the ring goes to the connections. Who is at the same place gets it by one broadcast, so that it takes the
/// memory of the ring, once, whatever the number of consumers.
fn give_the_rest(on: &mut Loop<'_, Hub>) {
    on.state.ring.keep_all();
    for key in on.state.consumers.keys().copied().collect::<Vec<_>>() {
        stop_giving(on, key);
        skip(on, key);
    }
    let Hub { ring, live, live_at, consumers, .. } = &mut *on.state;
    for outlet in consumers.values_mut() {
        // The rest of a torn frame is nobody else's.
        if let Some(id) = outlet.socket
            && outlet.consumer.torn() != Torn::Nothing
            && let Some(piece) = outlet.consumer.next(ring, *live_at, 1)
        {
            on.net.write(id, piece.bytes);
        }
    }
    let mut waiting: Vec<(Cursor, Key)> = consumers
        .iter()
        .filter(|(_, outlet)| outlet.socket.is_some())
        .map(|(key, outlet)| (outlet.consumer.cursor().unwrap_or(*live_at), *key))
        .collect();
    waiting.sort_unstable();
    let head = ring.head();
    let Some(mut at) = waiting.first().map(|(cursor, _)| *cursor) else { return };
    while at < head {
        let here = waiting.partition_point(|(cursor, _)| *cursor <= at);
        let until = waiting.get(here).map_or(head, |(cursor, _)| *cursor);
        let room = usize::try_from(until.byte - at.byte).unwrap_or(usize::MAX);
        let Some(piece) = ring.piece(at, room) else { break };
        let receivers = waiting[..here].iter().filter_map(|(cursor, key)| {
            let outlet = consumers.get_mut(key)?;
            let is_own = piece.origin.is_some() && piece.origin == outlet.consumer.origin();
            outlet.socket.filter(|_| *cursor <= at && !is_own)
        });
        on.net.broadcast(receivers.collect::<Vec<_>>(), piece.bytes);
        at = piece.next;
    }
    for (_, key) in &waiting {
        if let Some(outlet) = consumers.get_mut(key) {
            outlet.consumer.was_given_all(head);
        }
    }
    *live_at = head;
    live.clear();
    live.extend(waiting.iter().filter_map(|(_, key)| Some((consumers.get(key)?.socket?, *key))));
}

/// The exit code: outputs that were not connected at the end have missed something as well.
pub fn report(event_loop: &mut EventLoop<Hub>, code: ExitCode) -> ExitCode {
    let keys: Vec<Key> = event_loop.state.consumers.keys().copied().collect();
    let mut code = code;
    for key in keys {
        let Some(sum) = event_loop.state.sum(&event_loop.net, key) else { continue };
        let Some(name) = event_loop.state.consumers.get(&key).map(|outlet| outlet.name.clone()) else { continue };
        log_sum(&mut event_loop.event_loop(), &name, sum);
        if sum.waiting > 0 {
            log::error!("{name} has not got {}", counted(sum.waiting, "frame"));
            code = ExitCode::FAILURE;
        }
    }
    code
}
