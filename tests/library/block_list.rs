//! Block lists at work: for clients that connect, and for addresses to connect to.

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
    assert_eq!((world.net.counters().blocked, world.net.server_connections(server)), (1, 0));

    world.server(server).unwrap().set_block_list(None);
    world.client("D", address, quiet);
    world.until_saw("server", "connection");
    assert_eq!(world.net.counters().blocked, 1);
}

#[test]
fn the_maximum_of_connections_is_checked_before_the_list() {
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
fn an_ipv4_client_of_a_listener_for_both_families_is_checked_as_ipv4() {
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
fn the_one_of_two_addresses_that_is_not_blocked_is_tried() {
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

    // If both fail, the error of the first is reported.
    world.client_with(v4, "D", format!("localhost:{}", free_address().port()), quiet);
    world.until_closed(&["D"]);
    assert_eq!(world.state.of("D"), ["error ERR_IP_BLOCKED", "close(true)"]);
}

// covers: blocklist
#[test]
fn a_block_list_has_addresses_ranges_and_subnets_of_both_families() {
    use tidegate::BlockList;
    let ip = |text: &str| text.parse::<std::net::IpAddr>().unwrap();
    #[track_caller]
    fn has(list: &BlockList, those: &[&str], but_not: &[&str]) {
        for text in those {
            assert!(list.check(text.parse().unwrap()), "{text} is not in it");
        }
        for text in but_not {
            assert!(!list.check(text.parse().unwrap()), "{text} is in it");
        }
    }

    let mut list = BlockList::new();
    list.add_address(ip("1.1.1.1"));
    list.add_address(ip("::ffff:1.1.1.2"));
    list.add_address(ip("8592:757c:efae:4e45::"));
    has(&list, &["1.1.1.1", "::ffff:1.1.1.1", "1.1.1.2", "8592:757c:efae:4e45::"], &["1.1.1.3", "::1", "::1.1.1.1"]);

    let mut list = BlockList::new();
    list.add_range(ip("1.1.1.1"), ip("1.1.1.10")).unwrap();
    list.add_range(ip("::1"), ip("::f")).unwrap();
    has(&list, &["1.1.1.1", "1.1.1.5", "1.1.1.10", "::ffff:1.1.1.2", "::1", "::5", "::f"], &["1.1.1.11", "::10", "::"]);
    assert_eq!(list.add_range(ip("1.1.1.2"), ip("1.1.1.1")).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(list.add_range(ip("1.1.1.2"), ip("::1")).unwrap_err().kind(), ErrorKind::InvalidArgument);

    // Addresses are compared as numbers, not as text nor byte by byte.
    let mut list = BlockList::new();
    list.add_range(ip("10.0.0.2"), ip("10.0.0.10")).unwrap();
    let outside = ["192.168.0.3", "2.2.2.2", "255.255.255.255", "::ffff:192.168.0.3", "::ffff:2.2.2.2"];
    has(&list, &["10.0.0.2", "10.0.0.9", "10.0.0.10", "::ffff:10.0.0.5"], &outside);

    let mut list = BlockList::new();
    list.add_subnet(ip("1.1.1.0"), 16).unwrap();
    list.add_subnet(ip("8592:757c:efae:4e45::"), 64).unwrap();
    has(&list, &["1.1.0.1", "::ffff:1.1.255.1", "8592:757c:efae:4e45:f::"], &["1.2.0.1", "8592:757c:efae:4f45::"]);

    let mut list = BlockList::new();
    list.add_subnet(ip("192.168.68.1"), 27).unwrap();
    list.add_subnet(ip("8592:757c:efae:2fff::"), 51).unwrap();
    list.add_subnet(ip("9.9.9.9"), 32).unwrap();
    has(&list, &["192.168.68.31", "8592:757c:efae:2000::", "9.9.9.9"], &["192.168.68.32", "9.9.9.8", "9.9.9.10"]);
    has(&list, &["8592:757c:efae:3fff::"], &["8592:757c:efae:4000::", "8592:757c:efae:1fff::"]);
    for (net, prefix) in [("1.1.1.1", 33), ("::", 129), ("::", 255)] {
        assert_eq!(list.add_subnet(ip(net), prefix).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    for (net, prefix) in [("1.1.1.1", 0), ("::", 128), ("::", 0)] {
        list.add_subnet(ip(net), prefix).unwrap();
    }

    let mut list = BlockList::new();
    list.add_address(ip("1.1.1.1"));
    list.add_range(ip("10.0.0.1"), ip("10.0.0.10")).unwrap();
    list.add_subnet(ip("8592:757c:efae:4e45::"), 64).unwrap();
    let newest_first =
        ["Subnet: IPv6 8592:757c:efae:4e45::/64", "Range: IPv4 10.0.0.1-10.0.0.10", "Address: IPv4 1.1.1.1"];
    assert_eq!(list.rules(), newest_first);
}
