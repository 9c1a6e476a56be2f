//! Names that are looked up on the loop, from a name server that does what the test says.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tidegate::sim::{Answer as Sent, Conditions, Disk, Sim};
use tidegate::{
    ConnectAttempts, Error, ErrorKind, EventLoop, Families, NamesOptions, Socket, SocketId, SocketOptions, Syscall,
};

use crate::support::isolated::isolated;
use crate::support::name_server::{
    A, AAAA, Answer, Asked, FORMAT_ERROR, NO_SUCH_NAME, REFUSED, SERVER_FAILURE, Zone, ip,
};
use crate::support::process::memory;

const SERVER: &str = "10.0.0.53:53";
const SECOND: &str = "10.0.0.54:53";

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[derive(Default)]
struct Seen {
    /// What each socket saw, and when.
    events: Vec<(Duration, String)>,
    errors: Vec<Error>,
}

impl Seen {
    fn words(&self) -> Vec<&str> {
        self.events.iter().map(|(_, event)| event.as_str()).collect()
    }

    /// When something was seen first.
    #[track_caller]
    fn time_of(&self, event: &str) -> Duration {
        let found = self.events.iter().find(|(_, seen)| seen.starts_with(event));
        found.unwrap_or_else(|| panic!("no {event} in {:?}", self.words())).0
    }
}

fn watch(socket: &mut Socket<'_, Seen>) {
    fn note(socket: &mut Socket<'_, Seen>, event: String) {
        let now = socket.net.now();
        socket.state.events.push((now, event));
    }
    socket.on_lookup(|socket, lookup| {
        let event = match &lookup.outcome {
            Ok(ip) => format!("lookup {} {ip}", lookup.host),
            Err(error) => format!("lookup {} {}", lookup.host, error.code()),
        };
        note(socket, event);
    });
    socket.on_connection_attempt(|socket, address| note(socket, format!("attempt {address}")));
    socket.on_connection_attempt_failed(|socket, error| {
        note(socket, format!("failed {} {}", error.address().unwrap(), error.code()));
    });
    socket.on_connection_attempt_timeout(|socket, address| note(socket, format!("timeout {address}")));
    socket.on_connect(|socket| {
        let to = socket.remote_address().unwrap();
        note(socket, format!("connect {to}"));
        socket.end();
    });
    socket.on_error(|socket, error| {
        socket.state.errors.push(error.clone());
        note(socket, format!("error {}", error.code()));
    });
    socket.on_close(|socket, closed| note(socket, format!("close {}", closed.reason)));
}

/// What a server was asked, in order.
type Log = Rc<RefCell<Vec<String>>>;

/// Has a server answer from a zone, and tells what it was asked.
fn serve(sim: &Sim, at: &str, zone: Zone) -> Log {
    script(sim, at, move |asked| vec![Sent::new(zone.answer(asked).bytes())])
}

/// Has a server do what a closure says.
fn script(sim: &Sim, at: &str, mut answer: impl FnMut(&Asked) -> Vec<Sent> + 'static) -> Log {
    let log = Log::default();
    let asked_so_far = Rc::clone(&log);
    sim.answer_datagrams(at.parse().unwrap(), move |query, _| {
        let asked = Asked::read(query);
        asked_so_far.borrow_mut().push(asked.words());
        answer(&asked)
    });
    log
}

fn conf(sim: &Sim, text: &str) {
    sim.put_file("/etc/resolv.conf", text);
}

/// A network with one name server, and a loop.
fn network(zone: Zone) -> (Sim, EventLoop<Seen>, Log) {
    let sim = Sim::new(1);
    conf(&sim, "nameserver 10.0.0.53\n");
    let log = serve(&sim, SERVER, zone);
    let event_loop = EventLoop::on(sim.kernel(), Seen::default());
    (sim, event_loop, log)
}

/// A loop on which servers listen at these addresses, and which stops with nothing left.
fn listen(event_loop: &mut EventLoop<Seen>, addresses: &[&str]) {
    for address in addresses {
        let server = event_loop.listen(*address, |socket| socket.on_end(|socket| socket.end())).unwrap();
        event_loop.net.set_server_ref(server, false);
    }
}

fn connect(event_loop: &mut EventLoop<Seen>, to: &str) -> SocketId {
    event_loop.connect(to, watch).unwrap()
}

fn connect_with(event_loop: &mut EventLoop<Seen>, to: &str, options: SocketOptions) -> SocketId {
    event_loop.connect_with(to, options, watch).unwrap()
}

/// Only what a name resolves to: whoever is asked for by a lookup, in order, or the code of the error.
#[track_caller]
fn looked_up(event_loop: &mut EventLoop<Seen>, host: &str) -> Vec<String> {
    let from = event_loop.state.events.len();
    event_loop.connect(format!("{host}:7"), watch).unwrap();
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    let events = &event_loop.state.events[from..];
    let of_lookup = events.iter().filter_map(|(_, event)| event.strip_prefix("lookup ")?.split(' ').nth(1));
    of_lookup.map(str::to_owned).collect()
}

// ---- a connection by a name -------------------------------------------------------------------------------------------------

// covers: dns-lookup
#[test]
fn a_name_is_looked_up_and_connected_to() {
    let (sim, mut event_loop, log) = network(Zone::new(60).with("www.example", &["10.0.0.1"]));
    listen(&mut event_loop, &["10.0.0.1:7"]);
    let id = connect(&mut event_loop, "www.example:7");
    event_loop.run().unwrap();
    let expected = ["lookup www.example 10.0.0.1", "attempt 10.0.0.1:7", "connect 10.0.0.1:7"];
    assert_eq!(event_loop.state.words()[..3], expected);
    assert_eq!(*log.borrow(), ["A www.example", "AAAA www.example"], "both families at the same time");
    assert!(!event_loop.net.connection(id).exists());
    sim.check().unwrap();
    drop(event_loop);
    assert_eq!(sim.descriptors(), 0, "each question has closed its socket");
}

// covers: dns-lookup-skip
#[test]
fn addresses_and_localhost_ask_nobody() {
    let (_sim, mut event_loop, log) = network(Zone::new(60));
    listen(&mut event_loop, &["10.0.0.1:7", "127.0.0.1:7"]);
    for to in ["10.0.0.1:7", "localhost:7", "LOCALHOST.:7", "x.localhost:7"] {
        connect(&mut event_loop, to);
    }
    event_loop.run().unwrap();
    assert!(log.borrow().is_empty(), "{:?}", log.borrow());
    let connects = event_loop.state.words().iter().filter(|event| event.starts_with("connect")).count();
    assert_eq!(connects, 4, "{:?}", event_loop.state.words());
    assert!(!event_loop.state.words().contains(&"lookup 10.0.0.1 10.0.0.1"));
}

// covers: better-error-messages-port-hostname
#[test]
fn a_name_that_does_not_exist_is_an_error_with_the_host() {
    let (_sim, mut event_loop, _) = network(Zone::new(60));
    connect(&mut event_loop, "no.such.host:7");
    event_loop.run().unwrap();
    let [error] = &event_loop.state.errors[..] else { panic!("one error") };
    assert_eq!((error.kind(), error.code()), (ErrorKind::HostNotFound, "ENOTFOUND"));
    assert_eq!((error.syscall(), error.host(), error.address()), (Some(Syscall::Lookup), Some("no.such.host"), None));
    assert_eq!(error.to_string(), "getaddrinfo ENOTFOUND no.such.host");
    let words = event_loop.state.words();
    assert_eq!(words[..2], ["lookup no.such.host ENOTFOUND", "error ENOTFOUND"]);
    assert!(words[2].starts_with("close "), "{words:?}");
}

#[test]
fn without_a_server_that_answers_the_error_says_so() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    script(&sim, SERVER, |_| Vec::new());
    connect(&mut event_loop, "www.example:7");
    event_loop.run().unwrap();
    let [error] = &event_loop.state.errors[..] else { panic!("one error") };
    assert_eq!((error.kind(), error.code()), (ErrorKind::LookupFailed, "EAI_AGAIN"));
    assert_eq!(error.to_string(), "getaddrinfo EAI_AGAIN www.example: no name server has answered");
    assert!(event_loop.state.time_of("error") >= s(10), "two attempts of 5 s");
}

