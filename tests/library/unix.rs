//! Unix domain sockets: on the machine's kernel, and on the simulated one.

#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::support::folder::{Folder, mode_of};
use crate::support::loops::{FLOOD, Heard, View, World, ms, pattern, quiet, watch};
use tidegate::sim::Sim;
use tidegate::{Endpoint, ErrorKind, EventLoop, ServerId, ServerOptions, SocketOptions, SocketPermissions, Syscall};

/// A server whose sockets are called S.
fn serve(world: &mut World, on: Endpoint, hear: impl Fn(&mut View<'_>, Heard<'_>) + Copy + 'static) -> ServerId {
    let server = world
        .listen(on, move |socket| {
            watch(socket, "S", hear);
            hear(socket, Heard::Accepted);
        })
        .unwrap();
    world.watch_server(server, "server");
    server
}

// ---- events and bytes -----------------------------------------------------------------------------------------------

// covers: pipe-address
#[test]
fn an_echo_over_a_path_has_the_events_of_tcp() {
    let (folder, mut world) = (Folder::new(), World::new());
    let at = folder.endpoint("s");
    let server = serve(&mut world, at, |socket, heard| {
        if let Heard::Data(bytes) = heard {
            socket.write(bytes);
        }
    });
    assert_eq!(world.net.server_endpoint(server), Some(at));
    assert_eq!(world.net.server_address(server), None);
    world.client("C", at, |socket, heard| match heard {
        Heard::Connect => _ = socket.write("hello"),
        Heard::Data(_) => socket.end(),
        _ => {}
    });
    world.until_closed(&["C", "S"]);
    assert_eq!(world.state.of("C"), ["connect", "data hello", "finish", "end", "close(false)"]);
    assert_eq!(world.state.of("S"), ["data hello", "end", "finish", "close(false)"]);
    assert!(!world.state.closed("C").had_error);
}

#[test]
fn a_unix_socket_has_no_addresses_and_a_peer() {
    let (folder, mut world) = (Folder::new(), World::new());
    let ask = |socket: &mut View<'_>, heard: Heard<'_>| {
        if let Heard::Accepted | Heard::Connect = heard {
            assert_eq!((socket.local_address(), socket.remote_address()), (None, None));
            let peer = socket.peer_cred().unwrap();
            let ours = fs::metadata("/proc/self").unwrap();
            assert_eq!((peer.uid, peer.gid, peer.pid), (ours.uid(), ours.gid(), Some(std::process::id())));
            socket.set_no_delay(true);
            socket.set_keep_alive(Some(tidegate::KeepAlive::new())).unwrap();
            socket.end();
        }
    };
    serve(&mut world, folder.endpoint("s"), ask);
    world.client("C", folder.endpoint("s"), ask);
    world.until_closed(&["C", "S"]);
    assert!(!world.state.closed("C").had_error && !world.state.closed("S").had_error);
}

#[test]
fn the_table_of_connections_has_the_user_of_a_unix_peer() {
    let (folder, mut world) = (Folder::new(), World::new());
    serve(&mut world, folder.endpoint("s"), quiet);
    world.client("C", folder.endpoint("s"), quiet);
    world.until(|world| world.net.connections().count() == 2 && world.state.saw("C", "connect"));
    let ours = fs::metadata("/proc/self").unwrap();
    let users: Vec<_> = world.net.connections().map(|info| info.peer_cred().map(|peer| (peer.uid, peer.gid))).collect();
    assert_eq!(users, [Some((ours.uid(), ours.gid())); 2]);
    assert!(world.net.connections().all(|info| info.remote_address().is_none()));
}

/// 108 bytes without a NUL after them: the system takes such a path, and its length says 109.
#[test]
fn a_peer_whose_path_fills_its_address_is_served() {
    let (folder, mut world) = (Folder::new(), World::new());
    serve(&mut world, folder.endpoint("s"), quiet);
    let beginning = folder.path("").to_str().unwrap().to_owned();
    let path = format!("{beginning}{}", "p".repeat(108 - beginning.len()));
    let peer = |at: &str| {
        let _ = fs::remove_file(at);
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(at).unwrap()).unwrap();
        socket
    };

    let mut client = peer(&path);
    client.connect(&socket2::SockAddr::unix(folder.path("s")).unwrap()).unwrap();
    client.write_all(b"hello").unwrap();
    drop(client);
    world.until_closed(&["S"]);
    assert_eq!(world.state.of("S"), ["data hello", "end", "finish", "close(false)"]);

    let other = UnixListener::bind(folder.path("other")).unwrap();
    let mut client = peer(&path);
    client.connect(&socket2::SockAddr::unix(folder.path("other")).unwrap()).unwrap();
    client.write_all(b"adopted").unwrap();
    let (ours, _) = other.accept().unwrap();
    world.event_loop().adopt_socket(ours, SocketOptions::new(), |socket| watch(socket, "adopted", quiet)).unwrap();
    drop(client);
    world.until_closed(&["adopted"]);
    assert_eq!(world.state.of("adopted"), ["data adopted", "end", "finish", "close(false)"]);
}

