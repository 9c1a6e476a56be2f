//! Options of servers and sockets: what the system is told of them, looked at from outside.

#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::support::has_ipv6;
use crate::support::loops::{Heard, World, ms, quiet, watch};
use socket2::SockRef;
use tidegate::sim::{Fault, Sim};
use tidegate::{Error, ErrorKind, EventLoop, KeepAlive, ServerOptions, SocketOptions};

const EAFNOSUPPORT: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();

/// A connected pair, the first half of which a loop is to adopt, and a second descriptor for it to look through.
fn adopted(world: &mut World, options: SocketOptions) -> (tidegate::SocketId, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    let seen = ours.try_clone().unwrap();
    (world.event_loop().adopt_socket(ours, options, |socket| watch(socket, "S", quiet)).unwrap(), seen, peer)
}

fn socket() -> SocketOptions {
    SocketOptions::new()
}

fn server() -> ServerOptions {
    ServerOptions::new()
}

// ---- what the system is told ----------------------------------------------------------------------------------------

// covers: later/socket-tos (setTypeOfService), later/setkeepalive-options
#[test]
fn options_of_a_socket_reach_the_system() {
    let mut world = World::new();
    let keep_alive = KeepAlive::new().initial_delay(Duration::from_secs(30)).interval(Duration::from_secs(7)).count(3);
    let options = socket()
        .keep_alive(keep_alive)
        .type_of_service(0x28)
        .user_timeout(ms(4500))
        .receive_buffer(20_000)
        .send_buffer(30_000)
        .urgent_inline(true);
    let (id, seen, _peer) = adopted(&mut world, options);
    let seen = SockRef::from(&seen);
    assert!(seen.keepalive().unwrap());
    assert_eq!(seen.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
    assert_eq!(seen.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
    assert_eq!(seen.tcp_keepalive_retries().unwrap(), 3);
    assert_eq!(seen.tos_v4().unwrap(), 0x28);
    assert_eq!(seen.tcp_user_timeout().unwrap(), Some(ms(4500)));
    assert_eq!(seen.recv_buffer_size().unwrap(), 40_000, "Linux doubles it");
    assert_eq!(seen.send_buffer_size().unwrap(), 60_000);
    assert!(seen.out_of_band_inline().unwrap());

    world.net.set_type_of_service(id, 0x10);
    assert_eq!((seen.tos_v4().unwrap(), world.net.connection(id).type_of_service()), (0x10, Some(0x10)));
    world.net.set_user_timeout(id, None).unwrap();
    assert_eq!(seen.tcp_user_timeout().unwrap(), None);
    world.net.set_keep_alive(id, Some(keep_alive.interval(None).count(None))).unwrap();
    assert_eq!(seen.tcp_keepalive_interval().unwrap(), Duration::from_secs(1), "Node's");
    assert_eq!(seen.tcp_keepalive_retries().unwrap(), 10);
    world.net.set_keep_alive(id, None).unwrap();
    assert!(!seen.keepalive().unwrap());
}

#[test]
fn keep_alive_without_a_delay_leaves_the_times_that_are_not_given() {
    let mut world = World::new();
    let system = TcpListener::bind("127.0.0.1:0").unwrap();
    let system = SockRef::from(&system);
    let keep_alive = KeepAlive::new().count(4);
    let (_, seen, _peer) = adopted(&mut world, socket().keep_alive(keep_alive));
    let seen = SockRef::from(&seen);
    assert!(seen.keepalive().unwrap());
    assert_eq!(seen.tcp_keepalive_time().unwrap(), system.tcp_keepalive_time().unwrap());
    assert_eq!(seen.tcp_keepalive_interval().unwrap(), system.tcp_keepalive_interval().unwrap());
    assert_eq!(seen.tcp_keepalive_retries().unwrap(), 4);
}

#[test]
fn an_accepted_socket_has_its_listeners_options() {
    let mut world = World::new();
    let options = server().type_of_service(0x20).user_timeout(ms(1234));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (seen, address) = (listener.try_clone().unwrap(), listener.local_addr().unwrap());
    world.event_loop().listen_fd(listener, options.clone(), |socket| watch(socket, "S", quiet)).unwrap();
    assert_eq!(SockRef::from(&seen).tcp_user_timeout().unwrap(), Some(ms(1234)));
    world.client("C", address, quiet);
    world.until_saw("C", "connect");
    world.turn_for(ms(5));
    let id = world.id("S");
    assert_eq!(world.net.connection(id).type_of_service(), Some(0x20));

    // On one socket for both families, whichever the client has.
    if has_ipv6() {
        for host in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let mut world = World::new();
            let server = world.listen_with("[::]:0", options.clone(), |socket| watch(socket, "S", quiet)).unwrap();
            let port = world.net.server_address(server).unwrap().port();
            world.client("C", (host, port), quiet);
            world.until_saw("C", "connect");
            world.turn_for(ms(5));
            let id = world.id("S");
            assert_eq!(world.net.connection(id).type_of_service(), Some(0x20), "{host}");
        }
    }
}

// covers: later/socket-tos (setTypeOfService)
#[test]
fn a_type_of_service_is_remembered_until_there_is_a_connection() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(server(), quiet);
    let id = world.event_loop().new_socket(socket(), |socket| watch(socket, "C", quiet)).unwrap();
    assert_eq!(world.net.connection(id).type_of_service(), None);
    world.net.set_type_of_service(id, 0x18);
    assert_eq!(world.net.connection(id).type_of_service(), Some(0x18));
    world.net.connect(id, address).unwrap();
    world.until_saw("C", "connect");
    assert_eq!(world.net.connection(id).type_of_service(), Some(0x18));
}

