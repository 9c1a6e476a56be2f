//! Connecting: to what, which events it has, and what becomes of writes meanwhile.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::str::FromStr;

use crate::support::loops::{self, Heard, World, ms, quiet, told, watch};
use crate::support::{free_address, has_ipv6};
use tidegate::{CloseReason, Endpoint, ReadyState, ServerOptions, SocketOptions, Syscall};

// ---- the connection -------------------------------------------------------------------------------------------------

// covers: socket-connecting, local-address-port
#[test]
fn connect_tells_both_sides_and_each_knows_the_others_address() {
    let mut world = World::new();
    let (_, address) = world.pair(
        |socket, heard| {
            if let Heard::Accepted = heard {
                assert_eq!(socket.ready_state(), ReadyState::Open);
                let server = socket.server().unwrap();
                assert_eq!(socket.local_address(), socket.net.server_address(server));
                let port = socket.remote_address().unwrap().port() as usize;
                socket.state.numbers.insert("client's port", port);
            }
        },
        |socket, heard| match heard {
            Heard::Connect => {
                assert!(!socket.is_connecting());
                assert_eq!(socket.ready_state(), ReadyState::Open);
                assert_eq!(socket.server(), None);
                let port = socket.local_address().unwrap().port() as usize;
                socket.state.numbers.insert("own port", port);
                socket.destroy();
            }
            Heard::Close(_) => assert_eq!(socket.local_address(), None),
            _ => {}
        },
    );
    let client = world.of("C");
    assert!(client.is_connecting());
    assert_eq!(client.ready_state(), ReadyState::Opening);
    assert_eq!((client.local_address(), client.remote_address()), (None, None));
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("C"), ["connect", "close(false)"]);
    assert_eq!(world.state.number("own port"), world.state.number("client's port"));
    assert_ne!(address.port(), 0);
}

#[test]
fn the_remote_address_is_kept_until_closed_even_if_nobody_asked_before() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), |socket, heard| match heard {
        Heard::Accepted => socket.destroy(),
        Heard::Close(_) => assert!(socket.remote_address().is_some()),
        _ => {}
    });
    world.client("C", address, move |socket, heard| {
        if let Heard::Close(_) = heard {
            assert_eq!(socket.remote_address(), Some(address));
            socket.state.note("C", "asked");
        }
    });
    world.until_closed(&["S", "C"]);
    assert!(world.state.saw("C", "asked"));
}

// covers: seq/connect-handle-econnrefused
#[test]
fn a_refused_connection_is_an_error_with_the_address_then_close() {
    let mut world = World::new();
    let nobody = free_address();
    world.client("C", nobody, move |socket, heard| {
        if let Heard::Error(error) = heard {
            assert_eq!((error.syscall(), error.address()), (Some(Syscall::Connect), Some(nobody)));
            assert!(error.to_string().starts_with("connect ECONNREFUSED"), "{error}");
            assert!(!socket.is_connecting());
            assert!(socket.is_destroyed());
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["error ECONNREFUSED", "close(true)"]);
    assert_eq!(world.state.closed("C").reason, CloseReason::ConnectFailed);
}

// covers: x/connect-refused-pending-writes, connect-immediate-finish
#[test]
fn writes_that_waited_for_a_connection_that_never_came_fail_after_close() {
    let mut world = World::new();
    world.client("C", free_address(), quiet);
    let mut client = world.of("C");
    client.write_then("first", told("C", "first"));
    client.write_then("second", told("C", "second"));
    client.end_with("third");
    client.end_then(told("C", "end"));
    world.run_dry();
    assert_eq!(
        world.state.of("C"),
        [
            "error ECONNREFUSED",
            "close(true)",
            "first ERR_SOCKET_CLOSED_BEFORE_CONNECTION",
            "second ECONNREFUSED",
            "end ECONNREFUSED"
        ]
    );
}

// covers: socket-end-before-connect
#[test]
fn writes_while_connecting_go_out_in_order_and_the_end_after_them() {
    for writes in [true, false] {
        let mut world = World::new();
        world.pair(quiet, quiet);
        let mut client = world.of("C");
        if writes {
            assert!(client.write("one "));
            assert!(client.write("two "));
            client.end_with("three");
            assert_eq!((client.buffer_size(), client.bytes_written()), (13, 13));
        } else {
            client.end();
        }
        world.until_closed(&["S", "C"]);
        let data = writes.then_some("data one two three");
        let seen: Vec<_> = data.into_iter().chain(["end", "finish", "close(false)"]).collect();
        assert_eq!(world.state.of("S"), seen);
        assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
    }
}

// covers: write-cb-on-destroy-before-connect
#[test]
fn a_socket_destroyed_while_connecting_closes_without_connecting() {
    let mut world = World::new();
    world.pair(quiet, quiet);
    let mut client = world.of("C");
    client.write_then("never", told("C", "write"));
    client.destroy();
    assert!(!client.is_connecting());
    world.until_closed(&["C"]);
    world.turn_for(ms(20));
    assert_eq!(world.state.of("C"), ["close(false)", "write ERR_SOCKET_CLOSED_BEFORE_CONNECTION"]);
    assert_eq!(world.state.closed("C").reason, CloseReason::DestroyedHere);
}

#[test]
fn localhost_tries_127_0_0_1_and_then_the_other_family() {
    if !has_ipv6() {
        return;
    }
    let mut world = World::new();
    let (_, address) = world.serve_on("[::1]:0", ServerOptions::new(), |socket| watch(socket, "S", quiet));
    world.client("C", Endpoint::Localhost(address.port()), move |socket, heard| {
        if let Heard::Connect = heard {
            assert_eq!(socket.remote_address(), Some(address));
            socket.end();
        }
    });
    world.until_closed(&["S", "C"]);
    assert_eq!(world.state.of("C"), ["connect", "finish", "end", "close(false)"]);
}

// covers: seq/better-error-messages-port
#[test]
fn localhost_that_refuses_everywhere_is_one_error() {
    let mut world = World::new();
    let port = free_address().port();
    world.client("C", Endpoint::Localhost(port), move |_, heard| {
        if let Heard::Error(error) = heard {
            assert_eq!(error.address(), Some(SocketAddr::from(([127, 0, 0, 1], port))), "of the first address");
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["error ECONNREFUSED", "close(true)"]);
}

#[test]
fn localhost_reaches_a_server_on_127_0_0_1() {
    let mut world = World::new();
    let (_, address) = world.serve_on("localhost:0", ServerOptions::new(), |socket| socket.end());
    assert!(address.ip().is_loopback() && address.is_ipv4());
    world.client("C", format!("localhost:{}", address.port()), quiet);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "end", "finish", "close(false)"]);
}

#[test]
fn a_plain_listener_is_spoken_to_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new();
    world.client("C", listener.local_addr().unwrap(), |socket, heard| {
        if let Heard::Connect = heard {
            socket.set_no_delay(true);
            socket.write("ping");
        }
    });
    world.until_saw("C", "connect");
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(world.read_raw(&peer, 4), b"ping");
    peer.set_nonblocking(false).unwrap();
    peer.write_all(b"pong").unwrap();
    drop(peer);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "data pong", "end", "finish", "close(false)"]);
}

