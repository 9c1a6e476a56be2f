//! `--idle-timeout`, `--max-connections`, `--block`, the descriptor limit, several `--listen`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::crowds::hears_of;
use crate::support::{Client, Daemon, PATIENCE, Stderr, program_after, wait_until};
use socket2::{Domain, Socket, Type};

#[test]
fn a_guest_that_only_hears_is_idle() {
    let room = Daemon::chat(&["--idle-timeout", "2s"]);
    let [mut anna, mut bob, mut carl] = room.guests();
    let began = Instant::now();
    let mut words = 0;
    let told = loop {
        anna.says("are you there?"); // Anna speaks, Bob hears, Carl types a line that he does not finish.
        carl.sends(b"x");
        words += 1;
        match bob.hears_line() {
            line if line == "guest1: are you there?" => {}
            other => break other,
        }
        thread::sleep(Duration::from_millis(100)); // of the silence of which the option speaks
    };
    assert_eq!(told, "* you said nothing for too long");
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
    bob.is_dismissed();
    anna.hears("* guest2 left; 2 online");
    carl.says("");
    anna.hears(&format!("guest3: {}", "x".repeat(words)));
    anna.hears_nothing();
}

#[test]
fn a_guest_whose_lines_are_held_is_not_idle() {
    let room = Daemon::chat(&["--idle-timeout", "2s", "--flood", "1/1"]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"1\n2\n3\n4\n");
    let mut typing = anna.handle();
    let types = thread::spawn(move || {
        while typing.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(50)); // Anna is not idle either
        }
    });
    anna.hears_all((1..=4).map(|number| format!("guest2: {number}")));
    anna.hears("* guest2 left; 1 online");
    bob.hears("* you said nothing for too long");
    drop(room);
    types.join().unwrap();
}

#[test]
fn a_guest_that_sends_unfinished_lines_is_not_idle() {
    let room = Daemon::chat(&["--idle-timeout", "2s"]);
    let [mut anna] = room.guests();
    for _ in 0..10 {
        anna.sends(b"x");
        thread::sleep(Duration::from_millis(300)); // the silence of which the option speaks
    }
    anna.sends(b"\n");
    anna.hears_nothing();
}

#[test]
fn a_blocked_client_is_told_that_the_room_is_full_and_is_not_announced() {
    let room = Daemon::chat(&["--block", "127.0.0.2-127.0.0.9", "-v"]);
    let mut anna = room.join();
    anna.hears("* you are guest1; 1 online");
    let blocked = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    blocked.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    blocked.connect(&room.address().into()).unwrap();
    blocked.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut told = String::new();
    TcpStream::from(blocked).read_to_string(&mut told).unwrap();
    assert_eq!(told, "* the room is full\n");
    room.logs("the blocked client", |line| line.contains("127.0.0.2:") && line.contains("is blocked"));
    anna.hears_nothing();
}

#[test]
fn a_departure_makes_room_for_another_guest() {
    let room = Daemon::chat(&["--max-connections", "2"]);
    let [mut anna, bob] = room.guests();
    room.join().is_dismissed();
    drop(bob);
    anna.hears("* guest2 left; 1 online");
    let mut carl = room.join();
    carl.hears("* you are guest3; 2 online");
    anna.hears("* guest3 joined; 2 online");
    room.join().is_dismissed();
    anna.hears_nothing();
}

/// Also one that has sent something, and whose kernel would discard the line when the connection is reset.
#[test]
fn who_is_turned_away_is_told_so() {
    let room = Daemon::chat(&["--max-connections", "1"]);
    let [mut anna] = room.guests();
    for first in [&b""[..], b"hello\n", b"GET / HTTP/1.1\r\n\r\n", &[b'x'; 100_000]] {
        let mut late = room.join();
        late.sends(first);
        late.hears("* the room is full");
        late.ends();
    }
    anna.hears_nothing();
}

