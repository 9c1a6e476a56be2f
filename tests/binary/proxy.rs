//! `tidegate proxy`: bytes of one side reach the other, each direction ends by itself, a reset of one side resets the
//! other, and a slow side delays nobody but its partner.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::folder::Folder;
use crate::support::{self, Client, Daemon, Random, Signal, Stderr, wait_until};
use socket2::{Domain, SockRef, Socket, Type};

const PATIENCE: Duration = Duration::from_secs(20);

/// The memory that a pair may need in the proxy. In each direction that is a read of 1 MiB, as much that was not taken,
/// and the smaller buffers before them, which the allocator may keep. The tests send several times as much.
const MOST_MEMORY: u64 = 12 << 20;

/// A target that the test plays itself.
struct Target(TcpListener);

impl Target {
    fn new() -> Self {
        Target(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn proxy(&self, more: &[&str]) -> Daemon {
        proxy_to(&self.0.local_addr().unwrap().to_string(), more)
    }

    fn accept(&self) -> TcpStream {
        let (stream, _) = self.0.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

fn proxy_to(to: &str, more: &[&str]) -> Daemon {
    Daemon::role("proxy", &[&["--to", to], more].concat())
}

fn reads(stream: &mut TcpStream, expected: &[u8]) {
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found).unwrap();
    assert!(found == expected, "{} bytes are not what was sent", expected.len());
}

fn reads_end(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

/// A connection that was reset: no end, but an error.
fn reads_reset(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

fn is_reset(client: Client) {
    let mut stream = client.into_stream();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    reads_reset(&mut stream);
}

/// Connects and is reset, perhaps so quickly that the connect fails with it. The address of the client.
fn comes_and_is_reset(proxy: &Daemon) -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let client = socket.local_addr().unwrap().as_socket().unwrap();
    match socket.connect(&proxy.address().into()) {
        Ok(()) => {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            reads_reset(&mut TcpStream::from(socket)); // an end in order would look like an empty answer
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    client
}

fn resets(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Both ends of a connection that the proxy has made whole.
fn pair(proxy: &Daemon, target: &Target) -> (Client, TcpStream) {
    let mut client = proxy.join();
    let mut server = target.accept();
    server.write_all(b"hello\n").unwrap();
    client.hears("hello");
    (client, server)
}

/// A target that does not answer, for as long as what is returned is kept: a listener with a backlog of 0 takes one
/// connection, and SYNs of others are dropped.
#[cfg(target_os = "linux")]
fn silent_target() -> (SocketAddr, (Socket, Vec<TcpStream>)) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let taken = (0..3).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok()).collect();
    (address, (socket, taken))
}

#[test]
fn bytes_of_each_side_reach_the_other() {
    let target = Target::new();
    let proxy = target.proxy(&[]);
    let mut client = proxy.join();
    client.sends(b"said before anybody has accepted");
    let mut server = target.accept();
    reads(&mut server, b"said before anybody has accepted");
    server.write_all(b"heard\n").unwrap();
    client.hears("heard");
}

#[cfg(target_os = "linux")]
#[test]
fn urgent_data_is_passed_on_at_its_place() {
    let target = Target::new();
    let proxy = target.proxy(&[]);
    let (client, mut server) = pair(&proxy, &target);
    let mut client = client.into_stream();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let says = |stream: &mut TcpStream| {
        stream.write_all(b"before ").unwrap();
        SockRef::from(&*stream).send_out_of_band(b"!").unwrap();
        stream.write_all(b" after").unwrap();
    };
    says(&mut client);
    reads(&mut server, b"before ! after");
    says(&mut server);
    reads(&mut client, b"before ! after");
}

/// A name that ends with `localhost` is this machine, whatever its name servers say. Nobody listens at `::1`.
#[test]
fn a_target_may_be_a_name() {
    let target = Target::new();
    let port = target.0.local_addr().unwrap().port();
    let proxy = proxy_to(&format!("backend.localhost:{port}"), &[]);
    let mut client = proxy.join();
    let mut server = target.accept();
    client.sends(b"hello");
    reads(&mut server, b"hello");
    server.write_all(b"and back\n").unwrap();
    client.hears("and back");
}

#[test]
fn a_name_that_is_the_proxy_itself_or_nobody_costs_the_client_its_connection() {
    let port = support::free_port();
    let own = format!("127.0.0.1:{port}");
    let proxy = Daemon::role("proxy", &["--listen", &own, "--to", &format!("me.localhost:{port}")]);
    let expected = format!("127.0.0.1:{port} is this proxy itself, which listens on {own}");
    comes_and_is_reset(&proxy);
    proxy.logs("the reason", |line| line.contains(&expected));
}

#[test]
fn each_direction_ends_by_itself() {
    let target = Target::new();
    let proxy = target.proxy(&[]);
    let mut client = proxy.join();
    let mut server = target.accept();
    client.sends(b"all");
    client.ends_its_side();
    reads(&mut server, b"all");
    reads_end(&mut server);
    server.write_all(b"the rest comes later\n").unwrap();
    client.hears("the rest comes later");
    server.shutdown(Shutdown::Write).unwrap();
    client.ends();

    // And the other way round.
    let mut client = proxy.join();
    let mut server = target.accept();
    server.write_all(b"only this\n").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    client.hears("only this");
    client.ends();
    client.sends(b"and you?");
    client.ends_its_side();
    reads(&mut server, b"and you?");
    reads_end(&mut server);
}

#[test]
fn twenty_megabytes_there_and_back() {
    let echo = Daemon::echo(&[]);
    let proxy = proxy_to(&echo.address().to_string(), &[]);
    proxy.join().sends_and_receives(&Random(41).bytes(20 << 20));
}

#[cfg(target_os = "linux")]
#[test]
fn a_target_that_does_not_read_delays_only_its_client() {
    let target = Target::new();
    let proxy = target.proxy(&[]);
    let mut flooder = proxy.join();
    let mut stuck = target.accept();
    let before = proxy.peak_memory();
    let piece = Random(42).bytes(99_991); // a prime, so that no buffer is a multiple of it
    let sent = flooder.sends_until_paused(&piece, 96 << 20);
    let growth = proxy.peak_memory() - before;
    assert!(growth < MOST_MEMORY, "{growth} bytes of memory for {sent} bytes sent");

    let mut other = proxy.join();
    let mut server = target.accept();
    other.sends(b"served all the same");
    reads(&mut server, b"served all the same");

    // Nothing is lost.
    flooder.ends_its_side();
    let mut left = sent;
    while left > 0 {
        let length = left.min(piece.len());
        reads(&mut stuck, &piece[..length]);
        left -= length;
    }
    reads_end(&mut stuck);
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_does_not_read_delays_only_its_target() {
    let source = Daemon::role("source", &[]);
    let proxy = proxy_to(&source.address().to_string(), &[]);
    let before = proxy.peak_memory();
    let mut stuck: Vec<TcpStream> = (0..8).map(|_| proxy.join().into_stream()).collect();
    let mut found = vec![0; 1 << 20];
    let pattern = |from: usize, length: usize| (from..from + length).map(|at| (at % 251) as u8).collect::<Vec<_>>();
    // Another client gets far more than all buffers on the way hold.
    let mut other = proxy.join().into_stream();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    for piece in 0..64 {
        other.read_exact(&mut found).unwrap();
        assert!(found == pattern(piece << 20, 1 << 20), "megabyte {piece}");
    }
    let growth = proxy.peak_memory() - before;
    assert!(growth < MOST_MEMORY, "{growth} bytes of memory");
    // Nothing is lost.
    let late = &mut stuck[0];
    late.set_read_timeout(Some(PATIENCE)).unwrap();
    for piece in 0..16 {
        late.read_exact(&mut found).unwrap();
        assert!(found == pattern(piece << 20, 1 << 20), "megabyte {piece} of one that read late");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn bytes_before_the_target_answers_are_bounded() {
    let (address, _silent) = silent_target();
    let proxy = proxy_to(&address.to_string(), &["--connect-timeout", "1h"]);
    let before = proxy.peak_memory();
    let mut client = proxy.join();
    let sent = client.sends_until_paused(&[7; 100_000], 96 << 20);
    let growth = proxy.peak_memory() - before;
    assert!(growth < 4 << 20, "{growth} bytes of memory for {sent} bytes sent");
}

#[test]
fn an_invalid_target_is_a_usage_error() {
    for (arguments, says) in [
        (&["proxy"][..], "--to <ADDR>"),
        (&["proxy", "--to", "nonsense"], "'nonsense'"),
        (&["proxy", "--to", "127.0.0.1"], "127.0.0.1:8080"),
        (&["proxy", "--to", ":80"], "127.0.0.1:80"),
        (&["proxy", "--to", "unix:"], "unix:/PATH"),
    ] {
        let mut proxy = Daemon::launch(arguments);
        proxy.exits_with(2);
        assert!(proxy.log().contains(says), "{arguments:?}: {}", proxy.log());
    }
}

#[test]
fn a_reset_of_one_side_resets_the_other() {
    let target = Target::new();
    let proxy = target.proxy(&[]);
    let (client, mut server) = pair(&proxy, &target);
    client.resets();
    reads_reset(&mut server);

    let (client, server) = pair(&proxy, &target);
    resets(server);
    is_reset(client);
}

#[test]
fn a_refused_target_resets_its_client_and_is_logged() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = proxy_to(&nobody.to_string(), &["-v"]);
    let way = format!("{} -> {nobody}: connect ECONNREFUSED", comes_and_is_reset(&proxy));
    proxy.logs("whom nobody was there for", |line| line.contains("WARN") && line.contains(&way));

    // No more than one warning a second: the others are told at -v.
    for client in [(); 3].map(|()| comes_and_is_reset(&proxy)) {
        let way = format!("{client} -> {nobody}: connect ECONNREFUSED");
        proxy.logs("each of them", |line| line.contains(&way));
    }

    // As soon as the target listens, connections work.
    let target = TcpListener::bind(nobody).unwrap();
    let mut client = proxy.join();
    let (mut server, _) = target.accept().unwrap();
    server.write_all(b"here I am\n").unwrap();
    client.hears("here I am");
}

#[cfg(target_os = "linux")]
#[test]
fn a_target_that_does_not_answer_is_given_up() {
    let (address, _silent) = silent_target();
    let proxy = proxy_to(&address.to_string(), &["--connect-timeout", "200ms"]);
    let started = Instant::now();
    is_reset(proxy.join());
    assert!(started.elapsed() >= Duration::from_millis(190));
    proxy.logs("that it gave up", |line| {
        line.contains(&format!("-> {address}: connect ETIMEDOUT: no connection within 200ms"))
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_resets_during_the_connect_closes_the_pair() {
    let (address, _silent) = silent_target();
    // The timeout is so long that only the reset can end a pair.
    let proxy = proxy_to(&address.to_string(), &["--connect-timeout", "1h", "-v"]);
    let before = proxy.descriptors();
    for _ in 0..20 {
        proxy.join().resets();
    }
    proxy.logs("the last of them", |line| line.contains("closed: the other side reset"));
    wait_until("as few descriptors as before", || {
        proxy.log().matches(" connected").count() >= 20 && proxy.descriptors() <= before
    });
}

#[test]
fn a_later_reset_of_the_target_is_logged_at_debug_level_with_its_address() {
    let target = Target::new();
    let proxy = target.proxy(&["-v"]);
    let (client, server) = pair(&proxy, &target);
    resets(server);
    is_reset(client);
    let address = target.0.local_addr().unwrap().to_string();
    let line = proxy.logs("who broke", |line| line.contains("ECONNRESET") && line.contains(&address));
    assert!(line.contains("DEBUG"), "{line}");
    assert!(!proxy.log().contains("WARN"), "{}", proxy.log());
}

#[test]
fn a_target_may_be_a_path() {
    let folder = Folder::new();
    let path = folder.path("target");
    let target = UnixListener::bind(&path).unwrap();
    let proxy = proxy_to(&format!("unix:{}", path.display()), &[]);
    let mut client = proxy.join();
    client.sends(b"ping");
    let (mut server, _) = target.accept().unwrap();
    let mut found = [0; 4];
    server.read_exact(&mut found).unwrap();
    assert_eq!(&found, b"ping");
    server.write_all(b"pong\n").unwrap();
    client.hears("pong");
}

#[test]
fn a_pair_is_idle_when_neither_side_says_anything() {
    let target = Target::new();
    let proxy = target.proxy(&["--idle-timeout", "1s"]);
    let mut client = proxy.join();
    let mut server = target.accept();
    let started = Instant::now();
    // Bytes of one side are enough to keep the pair.
    for _ in 0..12 {
        thread::sleep(Duration::from_millis(100));
        server.write_all(b"tick\n").unwrap();
        client.hears("tick");
    }
    assert!(started.elapsed() >= Duration::from_millis(1200));
    reads_reset(&mut server);
    is_reset(client);
    assert!(started.elapsed() >= Duration::from_millis(2190));

    // Bytes of the other side are enough too.
    let mut client = proxy.join();
    let mut server = target.accept();
    let started = Instant::now();
    for _ in 0..12 {
        thread::sleep(Duration::from_millis(100));
        client.sends(b"tock");
        reads(&mut server, b"tock");
    }
    assert!(started.elapsed() >= Duration::from_millis(1200));
    reads_reset(&mut server);
    is_reset(client);
}

#[test]
fn a_stopped_proxy_waits_for_its_connections() {
    let target = Target::new();
    let mut proxy = target.proxy(&[]);
    let mut client = proxy.join();
    let mut server = target.accept();
    proxy.signal(Signal::TERM);
    proxy.logs("that it stops", |line| line.contains("stopping"));
    client.sends(b"one more thing");
    reads(&mut server, b"one more thing");
    server.write_all(b"done\n").unwrap();
    client.hears("done");
    drop(server);
    client.ends();
    client.ends_its_side();
    proxy.exits_with(0);
}

#[test]
fn a_stopped_proxy_waits_no_longer_than_the_drain_timeout() {
    let target = Target::new();
    let mut proxy = target.proxy(&["--drain-timeout", "300ms"]);
    let mut client = proxy.join();
    let mut server = target.accept();
    server.write_all(b"half an ans\n").unwrap();
    client.hears("half an ans");
    proxy.signal(Signal::TERM);
    is_reset(client);
    reads_reset(&mut server);
    proxy.exits_with(0);
}

#[test]
fn an_answer_that_has_ended_is_not_reset_by_the_drain_timeout() {
    let target = Target::new();
    let mut proxy = target.proxy(&["--drain-timeout", "300ms"]);
    let mut client = proxy.join();
    let mut server = target.accept();
    server.write_all(b"all of it\n").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    client.hears("all of it");
    proxy.signal(Signal::TERM);
    proxy.exits_with(0);
    client.ends();
    reads_reset(&mut server); // the client had not ended
}

#[test]
fn a_second_signal_resets_both_sides() {
    let target = Target::new();
    let mut proxy = target.proxy(&[]);
    let client = proxy.join();
    let mut server = target.accept();
    proxy.signal(Signal::TERM);
    proxy.logs("that it stops", |line| line.contains("stopping"));
    proxy.signal(Signal::TERM);
    proxy.exits_with(143);
    is_reset(client);
    reads_reset(&mut server);
}

/// Who has no place for a client resets it, so that it does not take that for an empty answer.
#[cfg(target_os = "linux")]
#[test]
fn without_descriptors_clients_are_reset() {
    let target = Target::new();
    let to = target.0.local_addr().unwrap().to_string();
    let mut command = support::program_after("ulimit -n 16");
    command.args(["proxy", "--listen", "127.0.0.1:0", "--to", &to, "--max-connections", "100"]);
    let mut proxy = Daemon::launch_with(&mut command, Stderr::Kept);
    proxy.finds_its_addresses(1);
    let clients: Vec<_> = (0..16).map(|_| TcpStream::connect(proxy.address())).collect();
    proxy.logs("that it accepts no more", |line| line.contains("accept") && line.contains("EMFILE"));
    let is_reset = |client: std::io::Result<TcpStream>| {
        let read = client.and_then(|mut client| {
            client.set_read_timeout(Some(Duration::from_millis(200)))?;
            client.read(&mut [0])
        });
        match read.map_err(|error| error.kind()) {
            Err(ErrorKind::ConnectionReset) => true,
            Err(ErrorKind::WouldBlock) => false, // it has a place
            other => panic!("{other:?}"),
        }
    };
    let resets = clients.into_iter().map(is_reset).filter(|is_reset| *is_reset).count();
    assert!((8..16).contains(&resets), "{resets} were reset");
}

#[test]
fn a_proxy_to_itself_says_so_and_resets_its_clients() {
    let port = support::free_port(); // at all addresses
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for (listen, to) in [
        (address.to_string(), address.to_string()),
        (format!(":{port}"), address.to_string()),
        (format!(":{port}"), format!("localhost:{port}")),
        (format!("0.0.0.0:{port}"), format!("127.0.0.7:{port}")),
    ] {
        let mut command = support::program();
        let proxy = Daemon::launch_with(command.args(["proxy", "--listen", &listen, "--to", &to]), Stderr::Kept);
        let says = format!("--to {to} is this proxy itself, which listens on ");
        proxy.logs("what is wrong", |line| line.contains("ERROR") && line.contains(&says));
        for _ in 0..3 {
            // It may be reset so quickly that the connect fails with it.
            match TcpStream::connect(address) {
                Ok(mut client) => reads_reset(&mut client),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            }
        }
    }
}

/// A Unix socket whose queue is full.
#[cfg(target_os = "linux")]
fn busy_target(folder: &Folder) -> (Socket, Vec<Socket>, String) {
    let path = socket2::SockAddr::unix(folder.path("busy")).unwrap();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&path).unwrap();
    listener.listen(0).unwrap();
    let waiting = std::iter::repeat_with(|| {
        let client = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).unwrap();
        client.connect(&path).map(|()| client)
    });
    let waiting = waiting.map_while(Result::ok).collect();
    (listener, waiting, format!("unix:{}", folder.path("busy").display()))
}

#[cfg(target_os = "linux")]
#[test]
fn a_target_on_a_unix_socket_that_is_busy_is_waited_for() {
    let folder = Folder::new();
    let (target, waiting, to) = busy_target(&folder);
    let proxy = proxy_to(&to, &["-v"]);
    let mut client = proxy.join();
    client.sends(b"ping");
    proxy.logs("the client", |line| line.contains(" connected"));
    support::a_quiet_moment();
    // Those before the client, and then the client.
    drop(waiting);
    let mut server = loop {
        let mut accepted = target.accept().unwrap().0;
        let mut found = [0; 4];
        if accepted.read(&mut found).unwrap() == 4 && &found == b"ping" {
            break accepted;
        }
    };
    server.write_all(b"pong\n").unwrap();
    client.hears("pong");
    assert!(!proxy.log().contains("WARN"), "{}", proxy.log());
}

#[cfg(target_os = "linux")]
#[test]
fn a_target_on_a_unix_socket_that_stays_busy_is_given_up() {
    let folder = Folder::new();
    let (_target, _waiting, to) = busy_target(&folder);
    let proxy = proxy_to(&to, &["--connect-timeout", "200ms"]);
    let started = Instant::now();
    is_reset(proxy.join());
    assert!(started.elapsed() >= Duration::from_millis(190));
    proxy.logs("that it gave up", |line| line.contains(&format!("-> {to}: connect EAGAIN")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_leaves_while_its_target_is_busy_leaves_nothing() {
    let folder = Folder::new();
    let (_target, _waiting, to) = busy_target(&folder);
    let proxy = proxy_to(&to, &["--connect-timeout", "1h", "-v"]);
    let before = proxy.descriptors();
    for _ in 0..5 {
        proxy.join().resets();
    }
    wait_until("as few descriptors as before", || {
        proxy.log().matches(" connected").count() >= 5 && proxy.descriptors() <= before
    });
}