// ---- where from, where to -------------------------------------------------------------------------------------------

/// A port that is free at every address. It is outside the range of ports that the system hands out, so no connection
/// of another test can get it meanwhile.
fn quiet_port() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let lowest_given: u16 = range.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32_768);
    // Tests of one process ask at the same time.
    static ASKED: AtomicU16 = AtomicU16::new(0);
    let first = 1_024 + std::process::id() as u16 % 1_024 + 100 * ASKED.fetch_add(1, Ordering::Relaxed);
    let is_free = |port: &u16| {
        // Not std's listener, which shares a port with connections in TIME-WAIT.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port)).into()).is_ok()
    };
    (first..lowest_given).find(is_free).unwrap()
}

// covers: seq/localport
#[test]
fn a_socket_connects_from_the_address_and_the_port_that_it_is_told() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(server(), |socket, heard| {
        if let Heard::Accepted = heard {
            let remote = socket.remote_address().unwrap();
            socket.state.note("from", remote.to_string());
        }
    });
    let port = quiet_port();
    let free = SocketAddr::from(([127, 0, 0, 9], port));
    let from = |local_address: Option<IpAddr>, local_port| socket().local_address(local_address).local_port(local_port);
    world.client_with(from(Some(free.ip()), free.port()), "C", address, quiet);
    world.until(|world| !world.state.of("from").is_empty());
    assert_eq!(world.state.of("from"), [free.to_string()]);
    assert_eq!(world.of("C").local_address(), Some(free));

    // A port alone, of whichever family is connected to.
    let port = quiet_port();
    world.client_with(from(None, port), "D", address, quiet);
    world.until(|world| world.state.of("from").len() == 2);
    assert_eq!(world.state.of("from")[1], format!("127.0.0.1:{port}"));
}

#[test]
fn a_foreign_local_address_is_an_error_of_bind() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(server(), quiet);
    let local: IpAddr = "192.0.2.1".parse().unwrap();
    let options = socket().local_address(local).local_port(0);
    world.client_with(options, "C", address, move |socket, heard| {
        if let Heard::Error(error) = heard {
            assert_eq!(error.address(), Some(SocketAddr::new(local, 0)));
            socket.state.note("C", error.syscall().unwrap().to_string());
        }
    });
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["error EADDRNOTAVAIL", "bind", "close(true)"]);
    assert_eq!(world.state.closed("C").reason, tidegate::CloseReason::ConnectFailed);
}

