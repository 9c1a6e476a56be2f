//! The connection as pure transitions: no sockets, no clock, ticks that are only collected.

use super::driver::Driver;
use super::*;

// ---- stages ---------------------------------------------------------------------------------------------------------

#[test]
fn ready_state_reads_as_nodes_in_every_stage() {
    let state = |driver: &Driver| driver.connection.ready_state().name();
    let mut driver = Driver::fresh();
    assert_eq!(state(&driver), "open");
    driver.connection.connect(&mut driver.ticks).unwrap();
    assert_eq!(state(&driver), "opening");
    driver.run();
    driver.connected();
    assert_eq!(state(&driver), "open");
    driver.end(None);
    assert_eq!(state(&driver), "readOnly");
    driver.run();
    driver.peer_ends();
    assert_eq!(state(&driver), "closed");

    let mut half_open = Driver::on(Connection::accepted(100, true, false));
    half_open.peer_ends();
    assert_eq!(state(&half_open), "writeOnly");
}

#[test]
fn a_connect_is_an_error_unless_fresh_or_closed() {
    let mut driver = Driver::connecting();
    assert!(driver.connection.connect(&mut driver.ticks).is_err());
    driver.connected();
    assert!(driver.connection.connect(&mut driver.ticks).is_err());
    driver.destroy(None, None);
    assert!(driver.connection.connect(&mut driver.ticks).is_err());
    driver.run();
    driver.close();
    assert!(driver.connection.connect(&mut driver.ticks).is_ok());
    assert_eq!(driver.ticks, [Tick::Connect]);
}

#[test]
fn a_destroy_counts_once_and_the_first_reason_stays() {
    let mut ticks = Vec::new();
    let mut connection = Connection::accepted(100, false, false);
    assert!(connection.destroy(None, Some(CloseReason::DestroyedHere), &mut ticks));
    assert!(!connection.destroy(Some(Error::new(Code::Other)), Some(CloseReason::Error), &mut ticks));
    assert_eq!(ticks, [Tick::Seal]);
    assert_eq!(connection.close(), (false, CloseReason::DestroyedHere));
}

#[test]
fn what_never_had_a_descriptor_closes_on_a_tick() {
    let mut driver = Driver::fresh();
    driver.destroy(None, None);
    assert_eq!(driver.ticks, [Tick::Seal, Tick::Close]);
    driver.expect(&["close(false)"]);
}

#[test]
fn the_reason_is_who_ended_first() {
    let mut driver = Driver::flowing();
    driver.peer_ends();
    driver.close();
    assert_eq!(driver.closed, Some((false, CloseReason::PeerEnded)));
    let mut driver = Driver::flowing();
    driver.end(None);
    driver.peer_ends();
    driver.close();
    assert_eq!(driver.closed, Some((false, CloseReason::EndedHere)));
}

#[test]
fn connecting_again_forgets_the_last_connection_and_keeps_what_the_user_has_set() {
    let mut driver = Driver::connecting();
    driver.connected();
    driver.listen();
    driver.receive(5);
    driver.write(3, 0);
    driver.run();
    driver.destroy(Some(Error::new(Code::Other)), Some(CloseReason::Error));
    driver.run();
    driver.close();
    assert_eq!((driver.connection.bytes_read(), driver.connection.bytes_written()), (5, 3));
    driver.connection.connect(&mut driver.ticks).unwrap();
    assert_eq!((driver.connection.bytes_read(), driver.connection.bytes_written()), (0, 0));
    assert_eq!(driver.connection.length(), 0);
    assert!(driver.connection.error().is_none());
    assert!(driver.connection.is_writable() && driver.connection.is_readable());
    driver.closed = None;
    driver.told.clear();
    driver.run();
    driver.connected();
    driver.receive(4);
    driver.expect(&["connect(2)", "connect", "data 4"]);
}

// ---- reading --------------------------------------------------------------------------------------------------------

#[test]
fn reading_begins_at_once_unless_it_was_to_begin_paused() {
    assert!(Connection::accepted(100, false, false).is_armed());
    let paused = Connection::accepted(100, false, true);
    assert!(!paused.is_armed() && paused.is_paused());
    let mut driver = Driver::connecting();
    assert!(!driver.connection.is_armed());
    driver.connected();
    assert!(driver.connection.is_armed());
    let mut driver = Driver::connecting();
    driver.connection.pause();
    driver.connected();
    assert!(!driver.connection.is_armed());
    driver.connection.resume(&mut driver.ticks);
    driver.run();
    assert!(driver.connection.is_armed());
}

