//! What went wrong once, each with the smallest case that shows it.

#[path = "support/loops.rs"]
mod loops;
use loops::*;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use tidegate::*;

fn room(output_limits: OutputLimits) -> (World, SocketId, TcpStream) {
    let mut world = World::new();
    let options = ServerOptions { output_limits, ..ServerOptions::default() };
    let raw = world.raw_pair(options, quiet);
    world.until_saw("server", "connection");
    let id = world.id("S");
    (world, id, raw)
}
fn hard(bytes: usize, policy: OutputPolicy) -> OutputLimits {
    OutputLimits { hard: Some(bytes), soft: None, policy }
}

#[test]
fn run_with_only_deferred_work_returns() {
    let mut world = World::new();
    world.event_loop().next_tick(|on| on.state.note("tick", "ran"));
    let guard = world.after(ms(2000), |_| panic!("run() sleeps though nothing is alive"));
    world.net.set_timer_ref(guard, false);
    world.run().unwrap();
}

#[test]
fn a_broadcast_to_a_connecting_socket_goes_out() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::default(), quiet);
    world.turn_for(ms(5));
    world.after(ms(1), move |on| {
        let id = on.connect(address, |socket| watch(socket, "C", quiet)).unwrap();
        on.net.broadcast([id], "hello");
    });
    world.until_saw("C", "connect");
    world.turn_for(ms(30));
    assert_eq!(world.state.of("S"), ["data hello"]);
}

#[test]
fn a_write_behind_a_broadcast_on_a_connecting_socket_goes_out_and_its_end_too() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::default(), quiet);
    world.turn_for(ms(5));
    world.after(ms(1), move |on| {
        let id = on.connect(address, |socket| watch(socket, "C", quiet)).unwrap();
        on.net.broadcast([id], "hello");
        on.net.write(id, b" there");
        on.net.end(id, None);
    });
    world.until_saw("C", "connect");
    world.turn_for(ms(30));
    assert_eq!(world.state.of("S"), ["data hello there", "end", "finish", "close(false)"]);
}

#[test]
fn a_write_with_a_callback_is_admitted_where_one_without_is_and_answered_where_it_is_not() {
    let (mut world, id, raw) = room(hard(1000, OutputPolicy::DropNewest));
    assert!(world.net.write(id, &pattern(2000)), "the reader keeps up");
    assert!(world.of("S").write_then(pattern(2000), told("S", "as large")));
    assert_eq!(world.read_raw(&raw, 4000).len(), 4000);
    world.of("S").cork();
    world.of("S").write_then(pattern(2000), told("S", "refused"));
    world.turn_for(ms(10));
    assert!(world.state.of("S").iter().any(|event| event.starts_with("refused")));
}

#[test]
fn dropping_the_newest_spares_a_reader_that_keeps_up() {
    let (mut world, id, raw) = room(hard(10_000, OutputPolicy::DropNewest));
    for _ in 0..20 {
        world.net.broadcast([id], [b'x'; 1000]);
    }
    assert_eq!(world.net.counters().messages_dropped, 0);
    assert_eq!(world.read_raw(&raw, 20_000).len(), 20_000);
}

#[test]
fn the_callback_of_a_write_that_was_dropped_says_so() {
    let (mut world, id, raw) = room(OutputLimits::default());
    world.net.write(id, &pattern(FLOOD));
    let unsent = world.net.unsent(id);
    world.net.set_output_limits(id, hard(unsent + 50_000, OutputPolicy::DropOldest)).unwrap();
    world.of("S").write_then(vec![b'a'; 30_000], told("S", "first"));
    world.of("S").write_then(vec![b'b'; 30_000], told("S", "second"));
    world.read_raw(&raw, FLOOD + 30_000);
    world.until_saw("S", "second ok");
    assert_eq!(world.net.counters().messages_dropped, 1);
    assert!(!world.state.saw("S", "first ok"), "{:?}", world.state.of("S"));
}

#[test]
fn a_write_inside_on_close_has_its_callback() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| match heard {
        Heard::Connect => socket.destroy(),
        Heard::Close(_) => {
            socket.write_then("x", told("C", "cb"));
        }
        _ => {}
    });
    world.until_closed(&["C"]);
    world.turn_for(ms(10));
    assert_eq!(world.state.of("C"), ["connect", "close(false)", "cb ERR_STREAM_DESTROYED"]);
}

#[test]
fn catch_up_waits_for_resume() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::default(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.pause();
        }
    });
    world.until_saw("server", "connection");
    raw.write_all(b"said").unwrap();
    world.until(|world| world.of("S").bytes_read() == 4);
    world.of("S").catch_up(told("S", "caught up"));
    world.turn_for(ms(20));
    assert_eq!(world.state.of("S"), [""; 0]);
}