#[test]
fn a_local_address_chooses_the_family() {
    let mut world = World::new();
    let options = socket().local_address(IpAddr::from(Ipv6Addr::LOCALHOST));
    let error = world.event_loop().connect_with("127.0.0.1:1", options.clone(), |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "cannot connect from ::1 to 127.0.0.1:1: one is IPv4, the other is IPv6");
    assert_eq!(world.net.sockets(), 0);
    if has_ipv6() {
        let (server, _) = world.serve_on("[::1]:0", ServerOptions::new(), |_| {});
        let port = world.net.server_address(server).unwrap().port();
        world.client_with(options, "C", format!("localhost:{port}"), quiet);
        world.until_saw("C", "connect");
        assert_eq!(world.of("C").remote_address().unwrap(), SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    }
}

// covers: later/reuseport
#[test]
fn a_port_is_shared_by_servers_that_all_allow_it() {
    let mut world = World::new();
    let shared = server().reuse_port(true);
    for on in ["127.0.0.1:0", ":0"] {
        let (_, address) = world.serve_on(on, shared.clone(), |_| {});
        let second = world.listen_with(address, shared.clone(), |_| {}).unwrap();
        assert_eq!(world.net.server_address(second), Some(address));
        assert_eq!(world.listen(address, |_| {}).unwrap_err().code(), "EADDRINUSE");
    }
}

// covers: listen-ipv6only
#[test]
fn ipv6_only_leaves_the_port_of_the_other_family_free() {
    if !has_ipv6() {
        return;
    }
    let mut world = World::new();
    let only = server().ipv6_only(true);
    // Another program may have the same port in the other family.
    let both = (0..20).find_map(|_| {
        let (six, address) = world.serve_on(0, only.clone(), |_| {});
        assert!(address.is_ipv6());
        assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, address.port())).is_ok());
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).is_err();
        let four = world.listen((Ipv4Addr::UNSPECIFIED, address.port()), |_| {});
        world.net.close_server(six);
        four.ok().map(|_| assert!(refused, "nobody listened there"))
    });
    assert!(both.is_some(), "no port is free in both");
    // Without it, an address that IPv4 is mapped to is one like any other.
    world.listen("[::ffff:127.0.0.1]:0", |_| {}).unwrap();
}

// ---- a machine without one of the families, simulated ---------------------------------------------------------------

fn listens_where_the_first_fails(on: &str, options: ServerOptions) -> Result<SocketAddr, Error> {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), ());
    sim.fail_call(sim.calls(), Fault::Error(EAFNOSUPPORT));
    event_loop.listen_with(on, options, |_| {}).map(|server| event_loop.net.server_address(server).unwrap())
}

#[test]
fn a_machine_of_one_family_listens_on_that() {
    let listens = |on| listens_where_the_first_fails(on, server()).unwrap().to_string();
    assert_eq!(listens(":7"), "0.0.0.0:7");
    assert_eq!(listens("localhost:7"), "[::1]:7");
    let only = server().ipv6_only(true);
    assert_eq!(listens_where_the_first_fails(":7", only).unwrap_err().raw_os_error(), Some(EAFNOSUPPORT));
}

// ---- two servers on one port: on Linux, and simulated as there ------------------------------------------------------

/// Where a server listens, and whether for IPv6 alone.
type Place = (&'static str, bool);

const PLACES: [Place; 8] = [
    ("127.0.0.1", false),
    ("0.0.0.0", false),
    ("[::1]", false),
    ("[::]", false),
    ("[::]", true),
    ("[::ffff:127.0.0.1]", false),
    ("[::ffff:127.0.0.1]", true),
    ("[::ffff:0.0.0.0]", false),
];

/// What two servers get that listen on one port; which of them takes a client of each family, and the addresses it
/// sees.
fn two_listen(mut event_loop: EventLoop<Vec<String>>, port: u16, places: [(Place, bool); 2]) -> Vec<String> {
    for ((at, ipv6_only), reuse_port) in places {
        let options = server().ipv6_only(ipv6_only).reuse_port(reuse_port);
        let listens = event_loop.listen_with(format!("{at}:{port}"), options, move |socket| {
            let [local, remote] =
                [socket.local_address(), socket.remote_address()].map(|address| address.unwrap().ip());
            socket.state.push(format!("{at} takes {local} from {remote}"));
            // Nothing of it is left on this port.
            socket.reset();
        });
        event_loop.state.push(listens.map_or_else(|error| error.code().to_owned(), |_| "listens".to_owned()));
    }
    for to in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let client = |client: &mut tidegate::Socket<'_, Vec<String>>| {
            client.on_error(|client, error| {
                if error.code() != "ECONNRESET" {
                    client.state.push(error.code().to_owned());
                }
            });
        };
        event_loop.connect(to, client).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while event_loop.net.sockets() > 0 {
            event_loop.turn(Some(Duration::from_millis(10))).unwrap();
            assert!(Instant::now() < deadline, "{places:?}: {:?}", event_loop.state);
        }
    }
    event_loop.state
}