// covers: client-bind-twice
#[test]
fn a_client_cannot_bind_to_the_address_of_a_listening_server() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    let (_, taken) = world.serve(ServerOptions::new(), |_| {});
    let options = SocketOptions::new().local_address(taken.ip()).local_port(taken.port());
    world.client_with(options, "C", address, quiet);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["error EADDRINUSE", "close(true)"]);
    assert!(!world.state.saw("server", "connection"));
}

// ---- where to -------------------------------------------------------------------------------------------------------

// covers: connect-options-port
#[test]
fn every_way_to_write_a_port_reaches_it_and_an_invalid_port_is_an_error_at_once() {
    const EACH: usize = 18;
    let mut world = World::new();
    for text in ["65536", "-1", "+1", "1.5", "0x50", "port", " 80", "127.0.0.1:65536", "localhost:", "localhost:-1"] {
        assert!(world.connect(text, |_| unreachable!("there is no socket")).is_err(), "{text}");
    }
    let (server, address) = world.serve(ServerOptions::new(), |socket| {
        socket.end_with("ok");
        if socket.state.add("accepted", 1) == 4 * EACH {
            socket.net.close_servers();
        }
    });
    let port = address.port();
    let ways = [port.into(), (Ipv4Addr::LOCALHOST, port).into(), Endpoint::Localhost(port), address.into()];
    for n in 0..4 * EACH {
        world.client(&format!("C{n}"), ways[n % 4], quiet);
    }
    world.run_dry();
    assert!(!world.net.is_listening(server));
    for n in 0..4 * EACH {
        assert_eq!(world.state.of(&format!("C{n}")), ["connect", "data ok", "end", "finish", "close(false)"]);
    }

    world.client("to port 0", "127.0.0.1:0", |_, heard| {
        if let Heard::Error(error) = heard {
            assert!(error.to_string().starts_with("connect E"), "{error}");
        }
    });
    world.run_dry();
    let seen = world.state.of("to port 0");
    assert!(seen[0].starts_with("error E") && seen[1..] == ["close(true)"], "{seen:?}");
}

// covers: during-close, x/connect-is-deferred
#[test]
fn addresses_can_be_asked_for_while_connecting_to_a_server_that_is_closing() {
    let mut world = World::new();
    let (server, _) = world.pair(quiet, quiet);
    world.net.close_server(server);
    let client = world.of("C");
    assert!(client.is_connecting());
    assert_eq!((client.remote_address(), client.local_address()), (None, None));
    assert_eq!(world.net.server_address(server), None);
    world.run_dry();
    assert_eq!(world.state.of("C"), ["error ECONNREFUSED", "close(true)"]);
}

// covers: connect-paused-connection
#[test]
fn a_socket_paused_right_after_its_connect_keeps_nothing_running() {
    let mut world = World::new();
    let (server, address) = world.serve(ServerOptions::new(), |socket| socket.set_ref(false));
    world.net.set_server_ref(server, false);
    let setup = |socket: &mut loops::View<'_>| {
        socket.pause();
        watch(socket, "C", quiet);
    };
    world.connect(address, setup).unwrap();
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect"]);
    assert_eq!(world.of("C").ready_state().name(), "open");
}