#[test]
fn a_flood_passes_whole_and_waits_for_a_reader() {
    let (folder, mut world) = (Folder::new(), World::new());
    serve(&mut world, folder.endpoint("s"), |socket, heard| match heard {
        Heard::Accepted => socket.pause(),
        Heard::Data(bytes) => _ = socket.state.add("read", bytes.len()),
        _ => {}
    });
    world.client("C", folder.endpoint("s"), |socket, heard| match heard {
        Heard::Connect => assert!(!socket.write(pattern(FLOOD))),
        Heard::Drain => socket.end(),
        _ => {}
    });
    world.until(|world| world.state.saw("C", "connect") && !world.state.of("server").is_empty());
    world.turn_for(ms(20));
    assert!(!world.state.saw("C", "drain"), "the other side has not read yet");
    world.of("S").resume();
    world.until_closed(&["C", "S"]);
    assert_eq!(world.state.number("read"), FLOOD);
}

#[test]
fn a_reset_is_a_close_and_unread_input_shows_at_the_other_end() {
    let (folder, mut world) = (Folder::new(), World::new());
    serve(&mut world, folder.endpoint("s"), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.reset();
        }
    });
    world.client("C", folder.endpoint("s"), quiet);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "end", "finish", "close(false)"], "there is no RST");

    let mut world = World::new();
    let options = ServerOptions::new().pause_on_connect(true);
    world.listen_with(folder.endpoint("t"), options, |socket| watch(socket, "S", quiet)).unwrap();
    world.client("C", folder.endpoint("t"), |socket, heard| {
        if let Heard::Connect = heard {
            socket.write("never read");
        }
    });
    world.until_saw("C", "connect");
    world.turn_for(ms(20));
    world.of("S").destroy();
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("C"), ["connect", "error ECONNRESET", "close(true)"]);
}

/// A read stops at passed descriptors, short of the bytes after them, and the kernel reports no new readiness.
#[cfg(target_os = "linux")]
#[test]
fn bytes_after_passed_descriptors_are_read() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd;

    let (folder, mut world) = (Folder::new(), World::new());
    serve(&mut world, folder.endpoint("s"), quiet);
    let peer = UnixStream::connect(folder.path("s")).unwrap();
    for part in [b"one ", b"two "] {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut passed = SendAncillaryBuffer::new(&mut space);
        let descriptors = [peer.as_fd()];
        assert!(passed.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&peer, &[std::io::IoSlice::new(part)], &mut passed, SendFlags::empty()).unwrap();
    }
    (&peer).write_all(b"three").unwrap();
    world.until(|world| world.state.data("S").ends_with(b"three"));
    assert_eq!(world.state.data("S"), b"one two three");
}

/// 108 bytes are all that the address has room for: then no NUL ends the path. 109 do not fit.
#[cfg(target_os = "linux")]
#[test]
fn a_path_that_fills_its_address_is_listened_on_and_connected_to() {
    let folder = Folder::new();
    let of_length = |length: usize| {
        let beginning = folder.path("").to_str().unwrap().to_owned();
        format!("{beginning}{}", "p".repeat(length - beginning.len()))
    };
    for length in [106, 107, 108] {
        let (mut world, path) = (World::new(), of_length(length));
        let at: Endpoint = format!("unix:{path}").parse().unwrap();
        // As a killed server leaves it: it is found stale, and taken over.
        let stale = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        rustix::net::bind(&stale, &rustix::net::SocketAddrUnix::new(&*path).unwrap()).unwrap();
        drop(stale);
        let server = serve(&mut world, at, |socket, heard| {
            if let Heard::Data(_) = heard {
                socket.end_with("hello");
            }
        });
        assert_eq!(world.net.server_endpoint(server), Some(at));
        assert_eq!(world.listen(at, |_| {}).unwrap_err().code(), "EADDRINUSE");
        world.client("C", at, quiet);
        world.of("C").write("x");
        world.until_closed(&["C", "S"]);
        assert_eq!(world.state.of("C"), ["connect", "data hello", "end", "finish", "close(false)"]);
        world.net.close_server(server);
        assert!(!std::path::Path::new(&path).exists(), "it goes with its server");

        let other = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        rustix::net::bind(&other, &rustix::net::SocketAddrUnix::new(&*path).unwrap()).unwrap();
        other.listen(1).unwrap();
        let adopted = world.event_loop().listen_fd(other, ServerOptions::new(), |_| {}).unwrap();
        assert_eq!(world.net.server_endpoint(adopted), Some(at), "as the system writes it");
    }
    let mut world = World::new();
    for length in [109, 110, 200] {
        let path = of_length(length);
        for error in [
            world.listen(&*format!("unix:{path}"), |_| {}).unwrap_err(),
            world.connect(&*format!("unix:{path}"), |_| {}).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("at most 108"), "{error}");
        }
    }
}

