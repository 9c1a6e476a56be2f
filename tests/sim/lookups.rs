//! Names that the program looks up itself, and servers that listen on a name.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tidegate::sim::Sim;
use tidegate::{
    Error, ErrorKind, Event, EventLoop, Families, LookupAsker, LookupId, LookupRequest, Net, Server, ServerId,
    ServerOptions, Socket, SocketOptions, Syscall,
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

#[derive(Default)]
struct Seen {
    events: Vec<String>,
    errors: Vec<Error>,
    asked: Vec<LookupRequest>,
}

impl Seen {
    fn note(&mut self, event: impl Into<String>) {
        self.events.push(event.into());
    }
}

fn watch(socket: &mut Socket<'_, Seen>) {
    socket.on_lookup(|socket, lookup| {
        let found = lookup.outcome.as_ref().map_or_else(|error| error.code().to_owned(), IpAddr::to_string);
        socket.state.note(format!("lookup {} {found}", lookup.host));
    });
    socket.on_connection_attempt(|socket, address| socket.state.note(format!("attempt {address}")));
    socket.on_connection_attempt_failed(|socket, error| {
        socket.state.note(format!("failed {} {}", error.address().unwrap(), error.code()));
    });
    socket.on_connect(|socket| {
        socket.state.note("connect");
        socket.end();
    });
    socket.on_error(|socket, error| {
        socket.state.errors.push(error.clone());
        socket.state.note(format!("error {}", error.code()));
    });
    socket.on_close(|socket, closed| socket.state.note(format!("close {:?}", closed.reason)));
}

/// Watched, and its look-ups are kept until the test answers them.
fn ask_the_test(socket: &mut Socket<'_, Seen>) {
    watch(socket);
    socket.set_lookup(|socket, wanted| {
        socket.state.note(format!("asked {}", wanted.host));
        socket.state.asked.push(wanted.clone());
    });
}

/// Watched, and each look-up is answered at once.
fn answered_with(answer: Result<Vec<IpAddr>, Error>) -> impl Fn(&mut Socket<'_, Seen>) {
    move |socket| {
        watch(socket);
        let answer = answer.clone();
        socket.set_lookup(move |socket, wanted| {
            socket.state.asked.push(wanted.clone());
            assert!(socket.net.answer_lookup(wanted.id, answer.clone()), "it waits for the answer");
        });
    }
}

fn event_loop() -> (Sim, EventLoop<Seen>) {
    let sim = Sim::new(1);
    let event_loop = EventLoop::on(sim.kernel(), Seen::default());
    (sim, event_loop)
}

/// Servers that do not keep the loop running.
fn listen(event_loop: &mut EventLoop<Seen>, addresses: &[&str]) {
    for address in addresses {
        let server = event_loop.listen(*address, |socket| socket.resume()).unwrap();
        event_loop.net.set_server_ref(server, false);
    }
}

#[track_caller]
fn run(event_loop: &mut EventLoop<Seen>) -> Vec<String> {
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    std::mem::take(&mut event_loop.state.events)
}

// ---- a look-up of the program's own -----------------------------------------------------------------------------------------

// covers: dns-custom-lookup
#[test]
fn the_program_looks_a_name_up_at_once() {
    for (address, endpoint) in [("10.0.0.1", "10.0.0.1:7"), ("fd00::1", "[fd00::1]:7")] {
        let (sim, mut event_loop) = event_loop();
        listen(&mut event_loop, &[endpoint]);
        event_loop.connect("www.example:7", answered_with(Ok(ips(&[address])))).unwrap();
        let expected = [
            format!("lookup www.example {address}"),
            format!("attempt {endpoint}"),
            "connect".to_owned(),
            "close PeerEnded".to_owned(),
        ];
        assert_eq!(run(&mut event_loop)[..3], expected[..3]);
        assert_eq!(event_loop.state.asked.len(), 1);
        drop(event_loop);
        assert_eq!(sim.descriptors(), 0, "no name server is asked, and no file is read");
    }
}

#[test]
fn the_program_may_answer_later() {
    let (_sim, mut event_loop) = event_loop();
    listen(&mut event_loop, &["10.0.0.1:7"]);
    event_loop
        .connect("www.example:7", |socket| {
            ask_the_test(socket);
            socket.write("early");
        })
        .unwrap();
    event_loop.after(ms(50), |on| {
        let id = on.state.asked[0].id;
        assert!(on.net.answer_lookup(id, Ok(ips(&["10.0.0.1"]))));
        on.state.note("answered");
        assert!(!on.net.answer_lookup(id, Ok(ips(&["10.0.0.2"]))), "it was answered");
    });
    let events = run(&mut event_loop);
    let expected = ["asked www.example", "answered", "lookup www.example 10.0.0.1", "attempt 10.0.0.1:7", "connect"];
    assert_eq!(events[..5], expected, "what an answer causes comes after the call");
}

// covers: connect-options-ipv6
#[test]
fn it_is_asked_once_with_the_host_and_the_families_that_are_wanted() {
    for (options, families) in [
        (SocketOptions::new(), Families::Both),
        (SocketOptions::new().families(Families::V4), Families::V4),
        (SocketOptions::new().families(Families::V6), Families::V6),
        (SocketOptions::new().local_address(ip("fd00::9")), Families::V6),
    ] {
        let (_sim, mut event_loop) = event_loop();
        listen(&mut event_loop, &["10.0.0.1:7", "[fd00::1]:7"]);
        let answer = Ok(ips(&["fd00::1", "10.0.0.1"]));
        event_loop.connect_with("Dummy:7", options.allow_half_open(true), answered_with(answer)).unwrap();
        let events = run(&mut event_loop);
        let asked = &event_loop.state.asked;
        assert_eq!(asked.len(), 1);
        assert_eq!((asked[0].host.as_str(), asked[0].families), ("Dummy", families));
        let lookups = events.iter().filter(|event| event.starts_with("lookup")).count();
        assert_eq!(lookups, if families == Families::Both { 2 } else { 1 }, "another family is left out: {events:?}");
        assert!(events.contains(&"connect".to_owned()));
    }
}

// covers: better-error-messages-port-hostname
#[test]
fn an_error_of_the_programs_own_is_that_of_the_connect() {
    let (_sim, mut event_loop) = event_loop();
    event_loop
        .connect("no.such.host:7", |socket| {
            watch(socket);
            socket.set_lookup(|socket, wanted| {
                let error = wanted.not_found();
                socket.net.answer_lookup(wanted.id, Err(error));
            });
        })
        .unwrap();
    assert_eq!(run(&mut event_loop), ["lookup no.such.host ENOTFOUND", "error ENOTFOUND", "close ConnectFailed"]);
    let error = &event_loop.state.errors[0];
    assert_eq!((error.kind(), error.code()), (ErrorKind::HostNotFound, "ENOTFOUND"));
    assert_eq!((error.syscall(), error.host(), error.address()), (Some(Syscall::Lookup), Some("no.such.host"), None));

    let mine = Error::from(io::Error::other("the directory is closed"));
    event_loop.connect("a.host:7", answered_with(Err(mine.clone()))).unwrap();
    assert_eq!(run(&mut event_loop), ["lookup a.host UNKNOWN", "error UNKNOWN", "close ConnectFailed"]);
    assert_eq!(event_loop.state.errors[1], mine, "it passes through as it is");
}

// covers: options-lookup, later/connect-custom-lookup-non-string-address
#[test]
fn an_answer_without_an_address_that_can_be_used_is_an_error() {
    for (families, answer, why) in [
        (Families::Both, vec![], "has given no address"),
        (Families::V4, ips(&["::1"]), "has given ::1, which is of another family"),
        (Families::V6, ips(&["10.0.0.1"]), "has given 10.0.0.1, which is of another family"),
    ] {
        let (_sim, mut event_loop) = event_loop();
        let options = SocketOptions::new().families(families);
        event_loop.connect_with("www.example:7", options, answered_with(Ok(answer))).unwrap();
        let events = run(&mut event_loop);
        assert_eq!(events, ["lookup www.example ENOTFOUND", "error ENOTFOUND", "close ConnectFailed"]);
        assert!(event_loop.state.errors[0].to_string().contains(why), "{}", event_loop.state.errors[0]);
    }
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let (_sim, mut event_loop) = event_loop();
    listen(&mut event_loop, &["10.0.0.1:7"]);
    let answer = || Ok(ips(&["10.0.0.1"]));
    // The socket was destroyed.
    let id = event_loop.connect("a.example:7", ask_the_test).unwrap();
    event_loop.after(ms(10), move |on| on.net.destroy(id));
    assert_eq!(run(&mut event_loop), ["asked a.example", "close DestroyedHere"]);
    let late = event_loop.state.asked[0].id;
    assert!(!event_loop.net.answer_lookup(late, answer()));
    // The handler has destroyed it.
    let destroys = |socket: &mut Socket<'_, Seen>| {
        watch(socket);
        socket.set_lookup(move |socket, wanted| {
            socket.destroy();
            assert!(!socket.net.answer_lookup(wanted.id, Ok(ips(&["10.0.0.1"]))));
        });
    };
    event_loop.connect("b.example:7", destroys).unwrap();
    assert_eq!(run(&mut event_loop), ["close DestroyedHere"]);
    // Its time is over.
    let options = SocketOptions::new().connect_timeout(ms(30));
    event_loop.connect_with("c.example:7", options, ask_the_test).unwrap();
    event_loop.after(ms(40), |on| {
        let late = on.state.asked[1].id;
        assert!(!on.net.answer_lookup(late, Ok(ips(&["10.0.0.1"]))));
    });
    assert_eq!(run(&mut event_loop), ["asked c.example", "error ETIMEDOUT", "close ConnectFailed"]);
    // It connects to something else by now.
    let id = event_loop.connect("d.example:7", ask_the_test).unwrap();
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let old = event_loop.state.asked[2].id;
    let mut socket = event_loop.socket(id).unwrap();
    let mut again = true;
    socket.on_close(move |socket, _| {
        if std::mem::take(&mut again) {
            socket.connect("e.example:7").unwrap();
        }
    });
    event_loop.net.destroy(id);
    event_loop.after(ms(10), move |on| {
        let new = on.state.asked[3].id;
        assert!(!on.net.answer_lookup(old, Ok(ips(&["10.0.0.2"]))));
        assert!(on.net.answer_lookup(new, Ok(ips(&["10.0.0.1"]))));
    });
    let events = run(&mut event_loop);
    assert!(events.contains(&"lookup e.example 10.0.0.1".to_owned()), "{events:?}");
    // It is of another loop.
    let (_other, mut stranger) = self::event_loop();
    stranger.connect("f.example:7", ask_the_test).unwrap();
    event_loop.connect("g.example:7", ask_the_test).unwrap();
    stranger.turn(Some(Duration::ZERO)).unwrap();
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let foreign = stranger.state.asked[0].id;
    assert!(!event_loop.net.answer_lookup(foreign, answer()));
    assert!(stranger.net.answer_lookup(foreign, answer()));
}

