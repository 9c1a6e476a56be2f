//! The transitions of one connection: no sockets, no clock, the real agenda.

use super::harness::{Harness, an_id};
use super::piping::Piping;
use super::{Conn, ReadSize};
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::connection::{CloseReason, ConnTask, Connection};
use crate::net::agenda::Task;
use crate::net::read_buffer::{READ_BUFFER, ReadBuffer};

/// What was pushed for the connection.
fn tasks(harness: &mut Harness) -> Vec<ConnTask> {
    let tasks = harness.tasks();
    tasks.iter().filter_map(|task| if let Task::Conn(_, task) = task { Some(*task) } else { None }).collect()
}

// ---- stages ---------------------------------------------------------------------------------------------------------

#[test]
fn ready_state_reads_as_nodes_in_every_stage() {
    let state = |harness: &Harness| harness.connection().ready_state().name();
    let mut harness = Harness::fresh();
    assert_eq!(state(&harness), "open");
    harness.connect().unwrap();
    assert_eq!(state(&harness), "opening");
    harness.run();
    harness.connected();
    assert_eq!(state(&harness), "open");
    harness.end(None);
    assert_eq!(state(&harness), "readOnly");
    harness.run();
    harness.peer_ends();
    assert_eq!(state(&harness), "closed");

    let mut half_open = Harness::accepted_with(100, true, false);
    half_open.peer_ends();
    assert_eq!(state(&half_open), "writeOnly");
}

#[test]
fn a_connect_is_an_error_unless_fresh_or_closed() {
    let mut harness = Harness::connecting();
    assert!(harness.connect().is_err());
    harness.connected();
    assert!(harness.connect().is_err());
    harness.destroy(None, None);
    assert!(harness.connect().is_err());
    harness.run();
    harness.connects_again = true;
    harness.close();
    assert_eq!(harness.connection().ready_state().name(), "opening");
    let mut closed = Harness::accepted();
    closed.destroy(None, None);
    closed.run();
    closed.close();
    assert!(closed.connect().is_err(), "`close` has returned without a connect");
}

#[test]
fn a_destroy_counts_once_and_the_first_reason_stays() {
    let mut harness = Harness::accepted();
    harness.destroy(None, Some(CloseReason::DestroyedHere));
    harness.destroy(Some(Error::new(ErrorKind::Other)), Some(CloseReason::Error));
    assert_eq!(tasks(&mut harness), [ConnTask::Seal]);
    harness.close();
    assert_eq!(harness.closed, Some((false, CloseReason::DestroyedHere)));
}

#[test]
fn what_never_had_a_descriptor_closes_on_a_tick() {
    let mut harness = Harness::fresh();
    harness.destroy(None, None);
    assert_eq!(tasks(&mut harness), [ConnTask::Seal, ConnTask::Close]);
    harness.expect(&["close(false)"]);
}

#[test]
fn the_reason_is_who_ended_first() {
    let mut harness = Harness::flowing();
    harness.peer_ends();
    harness.close();
    assert_eq!(harness.closed, Some((false, CloseReason::PeerEnded)));
    let mut harness = Harness::flowing();
    harness.end(None);
    harness.peer_ends();
    harness.close();
    assert_eq!(harness.closed, Some((false, CloseReason::EndedHere)));
}

#[test]
fn connecting_again_forgets_the_last_connection_and_keeps_what_the_user_has_set() {
    let mut harness = Harness::connecting();
    harness.connected();
    harness.listen();
    harness.receive(5);
    harness.write(3, 0);
    harness.run();
    harness.destroy(Some(Error::new(ErrorKind::Other)), Some(CloseReason::Error));
    harness.run();
    assert_eq!((harness.connection().bytes_read(), harness.connection().bytes_written()), (5, 3));
    harness.connects_again = true;
    harness.close();
    assert_eq!((harness.connection().bytes_read(), harness.connection().bytes_written()), (0, 0));
    assert_eq!(harness.connection().length(), 0);
    assert!(harness.connection().error().is_none());
    assert!(harness.connection().is_writable() && harness.connection().is_readable());
    harness.emitted.clear();
    harness.connected();
    harness.receive(4);
    harness.expect(&["connect", "data 4"]);
}

