//! A loop that comes to its end in order: `Loop::shut_down`, in simulated time.

#![cfg(unix)]

use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{
    CloseReason, EndOrder, EventLoop, FileOptions, Loop, ServerOptions, ShutDownOptions, Socket, SocketId,
    SocketOptions,
};

const ADDRESS: &str = "10.0.0.1:7";
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Heard {
    text: String,
    ended: bool,
    errors: Vec<String>,
    closed: Vec<(CloseReason, Duration)>,
}

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn note(socket: &mut Socket<'_, Heard>) {
    socket.on_end(|socket| socket.state.ended = true);
    socket.on_error(|socket, error| socket.state.errors.push(error.to_string()));
    socket.on_close(|socket, closed| {
        let now = socket.net.now();
        socket.state.closed.push((closed.reason, now));
    });
}

/// An echo that is shut down after five seconds, and has a timer that never ends.
fn echo(sim: &Sim) -> EventLoop<Heard> {
    let mut echo = EventLoop::on(sim.kernel(), Heard::default());
    echo.listen(ADDRESS, |socket| {
        note(socket);
        socket.on_text(|socket, text| {
            socket.state.text.push_str(text);
            socket.write(text);
        });
    })
    .unwrap();
    echo.after(s(5), |echo| echo.shut_down(PATIENCE));
    echo.every(s(1), |_| {});
    echo
}

fn client(sim: &Sim, options: SocketOptions) -> (EventLoop<Heard>, SocketId) {
    let mut client = EventLoop::on(sim.kernel(), Heard::default());
    let id = client
        .connect_with(ADDRESS, options, |socket| {
            note(socket);
            socket.write("hello");
            socket.on_text(|socket, text| socket.state.text.push_str(text));
        })
        .unwrap();
    (client, id)
}

fn reasons(of: &Heard) -> Vec<CloseReason> {
    of.closed.iter().map(|(reason, _)| *reason).collect()
}

#[test]
fn data_from_before_the_shut_down_is_answered() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    let (mut client, id) = client(&sim, SocketOptions::new());
    // On its way when the echo is told to stop, or there already.
    client.after(s(5) - Duration::from_micros(300), move |client| {
        client.net.write(id, b", and bye");
    });
    sim.run(&mut [&mut echo, &mut client], s(60)).unwrap();
    assert_eq!((echo.state.text.as_str(), client.state.text.as_str()), ("hello, and bye", "hello, and bye"));
    assert_eq!((&echo.state.errors, &client.state.errors), (&vec![], &vec![]));
    assert_eq!(reasons(&echo.state), [CloseReason::EndedHere]);
    assert_eq!(reasons(&client.state), [CloseReason::PeerEnded]);
    let (_, closed_at) = echo.state.closed[0];
    assert!(closed_at < s(5) + PATIENCE, "nobody had to be waited for: {closed_at:?}");
    assert_eq!((echo.net.sockets(), echo.net.is_alive()), (0, true), "its timer is still there");
}

#[test]
fn data_after_the_end_is_not_answered_and_a_peer_that_stays_is_destroyed() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    let (mut client, id) = client(&sim, SocketOptions::new().allow_half_open(true));
    client.every(s(1), move |client| {
        client.net.write(id, b"more ");
    });
    sim.run(&mut [&mut echo, &mut client], s(60)).unwrap();
    assert_eq!(client.state.text, echo.state.text, "all that was heard was answered");
    assert!(client.state.ended);
    assert_eq!(echo.state.errors, Vec::<String>::new(), "no write after the end");
    let [(reason, closed_at)] = echo.state.closed[..] else { panic!("{:?}", echo.state) };
    assert_eq!(reason, CloseReason::Shutdown);
    assert!(closed_at >= s(5) + PATIENCE, "it had all its time: {closed_at:?}");
}

#[test]
fn no_new_connection_is_accepted() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    let mut late = EventLoop::on(sim.kernel(), Heard::default());
    late.after(s(6), |late| {
        late.connect(ADDRESS, note).unwrap();
    });
    sim.run(&mut [&mut echo, &mut late], s(60)).unwrap();
    assert_eq!(late.state.errors.len(), 1);
    assert!(late.state.errors[0].contains("ECONNREFUSED"), "{:?}", late.state.errors);
    assert_eq!(reasons(&late.state), [CloseReason::ConnectFailed]);
}