/// RFC 8305, section 3: some servers never answer for AAAA.
#[test]
fn a_family_that_gets_no_answer_is_waited_for_50_ms_once_the_other_has_one() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    listen(&mut event_loop, &["10.0.0.1:7"]);
    let zone = Zone::new(60).with("www.example", &["10.0.0.1"]);
    let log = script(&sim, SERVER, move |asked| match asked.words().starts_with("AAAA") {
        true => Vec::new(),
        false => vec![Sent::new(zone.answer(asked).bytes())],
    });
    connect(&mut event_loop, "www.example:7");
    event_loop.run().unwrap();
    let (lookup, connect) = (event_loop.state.time_of("lookup"), event_loop.state.time_of("connect"));
    assert!(lookup >= ms(50) && connect < ms(100), "{lookup:?} {connect:?}");
    assert_eq!(log.borrow().len(), 2, "nothing is asked again");
    event_loop.net.check().unwrap();
    drop(event_loop);
    assert_eq!(sim.descriptors(), 0, "the question without an answer is closed");
}

/// Otherwise each look-up would take all the time that a connection has.
#[test]
fn a_family_that_gets_no_answer_is_waited_for_50_ms_also_when_the_other_is_kept() {
    let zone = Zone::new(60).with("www.example", &["10.0.0.1"]);
    let (sim, mut event_loop, _) = network(Zone::new(60));
    script(&sim, SERVER, move |asked| match asked.words().starts_with("AAAA") {
        true => Vec::new(),
        false => vec![Sent::new(zone.answer(asked).bytes())],
    });
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"]);
    let began = event_loop.net.now();
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"]);
    let took = event_loop.net.now() - began;
    assert!(took < ms(200), "{took:?}");
}

#[test]
fn a_dead_first_server_costs_its_time_once() {
    let (sim, mut event_loop, first) = network(Zone::new(60));
    listen(&mut event_loop, &["10.0.0.1:7"]);
    conf(&sim, "nameserver 10.0.0.54\nnameserver 10.0.0.53\n");
    drop(first);
    let dead = script(&sim, SECOND, |_| Vec::new());
    let zone = Zone::new(60).with("one.example", &["10.0.0.1"]).with("two.example", &["10.0.0.1"]);
    let alive = serve(&sim, SERVER, zone);
    let options = || SocketOptions::new().connect_timeout(s(5));
    connect_with(&mut event_loop, "one.example:7", options());
    event_loop.run().unwrap();
    let first = event_loop.state.time_of("connect");
    assert!(first >= ms(2500) && first < s(3), "half of 5 s, and then the other server: {first:?}");
    assert_eq!((dead.borrow().len(), alive.borrow().len()), (2, 2));
    event_loop.state.events.clear();
    let before = event_loop.net.now();
    connect_with(&mut event_loop, "two.example:7", options());
    event_loop.run().unwrap();
    assert!(event_loop.state.time_of("connect") - before < ms(100), "the one that has answered is asked first");
    assert_eq!((dead.borrow().len(), alive.borrow().len()), (2, 4));
}

// covers: connect-after-destroy
#[test]
fn a_socket_that_is_destroyed_hears_nothing_more_and_leaves_nothing() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    script(&sim, SERVER, |asked| vec![Sent::new(Zone::new(9).answer(asked).bytes()).after(ms(100))]);
    let id = connect(&mut event_loop, "www.example:7");
    event_loop.after(ms(50), move |on| on.net.destroy(id));
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    assert_eq!(event_loop.state.words().len(), 1, "{:?}", event_loop.state.words());
    assert!(event_loop.state.time_of("close") < ms(60));
    assert_eq!(sim.descriptors(), 0);
}

#[test]
fn a_handler_of_a_lookup_may_destroy_its_socket() {
    for event in 0..3 {
        let (sim, mut event_loop, _) = network(Zone::new(60).with("www.example", &["10.0.0.1", "10.0.0.2"]));
        let id = event_loop
            .connect("www.example:7", move |socket| {
                watch(socket);
                let seen = Rc::new(RefCell::new(0));
                match event {
                    0 | 1 => socket.on_lookup(move |socket, _| {
                        *seen.borrow_mut() += 1;
                        if *seen.borrow() == event + 1 {
                            socket.destroy();
                        }
                    }),
                    _ => socket.on_connection_attempt(|socket, _| socket.destroy()),
                }
            })
            .unwrap();
        event_loop.run().unwrap();
        event_loop.net.check().unwrap();
        assert!(!event_loop.net.connection(id).exists());
        assert!(!event_loop.state.words().iter().any(|event| event.starts_with("connect")));
        assert_eq!(sim.descriptors(), 0);
    }
}

#[test]
fn the_time_to_connect_is_one_for_the_look_up_and_the_attempts() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    script(&sim, SERVER, |_| Vec::new());
    connect_with(&mut event_loop, "www.example:7", SocketOptions::new().connect_timeout(s(3)));
    event_loop.run().unwrap();
    assert_eq!(event_loop.state.words()[0], "error ETIMEDOUT");
    assert!((s(3)..s(3) + ms(5)).contains(&event_loop.state.time_of("error")));
    let error = &event_loop.state.errors[0];
    assert_eq!(error.to_string(), "getaddrinfo ETIMEDOUT www.example: it was not looked up within 3s");
    let parts = (error.kind(), error.code(), error.syscall(), error.host(), error.address());
    assert_eq!(parts, (ErrorKind::TimedOut, "ETIMEDOUT", Some(Syscall::Lookup), Some("www.example"), None));
    drop(event_loop);
    assert_eq!(sim.descriptors(), 0, "the questions are closed");

    let zone = Zone::new(60).with("www.example", &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    let (sim, mut event_loop, _) = network(zone);
    listen(&mut event_loop, &["10.0.0.1:7"]);
    sim.partition(ip("10.0.0.1"), true);
    sim.partition(ip("10.0.0.2"), true);
    connect_with(&mut event_loop, "www.example:7", SocketOptions::new().connect_timeout(s(3)));
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    let error = &event_loop.state.errors[0];
    let late = "connect ETIMEDOUT: no connection within 3s 10.0.0.2:7";
    assert_eq!(error.to_string(), format!("{late}; before it 10.0.0.3:7 ECONNREFUSED, 10.0.0.1:7 ETIMEDOUT"));
    assert_eq!((error.kind(), error.host()), (ErrorKind::TimedOut, Some("www.example")));
    let all: Vec<_> = error.attempts().iter().map(|error| error.address().unwrap().ip().to_string()).collect();
    assert_eq!(all, ["10.0.0.3", "10.0.0.1", "10.0.0.2"], "first the one that has failed");
    assert!((s(3)..s(3) + ms(5)).contains(&event_loop.state.time_of("error")));
    drop(event_loop);
    assert_eq!(sim.descriptors(), 0, "the attempts are closed");
}

/// The error of the other one was given by the kernel once, and could not be told later.
#[test]
fn an_attempt_that_fails_when_another_one_connects_is_told_before_it() {
    for is_late in [false, true] {
        let (sim, mut event_loop, _) = network(two_families());
        listen(&mut event_loop, &["10.0.0.1:7"]);
        sim.partition(ip("fd00::1"), true);
        sim.partition(ip("10.0.0.1"), true);
        let options = SocketOptions::new().connect_timeout(ms(2000));
        connect_with(&mut event_loop, "www.example:7", options);
        let world = sim.clone();
        event_loop.after(ms(400), move |on| {
            world.partition(ip("fd00::1"), false);
            world.partition(ip("10.0.0.1"), false);
            // A loop that is late finds both outcomes only when the time to connect is over.
            let until = if is_late { ms(3000) } else { ms(1900) };
            world.work(until - on.net.now());
        });
        event_loop.run().unwrap();
        event_loop.net.check().unwrap();
        let words = event_loop.state.words();
        let expected = ["attempt 10.0.0.1:7", "failed [fd00::1]:7 ECONNREFUSED", "connect 10.0.0.1:7"];
        assert_eq!(words[3..6], expected, "{is_late}");
        assert!(event_loop.state.errors.is_empty());
        drop(event_loop);
        assert_eq!(sim.descriptors(), 0);
    }
}

#[test]
fn a_handler_of_a_failed_attempt_may_destroy_a_socket_that_has_just_connected() {
    let (sim, mut event_loop, _) = network(two_families());
    listen(&mut event_loop, &["10.0.0.1:7"]);
    sim.partition(ip("fd00::1"), true);
    sim.partition(ip("10.0.0.1"), true);
    let setup = |socket: &mut Socket<'_, Seen>| {
        watch(socket);
        socket.on_connection_attempt_failed(|socket, _| socket.destroy());
    };
    event_loop.connect("www.example:7", setup).unwrap();
    let world = sim.clone();
    event_loop.after(ms(400), move |_| {
        world.partition(ip("fd00::1"), false);
        world.partition(ip("10.0.0.1"), false);
        world.work(s(1));
    });
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    assert!(event_loop.state.words()[4].starts_with("close "), "{:?}", event_loop.state.words());
    drop(event_loop);
    assert_eq!(sim.descriptors(), 0);
}

