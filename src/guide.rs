//! A tutorial: from ten lines to a server that can be trusted. There is no code in this module.
//!
//! 1. [A server](#1-a-server)
//! 2. [State](#2-state)
//! 3. [Somebody who does not read](#3-somebody-who-does-not-read)
//! 4. [Lines](#4-lines)
//! 5. [Ends](#5-ends)
//! 6. [Time](#6-time)
//! 7. [A client](#7-a-client)
//! 8. [Stopping](#8-stopping)
//! 9. [Other threads](#9-other-threads)
//! 10. [A handler that panics](#10-a-handler-that-panics)
//! 11. [Tests without a network](#11-tests-without-a-network)
//!
//! # 1. A server
//!
//! ```no_run
//! use tidegate::EventLoop;
//!
//! let mut event_loop = EventLoop::new()?;
//! event_loop.listen("127.0.0.1:7000", |socket| {
//!     socket.write("hello\n");
//!     socket.on_data(|socket, chunk| {
//!         socket.write(chunk);
//!     });
//! })?;
//! event_loop.run()?;
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! `listen` is given what is to be done with each connection. It runs once for each of them, and hangs handlers on it: the
//! names are Node's, `on_data`, `on_end`, `on_close`. Handlers run on this one thread, one at a time; whatever a call causes
//! comes as an event of its own later, never inside the call.
//!
//! A [`Socket`] is a view that is lent for a moment. What may be kept is its [`SocketId`]: `socket.id()`. An id is never
//! wrong, it can only be late, and then calls with it do nothing.
//!
//! # 2. State
//!
//! In Node a handler captures variables. Here the loop owns one value of yours, and lends it to every handler as
//! `socket.state`:
//!
//! ```
//! use std::collections::HashSet;
//! use tidegate::{EventLoop, SocketId};
//!
//! #[derive(Default)]
//! struct Room {
//!     members: HashSet<SocketId>,
//! }
//!
//! let mut room = EventLoop::with_state(Room::default())?;
//! room.listen("127.0.0.1:0", |socket| {
//!     let id = socket.id();
//!     socket.state.members.insert(id);
//!     socket.on_data(move |socket, chunk| {
//!         // `state` and `net` are fields side by side: one is read while the other writes.
//!         let others = socket.state.members.iter().copied().filter(|other| *other != id);
//!         socket.net.broadcast(others, chunk);
//!     });
//!     socket.on_close(move |socket, _| {
//!         socket.state.members.remove(&id);
//!     });
//! })?;
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! A broadcast is copied once, and what is said to one receiver within a turn goes out as one write. It waits for nobody, so
//! what a member does not read piles up: a room that strangers can enter sets a limit, which the next section has.
//!
//! # 3. Somebody who does not read
//!
//! `write` is `true` while less than the high-water mark waits (64 KiB). After a `false`, stop; `on_drain` says when to go on.
//! Who ignores that makes the queue grow. Three ways to deal with it, from the least work:
//!
//! ```
//! use tidegate::{EventLoop, OutputLimits, ServerOptions};
//!
//! let mut event_loop = EventLoop::new()?;
//! // The slowest rules: a pipe reads no faster than the other side takes it.
//! event_loop.listen("127.0.0.1:0", |socket| {
//!     let itself = socket.id();
//!     if let Err(error) = socket.pipe(itself) {
//!         eprintln!("{error}");
//!     }
//! })?;
//! // Or it is cut off: with more than a megabyte unsent the connection is over.
//! let limited = ServerOptions::new().output_limits(OutputLimits::disconnect_above(1 << 20));
//! event_loop.listen_with("127.0.0.1:0", limited, |socket| {
//!     socket.on_data(|socket, chunk| {
//!         socket.write(chunk);
//!     });
//! })?;
//! // Or by hand, as in Node.
//! event_loop.listen("127.0.0.1:0", |socket| {
//!     socket.on_data(|socket, chunk| {
//!         if !socket.write(chunk) {
//!             socket.pause();
//!         }
//!     });
//!     socket.on_drain(|socket| socket.resume());
//! })?;
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! # 4. Lines
//!
//! TCP is a stream: a chunk is not a message. [`Socket::on_line`] cuts it, and bounds what is kept of a line:
//!
//! ```
//! use tidegate::EventLoop;
//!
//! let mut event_loop = EventLoop::new()?;
//! event_loop.listen("127.0.0.1:0", |socket| {
//!     socket.on_line(1000, |socket, line| {
//!         if line.is_too_long() {
//!             return socket.destroy();
//!         }
//!         socket.write(format!("{} bytes\n", line.bytes().len()));
//!     });
//! })?;
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! The last line is told also if it has no end. For text that is not cut, [`Socket::on_text`] is right also where a character
//! is split between two chunks; frames of your own you cut in [`Socket::on_data`], and [`Lines`](crate::Lines) is the cutter
//! alone, for those who stop between two lines.
//!
//! A connection is read from only when somebody takes the data, in one of these three ways, or after
//! [`Socket::resume`], which throws it away. A server that only sends calls that: the client's end lies behind its data, and
//! would not be noticed.
//!
//! # 5. Ends
//!
//! Each direction of a connection ends by itself. `on_end` says that the other side has said all; unless half-open is
//! allowed, this side ends too, after what was written. `on_close` comes once, last, and says why:
//!
//! ```
//! # use tidegate::{CloseReason, EventLoop};
//! # let mut event_loop = EventLoop::new()?;
//! event_loop.listen("127.0.0.1:0", |socket| {
//!     socket.on_error(|_, error| eprintln!("{error}"));
//!     socket.on_close(|_, closed| match closed.reason {
//!         CloseReason::PeerEnded | CloseReason::EndedHere => println!("in order"),
//!         CloseReason::PeerReset => println!("cut off, with {} bytes unsent", closed.unsent),
//!         other => println!("{other:?}"),
//!     });
//! })?;
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! `end` is polite, `destroy` is at once, `destroy_soon` is at once after what was written, `reset` is a reset. Behind `end`
//! the other side may still talk: a handler for data that answers asks [`Socket::is_writable`] first, since a write after the
//! end is an error. An error that nobody listens to is counted and logged; it ends its own connection and nothing else.
//!
//! How many connections there may be is an option, [`ServerOptions::max_connections`](crate::ServerOptions::max_connections);
//! who comes above it is closed at once.
//!
//! # 6. Time
//!
//! ```
//! use std::time::Duration;
//! # use tidegate::EventLoop;
//! # let mut event_loop = EventLoop::with_state(0)?;
//! event_loop.listen("127.0.0.1:0", |socket| {
//!     // Nothing moved for a minute. Whoever is so silent may not answer an `end` either.
//!     socket.set_timeout(Some(Duration::from_secs(60)));
//!     socket.on_timeout(|socket| {
//!         socket.write("you are idle\n");
//!         socket.destroy_soon();
//!     });
//!     // Taken back when the socket closes.
//!     socket.after(Duration::from_secs(3600), |socket| socket.destroy_soon());
//! })?;
//! let ticks = event_loop.every(Duration::from_millis(1), |event_loop| {
//!     *event_loop.state += 1;
//!     if *event_loop.state == 3 {
//!         event_loop.stop();
//!     }
//! });
//! event_loop.run()?;
//! assert_eq!(event_loop.state, 3);
//! # let _ = ticks;
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! `set_timeout` itself closes nothing. It is Node's clock: whatever is read or written holds it off, and a write that has
//! stalled is told after twice the time.
//!
//! Long work holds everybody up: do a piece, and put the rest off with [`Loop::next_turn`](crate::Loop::next_turn).
//!
//! # 7. A client
//!
//! ```
//! use tidegate::EventLoop;
//!
//! let mut event_loop = EventLoop::with_state(String::new())?;
//! let server = event_loop.listen("127.0.0.1:0", |socket| {
//!     socket.end_with("good day");
//!     socket.event_loop().net.close_servers();
//! })?;
//! let address = event_loop.net.server_address(server).expect("it listens");
//! event_loop.connect(address, |client| {
//!     client.on_text(|client, text| client.state.push_str(text));
//!     // Reconnecting at once is connecting again in `on_close`: the id and the handlers stay. After a while it takes a new
//!     // connection: the id is stale when `on_close` has returned.
//!     client.on_error(|_, error| eprintln!("{error}"));
//! })?;
//! event_loop.run()?; // until nothing is left that is referenced and active
//! assert_eq!(event_loop.state, "good day");
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! Names are not resolved: an address, or `localhost`, or `unix:/path`.
//!
//! # 8. Stopping
//!
//! A program that is told to stop lets everybody come to an end: no new connections, what was said is heard, what was
//! written goes out, and who does not close within ten seconds is destroyed, which `on_close` is told as
//! [`CloseReason::Shutdown`](crate::CloseReason::Shutdown), with what was not sent. Then `run` returns.
//!
//! ```no_run
//! # #[cfg(feature = "signals")] {
//! use std::time::Duration;
//! use tidegate::{EventLoop, signal};
//!
//! let mut event_loop = EventLoop::new()?;
//! event_loop.listen("127.0.0.1:7000", |socket| socket.end_with("hello\n"))?;
//! for number in [signal::INTERRUPT, signal::TERMINATE] {
//!     event_loop.on_signal(number, |event_loop| event_loop.shut_down(Duration::from_secs(10)))?;
//! }
//! event_loop.run()?;
//! println!("bye");
//! # }
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! # 9. Other threads
//!
//! A loop stays on its thread, and work that takes long would hold everybody up. A program may have threads of its own for
//! that. Each is given a [`Waker`](crate::Waker), the only part of a loop that may leave its thread; what it has for the loop
//! goes through a channel:
//!
//! ```
//! use std::sync::mpsc;
//! use std::thread;
//! use tidegate::{EventLoop, SocketId};
//!
//! let (sender, results) = mpsc::channel::<(SocketId, String)>();
//! let mut event_loop = EventLoop::new()?;
//! event_loop.on_wake(move |event_loop| {
//!     for (client, result) in results.try_iter() {
//!         event_loop.net.end_with(client, result.as_bytes(), None);
//!     }
//! });
//! let server = event_loop.listen("127.0.0.1:0", move |socket| {
//!     let (client, sender) = (socket.id(), sender.clone());
//!     socket.resume(); // a client that leaves is noticed
//!     match socket.event_loop().waker() {
//!         Ok(waker) => {
//!             thread::spawn(move || {
//!                 let result = (1..=20u64).product::<u64>(); // what takes long
//!                 sender.send((client, result.to_string())).expect("the loop receives");
//!                 waker.wake()
//!             });
//!         }
//!         Err(error) => socket.end_with(error.to_string()),
//!     }
//!     socket.event_loop().net.close_servers();
//! })?;
//! # let address = event_loop.net.server_address(server).expect("it listens");
//! # event_loop.connect(address, |client| client.on_text(|_, text| assert_eq!(text, "2432902008176640000")))?;
//! event_loop.run()?;
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! The client may be gone when the result comes: its id is stale then, and the call does nothing. The loop runs as long as
//! there is a waker, so it waits for its workers.
//!
//! # 10. A handler that panics
//!
//! A panic in a handler comes out of [`EventLoop::run`](crate::EventLoop::run). Most programs end there. One that would rather
//! go on catches it and calls `run` again:
//!
//! ```
//! use std::panic::{AssertUnwindSafe, catch_unwind};
//! use std::time::Duration;
//! use tidegate::EventLoop;
//!
//! let mut event_loop = EventLoop::with_state(0)?;
//! event_loop.every(Duration::from_millis(1), |event_loop| {
//!     *event_loop.state += 1;
//!     match *event_loop.state {
//!         1 => panic!("a mistake"),
//!         2 => (),
//!         _ => event_loop.stop(),
//!     }
//! });
//! // The loop is whole. `AssertUnwindSafe` is your word that your own state is, too.
//! while let Err(_panic) = catch_unwind(AssertUnwindSafe(|| event_loop.run())) {
//!     eprintln!("a handler has panicked; the others go on");
//! }
//! assert_eq!(event_loop.state, 3);
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! What is promised then:
//!
//! - The handler that panicked is in its place again, and so is a timer that repeats. What runs once (`after`, `next_tick`,
//!   the callback of a write) has run.
//! - The event is over: it does not come again. The events after it come in the next `run` or `turn`, in their order.
//! - The socket stays open, also if the closure of `listen` or `connect` has hung only half of the handlers on it. A program
//!   that catches panics may want to destroy it.
//! - If a handler for data panics, those for text and for lines do not get that chunk. If a handler for lines panics, the
//!   other lines of that chunk are lost as a whole; half of one is never taken for a line.
//!
//! # 11. Tests without a network
//!
//! The same loop runs on a simulated kernel, with a clock of its own and any weather: see [`sim`](crate::sim). An idle hour
//! costs nothing, and a failing seed fails again. Put the server into a function that is given the loop, and `main` and the
//! test share it:
//!
//! ```
//! # #[cfg(unix)] {
//! use std::time::Duration;
//! use tidegate::sim::Sim;
//! use tidegate::{Error, EventLoop, ServerId};
//!
//! /// What `main` calls too.
//! fn serve<S>(on: &mut EventLoop<S>, address: &str) -> Result<ServerId, Error> {
//!     on.listen(address, |socket| {
//!         socket.set_timeout(Some(Duration::from_secs(3600)));
//!         socket.on_timeout(|socket| {
//!             socket.write("an hour!\n");
//!             socket.destroy_soon();
//!         });
//!     })
//! }
//!
//! // Each loop is a machine of its own, and they meet on the simulated network.
//! let sim = Sim::new(7);
//! let mut server = EventLoop::on(sim.kernel(), ());
//! let mut client = EventLoop::on(sim.kernel(), String::new());
//! serve(&mut server, "10.0.0.1:7000")?;
//! client.connect("10.0.0.1:7000", |client| client.on_text(|client, text| client.state.push_str(text)))?;
//! sim.run(&mut [&mut server, &mut client], Duration::from_secs(7200))?;
//! assert_eq!(client.state, "an hour!\n");
//! # }
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! From here: [`docs/programs.md`](https://docs.rs/crate/tidegate/latest/source/docs/programs.md) has seventeen small programs,
//! and [`docs/node.md`](https://docs.rs/crate/tidegate/latest/source/docs/node.md) each name of Node's.
//!
//! [`Socket`]: crate::Socket
//! [`Socket::is_writable`]: crate::Socket::is_writable
//! [`Socket::on_text`]: crate::Socket::on_text
//! [`Socket::on_data`]: crate::Socket::on_data
//! [`Socket::on_line`]: crate::Socket::on_line
//! [`Socket::resume`]: crate::Socket::resume
//! [`SocketId`]: crate::SocketId