// covers: later/reuseport, listen-ipv6only
#[test]
fn the_simulated_kernel_shares_and_refuses_ports_as_linux_does() {
    if !has_ipv6() {
        return;
    }
    let port = quiet_port();
    for reuse in [[false, false], [true, false], [false, true], [true, true]] {
        for one in PLACES {
            for other in PLACES {
                let places = [(one, reuse[0]), (other, reuse[1])];
                let linux = two_listen(EventLoop::with_state(Vec::new()).unwrap(), port, places);
                let simulated = two_listen(EventLoop::on(Sim::new(1).kernel(), Vec::new()), port, places);
                assert_eq!(simulated, linux, "{places:?}");
            }
        }
    }
}

/// Each loop is a process of its own.
#[test]
fn a_shared_port_spreads_its_clients_and_outlives_one_of_its_servers() {
    let sim = Sim::new(1);
    let shared = server().reuse_port(true);
    let serve = || {
        let mut event_loop = EventLoop::on(sim.kernel(), 0);
        event_loop.listen_with("10.0.0.1:7", shared.clone(), |socket| *socket.state += 1).unwrap();
        event_loop
    };
    let (mut one, mut other) = (serve(), serve());
    let mut alone = EventLoop::on(sim.kernel(), 0);
    assert_eq!(alone.listen("10.0.0.1:7", |_| {}).unwrap_err().code(), "EADDRINUSE");
    let connect = |clients: &mut EventLoop<i32>| {
        for _ in 0..100 {
            clients.connect("10.0.0.1:7", |client| client.on_connect(|client| *client.state += 1)).unwrap();
        }
    };
    connect(&mut alone);
    sim.run(&mut [&mut one, &mut other, &mut alone], sim.now() + Duration::from_secs(1)).unwrap();
    assert_eq!((one.state + other.state, alone.state), (100, 100));
    assert!(one.state > 25 && other.state > 25, "{} and {}", one.state, other.state);
    // Now the other server has the port alone.
    let before = other.state;
    drop(one);
    connect(&mut alone);
    sim.run(&mut [&mut other, &mut alone], sim.now() + Duration::from_secs(1)).unwrap();
    assert_eq!((other.state - before, alone.state), (100, 200));
}

// ---- bounds ---------------------------------------------------------------------------------------------------------

#[test]
fn an_option_out_of_its_bounds_is_an_error_that_names_them() {
    let mut world = World::new();
    let day = Some(Duration::from_secs(86_400));
    for (options, bound) in [
        (socket().user_timeout(Duration::ZERO), "from 1 ms"),
        (socket().user_timeout(Duration::MAX), "2147483647 ms"),
        (socket().receive_buffer(0), "receive buffer of 0 bytes"),
        (socket().send_buffer(usize::MAX), "1 GiB"),
        (socket().keep_alive(KeepAlive::new().interval(day)), "32767 s"),
        (socket().keep_alive(KeepAlive::new().count(128)), "127"),
        (socket().keep_alive(KeepAlive::new().count(0)), "from 1"),
    ] {
        let error = world.event_loop().new_socket(options, |_| {}).unwrap_err();
        assert!(error.to_string().contains(bound), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    let error = world.listen_with(0, server().receive_buffer(0), |_| {}).unwrap_err();
    assert!(error.to_string().contains("receive buffer"), "{error}");
}
