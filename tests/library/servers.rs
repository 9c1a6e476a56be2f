//! Servers: listening and where, connection, drop, close, how many connections, and what an accepted socket inherits.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use crate::support::has_ipv6;
use crate::support::loops::{Heard, World, ms, quiet, watch};
use tidegate::{ErrorKind, ServerOptions, Syscall};

fn options() -> ServerOptions {
    ServerOptions::new()
}

// ---- listening ------------------------------------------------------------------------------------------------------

#[test]
fn listening_is_deferred_and_comes_before_any_connection_while_the_address_is_there_at_once() {
    let mut world = World::new();
    let (server, address) = world.serve(options(), |_| {});
    assert_ne!(address.port(), 0);
    assert!(world.net.is_listening(server));
    assert!(world.state.of("server").is_empty(), "not inside the call");
    let _raw = TcpStream::connect(address).unwrap();
    world.until_saw("server", "connection");
    assert_eq!(world.state.of("server"), ["listening", "connection"]);
    assert_eq!(world.net.server_address(server), Some(address));
}

// covers: bind-twice
#[test]
fn a_server_that_cannot_listen_is_an_error_with_the_address_and_no_event() {
    let mut world = World::new();
    let (_, address) = world.serve(options(), |_| {});
    let error = world.listen(address, |_| {}).unwrap_err();
    assert_eq!((error.code(), error.syscall(), error.address()), ("EADDRINUSE", Some(Syscall::Listen), Some(address)));
    assert_eq!(error.to_string(), format!("listen EADDRINUSE: address already in use {address}"));
    let elsewhere = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0));
    let error = world.listen(elsewhere, |_| {}).unwrap_err();
    assert_eq!((error.code(), error.address()), ("EADDRNOTAVAIL", Some(elsewhere)));
    world.turn_for(ms(10));
    assert_eq!(world.state.of("server"), ["listening"], "the other one is not concerned");
}

// covers: server-call-listen-multiple-times, server-try-ports
#[test]
fn a_server_that_could_not_listen_may_try_again() {
    let mut world = World::new();
    let (_, taken) = world.serve(options(), |_| {});
    let id = world.event_loop().new_server(options(), |_| {}).unwrap();
    world.watch_server(id, "second");
    assert!(world.server(id).unwrap().listen(taken).is_err());
    assert!(!world.net.is_listening(id));
    world.server(id).unwrap().listen("127.0.0.1:0").unwrap();
    world.until_saw("second", "listening");
    let address = world.net.server_address(id);
    let error = world.server(id).unwrap().listen("127.0.0.1:0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyListening);
    assert_eq!(world.net.server_address(id), address);
    assert_eq!(world.state.of("second"), ["listening"]);
}

// covers: server-listen-options
#[test]
fn an_invalid_address_is_an_error_that_says_why() {
    let mut world = World::new();
    for (text, why) in [
        ("example..org:80", "bad name 'example..org'"),
        ("127.0.0.1:70000", "bad port"),
        ("127.0.0.1", "no port"),
        ("::1:80:", "bad port"),
        ("fe80::1%eth0:80", "bad name 'fe80::1%eth0'"),
        ("localhost", "bad port"),
        ("", "bad port"),
        ("-1", "bad port"),
        ("+80", "bad port"),
        ("256.0.0.1:80", "bad name '256.0.0.1'"),
    ] {
        let error = world.listen(text, |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}");
        assert!(error.to_string().contains(why), "{text}: {error}");
        assert!(world.connect(text, |_| {}).is_err(), "{text}");
    }
    assert_eq!(world.net.sockets(), 0);
}

#[test]
fn a_server_listens_on_a_name_when_it_was_looked_up() {
    let mut world = World::new();
    let server = world.listen("www.example:0", |socket| socket.end_with("hello")).unwrap();
    let mut view = world.server(server).unwrap();
    view.set_lookup(|server, wanted| {
        assert!(server.net.answer_lookup(wanted.id, Ok(vec![Ipv4Addr::LOCALHOST.into()])));
    });
    assert_eq!((view.is_listening(), view.address()), (false, None));
    world.turn_for(ms(10));
    let address = world.net.server_address(server).unwrap();
    assert!(address.ip().is_loopback());
    world.client("C", address, |socket, _| {
        socket.on_text(|socket, text| socket.state.note("heard", text.to_owned()));
    });
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("heard"), ["hello"]);
}

