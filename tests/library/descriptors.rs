//! Sockets that were made elsewhere and are given to a loop.

#![cfg(unix)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use crate::support::folder::Folder;
use crate::support::loops::{Heard, View, World, ms, quiet, watch};
use tidegate::sim::Sim;
use tidegate::{ErrorKind, EventLoop, ServerOptions, SocketOptions};

fn echo(socket: &mut View<'_>, heard: Heard<'_>) {
    if let Heard::Data(bytes) = heard {
        socket.write(bytes);
    }
}

fn listen(world: &mut World, listener: impl Into<OwnedFd>) {
    let options = ServerOptions::new().no_delay(true);
    let server = world.event_loop().listen_fd(listener, options, |socket| watch(socket, "S", echo)).unwrap();
    world.watch_server(server, "server");
}

/// Says something, hears it again, and ends.
fn talk(world: &mut World, mut peer: impl Read + Write) {
    peer.write_all(b"hello").unwrap();
    world.until(|world| world.state.data("S") == b"hello");
    let mut back = [0; 5];
    peer.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
    drop(peer);
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["data hello", "end", "finish", "close(false)"]);
}

// covers: server-listen-handle
#[test]
fn a_listener_of_std_becomes_a_server() {
    let mut world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listen(&mut world, listener);
    world.until_saw("server", "listening");
    talk(&mut world, TcpStream::connect(address).unwrap());
}

// covers: server-listen-handle
#[test]
fn a_unix_listener_becomes_a_server_and_its_path_stays() {
    let folder = Folder::new();
    let path = folder.path("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut world = World::new();
    let options = ServerOptions::new();
    let server = world.event_loop().listen_fd(listener, options, |socket| watch(socket, "S", echo)).unwrap();
    assert_eq!(world.net.server_endpoint(server).unwrap().to_string(), format!("unix:{}", path.display()));
    talk(&mut world, UnixStream::connect(&path).unwrap());
    world.net.close_server(server);
    assert!(path.exists(), "it is not ours");
}

// covers: socket-constructor
#[test]
fn a_connection_of_std_becomes_a_socket_that_reads_at_once() {
    let mut world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    let (address, seen) = (peer.local_addr().unwrap(), ours.try_clone().unwrap());
    let options = SocketOptions::new().no_delay(true);
    let id = world.event_loop().adopt_socket(ours, options, |socket| watch(socket, "S", echo)).unwrap();
    assert_eq!(world.net.connection(id).remote_address(), Some(address));
    assert!(world.net.connection(id).is_readable() && world.net.connection(id).is_writable());
    assert!(seen.nodelay().unwrap());
    drop(seen);
    talk(&mut world, peer);

    let mut world = World::new();
    let (ours, peer) = UnixStream::pair().unwrap();
    let id = world.event_loop().adopt_socket(ours, SocketOptions::new(), |socket| watch(socket, "S", echo)).unwrap();
    assert_eq!(world.net.connection(id).remote_address(), None);
    assert!(world.net.connection(id).peer_cred().is_some());
    talk(&mut world, peer);
}

#[test]
fn an_adopted_socket_can_connect_again() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |socket| socket.end());
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    world
        .event_loop()
        .adopt_socket(ours, SocketOptions::new(), |socket| {
            watch(socket, "S", move |socket, heard| {
                if let Heard::Close(_) = heard
                    && socket.state.add("closes", 1) == 1
                {
                    socket.connect(address).unwrap();
                }
            });
        })
        .unwrap();
    world.until(|world| world.state.times("S", "close(false)") == 2);
    let events = ["end", "finish", "close(false)", "connect", "end", "finish", "close(false)"];
    assert_eq!(world.state.of("S"), events);
}

