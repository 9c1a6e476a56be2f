//! Output limits: what happens to a connection whose other side does not read, in every state and for each policy.

use crate::support::loops::{FLOOD, Heard, World, ms, pattern, quiet, read_now, write_now};
use std::net::TcpStream;
use std::time::Duration;
use tidegate::{CloseReason, ErrorKind, OutputLimits, OutputPolicy, ServerOptions, SocketId, SocketOptions, SoftLimit};

const HOUR: Duration = Duration::from_secs(3600);

fn hard(bytes: usize, policy: OutputPolicy) -> OutputLimits {
    OutputLimits::new().hard(bytes).policy(policy)
}

fn soft(bytes: usize, grace: Duration, policy: OutputPolicy) -> OutputLimits {
    OutputLimits::new().hard(None).soft(SoftLimit::new(bytes, grace)).policy(policy)
}

/// A server with these limits and so many sockets, S1, S2..., and the plain sockets at their other ends.
fn room(output_limits: OutputLimits, count: usize) -> (World, Vec<SocketId>, Vec<TcpStream>) {
    World::room(ServerOptions::new().output_limits(output_limits), count, |socket, heard| {
        if let Heard::Error(error) = heard {
            assert_eq!(error.kind(), ErrorKind::OutputLimit);
            assert!(error.to_string().contains("the other side does not read"), "{error}");
            assert!(socket.is_destroyed());
        }
    })
}

fn assert_limited(world: &mut World, actor: &str) {
    world.until_closed(&[actor]);
    assert_eq!(world.state.of(actor), ["error ERR_OUTPUT_LIMIT", "close(true)"]);
    assert_eq!(world.state.closed(actor).reason, CloseReason::OutputLimit);
    assert!(world.state.closed(actor).unsent > 0);
    assert!(world.net.counters().limited >= 1);
}

/// Lines of 1000 bytes with a number each.
fn line(number: usize) -> String {
    format!("{number:08} {:990}\n", "")
}

/// The numbers of the lines, all of which must be whole.
fn numbers(bytes: &[u8]) -> Vec<usize> {
    assert_eq!(bytes.len() % 1000, 0, "only whole lines");
    let lines = bytes.chunks_exact(1000);
    lines
        .map(|found| {
            let number = std::str::from_utf8(&found[..8]).unwrap().parse().unwrap();
            assert!(found == line(number).as_bytes(), "line {number} is damaged");
            number
        })
        .collect()
}

// ---- hard and soft --------------------------------------------------------------------------------------------------

#[test]
fn by_default_there_is_no_limit() {
    let (mut world, ids, _raws) = room(OutputLimits::new(), 1);
    world.net.write(ids[0], &pattern(4 * FLOOD));
    world.turn_for(ms(10));
    assert!(world.state.of("S1").is_empty());
    assert!(world.net.connection(ids[0]).unsent() > 2 * FLOOD);
}

#[test]
fn above_the_hard_limit_a_connection_is_ended_at_once() {
    let (mut world, ids, _raws) = room(hard(100_000, OutputPolicy::Disconnect), 1);
    assert!(!world.net.write(ids[0], &pattern(FLOOD)));
    assert!(world.net.connection(ids[0]).is_destroyed(), "at once");
    assert_limited(&mut world, "S1");
}

#[test]
fn a_message_of_any_size_goes_out_to_a_reader_that_keeps_up() {
    let (mut world, ids, raws) = room(hard(1000, OutputPolicy::Disconnect), 1);
    for _ in 0..20 {
        world.net.write(ids[0], &pattern(100_000));
        assert!(world.read_raw(&raws[0], 100_000) == pattern(100_000));
        world.net.broadcast([ids[0]], pattern(100_000));
        assert!(world.read_raw(&raws[0], 100_000) == pattern(100_000));
    }
    let events = world.state.of("S1");
    assert!(events.iter().all(|event| event == "drain"), "nobody is judged before the flush: {events:?}");
}