// covers: server-listen-options, seq/server-address
#[test]
fn a_port_alone_is_every_address_of_both_families() {
    let mut world = World::new();
    let (_, address) = world.serve_on(0, options(), |socket| {
        let local = socket.local_address().unwrap();
        socket.state.note("accepted on", local.ip().to_canonical().to_string());
        socket.end();
    });
    let both = has_ipv6();
    assert!(address.ip().is_unspecified());
    assert_eq!(address.is_ipv6(), both);
    world.client("four", (Ipv4Addr::LOCALHOST, address.port()), quiet);
    world.until_closed(&["four"]);
    if both {
        world.client("six", (Ipv6Addr::LOCALHOST, address.port()), quiet);
        world.until_closed(&["six"]);
        assert_eq!(world.state.of("accepted on"), ["127.0.0.1", "::1"]);
    }
}

#[test]
fn an_address_of_one_family_is_that_family_only() {
    if !has_ipv6() {
        return;
    }
    let mut world = World::new();
    let (_, address) = world.serve_on("[::1]:0", options(), |_| {});
    world.client("four", (Ipv4Addr::LOCALHOST, address.port()), quiet);
    world.until_closed(&["four"]);
    assert_eq!(world.state.of("four"), ["error ECONNREFUSED", "close(true)"]);
}

// ---- closing --------------------------------------------------------------------------------------------------------

// covers: listen-close-server, later/server-close-before-calling-lookup-callback
#[test]
fn a_server_closed_in_the_turn_in_which_it_listens_tells_close_and_never_listening() {
    for on in ["127.0.0.1:0", "localhost:0"] {
        let mut world = World::new();
        let (server, _) = world.serve_on(on, options(), |_| {});
        world.net.close_server(server);
        assert_eq!(world.net.server_address(server), None);
        world.run_dry();
        assert_eq!(world.state.of("server"), ["close"]);
    }
}

// covers: server-call-listen-multiple-times, server-listen-remove-callback
#[test]
fn a_server_may_listen_again_after_close() {
    let mut world = World::new();
    let (server, _) = world.serve(options(), |_| {});
    world.until_saw("server", "listening");
    world.net.close_server(server);
    world.server(server).unwrap().listen("127.0.0.1:0").unwrap();
    world.turn_for(ms(10));
    assert_eq!(world.state.of("server"), ["listening", "close", "listening"]);
    let address = world.net.server_address(server).unwrap();
    world.client("C", address, quiet);
    world.until_saw("server", "connection");
}

// covers: x/close-never-listened
#[test]
fn every_close_of_a_server_without_connections_tells_another() {
    let mut world = World::new();
    let (server, _) = world.serve(options(), |_| {});
    world.until_saw("server", "listening");
    world.net.close_server(server);
    world.net.close_server(server);
    world.until(|world| world.state.times("server", "close") == 2);
    world.net.close_server(server);
    world.turn_for(ms(10));
    assert_eq!(world.state.of("server"), ["listening", "close", "close", "close"]);

    // A server that never listened tells it too.
    let fresh = world.event_loop().new_server(options(), |_| {}).unwrap();
    world.watch_server(fresh, "fresh");
    world.net.close_server(fresh);
    world.turn_for(ms(10));
    assert_eq!(world.state.of("fresh"), ["close"]);
}

// covers: x/server-close-before-socket-close
#[test]
fn a_server_closes_once_when_its_last_connection_is_destroyed_and_before_that_ones_own_close() {
    let mut world = World::new();
    let (server, address) = world.sockets_called_s(options(), quiet);
    world.client("C", address, quiet);
    world.until_saw("server", "connection");
    world.net.close_server(server);
    world.net.close_server(server);
    world.turn_for(ms(20));
    assert_eq!(world.state.of("server"), ["listening", "connection"], "the connection stays");
    world.of("C").write("still there");
    world.until(|world| world.state.data("S") == b"still there");
    world.of("C").end();
    world.until_closed(&["S", "C"]);
    assert_eq!(
        world.state.of_all(&["S", "server"]),
        [
            "server listening",
            "server connection",
            "S data still there",
            "S end",
            "S finish",
            "server close",
            "S close(false)"
        ]
    );
}

#[test]
fn a_server_may_be_closed_in_its_own_connection_handler() {
    let mut world = World::new();
    let (server, address) = world.serve(options(), |socket| {
        watch(socket, "S", quiet);
        let server = socket.server().unwrap();
        socket.net.close_server(server);
        socket.end();
    });
    world.client("C", address, quiet);
    world.until_closed(&["S", "C"]);
    assert!(!world.net.is_listening(server));
    assert_eq!(world.state.of("server"), ["listening", "connection", "close"]);
    world.client("late", address, quiet);
    world.until_closed(&["late"]);
    assert!(world.state.closed("late").had_error);
}

