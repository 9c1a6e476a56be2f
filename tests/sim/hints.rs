//! Hints for a look-up: which addresses are left out, and which are added.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use rustix::io::Errno;
use tidegate::sim::{Answer as Sent, Call, Fault, Sim};
use tidegate::{Error, ErrorKind, EventLoop, Families, Hints, Socket, SocketOptions};

use crate::support::name_server::{Asked, SERVER_FAILURE, Zone, ip};

const NETUNREACH: i32 = Errno::NETUNREACH.raw_os_error();
const AFNOSUPPORT: i32 = Errno::AFNOSUPPORT.raw_os_error();
const MFILE: i32 = Errno::MFILE.raw_os_error();

/// What a connect to a name has seen.
#[derive(Debug, Default)]
struct Seen {
    /// The addresses of the name, in order.
    found: Vec<String>,
    connected_to: Option<String>,
    error: Option<Error>,
    /// What the name server was asked, in order.
    asked: Vec<String>,
    calls: Vec<Call>,
}

fn watch(socket: &mut Socket<'_, Seen>) {
    socket.on_lookup(|socket, lookup| {
        if let Ok(ip) = lookup.outcome {
            socket.state.found.push(ip.to_string());
        }
    });
    socket.on_connect(|socket| {
        socket.state.connected_to = socket.remote_address().map(|address| address.to_string());
        socket.destroy();
    });
    socket.on_error(|socket, error| socket.state.error = Some(error.clone()));
}

fn zone() -> Zone {
    Zone::new(60)
        .with("both.example", &["10.0.0.1", "fd00::1"])
        .with("four.example", &["10.0.0.4"])
        .with("six.example", &["fd00::6"])
        .with("none.example", &[])
        // Of two domains, one has addresses of one family, and the other of both.
        .with("www.a.example", &["10.0.0.7"])
        .with("www.b.example", &["10.0.0.8", "fd00::8"])
        // Hosts of the file have others here.
        .with("filed", &["10.1.0.1", "fd01::1"])
        .with("filed4", &["10.1.0.4", "fd01::4"])
        .with("filed6", &["10.1.0.6", "fd01::6"])
}

const HOSTS: &str = "10.0.0.2 filed filed4\nfd00::2 filed filed6\n";

/// Connects to a name. Of the calls that make a socket for datagrams, the first ones fail with these numbers.
fn connect(host: &str, families: Families, hints: Hints, failing: &[Option<i32>]) -> Seen {
    let run = |faults: &[(u64, i32)]| {
        let sim = Sim::new(1);
        sim.put_file(
            "/etc/resolv.conf",
            "nameserver 10.0.0.53\nsearch a.example b.example\noptions timeout:1 attempts:1\n",
        );
        sim.put_file("/etc/hosts", HOSTS);
        let asked: Rc<RefCell<Vec<String>>> = Rc::default();
        let (log, zone) = (Rc::clone(&asked), zone());
        sim.answer_datagrams("10.0.0.53:53".parse().unwrap(), move |query, _| {
            let question = Asked::read(query);
            log.borrow_mut().push(question.words());
            if question.words() == "AAAA lame.example" {
                return vec![Sent::new(zone.answer(&question).code(SERVER_FAILURE).bytes())];
            }
            vec![Sent::new(zone.answer(&question).bytes())]
        });
        let mut event_loop = EventLoop::on(sim.kernel(), Seen::default());
        let server = event_loop.listen("0.0.0.0:7", |_| {}).unwrap();
        event_loop.net.set_server_ref(server, false);
        let before = sim.calls();
        sim.keep_calls();
        for (number, errno) in faults {
            sim.fail_call(before + number, Fault::Error(*errno));
        }
        let options = SocketOptions::new().families(families).hints(hints);
        event_loop.connect_with(format!("{host}:7"), options, watch).unwrap();
        event_loop.run().unwrap();
        event_loop.net.check().unwrap();
        sim.check().unwrap();
        let mut seen = std::mem::take(&mut event_loop.state);
        drop(event_loop);
        assert_eq!(sim.descriptors(), 0, "whatever was opened is closed");
        (seen.asked, seen.calls) = (asked.take(), sim.called());
        seen
    };
    // Each call that fails has another one in its place, so they are found one by one.
    let mut faults = Vec::new();
    for (at, errno) in failing.iter().enumerate() {
        let calls = run(&faults).calls;
        let number = calls.iter().enumerate().filter(|(_, call)| **call == Call::Datagrams).nth(at).unwrap().0;
        faults.extend(errno.map(|errno| (number as u64, errno)));
    }
    run(&faults)
}