#[test]
fn it_can_be_connected_again_by_another_name() {
    let (_sim, mut event_loop, _) =
        network(Zone::new(60).with("a.example", &["10.0.0.1"]).with("b.example", &["10.0.0.2"]));
    listen(&mut event_loop, &["10.0.0.1:7", "10.0.0.2:7"]);
    let id = event_loop
        .connect("a.example:7", |socket| {
            watch(socket);
            let mut is_first = true;
            socket.on_close(move |socket, _| {
                if std::mem::take(&mut is_first) {
                    socket.connect("b.example:7").unwrap();
                }
            });
        })
        .unwrap();
    event_loop.run().unwrap();
    let connects: Vec<_> = event_loop.state.words().into_iter().filter(|event| event.starts_with("connect")).collect();
    assert_eq!(connects, ["connect 10.0.0.1:7", "connect 10.0.0.2:7"]);
    assert!(!event_loop.net.connection(id).exists());
}

// ---- name servers ------------------------------------------------------------------------------------------------------------

#[test]
fn a_dead_first_server_is_followed_by_the_second() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    conf(&sim, "nameserver 10.0.0.53\nnameserver 10.0.0.54\noptions timeout:2\n");
    let first = script(&sim, SERVER, |_| Vec::new());
    let second = serve(&sim, SECOND, Zone::new(60).with("www.example", &["10.0.0.1"]));
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"]);
    // Each of two has half of the time-out.
    assert!((s(1)..s(1) + ms(10)).contains(&event_loop.state.time_of("lookup")));
    assert_eq!((first.borrow().len(), second.borrow().len()), (2, 2));
}

#[test]
fn a_server_that_nobody_runs_or_that_refuses_is_followed_at_once() {
    for code in [None, Some(SERVER_FAILURE), Some(REFUSED)] {
        let sim = Sim::new(1);
        conf(&sim, "nameserver 10.0.0.53\nnameserver 10.0.0.54\n");
        if let Some(code) = code {
            script(&sim, SERVER, move |asked| vec![Sent::new(Answer::to(asked).code(code).bytes())]);
        }
        serve(&sim, SECOND, Zone::new(60).with("www.example", &["10.0.0.1"]));
        let mut event_loop = EventLoop::on(sim.kernel(), Seen::default());
        assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"], "{code:?}");
        assert!(event_loop.state.time_of("lookup") < ms(100), "{code:?}");
    }
}

#[test]
fn if_all_servers_fail_the_error_says_so() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    let log = script(&sim, SERVER, |asked| vec![Sent::new(Answer::to(asked).code(SERVER_FAILURE).bytes())]);
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["EAI_AGAIN"]);
    assert_eq!(
        event_loop.state.errors[0].to_string(),
        "getaddrinfo EAI_AGAIN www.example: the name servers cannot answer"
    );
    assert_eq!(log.borrow().len(), 4, "two families, two attempts");
}

#[test]
fn lost_and_late_and_doubled_datagrams() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    conf(&sim, "nameserver 10.0.0.53\noptions timeout:1 attempts:5\n");
    let zone = Zone::new(60).with("www.example", &["10.0.0.1", "::7"]);
    let mut count = 0;
    let log = script(&sim, SERVER, move |asked| {
        count += 1;
        let sent = Sent::new(zone.answer(asked).bytes());
        match count {
            1 | 2 => vec![],
            3 | 4 => vec![sent.after(ms(1500))],
            _ => vec![sent.clone(), sent.clone().after(ms(1)), sent.after(ms(2))],
        }
    });
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["::7", "10.0.0.1"]);
    assert!(event_loop.state.time_of("lookup") >= s(2), "the first ones were lost, and the next ones late");
    assert_eq!(log.borrow().len(), 6);
}

#[test]
fn what_is_no_answer_to_the_question_changes_nothing() {
    let zone = Zone::new(60).with("www.example", &["10.0.0.1"]);
    let lie =
        |asked: &Asked| Answer::to(asked).address(&asked.name, 60, ip("6.6.6.6")).address(&asked.name, 60, ip("6::6"));
    type Forged = fn(&Asked, &dyn Fn(&Asked) -> Answer) -> Sent;
    let forged: [(&str, Forged); 9] = [
        ("another id", |asked, lie| Sent::new(lie(asked).id(asked.id ^ 1).bytes())),
        ("another name", |asked, lie| Sent::new(lie(asked).question("other.example", asked.kind).bytes())),
        ("another type", |asked, lie| {
            let kind = if asked.kind == A { AAAA } else { A };
            Sent::new(lie(asked).question(&asked.name, kind).bytes())
        }),
        ("another sender", |asked, lie| Sent::new(lie(asked).bytes()).from("10.0.0.66:53".parse().unwrap())),
        ("another port", |asked, lie| Sent::new(lie(asked).bytes()).from("10.0.0.53:5353".parse().unwrap())),
        ("a query", |asked, lie| {
            let mut bytes = lie(asked).bytes();
            bytes[2] &= 0x7f;
            Sent::new(bytes)
        }),
        ("cut short", |asked, lie| Sent::new(&lie(asked).bytes()[..20])),
        ("empty", |_, _| Sent::new("")),
        ("a header that promises much", |asked, lie| {
            let mut bytes = lie(asked).bytes();
            bytes[6..12].fill(0xff);
            Sent::new(bytes)
        }),
    ];
    for (what, forge) in forged {
        let (sim, mut event_loop, _) = network(Zone::new(60));
        let zone = zone.clone();
        script(&sim, SERVER, move |asked| vec![forge(asked, &lie), Sent::new(zone.answer(asked).bytes()).after(ms(5))]);
        assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"], "{what}");
        assert!((ms(5)..ms(50)).contains(&event_loop.state.time_of("lookup")), "{what}");
    }
}

#[test]
fn records_of_other_names_are_not_believed() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    script(&sim, SERVER, |asked| {
        vec![Sent::new(Answer::to(asked).address("other.example", 60, ip("6.6.6.6")).nothing_for(60).bytes())]
    });
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["ENOTFOUND"]);
    assert!(event_loop.state.errors[0].to_string().ends_with("there is such a name, and it has no address"));
    assert_eq!(looked_up(&mut event_loop, "other.example"), ["6.6.6.6"], "and none of them was kept");
}

#[test]
fn aliases_are_followed_and_loops_are_not() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    script(&sim, SERVER, |asked| {
        let answer = Answer::to(asked);
        let answer = match asked.name.as_str() {
            "www.example" => answer.address("c.example", 60, ip("10.0.0.1")).alias("B.example", 60, "c.example").alias(
                "www.EXAMPLE",
                60,
                "b.example",
            ),
            "loop.example" => answer.alias("loop.example", 60, "b.example").alias("b.example", 60, "loop.example"),
            _ => answer.alias(&asked.name, 60, "nowhere.example").nothing_for(60),
        };
        vec![Sent::new(answer.bytes())]
    });
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"]);
    assert_eq!(looked_up(&mut event_loop, "loop.example"), ["EAI_AGAIN"]);
    assert_eq!(looked_up(&mut event_loop, "dangling.example"), ["ENOTFOUND"]);
}

#[test]
fn a_server_without_edns_is_asked_without_it() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    let zone = Zone::new(60).with("www.example", &["10.0.0.1"]);
    script(&sim, SERVER, move |asked| {
        vec![Sent::new(match asked.extensions {
            true => Answer::to(asked).code(FORMAT_ERROR).bytes(),
            false => zone.answer(asked).bytes(),
        })]
    });
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"]);
}