#[test]
fn a_broadcast_counts_once_the_kernel_has_refused_it() {
    let (mut world, ids, _raws) = room(hard(100_000, OutputPolicy::Disconnect), 1);
    for _ in 0..FLOOD / 1000 + 200 {
        world.net.broadcast([ids[0]], pattern(1000));
    }
    assert_limited(&mut world, "S1");
}

#[test]
fn a_connection_above_the_soft_limit_is_ended_after_the_grace_period() {
    let grace = ms(60);
    let (mut world, ids, _raws) = room(soft(1000, grace, OutputPolicy::Disconnect), 1);
    let now = world.net.now();
    world.net.write(ids[0], &pattern(FLOOD));
    assert!(!world.net.connection(ids[0]).is_destroyed());
    world.until_closed(&["S1"]);
    assert!(world.net.now() - now >= grace);
    assert_limited(&mut world, "S1");
}

#[test]
fn the_clock_of_the_soft_limit_stops_when_the_reader_has_caught_up() {
    let (mut world, ids, raws) = room(soft(1000, ms(400), OutputPolicy::Disconnect), 1);
    for _ in 0..3 {
        world.net.write(ids[0], &pattern(FLOOD));
        assert!(world.net.connection(ids[0]).unsent() > 1000);
        world.turn_for(ms(150));
        world.read_raw(&raws[0], FLOOD);
        world.until(|world| world.net.connection(ids[0]).unsent() == 0);
    }
    // It was above the limit three times, together for longer than the grace period.
    world.turn_for(ms(100));
    assert_eq!(world.state.of("S1"), ["drain", "drain", "drain"]);
}

/// It reads now and then, so little that it is below the limit for a moment and never at the end of what is queued.
#[test]
fn a_reader_that_only_dips_under_the_soft_limit_does_not_set_its_clock_back() {
    const SOFT: usize = 16 << 20;

    let (mut world, ids, raws) = room(soft(SOFT, ms(400), OutputPolicy::Disconnect), 1);
    let mut dips = 0;
    while !world.net.connection(ids[0]).is_destroyed() {
        while world.net.connection(ids[0]).unsent() <= SOFT {
            world.net.write(ids[0], &pattern(1 << 20));
        }
        assert_eq!(world.net.counters().above_soft, 1);
        world.turn_for(ms(150));
        while world.net.connection(ids[0]).unsent() > SOFT {
            world.read_raw(&raws[0], 64 << 10);
            world.turn_for(ms(1));
        }
        dips += usize::from(world.net.connection(ids[0]).unsent() > 0);
        assert!(dips < 20, "its clock is set back");
    }
    assert!(dips >= 1);
    assert_eq!(world.net.counters().above_soft, 0);
    assert_limited(&mut world, "S1");
}

#[test]
fn limits_can_be_set_while_running_and_taken_away() {
    let (mut world, ids, _raws) = room(OutputLimits::new(), 2);
    world.net.write(ids[0], &pattern(FLOOD));
    world.net.set_output_limits(ids[0], hard(1000, OutputPolicy::Disconnect)).unwrap();
    world.turn_for(ms(5));
    assert!(!world.net.connection(ids[0]).is_destroyed(), "judged at the next write");
    world.net.write(ids[0], b"x");
    assert_limited(&mut world, "S1");

    world.net.set_output_limits(ids[1], soft(1000, ms(30), OutputPolicy::Disconnect)).unwrap();
    world.net.write(ids[1], &pattern(FLOOD));
    world.net.set_output_limits(ids[1], OutputLimits::new()).unwrap();
    world.turn_for(ms(80));
    assert!(world.state.of("S2").is_empty());
}