fn found(host: &str, families: Families, hints: Hints) -> String {
    connect(host, families, hints, &[]).found.join(" ")
}

#[test]
fn without_a_hint_each_family_has_its_addresses() {
    for hints in [Hints::new(), Hints::new().all(true)] {
        assert_eq!(found("both.example", Families::Both, hints), "fd00::1 10.0.0.1");
        assert_eq!(found("both.example", Families::V4, hints), "10.0.0.1");
        assert_eq!(found("both.example", Families::V6, hints), "fd00::1");
        let error = connect("four.example", Families::V6, hints, &[]).error.unwrap();
        assert_eq!((error.kind(), error.host()), (ErrorKind::HostNotFound, Some("four.example")));
    }
}

#[test]
fn a_name_without_ipv6_has_its_ipv4_addresses_as_those_of_ipv6() {
    let hints = Hints::new().v4_mapped(true);
    let seen = connect("four.example", Families::V6, hints, &[]);
    assert_eq!(seen.found, ["::ffff:10.0.0.4"]);
    assert_eq!(seen.connected_to.as_deref(), Some("[::ffff:10.0.0.4]:7"));
    assert_eq!(found("both.example", Families::V6, hints), "fd00::1");
    assert_eq!(connect("both.example", Families::V6, hints, &[]).asked, ["AAAA both.example"], "IPv4 is not needed");
    assert_eq!(found("six.example", Families::V6, hints), "fd00::6");
    assert_eq!(found("www", Families::V6, hints), "fd00::8", "no domain has IPv6 but the second one");
    for host in ["none.example", "no.example"] {
        let error = connect(host, Families::V6, hints, &[]).error.unwrap();
        assert_eq!((error.kind(), error.host()), (ErrorKind::HostNotFound, Some(host)));
    }
}

#[test]
fn with_all_the_ipv4_addresses_are_behind_those_of_ipv6() {
    let hints = Hints::new().v4_mapped(true).all(true);
    assert_eq!(found("both.example", Families::V6, hints), "fd00::1 ::ffff:10.0.0.1");
    assert_eq!(found("four.example", Families::V6, hints), "::ffff:10.0.0.4");
    assert_eq!(found("six.example", Families::V6, hints), "fd00::6");
    assert_eq!(found("www", Families::V6, hints), "fd00::8 ::ffff:10.0.0.7", "each family has its first domain");
}

#[test]
fn mapped_addresses_are_for_ipv6_alone() {
    for hints in [Hints::new().v4_mapped(true), Hints::new().v4_mapped(true).all(true)] {
        assert_eq!(found("both.example", Families::Both, hints), "fd00::1 10.0.0.1");
        assert_eq!(found("both.example", Families::V4, hints), "10.0.0.1");
        assert_eq!(found("four.example", Families::Both, hints), "10.0.0.4");
    }
}

#[test]
fn hints_count_for_the_hosts_file_and_for_localhost() {
    let (mapped, all) = (Hints::new().v4_mapped(true), Hints::new().v4_mapped(true).all(true));
    for (host, hints, expected) in [
        ("filed", mapped, "fd00::2"),
        ("filed", all, "fd00::2 ::ffff:10.0.0.2"),
        ("filed4", mapped, "::ffff:10.0.0.2"),
        ("filed4", all, "::ffff:10.0.0.2"),
        ("filed6", mapped, "fd00::2"),
        ("filed6", all, "fd00::2"),
        ("localhost", mapped, "::1"),
        ("localhost", all, "::1 ::ffff:127.0.0.1"),
    ] {
        let seen = connect(host, Families::V6, hints, &[]);
        assert_eq!(seen.found.join(" "), expected, "{host} {hints:?}");
        assert_eq!(seen.asked, [] as [&str; 0], "nobody is asked for {host}");
    }
}

#[test]
fn a_server_that_fails_for_one_family_leaves_the_other() {
    let hints = Hints::new().v4_mapped(true);
    let seen = connect("lame.example", Families::V6, hints, &[]);
    assert_eq!(seen.error.unwrap().kind(), ErrorKind::LookupFailed, "that there is no IPv4 says nothing of IPv6");
    assert!(seen.asked.contains(&"A lame.example".to_owned()), "{:?}", seen.asked);
}

#[test]
fn a_look_up_that_waits_for_a_descriptor_goes_on_to_ipv4() {
    let hints = Hints::new().v4_mapped(true);
    let seen = connect("four.example", Families::V6, hints, &[Some(MFILE)]);
    assert_eq!(seen.found, ["::ffff:10.0.0.4"]);
}