#[test]
fn read_ahead_stops_at_the_mark_and_flows_in_the_order_of_arrival() {
    let mut driver = Driver::accepted();
    driver.receive(60);
    assert!(driver.connection.is_armed(), "60 of 100");
    driver.receive(39);
    assert!(driver.connection.is_armed(), "99 of 100");
    driver.receive(65536);
    assert!(!driver.connection.is_armed(), "the bound is the mark - 1 and one read");
    assert_eq!(driver.connection.read_ahead(), 99 + 65536);
    driver.listen();
    driver.expect(&["data 60", "data 39", "data 65536"]);
    assert!(driver.connection.is_armed());
    assert_eq!(driver.connection.read_ahead(), 0);
}

#[test]
fn a_mark_of_0_reads_one_chunk_ahead() {
    let mut driver = Driver::on(Connection::accepted(0, false, false));
    driver.receive(1);
    assert!(!driver.connection.is_armed());
    driver.listen();
    driver.expect(&["data 1"]);
    assert!(driver.connection.is_armed());
}

#[test]
fn a_pause_keeps_what_comes_and_a_handler_does_not_undo_it() {
    let mut driver = Driver::flowing();
    driver.connection.pause();
    driver.receive(5);
    driver.listen();
    driver.expect(&[]);
    driver.connection.resume(&mut driver.ticks);
    assert!(!driver.connection.is_paused(), "at once, for whoever asks");
    assert!(driver.told.is_empty(), "but nothing is told inside the call");
    driver.expect(&["data 5"]);
}

#[test]
fn a_pause_in_the_middle_of_the_flow_holds_the_rest_back() {
    let mut ticks = Vec::new();
    let mut connection = Connection::accepted(100, false, false);
    connection.received(b"one");
    connection.received(b"two");
    connection.set_listening(true, &mut ticks);
    connection.resume_now();
    assert_eq!(connection.flow(&mut ticks).as_deref(), Some(&b"one"[..]));
    connection.pause();
    assert_eq!(connection.flow(&mut ticks), None);
    assert_eq!(connection.read_ahead(), 3);
}

#[test]
fn end_waits_for_what_was_kept() {
    let mut driver = Driver::accepted();
    driver.receive(5);
    driver.peer_ends();
    driver.expect(&[]);
    driver.listen();
    driver.expect(&["data 5", "end", "finish"]);
    driver.close();
    driver.expect(&["close(false)"]);
}

#[test]
fn end_is_told_once_and_without_any_listener() {
    let mut driver = Driver::on(Connection::accepted(100, true, false));
    driver.connection.pause();
    driver.peer_ends();
    driver.peer_ends();
    driver.expect(&["end"]);
    assert!(!driver.connection.is_armed() && !driver.connection.is_readable() && driver.connection.is_writable());
}

#[test]
fn a_destroyed_connection_tells_neither_data_nor_end() {
    let mut driver = Driver::accepted();
    driver.receive(5);
    driver.peer_ends();
    driver.listen();
    driver.destroy(None, None);
    driver.close();
    assert!(!driver.told.iter().any(|event| event == "end"), "{:?}", driver.told);
}

// ---- writing --------------------------------------------------------------------------------------------------------

#[test]
fn a_write_that_is_taken_whole_leaves_nothing_and_its_callback_to_a_tick() {
    let mut driver = Driver::accepted();
    assert!(driver.write(1000, 7), "above the mark, but flushed");
    assert_eq!((driver.connection.length(), driver.connection.bytes_written()), (0, 1000));
    assert_eq!(driver.ticks, [Tick::AfterWrite(1)]);
    driver.expect(&["7 ok"]);
}

#[test]
fn one_unit_is_in_flight_and_the_next_is_all_that_waits() {
    let mut driver = Driver::accepted();
    driver.room = 10;
    assert!(!driver.write(100, 0), "100 of 100");
    assert!(!driver.write(5, 1));
    assert!(!driver.write(5, 2));
    assert_eq!((driver.connection.length(), driver.connection.unsent_in_flight()), (110, 90));
    driver.has_room(50);
    assert_eq!(driver.connection.length(), 110, "the unit counts whole until it is completed");
    driver.has_room(43);
    driver.expect(&["0 ok"]);
    assert_eq!((driver.connection.length(), driver.connection.unsent_in_flight()), (10, 7));
    driver.has_room(7);
    driver.expect(&["drain", "1 ok", "2 ok"]);
}

#[test]
fn corked_writes_wait_for_as_many_uncorks_and_go_out_as_one_unit() {
    let mut driver = Driver::accepted();
    driver.connection.cork();
    driver.connection.cork();
    driver.write(1, 0);
    driver.write(2, 1);
    driver.uncork();
    assert_eq!((driver.connection.length(), driver.taken), (3, 0));
    driver.uncork();
    assert_eq!((driver.connection.length(), driver.taken), (0, 3));
    driver.uncork();
    driver.expect(&["0 ok", "1 ok"]);
}