#[test]
fn run_returns_when_the_last_socket_has_closed_whatever_timers_there_are() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    let fresh = echo.event_loop().new_socket(SocketOptions::new(), note).unwrap();
    echo.run().unwrap();
    assert_eq!(echo.net.now().as_secs(), 5);
    assert!(!echo.net.connection(fresh).exists(), "one that never connected has nothing to bring to its end");
    assert_eq!(reasons(&echo.state), [CloseReason::Shutdown]);
}

#[test]
fn a_loop_that_was_shut_down_runs_again() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    echo.run().unwrap();
    echo.listen(ADDRESS, note).unwrap();
    echo.after(s(1), |echo| echo.stop());
    echo.run().unwrap();
    assert_eq!(echo.net.now().as_secs(), 6);
}

/// A server that is shut down after five seconds, and what its client has heard by then.
fn said_to(setup: impl Fn(&mut Socket<'_, Heard>) + 'static) -> (EventLoop<Heard>, EventLoop<Heard>) {
    let sim = Sim::new(1);
    let mut server = EventLoop::on(sim.kernel(), Heard::default());
    server
        .listen(ADDRESS, move |socket| {
            note(socket);
            setup(socket);
        })
        .unwrap();
    server.after(s(5), |server| server.shut_down(PATIENCE));
    let (mut client, _) = client(&sim, SocketOptions::new());
    sim.run(&mut [&mut server, &mut client], s(60)).unwrap();
    (server, client)
}

#[test]
fn data_for_a_socket_without_a_server_is_not_waited_for() {
    let (server, client) = said_to(|socket| {
        socket.write("the time is five");
    });
    assert_eq!(client.state.text, "the time is five");
    assert_eq!(reasons(&client.state), [CloseReason::PeerEnded], "{:?}", client.state);
    assert_eq!(reasons(&server.state), [CloseReason::EndedHere]);
    assert!(server.state.closed[0].1 < s(6), "{:?}", server.state);
}

#[test]
fn a_pause_is_respected_until_patience_is_over() {
    let (server, client) = said_to(|socket| {
        socket.pause();
        socket.on_text(|socket, text| socket.state.text.push_str(text));
    });
    assert_eq!(server.state.text, "", "it was not resumed");
    assert_eq!(reasons(&server.state), [CloseReason::Shutdown]);
    assert!(server.state.closed[0].1 >= s(5) + PATIENCE, "{:?}", server.state);
    assert_eq!(client.state.closed.len(), 1);
}

#[test]
fn a_socket_resumed_within_the_patience_may_be_read_first() {
    let (server, client) = said_to(|socket| {
        socket.pause();
        socket.on_text(|socket, text| {
            socket.state.text.push_str(text);
            socket.write(text);
        });
        socket.after(s(8), |socket| socket.resume());
    });
    assert_eq!((server.state.text.as_str(), client.state.text.as_str()), ("hello", "hello"));
    assert_eq!(reasons(&server.state), [CloseReason::EndedHere]);
    assert!(server.state.closed[0].1 < s(9), "{:?}", server.state);
}

/// Bytes that a client says at once, and its end.
const UPLOAD: usize = 300_000;

fn uploads(sim: &Sim, into: fn(&mut Socket<'_, Heard>, SocketId)) {
    let mut server = EventLoop::on(sim.kernel(), Heard::default());
    server
        .listen(ADDRESS, move |socket| {
            note(socket);
            let file = socket.event_loop().open("upload", FileOptions::write(), |_| {}).unwrap();
            into(socket, file);
            socket.event_loop().shut_down(PATIENCE);
        })
        .unwrap();
    let mut client = EventLoop::on(sim.kernel(), Heard::default());
    client.connect(ADDRESS, |socket| socket.end_with(vec![b'x'; UPLOAD])).unwrap();
    sim.run(&mut [&mut server, &mut client], s(60)).unwrap();
    assert_eq!(sim.file("upload").map(|bytes| bytes.len()), Some(UPLOAD));
    assert_eq!(server.net.sockets(), 0);
    assert!(server.state.closed[0].1 < s(1), "{:?}", server.state);
}

#[test]
fn a_file_that_is_piped_into_is_ended_after_its_source() {
    uploads(&Sim::new(1), |socket, file| socket.pipe(file).unwrap());
}

#[test]
fn a_file_that_handlers_write_to_is_ended_last() {
    uploads(&Sim::new(1), |socket, file| {
        socket.on_data(move |socket, chunk| {
            socket.net.write(file, chunk);
        });
    });
}

#[test]
fn sockets_piped_both_ways_hear_each_other_first() {
    // Half of it is in the buffers of the one connection, and half in those of the other.
    const ALL: usize = 7_000_000;
    let sim = Sim::new(1);
    let mut upstream = EventLoop::on(sim.kernel(), 0);
    let slow = |socket: &mut Socket<'_, usize>| {
        socket.pause();
        socket.on_data(|socket, chunk| *socket.state += chunk.len());
        socket.after(s(5), |socket| socket.resume());
    };
    upstream.listen("10.0.0.9:9", slow).unwrap();
    let mut proxy = EventLoop::on(sim.kernel(), Heard::default());
    proxy
        .listen(ADDRESS, |client| {
            let from = client.id();
            let target = client.event_loop().connect("10.0.0.9:9", |target| target.pipe(from).unwrap()).unwrap();
            client.pipe(target).unwrap();
        })
        .unwrap();
    proxy.after(s(2), |proxy| proxy.shut_down(PATIENCE));
    let mut client = EventLoop::on(sim.kernel(), Heard::default());
    client.connect(ADDRESS, |socket| socket.end_with(vec![b'x'; ALL])).unwrap();
    sim.run(&mut [&mut upstream, &mut proxy, &mut client], s(11)).unwrap();
    assert_eq!(upstream.state, ALL);
    assert_eq!(proxy.net.sockets(), 0);
}

#[test]
fn bytes_that_a_last_close_writes_to_a_file_are_written() {
    let sim = Sim::new(1);
    let mut server = EventLoop::on(sim.kernel(), Heard::default());
    let log = server.event_loop().open("log", FileOptions::write(), note).unwrap();
    server
        .listen(ADDRESS, move |socket| {
            socket.resume();
            socket.on_close(move |socket, closed| {
                socket.net.write(log, format!("{}\n", closed.reason).as_bytes());
            });
        })
        .unwrap();
    server.after(s(5), |server| server.shut_down(PATIENCE));
    let (mut client, _) = client(&sim, SocketOptions::new());
    sim.run(&mut [&mut server, &mut client], s(60)).unwrap();
    assert_eq!(sim.file("log").as_deref(), Some(&b"this side ended first\n"[..]));
    assert_eq!((&server.state.errors, server.net.sockets()), (&vec![], 0));
    assert!(server.state.closed[0].1 < s(6), "the file: {:?}", server.state);
}

/// More than all buffers between a client and an echo hold, in both directions.
const BACKLOG: usize = 2_000_000;

/// A client sends without reading, and an echo is shut down meanwhile. The client reads from the eighth second on.
/// Gives how many bytes come back, and how many the echo has discarded.
fn echoes_to_a_late_reader(quiet: Duration) -> (usize, u64) {
    let conditions = Conditions::new().buffer(300_000).delay(Duration::from_millis(20));
    let sim = Sim::with(1, conditions);
    let mut echo = EventLoop::on(sim.kernel(), ());
    echo.listen(ADDRESS, |socket| {
        let itself = socket.id();
        socket.pipe(itself).unwrap();
    })
    .unwrap();
    echo.after(s(5), move |echo| echo.shut_down_with(ShutDownOptions::new().patience(s(60)).quiet(quiet)));
    let mut client = EventLoop::on(sim.kernel(), 0);
    client
        .connect(ADDRESS, |socket| {
            socket.write(vec![b'x'; BACKLOG]);
            socket.pause();
            socket.on_data(|socket, chunk| *socket.state += chunk.len());
            socket.after(s(8), |socket| socket.resume());
        })
        .unwrap();
    sim.run(&mut [&mut echo, &mut client], s(100)).unwrap();
    assert_eq!(echo.net.sockets(), 0);
    (client.state, echo.event_loop().shut_down_report().discarded_bytes)
}

#[test]
fn what_the_peers_kernel_still_holds_is_waited_for() {
    assert_eq!(echoes_to_a_late_reader(Duration::from_millis(200)), (BACKLOG, 0));
    // Without a quiet time, the first read that finds nothing is taken for the end of what was sent. That is reported.
    let (echoed, discarded) = echoes_to_a_late_reader(Duration::ZERO);
    assert!(echoed < BACKLOG && discarded > 0, "{echoed} echoed, {discarded} discarded");
}

/// An echo that is shut down with options, and a client that sends each time this long after the time before.
fn echo_to_a_talker(options: ShutDownOptions, period: Duration) -> (EventLoop<Heard>, EventLoop<Heard>) {
    let sim = Sim::new(1);
    let mut echo = EventLoop::on(sim.kernel(), Heard::default());
    echo.listen(ADDRESS, |socket| {
        note(socket);
        socket.on_text(|socket, text| {
            socket.state.text.push_str(text);
            if socket.is_writable() {
                socket.write(text);
            }
        });
    })
    .unwrap();
    echo.after(s(5), move |echo| echo.shut_down_with(options));
    let (mut client, id) = client(&sim, SocketOptions::new().allow_half_open(true));
    client.every(period, move |client| {
        client.net.write(id, b"more ");
    });
    sim.run(&mut [&mut echo, &mut client], s(60)).unwrap();
    (echo, client)
}

#[test]
fn a_peer_that_is_never_quiet_is_ended_after_a_second() {
    let options = ShutDownOptions::new().patience(PATIENCE).linger(s(1));
    let (mut echo, client) = echo_to_a_talker(options, Duration::from_millis(50));
    assert_eq!((&client.state.text, client.state.ended), (&echo.state.text, true));
    assert_eq!(reasons(&echo.state), [CloseReason::Shutdown], "it goes on as long as there is patience");
    assert!(echo.event_loop().shut_down_report().discarded_bytes > 0);
    let text_per_second = 20 * "more ".len();
    assert!(
        (5 * text_per_second..7 * text_per_second).contains(&client.state.text.len()),
        "{}",
        client.state.text.len()
    );
}

#[test]
fn what_arrives_after_the_end_is_heard_if_it_is_not_to_be_discarded() {
    let options = ShutDownOptions::new().patience(PATIENCE).linger(s(1)).discard(false);
    let (mut echo, client) = echo_to_a_talker(options, Duration::from_millis(500));
    assert!(client.state.ended);
    assert_eq!(reasons(&echo.state), [CloseReason::Shutdown], "it goes on as long as there is patience");
    assert_eq!(echo.state.text, format!("hello{}", "more ".repeat(29)), "up to the last moment of 15 s");
    assert_eq!(echo.event_loop().shut_down_report().discarded_bytes, 0);
}

#[test]
fn a_socket_that_is_paused_after_its_end_is_not_silent() {
    let sim = Sim::new(1);
    let mut slow = EventLoop::on(sim.kernel(), Heard::default());
    slow.listen(ADDRESS, |socket| {
        note(socket);
        socket.on_text(|socket, text| {
            socket.state.text.push_str(text);
            if !socket.is_writable() {
                socket.pause_for("slow");
                socket.after(s(3), |socket| socket.resume());
            }
        });
    })
    .unwrap();
    slow.after(s(5), |slow| {
        slow.shut_down_with(ShutDownOptions::new().patience(PATIENCE).linger(s(1)).discard(false));
    });
    let (mut client, id) = client(&sim, SocketOptions::new().allow_half_open(true));
    for (at, text) in [(5500, "one "), (6000, "two")] {
        client.after(Duration::from_millis(at), move |client| {
            client.net.write(id, text.as_bytes());
        });
    }
    sim.run(&mut [&mut slow, &mut client], s(60)).unwrap();
    assert_eq!(slow.state.text, "helloone two");
    assert_eq!(reasons(&slow.state), [CloseReason::Timeout], "when it was silent");
}

#[test]
fn what_is_kept_for_a_paused_socket_at_the_end_of_the_patience_is_reported() {
    let sim = Sim::new(1);
    let mut slow = EventLoop::on(sim.kernel(), Heard::default());
    slow.listen(ADDRESS, |socket| {
        note(socket);
        socket.on_text(|socket, text| {
            socket.state.text.push_str(text);
            socket.pause();
        });
    })
    .unwrap();
    slow.after(s(5), |slow| {
        let options = ShutDownOptions::new().patience(PATIENCE).linger(s(1)).discard(false);
        slow.shut_down_with(options.order(EndOrder::Together));
    });
    let (mut client, id) = client(&sim, SocketOptions::new().allow_half_open(true));
    client.after(s(4), move |client| {
        client.net.write(id, b"late");
    });
    sim.run(&mut [&mut slow, &mut client], s(60)).unwrap();
    assert_eq!((slow.state.text.as_str(), reasons(&slow.state)), ("hello", vec![CloseReason::Shutdown]));
    let report = slow.event_loop().shut_down_report();
    assert_eq!((report.discarded_bytes, report.discarded_sockets), (4, 1));
}

/// As a server does that writes what its clients send to a database.
#[test]
fn a_socket_that_outlasts_the_others_is_ended_by_the_program_or_by_the_end_of_the_patience() {
    for is_ended in [true, false] {
        let sim = Sim::new(1);
        let mut store = EventLoop::on(sim.kernel(), Heard::default());
        store
            .listen("10.0.0.2:7", |socket| {
                note(socket);
                socket.on_text(|socket, text| socket.state.text.push_str(text));
            })
            .unwrap();
        let mut server = EventLoop::on(sim.kernel(), Heard::default());
        let to_the_store = SocketOptions::new().outlasts(true);
        let link = server
            .connect_with("10.0.0.2:7", to_the_store, |socket| {
                note(socket);
                socket.on_data(|_, _| {});
            })
            .unwrap();
        server
            .listen(ADDRESS, move |socket| {
                socket.on_data(move |socket, chunk| {
                    socket.net.write(link, chunk);
                });
                socket.on_close(move |socket, _| {
                    socket.net.write(link, b"and bye");
                    if is_ended {
                        socket.net.destroy_soon(link);
                    }
                });
            })
            .unwrap();
        for order in [EndOrder::Each, EndOrder::Together] {
            // A second call does nothing.
            server.after(s(5), move |server| {
                server
                    .shut_down_with(ShutDownOptions::new().patience(PATIENCE).linger(s(1)).discard(false).order(order));
            });
        }
        let (mut client, id) = client(&sim, SocketOptions::new().allow_half_open(true));
        client.after(s(6), move |client| {
            client.net.write(id, b", late, ");
        });
        sim.run(&mut [&mut server, &mut store, &mut client], s(60)).unwrap();
        assert_eq!(store.state.text, "hello, late, and bye");
        let [(reason, closed_at)] = server.state.closed[..] else { panic!("{:?}", server.state) };
        let expected = if is_ended { CloseReason::DestroyedHere } else { CloseReason::Shutdown };
        assert_eq!((reason, closed_at < s(9)), (expected, is_ended), "{closed_at:?}");
        assert_eq!(server.net.sockets(), 0);
    }
}

/// What it is piped into is ended as well, and takes nothing more.
#[test]
fn what_arrives_after_the_end_is_heard_by_handlers_and_not_by_pipes() {
    for (has_handler, heard, discarded) in [(false, "", 4), (true, "hellolate", 0)] {
        let sim = Sim::with(1, Conditions::default().buffer(1000));
        let mut store = EventLoop::on(sim.kernel(), Heard::default());
        store
            .listen("10.0.0.2:7", |socket| {
                note(socket);
                socket.on_text(|socket, text| socket.state.text.push_str(text));
                socket.pause();
                socket.after(s(8), |socket| socket.resume());
            })
            .unwrap();
        let mut server = EventLoop::on(sim.kernel(), Heard::default());
        let to = server
            .connect_with("10.0.0.2:7", SocketOptions::new().high_water_mark(1 << 20), |socket| {
                note(socket);
                socket.on_data(|_, _| {});
                socket.write(vec![b'.'; 100_000]);
            })
            .unwrap();
        server
            .listen(ADDRESS, move |socket| {
                note(socket);
                socket.pipe(to).unwrap();
                if has_handler {
                    socket.on_text(|socket, text| socket.state.text.push_str(text));
                }
            })
            .unwrap();
        server.after(s(5), |server| {
            server.shut_down_with(ShutDownOptions::new().patience(PATIENCE).linger(s(1)).discard(false));
        });
        let (mut client, id) = client(&sim, SocketOptions::new().allow_half_open(true));
        client.after(Duration::from_millis(5900), move |client| {
            client.net.write(id, b"late");
        });
        sim.run(&mut [&mut server, &mut store, &mut client], s(60)).unwrap();
        assert_eq!(server.state.errors, [""; 0]);
        assert_eq!((store.state.text.trim_start_matches('.'), store.state.ended), ("hello", true));
        assert_eq!(reasons(&server.state), [CloseReason::Timeout, CloseReason::EndedHere], "{:?}", server.state);
        assert_eq!(server.state.text, heard);
        let report = server.event_loop().shut_down_report();
        assert_eq!((report.unsent_bytes, report.discarded_bytes), (0, discarded));
    }
}

#[test]
fn what_comes_to_a_socket_that_the_program_had_discarded_is_not_reported() {
    for was_discarded in [true, false] {
        let sim = Sim::new(1);
        let mut server = EventLoop::on(sim.kernel(), Heard::default());
        server
            .listen(ADDRESS, move |socket| {
                note(socket);
                socket.on_data(|_, _| {});
                socket.after(Duration::from_millis(4900), move |socket| {
                    if was_discarded {
                        socket.end_and_discard(Some(s(1)));
                    }
                });
            })
            .unwrap();
        server.after(s(5), |server| {
            server.shut_down_with(ShutDownOptions::new().patience(PATIENCE).linger(s(1)));
        });
        let (mut client, id) = client(&sim, SocketOptions::new().allow_half_open(true));
        client.after(Duration::from_millis(5500), move |client| {
            client.net.write(id, b"late");
        });
        sim.run(&mut [&mut server, &mut client], s(60)).unwrap();
        assert_eq!(reasons(&server.state), [CloseReason::Timeout]);
        let discarded = if was_discarded { 0 } else { 4 };
        assert_eq!(server.event_loop().shut_down_report().discarded_bytes, discarded);
    }
}

#[test]
fn an_ended_peer_that_is_silent_is_destroyed_after_the_linger_time() {
    let options = ShutDownOptions::new().patience(PATIENCE).linger(s(1));
    let (mut echo, client) = echo_to_a_talker(options, s(3600));
    assert!(client.state.ended);
    let [(reason, closed_at)] = echo.state.closed[..] else { panic!("{:?}", echo.state) };
    assert_eq!(reason, CloseReason::Timeout);
    assert!(closed_at >= s(6) && closed_at < s(7), "{closed_at:?}");
    assert_eq!(echo.event_loop().shut_down_report(), Default::default(), "nothing was lost");
}

/// A socket that connects for longer than others are waited for is ended before it has caught up. The clock of the one must not hide that of
/// the other, which would destroy the socket although the shut-down is given up.
#[test]
fn a_linger_time_is_given_up_with_its_shut_down() {
    let sim = Sim::new(1);
    let mut peer = EventLoop::on(sim.kernel(), ());
    let half_open = ServerOptions::new().allow_half_open(true);
    peer.listen_with("10.0.0.2:7", half_open, |socket| socket.on_data(|_, _| {})).unwrap();
    let mut event_loop = EventLoop::on(sim.kernel(), Heard::default());
    let half_open = SocketOptions::new().allow_half_open(true);
    event_loop
        .connect_with("10.0.0.2:7", half_open, |socket| {
            note(socket);
            socket.on_data(|_, _| {});
            socket.on_finish(|socket| {
                socket.event_loop().after(Duration::from_millis(100), |on| on.stop());
            });
        })
        .unwrap();
    sim.partition("10.0.0.2".parse().unwrap(), true);
    let options = ShutDownOptions::new().patience(PATIENCE).quiet(Duration::from_millis(300)).linger(s(1));
    event_loop.event_loop().shut_down_with(options.order(EndOrder::Together));
    // All others have been waited for.
    sim.run(&mut [&mut event_loop, &mut peer], s(2)).unwrap();
    sim.partition("10.0.0.2".parse().unwrap(), false);
    for until in 3..30 {
        sim.run(&mut [&mut event_loop, &mut peer], s(until)).unwrap();
    }
    assert!(!event_loop.event_loop().is_shutting_down(), "it has finished, and was stopped");
    assert_eq!(event_loop.state.closed, [], "nothing has destroyed it");
    assert_eq!(event_loop.net.sockets(), 1);
}

#[test]
fn what_was_not_sent_is_reported() {
    let sim = Sim::new(1);
    let mut server = EventLoop::on(sim.kernel(), ());
    server
        .listen(ADDRESS, |socket| {
            socket.write(vec![b'x'; 20_000_000]);
        })
        .unwrap();
    server.after(s(5), |server| server.shut_down(PATIENCE));
    let mut client = EventLoop::on(sim.kernel(), ());
    client.connect(ADDRESS, |socket| socket.pause()).unwrap();
    sim.run(&mut [&mut server, &mut client], s(60)).unwrap();
    let report = server.event_loop().shut_down_report();
    assert_eq!((report.unsent_sockets, report.discarded_bytes), (1, 0));
    assert!(report.unsent_bytes > 0 && report.unsent_bytes < 20_000_000, "{report:?}");
}

/// A room whose guests write to each other, as a program without pipes does. One guest is slow to send.
fn room(order: EndOrder) -> String {
    let sim = Sim::new(1);
    let mut room = EventLoop::on(sim.kernel(), Heard::default());
    room.listen(ADDRESS, |socket| {
        let me = socket.id();
        socket.on_data(move |socket, chunk| {
            let others: Vec<_> = socket.net.socket_ids().filter(|id| *id != me).collect();
            socket.net.broadcast(others, chunk);
        });
        socket.on_error(|socket, error| socket.state.errors.push(error.to_string()));
    })
    .unwrap();
    room.after(s(5), move |room| room.shut_down_with(ShutDownOptions::new().patience(PATIENCE).order(order)));
    let mut reader = EventLoop::on(sim.kernel(), String::new());
    reader.connect(ADDRESS, |socket| socket.on_text(|socket, text| socket.state.push_str(text))).unwrap();
    let mut writer = EventLoop::on(sim.kernel(), ());
    let id = writer.connect(ADDRESS, |_| {}).unwrap();
    let again_and_again = move |on: &mut Loop<'_, ()>| {
        if on.net.now() > s(4) && on.net.now() < Duration::from_millis(5400) {
            on.net.write(id, b".");
        }
    };
    writer.every(Duration::from_millis(50), again_and_again);
    sim.run(&mut [&mut room, &mut reader, &mut writer], s(60)).unwrap();
    assert_eq!(room.net.sockets(), 0);
    reader.state
}