#[test]
fn a_truncated_answer_is_fetched_by_tcp() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    script(&sim, SERVER, |asked| {
        vec![Sent::new(Answer::to(asked).address(&asked.name, 60, ip("6.6.6.6")).truncated().bytes())]
    });
    // By TCP it answers in two pieces.
    let many: Vec<String> = (1..=40).map(|number| format!("10.0.1.{number}")).collect();
    let zone = Zone::new(60).with("www.example", &many.iter().map(String::as_str).collect::<Vec<_>>());
    let server = event_loop
        .listen(SERVER, move |socket| {
            let zone = zone.clone();
            socket.on_data(move |socket, message| {
                let length = usize::from(u16::from_be_bytes([message[0], message[1]]));
                assert_eq!(message.len(), length + 2);
                let answer = zone.answer(&Asked::read(&message[2..])).bytes();
                let framed = [&(answer.len() as u16).to_be_bytes(), answer.as_slice()].concat();
                let (first, second) = framed.split_at(framed.len() / 2);
                socket.write(first);
                let second = second.to_vec();
                socket.after(ms(20), move |socket| {
                    socket.write(&second);
                });
            });
        })
        .unwrap();
    event_loop.net.set_server_ref(server, false);
    event_loop.connect("www.example:7", watch).unwrap();
    event_loop.after(s(1), |on| on.close_all());
    event_loop.run().unwrap();
    let found: Vec<_> = event_loop.state.words().into_iter().filter(|event| event.starts_with("lookup")).collect();
    assert_eq!(found.len(), 40, "{found:?}");
    assert_eq!(found[39], "lookup www.example 10.0.1.40");
}

/// More than was asked for, by a server that does not mind. Half of it would be taken for damaged.
#[test]
fn a_datagram_may_be_as_large_as_any() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    let log = script(&sim, SERVER, |asked| {
        let mut answer = Answer::to(asked).address(&asked.name, 60, ip("10.0.0.1"));
        for number in 0..400 {
            let other = format!("{}.{}.other.example", "x".repeat(60), number);
            answer = answer.alias(&other, 60, "somewhere.example");
        }
        let bytes = answer.bytes();
        assert!(bytes.len() > 30_000, "{}", bytes.len());
        vec![Sent::new(bytes)]
    });
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"]);
    assert_eq!(log.borrow().len(), 2, "nothing is asked again");
}

#[test]
fn a_truncated_answer_without_tcp_is_a_failure_of_that_server() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    conf(&sim, "nameserver 10.0.0.53\nnameserver 10.0.0.54\noptions attempts:1\n");
    script(&sim, SERVER, |asked| vec![Sent::new(Answer::to(asked).truncated().bytes())]);
    serve(&sim, SECOND, Zone::new(60).with("www.example", &["10.0.0.1"]));
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"]);
}

// ---- the files, the search list, the cache ------------------------------------------------------------------------------------

#[test]
fn the_search_list_and_the_hosts_file() {
    let (sim, mut event_loop, log) = network(Zone::new(60).with("www.corp.example", &["10.0.0.1"]));
    conf(&sim, "nameserver 10.0.0.53\nsearch lab.example corp.example\n");
    sim.put_file("/etc/hosts", "10.0.0.9 printer\n::9 printer\n");
    assert_eq!(looked_up(&mut event_loop, "www"), ["10.0.0.1"]);
    assert_eq!(
        *log.borrow(),
        ["A www.lab.example", "AAAA www.lab.example", "A www.corp.example", "AAAA www.corp.example"]
    );
    log.borrow_mut().clear();
    assert_eq!(looked_up(&mut event_loop, "Printer"), ["10.0.0.9", "::9"]);
    assert!(log.borrow().is_empty());
    assert_eq!(looked_up(&mut event_loop, "printer."), ["ENOTFOUND"], "as in glibc, that is another name");
    assert_eq!(looked_up(&mut event_loop, "www."), ["ENOTFOUND"]);
}

#[test]
fn the_files_are_read_again_after_5_s_and_not_before() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    sim.put_file("/etc/hosts", "10.0.0.1 a\n");
    assert_eq!(looked_up(&mut event_loop, "a"), ["10.0.0.1"]);
    sim.put_file("/etc/hosts", "10.0.0.2 a\n");
    sim.work(ms(4900));
    assert_eq!(looked_up(&mut event_loop, "a"), ["10.0.0.1"]);
    sim.work(ms(200));
    assert_eq!(looked_up(&mut event_loop, "a"), ["10.0.0.2"]);
    sim.damage_file("/etc/hosts", Some(0));
    sim.work(s(6));
    assert_eq!(looked_up(&mut event_loop, "a"), ["10.0.0.2"], "a file that cannot be read stays as it was");
}

#[test]
fn answers_are_kept_for_their_time_and_so_is_it_that_there_is_nothing() {
    let (sim, mut event_loop, log) = network(Zone::new(30).with("www.example", &["10.0.0.1"]));
    for _ in 0..3 {
        assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"]);
        assert_eq!(looked_up(&mut event_loop, "no.example"), ["ENOTFOUND"]);
    }
    assert_eq!(log.borrow().len(), 4, "each family of each name once");
    sim.work(s(31));
    assert_eq!(looked_up(&mut event_loop, "WWW.example"), ["10.0.0.1"]);
    assert_eq!(looked_up(&mut event_loop, "no.example"), ["ENOTFOUND"]);
    assert_eq!(log.borrow().len(), 8);
}

#[test]
fn other_servers_are_asked_anew() {
    let (sim, mut event_loop, _) = network(Zone::new(3000).with("www.example", &["10.0.0.1"]));
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"]);
    serve(&sim, SECOND, Zone::new(60).with("www.example", &["10.0.0.2"]));
    conf(&sim, "nameserver 10.0.0.54\n");
    sim.work(s(6));
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.2"]);
}

#[test]
fn rotate_asks_each_server_in_turn() {
    let (sim, mut event_loop, first) = network(Zone::new(0));
    conf(&sim, "nameserver 10.0.0.53\nnameserver 10.0.0.54\noptions rotate\n");
    let second = serve(&sim, SECOND, Zone::new(0));
    for name in ["a.example", "b.example", "c.example", "d.example"] {
        assert_eq!(looked_up(&mut event_loop, name), ["ENOTFOUND"]);
    }
    for asked in [first, second] {
        assert_eq!(asked.borrow().len(), 4, "both families of each other name");
    }
}

#[test]
fn one_family_is_asked_for_if_only_one_is_wanted() {
    for (families, asked) in [(Families::V4, "A www.example"), (Families::V6, "AAAA www.example")] {
        let (_sim, mut event_loop, log) = network(Zone::new(60).with("www.example", &["10.0.0.1", "::7"]));
        connect_with(&mut event_loop, "www.example:7", SocketOptions::new().families(families));
        event_loop.run().unwrap();
        assert_eq!(*log.borrow(), [asked]);
    }
    let (_sim, mut event_loop, log) = network(Zone::new(60).with("www.example", &["10.0.0.1", "::7"]));
    connect_with(&mut event_loop, "www.example:7", SocketOptions::new().local_address(ip("10.1.0.1")));
    event_loop.run().unwrap();
    assert_eq!(*log.borrow(), ["A www.example"], "the local address says which");
}

// covers: autoselectfamily-ipv4first
#[test]
fn the_address_that_leads_is_the_only_one_if_it_connects() {
    let (_sim, mut event_loop, _) = network(two_families());
    listen(&mut event_loop, &["[fd00::1]:7", "10.0.0.1:7"]);
    connect(&mut event_loop, "www.example:7");
    event_loop.run().unwrap();
    let attempts: Vec<_> = event_loop.state.words().into_iter().filter(|event| event.starts_with("attempt")).collect();
    assert_eq!(attempts, ["attempt [fd00::1]:7"]);
    assert_eq!(event_loop.state.words()[3], "connect [fd00::1]:7");
}

// covers: connect-immediate-finish
#[test]
fn an_end_while_the_name_is_looked_up_does_not_swallow_the_error() {
    let (_sim, mut event_loop, _) = network(Zone::new(60));
    let id = connect(&mut event_loop, "no.such.host:7");
    event_loop.net.end(id, None);
    event_loop.run().unwrap();
    let errors: Vec<_> = event_loop.state.errors.iter().map(|error| (error.code(), error.host())).collect();
    assert_eq!(errors, [("ENOTFOUND", Some("no.such.host"))]);
    assert!(!event_loop.state.words().iter().any(|event| event.starts_with("connect")));
}

#[test]
fn what_is_written_while_the_name_is_looked_up_goes_out_on_the_connection() {
    let (_sim, mut event_loop, _) = network(two_families());
    let server = event_loop
        .listen("10.0.0.1:7", |socket| {
            socket.on_text(|socket, text| {
                let now = socket.net.now();
                socket.state.events.push((now, format!("heard {text}")));
            });
        })
        .unwrap();
    event_loop.net.set_server_ref(server, false);
    let id = connect(&mut event_loop, "www.example:7");
    assert!(event_loop.net.write(id, b"request"));
    event_loop.run().unwrap();
    assert!(event_loop.state.words().contains(&"heard request"), "{:?}", event_loop.state.words());
}

