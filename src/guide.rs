//! A tutorial, from ten lines to a server that can be trusted. There is no code in this module.
//!
//! 1. [A server](#1-a-server)
//! 2. [State](#2-state)
//! 3. [A peer that does not read](#3-a-peer-that-does-not-read)
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
//! The closure of `listen` runs once for each connection, and sets handlers on it. Their names are Node's: `on_data`, `on_end`,
//! `on_close`. Handlers run on this one thread, one at a time. What a call causes comes later, as an event of its own, and
//! never inside the call.
//!
//! A [`Socket`] is a view that is lent for a moment. To find the socket again, keep its [`SocketId`], `socket.id()`. An id may
//! outlive its socket. Calls with such an id do nothing.
//!
//! # 2. State
//!
//! In Node, handlers share variables by capturing them. Here the loop owns one value of your own type, and lends it to every
//! handler as `socket.state`:
//!
//! ```
//! use std::collections::BTreeSet;
//! use tidegate::{EventLoop, SocketId};
//!
//! #[derive(Default)]
//! struct Room {
//!     members: BTreeSet<SocketId>,
//! }
//!
//! let mut room = EventLoop::with_state(Room::default())?;
//! room.listen("127.0.0.1:0", |socket| {
//!     let id = socket.id();
//!     socket.state.members.insert(id);
//!     socket.on_data(move |socket, chunk| {
//!         // `state` and `net` are two fields: one can be read while the other writes.
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
//! A broadcast copies the message once. All broadcasts to one receiver within a turn are sent as one write. A broadcast waits
//! for no receiver, so what a member does not read is queued. If strangers can join the room, it needs a limit: see the next
//! section.
//!
//! # 3. A peer that does not read
//!
//! `write` is `true` while less than the high-water mark is queued (64 KiB). After a `false`, stop writing; `on_drain` says
//! when to go on. Otherwise the queue grows. There are three ways to handle this. The first one is the least work:
//!
//! ```
//! use tidegate::{EventLoop, OutputLimits, ServerOptions};
//!
//! let mut event_loop = EventLoop::new()?;
//! // A pipe reads no faster than the destination takes the bytes.
//! event_loop.listen("127.0.0.1:0", |socket| {
//!     let itself = socket.id();
//!     if let Err(error) = socket.pipe(itself) {
//!         eprintln!("{error}");
//!     }
//! })?;
//! // A limit: with more than a megabyte unsent, the connection is destroyed.
//! let limited = ServerOptions::new().output_limits(OutputLimits::disconnect_above(1 << 20));
//! event_loop.listen_with("127.0.0.1:0", limited, |socket| {
//!     socket.on_data(|socket, chunk| {
//!         socket.write(chunk);
//!     });
//! })?;
//! // By hand, as in Node.
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
//! TCP is a stream of bytes: a chunk is not a message. [`Socket::on_line`] cuts the stream into lines, and limits their length:
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
//! The last line needs no end. Lines may still arrive after you call `end`, so check [`Socket::is_writable`] before you answer.
//!
//! [`Socket::on_text`] gives text that is not cut into lines. It joins a character that is split between two chunks. For
//! messages of another form, use [`Socket::on_data`]. To stop between two lines, use [`Lines`](crate::Lines) there.
//!
//! A connection is read from if it has one of these three handlers, or after [`Socket::resume`], which discards what it reads.
//! A server that only sends should call `resume`: the client's end follows its data, so without reading you never notice
//! that the client has left.
//!
//! # 5. Ends
//!
//! Each direction of a connection ends by itself. `on_end` comes when the other side has sent everything. Then this side ends
//! too, after what was written, unless half-open is allowed. `on_close` comes once, as the last event, and gives the reason:
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
//! - `end` ends this side after what was written, and waits for the other side's end.
//! - `destroy_soon` closes the connection when everything is sent.
//! - `destroy` closes it at once, and `reset` with a reset (RST).
//!
//! A write after `end` is an error. An error without a handler is counted and logged; it ends its own connection and nothing
//! else.
//!
//! [`ServerOptions::max_connections`](crate::ServerOptions::max_connections) limits the number of connections. A client above
//! the limit is closed at once.
//!
//! # 6. Time
//!
//! ```
//! use std::time::Duration;
//! # use tidegate::EventLoop;
//! # let mut event_loop = EventLoop::with_state(0)?;
//! event_loop.listen("127.0.0.1:0", |socket| {
//!     // Nothing was read or written for a minute. Such a peer may not answer an `end`, so do not wait for it.
//!     socket.set_timeout(Some(Duration::from_secs(60)));
//!     socket.on_timeout(|socket| {
//!         socket.write("you are idle\n");
//!         socket.destroy_soon();
//!     });
//!     // Cancelled when the socket closes.
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
//! `set_timeout` closes nothing. It is Node's clock: each read or write starts it again. If a write is stalled, `timeout` comes
//! after twice the time.
//!
//! While a handler works, all other sockets wait. The loop itself takes care of many short handlers: a turn has a budget of
//! 5 ms ([`Net::set_turn_budget`](crate::Net::set_turn_budget)), and what is over waits for the next turn, also the lines
//! of one chunk. If one handler has much to do, it asks [`Net::time_is_up`](crate::Net::time_is_up) after each piece and puts
//! the rest off with [`Socket::yield_turn`](crate::Socket::yield_turn), or with
//! [`Loop::next_turn`](crate::Loop::next_turn).
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
//!     // To connect again at once, call `connect` in `on_close`: the id and the handlers stay. To connect again later, make
//!     // a new connection: the id is stale after `on_close`.
//!     client.on_error(|_, error| eprintln!("{error}"));
//! })?;
//! event_loop.run()?; // until no server listens and no socket is open
//! assert_eq!(event_loop.state, "good day");
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! The other side is an address, `localhost`, `unix:/path`, or with the feature `names` the name of a host: `www.example.org:80`. It
//! is looked up on the loop, and its addresses are tried as RFC 8305 wants it.
//!
//! # 8. Stopping
//!
//! [`Loop::shut_down`](crate::Loop::shut_down) stops a program in order. It stops listening, reads what has arrived, and ends
//! each connection after its queued writes. What is still open after ten seconds is destroyed: its `on_close` has the reason
//! [`CloseReason::Shutdown`](crate::CloseReason::Shutdown), and the number of bytes that were not sent. Then `run` returns.
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
//! If handlers write what they read to a connection of the program's own, such as a database, that one is made with
//! [`SocketOptions::outlasts`](field@crate::SocketOptions::outlasts), and the program ends it when its last client has closed.
//!
//! # 9. Other threads
//!
//! The library starts no thread, and a loop stays on the thread that made it. A program can have other threads, for work that
//! takes long. It gives each a [`Waker`](crate::Waker), which is the only part of a loop that can go to another thread. Results
//! come through a channel:
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
//!                 let result = (1..=20u64).product::<u64>(); // the work that takes long
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
//! If the client is gone when the result comes, its id is stale, and the call does nothing. The loop runs as long as there is
//! a waker, so it waits for its workers.
//!
//! # 10. A handler that panics
//!
//! A panic in a handler leaves [`EventLoop::run`](crate::EventLoop::run). Most programs end there. A program can also catch the
//! panic and call `run` again:
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
//! // With `AssertUnwindSafe` you say that your own state is in order, too.
//! while let Err(_panic) = catch_unwind(AssertUnwindSafe(|| event_loop.run())) {
//!     eprintln!("a handler has panicked; the others go on");
//! }
//! assert_eq!(event_loop.state, 3);
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! What is promised then:
//!
//! - The handler is in its place again, and so is a timer that repeats. A handler that runs once has run: that of `after`, of
//!   `next_tick`, of a write.
//! - The event does not come again. The events after it come in the next `run` or `turn`, in their order.
//! - A `stop` or a `shut_down` that was called before stays in effect.
//! - The socket stays open, even if the closure of `listen` has set only half of its handlers. You may want to destroy it.
//! - If a handler for data panics, the handlers for text and for lines do not get that chunk. If a handler for lines panics,
//!   the other lines of the chunk are lost. They are lost as a whole: half of one is never taken for a line.
//!
//! # 11. Tests without a network
//!
//! The same loop runs on a simulated network, with its own clock, and with delays, losses and failures: see
//! [`sim`](crate::sim). An idle hour takes no time, and a seed that fails will fail again. Put the server into a function that
//! takes the loop, so that `main` and the test share it:
//!
//! ```
//! # #[cfg(unix)] {
//! use std::time::Duration;
//! use tidegate::sim::Sim;
//! use tidegate::{Error, EventLoop, ServerId};
//!
//! /// `main` calls it too.
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
//! // Each loop is a machine of its own, on the same simulated network.
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
//! # 12. A run that is recorded
//!
//! A loop learns of the world through its kernel alone. So a run can be written down there, by a
//! [`Recorder`](crate::kernel::Recorder) around the kernel, and made again from what was written, by a
//! [`Replay`](crate::kernel::Replay) in its place: on another machine, without a network, in a debugger. What the program does is
//! compared with what it did, and the first difference is named.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::fs::File;
//! use std::time::Duration;
//! use tidegate::kernel::{Header, MioKernel, Recorder, RecorderOptions, Replay, ReplayOptions, RunEnd};
//! use tidegate::{Error, EventLoop, SocketId};
//!
//! /// The program, on whatever kernel its loop has.
//! fn serve(mut on: EventLoop<BTreeMap<SocketId, u64>>) -> Result<(), Error> {
//!     on.listen("127.0.0.1:0", |socket| {
//!         let (id, mut ticket) = (socket.id(), [0; 8]);
//!         if socket.net.random(&mut ticket).is_ok() {
//!             socket.state.insert(id, u64::from_le_bytes(ticket));
//!         }
//!     })?;
//!     on.after(Duration::from_millis(1), |on| on.shut_down(Duration::from_secs(1)));
//!     on.run()
//! }
//!
//! # let path = std::env::temp_dir().join(format!("tidegate-guide-{}.rec", std::process::id()));
//! let file = File::create(&path)?;
//! let recorder = Recorder::new(MioKernel::new()?, file, &Header::new(), RecorderOptions::new())?;
//! serve(EventLoop::on(recorder, BTreeMap::new()))?;
//!
//! let replay = Replay::new(File::open(&path)?, ReplayOptions::new())?;
//! let playback = replay.playback();
//! serve(EventLoop::on(replay, BTreeMap::new()))?;
//! assert_eq!(playback.report().end, RunEnd::Ended);
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Your program has to keep these rules, so that its runs can be played:
//!
//! - Time comes from [`Net::now`](crate::Net::now) and from timers, not from `Instant::now` or `SystemTime::now`. Random bytes come
//!   from [`Net::random`](crate::Net::random).
//! - What you walk over is ordered: a `Vec`, a `BTreeMap`, [`Net::socket_ids`](crate::Net::socket_ids). The order of a `HashMap` is
//!   another one in each process. To look something up in one is fine.
//! - Files are opened by [`Loop::open`](crate::Loop::open), and standard streams by [`Loop::stdio`](crate::Loop::stdio), if what is in
//!   them matters.
//! - What else the program asks of the world, an environment variable or the result of a system call, goes into the recording with
//!   [`Recording::fact`](crate::kernel::Recording::fact), and comes from [`Playback::fact`](crate::kernel::Playback::fact).
//! - A password is no fact: only its length is, and it is written while [`Recording::conceal`](crate::kernel::Recording::conceal) is on. A
//!   run that is played writes any other bytes of that length.
//! - What other threads send is not in the recording.
//!
//! [`docs/recording.md`](https://docs.rs/crate/tidegate/latest/source/docs/recording.md) says what is compared and what it costs.
//!
//! # 13. What a loop says of itself
//!
//! [`Net::connections`](crate::Net::connections) is the table of connections: who is slow, who is paused because of whom, of whom what
//! was dropped. [`Net::statistics`](crate::Net::statistics) says how busy the loop is, over every turn, once a program has asked for it;
//! before that it costs nothing.
//!
//! ```
//! use std::time::Duration;
//! use tidegate::{EventLoop, FigureValue};
//!
//! let mut event_loop = EventLoop::new()?;
//! event_loop.net.keep_statistics();
//! event_loop.listen("127.0.0.1:0", |_| {})?;
//! event_loop.after(Duration::from_millis(1), |on| {
//!     let statistics = on.net.statistics().expect("they are kept");
//!     println!("working for {:?}, waiting for {:?}", statistics.working, statistics.waiting);
//!     for figure in statistics.each() {
//!         if let FigureValue::Count(count) = figure.value {
//!             println!("{} {count}", figure.name); // the names are as Prometheus wants them
//!         }
//!     }
//!     on.close_all();
//! });
//! event_loop.run()?;
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! To go on: [`docs/programs.md`](https://docs.rs/crate/tidegate/latest/source/docs/programs.md) has seventeen small programs,
//! and [`docs/node.md`](https://docs.rs/crate/tidegate/latest/source/docs/node.md) has each name of Node's.
//!
//! [`Socket`]: crate::Socket
//! [`Socket::is_writable`]: crate::Socket::is_writable
//! [`Socket::on_text`]: crate::Socket::on_text
//! [`Socket::on_data`]: crate::Socket::on_data
//! [`Socket::on_line`]: crate::Socket::on_line
//! [`Socket::resume`]: crate::Socket::resume
//! [`SocketId`]: crate::SocketId