#[test]
fn what_waits_for_the_program_does_not_keep_the_loop_running() {
    let (_sim, mut event_loop) = event_loop();
    let id = event_loop.connect("www.example:7", ask_the_test).unwrap();
    let server = event_loop.listen("www.example:7", |_| {}).unwrap();
    event_loop.server(server).unwrap().set_lookup(|server, _| server.state.note("asked"));
    assert_eq!(run(&mut event_loop), ["asked www.example", "asked"]);
    assert!(event_loop.net.connection(id).is_connecting());
    let wanted = event_loop.state.asked[0].clone();
    assert!(event_loop.net.answer_lookup(wanted.id, Err(wanted.not_found())));
    assert_eq!(run(&mut event_loop).last().unwrap(), "close ConnectFailed", "now there is something to do");
}

#[test]
fn an_address_in_digits_is_not_looked_up_and_localhost_is() {
    let (_sim, mut event_loop) = event_loop();
    listen(&mut event_loop, &["10.0.0.1:7"]);
    event_loop.connect("10.0.0.1:7", ask_the_test).unwrap();
    assert_eq!(run(&mut event_loop)[..2], ["attempt 10.0.0.1:7", "connect"]);
    event_loop.connect("localhost:7", answered_with(Ok(ips(&["10.0.0.1"])))).unwrap();
    assert_eq!(run(&mut event_loop)[..2], ["lookup localhost 10.0.0.1", "attempt 10.0.0.1:7"]);
    event_loop.connect(7, answered_with(Ok(ips(&["10.0.0.1"])))).unwrap();
    assert_eq!(run(&mut event_loop)[0], "lookup localhost 10.0.0.1", "a port alone is the machine itself");
}

