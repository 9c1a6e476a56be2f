//! `set_encoding`: the text of a stream whose characters are cut by chunks.

#![cfg(unix)]

use std::time::Duration;

use tidegate::sim::Sim;
use tidegate::{Encoding, EventLoop};

/// Sends bytes one at a time, each in a turn of its own, and gives the texts that were heard.
fn heard(encoding: Option<Encoding>, bytes: &'static [u8]) -> Vec<String> {
    let mut event_loop = EventLoop::on(Sim::new(1).kernel(), Vec::new());
    event_loop
        .listen("10.0.0.1:7", move |socket| {
            if let Some(encoding) = encoding {
                socket.set_encoding(encoding);
            }
            socket.on_text(|socket, text| socket.state.push(text.to_owned()));
            socket.on_close(|socket, _| socket.event_loop().close_all());
        })
        .unwrap();
    event_loop
        .connect("10.0.0.1:7", move |socket| {
            for (at, byte) in bytes.iter().enumerate() {
                socket.after(Duration::from_millis(1 + at as u64), move |socket| {
                    socket.write([*byte]);
                });
            }
            socket.after(Duration::from_millis(1 + bytes.len() as u64), |socket| socket.end());
        })
        .unwrap();
    event_loop.run().unwrap();
    event_loop.state
}

#[test]
fn each_encoding_puts_its_characters_together() {
    assert_eq!(heard(None, b"a\xC3\xA9"), ["a", "é"]);
    assert_eq!(heard(Some(Encoding::Utf8), b"\xE2\x82\xAC"), ["€"]);
    assert_eq!(heard(Some(Encoding::Utf16Le), b"a\0\x3D\xD8\x00\xDE"), ["a", "😀"]);
    assert_eq!(heard(Some(Encoding::Latin1), b"a\xE9"), ["a", "é"]);
}

#[test]
fn an_end_inside_a_character_is_told_before_the_end() {
    assert_eq!(heard(Some(Encoding::Utf16Le), b"a\0\x3D\xD8"), ["a", "\u{FFFD}"]);
    assert_eq!(heard(Some(Encoding::Utf8), b"a\xC3"), ["a", "\u{FFFD}"]);
}