#[test]
fn a_server_that_is_removed_is_gone_and_one_that_is_in_use_stays() {
    let mut world = World::new();
    let (server, _) = world.serve(options(), |_| {});
    world.server(server).unwrap().remove();
    assert!(world.server(server).is_some(), "it listens");
    world.net.close_server(server);
    world.server(server).unwrap().remove();
    assert!(world.server(server).is_none());
    world.net.close_server(server);
    world.net.set_max_connections(server, Some(1));
    world.net.set_server_ref(server, true);
    assert!(world.net.listen(server, "127.0.0.1:0").is_err());
    assert_eq!((world.net.server_connections(server), world.net.server_address(server)), (0, None));
    world.turn_for(ms(10));
    assert!(world.state.of("server").is_empty(), "nothing is told of what is gone");
}

#[test]
fn close_all_ends_everything() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.event_loop().close_all();
        }
    });
    world.run_dry();
    assert_eq!(world.state.of("C"), ["connect", "close(false)"]);
    assert_eq!(world.state.of("server").last().unwrap(), "close");
    assert_eq!(world.state.closed("C").reason, tidegate::CloseReason::Shutdown);
}

// ---- how many -------------------------------------------------------------------------------------------------------

// covers: server-drop-connections, x/dropped-client
#[test]
fn a_connection_above_the_maximum_is_dropped_with_both_addresses() {
    let mut world = World::new();
    let options = options().max_connections(1);
    let (server, address) = world.sockets_called_s(options, quiet);
    world.server(server).unwrap().on_drop(|server, dropped| {
        assert_eq!(dropped.local, server.address());
        let port = dropped.remote.unwrap().port() as usize;
        server.state.numbers.insert("dropped", port);
        server.state.note("server", "drop");
    });
    world.client("first", address, quiet);
    world.until_saw("first", "connect");
    world.client("second", address, |socket, heard| {
        if let Heard::Connect = heard {
            let port = socket.local_address().unwrap().port() as usize;
            socket.state.numbers.insert("second", port);
        }
    });
    world.until_closed(&["second"]);
    assert_eq!(world.state.of("second"), ["connect", "end", "finish", "close(false)"]);
    assert_eq!(world.state.of("first"), ["connect"]);
    assert_eq!(world.state.of("server"), ["listening", "connection", "drop"]);
    assert_eq!(world.state.number("dropped"), world.state.number("second"));
    assert_eq!((world.net.counters().accepted, world.net.counters().dropped), (1, 1));
}

#[test]
fn the_most_connections_can_be_changed_while_running_and_those_that_are_there_stay() {
    let mut world = World::new();
    let (server, address) = world.serve(options(), |_| {});
    for (name, most, event) in [
        ("1", None, "connection"),
        ("2", Some(1), "drop"),
        ("3", Some(2), "connection"),
        ("4", Some(0), "drop"),
        ("5", Some(3), "connection"),
        ("6", None, "connection"),
    ] {
        world.net.set_max_connections(server, most);
        let before = world.state.times("server", event);
        world.client(name, address, quiet);
        world.until(|world| world.state.times("server", event) == before + 1);
    }
    assert_eq!(world.net.server_connections(server), 4);
    assert!(!world.state.is_closed("1"));
}

#[test]
fn a_destroyed_connection_counts_no_more_at_once() {
    let mut world = World::new();
    let (server, address) = world.sockets_called_s(options(), quiet);
    world.client("C", address, quiet);
    world.until_saw("server", "connection");
    assert_eq!(world.net.server_connections(server), 1);
    world.of("S").destroy();
    assert_eq!(world.net.server_connections(server), 0);
    assert!(!world.state.is_closed("S"));
}

#[test]
fn get_connections_counts_now_and_tells_on_a_tick() {
    let mut world = World::new();
    let (server, address) = world.sockets_called_s(options(), quiet);
    world.client("C", address, quiet);
    world.until_saw("server", "connection");
    world.server(server).unwrap().get_connections(|on, count| on.state.note("count", count.to_string()));
    world.of("S").destroy();
    world.server(server).unwrap().get_connections(|on, count| on.state.note("count", count.to_string()));
    assert!(world.state.of("count").is_empty());
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("count"), ["1", "0"]);
}

