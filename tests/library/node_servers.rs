//! Servers, as Node's own tests look at them: how many connections they take, how they close, and the addresses of both
//! ends.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::support::loops::{Heard, View, World, quiet, watch};
use crate::support::{free_address, has_ipv6};
use tidegate::{Net, ServerId, ServerOptions, SocketId, SocketOptions};

fn options() -> ServerOptions {
    ServerOptions::new()
}

/// A server whose sockets are called S1, S2 and so on.
fn serve_counted(
    world: &mut World,
    options: ServerOptions,
    hear: impl Fn(&mut View<'_>, Heard<'_>) + Copy + 'static,
) -> (ServerId, SocketAddr) {
    world.serve(options, move |socket| {
        let n = socket.state.add("accepted", 1);
        watch(socket, &format!("S{n}"), hear);
        hear(socket, Heard::Accepted);
    })
}

// ---- how many -------------------------------------------------------------------------------------------------------

// covers: server-max-connections
#[test]
fn ten_of_twenty_are_accepted_and_the_others_closed_first() {
    const MOST: usize = 10;
    let mut world = World::new();
    let (server, address) = serve_counted(&mut world, options(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.write("hello");
        }
    });
    world.net.set_max_connections(server, Some(MOST));
    for n in 0..2 * MOST {
        let name = format!("C{n}");
        world.client(&name, address, |socket, heard| {
            if let Heard::Close(_) = heard {
                let closed = socket.state.add("closed", 1);
                if closed == MOST {
                    for n in 1..=MOST {
                        let held = socket.state.id(&format!("S{n}"));
                        socket.net.end(held, None);
                    }
                } else if closed == 2 * MOST {
                    socket.net.close_servers();
                }
            }
        });
        world.until_saw(&name, "connect");
        let seen = 1 + n;
        world.until(|world| {
            let server = &world.state;
            server.times("server", "connection") + server.times("server", "drop") == seen
        });
    }
    world.run_dry();
    assert_eq!((world.state.times("server", "connection"), world.state.times("server", "drop")), (MOST, MOST));
    for n in 0..2 * MOST {
        let seen = world.state.of(&format!("C{n}"));
        if n < MOST {
            assert_eq!(seen, ["connect", "data hello", "end", "finish", "close(false)"]);
        } else {
            assert_eq!(seen, ["connect", "end", "finish", "close(false)"]);
        }
    }
}

// covers: server-max-connections-close-makes-more-available
#[test]
fn a_connection_that_closes_makes_room_for_the_next() {
    let mut world = World::new();
    let (_, address) = serve_counted(&mut world, options().max_connections(1), |socket, heard| {
        if let Heard::Data(chunk) = heard {
            let said = String::from_utf8_lossy(chunk).into_owned();
            socket.state.note("heard", said);
            socket.write("ack");
        }
    });
    let speak = |world: &mut World, name: &'static str| {
        world.client(name, address, move |socket, heard| {
            if let Heard::Connect = heard {
                assert!(socket.write(name));
            }
        });
    };
    speak(&mut world, "first");
    world.until(|world| world.state.data("first") == b"ack");
    speak(&mut world, "too many");
    world.until_closed(&["too many"]);
    world.of("first").end();
    world.until_closed(&["first", "S1"]);
    speak(&mut world, "third");
    world.until(|world| world.state.data("third") == b"ack");
    speak(&mut world, "too many again");
    world.until_closed(&["too many again"]);
    world.net.close_servers();
    world.of("third").end();
    world.run_dry();
    assert_eq!(world.state.of("heard"), ["first", "third"]);
    for name in ["too many", "too many again"] {
        // It is a reset if the server closed before it had read.
        let seen = world.state.of(name);
        assert!(seen[1] == "end" || seen[1] == "error ECONNRESET", "{seen:?}");
    }
}