#[test]
fn a_family_without_a_route_is_left_out() {
    let hints = Hints::new().address_config(true);
    for missing in [NETUNREACH, AFNOSUPPORT] {
        let (v4, v6) = ([Some(missing), None], [None, Some(missing)]);
        for (host, without_v4, without_v6) in [
            ("both.example", "fd00::1", "10.0.0.1"),
            ("filed", "fd00::2", "10.0.0.2"),
            ("localhost", "::1", "127.0.0.1"),
        ] {
            assert_eq!(connect(host, Families::Both, hints, &v4).found, [without_v4], "{host}");
            assert_eq!(connect(host, Families::Both, hints, &v6).found, [without_v6], "{host}");
            assert_eq!(connect(host, Families::Both, hints, &[]).found.len(), 2, "{host}");
            let neither = connect(host, Families::Both, hints, &[Some(missing), Some(missing)]);
            assert_eq!(neither.found.len(), 2, "{host}: a machine without any route has both families, as in glibc");
        }
        assert_eq!(
            connect("both.example", Families::Both, hints, &v6).asked,
            ["A both.example"],
            "the other is not asked"
        );
        assert!(connect("four.example", Families::Both, hints, &v4).error.unwrap().code() == "ENOTFOUND");
    }
}

#[test]
fn without_a_route_for_the_only_family_there_is_no_such_host_and_nobody_is_asked() {
    let hints = Hints::new().address_config(true);
    for host in ["both.example", "filed", "localhost"] {
        for (families, name) in [(Families::V4, "IPv4"), (Families::V6, "IPv6")] {
            let seen = connect(host, families, hints, &[Some(NETUNREACH)]);
            let error = seen.error.unwrap();
            assert_eq!((error.kind(), error.code(), error.host()), (ErrorKind::HostNotFound, "ENOTFOUND", Some(host)));
            assert!(error.to_string().contains(&format!("no route for {name}")), "{error}");
            assert_eq!((seen.found.len(), seen.asked.len()), (0, 0), "{host}");
            assert_eq!(seen.calls, [Call::Datagrams], "one question to the system, and none to a server");
            assert_eq!(connect(host, families, hints, &[]).found.len(), 1, "{host}");
        }
    }
}

#[test]
fn an_error_that_says_nothing_of_routes_leaves_nothing_out() {
    let hints = Hints::new().address_config(true);
    assert_eq!(connect("both.example", Families::V6, hints, &[Some(MFILE)]).found, ["fd00::1"]);
    assert_eq!(connect("both.example", Families::Both, hints, &[None, Some(MFILE)]).found, ["fd00::1", "10.0.0.1"]);
}

#[test]
fn a_machine_with_ipv6_alone_has_mapped_addresses_with_both_hints() {
    let hints = Hints::new().address_config(true).v4_mapped(true);
    let seen = connect("four.example", Families::Both, hints, &[Some(NETUNREACH)]);
    assert_eq!(seen.found, ["::ffff:10.0.0.4"], "as in glibc, which looks for IPv6 alone then");
}

#[test]
fn the_programs_own_look_up_is_told_of_the_hints_and_has_the_last_word() {
    for hints in [Hints::new(), Hints::new().address_config(true).v4_mapped(true).all(true)] {
        for (families, expected) in [(Families::Both, 2), (Families::V4, 1), (Families::V6, 1)] {
            let sim = Sim::new(1);
            let mut event_loop = EventLoop::on(sim.kernel(), Seen::default());
            sim.keep_calls();
            let options = SocketOptions::new().families(families).hints(hints);
            let setup = move |socket: &mut Socket<'_, Seen>| {
                watch(socket);
                socket.set_lookup(move |socket, wanted| {
                    assert_eq!((wanted.families, wanted.hints), (families, hints));
                    let both: Vec<IpAddr> = vec![ip("10.0.0.1"), ip("fd00::1")];
                    socket.net.answer_lookup(wanted.id, Ok(both));
                });
            };
            event_loop.connect_with("both.example:7", options, setup).unwrap();
            event_loop.run().unwrap();
            assert_eq!(event_loop.state.found.len(), expected, "{hints:?} {families:?}");
            assert!(!sim.called().contains(&Call::Datagrams), "{:?}", sim.called());
        }
    }
}

#[test]
fn an_address_in_digits_has_no_hints() {
    let hints = Hints::new().address_config(true).v4_mapped(true).all(true);
    let seen = connect("127.0.0.1", Families::V6, hints, &[]);
    assert_eq!((seen.connected_to.as_deref(), seen.calls.contains(&Call::Datagrams)), (Some("127.0.0.1:7"), false));
}