// ---- reading --------------------------------------------------------------------------------------------------------

#[test]
fn reading_begins_at_once_unless_it_was_to_begin_paused() {
    assert!(Harness::accepted().connection().is_armed());
    let paused = Harness::accepted_with(100, false, true);
    assert!(!paused.connection().is_armed() && paused.connection().is_paused());
    let mut harness = Harness::connecting();
    assert!(!harness.connection().is_armed());
    harness.connected();
    assert!(harness.connection().is_armed());
    let mut harness = Harness::connecting();
    harness.pause();
    harness.connected();
    assert!(!harness.connection().is_armed());
    harness.resume();
    harness.run();
    assert!(harness.connection().is_armed());
}

#[test]
fn read_ahead_stops_at_the_mark_and_flows_in_the_order_of_arrival() {
    let mut harness = Harness::accepted();
    harness.receive(60);
    assert!(harness.connection().is_armed(), "60 of 100");
    harness.receive(39);
    assert!(harness.connection().is_armed(), "99 of 100");
    harness.receive(65536);
    assert!(!harness.connection().is_armed(), "the bound is the mark - 1 and one read");
    assert_eq!(harness.connection().read_ahead(), 99 + 65536);
    harness.listen();
    harness.expect(&["data 60", "data 39", "data 65536"]);
    assert!(harness.connection().is_armed());
    assert_eq!(harness.connection().read_ahead(), 0);
}

#[test]
fn a_mark_of_0_reads_one_chunk_ahead() {
    let mut harness = Harness::accepted_with(0, false, false);
    harness.receive(1);
    assert!(!harness.connection().is_armed());
    harness.listen();
    harness.expect(&["data 1"]);
    assert!(harness.connection().is_armed());
}

#[test]
fn a_pause_keeps_what_comes_and_a_handler_does_not_undo_it() {
    let mut harness = Harness::flowing();
    harness.pause();
    harness.receive(5);
    harness.listen();
    harness.expect(&[]);
    harness.resume();
    assert!(!harness.connection().is_paused(), "at once, for whoever asks");
    assert!(harness.emitted.is_empty(), "but nothing is emitted inside the call");
    harness.expect(&["data 5"]);
}

#[test]
fn a_pause_in_the_middle_of_the_flow_holds_the_rest_back() {
    let mut harness = Harness::accepted();
    harness.receive(3);
    harness.receive(4);
    harness.listen();
    assert_eq!(harness.next_kept(), Some(3));
    harness.pause();
    assert_eq!(harness.next_kept(), None);
    assert_eq!(harness.connection().read_ahead(), 4);
}

#[test]
fn end_waits_for_what_was_kept() {
    let mut harness = Harness::accepted();
    harness.receive(5);
    harness.peer_ends();
    harness.expect(&[]);
    harness.listen();
    harness.expect(&["data 5", "end", "finish"]);
    harness.close();
    harness.expect(&["close(false)"]);
}

#[test]
fn end_is_told_once_and_without_any_listener() {
    let mut harness = Harness::accepted_with(100, true, false);
    harness.pause();
    harness.peer_ends();
    harness.peer_ends();
    harness.expect(&["end"]);
    assert!(
        !harness.connection().is_armed() && !harness.connection().is_readable() && harness.connection().is_writable()
    );
}

#[test]
fn a_destroyed_connection_tells_neither_data_nor_end() {
    let mut harness = Harness::accepted();
    harness.receive(5);
    harness.peer_ends();
    harness.listen();
    harness.destroy(None, None);
    harness.close();
    assert!(!harness.emitted.iter().any(|event| event == "end"), "{:?}", harness.emitted);
}