// covers: socket-connect-invalid-autoselectfamilyattempttimeout
#[test]
fn the_time_of_an_attempt_has_bounds() {
    let (_sim, mut event_loop, _) = network(two_families());
    for (delay, is_valid) in [(0, false), (1, true), (9, true), (10, true), (i32::MAX as u64, true), (1 << 31, false)] {
        let made = event_loop.net.new_socket(SocketOptions::new().attempt_delay(ms(delay)));
        let set = event_loop.net.set_default_attempt_delay(ms(delay));
        assert_eq!((made.is_ok(), set.is_ok()), (is_valid, is_valid), "{delay} ms");
        for error in made.err().into_iter().chain(set.err()) {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("from 1 ms"), "{error}");
        }
        assert!(event_loop.net.default_attempt_delay() >= ms(10), "{delay} ms");
    }
}

/// As in Node: 1 to 9 ms are 10 ms.
#[test]
fn a_time_of_an_attempt_that_is_too_short_is_10_ms() {
    for of_socket in [true, false] {
        let (sim, mut event_loop, _) = network(two_families());
        listen(&mut event_loop, &["10.0.0.1:7"]);
        sim.partition(ip("fd00::1"), true);
        let options = match of_socket {
            true => SocketOptions::new().attempt_delay(ms(1)),
            false => {
                event_loop.net.set_default_attempt_delay(ms(1)).unwrap();
                SocketOptions::new()
            }
        };
        connect_with(&mut event_loop, "www.example:7", options);
        event_loop.run().unwrap();
        let first = event_loop.state.time_of("attempt [fd00::1]:7");
        let second = event_loop.state.time_of("attempt 10.0.0.1:7");
        assert!((ms(10)..ms(15)).contains(&(second - first)), "{first:?} {second:?}");
    }
}

// covers: autoselectfamily-commandline-option, autoselectfamilydefault
// covers: later/autoselectfamily-attempt-timeout-default-value + -cli-option
#[test]
fn a_loop_has_defaults_for_the_sockets_that_are_made_from_then_on() {
    let (_sim, mut event_loop, _) = network(two_families());
    listen(&mut event_loop, &["10.0.0.1:7"]);
    assert_eq!(event_loop.net.default_attempts(), ConnectAttempts::Overlapping);
    assert_eq!(event_loop.net.default_attempt_delay(), ms(250));
    event_loop.net.set_default_attempts(ConnectAttempts::FirstOnly);
    connect(&mut event_loop, "www.example:7");
    event_loop.run().unwrap();
    let [error] = &event_loop.state.errors[..] else { panic!("one error") };
    assert_eq!((error.code(), error.address().unwrap().ip()), ("ECONNREFUSED", ip("fd00::1")));
    // The options of a socket go before the defaults.
    connect_with(&mut event_loop, "www.example:7", SocketOptions::new().attempts(ConnectAttempts::OneByOne));
    event_loop.run().unwrap();
    event_loop.state.time_of("connect 10.0.0.1:7");
    event_loop.state.events.clear();
    event_loop.net.set_default_attempts(ConnectAttempts::OneByOne);
    connect(&mut event_loop, "www.example:7");
    event_loop.run().unwrap();
    event_loop.state.time_of("connect 10.0.0.1:7");
}

#[test]
fn options_of_names_have_bounds_and_are_set_before_the_first_look_up() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    for (options, says) in [
        (NamesOptions::new().most_questions(0), "at most 0 questions: it is from 1 to 16384"),
        (NamesOptions::new().most_lookups(0), "at most 0 look-ups: it is from 1 to 1000000"),
        (NamesOptions::new().most_kept(1_000_001), "it is from 0 to 1000000"),
        (NamesOptions::new().servers(["10.0.0.53:0".parse().unwrap()]), "the name server 10.0.0.53:0 has no port"),
    ] {
        let error = event_loop.net.set_names(options).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    script(&sim, "10.0.0.99:5353", |asked| {
        vec![Sent::new(Zone::new(9).with("a.example", &["10.0.0.7"]).answer(asked).bytes())]
    });
    sim.put_file("/etc/other-hosts", "10.0.0.8 b.example\n");
    let options = NamesOptions::new().servers(["10.0.0.99:5353".parse().unwrap()]).hosts("/etc/other-hosts");
    event_loop.net.set_names(options).unwrap();
    assert_eq!(looked_up(&mut event_loop, "a.example"), ["10.0.0.7"]);
    assert_eq!(looked_up(&mut event_loop, "b.example"), ["10.0.0.8"]);
}

// ---- what the system has not ---------------------------------------------------------------------------------------------------

/// No more descriptors than there are now, and so many more.
fn spare_descriptors(sim: &Sim, more: usize) {
    let mut conditions = Conditions::default();
    conditions.descriptors = sim.descriptors() + more;
    sim.set_conditions(conditions);
}

#[test]
fn a_look_up_waits_for_a_descriptor() {
    let (sim, mut event_loop, log) = network(Zone::new(60).with("www.example", &["10.0.0.1"]));
    listen(&mut event_loop, &["10.0.0.1:7"]);
    sim.put_file("/etc/hosts", "");
    // The files are read before.
    assert_eq!(looked_up(&mut event_loop, "no.example"), ["ENOTFOUND"]);
    let (began, asked) = (event_loop.net.now(), log.borrow().len());
    spare_descriptors(&sim, 0);
    connect(&mut event_loop, "www.example:7");
    let (world, asked_until_then) = (sim.clone(), Rc::clone(&log));
    event_loop.after(s(3), move |on| {
        assert_eq!(asked_until_then.borrow().len(), asked);
        assert!(on.net.counters().turns < 100, "it does not spin");
        spare_descriptors(&world, 10);
    });
    event_loop.run().unwrap();
    let connected = event_loop.state.time_of("connect") - began;
    assert!((s(3)..s(3) + ms(150)).contains(&connected), "{connected:?}: soon after there is one");
}

#[test]
fn without_a_descriptor_for_long_the_error_of_a_look_up_says_so() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    assert_eq!(looked_up(&mut event_loop, "no.example"), ["ENOTFOUND"]);
    event_loop.state.errors.clear();
    let began = event_loop.net.now();
    spare_descriptors(&sim, 0);
    for number in 0..500 {
        connect(&mut event_loop, &format!("host{number}.example:7"));
    }
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    assert_eq!(event_loop.state.errors.len(), 500);
    let error = &event_loop.state.errors[0];
    assert_eq!(error.to_string(), "getaddrinfo EMFILE host0.example: too many open files");
    let parts = (error.kind(), error.code(), error.syscall(), error.host());
    assert_eq!(parts, (ErrorKind::TooManyOpenFiles, "EMFILE", Some(Syscall::Lookup), Some("host0.example")));
    let over = event_loop.net.now() - began;
    assert!((s(5)..s(5) + ms(200)).contains(&over), "the time of one server for all of them: {over:?}");
}

/// Otherwise this machine would be asked, as if there was no file.
#[test]
fn without_a_descriptor_for_the_files_the_error_says_so_and_the_next_look_up_reads_them() {
    let (sim, mut event_loop, _) = network(Zone::new(60).with("www.example", &["10.0.0.1"]));
    spare_descriptors(&sim, 0);
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["EMFILE"]);
    assert_eq!(event_loop.state.errors[0].to_string(), "getaddrinfo EMFILE www.example: too many open files");
    spare_descriptors(&sim, 5);
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["10.0.0.1"]);
}

#[test]
fn of_a_file_that_is_too_long_the_whole_lines_count() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    let (first, last) = ("10.0.0.1 a\n", "10.0.0.2 cut");
    let comment = |length: usize| format!("#{}\n", "x".repeat(length - 2));
    let filled = comment((8 << 20) - first.len() - last.len());
    sim.put_file("/etc/hosts", format!("{first}{filled}{last}.example\n10.0.0.3 c\n"));
    for _ in 0..2 {
        let [a, cut, c] = ["a", "cut", "c"].map(|name| looked_up(&mut event_loop, name).concat());
        assert_eq!([a.as_str(), &cut, &c], ["10.0.0.1", "ENOTFOUND", "ENOTFOUND"]);
        sim.work(s(6));
    }
    // What is read again is compared with what is there.
    for text in ["10.0.0.9 a\n10.0.0.8 b\n", "10.0.0.9 a\n", "10.0.0.9 a\n10.0.0.8 b\n", "10.0.0.9 a\n10.0.0.7 b\n", ""]
    {
        sim.put_file("/etc/hosts", text);
        for name in ["a", "b"] {
            let of_line = |line: &str| Some(line.strip_suffix(name)?.trim().to_owned());
            let expected = text.lines().find_map(of_line).unwrap_or("ENOTFOUND".to_owned());
            assert_eq!(looked_up(&mut event_loop, name), [expected], "{name} of {text:?}");
        }
        sim.work(s(6));
    }
}

