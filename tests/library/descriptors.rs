//! Sockets that were made elsewhere and are given to a loop.

#![cfg(unix)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use crate::support::folder::Folder;
use crate::support::loops::{Heard, View, World, ms, quiet, watch};
use tidegate::sim::Sim;
use tidegate::{ErrorKind, EventLoop, KeepAlive, ServerOptions, SocketOptions};

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

/// What the peer of an accepted connection has done before somebody takes it.
#[derive(Clone, Copy, Debug)]
enum Before {
    SaysAndResets,
    Resets,
    SaysAndEnds,
    SaysAndEndsItsHalf,
}

impl Before {
    /// A connection that std has accepted, and its peer if that is still there.
    fn happen(self, listener: &TcpListener) -> (TcpStream, Option<TcpStream>) {
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        if !matches!(self, Before::Resets) {
            peer.write_all(b"hi").unwrap();
        }
        let peer = match self {
            Before::SaysAndResets | Before::Resets => {
                socket2::SockRef::from(&peer).set_linger(Some(ms(0))).unwrap();
                None
            }
            Before::SaysAndEnds => None,
            Before::SaysAndEndsItsHalf => {
                peer.shutdown(Shutdown::Write).unwrap();
                Some(peer)
            }
        };
        // On loopback it has arrived when the call has returned.
        (ours, peer)
    }
}

#[test]
fn what_had_come_before_a_connection_was_adopted_is_delivered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (before, events) in [
        (Before::SaysAndResets, &["data hi", "error ECONNRESET", "close(true)"][..]),
        (Before::Resets, &["error ECONNRESET", "close(true)"]),
        (Before::SaysAndEnds, &["data hi", "end", "finish", "close(false)"]),
        (Before::SaysAndEndsItsHalf, &["data hi", "end", "finish", "close(false)"]),
    ] {
        let mut world = World::new();
        let (ours, _peer) = before.happen(&listener);
        // Each has to look for itself whether the error is still there.
        let options = SocketOptions::new().no_delay(true).keep_alive(KeepAlive::new());
        let id = world.event_loop().adopt_socket(ours, options, |socket| watch(socket, "S", quiet)).unwrap();
        let forgotten = matches!(before, Before::SaysAndResets | Before::Resets);
        assert_eq!(world.net.connection(id).remote_address().is_none(), forgotten, "{before:?}");
        world.until_closed(&["S"]);
        assert_eq!(world.state.of("S"), events, "{before:?}");
    }
}

#[test]
fn a_connection_that_was_reset_before_it_is_accepted_delivers_what_had_come() {
    let mut world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.write_all(b"hi").unwrap();
    socket2::SockRef::from(&peer).set_linger(Some(ms(0))).unwrap();
    drop(peer);
    listen(&mut world, listener);
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["data hi", "error ECONNRESET", "close(true)"]);
}

/// A Unix socket whose peer has not read all reads ECONNRESET behind what had come.
#[test]
fn a_unix_connection_whose_peer_has_gone_can_be_adopted() {
    for unread in [false, true] {
        let (mut ours, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"hi").unwrap();
        if unread {
            ours.write_all(b"not read").unwrap();
        }
        drop(peer);
        let mut world = World::new();
        world.event_loop().adopt_socket(ours, SocketOptions::new(), |socket| watch(socket, "S", quiet)).unwrap();
        world.until_closed(&["S"]);
        if unread {
            // The system tells the error first: it is the socket's, and not behind the bytes.
            assert_eq!(world.state.of("S").last().unwrap(), "close(true)");
            assert!(world.state.saw("S", "error ECONNRESET"));
        } else {
            assert_eq!(world.state.of("S"), ["data hi", "end", "finish", "close(false)"]);
        }
    }
}

/// A peer that is gone gives the error EPIPE and no SIGPIPE, whatever that does in this process: of one piece, and gathered.
#[cfg(feature = "signals")]
#[test]
fn no_write_to_a_socket_raises_a_signal() {
    let mut world = World::new();
    world.event_loop().on_signal(13, |event_loop| event_loop.state.note("process", "SIGPIPE")).unwrap();
    for pieces in [1, 2, 1500] {
        let (ours, other) = UnixStream::pair().unwrap();
        drop(other);
        let options = SocketOptions::new().allow_half_open(true);
        let name = format!("{pieces} pieces");
        world
            .event_loop()
            .adopt_socket(ours, options, |socket| {
                watch(socket, &name, move |socket, heard| {
                    if let Heard::End = heard {
                        socket.cork();
                        for _ in 0..pieces {
                            socket.write(vec![b'x'; 70_000 / pieces]);
                        }
                        socket.uncork();
                    }
                });
            })
            .unwrap();
        world.until_closed(&[&name]);
        assert_eq!(world.state.of(&name), ["end", "error EPIPE", "close(true)"]);
    }
    world.turn_for(ms(10));
    assert!(world.state.of("process").is_empty());
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