/// An abstract name has no NUL at its end, and the one that it begins with takes a byte.
#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_that_fills_its_address_is_listened_on_and_connected_to() {
    let mut world = World::new();
    let name = format!("{:n<107}", format!("tidegate-test-long-{}-", std::process::id()));
    let at: Endpoint = format!("unix:@{name}").parse().unwrap();
    let server = serve(&mut world, at, |socket, heard| {
        if let Heard::Accepted = heard {
            socket.end_with("hello");
        }
    });
    assert_eq!(world.net.server_endpoint(server), Some(at));
    world.client("C", at, quiet);
    world.until_closed(&["C", "S"]);
    assert_eq!(world.state.data("C"), b"hello");

    // A client may have such a name too.
    let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let own = rustix::net::SocketAddrUnix::new_abstract_name(name.replace("long", "peer").as_bytes()).unwrap();
    rustix::net::bind(&client, &own).unwrap();
    rustix::net::connect(&client, &rustix::net::SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap()).unwrap();
    world.until(|world| world.state.times("S", "finish") == 2);
    let error = world.listen(&*format!("unix:@{name}n"), |_| {}).unwrap_err();
    assert!(error.to_string().contains("from 1 to 107"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_goes_with_its_socket() {
    let mut world = World::new();
    let at: Endpoint = format!("unix:@tidegate-test-{}", std::process::id()).parse().unwrap();
    let server = serve(&mut world, at, |socket, _| socket.end());
    assert_eq!(world.net.server_endpoint(server), Some(at));
    assert_eq!(world.listen(at, |_| {}).unwrap_err().code(), "EADDRINUSE");
    world.client("C", at, quiet);
    world.until_closed(&["C"]);
    world.net.close_server(server);
    world.client("late", at, quiet);
    world.until_closed(&["late"]);
    assert_eq!(world.state.of("late"), ["error ECONNREFUSED", "close(true)"]);

    let options = ServerOptions::new().permissions(SocketPermissions::new().mode(0o600));
    let error = world.listen_with(at, options, |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("no mode"), "{error}");
}

// covers: connect-options-path
#[test]
fn many_clients_of_one_path_are_all_served() {
    const CLIENTS: usize = 12;
    let folder = Folder::new();
    let mut world = World::new();
    let accept = |socket: &mut View<'_>| {
        socket.end_with("ok");
        if socket.state.add("accepted", 1) == CLIENTS {
            socket.net.close_servers();
        }
    };
    world.listen(folder.endpoint("s"), accept).unwrap();
    for n in 0..CLIENTS {
        world.client(&format!("C{n}"), folder.endpoint("s"), |socket, heard| {
            if let Heard::Connect = heard {
                socket.end();
            }
        });
    }
    world.run_dry();
    assert_eq!(world.state.number("accepted"), CLIENTS);
    for n in 0..CLIENTS {
        assert_eq!(world.state.of(&format!("C{n}")), ["connect", "finish", "data ok", "end", "close(false)"]);
    }
}

// covers: pipe-stream
#[test]
fn a_path_can_be_used_again() {
    let folder = Folder::new();
    for _ in 0..2 {
        let mut world = World::new();
        let accept = |socket: &mut View<'_>| {
            watch(socket, "S", |socket, heard| match heard {
                Heard::Data(chunk) => {
                    assert_eq!(chunk, b"PING");
                    socket.write("PONG");
                }
                Heard::Close(_) => socket.net.close_servers(),
                _ => {}
            });
        };
        let server = world.listen(folder.endpoint("s"), accept).unwrap();
        world.watch_server(server, "server");
        world.client("C", folder.endpoint("s"), |socket, heard| match heard {
            Heard::Connect => {
                socket.write("PING");
            }
            Heard::Data(_) => socket.destroy(),
            _ => {}
        });
        world.run_dry();
        assert_eq!(world.state.of("C"), ["connect", "data PONG", "close(false)"]);
        assert_eq!(world.state.of("S"), ["data PING", "end", "finish", "close(false)"]);
        assert_eq!(world.state.of("server"), ["listening", "close"]);
    }
}

