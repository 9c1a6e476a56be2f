//! Failures that a machine has once a year, made to happen: the daemon runs under `strace`, which lets some of its
//! system calls fail with an error of our choice. Whatever fails, the process stays up, an error costs at most the
//! connection that it belongs to, all other clients are served, and at the end the daemon sleeps, and stops when it is
//! told to.
//!
//! strace writes down each call, so what is asserted is exact: which connections were struck is in the trace, and no
//! other client may have been lost; the number of calls shows that nothing spins.
//!
//! Without strace these tests check nothing, and say so. With `TIDEGATE_STRACE=required`, as in `.ci/run`, that fails.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::strace::{Costs, Injected, Injection};
use crate::support::{Client, PATIENCE, Random, Signal, stuff, wait_until};

// ---------------------------------------------------------------------------------------------------------------------
// The table
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn failing_accepts_cost_nothing_or_their_connection() {
    for errno in ["EINTR", "ECONNABORTED", "EPROTO", "EPERM", "ENOBUFS", "ENOMEM", "EACCES"] {
        both("accept4", errno, "1..7+3", 3, Costs::Nothing);
    }
    for errno in ["EMFILE", "ENFILE"] {
        both("accept4", errno, "1..7+3", 3, Costs::Connection);
    }
}

#[test]
fn failing_reads_cost_nothing_or_their_connection() {
    both("recvfrom", "EINTR", "3..60+3", 20, Costs::Nothing);
    for errno in ["ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH", "EIO"] {
        both("recvfrom", errno, "3..60+19", 4, Costs::Connection);
    }
}

#[test]
fn failing_writes_cost_nothing_or_their_connection() {
    for errno in ["EINTR", "ENOBUFS", "ENOMEM"] {
        both("sendto", errno, "3..60+3", 20, Costs::Nothing);
    }
    for errno in ["EPIPE", "ECONNRESET"] {
        both("sendto", errno, "3..60+19", 4, Costs::Connection);
    }
}

/// A room gathers the lines that wait for a slow guest.
#[test]
fn failing_writes_of_queued_bytes_cost_nothing_or_their_connection() {
    for errno in ["EINTR", "ENOBUFS", "ENOMEM"] {
        a_guest_who_reads_late(Injection { call: "sendmsg", errno, when: "1..3", times: 3, costs: Costs::Nothing });
    }
    for errno in ["EPIPE", "ECONNRESET"] {
        a_guest_who_reads_late(Injection { call: "sendmsg", errno, when: "1", times: 1, costs: Costs::Connection });
    }
}

#[test]
fn failing_watches_cost_nothing_or_their_connection() {
    // The first two are of the signals and of the listener.
    for errno in ["ENOMEM", "ENOSPC"] {
        both("epoll_ctl", errno, "4..8+2", 3, Costs::Connection);
    }
    both("epoll_wait", "EINTR", "3..60+3", 20, Costs::Nothing);
}

#[test]
fn failing_shutdowns_cost_nothing() {
    let injection = Injection { call: "shutdown", errno: "ENOTCONN", when: "1..7+2", times: 4, costs: Costs::Nothing };
    eight_clients_of_an_echo(injection);
}

/// A failure before it listens is one line of the log, and ends it.
#[test]
fn a_failure_before_it_listens_is_one_line_and_ends_it() {
    for (call, errno, when) in [
        ("setsockopt", "EINVAL", "1"),
        ("setsockopt", "EINVAL", "2"),
        ("epoll_ctl", "ENOSPC", "1"),
        ("epoll_ctl", "ENOMEM", "2"),
        ("epoll_create1", "EMFILE", "1"),
        ("listen", "EADDRINUSE", "1"),
    ] {
        let failure = format!("{call}:error={errno}:when={when}");
        let Some(mut injected) = Injected::launch("echo", &[&failure]) else { return };
        let code = injected.strace.exits();
        let log = injected.strace.log();
        assert_eq!((code, log.lines().count()), (1, 1), "{call} {errno}: {log}");
    }
}