#[test]
fn a_program_without_closures_is_asked_by_an_event() {
    let sim = Sim::new(1);
    let mut net = Net::new(sim.kernel());
    let id = net.new_socket(SocketOptions::new()).unwrap();
    net.set_lookup(id, true);
    net.connect(id, "www.example:7").unwrap();
    let mut lookups: Vec<LookupId> = Vec::new();
    while let Some(event) = net.next_event(Some(Duration::ZERO)).unwrap() {
        if let Event::LookupWanted(wanted) = event {
            assert_eq!(wanted.id.asker(), LookupAsker::Socket(id));
            lookups.push(wanted.id);
        }
    }
    assert_eq!(lookups.len(), 1);
    assert!(net.answer_lookup(lookups[0], Ok(ips(&["10.0.0.1"]))));
    let next = net.next_event(Some(Duration::ZERO)).unwrap();
    assert!(matches!(next, Some(Event::Lookup { .. })), "{next:?}");
}

// ---- the events of an address and of localhost ------------------------------------------------------------------------------

#[test]
fn each_attempt_is_told_also_of_an_address_in_digits() {
    let (_sim, mut event_loop) = event_loop();
    listen(&mut event_loop, &["10.0.0.1:7"]);
    event_loop.connect("10.0.0.1:7", watch).unwrap();
    assert_eq!(run(&mut event_loop), ["attempt 10.0.0.1:7", "connect", "close EndedHere"]);
    event_loop.connect("10.0.0.1:8", watch).unwrap();
    let expected =
        ["attempt 10.0.0.1:8", "failed 10.0.0.1:8 ECONNREFUSED", "error ECONNREFUSED", "close ConnectFailed"];
    assert_eq!(run(&mut event_loop), expected);
}