// ---- writing --------------------------------------------------------------------------------------------------------

#[test]
fn a_write_that_is_taken_whole_leaves_nothing_and_its_callback_to_a_tick() {
    let mut harness = Harness::accepted();
    assert!(harness.write(1000, 7), "above the mark, but flushed");
    assert_eq!((harness.connection().length(), harness.connection().bytes_written()), (0, 1000));
    assert_eq!(tasks(&mut harness), [ConnTask::AfterWrite(1)]);
    harness.expect(&["7 ok"]);
}

#[test]
fn one_unit_is_in_flight_and_the_next_is_all_that_waits() {
    let mut harness = Harness::accepted();
    harness.room(10);
    assert!(!harness.write(100, 0), "100 of 100");
    assert!(!harness.write(5, 1));
    assert!(!harness.write(5, 2));
    assert_eq!((harness.connection().length(), harness.connection().unsent_in_flight()), (110, 90));
    harness.has_room(50);
    assert_eq!(harness.connection().length(), 110, "the unit counts whole until it is completed");
    harness.has_room(43);
    harness.expect(&["0 ok"]);
    assert_eq!((harness.connection().length(), harness.connection().unsent_in_flight()), (10, 7));
    harness.has_room(7);
    harness.expect(&["drain", "1 ok", "2 ok"]);
}

#[test]
fn corked_writes_wait_for_as_many_uncorks_and_go_out_as_one_unit() {
    let mut harness = Harness::accepted();
    harness.cork();
    harness.cork();
    harness.write(1, 0);
    harness.write(2, 1);
    harness.uncork();
    assert_eq!((harness.connection().length(), harness.taken()), (3, 0));
    harness.uncork();
    assert_eq!((harness.connection().length(), harness.taken()), (0, 3));
    harness.uncork();
    harness.expect(&["0 ok", "1 ok"]);
}

#[test]
fn what_waits_for_the_connection_goes_out_one_then_all() {
    let mut harness = Harness::connecting();
    harness.emitted.clear();
    harness.write(1, 0);
    harness.write(2, 1);
    harness.write(3, 2);
    harness.end(Some(3));
    assert_eq!((harness.connection().length(), harness.connection().bytes_written()), (6, 6));
    harness.connected();
    harness.expect(&["connect", "0 ok", "1 ok", "2 ok", "3 ok", "finish"]);
    assert_eq!((harness.taken(), harness.peer.borrow().shutdowns), (6, 1));
}

#[test]
fn the_writing_side_goes_from_open_over_each_step_to_finished() {
    let mut harness = Harness::accepted();
    harness.room(0);
    harness.write(1, 0);
    harness.end(Some(1));
    assert_eq!(harness.connection().writing(), "Ending");
    harness.has_room_now(1);
    assert_eq!(harness.connection().writing(), "ShuttingDown");
    harness.flush();
    assert_eq!(harness.connection().writing(), "Shut");
    assert!(!harness.connection().is_finished());
    harness.expect(&["0 ok", "1 ok", "finish"]);
    assert_eq!(harness.connection().writing(), "Finished");
    assert!(harness.connection().is_finished() && !harness.connection().is_destroyed(), "reading goes on");
}

#[test]
fn no_drain_after_end_nor_after_destroy() {
    let mut harness = Harness::accepted();
    harness.room(0);
    assert!(!harness.write(100, 0));
    assert!(harness.connection().needs_drain());
    harness.end(None);
    assert!(!harness.connection().needs_drain());
    harness.has_room(100);
    harness.expect(&["0 ok", "finish"]);
    let mut harness = Harness::accepted();
    harness.room(0);
    assert!(!harness.write(100, 0));
    harness.destroy(None, None);
    harness.close();
    harness.expect(&["0 ECANCELED", "close(false)"]);
}