// covers: pipe-unref
#[test]
fn a_server_on_a_path_that_is_not_referenced_keeps_nothing_running() {
    let folder = Folder::new();
    let mut world = World::new();
    let server = world.listen(folder.endpoint("s"), |_| {}).unwrap();
    world.net.set_server_ref(server, false);
    world.run_dry();
    assert!(world.net.is_listening(server));
}

// covers: pipe-writev
#[test]
fn corked_writes_go_out_as_one_on_a_path_too() {
    let folder = Folder::new();
    let mut world = World::new();
    let accept = |socket: &mut View<'_>| {
        socket.cork();
        socket.write("pi");
        socket.write("ng");
        socket.end();
        socket.net.close_servers();
    };
    world.listen(folder.endpoint("s"), accept).unwrap();
    world.client("C", folder.endpoint("s"), |socket, heard| {
        if let Heard::Data(chunk) = heard {
            assert_eq!(chunk, b"ping");
            socket.state.add("chunks", 1);
        }
    });
    world.run_dry();
    assert_eq!(world.state.number("chunks"), 1);
    assert_eq!(world.state.of("C"), ["connect", "data ping", "end", "finish", "close(false)"]);
}

// ---- errors ---------------------------------------------------------------------------------------------------------

// covers: pipe-connect-errors, later/pipe-with-long-path, better-error-messages-listen-path, better-error-messages-path
#[test]
fn an_error_with_a_path_names_the_path() {
    let (folder, mut world) = (Folder::new(), World::new());
    world.client("nowhere", folder.endpoint("nothing"), |socket, heard| {
        if let Heard::Error(error) = heard {
            let path = error.unix_address().unwrap();
            let message = error.to_string();
            assert!(message.starts_with("connect ENOENT") && message.ends_with(&path.to_string()), "{message}");
            socket.state.note("message", format!("{} {path}", error.syscall().unwrap()));
        }
    });
    fs::write(folder.path("file"), "no socket").unwrap();
    world.client("file", folder.endpoint("file"), quiet);
    // Root may open what no other user may.
    let expected =
        if fs::metadata("/proc/self").is_ok_and(|ours| ours.uid() == 0) { "connect" } else { "error EACCES" };
    let _listener = UnixListener::bind(folder.path("closed")).unwrap();
    fs::set_permissions(folder.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    world.client("closed", folder.endpoint("closed"), quiet);
    world.until_saw("closed", expected);
    world.until_closed(&["nowhere", "file"]);
    assert_eq!(world.state.of("nowhere"), ["error ENOENT", "close(true)"]);
    assert_eq!(world.state.of("file"), ["error ECONNREFUSED", "close(true)"]);
    assert_eq!(world.state.of("message"), [format!("connect {}", folder.path("nothing").display())]);

    let error = world.listen(folder.endpoint("no/folder"), |_| {}).unwrap_err();
    assert_eq!((error.code(), error.syscall()), ("ENOENT", Some(Syscall::Listen)));
    assert_eq!(error.unix_address().unwrap().as_path(), Some(&*folder.path("no/folder")));
    for length in [120, 10_000] {
        let long = format!("unix:/{}", "x".repeat(length));
        assert!(world.listen(long.as_str(), |_| {}).unwrap_err().to_string().contains("has at most"));
        assert!(world.connect(long.as_str(), |_| {}).is_err());
    }
}

// ---- the file -------------------------------------------------------------------------------------------------------

// covers: server-listen-path, x/unix-stale-file
#[test]
fn a_file_has_its_mode_and_goes_with_its_server() {
    let (folder, mut world) = (Folder::new(), World::new());
    let with_mode = |mode| {
        let permissions = SocketPermissions::new().mode(mode);
        ServerOptions::new().permissions(permissions)
    };
    let everybodys = world.listen_with(folder.endpoint("everybody's"), with_mode(0o666), |_| {}).unwrap();
    assert_eq!(mode_of(&folder.path("everybody's")), 0o666);
    world.net.close_server(everybodys);
    let server = world.listen_with(folder.endpoint("s"), with_mode(0o620), |_| {}).unwrap();
    assert_eq!(mode_of(&folder.path("s")), 0o620);
    world.net.close_server(server);
    assert!(!folder.path("s").exists());

    // Without a mode it has what the umask leaves, like a socket that std makes.
    let _std = UnixListener::bind(folder.path("std's")).unwrap();
    world.listen(folder.endpoint("plain"), |_| {}).unwrap();
    assert_eq!(mode_of(&folder.path("plain")), mode_of(&folder.path("std's")));

    // It is a server like any other: it can listen again, and a loop that is dropped leaves nothing behind.
    world.net.listen(server, folder.endpoint("s")).unwrap();
    assert!(folder.path("s").exists());
    drop(world);
    assert!(!folder.path("s").exists());
}

#[test]
fn an_owner_that_cannot_be_set_is_an_error_and_leaves_no_file() {
    if fs::metadata("/proc/self").is_ok_and(|ours| ours.uid() == 0) {
        let (folder, mut world) = (Folder::new(), World::new());
        let permissions = SocketPermissions::new().owner(1).group(2);
        world.listen_with(folder.endpoint("s"), ServerOptions::new().permissions(permissions), |_| {}).unwrap();
        let found = fs::symlink_metadata(folder.path("s")).unwrap();
        assert_eq!((found.uid(), found.gid()), (1, 2));
    } else {
        let (folder, mut world) = (Folder::new(), World::new());
        let permissions = SocketPermissions::new().owner(0);
        let options = ServerOptions::new().permissions(permissions);
        assert_eq!(world.listen_with(folder.endpoint("s"), options, |_| {}).unwrap_err().code(), "EPERM");
        assert!(!folder.path("s").exists());
    }
}

#[test]
fn a_mode_out_of_its_bounds_is_an_error() {
    let permissions = SocketPermissions::new().mode(0o1777);
    let error = World::new().listen_with(0, ServerOptions::new().permissions(permissions), |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "mode 0o1777 of a Unix socket: it is at most 0o777");
}

// covers: x/unix-stale-file
#[test]
fn the_path_of_a_killed_server_is_taken_over() {
    let (folder, mut world) = (Folder::new(), World::new());
    drop(UnixListener::bind(folder.path("s")).unwrap());
    assert!(folder.path("s").exists(), "std leaves it");
    serve(&mut world, folder.endpoint("s"), |socket, _| socket.end());
    world.client("C", folder.endpoint("s"), quiet);
    world.until_closed(&["C"]);
    assert!(!world.state.closed("C").had_error);
}

// covers: server-listen-path, x/unix-stale-file
#[test]
fn a_file_that_is_in_use_or_no_socket_is_never_removed() {
    let (folder, mut world) = (Folder::new(), World::new());
    let in_use = |world: &mut World, name| {
        let error = world.listen(folder.endpoint(name), |_| {}).unwrap_err();
        assert_eq!(error.code(), "EADDRINUSE");
        assert!(error.to_string().starts_with("listen EADDRINUSE: address already in use "), "{error}");
        assert_eq!(error.unix_address().unwrap().as_path(), Some(&*folder.path(name)));
        assert!(folder.path(name).exists());
    };
    let listener = UnixListener::bind(folder.path("listener")).unwrap();
    in_use(&mut world, "listener");
    let _datagrams = UnixDatagram::bind(folder.path("datagrams")).unwrap();
    in_use(&mut world, "datagrams");
    fs::write(folder.path("file"), "precious").unwrap();
    in_use(&mut world, "file");
    std::os::unix::fs::symlink(folder.path("listener"), folder.path("link")).unwrap();
    in_use(&mut world, "link");
    assert_eq!(fs::read(folder.path("file")).unwrap(), b"precious");
    drop(listener);
    in_use(&mut world, "link");
}

#[test]
fn a_file_that_has_come_in_the_place_of_ours_is_not_removed() {
    let (folder, mut world) = (Folder::new(), World::new());
    let server = serve(&mut world, folder.endpoint("s"), quiet);
    fs::remove_file(folder.path("s")).unwrap();
    let _other = UnixListener::bind(folder.path("s")).unwrap();
    world.net.close_server(server);
    assert!(folder.path("s").exists());
}

// covers: x/unix-stale-file
#[test]
fn one_of_several_servers_that_take_over_a_path_at_once_gets_it() {
    const AT_ONCE: usize = 3;
    let folder = Folder::new();
    for round in 0..200 {
        let (path, at) = (folder.path(&round.to_string()), folder.endpoint(&round.to_string()));
        drop(UnixListener::bind(&path).unwrap());
        let together = Barrier::new(AT_ONCE);
        let try_it = || {
            let mut world = World::new();
            together.wait();
            let tried = world.listen(at, |_| {});
            together.wait();
            // All have tried by now. The one that listens can be reached.
            let outcome = match tried {
                Ok(_) if UnixStream::connect(&path).is_ok() => "listens",
                Ok(_) => "listens where nobody comes",
                Err(error) => error.code(),
            };
            together.wait();
            outcome
        };
        let mut outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(try_it)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        outcomes.sort_unstable();
        assert_eq!(outcomes, ["EADDRINUSE", "EADDRINUSE", "listens"], "in round {round}");
    }
    assert_eq!(fs::read_dir(folder.itself()).unwrap().count(), 0, "neither a socket nor a lock is left");
}

#[test]
fn a_server_that_takes_over_a_closing_servers_path_keeps_it() {
    let folder = Folder::new();
    let (path, at) = (folder.path("s"), folder.endpoint("s"));
    for round in 0..200 {
        let mut first = World::new();
        let server = first.listen(at, |_| {}).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let mut second = World::new();
                let deadline = Instant::now() + Duration::from_secs(10);
                while second.listen(at, |_| {}).is_err() {
                    assert!(Instant::now() < deadline, "the path never became free");
                }
                std::thread::sleep(ms(1));
                assert!(path.exists(), "round {round}: the first one has removed what was not its own any more");
            });
            first.net.close_server(server);
            second.join().unwrap();
        });
    }
}