#[test]
fn four_hundred_connections_are_all_accepted() {
    let mut world = World::new();
    let (server, address) = world.serve(options(), |_| {});
    // A hundred at a time wait in the backlog; one turn accepts fewer.
    let mut raws = Vec::new();
    for _ in 0..4 {
        raws.extend((0..100).map(|_| TcpStream::connect(address).unwrap()));
        world.until(|world| world.net.server_connections(server) == raws.len());
    }
    drop(raws);
    world.until(|world| world.net.server_connections(server) == 0);
    assert_eq!(world.net.counters().accepted, 400);
    assert_eq!(world.state.times("server", "connection"), 400);
}

// ---- what accepted sockets have -------------------------------------------------------------------------------------

#[test]
fn accepted_sockets_have_the_servers_mark_and_half_open() {
    let mut world = World::new();
    let options = options().high_water_mark(7).allow_half_open(true);
    let (_, address) = world.sockets_called_s(options, |socket, heard| match heard {
        Heard::Accepted => {
            assert_eq!(socket.net.connection(socket.id()).high_water_mark(), 7);
            assert!(!socket.is_paused());
        }
        Heard::End => assert!(socket.is_writable()),
        _ => {}
    });
    world.client("C", address, |socket, heard| {
        if let Heard::Connect = heard {
            socket.end();
        }
    });
    world.until_saw("S", "end");
    world.turn_for(ms(20));
    assert_eq!(world.state.of("S"), ["end"]);
    assert!(world.of("S").is_writable());
}

#[test]
fn calls_in_a_connection_handler_take_effect_at_once() {
    let mut world = World::new();
    let (_, address) = world.serve(options(), |socket| {
        socket.write("* hello\n");
        socket.end_with("* bye\n");
    });
    let mut raw = TcpStream::connect(address).unwrap();
    let text = world.read_raw(&raw, usize::MAX);
    assert_eq!(text, b"* hello\n* bye\n");
    assert_eq!(raw.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_connection_handler_can_be_replaced_while_it_runs() {
    let mut world = World::new();
    let (_, address) = world.serve(options(), |socket| {
        let id = socket.server().unwrap();
        let mut on = socket.event_loop();
        on.server(id).unwrap().on_connection(|socket| socket.state.note("server", "another"));
    });
    let _raws: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    world.until(|world| world.state.of("server").len() == 4);
    assert_eq!(world.state.of("server"), ["listening", "connection", "another", "another"]);
}

// covers: listening
#[test]
fn the_handlers_of_a_server_are_told_which_server_it_is() {
    let mut world = World::new();
    let id = world.event_loop().new_server(options(), |_| {}).unwrap();
    let mut server = world.server(id).unwrap();
    assert!(!server.is_listening());
    server.on_listening(move |server| {
        assert_eq!(server.id(), id);
        assert!(server.is_listening());
        server.close();
    });
    server.on_close(move |server| {
        assert!(!server.is_listening());
        server.state.note("server", "closed");
    });
    server.listen("127.0.0.1:0").unwrap();
    world.until_saw("server", "closed");
}

// ---- where a server cannot listen -----------------------------------------------------------------------------------

// covers: eaddrinuse
#[test]
fn a_port_in_use_on_all_addresses_is_an_error() {
    let mut world = World::new();
    let (_, address) = world.serve_on(0, ServerOptions::new(), |_| {});
    let error = world.listen(address.port(), |_| {}).unwrap_err();
    assert!(error.to_string().contains("EADDRINUSE"), "{error}");
    world.until_saw("server", "listening");
    assert_eq!(world.state.of("server"), ["listening"]);
}

// covers: better-error-messages-listen, listen-error
#[test]
fn listening_on_a_foreign_address_is_an_error_with_the_address_and_the_call() {
    let elsewhere = SocketAddr::from(([1, 1, 1, 1], 1));
    let mut world = World::new();
    let server = world.event_loop().new_server(ServerOptions::new(), |_| {}).unwrap();
    world.watch_server(server, "server");
    let error = world.server(server).unwrap().listen(elsewhere).unwrap_err();
    assert_eq!((error.address(), error.syscall()), (Some(elsewhere), Some(Syscall::Listen)));
    assert!(["EADDRNOTAVAIL", "EACCES"].contains(&error.code()), "{error}");
    world.run_dry();
    assert!(world.state.of("server").is_empty(), "and there is no event");
}