// covers: later/server-drop-connections (extended)
#[test]
fn a_server_with_a_maximum_of_0_drops_every_connection() {
    let mut world = World::new();
    let (server, address) = world.sockets_called_s(options().max_connections(0), quiet);
    world.server(server).unwrap().on_drop(move |server, dropped| {
        assert_eq!(dropped.local, Some(address));
        let port = dropped.remote.unwrap().port() as usize;
        server.state.numbers.insert("dropped", port);
        server.close();
    });
    world.client("C", address, |socket, heard| {
        if let Heard::Connect = heard {
            let port = socket.local_address().unwrap().port() as usize;
            socket.state.numbers.insert("own", port);
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("server"), ["listening", "close"]);
    assert_eq!(world.state.of("C"), ["connect", "end", "finish", "close(false)"]);
    assert_eq!(world.state.number("dropped"), world.state.number("own"));
}

// covers: async-hooks/get-connections
#[test]
fn a_server_that_never_listened_has_no_connections_and_says_so_once() {
    let mut world = World::new();
    let server = world.event_loop().new_server(options(), |_| {}).unwrap();
    world.server(server).unwrap().get_connections(|on, count| on.state.note("count", count.to_string()));
    world.run_dry();
    assert_eq!(world.state.of("count"), ["0"]);
}

// ---- closing --------------------------------------------------------------------------------------------------------

/// A server whose second socket closes the server and gives up both sockets; and the clients C1 and C2.
fn both_given_up(give_up: fn(&mut Net, SocketId)) -> World {
    let mut world = World::new();
    let (_, address) = serve_counted(&mut world, options(), move |socket, heard| {
        if let Heard::Accepted = heard
            && socket.state.number("accepted") == 2
        {
            socket.net.close_servers();
            for name in ["S1", "S2"] {
                let id = socket.state.id(name);
                give_up(socket.net, id);
            }
        }
    });
    world.client("C1", address, quiet);
    world.until(|world| world.state.saw("server", "connection") && world.state.saw("C1", "connect"));
    world.client("C2", address, quiet);
    world.run_dry();
    assert_eq!(world.state.of("server"), ["listening", "connection", "connection", "close"]);
    for name in ["S1", "S2"] {
        assert_eq!(world.state.of(name), ["close(false)"]);
    }
    world
}

// covers: server-close, x/server-close-before-socket-close
#[test]
fn a_closed_server_whose_sockets_are_both_destroyed_closes_before_the_last_of_them() {
    let world = both_given_up(Net::destroy);
    let all = world.state.of_all(&["server", "S1", "S2"]);
    let place = |event: &str| all.iter().position(|seen| seen == event).unwrap();
    assert!(place("server close") < place("S1 close(false)").max(place("S2 close(false)")), "{all:?}");
}

// covers: server-reset
#[test]
fn sockets_of_a_closed_server_that_are_reset_are_an_error_for_their_clients() {
    let world = both_given_up(Net::reset);
    for name in ["C1", "C2"] {
        // The second may be reset before it has seen that it is connected.
        let seen = world.state.of(name);
        assert!(seen.ends_with(&["error ECONNRESET".to_owned(), "close(true)".to_owned()]), "{seen:?}");
    }
}

// covers: x/backlog-on-close
#[test]
fn a_connection_in_the_backlog_is_reset_when_the_server_closes() {
    let mut world = World::new();
    let (server, address) = world.serve(options(), |_| {});
    let mut waiting = TcpStream::connect(address).unwrap();
    world.net.close_server(server);
    world.run_dry();
    assert_eq!(waiting.read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(world.state.of("server"), ["close"]);
}

// ---- what keeps it running ------------------------------------------------------------------------------------------

// covers: server-unref-persistent
#[test]
fn a_server_that_was_unreferenced_before_it_listened_keeps_nothing_running() {
    let mut world = World::new();
    let server = world.event_loop().new_server(options(), |_| {}).unwrap();
    world.server(server).unwrap().set_ref(false);
    world.server(server).unwrap().listen("127.0.0.1:0").unwrap();
    world.run_dry();
    assert!(world.net.is_listening(server));
}

// ---- the addresses of both ends -------------------------------------------------------------------------------------

// covers: seq/server-address
#[test]
fn a_server_has_the_address_that_it_was_given_and_without_one_all_of_them() {
    let mut world = World::new();
    let mut says = |on: SocketAddr| {
        let server = world.listen(on, |_| {}).unwrap();
        world.net.server_address(server).unwrap()
    };
    let four = free_address();
    assert_eq!(says(four), four);
    let any = says((Ipv4Addr::LOCALHOST, 0).into());
    assert_eq!((any.ip(), any.port() > 0), (Ipv4Addr::LOCALHOST.into(), true));
    if has_ipv6() {
        let six = says("[::1]:0".parse().unwrap());
        assert_eq!((six.ip().to_string(), six.is_ipv6(), six.port() > 0), ("::1".to_owned(), true, true));
    }
    let all = if has_ipv6() { "[::]" } else { "0.0.0.0" };
    let server = world.listen(0, |_| {}).unwrap();
    let address = world.net.server_address(server).unwrap();
    assert_eq!(address.to_string(), format!("{all}:{}", address.port()));
    // A port that is free on one address may be in use on another.
    let given = (0..20).find_map(|_| {
        let port = free_address().port();
        let server = world.listen(port, |_| {}).ok()?;
        assert_eq!(world.net.server_address(server).unwrap().to_string(), format!("{all}:{port}"));
        Some(())
    });
    assert!(given.is_some(), "no port is free");
}

// covers: seq/server-bind
#[test]
fn a_server_is_bound_when_listen_returns_whatever_its_backlog() {
    for backlog in [1, 10, 511] {
        let mut world = World::new();
        for on in [":0", "127.0.0.1:0"] {
            let server = world.listen_with(on, options().backlog(backlog), |_| {}).unwrap();
            let port = world.net.server_address(server).unwrap().port();
            assert!(port > 100);
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}

// covers: socket-connect-without-cb
#[test]
fn the_address_of_a_server_can_be_connected_to() {
    let mut world = World::new();
    let (_, address) = world.serve_on(0, options(), |socket| {
        socket.end();
        socket.net.close_servers();
    });
    assert!(address.ip().is_unspecified());
    world.client("C", address, |socket, heard| {
        if let Heard::Connect = heard {
            socket.end();
        }
    });
    world.run_dry();
    let seen = world.state.of("C");
    assert_eq!((seen[0].as_str(), seen.last().unwrap().as_str()), ("connect", "close(false)"));
    assert_eq!(world.state.times("C", "end"), 1);
}

// covers: remote-address, remote-address-port
#[test]
fn the_remote_address_is_there_from_the_connection_to_the_close_on_both_sides() {
    let mut world = World::new();
    let (_, address) = serve_counted(&mut world, options(), |socket, heard| {
        let remote = socket.remote_address();
        match heard {
            Heard::Accepted => {
                let server = socket.server().and_then(|server| socket.net.server_address(server)).unwrap();
                assert_ne!(remote.unwrap().port(), server.port());
                assert!(remote.unwrap().ip().is_loopback() && remote.unwrap().is_ipv4());
                socket.state.note("at the server", remote.unwrap().to_string());
            }
            Heard::Close(_) => socket.state.note("at the server, closed", remote.unwrap().to_string()),
            _ => {}
        }
    });
    for (name, to) in [("C1", address.to_string()), ("C2", format!("localhost:{}", address.port()))] {
        world.client(name, to, move |socket, heard| match heard {
            Heard::Connect => {
                assert_eq!(socket.remote_address(), Some(address));
                let own = socket.local_address().unwrap().to_string();
                socket.state.note("at the client", own);
                socket.end();
            }
            Heard::Close(_) => assert_eq!(socket.remote_address(), Some(address)),
            _ => {}
        });
        assert_eq!(world.of(name).remote_address(), None);
    }
    world.until_closed(&["C1", "C2", "S1", "S2"]);
    let sorted = |who| {
        let mut all = world.state.of(who);
        all.sort();
        all
    };
    assert_eq!(sorted("at the client").len(), 2);
    assert_eq!(sorted("at the client"), sorted("at the server"));
    assert_eq!(sorted("at the client"), sorted("at the server, closed"));
}

// covers: socket-local-address
#[test]
fn in_each_connection_of_a_socket_its_port_is_the_one_that_the_server_sees() {
    let mut world = World::new();
    let (server, address) = serve_counted(&mut world, options(), |socket, heard| {
        if let Heard::Accepted = heard {
            let port = socket.remote_address().unwrap().port();
            socket.state.note("seen", port.to_string());
            socket.end();
        }
    });
    world.client("C", address, move |socket, heard| match heard {
        Heard::Connect => {
            let port = socket.local_address().unwrap().port();
            socket.state.note("own", port.to_string());
        }
        Heard::Close(_) if socket.state.add("closes", 1) < 2 => socket.connect(address).unwrap(),
        Heard::Close(_) => socket.net.close_server(server),
        _ => {}
    });
    world.run_dry();
    assert_eq!(world.state.of("own").len(), 2);
    assert_eq!(world.state.of("own"), world.state.of("seen"));
}

// covers: seq/connect-local-error
#[test]
fn a_refused_connection_tells_its_local_address() {
    let mut world = World::new();
    let mut refused = |name: &'static str, to: SocketAddr, local: SocketAddr| {
        let options = SocketOptions::new().local_address(local.ip()).local_port(local.port());
        world.client_with(options, name, to, move |socket, heard| {
            if let Heard::Error(error) = heard {
                assert_eq!((error.address(), error.local_address()), (Some(to), Some(local)));
                let text = error.to_string();
                assert!(text.starts_with("connect ECONNREFUSED"), "{text}");
                assert!(text.ends_with(&format!("{to} - Local ({local})")), "{text}");
                socket.state.note(name, "told");
            }
        });
        world.until_closed(&[name]);
        assert_eq!(world.state.of(name), ["error ECONNREFUSED", "told", "close(true)"]);
    };
    refused("four", free_address(), free_address());
    if has_ipv6() {
        let free = || TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap();
        refused("six", free(), free());
    }
}
