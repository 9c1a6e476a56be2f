//! 20,000 connections come and go, and nothing is left of them.
//!
//! Two tests, one after the other: the library in a process of the test's own, where its slab can be looked at, and the
//! daemon. What they measure they print (`-- --nocapture`); `docs/reliability.md` has the figures.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::alone::alone;
use crate::support::isolated::isolated;
use crate::support::many::{connect, raise_descriptor_limit};
use crate::support::process::{descriptors, memory};
use crate::support::{Client, Daemon, PATIENCE, Signal};
use socket2::SockRef;
use tidegate::EventLoop;

/// So many come and go, with 200 there at a time.
const COMINGS: usize = 20_000;
const AT_A_TIME: usize = 200;

/// The memory may grow by this much while [`COMINGS`] come and go. A leak of 100 bytes for each would be 2 MB.
const GROWTH: u64 = 1 << 20;

/// The library in this process: its slab, its descriptors, its memory.
#[test]
fn closed_connections_leave_nothing_in_the_engine() {
    let _alone = alone();
    raise_descriptor_limit();
    isolated("leaks::closed_connections_leave_nothing_in_the_engine", come_to_the_engine_and_go);
}

fn come_to_the_engine_and_go() {
    for goes in [Goes::ByClosing, Goes::ByReset] {
        let mut event_loop = EventLoop::new().unwrap();
        let server = event_loop
            .listen("127.0.0.1:0", |socket| {
                socket.set_timeout(Some(Duration::from_secs(3600)));
                socket.after(Duration::from_secs(3600), |_| {});
                socket.write("welcome\n");
                let itself = socket.id();
                socket.pipe(itself).unwrap();
            })
            .unwrap();
        let address = event_loop.net.server_address(server).unwrap();

        let mut come_and_go = |comings| {
            thread::scope(|scope| {
                let load = scope.spawn(move || load(address, comings, goes));
                while !load.is_finished() || event_loop.net.sockets() > 0 {
                    event_loop.turn(Some(Duration::from_millis(1))).unwrap();
                }
                load.join().unwrap();
            });
            event_loop.net.check().unwrap();
            (descriptors("self"), memory("self"), event_loop.net.server_connections(server))
        };
        let (descriptors_before, memory_before, _) = come_and_go(COMINGS / 10);
        let began = Instant::now();
        let (descriptors, memory, connections) = come_and_go(COMINGS);
        let growth = memory.saturating_sub(memory_before);
        println!("engine, {goes:?}: {COMINGS} in {:?}, memory {memory_before} + {growth} bytes", began.elapsed());
        assert_eq!((descriptors, connections), (descriptors_before, 0));
        assert!(growth < GROWTH, "{growth} bytes of memory");
        assert_eq!(event_loop.net.counters().accepted as usize, COMINGS + COMINGS / 10);
    }
}

/// The whole daemon: names, guests, announcements too.
#[test]
fn closed_connections_leave_nothing_in_a_room() {
    let _alone = alone();
    raise_descriptor_limit();
    for goes in [Goes::ByClosing, Goes::ByReset] {
        let mut room = Daemon::chat(&[]);
        let mut anna = room.join();
        anna.hears("* you are guest1; 1 online");
        let mut come_and_go = |comings| {
            load(room.address(), comings, goes);
            is_alone(&mut anna);
            (room.descriptors(), room.memory())
        };
        let (descriptors_before, memory_before) = come_and_go(COMINGS / 10);
        let began = Instant::now();
        let (descriptors, memory) = come_and_go(COMINGS);
        let growth = memory.saturating_sub(memory_before);
        println!("room, {goes:?}: {COMINGS} in {:?}, memory {memory_before} + {growth} bytes", began.elapsed());
        assert_eq!(descriptors, descriptors_before);
        assert!(growth < GROWTH, "{growth} bytes of memory");
        anna.ends_its_side();
        room.signal(Signal::TERM);
        room.exits_with(0);
    }
}

/// Waits until a guest is the only one of the room.
fn is_alone(guest: &mut Client) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        guest.says("/who");
        let answer = loop {
            let line = guest.hears_line();
            if line.contains(" online: ") {
                break line;
            }
        };
        if answer == "* 1 online: guest1" {
            return;
        }
        assert!(Instant::now() < deadline, "they are still there: {answer}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Goes {
    ByClosing,
    ByReset,
}

/// So many come one after another, and each stays until [`AT_A_TIME`] others have come. Every other one says something,
/// every third hears the welcome; so most go with something unread, here or there.
fn load(address: SocketAddr, comings: usize, goes: Goes) {
    let mut there: VecDeque<TcpStream> = VecDeque::new();
    for number in 0..comings {
        let mut stream = connect(address, number);
        if matches!(goes, Goes::ByReset) {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        if number % 2 == 0 {
            stream.write_all(b"/what?").unwrap();
        }
        if number % 3 == 0 {
            // All that came before have been accepted by then: none waits for long in a queue that might overflow.
            assert_ne!(stream.read(&mut [0; 8]).unwrap(), 0);
        }
        there.push_back(stream);
        if there.len() > AT_A_TIME {
            there.pop_front();
        }
    }
}