#[test]
fn a_message_is_queued_where_a_write_is_and_is_nobodys_mistake_elsewhere() {
    assert!(!Harness::fresh().broadcast(b"x"), "never connected");
    assert!(Harness::connecting().broadcast(b"x"));
    let mut harness = Harness::accepted();
    assert!(harness.broadcast(b"x"));
    assert_eq!((harness.connection().length(), harness.connection().queue().unsent()), (1, 1));
    harness.flush();
    assert_eq!(harness.taken(), 1);
    harness.end(None);
    assert!(!harness.broadcast(b"x"), "ended");
    harness.destroy(None, None);
    assert!(!harness.broadcast(b"x"), "destroyed");
    assert!(harness.connection().error().is_none());
    assert_eq!(harness.connection().queue().unsent(), 0);
}

#[test]
fn each_wrong_write_has_the_error_of_its_state() {
    let mut harness = Harness::fresh();
    assert!(!harness.write(1, 0));
    harness.expect(&["0 ERR_SOCKET_CLOSED", "error ERR_SOCKET_CLOSED", "close(true)"]);

    let mut harness = Harness::accepted();
    harness.end(None);
    assert!(!harness.write(1, 0));
    harness.expect(&["0 ERR_STREAM_WRITE_AFTER_END", "error ERR_STREAM_WRITE_AFTER_END"]);

    let mut harness = Harness::accepted();
    harness.room(0);
    harness.write(1, 0);
    harness.peer_ends();
    harness.expect(&["end"]);
    assert!(!harness.write(1, 1));
    harness.expect(&["1 EPIPE", "error EPIPE"]);
    harness.close();
    harness.expect(&["0 ECANCELED", "close(true)"]);

    let mut harness = Harness::accepted();
    harness.destroy(None, None);
    assert!(!harness.write(1, 0));
    harness.expect(&["0 ERR_STREAM_DESTROYED"]);
}

#[test]
fn a_write_that_breaks_fails_all_behind_it_and_then_the_connection() {
    let mut harness = Harness::flowing();
    harness.room(0);
    harness.write(1, 0);
    harness.write(1, 1);
    harness.end(Some(2));
    harness.broken_pipe();
    harness.expect(&["0 EPIPE", "1 EPIPE", "2 EPIPE", "error EPIPE"]);
    harness.close();
    harness.expect(&["close(true)"]);
}

#[test]
fn bytes_that_were_only_queued_are_not_counted_as_written_after_a_destroy() {
    let mut harness = Harness::accepted();
    harness.room(10);
    harness.write(100, 0);
    harness.write(5, 1);
    assert_eq!(harness.connection().bytes_written(), 105);
    harness.destroy(None, None);
    assert_eq!(harness.connection().bytes_written(), 105);
    harness.run();
    harness.close();
    assert_eq!(harness.connection().bytes_written(), 100);
}

#[test]
fn the_read_buffer_grows_while_it_is_filled_and_shrinks_again() {
    let mut conn = Conn::new(an_id(), Connection::accepted(READ_BUFFER, false, false), 0);
    conn.piping = Some(Box::new(Piping::into_one(an_id())));
    let mut buffer = ReadBuffer::default();
    let mut most = Vec::new();
    for filled in [1, 1, 1, 1, 1, 2, 8, 8, 8, 8, 8, 1] {
        let size = conn.read_size.bytes();
        most.push(size / READ_BUFFER);
        conn.adapt_read_size(size / filled, size, &mut buffer);
    }
    assert_eq!(most, [1, 2, 4, 8, 16, 16, 16, 8, 4, 2, 1, 1]);
    assert_eq!(conn.read_size, ReadSize::Times2);
    // A read that was narrow for another reason, a pause for example, says nothing of the wide ones.
    conn.adapt_read_size(READ_BUFFER, READ_BUFFER, &mut buffer);
    assert_eq!(conn.read_size, ReadSize::Times2);
}