/// Where it may never accept (a seccomp filter says EPERM, for one), a client waits, and the others are served.
#[test]
fn where_no_accept_succeeds_the_others_are_served_and_nothing_spins() {
    for errno in ["EPERM", "ENOMEM", "EMFILE", "EACCES", "ECONNABORTED"] {
        let failure = format!("accept4:error={errno}:when=2+");
        let Some(injected) = Injected::start("echo", &[&failure]) else { return };
        let mut early = Peer::connect(injected.address());
        assert!(early.echoes(b"hello").is_ok());
        let before = injected.calls().len();
        let _waiting: Vec<Peer> = (0..3).map(|_| Peer::connect(injected.address())).collect();
        thread::sleep(Duration::from_millis(500));
        assert!(early.echoes(b"hello").is_ok(), "{errno}");
        let calls = injected.calls();
        let accepts = calls[before..].iter().filter(|call| call.name == "accept4").count();
        // 64 at once for each pause: of 10, 20, 40, 80, 160 and 320 ms; and one for each newcomer's own edge.
        assert!((3..64 * 12).contains(&accepts), "{errno}: {accepts} accepts in half a second");
        let told = injected.strace.log().lines().filter(|line| line.contains(errno)).count();
        assert_eq!(told, 1, "{errno} is told once:\n{}", injected.strace.log());
        drop(early);
        injected.asks_to_stop();
        injected.stops();
    }
}

/// The spare descriptor, with which clients are turned away, can be lost too: another process was faster. Then clients
/// wait until the next one can be accepted, which brings the spare back.
#[test]
fn the_spare_descriptor_is_lost_and_found() {
    // The first call makes the spare. A debug build asks for the flags of each descriptor that it closes, with the same call
    // that duplicates one: so the first time that the spare is opened again is the next or the one after two others.
    let no_spare = if cfg!(debug_assertions) { "fcntl:error=ENFILE:when=4" } else { "fcntl:error=ENFILE:when=2" };
    let failures = ["accept4:error=ENFILE:when=3..8+5", no_spare];
    let Some(injected) = Injected::start("echo", &failures) else { return };
    let mut early = Peer::connect(injected.address());
    assert!(early.echoes(b"hello").is_ok());
    let mut comes = |is_served: bool, why: &str| {
        assert_eq!(Peer::connect(injected.address()).echoes(b"hello").is_ok(), is_served, "{why}");
        assert!(early.echoes(b"hello").is_ok(), "and the turn in which that happened is over");
    };
    let spares = || injected.calls().iter().filter(|call| call.arguments.contains("F_DUPFD")).count();
    let at_the_start = spares();
    // The first accept is the early client's. Behind each that finds somebody, one more finds nobody.
    comes(false, "turned away by the third accept");
    assert_eq!(spares() - at_the_start, 1, "one that failed");
    comes(true, "accepted");
    assert_eq!(spares() - at_the_start, 2, "there is one again");
    comes(false, "turned away by the eighth");
    drop(early);
    injected.asks_to_stop();
    injected.stops();
}

