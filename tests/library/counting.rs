//! Bytes: when they are counted, that each arrives unchanged, and what a connecting socket says of itself meanwhile.

use crate::support::loops::{Heard, View, World, pattern, watch};
use tidegate::{ReadyState, ServerOptions, SocketOptions};

/// Has a server close once its socket has ended.
fn close_the_server(socket: &mut View<'_>) {
    if let Some(server) = socket.server() {
        socket.net.close_server(server);
    }
}

// covers: binary
#[test]
fn every_value_of_a_byte_goes_there_and_back() {
    let mut world = World::new();
    world.pair(
        |socket, heard| match heard {
            Heard::Data(chunk) => {
                socket.write(chunk);
            }
            Heard::End => close_the_server(socket),
            _ => {}
        },
        |socket, heard| match heard {
            Heard::Connect => {
                socket.write((0..=255).rev().collect::<Vec<u8>>());
            }
            Heard::Data(chunk) => {
                // It sends back as many bytes as came, counted upwards. The 256th is the last.
                for _ in chunk {
                    let n = socket.state.add("sent", 1) - 1;
                    if n < 256 {
                        socket.write([n as u8]);
                    }
                    if n == 255 {
                        socket.end();
                    }
                }
            }
            _ => {}
        },
    );
    world.run_dry();
    let downwards = (0..=255).rev();
    assert!(world.state.data("C") == downwards.chain(0..=255).collect::<Vec<u8>>());
    assert_eq!(world.state.of("S"), ["data of 512", "end", "finish", "close(false)"]);
}

// covers: buffersize
#[test]
fn bytes_written_while_connecting_are_counted_until_they_have_gone_out() {
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::End = heard {
                close_the_server(socket);
            }
        },
        |socket, heard| {
            if let Heard::Finish = heard {
                assert_eq!(socket.buffer_size(), 0);
            }
        },
    );
    for count in 1..=9 {
        world.of("C").write("a");
        assert_eq!(world.of("C").buffer_size(), count);
    }
    world.of("C").end();
    world.run_dry();
    assert_eq!(world.state.of("S"), ["data aaaaaaaaa", "end", "finish", "close(false)"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
}

// covers: bytes-read
#[test]
fn bytes_read_grows_with_each_chunk_and_is_there_in_close() {
    const ALL: u64 = 1 << 20;
    let mut world = World::new();
    world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                socket.end_with(pattern(ALL as usize));
                close_the_server(socket);
            }
        },
        |socket, heard| match heard {
            Heard::Connect => socket.end(),
            Heard::Data(chunk) => {
                let before = socket.state.add("read", chunk.len()) - chunk.len();
                assert!(socket.bytes_read() > before as u64);
            }
            Heard::End | Heard::Close(_) => assert_eq!(socket.bytes_read(), ALL),
            _ => {}
        },
    );
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "finish", "data of 1048576", "end", "close(false)"]);
}

// covers: bytes-stats
#[test]
fn both_counters_start_again_with_a_new_connection() {
    let mut world = World::new();
    let (server, address) = world.sockets_called_s(ServerOptions::new(), |socket, heard| {
        if let Heard::End = heard {
            let read = socket.bytes_read() as usize;
            socket.state.add("read", read);
        }
    });
    world.client("C", address, move |socket, heard| match heard {
        Heard::Connect => {
            socket.write_then("foo", |socket, written| {
                written.unwrap();
                socket.end_with("bar");
            });
        }
        Heard::Finish => {
            let written = socket.bytes_written() as usize;
            assert_eq!(written, 6);
            socket.state.add("written", written);
        }
        Heard::Close(_) if socket.state.add("closes", 1) == 1 => {
            socket.connect(address).unwrap();
            assert_eq!((socket.bytes_written(), socket.bytes_read()), (0, 0));
        }
        Heard::Close(_) => socket.net.close_server(server),
        _ => {}
    });
    world.run_dry();
    assert_eq!((world.state.number("written"), world.state.number("read")), (12, 12));
    assert_eq!(world.state.times("C", "close(false)"), 2);
}

