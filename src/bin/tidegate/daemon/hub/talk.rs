//! What consumers say, with `--two-way`: it goes to the inputs that can be written, frame by frame.
//!
//! When an input is full, nobody who talks is read until it has drained. Without `--two-way` what a consumer says is read and
//! discarded, so that its end is noticed.

use tidegate::{Loop, Socket};

use super::input::{is_full, write_to_inputs};
use super::output::has_ended;
use super::state::{Hub, Key};

/// From now on what the consumer says is taken.
pub fn listen_to(socket: &mut Socket<'_, Hub>, key: Key) {
    if !socket.state.options.two_way {
        socket.on_data(|_, _| {});
        return socket.on_end(move |socket| has_ended(&mut socket.event_loop(), key));
    }
    let framer = socket.state.new_framer();
    if let Some(outlet) = socket.state.consumers.get_mut(&key) {
        outlet.talks = Some(framer);
    }
    if is_full(&socket.event_loop()) {
        socket.pause();
    }
    socket.on_data(move |socket, chunk| {
        let Some(framer) = socket.state.consumers.get_mut(&key).and_then(|outlet| outlet.talks.as_mut()) else {
            return;
        };
        let (mut frames, mut is_wrong) = (Vec::new(), false);
        framer.push(chunk, |found| match found {
            Ok(parts) => parts.iter().for_each(|part| frames.extend_from_slice(part)),
            Err(_) => is_wrong = true,
        });
        pass_on(socket, key, &frames, is_wrong);
    });
    socket.on_end(move |socket| {
        let Some(framer) = socket.state.consumers.get_mut(&key).and_then(|outlet| outlet.talks.as_mut()) else {
            return;
        };
        let mut last = Vec::new();
        framer.end(|found| {
            if let Ok(parts) = found {
                parts.iter().for_each(|part| last.extend_from_slice(part));
            }
        });
        pass_on(socket, key, &last, false);
        has_ended(&mut socket.event_loop(), key);
    });
}

fn pass_on(socket: &mut Socket<'_, Hub>, key: Key, frames: &[u8], is_wrong: bool) {
    let mut on = socket.event_loop();
    if is_wrong {
        let name = on.state.consumers.get(&key).map_or_else(String::new, |outlet| outlet.name.clone());
        on.state
            .logs
            .left_out
            .clone()
            .warn(&mut on, &format!("{name}: what it said is above --max-frame, and was left out"));
    }
    if !frames.is_empty() && !write_to_inputs(&mut on, frames) && is_full(&on) {
        for outlet in on.state.consumers.values().filter(|outlet| outlet.talks.is_some()) {
            if let Some(id) = outlet.socket {
                on.net.pause(id);
            }
        }
    }
}

/// An input has drained, or is gone: those who talk are read again.
pub fn listeners_can_talk(on: &mut Loop<'_, Hub>) {
    if is_full(on) {
        return;
    }
    for outlet in on.state.consumers.values().filter(|outlet| outlet.talks.is_some()) {
        if let Some(id) = outlet.socket {
            on.net.resume(id);
        }
    }
}
