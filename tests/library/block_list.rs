//! Block lists at work: for who comes, and for where one goes.

use crate::support::loops::{Heard, World, quiet};
use crate::support::{free_address, has_ipv6};
use tidegate::{BlockList, CloseReason, ErrorKind, ServerOptions, SocketOptions};

fn list(cidr: &str) -> Option<BlockList> {
    let mut list = BlockList::new();
    list.add_cidr(cidr).unwrap();
    Some(list)
}

// covers: later/server-blocklist
#[test]
fn a_blocked_client_is_closed_without_an_event_and_counted() {
    let mut world = World::new();
    let options = ServerOptions::new().block_list(list("127.0.0.0/8"));
    let (server, address) = world.sockets_called_s(options, quiet);
    world.client("C", address, quiet);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "end", "finish", "close(false)"]);
    assert_eq!(world.state.of("server"), ["listening"]);
    assert_eq!((world.net.counters().blocked, world.net.connections(server)), (1, 0));

    world.server(server).unwrap().set_block_list(None);
    world.client("D", address, quiet);
    world.until_saw("server", "connection");
    assert_eq!(world.net.counters().blocked, 1);
}

#[test]
fn the_limit_goes_before_the_list() {
    let mut world = World::new();
    let block_list = list("127.0.0.0/8");
    let options = ServerOptions::new().max_connections(0).block_list(block_list);
    let (_, address) = world.sockets_called_s(options, quiet);
    world.client("C", address, quiet);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("server"), ["listening", "drop"]);
    assert_eq!(world.net.counters().blocked, 0);
}

#[test]
fn a_client_on_a_listener_for_both_families_is_seen_as_what_it_is() {
    if !has_ipv6() {
        return;
    }
    let mut world = World::new();
    let options = ServerOptions::new().block_list(list("127.0.0.1/32"));
    let (_, address) = world.serve_on("[::]:0", options, |_| {});
    world.client("mapped", format!("127.0.0.1:{}", address.port()), quiet);
    world.until_closed(&["mapped"]);
    world.client("other", format!("[::1]:{}", address.port()), quiet);
    world.until_saw("server", "connection");
    assert_eq!(world.net.counters().blocked, 1);
}

// covers: later/blocklist
#[test]
fn a_blocked_address_is_not_connected_to() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::new(), quiet);
    let options = SocketOptions::new().block_list(list("127.0.0.1/32"));
    world.client_with(options, "C", address, move |_, heard| {
        if let Heard::Error(error) = heard {
            assert_eq!(error.kind(), ErrorKind::IpBlocked);
            assert_eq!(error.address(), Some(address));
            assert!(error.to_string().starts_with("IP(127.0.0.1) is blocked by net.BlockList"), "{error}");
        }
    });
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["error ERR_IP_BLOCKED", "close(true)"]);
    assert_eq!(world.state.closed("C").reason, CloseReason::ConnectFailed);
    assert_eq!(world.net.counters().accepted, 0);
}

// covers: later/blocklist
#[test]
fn of_two_addresses_the_one_that_is_not_blocked_is_tried() {
    if !has_ipv6() {
        return;
    }
    let mut world = World::new();
    let (_, address) = world.serve_on("[::1]:0", ServerOptions::new(), |_| {});
    let to = format!("localhost:{}", address.port());
    let v4 = SocketOptions::new().block_list(list("127.0.0.0/8"));
    world.client_with(v4.clone(), "C", to.as_str(), quiet);
    world.until_saw("C", "connect");
    assert_eq!(world.of("C").remote_address(), Some(address));

    // Where both fail, the first tells.
    world.client_with(v4, "D", format!("localhost:{}", free_address().port()), quiet);
    world.until_closed(&["D"]);
    assert_eq!(world.state.of("D"), ["error ERR_IP_BLOCKED", "close(true)"]);
}