/// The loop is over, and the process ends: a signal that comes then changes nothing.
#[test]
fn a_signal_that_comes_while_the_process_ends_does_not_end_it_in_place_of_its_exit_code() {
    for signal in [Signal::TERM, Signal::INT, Signal::USR1, Signal::USR2, Signal::ALARM] {
        // The last calls but one of a process of Rust take back the stack of its main thread's signals.
        let Some(injected) = Injected::start("echo", &["sigaltstack:delay_exit=500000:when=3+"]) else { return };
        injected.signal(Signal::TERM);
        wait_until("its end", || injected.begun("sigaltstack") == 3);
        injected.signal(signal);
        injected.stops();
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The clients
// ---------------------------------------------------------------------------------------------------------------------

fn both(call: &'static str, errno: &'static str, when: &'static str, times: usize, costs: Costs) {
    let injection = Injection { call, errno, when, times, costs };
    eight_clients_of_an_echo(injection);
    four_guests_of_a_room(injection);
}

/// All are served, also those that come in place of the lost ones.
fn eight_clients_of_an_echo(injection: Injection) {
    let Some(injected) = Injected::start("echo", &[&injection.text()]) else { return };
    let mut lost = BTreeSet::new();
    let mut random = Random(17);
    let mut clients: Vec<Peer> = Vec::new();
    for round in 0..8 {
        while clients.len() < 8 {
            clients.push(Peer::connect(injected.address()));
        }
        // Small ones, and some that do not fit into the buffers at once.
        let length = if round == 5 { 200_000 } else { 1 + random.below(1000) };
        clients.retain_mut(|client| {
            let is_served = client.echoes(&random.bytes(length)).is_ok();
            is_served || !lost.insert(client.port)
        });
    }
    assert!(clients.len() >= 4);
    for client in &mut clients {
        client.ends_in_order();
    }
    drop(clients);
    injected.falls_asleep();
    assert!(Peer::connect(injected.address()).echoes(b"afterwards").is_ok());
    injected.asks_to_stop();
    injected.stops().shows(injection, &lost);
}

/// Each speaks in turn and is heard by all others, also those that come in place of the lost ones.
fn four_guests_of_a_room(injection: Injection) {
    let Some(injected) = Injected::start("chat", &[&injection.text()]) else { return };
    let mut room = Guests::default();
    for round in 0..20 {
        room.fill(&injected);
        for speaker in 0..room.here.len() {
            room.hear(speaker, &format!("round {round}"));
        }
        room.forget_the_lost();
    }
    injected.falls_asleep();
    room.fill(&injected);
    room.hear(0, "afterwards");
    injected.asks_to_stop();
    for mut guest in room.here {
        assert_eq!(guest.peer.last_line(), "* the server is shutting down");
    }
    injected.stops().shows(injection, &room.lost.into_keys().collect());
}

/// A guest reads late what another one has said and the answers to its own questions. They wait in pieces after what is
/// in flight, and are gathered. A short line would be copied to the answer before it, and be no piece of its own.
fn a_guest_who_reads_late(injection: Injection) {
    let Some(injected) = Injected::start("chat", &[&injection.text()]) else { return };
    let mut anna = Client::connect(injected.address());
    anna.hears("* you are guest1; 1 online");
    let mut late = Client::connect_narrow(injected.address());
    anna.hears("* guest2 joined; 2 online");
    let said = stuff(&mut anna, &[&late], 150_000);
    let long = "hm".repeat(500);
    for _ in 0..3 {
        late.says("/what");
        anna.hears_nothing();
        anna.hears_nothing();
        anna.says(&long);
        anna.hears_nothing();
        anna.hears_nothing();
    }
    let mut lost = BTreeSet::new();
    late.hears("* you are guest2; 2 online");
    match injection.costs {
        Costs::Nothing => {
            late.hears_all(said.iter().map(|line| format!("guest1: {line}")));
            for _ in 0..3 {
                late.hears("* unknown command: /what; try /help");
                late.hears(&format!("guest1: {long}"));
            }
            anna.says("and now?");
            late.hears("guest1: and now?");
        }
        Costs::Connection => {
            let _ = io::copy(&mut late.handle(), &mut io::sink());
            anna.hears("* guest2 left; 1 online");
            anna.hears_nothing();
            lost.insert(late.local_address().port());
        }
    }
    injected.falls_asleep();
    drop((anna, late));
    injected.asks_to_stop();
    injected.stops().shows(injection, &lost);
}

// ---------------------------------------------------------------------------------------------------------------------
// Clients that may be lost
// ---------------------------------------------------------------------------------------------------------------------

/// The connection has ended, in whatever way.
#[derive(Debug)]
struct Lost;

/// A connection that may be lost at any time. A loss by itself fails no test; silence does.
struct Peer {
    stream: TcpStream,
    port: u16,
    heard: Vec<u8>,
}

impl Peer {
    fn connect(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let port = stream.local_addr().unwrap().port();
        Peer { stream, port, heard: Vec::new() }
    }

    fn sends(&self, bytes: &[u8]) -> Result<(), Lost> {
        (&self.stream).write_all(bytes).map_err(|error| lost(&error))
    }

    fn echoes(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = vec![0; bytes.len()];
        thread::scope(|scope| {
            let sent = scope.spawn(|| self.sends(bytes));
            let received = (&self.stream).read_exact(&mut heard).map_err(|error| lost(&error));
            received.and(sent.join().unwrap())
        })?;
        assert!(heard == bytes, "other bytes came back");
        Ok(())
    }

    fn ends_in_order(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(self.stream.read(&mut [0]).unwrap(), 0);
    }

    /// The next line, if there is one within this time.
    fn line(&mut self, within: Duration) -> Result<Option<String>, Lost> {
        self.stream.set_read_timeout(Some(within)).unwrap();
        loop {
            if let Some(length) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line = self.heard.drain(..=length).take(length).collect();
                return Ok(Some(String::from_utf8(line).unwrap()));
            }
            if !self.reads()? {
                return Ok(None);
            }
        }
    }

    /// Reads what there is; false if nothing has come in time.
    fn reads(&mut self) -> Result<bool, Lost> {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(Lost),
            Ok(count) => {
                self.heard.extend(&piece[..count]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(lost(&error)),
        }
    }

    /// Whether it has come to its end already.
    fn is_lost(&mut self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        loop {
            match self.reads() {
                Ok(true) => {}
                Ok(false) => return false,
                Err(Lost) => return true,
            }
        }
    }

    fn last_line(&mut self) -> String {
        let mut last = String::new();
        while let Ok(line) = self.line(PATIENCE) {
            last = line.expect("the end of the connection");
        }
        last
    }
}

#[track_caller]
fn lost(error: &io::Error) -> Lost {
    use ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    assert!(matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof), "{error}");
    Lost
}

struct Guest {
    peer: Peer,
    name: String,
    is_lost: bool,
}

/// The guests of a room.
#[derive(Default)]
struct Guests {
    here: Vec<Guest>,
    /// The names of those who were lost, by port.
    lost: HashMap<u16, String>,
}

impl Guests {
    /// Lets guests come until there are four.
    fn fill(&mut self, injected: &Injected) {
        while self.here.len() < 4 {
            assert!(self.lost.len() < 20, "they are lost all the time");
            let mut peer = Peer::connect(injected.address());
            match peer.line(PATIENCE) {
                Err(Lost) => {
                    self.lost.insert(peer.port, String::new());
                }
                Ok(welcome) => {
                    let welcome = welcome.expect("a welcome");
                    let name = welcome.strip_prefix("* you are ").and_then(|rest| rest.split(';').next());
                    let name = name.unwrap_or_else(|| panic!("{welcome}")).to_owned();
                    self.here.push(Guest { peer, name, is_lost: false });
                }
            }
        }
    }

    /// A guest speaks, and each of the others hears it, unless speaker or listener is lost.
    fn hear(&mut self, speaker: usize, words: &str) {
        let guest = &mut self.here[speaker];
        guest.is_lost |= guest.peer.sends(format!("{words}\n").as_bytes()).is_err();
        let line = format!("{}: {words}", guest.name);
        for listener in (0..self.here.len()).filter(|listener| *listener != speaker) {
            self.hears(listener, &line, speaker);
        }
    }

    fn hears(&mut self, listener: usize, line: &str, speaker: usize) {
        let deadline = Instant::now() + PATIENCE;
        while !self.here[listener].is_lost {
            match self.here[listener].peer.line(Duration::from_millis(20)) {
                Ok(Some(heard)) if heard == line => return,
                Ok(Some(heard)) => assert!(self.may_come_late(&heard), "expected {line:?}, but heard {heard:?}"),
                Ok(None) => {
                    let speaker = &mut self.here[speaker];
                    speaker.is_lost |= speaker.peer.is_lost();
                    if speaker.is_lost {
                        return;
                    }
                    assert!(Instant::now() < deadline, "{line:?} is not heard");
                }
                Err(Lost) => self.here[listener].is_lost = true,
            }
        }
    }

    /// Lines of the room itself, and late lines of guests that are lost.
    fn may_come_late(&self, heard: &str) -> bool {
        let lost = self.here.iter().filter(|guest| guest.is_lost).map(|guest| &guest.name).chain(self.lost.values());
        heard.starts_with("* ") || lost.into_iter().any(|name| heard.split(':').next() == Some(name))
    }

    fn forget_the_lost(&mut self) {
        for guest in self.here.extract_if(.., |guest| guest.is_lost) {
            self.lost.insert(guest.peer.port, guest.name);
        }
    }
}
