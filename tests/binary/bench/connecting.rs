//! Connections that cannot be opened, or not in time.

use std::os::unix::net::{UnixListener, UnixStream};

use socket2::{Domain, Socket, Type};

use super::*;

/// A listener that accepts nothing, and the connections that fill its backlog.
struct Full {
    address: String,
    _listener: Socket,
    _waiting: Vec<Socket>,
}

impl Full {
    fn tcp() -> Full {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        Full::new(Domain::IPV4, &any.into())
    }

    fn unix(path: &std::path::Path) -> Full {
        Full::new(Domain::UNIX, &socket2::SockAddr::unix(path).unwrap())
    }

    fn new(domain: Domain, address: &socket2::SockAddr) -> Full {
        let listener = Socket::new(domain, Type::STREAM, None).unwrap();
        listener.bind(address).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        // One may wait for the accept; the others are there in case that the system has room for some more.
        let waiting = std::iter::repeat_with(|| {
            let socket = Socket::new(domain, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        });
        let waiting = waiting.take(4).collect();
        let text = match (address.as_socket(), address.as_pathname()) {
            (Some(address), _) => address.to_string(),
            (None, path) => format!("unix:{}", path.unwrap().display()),
        };
        Full { address: text, _listener: listener, _waiting: waiting }
    }
}

#[test]
fn a_refused_connection_is_told_at_once() {
    let address = free_address().to_string();
    for workload in ["echo", "sink", "source", "churn", "chat", "idle"] {
        let mut bench = Daemon::launch(&["bench", workload, &address, "--duration", "1h"]);
        bench.exits_with(1);
        let log = bench.log();
        assert!(log.contains(&format!("cannot load {address}")) && log.contains("connection refused"), "{log}");
        assert_eq!(bench.whole_output(), "");
    }
}

#[test]
fn a_server_that_accepts_nothing_is_given_up_after_the_time_to_connect() {
    let folder = Folder::new();
    let servers = [Full::tcp(), Full::unix(&folder.path("full.sock"))];
    for (server, why) in servers.iter().zip(["ETIMEDOUT: no connection within 200ms", "its backlog is full"]) {
        for workload in ["echo", "sink", "source", "churn", "chat", "idle"] {
            let flags = ["--duration", "1h", "--connect-timeout", "200ms"];
            let mut bench = Daemon::launch(&[&["bench", workload, &server.address][..], &flags].concat());
            bench.exits_with(1);
            let log = bench.log();
            assert!(log.contains(&format!("cannot load {}", server.address)) && log.contains(why), "{log}");
            assert_eq!(bench.whole_output(), "");
        }
    }
}

#[test]
fn a_measurement_that_is_shorter_than_the_time_to_connect_says_that_nothing_connected() {
    let server = Full::tcp();
    let mut bench = Daemon::launch(&["bench", "churn", &server.address, "--duration", "50ms", "--warmup", "0"]);
    bench.exits_with(1);
    assert!(bench.log().contains("no connection within 2."), "{}", bench.log());
}

#[test]
fn when_one_connect_has_timed_out_no_more_are_begun() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&server, 4).unwrap();
    let address = server.local_addr().unwrap().to_string();
    let done = bench("idle", &address, &["--connections", "1000", "--connect-timeout", "300ms", "--duration", "10ms"]);
    assert_eq!(done.code, 1);
    let (opened, failed) = (done.number("opened"), done.number("failed"));
    assert!((1..64).contains(&opened), "{}", done.report);
    assert_eq!(opened + failed, 1000);
    // 64 are opened at a time. If each of them took its time, that would be sixteen times 300 ms.
    assert!(done.report["seconds"].as_f64().unwrap() < 4.0, "{}", done.report);
    assert!(done.problems().contains("ETIMEDOUT: no connection within 300ms"), "{}", done.report);
}

#[test]
fn a_signal_while_it_connects_says_how_far_it_came() {
    let server = Full::tcp();
    let words = ["bench", "echo", &server.address, "--connections", "3", "--connect-timeout", "1h"];
    let mut bench = Daemon::launch(&words);
    wait_until("three connects are under way", || tcp_sockets(bench.pid(), TcpState::SynSent) == 3);
    bench.signal(Signal::INT);
    bench.exits_with(1);
    let output = bench.whole_output();
    assert!(output.contains("the run ended while connecting: 0 of 3 connections were open"), "{output}");
}

#[test]
fn a_full_backlog_of_a_unix_socket_is_tried_again() {
    let folder = Folder::new();
    let path = folder.path("slow.sock");
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::sleep(Duration::from_millis(1));
            thread::spawn(move || {
                let mut stream: UnixStream = stream.unwrap();
                let mut answers = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut stream, &mut answers);
            });
        }
    });
    let address = format!("unix:{}", path.display());
    for workload in ["echo", "churn"] {
        let done = bench(workload, &address, &["--connections", "40"]);
        done.is_good();
        assert_eq!(done.number("failed"), 0, "{}", done.report);
    }
}