#[test]
fn a_handler_of_an_attempt_may_destroy_its_socket() {
    for of_failure in [false, true] {
        let (sim, mut event_loop) = event_loop();
        event_loop
            .connect("10.0.0.1:8", |socket| {
                watch(socket);
                match of_failure {
                    false => socket.on_connection_attempt(|socket, _| socket.destroy()),
                    true => socket.on_connection_attempt_failed(|socket, _| socket.destroy()),
                }
            })
            .unwrap();
        let events = run(&mut event_loop);
        assert_eq!(events.last().unwrap(), "close DestroyedHere", "and no error comes: {events:?}");
        assert!(event_loop.state.errors.is_empty());
        drop(event_loop);
        assert_eq!(sim.descriptors(), 0);
    }
}

// covers: dns-lookup
#[test]
fn localhost_has_the_events_of_a_name() {
    let (_sim, mut event_loop) = event_loop();
    listen(&mut event_loop, &["[::1]:7"]);
    event_loop.connect("localhost:7", watch).unwrap();
    let expected = [
        "lookup localhost 127.0.0.1",
        "lookup localhost ::1",
        "attempt 127.0.0.1:7",
        "failed 127.0.0.1:7 ECONNREFUSED",
        "attempt [::1]:7",
        "connect",
    ];
    assert_eq!(run(&mut event_loop)[..6], expected);
    event_loop.connect_with("localhost:7", SocketOptions::new().families(Families::V6), watch).unwrap();
    assert_eq!(run(&mut event_loop)[..3], ["lookup localhost ::1", "attempt [::1]:7", "connect"]);
    event_loop.connect("localhost:8", watch).unwrap();
    run(&mut event_loop);
    let error = event_loop.state.errors.pop().unwrap();
    assert_eq!((error.address().unwrap().to_string().as_str(), error.attempts().len()), ("127.0.0.1:8", 0));
}