/// They neither read nor close.
#[test]
fn a_crowd_that_is_turned_away_takes_no_place() {
    let mut command = program_after("ulimit -n 80");
    command.args(["chat", "--listen", "127.0.0.1:0", "--max-connections", "2", "-v"]);
    let mut room = Daemon::launch_with(&mut command, Stderr::Kept);
    room.finds_its_addresses(1);
    let [mut anna, bob] = room.guests();
    let crowd: Vec<Client> = (0..300).map(|_| room.join()).collect();
    // One that was not accepted yet would get the place of Bob.
    wait_until("all are turned away", || room.log().matches(" was disconnected").count() == 300);
    anna.hears_nothing();
    drop(bob);
    anna.hears("* guest2 left; 1 online");
    // Bob has left the room, and his place is free when his connection has closed.
    let mut carl = None;
    wait_until("a place", || {
        let mut client = room.join();
        let is_in = client.hears_line() == "* you are guest3; 2 online";
        carl = is_in.then_some(client);
        is_in
    });
    for mut late in crowd {
        late.hears("* the room is full");
        late.ends();
    }
    anna.hears("* guest3 joined; 2 online");
    anna.hears_nothing();
}

/// Started with these limits of the shell's; the room.
fn room_after(shell_command: &str) -> Daemon {
    let mut command = program_after(shell_command);
    command.args(["chat", "--listen", "127.0.0.1:0"]);
    let mut room = Daemon::launch_with(&mut command, Stderr::Kept);
    room.finds_its_addresses(1);
    room
}

#[test]
fn by_default_there_are_as_many_guests_as_descriptors_less_64() {
    let room = room_after("ulimit -n 80");
    let mut guests: Vec<Client> = (0..16).map(|_| room.join()).collect();
    for (number, guest) in (1..).zip(&mut guests) {
        guest.hears(&format!("* you are guest{number}; {number} online"));
    }
    hears_of(&mut guests[0], 1, 15, 0);
    room.join().is_dismissed();
    guests[0].hears_nothing();
}

#[test]
fn the_descriptor_limit_is_raised_to_its_hard_value() {
    let room = room_after("ulimit -S -n 66");
    let mut guests: Vec<Client> = (0..20).map(|_| room.join()).collect();
    for (number, guest) in (1..).zip(&mut guests) {
        guest.hears(&format!("* you are guest{number}; {number} online"));
    }
}

#[cfg(target_os = "linux")] // elsewhere 127.0.0.2 is nobody
#[test]
fn guests_of_several_addresses_are_in_one_room() {
    let room = Daemon::chat(&["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]);
    let [mut anna] = room.guests();
    let mut bob = Client::connect(room.addresses()[1]);
    bob.hears("* you are guest2; 2 online");
    anna.hears("* guest2 joined; 2 online");
    bob.says("hello");
    anna.hears("guest2: hello");
    anna.says("hello yourself");
    bob.hears("guest1: hello yourself");
}

#[cfg(target_os = "linux")]
#[test]
fn the_bound_on_connections_holds_for_all_addresses_together() {
    let room = Daemon::chat(&["--max-connections", "2", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]);
    let [mut anna] = room.guests();
    let mut bob = Client::connect(room.addresses()[1]);
    bob.hears("* you are guest2; 2 online");
    anna.hears("* guest2 joined; 2 online");
    for address in room.addresses() {
        Client::connect(*address).is_dismissed();
    }
    anna.hears_nothing();
    bob.hears_nothing();
}

#[cfg(target_os = "linux")]
#[test]
fn a_silent_room_is_asleep() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("hello");
    anna.hears("guest2: hello");
    thread::sleep(Duration::from_millis(500)); // what is left to be done after this is done now
    let awakenings = || room.status("voluntary_ctxt_switches");
    let before = awakenings();
    thread::sleep(Duration::from_secs(2)); // the silence of which the specification speaks
    assert_eq!(awakenings(), before, "it woke up while nothing happened");
}
