//! Text and lines: characters and lines that are cut by chunks.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::support::loops::{Heard, View, World, ms, quiet, watch};
use tidegate::sim::Sim;
use tidegate::{Encoding, EventLoop, Line, ServerOptions};

#[test]
fn text_is_right_where_a_character_is_split_between_chunks() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| {
        watch(socket, "S", quiet);
        socket.off_data();
        socket.on_text(|socket, text| socket.state.note("S", format!("text {text}")));
    });
    let mut raw = TcpStream::connect(address).unwrap();
    let words = "né€😀".as_bytes();
    for (count, byte) in words.iter().enumerate() {
        raw.write_all(&[*byte]).unwrap();
        world.until(|world| world.state.saw("server", "connection") && world.of("S").bytes_read() == count as u64 + 1);
    }
    raw.write_all(&words[1..2]).unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_closed(&["S"]);
    let expected = ["text n", "text é", "text €", "text 😀", "text \u{FFFD}", "end", "finish", "close(false)"];
    assert_eq!(world.state.of("S"), expected, "half a character at the end is one replacement, told before `end`");
}

#[test]
fn a_text_handler_replaced_while_it_runs_keeps_half_a_character() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| {
        watch(socket, "S", quiet);
        socket.off_data();
        socket.on_text(|socket, text| {
            socket.state.note("S", text);
            socket.on_text(|socket, text| socket.state.note("S", text));
        });
    });
    let mut raw = TcpStream::connect(address).unwrap();
    let bytes = "né".as_bytes();
    raw.write_all(&bytes[..2]).unwrap();
    world.until(|world| world.state.saw("S", "n"));
    raw.write_all(&bytes[2..]).unwrap();
    world.until(|world| world.state.of("S").len() == 2);
    assert_eq!(world.state.of("S"), ["n", "é"]);
}

// covers: large-string
#[test]
fn no_character_of_a_long_text_is_broken() {
    const LENGTH: usize = 40_960;
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| {
        watch(socket, "S", quiet);
        socket.off_data();
        socket.on_text(|socket, text| {
            assert!(text.chars().all(|character| character == '字'), "in pieces, but never broken: {text}");
            socket.state.add("characters", text.chars().count());
        });
    });
    world.client("C", address, |socket, heard| {
        if let Heard::Connect = heard {
            socket.end_with("字".repeat(LENGTH));
            assert_eq!(socket.bytes_written(), 3 * LENGTH as u64);
        }
    });
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.number("characters"), LENGTH);
    assert_eq!(world.state.of("S"), ["end", "finish", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
}

// ---- encodings ------------------------------------------------------------------------------------------------------

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

// ---- lines ----------------------------------------------------------------------------------------------------------

/// A socket `S` whose lines of 8 bytes are noted, with a client that says these pieces and ends.
fn lines_of(pieces: &[&str], also: impl Fn(&mut View<'_>, &Line<'_>) + Copy + 'static) -> World {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), move |socket| {
        watch(socket, "S", quiet);
        socket.off_data();
        socket.on_line(8, move |socket, line| {
            let too_long = if line.is_too_long() { " and too long" } else { "" };
            socket.state.note("S", format!("line {}{too_long}", line.text()));
            also(socket, line);
        });
    });
    let mut raw = TcpStream::connect(address).unwrap();
    let mut sent = 0;
    for piece in pieces {
        raw.write_all(piece.as_bytes()).unwrap();
        sent += piece.len() as u64;
        world.until(|world| {
            world.state.is_closed("S") || world.state.saw("server", "connection") && world.of("S").bytes_read() == sent
        });
    }
    raw.shutdown(Shutdown::Write).unwrap();
    world.until_closed(&["S"]);
    world
}

#[test]
fn lines_are_cut_from_the_chunks_of_a_socket() {
    let world = lines_of(&["one\r\ntw", "o\n\nfar too", " long a line\nlast", "\nand this"], |_, _| {});
    assert_eq!(
        world.state.of("S"),
        [
            "line one",
            "line two",
            "line ",
            "line far too  and too long",
            "line last",
            "line and this",
            "end",
            "finish",
            "close(false)"
        ],
        "a line that is too long is told in its place, once; the last one needs no end of its own"
    );
}

#[test]
fn lines_end_with_a_destroy() {
    let world = lines_of(&["one\ntwo\nthree\nfo"], |socket, line| {
        if line.bytes() == b"two" {
            socket.destroy();
        }
    });
    assert_eq!(world.state.of("S"), ["line one", "line two", "close(false)"]);
}

#[test]
fn another_handler_and_bound_are_for_the_next_line() {
    let world = lines_of(&["one\nlonger\nthen", " more\n"], |socket, _| {
        socket.on_line(4, |socket, line| {
            let too_long = if line.is_too_long() { " and too long" } else { "" };
            socket.state.note("S", format!("other {}{too_long}", line.text()));
        });
    });
    let expected = ["line one", "other long and too long", "other then and too long", "end", "finish", "close(false)"];
    assert_eq!(world.state.of("S"), expected);
}

#[test]
fn half_a_character_or_line_of_one_connection_is_not_the_next_ones() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), |socket, heard| {
        if let Heard::Accepted = heard {
            match socket.state.add("n", 1) {
                1 => socket.write(&"é".as_bytes()[..1]),
                _ => socket.write("ok\n"),
            };
        }
    });
    world
        .connect(address, move |socket| {
            socket.on_text(|socket, text| socket.state.note("C", text));
            socket.on_line(100, |socket, line| socket.state.note("C", line.text()));
            socket.after(ms(20), |socket| socket.destroy());
            socket.on_close(move |socket, _| {
                if socket.state.number("n") == 1 {
                    socket.connect(address).unwrap();
                }
            });
        })
        .unwrap();
    world.until(|world| !world.state.of("C").is_empty());
    assert_eq!(world.state.of("C"), ["ok\n", "ok"]);
}