#[test]
fn in_a_room_all_are_ended_when_all_have_caught_up() {
    let (each, together) = (room(EndOrder::Each).len(), room(EndOrder::Together).len());
    assert!(each < together && together >= 27, "{each} and {together} of 28 that were written in time");
}

#[test]
fn peers_end_their_connections_if_the_order_says_so() {
    let options = ShutDownOptions::new().patience(PATIENCE).order(EndOrder::ByPeers);
    let (echo, client) = echo_to_a_talker(options, s(1));
    assert_eq!(reasons(&echo.state), [CloseReason::Shutdown]);
    assert!(echo.state.closed[0].1 >= s(5) + PATIENCE, "{:?}", echo.state);
    assert!(client.state.text.ends_with(&"more ".repeat(13)), "{:?}", client.state);
}

#[test]
fn the_patience_of_one_time_does_not_end_the_next() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    echo.run().unwrap();
    assert!(!echo.event_loop().is_shutting_down());
    echo.listen(ADDRESS, note).unwrap();
    echo.after(s(30), |echo| echo.stop());
    let (mut client, _) = client(&sim, SocketOptions::new());
    sim.run(&mut [&mut echo, &mut client], s(20)).unwrap();
    assert_eq!(reasons(&echo.state), []);
}

#[test]
fn a_loop_that_is_stopped_before_it_waits_does_not_wait() {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), 0);
    event_loop.listen(ADDRESS, |_| {}).unwrap();
    event_loop.after(s(3600), |_| {});
    event_loop.next_tick(|event_loop| event_loop.stop());
    event_loop.run().unwrap();
    event_loop.next_tick(|event_loop| event_loop.shut_down(PATIENCE));
    event_loop.run().unwrap();
    assert!(sim.now() < s(1), "{:?}", sim.now());
}

#[test]
fn turns_by_hand_wait_again_after_a_stop_and_after_a_shut_down() {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), ());
    for is_shut_down in [false, true] {
        if is_shut_down {
            event_loop.shut_down(PATIENCE);
        } else {
            event_loop.stop();
        }
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        assert!(!event_loop.event_loop().is_shutting_down());
        let before = sim.now();
        event_loop.turn(Some(s(1))).unwrap();
        assert_eq!(sim.now() - before, s(1));
    }
}