#[test]
fn what_waits_for_the_connection_goes_out_one_then_all() {
    let mut driver = Driver::connecting();
    driver.told.clear();
    driver.write(1, 0);
    driver.write(2, 1);
    driver.write(3, 2);
    driver.end(Some(3));
    assert_eq!((driver.connection.length(), driver.connection.bytes_written()), (6, 6));
    driver.connected();
    driver.expect(&["connect", "0 ok", "1 ok", "2 ok", "3 ok", "finish"]);
    assert_eq!((driver.taken, driver.shutdowns), (6, 1));
}

#[test]
fn the_writing_side_goes_from_open_over_each_step_to_finished() {
    let mut driver = Driver::accepted();
    driver.room = 0;
    driver.write(1, 0);
    driver.end(Some(1));
    assert_eq!(driver.connection.writing, Writing::Ending);
    driver.room = 1;
    driver.go_on();
    assert_eq!(driver.connection.writing, Writing::ShuttingDown);
    driver.connection.shut(&mut driver.ticks);
    assert_eq!(driver.connection.writing, Writing::Shut);
    assert!(!driver.connection.is_finished());
    driver.expect(&["0 ok", "1 ok", "finish"]);
    assert_eq!(driver.connection.writing, Writing::Finished);
    assert!(driver.connection.is_finished() && !driver.connection.is_destroyed(), "reading goes on");
}

#[test]
fn no_drain_after_end_nor_after_destroy() {
    let mut driver = Driver::accepted();
    driver.room = 0;
    assert!(!driver.write(100, 0));
    assert!(driver.connection.needs_drain());
    driver.end(None);
    assert!(!driver.connection.needs_drain());
    driver.has_room(100);
    driver.expect(&["0 ok", "finish"]);
    let mut driver = Driver::accepted();
    driver.room = 0;
    assert!(!driver.write(100, 0));
    driver.destroy(None, None);
    driver.close();
    driver.expect(&["0 ECANCELED", "close(false)"]);
}

#[test]
fn a_message_is_queued_where_a_write_is_and_is_nobodys_mistake_elsewhere() {
    assert!(!Driver::fresh().broadcast(b"x"), "never connected");
    assert!(Driver::connecting().broadcast(b"x"));
    let mut driver = Driver::accepted();
    assert!(driver.broadcast(b"x"));
    assert_eq!((driver.connection.length(), driver.connection.queue().unsent()), (1, 1));
    driver.dispatch_waiting();
    assert_eq!(driver.taken, 1);
    driver.end(None);
    assert!(!driver.broadcast(b"x"), "ended");
    driver.destroy(None, None);
    assert!(!driver.broadcast(b"x"), "destroyed");
    assert!(driver.connection.error().is_none());
    assert_eq!(driver.connection.queue().unsent(), 0);
}

#[test]
fn each_wrong_write_has_the_error_of_its_state() {
    let mut driver = Driver::fresh();
    assert!(!driver.write(1, 0));
    driver.expect(&["0 ERR_SOCKET_CLOSED", "error ERR_SOCKET_CLOSED", "close(true)"]);

    let mut driver = Driver::accepted();
    driver.end(None);
    assert!(!driver.write(1, 0));
    driver.expect(&["0 ERR_STREAM_WRITE_AFTER_END", "error ERR_STREAM_WRITE_AFTER_END"]);

    let mut driver = Driver::accepted();
    driver.room = 0;
    driver.write(1, 0);
    driver.peer_ends();
    driver.expect(&["end"]);
    assert!(!driver.write(1, 1));
    driver.expect(&["1 EPIPE", "error EPIPE"]);
    driver.close();
    driver.expect(&["0 ECANCELED", "close(true)"]);

    let mut driver = Driver::accepted();
    driver.destroy(None, None);
    assert!(!driver.write(1, 0));
    driver.expect(&["0 ERR_STREAM_DESTROYED"]);
}

#[test]
fn a_write_that_breaks_fails_all_behind_it_and_then_the_connection() {
    let mut driver = Driver::flowing();
    driver.room = 0;
    driver.write(1, 0);
    driver.write(1, 1);
    driver.end(Some(2));
    driver.broken_pipe();
    driver.expect(&["0 ECANCELED", "1 ECANCELED", "2 ECANCELED", "error ECANCELED"]);
    driver.close();
    driver.expect(&["close(true)"]);
}

#[test]
fn bytes_that_were_only_queued_are_not_counted_as_written_after_a_destroy() {
    let mut driver = Driver::accepted();
    driver.room = 10;
    driver.write(100, 0);
    driver.write(5, 1);
    assert_eq!(driver.connection.bytes_written(), 105);
    driver.destroy(None, None);
    assert_eq!(driver.connection.bytes_written(), 105);
    driver.run();
    driver.close();
    assert_eq!(driver.connection.bytes_written(), 100);
}