// ---- a server that listens on a name ----------------------------------------------------------------------------------------

/// A server on this name, whose look-up has this outcome, at once or after 10 ms.
fn serve(event_loop: &mut EventLoop<Seen>, on: &str, later: bool, answer: Result<Vec<IpAddr>, Error>) -> ServerId {
    let id = event_loop.listen_with(on, ServerOptions::new(), |_| {}).unwrap();
    let mut server = event_loop.server(id).unwrap();
    watch_server(&mut server);
    server.set_lookup(move |server, wanted| {
        assert_eq!(wanted.id.asker(), LookupAsker::Server(server.id()));
        server.state.asked.push(wanted.clone());
        let (id, answer) = (wanted.id, answer.clone());
        if later {
            server.event_loop().after(ms(10), move |on| {
                let is_awaited = on.net.answer_lookup(id, answer);
                on.state.note(format!("answered {is_awaited}"));
            });
        } else {
            assert!(server.net.answer_lookup(id, answer));
        }
    });
    id
}

fn watch_server(server: &mut Server<'_, Seen>) {
    server.on_listening(|server| {
        let address = server.address().unwrap();
        server.state.note(format!("listening {address}"));
        server.close();
    });
    server.on_error(|server, error| {
        server.state.errors.push(error.clone());
        server.state.note(format!("error {error}"));
    });
    server.on_close(|server| server.state.note("close"));
}

#[test]
fn a_server_listens_on_the_first_address_of_a_name() {
    for later in [false, true] {
        let (sim, mut event_loop) = event_loop();
        let server = serve(&mut event_loop, "www.example:7", later, Ok(ips(&["10.0.0.1", "10.0.0.2"])));
        assert!(!event_loop.net.is_listening(server), "first it is looked up");
        assert_eq!(event_loop.net.server_address(server), None);
        let events = run(&mut event_loop);
        let events: Vec<_> = events.iter().filter(|event| !event.starts_with("answered")).collect();
        assert_eq!(events, ["listening 10.0.0.1:7", "close"]);
        drop(event_loop);
        assert_eq!(sim.descriptors(), 0);
    }
}

/// Node's `sequential/test-net-server-listen-ipv6-link-local.js`.
#[test]
fn link_local_addresses_are_passed_over_if_there_is_another_one() {
    let (_sim, mut event_loop) = event_loop();
    serve(&mut event_loop, "www.example:7", false, Ok(ips(&["fe80::1", "febf::7", "10.0.0.1", "10.0.0.2"])));
    assert_eq!(run(&mut event_loop), ["listening 10.0.0.1:7", "close"]);
    serve(&mut event_loop, "www.example:7", false, Ok(ips(&["fe80::1", "fe81::1"])));
    assert_eq!(run(&mut event_loop), ["listening [fe80::1]:7", "close"]);
}

#[test]
fn what_goes_wrong_on_the_way_is_an_error_of_the_server() {
    let (_sim, mut event_loop) = event_loop();
    let mine = Error::from(io::Error::other("the directory is closed"));
    let server = serve(&mut event_loop, "www.example:7", false, Err(mine.clone()));
    assert_eq!(run(&mut event_loop), ["error the directory is closed"]);
    assert_eq!(event_loop.state.errors[0], mine);
    assert!(!event_loop.net.is_listening(server));
    event_loop.net.close_server(server);
    assert_eq!(run(&mut event_loop), ["close"]);

    serve(&mut event_loop, "www.example:7", false, Ok(vec![]));
    assert_eq!(run(&mut event_loop), ["error getaddrinfo ENOTFOUND www.example: the look-up has given no address"]);

    listen(&mut event_loop, &["10.0.0.1:7"]);
    serve(&mut event_loop, "www.example:7", false, Ok(ips(&["10.0.0.1", "10.0.0.2"])));
    assert_eq!(run(&mut event_loop), ["error listen EADDRINUSE: address already in use 10.0.0.1:7"]);
    let error = event_loop.state.errors.last().unwrap();
    assert_eq!((error.kind(), error.host()), (ErrorKind::AddressInUse, Some("www.example")));
}