// ---- a long hosts file --------------------------------------------------------------------------------------------------------

/// Of 1 MB, which are four pieces: `ad0.example` to `ad39999.example`.
fn long_list() -> String {
    (0..40_000).map(|number| format!("10.0.0.9 ad{number}.example\n")).collect()
}

#[test]
fn a_long_hosts_file_is_read_in_pieces_and_others_are_served_meanwhile() {
    let (sim, mut event_loop, log) = network(Zone::new(60).with("www.example", &["10.0.0.1"]));
    sim.put_file("/etc/hosts", format!("10.0.0.8 first\n{}10.0.0.7 last\n", long_list().repeat(3)));
    // Three pieces take more time than the phase has.
    sim.set_disk(Disk::new().slow(ms(1)));
    for name in ["first", "last", "ad20000.example", "www.example"] {
        connect(&mut event_loop, &format!("{name}:7"));
    }
    let ticks = Rc::new(RefCell::new(0));
    let seen = Rc::clone(&ticks);
    event_loop.every(ms(1), move |on| {
        *seen.borrow_mut() += usize::from(on.state.events.is_empty());
        if on.state.words().iter().filter(|event| event.starts_with("lookup")).count() == 4 {
            on.stop();
        }
    });
    event_loop.run().unwrap();
    let lookups: Vec<&str> = event_loop.state.words().into_iter().filter(|event| event.starts_with("lookup")).collect();
    let expected = ["first 10.0.0.8", "last 10.0.0.7", "ad20000.example 10.0.0.9", "www.example 10.0.0.1"];
    assert_eq!(lookups, expected.map(|lookup| format!("lookup {lookup}")));
    assert_eq!(*log.borrow(), ["A www.example", "AAAA www.example"]);
    assert!(*ticks.borrow() >= 3, "timers have their turns: {}", ticks.borrow());
    // The name servers and the first piece are read one after the other.
    let longest = event_loop.net.counters().longest_turn;
    assert!(longest <= ms(10), "{longest:?}");
}

#[test]
fn look_ups_that_wait_for_a_long_file_begin_as_far_as_there_is_time() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    sim.put_file("/etc/hosts", long_list());
    sim.set_disk(Disk::new().slow(ms(1)));
    for number in 0..20_000 {
        connect(&mut event_loop, &format!("ad{number}.example:7"));
    }
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    let seen = |event: &str| event_loop.state.words().iter().filter(|seen| seen.starts_with(event)).count();
    assert_eq!(seen("close"), 20_000);
    let (found, failed) = (seen("lookup ad") - seen("error EAI_AGAIN"), seen("error EAI_AGAIN"));
    assert_eq!((found, failed), (16_384, 20_000 - 16_384), "as many wait as may be looked up at a time");
}

#[test]
fn look_ups_that_are_given_up_while_a_long_file_is_read_leave_nothing() {
    for sets_names in [false, true] {
        let (sim, mut event_loop, log) = network(Zone::new(60));
        sim.put_file("/etc/hosts", long_list());
        sim.set_disk(Disk::new().slow(ms(2)));
        let before = sim.descriptors();
        let ids = ["a.example:7", "b.example:7"].map(|name| connect(&mut event_loop, name));
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(sim.descriptors(), before + 1, "it is open");
        ids.into_iter().for_each(|id| event_loop.net.destroy(id));
        if sets_names {
            event_loop.net.set_names(NamesOptions::new()).unwrap();
            assert_eq!(sim.descriptors(), before);
        }
        event_loop.run().unwrap();
        event_loop.net.check().unwrap();
        assert_eq!(event_loop.state.words(), ["close it was destroyed here"; 2]);
        assert!(log.borrow().is_empty());
        assert_eq!(looked_up(&mut event_loop, "ad7.example"), ["10.0.0.9"]);
        drop(event_loop);
        assert_eq!(sim.descriptors(), 0);
    }
}

#[test]
fn a_long_file_that_cannot_be_read_to_its_end_stays_as_it_was() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    sim.put_file("/etc/hosts", long_list());
    assert_eq!(looked_up(&mut event_loop, "ad39999.example"), ["10.0.0.9"]);
    sim.put_file("/etc/hosts", format!("10.0.0.1 other\n{}", long_list()));
    sim.damage_file("/etc/hosts", Some(500_000));
    sim.work(s(6));
    assert_eq!(looked_up(&mut event_loop, "other"), ["ENOTFOUND"]);
    assert_eq!(looked_up(&mut event_loop, "ad39999.example"), ["10.0.0.9"]);
    sim.damage_file("/etc/hosts", None);
    sim.work(s(6));
    assert_eq!(looked_up(&mut event_loop, "other"), ["10.0.0.1"]);
    assert_eq!(looked_up(&mut event_loop, "ad39999.example"), ["10.0.0.9"]);
}

#[test]
fn a_line_that_is_longer_than_a_piece_does_not_count_and_those_around_it_do() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    let long = format!("10.0.0.2 long {} end\n", "x".repeat(700_000));
    let longest = format!("10.0.0.5 a-piece{}\n", " ".repeat((1 << 18) - 17));
    sim.put_file("/etc/hosts", format!("10.0.0.1 before\n{long}10.0.0.3 after\n{longest}{long}10.0.0.4 last"));
    sim.set_disk(Disk::new().short(500));
    let [before, long, end, after] =
        ["before", "long", "end", "after"].map(|name| looked_up(&mut event_loop, name).concat());
    assert_eq!([before.as_str(), &long, &end, &after], ["10.0.0.1", "ENOTFOUND", "ENOTFOUND", "10.0.0.3"]);
    let [piece, last] = ["a-piece", "last"].map(|name| looked_up(&mut event_loop, name).concat());
    assert_eq!([piece.as_str(), &last], ["10.0.0.5", "10.0.0.4"]);
}

#[test]
fn with_few_descriptors_all_names_are_looked_up_one_after_the_other() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    sim.put_file("/etc/hosts", "");
    assert_eq!(looked_up(&mut event_loop, "no.example"), ["ENOTFOUND"]);
    event_loop.state.errors.clear();
    spare_descriptors(&sim, 3);
    for number in 0..20 {
        connect(&mut event_loop, &format!("host{number}.example:7"));
    }
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    let codes: Vec<_> = event_loop.state.errors.iter().map(Error::code).collect();
    assert_eq!(codes, ["ENOTFOUND"; 20]);
}

#[test]
fn a_server_that_cannot_be_reached_is_named_with_the_reason() {
    let sim = Sim::new(1);
    conf(&sim, "nameserver 10.0.0.53\n");
    let mut event_loop = EventLoop::on(sim.kernel(), Seen::default());
    assert_eq!(looked_up(&mut event_loop, "www.example"), ["EAI_AGAIN"]);
    assert_eq!(
        event_loop.state.errors[0].to_string(),
        "getaddrinfo EAI_AGAIN www.example: no name server has answered (10.0.0.53:53 ECONNREFUSED)"
    );
}

// ---- many at once -------------------------------------------------------------------------------------------------------------

#[test]
fn equal_questions_under_way_are_one() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    let zone = Zone::new(0).with("www.example", &["10.0.0.1"]);
    let log = script(&sim, SERVER, move |asked| vec![Sent::new(zone.answer(asked).bytes()).after(ms(50))]);
    listen(&mut event_loop, &["10.0.0.1:7"]);
    for _ in 0..100 {
        connect(&mut event_loop, "www.example:7");
    }
    event_loop.run().unwrap();
    assert_eq!(log.borrow().len(), 2);
    let connects = event_loop.state.words().iter().filter(|event| event.starts_with("connect")).count();
    assert_eq!(connects, 100);
}

