//! A handler panics, somebody catches the panic, and the loop goes on: all handlers and timers are in their places.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use tidegate::sim::Sim;
use tidegate::{EventLoop, ServerOptions, Socket};

const ADDRESS: &str = "10.0.0.1:7";

/// What happened, in order.
type Log = Vec<String>;

fn event_loop(sim: &Sim) -> EventLoop<Log> {
    EventLoop::on(sim.kernel(), Log::new())
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Runs a loop to its end, again and again, and says how often a handler has panicked.
fn panics(event_loop: &mut EventLoop<Log>) -> usize {
    let patience = event_loop.after(ms(3_600_000), |event_loop| event_loop.stop());
    event_loop.event_loop().set_ref(patience, false);
    for panics in 0..20 {
        if let Ok(run) = catch_unwind(AssertUnwindSafe(|| event_loop.run())) {
            run.unwrap();
            return panics;
        }
    }
    panic!("it never comes to its end");
}

/// Notes a word, and panics if it is a bad one.
fn hear(socket: &mut Socket<'_, Log>, word: &str) {
    socket.state.push(word.to_owned());
    assert!(!word.contains("bad"), "{word}");
}

/// A client that says one thing after the other, and ends.
fn say(event_loop: &mut EventLoop<Log>, words: &'static [&'static [u8]]) {
    let client = event_loop.connect(ADDRESS, |_| {}).unwrap();
    for (at, word) in words.iter().enumerate() {
        event_loop.after(ms(10 * (at as u64 + 1)), move |event_loop| {
            event_loop.net.write(client, word);
        });
    }
    event_loop.after(ms(10 * (words.len() as u64 + 1)), move |event_loop| event_loop.net.end(client, None));
}