// covers: later/server-close-before-calling-lookup-callback
#[test]
fn a_server_that_is_closed_before_the_answer_never_listens() {
    let (_sim, mut event_loop) = event_loop();
    let server = serve(&mut event_loop, "www.example:7", true, Ok(ips(&["10.0.0.1"])));
    event_loop.net.close_server(server);
    assert_eq!(run(&mut event_loop), ["close"], "it is not even looked up");
    let server = serve(&mut event_loop, "www.example:7", true, Ok(ips(&["10.0.0.1"])));
    event_loop.after(ms(5), move |on| on.net.close_server(server));
    assert_eq!(run(&mut event_loop), ["close", "answered false"]);
    let server = serve(&mut event_loop, "www.example:7", true, Ok(ips(&["10.0.0.1"])));
    event_loop.after(ms(5), move |on| on.server(server).unwrap().remove());
    assert_eq!(run(&mut event_loop), ["answered false"]);
}

/// As in Node: the last call counts.
#[test]
fn another_listen_gives_the_look_up_up() {
    let (_sim, mut event_loop) = event_loop();
    let server = serve(&mut event_loop, "www.example:7", true, Ok(ips(&["10.0.0.1"])));
    event_loop.after(ms(5), move |on| on.net.listen(server, "10.0.0.9:7").unwrap());
    assert_eq!(run(&mut event_loop), ["listening 10.0.0.9:7", "close", "answered false"]);
    let server = serve(&mut event_loop, "www.example:7", true, Ok(ips(&["10.0.0.1"])));
    event_loop.after(ms(5), move |on| on.net.listen(server, "other.example:8").unwrap());
    assert_eq!(run(&mut event_loop), ["answered false", "answered true", "listening 10.0.0.1:8", "close"]);
    let hosts: Vec<_> = event_loop.state.asked.iter().map(|wanted| wanted.host.to_string()).collect();
    assert_eq!(hosts, ["www.example", "www.example", "other.example"]);
}

#[test]
fn a_stop_ends_a_server_that_waits_for_its_name() {
    let (_sim, mut event_loop) = event_loop();
    serve(&mut event_loop, "www.example:7", true, Ok(ips(&["10.0.0.1"])));
    event_loop.after(ms(5), |on| on.shut_down(ms(100)));
    let events = run(&mut event_loop);
    assert!(!events.iter().any(|event| event.starts_with("listening")), "{events:?}");
}

/// What is asked and answered has an order of its own whatever else the socket does.
#[test]
fn many_look_ups_are_answered_in_another_order() {
    let (_sim, mut event_loop) = event_loop();
    listen(&mut event_loop, &["10.0.0.1:7"]);
    let connected = Rc::new(RefCell::new(0));
    for number in 0..20 {
        let connected = Rc::clone(&connected);
        event_loop
            .connect(format!("host{number}.example:7"), move |socket| {
                ask_the_test(socket);
                socket.on_connect(move |socket| {
                    *connected.borrow_mut() += 1;
                    socket.end();
                });
            })
            .unwrap();
    }
    event_loop.after(ms(10), |on| {
        let asked: Vec<_> = on.state.asked.drain(..).rev().collect();
        for (place, wanted) in asked.into_iter().enumerate() {
            let answer = if place % 4 == 0 { Err(wanted.not_found()) } else { Ok(ips(&["10.0.0.1"])) };
            assert!(on.net.answer_lookup(wanted.id, answer));
        }
    });
    run(&mut event_loop);
    assert_eq!((*connected.borrow(), event_loop.state.errors.len()), (15, 5));
}