#[test]
fn limits_out_of_range_are_errors() {
    let (mut world, ids, _raws) = room(OutputLimits::new(), 1);
    let above = soft(11, ms(1), OutputPolicy::Disconnect).hard(10);
    let without_time = soft(1, Duration::from_micros(999), OutputPolicy::Disconnect);
    for wrong in [above, without_time] {
        let error = world.net.set_output_limits(ids[0], wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().starts_with("output limits: "), "{error}");
        let server = ServerOptions::new().output_limits(wrong);
        assert!(world.listen_with("127.0.0.1:0", server, |_| {}).is_err());
        let client = SocketOptions::new().output_limits(wrong);
        assert!(world.event_loop().new_socket(client, |_| {}).is_err());
    }
    let equal = soft(10, ms(1), OutputPolicy::Disconnect).hard(10);
    assert!(world.net.set_output_limits(ids[0], equal).is_ok());
}

// ---- in every state -------------------------------------------------------------------------------------------------

#[test]
fn bytes_that_wait_for_the_connection_count() {
    let mut world = World::new();
    let (_, address) = world.serve(ServerOptions::new(), |_| {});
    let options = SocketOptions::new().output_limits(hard(1000, OutputPolicy::Disconnect));
    world.client_with(options, "C", address, quiet);
    assert!(world.of("C").write(pattern(1000)));
    assert!(!world.of("C").is_destroyed());
    world.of("C").write("x");
    assert!(world.of("C").is_destroyed());
    assert_limited(&mut world, "C");
}

#[test]
fn corked_bytes_count() {
    let (mut world, ids, _raws) = room(hard(1000, OutputPolicy::Disconnect), 2);
    world.net.cork(ids[0]);
    world.net.write(ids[0], &pattern(1001));
    assert_limited(&mut world, "S1");
    world.net.cork(ids[1]);
    world.net.broadcast([ids[1]], pattern(1001));
    world.turn_for(ms(5));
    assert_limited(&mut world, "S2");
}

#[test]
fn unsent_bytes_of_an_ended_socket_count() {
    let (mut world, ids, _raws) = room(soft(1000, ms(30), OutputPolicy::Disconnect), 1);
    world.net.end_with(ids[0], &pattern(FLOOD), None);
    assert_limited(&mut world, "S1");
}

#[test]
fn piped_bytes_do_not_count_since_their_source_is_paused() {
    let limits = soft(1000, ms(20), OutputPolicy::Disconnect).hard(1000);
    let (mut world, ids, raws) = room(limits, 2);
    world.net.pipe(ids[0], ids[1]).unwrap();
    let bytes = pattern(FLOOD);
    let mut sent = 0;
    for _ in 0..50 {
        write_now(&raws[0], &bytes, &mut sent);
        world.turn(Some(ms(2))).unwrap();
    }
    assert!(world.net.connection(ids[1]).unsent() > 1000, "it is above the limit");
    assert!(world.net.connection(ids[0]).is_paused());
    assert!(!world.net.connection(ids[1]).is_destroyed());
    carry_all(&mut world, &raws, &bytes, sent);
    assert!(!world.state.is_closed("S2"));
}

/// Writes the rest to the first plain socket and reads all from the second.
fn carry_all(world: &mut World, raws: &[TcpStream], bytes: &[u8], mut sent: usize) {
    let mut received = Vec::new();
    world.until(|_| {
        write_now(&raws[0], bytes, &mut sent);
        read_now(&raws[1], &mut received);
        received.len() == bytes.len()
    });
    assert!(received == bytes);
}

// ---- dropping -------------------------------------------------------------------------------------------------------

const LINES: usize = FLOOD / 1000;

#[test]
fn dropping_the_newest_broadcasts_keeps_the_oldest_whole_and_in_order() {
    let (mut world, ids, raws) = room(hard(50_000, OutputPolicy::DropNewest), 1);
    for n in 0..LINES {
        world.net.broadcast([ids[0]], line(n));
        if n % 20 == 0 {
            world.turn(Some(ms(0))).unwrap();
        }
        assert!(world.net.connection(ids[0]).unsent() <= 50_000);
    }
    let dropped = world.net.counters().messages_dropped as usize;
    assert!(dropped > 0);
    let got = numbers(&world.read_raw(&raws[0], (LINES - dropped) * 1000));
    assert!(got.iter().copied().eq(0..LINES - dropped), "the first ones, without a gap");
    world.net.broadcast([ids[0]], line(LINES));
    assert_eq!(numbers(&world.read_raw(&raws[0], 1000)), [LINES], "who has caught up gets messages again");
    assert!(!world.state.is_closed("S1"));
}