// covers: listen-fd0, server-listen-handle
#[test]
fn a_descriptor_of_the_wrong_kind_is_an_error_that_says_so() {
    let mut world = World::new();
    let mut server = |fd: OwnedFd, words: &str| {
        let error = world.event_loop().listen_fd(fd, ServerOptions::new(), |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(words), "{error}");
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    server(File::open("/dev/null").unwrap().into(), "is no socket");
    server(UdpSocket::bind("127.0.0.1:0").unwrap().into(), "no stream socket");
    server(UnixDatagram::unbound().unwrap().into(), "no stream socket");
    server(connected.try_clone().unwrap().into(), "does not listen");

    let mut socket = |fd: OwnedFd, words: &str| {
        let error =
            world.event_loop().adopt_socket(fd, SocketOptions::new(), |_| panic!("there is no socket")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(words), "{error}");
    };
    socket(File::open("/dev/null").unwrap().into(), "is no socket");
    socket(UdpSocket::bind("127.0.0.1:0").unwrap().into(), "no stream socket");
    socket(listener.try_clone().unwrap().into(), "adopt it as a server");
    let fresh = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket(fresh.into(), "not connected");
    assert_eq!(world.net.sockets(), 0);

    let mut simulated = EventLoop::on(Sim::new(1).kernel(), ());
    let error = simulated.event_loop().listen_fd(listener, ServerOptions::new(), |_| {}).unwrap_err();
    assert!(error.to_string().contains("no descriptors"), "{error}");
    let error = simulated.event_loop().adopt_socket(connected, SocketOptions::new(), |_| {}).unwrap_err();
    assert!(error.to_string().contains("no descriptors"), "{error}");
}

/// Another process may share the open socket, as systemd does with each listener, and go on using it.
#[test]
fn an_adopted_descriptor_that_was_closed_wakes_no_loop() {
    let mut world = World::new();
    let (ours, mut peer) = UnixStream::pair().unwrap();
    let mut kept = ours.try_clone().unwrap();
    let socket =
        world.event_loop().adopt_socket(ours, SocketOptions::new(), |socket| watch(socket, "S", quiet)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = world.event_loop().listen_fd(listener.try_clone().unwrap(), ServerOptions::new(), |_| {}).unwrap();
    world.turn_for(ms(10));
    world.net.destroy(socket);
    world.net.close_server(server);
    world.until_closed(&["S"]);
    world.turn_for(ms(10));

    let fd = world.net.poll_fd().unwrap().as_raw_fd();
    let mut outer = mio::Poll::new().unwrap();
    outer.registry().register(&mut mio::unix::SourceFd(&fd), mio::Token(0), mio::Interest::READABLE).unwrap();
    let mut woken = || {
        let mut events = mio::Events::with_capacity(8);
        outer.poll(&mut events, Some(ms(20))).unwrap();
        !events.is_empty()
    };
    assert!(!woken());
    peer.write_all(b"for another").unwrap();
    assert!(!woken(), "by a connection that it has closed");
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert!(!woken(), "by a listener that it has closed");
    let mut bytes = [0; 11];
    kept.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"for another");
}

#[test]
fn a_refused_descriptor_is_closed() {
    let mut world = World::new();
    // A pipe and a datagram socket: the other end shows that this one is closed.
    for as_server in [true, false] {
        let mut refuse = |fd: OwnedFd| {
            let refused = match as_server {
                true => world.event_loop().listen_fd(fd, ServerOptions::new(), |_| {}).map(drop),
                false => world.event_loop().adopt_socket(fd, SocketOptions::new(), |_| {}).map(drop),
            };
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
        };
        let (reader, mut writer) = io::pipe().unwrap();
        refuse(reader.into());
        assert_eq!(writer.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        refuse(ours.into());
        assert_eq!(theirs.send(b"x").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
    // A connection is no listener, and a listener no connection.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    world.event_loop().listen_fd(ours, ServerOptions::new(), |_| {}).unwrap_err();
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    world.event_loop().adopt_socket(listener, SocketOptions::new(), |_| {}).unwrap_err();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    // An option out of its bounds, and a server that listens already.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let options = SocketOptions::new().high_water_mark(usize::MAX);
    world.event_loop().adopt_socket(ours, options, |_| {}).unwrap_err();
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    let (server, _) = world.serve(ServerOptions::new(), |_| {});
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    world.net.listen_fd(server, listener).unwrap_err();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(world.net.sockets(), 0);
}

#[test]
fn a_server_that_listens_adopts_nothing_more() {
    let mut world = World::new();
    let (server, _) = world.serve(ServerOptions::new(), |socket| watch(socket, "S", quiet));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = world.server(server).unwrap().listen_fd(listener).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyListening);
}