#[test]
fn ten_thousand_names_at_once_with_a_bound_for_their_sockets() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    let (descriptors, most) = (Rc::new(RefCell::new(0)), 100);
    event_loop.net.set_names(NamesOptions::new().most_questions(most)).unwrap();
    let log = script(&sim, SERVER, |asked| {
        vec![Sent::new(Answer::to(asked).code(NO_SUCH_NAME).nothing_for(60).bytes()).after(ms(1))]
    });
    for number in 0..10_000 {
        event_loop.connect(format!("host{number}.example:7"), watch).unwrap();
    }
    let (seen, world) = (Rc::clone(&descriptors), sim.clone());
    let ticks = event_loop.every(ms(1), move |_| {
        let now = world.descriptors();
        let mut seen = seen.borrow_mut();
        *seen = now.max(*seen);
    });
    event_loop.after(s(20), move |on| {
        on.cancel(ticks);
    });
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    assert_eq!(event_loop.state.errors.len(), 10_000);
    assert_eq!(log.borrow().len(), 20_000);
    let most_seen = *descriptors.borrow();
    assert!((most / 2..=most).contains(&most_seen), "{most_seen} sockets at once");
    assert_eq!(sim.descriptors(), 0);
}

/// A proxy whose name server was silent for a while has many clients that wait for one name.
#[test]
fn an_answer_that_thousands_wait_for_is_told_as_far_as_there_is_time() {
    let (sim, mut event_loop, _) = network(Zone::new(60).with("www.example", &["10.0.0.1"]));
    listen(&mut event_loop, &["10.0.0.1:7"]);
    for _ in 0..2_000 {
        let world = sim.clone();
        let setup = move |socket: &mut Socket<'_, Seen>| {
            watch(socket);
            socket.on_lookup(move |socket, _| {
                socket.state.events.push((world.now(), "lookup".to_owned()));
                world.work(Duration::from_micros(50));
            });
        };
        event_loop.connect("www.example:7", setup).unwrap();
    }
    let ticks = Rc::new(RefCell::new(0));
    let seen = Rc::clone(&ticks);
    event_loop.every(ms(1), move |on| {
        let lookups = on.state.words().iter().filter(|event| **event == "lookup").count();
        *seen.borrow_mut() += usize::from((1..2_000).contains(&lookups));
        if lookups == 2_000 {
            on.stop();
        }
    });
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    assert!(*ticks.borrow() >= 10, "others have their turns: {}", ticks.borrow());
    let longest = event_loop.net.counters().longest_turn;
    assert!(longest <= ms(12), "{longest:?} of 100 ms");
}

#[test]
fn one_look_up_too_many_fails_at_once_with_the_way_out() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    event_loop.net.set_names(NamesOptions::new().most_lookups(2)).unwrap();
    script(&sim, SERVER, |asked| vec![Sent::new(Zone::new(60).answer(asked).bytes()).after(ms(10))]);
    for name in ["a.example:7", "b.example:7", "c.example:7"] {
        connect(&mut event_loop, name);
    }
    event_loop.run().unwrap();
    let codes: Vec<_> = event_loop.state.errors.iter().map(|error| (error.host().unwrap(), error.code())).collect();
    assert_eq!(codes, [("c.example", "EAI_AGAIN"), ("a.example", "ENOTFOUND"), ("b.example", "ENOTFOUND")]);
    assert!(event_loop.state.errors[0].to_string().contains("NamesOptions::most_lookups"));
}

#[test]
fn a_name_that_never_answers_holds_nobody_up() {
    let (sim, mut event_loop, _) = network(Zone::new(60));
    script(&sim, SERVER, |_| Vec::new());
    listen(&mut event_loop, &["10.0.0.1:7"]);
    connect(&mut event_loop, "silent.example:7");
    for number in 0..50 {
        event_loop.after(ms(number * 100), |on| {
            on.connect("10.0.0.1:7", watch).unwrap();
        });
    }
    event_loop.run().unwrap();
    let connects = event_loop.state.words().iter().filter(|event| event.starts_with("connect")).count();
    assert_eq!(connects, 50);
    assert!(event_loop.state.time_of("connect") < ms(10));
    assert_eq!(event_loop.state.errors.len(), 1);
    assert!(event_loop.net.counters().longest_turn < ms(20), "{:?}", event_loop.net.counters().longest_turn);
}

// ---- several addresses ---------------------------------------------------------------------------------------------------------

fn two_families() -> Zone {
    Zone::new(60).with("www.example", &["fd00::1", "10.0.0.1"])
}

#[test]
fn over_an_address_that_does_not_answer_the_connection_is_there_within_300_ms() {
    let (sim, mut event_loop, _) = network(two_families());
    listen(&mut event_loop, &["[fd00::1]:7", "10.0.0.1:7"]);
    sim.partition(ip("fd00::1"), true);
    event_loop
        .connect("www.example:7", |socket| {
            watch(socket);
            socket.on_end(|socket| {
                let attempted = socket.net.connection(socket.id()).attempted_addresses();
                let event = (socket.net.now(), format!("attempted {attempted:?}"));
                socket.state.events.push(event);
            });
        })
        .unwrap();
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    let words = event_loop.state.words();
    assert_eq!(
        words[..6],
        [
            "lookup www.example fd00::1",
            "lookup www.example 10.0.0.1",
            "attempt [fd00::1]:7",
            "attempt 10.0.0.1:7",
            "connect 10.0.0.1:7",
            "attempted [[fd00::1]:7, 10.0.0.1:7]"
        ]
    );
    assert!((ms(250)..ms(300)).contains(&event_loop.state.time_of("connect")));
    assert!(event_loop.state.errors.is_empty());
}

// covers: later/internet-autoselectfamily-events-failure
#[test]
fn an_address_that_refuses_is_followed_at_once() {
    let (_sim, mut event_loop, _) = network(two_families());
    listen(&mut event_loop, &["10.0.0.1:7"]);
    connect(&mut event_loop, "www.example:7");
    event_loop.run().unwrap();
    let words = event_loop.state.words();
    assert_eq!(
        words[2..6],
        ["attempt [fd00::1]:7", "failed [fd00::1]:7 ECONNREFUSED", "attempt 10.0.0.1:7", "connect 10.0.0.1:7"]
    );
    assert!(event_loop.state.time_of("connect") < ms(50));
}

#[test]
fn the_first_that_connects_is_it_although_a_later_one_was_begun() {
    let (sim, mut event_loop, _) = network(two_families());
    listen(&mut event_loop, &["[fd00::1]:7", "10.0.0.1:7"]);
    sim.partition(ip("fd00::1"), true);
    sim.partition(ip("10.0.0.1"), true);
    connect(&mut event_loop, "www.example:7");
    let world = sim.clone();
    event_loop.after(ms(400), move |_| world.partition(ip("fd00::1"), false));
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    assert_eq!(event_loop.state.words()[4], "connect [fd00::1]:7");
    drop(event_loop);
    assert_eq!(sim.descriptors(), 0, "the other attempt was closed");
}

#[test]
fn if_all_fail_the_last_error_has_all_of_them() {
    let (_sim, mut event_loop, _) = network(two_families());
    connect(&mut event_loop, "www.example:7");
    event_loop.run().unwrap();
    let [error] = &event_loop.state.errors[..] else { panic!("one error") };
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!((error.host(), error.address()), (Some("www.example"), Some("10.0.0.1:7".parse().unwrap())));
    let all: Vec<String> = error.attempts().iter().map(Error::to_string).collect();
    assert_eq!(
        all,
        ["connect ECONNREFUSED: connection refused [fd00::1]:7", "connect ECONNREFUSED: connection refused 10.0.0.1:7"]
    );
    assert_eq!(
        error.to_string(),
        "connect ECONNREFUSED: connection refused 10.0.0.1:7; before it [fd00::1]:7 ECONNREFUSED"
    );
}

#[test]
fn a_plain_error_if_there_is_one_address_and_none_of_a_list() {
    let (_sim, mut event_loop, _) = network(Zone::new(60).with("www.example", &["10.0.0.1"]));
    connect(&mut event_loop, "www.example:7");
    event_loop.run().unwrap();
    let [error] = &event_loop.state.errors[..] else { panic!("one error") };
    assert_eq!(error.to_string(), "connect ECONNREFUSED: connection refused 10.0.0.1:7");
    assert!(error.attempts().is_empty());
}