#[test]
fn dropping_the_newest_writes_keeps_the_counters_right_and_the_socket_open() {
    let (mut world, ids, raws) = room(hard(50_000, OutputPolicy::DropNewest), 1);
    let mut refused = 0;
    for n in 0..LINES {
        let before = world.net.counters().messages_dropped;
        let returned = world.net.write(ids[0], line(n).as_bytes());
        if world.net.counters().messages_dropped > before {
            assert!(!returned);
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert!(world.net.connection(ids[0]).unsent() <= 50_000);
    let got = numbers(&world.read_raw(&raws[0], (LINES - refused) * 1000));
    assert!(got.windows(2).all(|pair| pair[0] < pair[1]));
    world.until(|world| world.net.connection(ids[0]).buffer_size() == 0);
    assert_eq!(world.net.connection(ids[0]).bytes_written() as usize, (LINES - refused) * 1000);
    world.net.end(ids[0], None);
    assert_eq!(world.read_raw(&raws[0], 1), b"", "and it can end");
}

#[test]
fn dropping_the_oldest_broadcasts_keeps_the_newest_whole_and_in_order() {
    let (mut world, ids, raws) = room(hard(50_000, OutputPolicy::DropOldest), 1);
    for n in 0..LINES {
        world.net.broadcast([ids[0]], line(n));
        if n % 20 == 0 {
            world.turn(Some(ms(0))).unwrap();
        }
    }
    world.turn_for(ms(5));
    assert!(world.net.connection(ids[0]).unsent() <= 50_000 + 1000, "{}", world.net.connection(ids[0]).unsent());
    let dropped = world.net.counters().messages_dropped as usize;
    assert!(dropped > 0);
    let got = numbers(&world.read_raw(&raws[0], (LINES - dropped) * 1000));
    assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "in order");
    assert_eq!(got.last(), Some(&(LINES - 1)), "the newest is there");
    let gaps = got.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert_eq!(gaps, 1, "what the kernel had, then a hole, then the newest");
    world.until(|world| world.net.connection(ids[0]).buffer_size() == 0);
    assert!(!world.state.is_closed("S1"));
}

#[test]
fn dropping_the_oldest_writes_never_cuts_one() {
    let (mut world, ids, raws) = room(hard(50_000, OutputPolicy::DropOldest), 1);
    for n in 0..LINES {
        world.net.write(ids[0], line(n).as_bytes());
    }
    assert!(world.net.connection(ids[0]).unsent() <= 50_000 + 1000);
    let dropped = world.net.counters().messages_dropped as usize;
    assert!(dropped > 0);
    let got = numbers(&world.read_raw(&raws[0], (LINES - dropped) * 1000));
    assert!(got.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(got.last(), Some(&(LINES - 1)));
    world.until(|world| world.net.connection(ids[0]).buffer_size() == 0);
    world.net.end(ids[0], None);
    assert_eq!(world.read_raw(&raws[0], 1), b"", "and it can end");
}

#[test]
fn dropping_has_no_soft_limit() {
    for policy in [OutputPolicy::DropNewest, OutputPolicy::DropOldest] {
        let limits = soft(10_000, ms(20), policy).hard(100_000);
        let (mut world, ids, _raws) = room(limits, 1);
        for n in 0..LINES {
            world.net.broadcast([ids[0]], line(n));
            if n % 20 == 0 {
                world.turn(Some(ms(0))).unwrap();
            }
        }
        assert!(world.net.connection(ids[0]).unsent() > 10_000);
        world.turn_for(ms(60));
        assert!(world.state.of("S1").is_empty(), "{policy:?}");
    }
}

// ---- pausing the senders --------------------------------------------------------------------------------------------

/// S1 speaks and everybody else hears: what it says is broadcast from it.
fn speaking_room(limits: OutputLimits, count: usize) -> (World, Vec<SocketId>, Vec<TcpStream>) {
    let (mut world, ids, raws) = room(limits, count);
    let others = ids[1..].to_vec();
    world.of("S1").on_data(move |socket, chunk| {
        let speaker = socket.id();
        socket.net.broadcast_from(speaker, others.iter().copied(), chunk);
    });
    (world, ids, raws)
}

#[test]
fn a_sender_is_held_while_a_receiver_is_above_the_soft_limit_and_nothing_is_lost() {
    let (mut world, ids, raws) = speaking_room(soft(50_000, HOUR, OutputPolicy::PauseSenders), 3);
    let bytes = pattern(2 * FLOOD);
    let mut to_fast = Vec::new();
    let mut sent = 0;
    let mut idle = 0;
    world.until(|_| {
        idle = if write_now(&raws[0], &bytes, &mut sent) { 0 } else { idle + 1 };
        read_now(&raws[1], &mut to_fast);
        idle > 20
    });
    assert!(sent < bytes.len(), "it is held");
    let unsent = world.net.connection(ids[2]).unsent();
    assert!(unsent > 50_000 && unsent <= 50_000 + 2 * 65536, "{unsent}");
    assert!(!world.net.connection(ids[0]).is_paused(), "which is no pause of the user's");
    let mut to_slow = Vec::new();
    world.until(|_| {
        write_now(&raws[0], &bytes, &mut sent);
        read_now(&raws[1], &mut to_fast);
        read_now(&raws[2], &mut to_slow);
        to_fast.len() == bytes.len() && to_slow.len() == bytes.len()
    });
    assert!(to_fast == bytes && to_slow == bytes);
}

#[test]
fn a_held_sender_goes_on_when_its_receiver_is_gone() {
    for by_grace in [false, true] {
        let grace = if by_grace { ms(50) } else { HOUR };
        let (mut world, ids, raws) = speaking_room(soft(50_000, grace, OutputPolicy::PauseSenders), 3);
        let bytes = pattern(2 * FLOOD);
        let (mut sent, mut to_fast, mut closing) = (0, Vec::new(), 0);
        world.until(|world| {
            closing = if write_now(&raws[0], &bytes, &mut sent) { 0 } else { closing + 1 };
            if closing == 20 && !by_grace {
                world.net.destroy(ids[2]);
            }
            read_now(&raws[1], &mut to_fast);
            to_fast.len() == bytes.len()
        });
        assert!(to_fast == bytes);
        world.until_closed(&["S3"]);
        let reason = if by_grace { CloseReason::OutputLimit } else { CloseReason::DestroyedHere };
        assert_eq!(world.state.closed("S3").reason, reason);
    }
}

#[test]
fn pausing_the_senders_still_has_a_hard_limit() {
    let limits = soft(50_000, HOUR, OutputPolicy::PauseSenders).hard(100_000);
    let (mut world, ids, _raws) = room(limits, 1);
    world.net.write(ids[0], &pattern(FLOOD));
    assert_limited(&mut world, "S1");
}

#[test]
fn a_held_sender_may_close_before_its_receiver_goes_on() {
    let (mut world, ids, raws) = speaking_room(soft(50_000, HOUR, OutputPolicy::PauseSenders), 2);
    let bytes = pattern(2 * FLOOD);
    let mut sent = 0;
    world.until(|world| {
        write_now(&raws[0], &bytes, &mut sent);
        world.net.connection(ids[1]).unsent() > 50_000
    });
    world.net.destroy(ids[0]);
    world.until_closed(&["S1"]);
    let expected = world.net.connection(ids[1]).bytes_written() as usize;
    assert!(world.read_raw(&raws[1], expected) == bytes[..expected]);
    world.turn_for(ms(5));
    assert_eq!(world.net.connection(ids[1]).ready_state().name(), "open");
}