// covers: bytes-written-large
#[test]
fn ten_million_bytes_count_when_they_are_written_corked_or_not() {
    const MUCH: u64 = 10_000_000;
    fn ended_at(expected: u64) -> impl FnOnce(&mut View<'_>, Result<(), tidegate::Error>) {
        move |socket, ended| {
            ended.unwrap();
            assert_eq!(socket.bytes_written(), expected);
            socket.state.note("S", "told");
        }
    }
    type Act = fn(&mut View<'_>);
    let bytes: Act = |socket| {
        socket.end_with(pattern(MUCH as usize));
        assert_eq!(socket.bytes_written(), MUCH);
        socket.end_then(ended_at(MUCH));
    };
    let text: Act = |socket| {
        socket.end_with("A".repeat(MUCH as usize));
        assert_eq!(socket.bytes_written(), MUCH);
        socket.end_then(ended_at(MUCH));
    };
    let corked: Act = |socket| {
        socket.cork();
        socket.write(pattern(MUCH as usize));
        assert_eq!(socket.bytes_written(), MUCH);
        socket.write(pattern(MUCH as usize));
        assert_eq!(socket.bytes_written(), 2 * MUCH);
        socket.end_then(ended_at(2 * MUCH));
        socket.uncork();
    };
    for (act, all) in [(bytes, MUCH), (text, MUCH), (corked, 2 * MUCH)] {
        let mut world = World::new();
        let (_, address) = world.serve(ServerOptions::new(), move |socket| {
            act(socket);
            close_the_server(socket);
        });
        world
            .connect(address, |client| {
                client.on_close(|client, _| {
                    let read = client.bytes_read() as usize;
                    client.state.add("read", read);
                });
                client.resume();
            })
            .unwrap();
        world.run_dry();
        assert_eq!(world.state.number("read") as u64, all);
        assert!(world.state.saw("S", "told"));
    }
}

// covers: connect-buffer, connect-buffer2
#[test]
fn bytes_that_wait_for_the_connection_count_once_and_the_socket_is_pending_until_then() {
    let (first, second) = ("L'État, c'est ", "moi 🇫🇷");
    let all = (first.len() + second.len()) as u64;
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), |socket, heard| {
        if let Heard::End = heard {
            socket.end();
            close_the_server(socket);
        }
    });
    let options = SocketOptions::new().high_water_mark(0);
    let id = world
        .event_loop()
        .new_socket(options, |socket| {
            watch(socket, "C", |socket, heard| {
                let (pending, state) = (socket.net.connection(socket.id()).is_pending(), socket.ready_state());
                match heard {
                    Heard::Connect => assert_eq!((pending, state), (false, ReadyState::ReadOnly)),
                    Heard::Close(_) => assert_eq!((pending, state), (true, ReadyState::Closed)),
                    _ => {}
                }
            });
        })
        .unwrap();
    assert!(world.net.connection(id).is_pending());
    let mut client = world.of("C");
    client.connect(address).unwrap();
    assert!(client.net.connection(id).is_pending() && client.is_connecting());
    assert_eq!(client.ready_state(), ReadyState::Opening);
    let below_the_mark = client.write_then(first, move |socket, written| {
        written.unwrap();
        assert_eq!((socket.bytes_written(), socket.net.connection(id).is_pending()), (all, false));
        socket.state.note("C", "written");
    });
    assert!(!below_the_mark);
    assert_eq!(client.bytes_written(), first.len() as u64);
    client.end_with(second);
    assert_eq!((client.bytes_written(), client.ready_state()), (all, ReadyState::Opening));
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "written", "finish", "end", "close(false)"]);
    assert_eq!(world.state.data("S"), format!("{first}{second}").as_bytes());
    assert_eq!(world.state.times("server", "connection"), 1);
}
