//! Arguments out of their range: an error that says which, and no socket.

use std::time::Duration;

use crate::support::loops::{World, ms, quiet};
use tidegate::{CloseReason, Error, ErrorKind, KeepAlive, OutputLimits, ServerOptions, SocketOptions, SoftLimit};

#[track_caller]
fn says<T: std::fmt::Debug>(result: Result<T, Error>, part: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.code(), "ERR_INVALID_ARG_VALUE");
    assert!(error.to_string().contains(part), "'{error}' says nothing of {part}");
}

#[test]
fn options_out_of_range_are_errors_that_name_the_value_and_the_bound() {
    const GIB: usize = 1 << 30;
    let too_late = Some(KeepAlive::new().initial_delay(Duration::from_secs(32768)));
    let latest = Some(KeepAlive::new().initial_delay(Duration::from_secs(32767)));
    let limits = OutputLimits::new().hard(1).soft(SoftLimit::new(2, ms(1)));
    let timeless = OutputLimits::new().soft(SoftLimit::new(2, Duration::ZERO));
    let mut world = World::new();

    let server = ServerOptions::default;
    for (options, part) in [
        (server().high_water_mark(GIB + 1), "high-water mark 1073741825"),
        (server().high_water_mark(usize::MAX), "1 GiB"),
        (server().backlog(0), "backlog 0"),
        (server().backlog(u32::MAX), "2147483647"),
        (server().keep_alive(too_late), "32767 s"),
        (server().output_limits(limits), "2 bytes, is above the hard one, 1 bytes"),
        (server().output_limits(timeless), "at least 1 ms"),
    ] {
        says(world.listen_with("127.0.0.1:0", options.clone(), |_| {}), part);
        says(world.event_loop().new_server(options, |_| {}), part);
    }

    let socket = SocketOptions::default;
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    for (options, part) in [
        (socket().high_water_mark(GIB + 1), "high-water mark 1073741825"),
        (socket().keep_alive(too_late), "32767 s"),
        (socket().output_limits(limits), "output limits"),
        (socket().output_limits(timeless), "at least 1 ms"),
    ] {
        says(world.event_loop().new_socket(options.clone(), |_| unreachable!("there is no socket")), part);
        says(world.event_loop().connect_with(address, options, |_| unreachable!("there is no socket")), part);
    }
    assert_eq!(world.net.sockets(), 0, "nothing is left behind");

    // The bounds themselves are within.
    for options in [
        server().high_water_mark(GIB).backlog(1).keep_alive(latest),
        server().high_water_mark(0).backlog(i32::MAX as u32).max_connections(0),
        server().max_connections(usize::MAX),
    ] {
        world.listen_with("127.0.0.1:0", options, |_| {}).unwrap();
    }
    world.event_loop().new_socket(socket().high_water_mark(GIB).keep_alive(latest), |_| {}).unwrap();
}

#[test]
fn an_address_that_is_none_is_an_error_at_once_and_leaves_no_socket_behind() {
    let mut world = World::new();
    for (text, part) in [
        ("example..org:80", "between two dots"),
        ("::1:80", "in brackets"),
        ("127.0.0.1:65536", "0 to 65535"),
        ("127.0.0.1:", "bad port"),
        ("nonsense", "bad port"),
    ] {
        says(world.connect(text, |_| unreachable!("there is no socket")), part);
    }
    assert_eq!(world.net.sockets(), 0);
}

#[test]
fn port_0_is_no_error_of_the_call_but_of_the_connection() {
    let mut world = World::new();
    world.client("X", "127.0.0.1:0", quiet);
    world.until_closed(&["X"]);
    assert_eq!(world.state.of("X").last().unwrap(), "close(true)");
    assert_eq!(world.state.closed("X").reason, CloseReason::ConnectFailed);
}