// covers: later/internet-autoselectfamily-events-timeout
#[test]
fn as_node_does_it_one_by_one_and_each_is_cut_off() {
    let (sim, mut event_loop, _) =
        network(Zone::new(60).with("www.example", &["fd00::1", "fd00::2", "10.0.0.1", "10.0.0.2"]));
    listen(&mut event_loop, &["[fd00::1]:7", "[fd00::2]:7", "10.0.0.1:7", "10.0.0.2:7"]);
    for black_hole in ["fd00::1", "fd00::2", "10.0.0.1"] {
        sim.partition(ip(black_hole), true);
    }
    let options = SocketOptions::new().attempts(ConnectAttempts::OneByOne).attempt_delay(ms(500));
    connect_with(&mut event_loop, "www.example:7", options);
    event_loop.run().unwrap();
    event_loop.net.check().unwrap();
    assert_eq!(
        event_loop.state.words()[4..12],
        [
            "attempt [fd00::1]:7",
            "timeout [fd00::1]:7",
            "attempt 10.0.0.1:7",
            "timeout 10.0.0.1:7",
            "attempt [fd00::2]:7",
            "timeout [fd00::2]:7",
            "attempt 10.0.0.2:7",
            "connect 10.0.0.2:7"
        ]
    );
    assert!((ms(1500)..ms(1550)).contains(&event_loop.state.time_of("connect")));
}

#[test]
fn one_address_alone_if_that_is_wanted() {
    let (_sim, mut event_loop, _) = network(two_families());
    listen(&mut event_loop, &["10.0.0.1:7"]);
    connect_with(&mut event_loop, "www.example:7", SocketOptions::new().attempts(ConnectAttempts::FirstOnly));
    event_loop.run().unwrap();
    let [error] = &event_loop.state.errors[..] else { panic!("one error") };
    assert_eq!(error.to_string(), "connect ECONNREFUSED: connection refused [fd00::1]:7");
}

#[test]
fn a_blocked_address_counts_as_one_that_has_failed() {
    let (_sim, mut event_loop, _) = network(two_families());
    listen(&mut event_loop, &["[fd00::1]:7", "10.0.0.1:7"]);
    let mut list = tidegate::BlockList::new();
    list.add_address(ip("fd00::1"));
    connect_with(&mut event_loop, "www.example:7", SocketOptions::new().block_list(list));
    event_loop.run().unwrap();
    assert_eq!(
        event_loop.state.words()[3..6],
        ["failed [fd00::1]:7 ERR_IP_BLOCKED", "attempt 10.0.0.1:7", "connect 10.0.0.1:7"]
    );
}

#[test]
fn the_winner_of_several_attempts_hears_all_that_its_peer_says() {
    // Its data and its end come with the edge that says that it has connected.
    let (sim, mut event_loop, _) = network(two_families());
    sim.partition(ip("fd00::1"), true);
    let server = event_loop.listen("10.0.0.1:7", |socket| socket.end_with("hello")).unwrap();
    event_loop.net.set_server_ref(server, false);
    event_loop
        .connect("www.example:7", |socket| {
            watch(socket);
            socket.on_connect(|_| {});
            socket.on_text(|socket, text| {
                let now = socket.net.now();
                socket.state.events.push((now, format!("text {text}")));
            });
            socket.on_end(|socket| {
                let now = socket.net.now();
                socket.state.events.push((now, "end".to_owned()));
            });
        })
        .unwrap();
    event_loop.run().unwrap();
    let words = event_loop.state.words();
    assert_eq!(words[4..6], ["text hello", "end"], "{words:?}");
}

#[test]
fn each_kernel_call_of_a_look_up_may_fail() {
    let build = || {
        let (sim, mut event_loop, _) = network(two_families());
        conf(&sim, "nameserver 10.0.0.53\noptions timeout:1 attempts:1\n");
        listen(&mut event_loop, &["10.0.0.1:7"]);
        (sim, event_loop)
    };
    let (sim, mut event_loop) = build();
    let before = sim.calls();
    sim.keep_calls();
    connect(&mut event_loop, "www.example:7");
    event_loop.run().unwrap();
    let calls = sim.called();
    assert!(calls.len() > 10, "{calls:?}");
    for (at, call) in calls.iter().enumerate() {
        for errno in call.errors() {
            let (sim, mut event_loop) = build();
            sim.fail_call(before + at as u64, tidegate::sim::Fault::Error(*errno));
            let id = connect(&mut event_loop, "www.example:7");
            event_loop.run().unwrap();
            event_loop.net.check().unwrap();
            sim.check().unwrap();
            assert!(!event_loop.net.connection(id).exists(), "{call:?} {errno}");
            let closes = event_loop.state.words().iter().filter(|event| event.starts_with("close")).count();
            assert_eq!(closes, 1, "{call:?} {errno}: {:?}", event_loop.state.words());
            drop(event_loop);
            assert_eq!(sim.descriptors(), 0, "{call:?} {errno}");
        }
    }
}

#[test]
fn a_run_with_names_is_recorded_and_played_without_a_name_server() {
    use tidegate::kernel::{Header, Playback, Recorder, RecorderOptions, Replay, ReplayOptions, RunEnd};

    fn program(mut event_loop: EventLoop<Seen>) -> Vec<String> {
        listen(&mut event_loop, &["10.0.0.1:7"]);
        connect(&mut event_loop, "www.example:7");
        connect(&mut event_loop, "no.example:7");
        event_loop.run().unwrap();
        event_loop.state.words().into_iter().map(str::to_owned).collect()
    }

    let (sim, event_loop, _) = network(two_families());
    drop(event_loop);
    sim.put_file("/etc/hosts", long_list());
    sim.set_disk(Disk::new().slow(ms(1)));
    let path = std::env::temp_dir().join(format!("tidegate-names-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    let recorder = Recorder::new(sim.kernel(), file, &Header::new(), RecorderOptions::new()).unwrap();
    let recording = recorder.recording();
    let seen = program(EventLoop::on(recorder, Seen::default()));
    assert!(seen.contains(&"connect 10.0.0.1:7".to_owned()), "{seen:?}");

    let replay = Replay::new(std::fs::File::open(&path).unwrap(), ReplayOptions::new()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let playback: Playback = replay.playback();
    assert_eq!(program(EventLoop::on(replay, Seen::default())), seen);
    assert_eq!((playback.report().end, playback.report().fingerprint), (RunEnd::Ended, recording.fingerprint()));
}

// ---- memory -------------------------------------------------------------------------------------------------------------------

/// The longest of its number.
fn long_name(number: usize) -> String {
    let label = "x".repeat(63);
    let name = format!("{number:08}.{label}.{label}.{label}.{}.example", "y".repeat(43));
    assert_eq!(name.len(), 252);
    name
}

/// The figures in the documentation of `NamesOptions` are those of these two tests.
#[test]
fn what_look_ups_take_is_as_documented() {
    isolated("names::what_look_ups_take_is_as_documented", || {
        let (sim, mut event_loop, _) = network(Zone::new(60));
        script(&sim, SERVER, |_| Vec::new());
        let connect = |event_loop: &mut EventLoop<Seen>, number| {
            event_loop.connect(format!("{}:7", long_name(number)), watch).unwrap();
        };
        connect(&mut event_loop, 1 << 20);
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        let before = memory("self");
        (1..8192).for_each(|number| connect(&mut event_loop, number));
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        let each = (memory("self") - before) / 8192;
        println!("{each} bytes for each of 8,192 look-ups, with its socket");
        assert!((2_000..5_500).contains(&each), "90 MB for 16,384 of them: {each} bytes each");
    });
}

#[test]
fn what_answers_take_that_are_kept_is_as_documented() {
    isolated("names::what_answers_take_that_are_kept_is_as_documented", || {
        let many = 2048;
        let (sim, mut event_loop, _) = network(Zone::new(60));
        event_loop.net.set_names(NamesOptions::new().most_kept(many)).unwrap();
        let addresses: Vec<_> = (0..64).map(|number| ip(&format!("10.0.0.{number}"))).collect();
        sim.answer_datagrams(SERVER.parse().unwrap(), move |query, _| {
            let asked = Asked::read(query);
            let of = |answer: Answer, ip: &IpAddr| answer.address(&asked.name, 60, *ip);
            vec![Sent::new(addresses.iter().fold(Answer::to(&asked), of).bytes())]
        });
        let look_up = |event_loop: &mut EventLoop<Seen>, number| {
            let options = SocketOptions::new().families(Families::V4);
            let to = format!("{}:7", long_name(number));
            let setup = |socket: &mut Socket<'_, Seen>| socket.on_lookup(|socket, _| socket.destroy());
            event_loop.connect_with(to, options, setup).unwrap();
            event_loop.run().unwrap();
        };
        look_up(&mut event_loop, 1 << 20);
        let before = memory("self");
        (1..many).for_each(|number| look_up(&mut event_loop, number));
        let each = (memory("self") - before) / many as u64;
        println!("{each} bytes for each of {many} answers with 64 addresses");
        assert!((1_000..2_500).contains(&each), "2.5 MB for 1,024 of them: {each} bytes each");
    });
}