#[test]
fn a_stale_lock_is_ignored_and_a_held_one_respected() {
    let (folder, mut world) = (Folder::new(), World::new());
    let lock = folder.path("s.tidegate-lock");
    fs::write(&lock, "").unwrap();
    let server = serve(&mut world, folder.endpoint("s"), quiet);
    assert!(!lock.exists());
    world.net.close_server(server);

    let held = fs::File::create(&lock).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let error = world.listen(folder.endpoint("s"), |_| {}).unwrap_err();
    assert_eq!(error.code(), "EADDRINUSE");
    assert!(lock.exists() && !folder.path("s").exists());
    drop(held);

    // What cannot be a lock is left alone, and is no reason not to listen.
    fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink(folder.path("elsewhere"), &lock).unwrap();
    serve(&mut world, folder.endpoint("s"), quiet);
    assert!(lock.is_symlink() && !folder.path("elsewhere").exists());
}

// ---- dropped, simulated ---------------------------------------------------------------------------------------------

// covers: x/dropped-client
#[test]
fn a_dropped_connection_has_no_addresses() {
    let (folder, mut world) = (Folder::new(), World::new());
    let options = ServerOptions::new().max_connections(0);
    let server = world.listen_with(folder.endpoint("s"), options, |_| {}).unwrap();
    world.server(server).unwrap().on_drop(|server, dropped| {
        assert_eq!((dropped.local, dropped.remote), (None, None));
        server.state.note("server", "drop");
    });
    world.client("C", folder.endpoint("s"), quiet);
    world.until_closed(&["C"]);
    assert_eq!(world.state.of("server"), ["drop"]);
}

#[test]
fn a_simulated_network_has_unix_sockets_too() {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), Vec::new());
    let server = event_loop
        .listen("unix:/run/x.sock", |socket| {
            assert_eq!((socket.local_address(), socket.remote_address()), (None, None));
            socket.on_data(|socket, chunk| socket.end_with(chunk));
        })
        .unwrap();
    assert_eq!(event_loop.net.server_endpoint(server).unwrap().to_string(), "unix:/run/x.sock");
    assert_eq!(event_loop.listen("unix:/run/x.sock", |_| {}).unwrap_err().code(), "EADDRINUSE");
    event_loop
        .connect("unix:/run/x.sock", |socket| {
            socket.write("hello");
            socket.on_data(|socket, chunk| socket.state.extend_from_slice(chunk));
            socket.on_close(|socket, _| socket.event_loop().close_all());
        })
        .unwrap();
    event_loop.run().unwrap();
    assert_eq!(event_loop.state, b"hello");
}