// covers: connect-memleak
#[test]
fn values_in_handlers_are_dropped_with_the_connection_and_those_of_the_setup_at_once() {
    let held = Rc::new(());
    let (in_setup, in_connect, in_data) = (held.clone(), held.clone(), held.clone());
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| socket.end());
    let id = world
        .connect(address, move |socket| {
            drop(in_setup);
            socket.on_connect(move |_| drop(in_connect.clone()));
            socket.on_data(move |_, _| drop(in_data.clone()));
        })
        .unwrap();
    assert_eq!(Rc::strong_count(&held), 3);
    world.until(|world| !world.net.connection(id).exists());
    assert_eq!(Rc::strong_count(&held), 1);
}

// ---- how long it may take, and whom it may meet ----------------------------------------------------------------------

/// A listener with a backlog of 0 takes one connection, and Linux drops the SYNs of others. For as long as the second part of
/// what is returned is kept.
#[cfg(target_os = "linux")]
fn silent_target() -> (SocketAddr, (socket2::Socket, Vec<std::net::TcpStream>)) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let connect = |_| std::net::TcpStream::connect_timeout(&address, ms(300)).ok();
    let taken = (0..3).map_while(connect).collect();
    (address, (socket, taken))
}

#[cfg(target_os = "linux")]
#[test]
fn a_connect_without_an_answer_ends_after_its_time() {
    let (address, _silent) = silent_target();
    let mut world = World::new();
    let begun = world.net.now();
    world.client_with(SocketOptions::new().connect_timeout(ms(50)), "C", address, move |socket, heard| {
        if let Heard::Error(error) = heard {
            assert_eq!(error.to_string(), format!("connect ETIMEDOUT: no connection within 50ms {address}"));
            assert!(socket.net.now() >= begun + ms(50), "it was early");
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["error ETIMEDOUT", "close(true)"]);
    assert_eq!(world.state.closed("C").reason, CloseReason::ConnectFailed);
}

/// The connection was made while the program was elsewhere, before the call and after it.
#[test]
fn a_loop_that_does_not_turn_for_long_takes_no_time_from_a_connect() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut world = World::new();
    let options = SocketOptions::new().connect_timeout(ms(20));
    world.client_with(options, "C", peer.local_addr().unwrap(), quiet);
    std::thread::sleep(ms(50));
    world.turn(Some(ms(0))).unwrap();
    std::thread::sleep(ms(50));
    world.until_saw("C", "connect");
    world.turn_for(ms(40));
    assert_eq!(world.state.of("C"), ["connect"]);
}

/// The sockets of the system that have this port at both ends. Another one of an earlier connection may still be waiting: a
/// port is given away while it does.
#[cfg(target_os = "linux")]
fn met_itself(port: u16) -> Vec<String> {
    let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default());
    let is_one = |line: &&str| line.matches(&format!(":{port:04X} ")).count() == 2;
    tables.iter().flat_map(|table| table.lines()).filter(is_one).map(str::to_owned).collect()
}

/// One address at both ends: TCP lets a socket meet itself, when its target is down and it has the target's port by chance.
#[cfg(target_os = "linux")]
#[test]
fn a_connect_that_meets_itself_is_refused_and_leaves_the_port_free() {
    for ip in ["127.0.0.1", "::1"] {
        if ip == "::1" && !has_ipv6() {
            continue;
        }
        let itself = SocketAddr::new(ip.parse().unwrap(), 0);
        let itself = TcpListener::bind(itself).unwrap().local_addr().unwrap();
        let mut world = World::new();
        let options = SocketOptions::new().local_address(itself.ip()).local_port(itself.port());
        world.client_with(options, "C", itself, move |_, heard| {
            if let Heard::Error(error) = heard {
                assert_eq!((error.address(), error.local_address()), (Some(itself), Some(itself)));
            }
        });
        world.of("C").write("hello, who is there?");
        world.run_dry();
        assert_eq!(world.state.of("C"), ["error ECONNREFUSED", "close(true)"]);
        assert_eq!(world.state.closed("C").reason, CloseReason::ConnectFailed);
        assert_eq!(met_itself(itself.port()), [""; 0], "it is in no TIME_WAIT");
        TcpListener::bind(itself).unwrap();
    }
}

/// The socket of the first address has met itself, and the second one is tried.
#[cfg(target_os = "linux")]
#[test]
fn after_a_connect_that_meets_itself_the_other_address_of_localhost_is_tried() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut world = World::new();
    let options = SocketOptions::new().local_port(port).connect_timeout(ms(5000));
    world.client_with(options, "C", Endpoint::from_str(&format!("localhost:{port}")).unwrap(), quiet);
    world.run_dry();
    // The second one has met itself too, or there is no IPv6. The error is that of the first.
    assert_eq!(world.state.of("C"), ["error ECONNREFUSED", "close(true)"]);
    assert_eq!(met_itself(port), [""; 0]);
}