/// A server of one connection, on which `hang` hangs handlers.
fn serve(event_loop: &mut EventLoop<Log>, hang: impl Fn(&mut Socket<'_, Log>) + 'static) {
    event_loop
        .listen(ADDRESS, move |socket| {
            socket.net.close_servers();
            hang(socket);
        })
        .unwrap();
}

#[test]
fn a_socket_hears_the_next_event_with_the_same_handler() {
    let mut event_loop = event_loop(&Sim::new(1));
    serve(&mut event_loop, |socket| {
        let mut count = 0;
        socket.on_data(move |socket, chunk| {
            count += 1;
            hear(socket, &format!("{count} {}", String::from_utf8_lossy(chunk)));
        });
        socket.on_end(|socket| hear(socket, "bad end"));
        socket.on_close(|socket, closed| hear(socket, &format!("closed, error {}", closed.had_error)));
    });
    say(&mut event_loop, &[b"one", b"bad", b"two", b"bad", b"three"]);
    assert_eq!(panics(&mut event_loop), 3);
    assert_eq!(event_loop.state, ["1 one", "2 bad", "3 two", "4 bad", "5 three", "bad end", "closed, error false"]);
}

#[test]
fn what_a_handler_has_set_before_it_panics_stays() {
    let mut event_loop = event_loop(&Sim::new(1));
    serve(&mut event_loop, |socket| {
        socket.on_data(|socket, _| {
            socket.on_data(|socket, chunk| hear(socket, &String::from_utf8_lossy(chunk)));
            hear(socket, "bad");
        });
    });
    say(&mut event_loop, &[b"one", b"two"]);
    assert_eq!(panics(&mut event_loop), 1);
    assert_eq!(event_loop.state, ["bad", "two"]);
}

#[test]
fn half_a_character_is_not_lost() {
    let mut event_loop = event_loop(&Sim::new(1));
    serve(&mut event_loop, |socket| socket.on_text(hear));
    say(&mut event_loop, &[b"bad \xE2\x82", b"\xAC"]);
    assert_eq!(panics(&mut event_loop), 1);
    assert_eq!(event_loop.state, ["bad ", "€"]);
}

#[test]
fn lines_of_the_chunk_are_lost_as_a_whole() {
    let mut event_loop = event_loop(&Sim::new(1));
    serve(&mut event_loop, |socket| socket.on_line(80, |socket, line| hear(socket, &line.text())));
    say(&mut event_loop, &[b"one\nbad\nlost\nthr", b"ee\nfour"]);
    assert_eq!(panics(&mut event_loop), 1);
    assert_eq!(event_loop.state, ["one", "bad", "three", "four"]);
}

#[test]
fn a_timer_that_comes_again_does_so_and_others_are_gone() {
    let mut event_loop = event_loop(&Sim::new(1));
    event_loop.after(ms(15), |_| panic!("once"));
    let mut count = 0;
    event_loop.every(ms(10), move |event_loop| {
        count += 1;
        event_loop.state.push(format!("{count}"));
        if count == 4 {
            event_loop.stop();
        }
        assert_ne!(count, 2, "twice");
    });
    assert_eq!(panics(&mut event_loop), 2);
    assert_eq!(event_loop.state, ["1", "2", "3", "4"]);
    assert_eq!(event_loop.net.counters().errors_unhandled, 0);
}

#[test]
fn a_timer_that_is_cancelled_by_its_handler_is_gone() {
    let dropped = Rc::new(Cell::new(false));
    let mut event_loop = event_loop(&Sim::new(1));
    let timer = Rc::new(Cell::new(None));
    let (own, held) = (Rc::clone(&timer), Held(Rc::clone(&dropped)));
    timer.set(Some(event_loop.every(ms(10), move |event_loop| {
        let _held = &held;
        event_loop.cancel(own.get().unwrap());
        panic!("for the first and the last time");
    })));
    assert_eq!(panics(&mut event_loop), 1);
    assert!(dropped.get(), "the closure is let go");
}

struct Held(Rc<Cell<bool>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn ticks_that_wait_run_and_the_one_that_panicked_does_not_run_again() {
    let mut event_loop = event_loop(&Sim::new(1));
    for word in ["one", "bad", "two"] {
        event_loop.next_tick(move |event_loop| {
            event_loop.state.push(word.to_owned());
            assert_ne!(word, "bad");
        });
    }
    event_loop.event_loop().next_turn(|_| panic!("in the next turn"));
    event_loop.event_loop().next_turn(|event_loop| event_loop.state.push("three".to_owned()));
    assert_eq!(panics(&mut event_loop), 2);
    assert_eq!(event_loop.state, ["one", "bad", "two", "three"]);
}

#[test]
fn callbacks_of_writes_run_once_and_in_their_order() {
    let mut event_loop = event_loop(&Sim::new(1));
    serve(&mut event_loop, |socket| socket.resume());
    event_loop
        .connect(ADDRESS, |client| {
            client.on_finish(|client| hear(client, "finish"));
            for word in ["one", "bad", "two"] {
                client.write_then(word, move |client, written| {
                    written.unwrap();
                    hear(client, word);
                });
            }
            client.end_then(|client, _| hear(client, "bad end"));
        })
        .unwrap();
    assert_eq!(panics(&mut event_loop), 2);
    assert_eq!(event_loop.state, ["one", "bad", "two", "bad end", "finish"]);
}

#[test]
fn a_signal_may_be_read_again() {
    let sim = Sim::new(1);
    let mut event_loop = event_loop(&sim);
    let mut count = 0;
    let handler = move |event_loop: &mut tidegate::Loop<'_, Log>| {
        count += 1;
        event_loop.state.push(format!("{count}"));
        assert_ne!(count, 1);
    };
    event_loop.on_signal(tidegate::signal::HANGUP, handler).unwrap();
    for at in [10, 20] {
        let sim = sim.clone();
        event_loop.after(ms(at), move |_| sim.raise(tidegate::signal::HANGUP));
    }
    event_loop.after(ms(30), |_| {});
    assert_eq!(panics(&mut event_loop), 1);
    assert_eq!(event_loop.state, ["1", "2"]);
}

#[test]
fn a_server_goes_on_listening_with_all_its_handlers() {
    let mut event_loop = event_loop(&Sim::new(1));
    let mut count = 0;
    let options = ServerOptions::new().max_connections(2);
    let server = event_loop.listen_with(ADDRESS, options, move |socket| {
        count += 1;
        socket.resume();
        hear(socket, if count == 1 { "bad connection" } else { "connection" });
    });
    let server = server.unwrap();
    let mut view = event_loop.server(server).unwrap();
    view.on_listening(|_| panic!("listening"));
    view.on_drop(|server, _| {
        server.state.push("drop".to_owned());
        panic!("drop");
    });
    view.on_close(|server| {
        server.state.push("close".to_owned());
        panic!("close");
    });
    for at in 1..=4 {
        event_loop.after(ms(at), |event_loop| {
            event_loop.connect(ADDRESS, |client| client.resume()).unwrap();
        });
    }
    for at in [10, 20] {
        // A server that is closed already says so again.
        event_loop.after(ms(at), |event_loop| event_loop.close_all());
        event_loop.after(ms(at + 1), move |event_loop| event_loop.net.close_server(server));
    }
    let panics = panics(&mut event_loop);
    let heard = |word: &str| event_loop.state.iter().filter(|heard| *heard == word).count();
    assert_eq!((heard("bad connection"), heard("connection"), heard("drop")), (1, 1, 2));
    assert!(heard("close") > 1, "{:?}", event_loop.state);
    assert_eq!(panics, 1 + 1 + 2 + heard("close"));
}

#[test]
fn a_socket_whose_close_panics_is_gone_with_its_handlers_and_timers() {
    let dropped = Rc::new(Cell::new(false));
    let sim = Sim::new(1);
    let mut event_loop = event_loop(&sim);
    event_loop.listen(ADDRESS, |socket| socket.end()).unwrap();
    let held = Held(Rc::clone(&dropped));
    let client = event_loop.connect(ADDRESS, move |client| {
        client.resume();
        client.on_close(move |client, _| {
            let _held = &held;
            client.net.close_servers();
            client.after(ms(1000), |_| panic!("the socket is gone"));
            panic!("close");
        });
    });
    assert_eq!(panics(&mut event_loop), 1);
    assert!(!event_loop.net.connection(client.unwrap()).exists());
    assert!(dropped.get(), "the closure is let go");
    assert!(sim.now() < ms(1000), "nothing waits for its timer");
}

#[test]
fn a_loop_that_is_shut_down_comes_to_its_end() {
    let sim = Sim::new(1);
    let mut event_loop = event_loop(&sim);
    event_loop
        .listen(ADDRESS, |socket| {
            socket.on_data(|socket, chunk| {
                socket.write(chunk);
                socket.event_loop().shut_down(Duration::from_secs(10));
                panic!("data");
            });
        })
        .unwrap();
    event_loop.every(ms(10), |_| {});
    event_loop
        .connect(ADDRESS, |client| {
            client.write("hello");
            client.on_text(hear);
        })
        .unwrap();
    assert_eq!(panics(&mut event_loop), 1);
    assert_eq!(event_loop.state, ["hello"]);
    assert!(sim.now() < Duration::from_secs(1));
}
