//! Connecting: to what, from which state, what is let go afterwards; and the errors of listening that connecting mirrors.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use crate::support::free_address;
use crate::support::loops::{self, Heard, World, quiet, watch};
use tidegate::{Endpoint, ServerOptions, Syscall};

// ---- where to -------------------------------------------------------------------------------------------------------

// covers: connect-options-port
#[test]
fn every_way_to_write_a_port_reaches_it_and_what_is_no_port_is_an_error_at_once() {
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

// covers: connect-immediate-finish
#[test]
fn an_end_while_connecting_does_not_swallow_the_error() {
    let mut world = World::new();
    world.client("C", free_address(), quiet);
    world.of("C").end();
    world.run_dry();
    assert_eq!(world.state.of("C"), ["error ECONNREFUSED", "close(true)"]);
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
fn who_is_paused_right_behind_its_connect_keeps_nothing_running() {
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
fn what_the_handlers_hold_is_let_go_with_the_connection_and_what_the_setup_holds_at_once() {
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
    world.until(|world| !world.net.exists(id));
    assert_eq!(Rc::strong_count(&held), 1);
}

// ---- where a server can not listen -----------------------------------------------------------------------------------

// covers: eaddrinuse
#[test]
fn a_port_of_all_addresses_that_is_taken_is_taken() {
    let mut world = World::new();
    let (_, address) = world.serve_on(0, ServerOptions::new(), |_| {});
    let error = world.listen(address.port(), |_| {}).unwrap_err();
    assert!(error.to_string().contains("EADDRINUSE"), "{error}");
    world.until_saw("server", "listening");
    assert_eq!(world.state.of("server"), ["listening"]);
}

// covers: better-error-messages-listen, listen-error
#[test]
fn an_address_that_is_not_ours_is_told_with_the_port_and_the_call() {
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

// ---- what an address is ---------------------------------------------------------------------------------------------

/// Which family the text of an address is of: 4, 6, or 0 if it is none.
fn family(text: &str) -> u8 {
    let families = [format!("{text}:80"), format!("[{text}]:80")].map(|text| match text.parse() {
        Ok(Endpoint::Ip(address)) => match address.ip() {
            IpAddr::V4(_) => 4,
            IpAddr::V6(_) => 6,
        },
        _ => 0,
    });
    families[0] + families[1]
}

#[track_caller]
fn are_of_family(expected: u8, texts: &[&str]) {
    for text in texts {
        assert_eq!(family(text), expected, "{text}");
    }
}

// covers: isip
#[test]
fn an_address_of_either_family_is_told_from_a_name() {
    are_of_family(4, &["127.0.0.1"]);
    let full = "0000:0000:0000:0000:0000:0000:0000:0000";
    are_of_family(6, &[full, "1050:0:0:0:5:600:300c:326b", "2001:252:0:1::2008:6", "2001:dead:beef:1::2008:6"]);
    are_of_family(6, &["2001::", "2001:dead::", "2001:dead:beef:1::", "::", "::1", "ffff:ffff::ffff"]);
    are_of_family(6, &["::2001:252:1:2008:6", "::2001:252:1:1.1.1.1", "::2001:252:1:255.255.255.255"]);
    are_of_family(0, &["x127.0.0.1", "example.com", "", "0", "-1", "256.1.1.1", "127.0.0.1.1"]);
    are_of_family(0, &[":2001:252:0:1::2008:6", "2001:252:0:1::2008:6:", "2001::252::1", "::2001::252::1"]);
    are_of_family(0, &["1:2:3:4:5:6:7:8:9", "2001:dead:beef:1:2008:6:0:1:2", "0000:00000:0000::", "2001:g::1"]);
    are_of_family(0, &["::2001:252:1:255.255.255.255.76", "::anything", "::1%", "fe80::%eth0@1"]);
}

// covers: isipv4
#[test]
fn four_numbers_of_one_to_three_digits_are_an_ipv4_address() {
    are_of_family(4, &["0.0.0.0", "8.8.8.8", "127.0.0.1", "100.100.100.100", "192.168.0.1", "18.101.25.153"]);
    are_of_family(4, &["123.23.34.2", "172.26.168.134", "212.58.241.131", "128.0.0.0", "23.71.254.72"]);
    are_of_family(4, &["223.255.255.255", "192.0.2.235", "99.198.122.146", "46.51.197.88", "173.194.34.134"]);
    are_of_family(0, &[".100.100.100.100", "100..100.100.100.", "100.100.100.100.", "256.100.100.100"]);
    are_of_family(0, &["999.999.999.999", "1000.1.1.1", "1.2.3", "1.2.3.4.5", "http://1.2.3.4/", "01.02.03.04"]);
    are_of_family(0, &["1.2.3.04", "1. 2.3.4", "1.2.3.0x4", "16843009"]);
}

// covers: isipv6
#[test]
fn eight_groups_or_fewer_around_one_gap_are_an_ipv6_address() {
    are_of_family(6, &["1::", "1::8", "1::7:8", "1:2::8", "1:2:3:4:5:6:7::", "1:2:3:4:5:6::8", "::2:3:4:5:6:7:8"]);
    are_of_family(6, &["1:2:3:4:5:6:7:8", "1:2:3:4:5::7:8", "1:2:3::6:7:8", "FE80::", "fe80::217:f2ff:fe07:ed62"]);
    are_of_family(6, &["ABCD:EF01:2345:6789:abcd:ef01:2345:6789", "2001:DB8::1428:57ab", "ff02::1", "::ffff:0:0"]);
    are_of_family(6, &["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5::1.2.3.4", "1::5:11.22.33.44", "1::1.2.3.4", "::13.1.68.3"]);
    are_of_family(6, &["::ffff:192.168.1.1", "fe80::217:f2ff:254.7.237.98", "64:ff9b::192.0.2.33", "0:0:0:0:0:0:0:0"]);
    are_of_family(0, &["02001:0:1234::1", "2001:0:1234:0:0:C1C0:ABCD:0876:0", ":::", "1:::8", "::1::", "1::2::3"]);
    are_of_family(
        0,
        &["1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8:9", "1:", ":1", "1:2:3:4:5:6:7:", ":2:3"],
    );
    are_of_family(0, &["::1.2.256.4", "::01.2.3.4", "1.2.3.4::", "1::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::.1.2.3"]);
    are_of_family(
        0,
        &["2001:0:1234: 0:0:C1C0:ABCD:0876", " ::1", "::1 ", "XXXX::1", "1111:2222:3333:4444:5555:6666:00.00.00.00"],
    );
}

/// The zone of an address is a number here: which interface that is, only the system knows.
#[test]
fn the_zone_of_an_address_is_a_number() {
    assert_eq!(family("fe80::1%2"), 6);
    assert_eq!(family("fe80::1%eth0"), 0);
}
