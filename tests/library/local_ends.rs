//! Paths and local ends, as Node's own tests look at them: many clients of one path, and what is told of an end that
//! cannot be had.

#![cfg(unix)]

use std::path::PathBuf;

use crate::support::loops::{self, Heard, World, quiet};
use tidegate::{Endpoint, ServerOptions, SocketOptions, Syscall};

/// A path that is there for nobody else, and its file gone with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        Place(PathBuf::from(format!("/tmp/tidegate-{}-{name}", std::process::id())))
    }

    fn endpoint(&self) -> Endpoint {
        format!("unix:{}", self.0.display()).parse().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

// covers: connect-options-path
#[test]
fn many_clients_of_one_path_are_all_served() {
    const CLIENTS: usize = 12;
    let place = Place::new("many");
    let mut world = World::new();
    let accept = |socket: &mut loops::View<'_>| {
        socket.end_with("ok");
        if socket.state.add("accepted", 1) == CLIENTS {
            socket.net.close_servers();
        }
    };
    world.listen(place.endpoint(), accept).unwrap();
    for n in 0..CLIENTS {
        world.client(&format!("C{n}"), place.endpoint(), |socket, heard| {
            if let Heard::Connect = heard {
                socket.end();
            }
        });
    }
    world.run_dry();
    assert_eq!(world.state.number("accepted"), CLIENTS);
    for n in 0..CLIENTS {
        assert_eq!(world.state.of(&format!("C{n}")), ["connect", "finish", "data ok", "end", "close(false)"]);
    }
}

// covers: better-error-messages-listen-path
#[test]
fn a_path_that_cannot_be_listened_on_is_told() {
    let place = Place::new("no-folder/here");
    let mut world = World::new();
    let error = world.listen(place.endpoint(), |_| {}).unwrap_err();
    assert_eq!((error.code(), error.syscall()), ("ENOENT", Some(Syscall::Listen)));
    assert_eq!(error.unix_address().unwrap().as_path(), Some(place.0.as_path()));
    world.run_dry();
}

// covers: better-error-messages-path
#[test]
fn a_path_that_nobody_listens_on_is_told() {
    let place = Place::new("nobody");
    let path = place.0.display().to_string();
    let mut world = World::new();
    world.client("C", place.endpoint(), move |_, heard| {
        if let Heard::Error(error) = heard {
            let message = error.to_string();
            assert!(message.starts_with("connect ENOENT") && message.ends_with(&path), "{message}");
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["error ENOENT", "close(true)"]);
}

// covers: client-bind-twice
#[test]
fn the_address_of_a_listening_socket_is_no_local_end_for_a_client() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    let (_, taken) = world.serve(ServerOptions::new(), |_| {});
    let options = SocketOptions::new().local_address(taken.ip()).local_port(taken.port());
    world.client_with(options, "C", address, quiet);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["error EADDRINUSE", "close(true)"]);
    assert!(!world.state.saw("server", "connection"));
}

// covers: pipe-stream
#[test]
fn there_and_back_over_a_path_and_again_over_the_same() {
    let place = Place::new("again");
    for _ in 0..2 {
        let mut world = World::new();
        let accept = |socket: &mut loops::View<'_>| {
            loops::watch(socket, "S", |socket, heard| match heard {
                Heard::Data(chunk) => {
                    assert_eq!(chunk, b"PING");
                    socket.write("PONG");
                }
                Heard::Close(_) => socket.net.close_servers(),
                _ => {}
            });
        };
        let server = world.listen(place.endpoint(), accept).unwrap();
        world.watch_server(server, "server");
        world.client("C", place.endpoint(), |socket, heard| match heard {
            Heard::Connect => {
                socket.write("PING");
            }
            Heard::Data(_) => socket.destroy(),
            _ => {}
        });
        world.run_dry();
        assert_eq!(world.state.of("C"), ["connect", "data PONG", "close(false)"]);
        assert_eq!(world.state.of("S"), ["data PING", "end", "finish", "close(false)"]);
        assert_eq!(world.state.of("server"), ["listening", "close"]);
    }
}

// covers: pipe-unref
#[test]
fn a_server_on_a_path_that_is_not_referenced_keeps_nothing_running() {
    let place = Place::new("unreferenced");
    let mut world = World::new();
    let server = world.listen(place.endpoint(), |_| {}).unwrap();
    world.net.set_server_ref(server, false);
    world.run_dry();
    assert!(world.net.is_listening(server));
}

// covers: pipe-writev
#[test]
fn corked_writes_are_one_on_a_path_too() {
    let place = Place::new("corked");
    let mut world = World::new();
    let accept = |socket: &mut loops::View<'_>| {
        socket.cork();
        socket.write("pi");
        socket.write("ng");
        socket.end();
        socket.net.close_servers();
    };
    world.listen(place.endpoint(), accept).unwrap();
    world.client("C", place.endpoint(), |socket, heard| {
        if let Heard::Data(chunk) = heard {
            assert_eq!(chunk, b"ping");
            socket.state.add("chunks", 1);
        }
    });
    world.run_dry();
    assert_eq!(world.state.number("chunks"), 1);
    assert_eq!(world.state.of("C"), ["connect", "data ping", "end", "finish", "close(false)"]);
}