#[test]
fn catch_up_waits_for_resume_behind_the_end() {
    let mut world = World::new();
    let mut raw = world.raw_pair(ServerOptions::default(), |socket, heard| {
        if let Heard::Accepted = heard {
            socket.pause();
        }
    });
    world.until_saw("server", "connection");
    raw.write_all(b"said").unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    world.turn_for(ms(10));
    world.of("S").catch_up(told("S", "caught up"));
    world.turn_for(ms(20));
    assert_eq!(world.state.of("S"), [""; 0]);
}

#[test]
fn each_catch_up_is_answered() {
    let mut world = World::new();
    let _raw = world.raw_pair(ServerOptions::default(), quiet);
    world.until_saw("server", "connection");
    world.of("S").catch_up(told("S", "first"));
    world.of("S").catch_up(told("S", "second"));
    world.turn_for(ms(20));
    assert_eq!(world.state.of("S"), ["first ok", "second ok"]);
}

#[test]
fn a_write_that_waited_fails_also_if_the_socket_connects_again_in_on_close() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::default(), quiet);
    world.client("C", nobody(), move |socket, heard| {
        if let Heard::Close(_) = heard
            && socket.state.add("closes", 1) == 1
        {
            socket.connect(address).unwrap();
            socket.write_then("new", told("C", "new"));
        }
    });
    world.of("C").write_then("old", told("C", "old"));
    world.of("C").write_then("older", told("C", "older"));
    world.until_saw("C", "new ok");
    world.turn_for(ms(10));
    assert!(!world.state.saw("C", "old ok"));
    assert!(!world.state.saw("C", "older ok"));
}

#[test]
fn half_a_character_of_one_connection_is_not_the_next_ones() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::default(), |socket, heard| {
        if let Heard::Accepted = heard {
            match socket.state.add("n", 1) {
                1 => socket.write(&"é".as_bytes()[..1]),
                _ => socket.write("ok"),
            };
        }
    });
    world
        .connect(address, move |socket| {
            socket.on_text(|socket, text| socket.state.note("C", text));
            socket.after(ms(20), |socket| socket.destroy());
            socket.on_close(move |socket, _| {
                if socket.state.number("n") == 1 {
                    socket.connect(address).unwrap();
                }
            });
        })
        .unwrap();
    world.until(|world| !world.state.of("C").is_empty());
    assert_eq!(world.state.of("C"), ["ok"]);
}

#[test]
fn callbacks_of_the_net_and_of_the_loop_do_not_mix() {
    let (mut world, id, _raw) = room(OutputLimits::default());
    world.of("S").write_then(pattern(FLOOD), told("S", "flood"));
    let other = world.new_socket(SocketOptions::default(), |_| {}).unwrap();
    world.net.write_with(other, b"x", 0);
    world.turn_for(ms(10));
    assert!(world.net.unsent(id) > 0);
    assert_eq!(world.state.of("S"), [""; 0], "the callback of a write that is still in flight");
}

#[test]
fn a_write_inside_on_close_behind_a_connect_goes_out() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::default(), quiet);
    world.client("C", nobody(), move |socket, heard| {
        if let Heard::Close(_) = heard
            && socket.state.add("closes", 1) == 1
        {
            socket.connect(address).unwrap();
            socket.write_then("hello again", told("C", "write"));
        }
    });
    world.until_saw("C", "connect");
    world.turn_for(ms(20));
    assert_eq!(world.state.data("S"), b"hello again");
}

#[test]
fn end_then_on_a_destroyed_socket_is_answered() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.destroy();
            socket.end_then(told("C", "end"));
        }
    });
    world.until_closed(&["C"]);
    world.turn_for(ms(10));
    assert!(world.state.saw("C", "end ERR_STREAM_DESTROYED"), "{:?}", world.state.of("C"));
}

#[test]
fn the_grace_period_of_one_connection_is_not_the_next_ones() {
    let grace = ms(300);
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions { pause_on_connect: true, ..ServerOptions::default() }, |_| {});
    let output_limits = OutputLimits { soft: Some(SoftLimit { bytes: 1000, grace }), ..OutputLimits::default() };
    let options = SocketOptions { output_limits, ..SocketOptions::default() };
    world.client_with(options, "C", address, move |socket, heard| match heard {
        Heard::Connect if socket.state.add("n", 1) == 1 => {
            socket.write(pattern(FLOOD));
            socket.after(ms(200), |socket| socket.destroy());
        }
        Heard::Connect => {
            socket.write(pattern(FLOOD));
            let now = socket.net.now();
            socket.state.moments.insert("above", now);
        }
        Heard::Close(_) if socket.state.number("n") == 1 => socket.connect(address).unwrap(),
        Heard::Error(_) => {
            let above = socket.net.now() - socket.state.moments["above"];
            assert!(above >= grace, "ended after {above:?}");
        }
        _ => {}
    });
    world.until_saw("C", "close(true)");
}

#[test]
fn a_connection_destroyed_inside_the_on_close_that_made_it_has_its_own_close() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::default(), |_| {});
    world.client("C", address, move |socket, heard| match heard {
        Heard::Connect => socket.destroy(),
        Heard::Close(_) if socket.state.add("n", 1) == 1 => {
            socket.connect(address).unwrap();
            socket.destroy();
        }
        _ => {}
    });
    world.until_closed(&["C"]);
    world.turn_for(ms(20));
    assert_eq!(world.state.of("C"), ["connect", "close(false)", "close(false)"]);
}

#[test]
fn a_text_handler_replaced_while_it_runs_keeps_half_a_character() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::default(), |socket| {
        watch(socket, "S", quiet);
        socket.off_data();
        socket.on_text(|socket, text| {
            socket.state.note("S", text);
            socket.on_text(|socket, text| socket.state.note("S", text));
        });
    });
    let mut raw = TcpStream::connect(address).unwrap();
    let bytes = "né".as_bytes();
    raw.write_all(&bytes[..2]).unwrap();
    world.until(|world| world.state.saw("S", "n"));
    raw.write_all(&bytes[2..]).unwrap();
    world.until(|world| world.state.of("S").len() == 2);
    assert_eq!(world.state.of("S"), ["n", "é"]);
}

#[test]
fn a_timer_of_a_socket_does_not_outlive_the_connection() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::default(), |_| {});
    world.client("C", address, move |socket, heard| match heard {
        Heard::Connect if socket.state.add("n", 1) == 1 => {
            socket.after(ms(30), |socket| socket.state.note("C", "timer of the first"));
            socket.destroy();
        }
        Heard::Close(_) if socket.state.number("n") == 1 => socket.connect(address).unwrap(),
        _ => {}
    });
    world.turn_for(ms(60));
    assert!(!world.state.saw("C", "timer of the first"));
}

#[test]
fn catch_up_before_the_connection_is_answered_after_it() {
    let mut world = World::new();
    let (_, address) = world.sockets_called_s(ServerOptions::default(), quiet);
    world
        .new_socket(SocketOptions::default(), |socket| {
            watch(socket, "C", quiet);
            socket.catch_up(told("C", "caught up"));
            socket.connect(address).unwrap();
        })
        .unwrap();
    world.turn_for(ms(30));
    assert_eq!(world.state.of("C"), ["connect", "caught up ok"]);
}

#[test]
fn an_idle_clock_does_not_start_again_with_the_next_connection() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::default(), |_| {});
    world.client("C", address, move |socket, heard| match heard {
        Heard::Connect if socket.state.add("n", 1) == 1 => {
            socket.set_timeout(Some(ms(10)));
            socket.destroy();
        }
        Heard::Close(_) if socket.state.number("n") == 1 => socket.connect(address).unwrap(),
        _ => {}
    });
    world.turn_for(ms(60));
    assert_eq!(world.state.of("C"), ["connect", "close(false)", "connect"]);
}

#[test]
fn an_end_with_data_after_the_end_answers_its_callback() {
    let mut world = World::new();
    world.pair(quiet, |socket, heard| {
        if let Heard::Connect = heard {
            socket.end();
            let id = socket.id();
            socket.net.end_with(id, b"x", Some(7));
        }
    });
    let mut told = false;
    for _ in 0..50 {
        while let Some(event) = world.net.next_event(Some(ms(1))).unwrap() {
            told |= matches!(event, Event::Callback { callback: 7, outcome: Err(_), .. });
            if let Event::Connect(id) = event {
                world.net.end(id, None);
                world.net.end_with(id, b"x", Some(7));
            }
        }
    }
    assert!(told);
}

#[test]
fn localhost_tells_the_error_of_its_first_address() {
    let mut world = World::new();
    world
        .connect("localhost:1", |socket| {
            socket.on_error(|socket, error| {
                let address = error.address().map(|address| address.to_string()).unwrap_or_default();
                socket.state.note("C", address);
            });
        })
        .unwrap();
    world.until(|world| !world.state.of("C").is_empty());
    assert_eq!(world.state.of("C"), ["127.0.0.1:1"]);
}
