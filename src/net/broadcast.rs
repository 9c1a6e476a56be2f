//! One message to many.
//!
//! No system call is made here. The message is laid down once, each receiver's queue gets a range of it, and the receivers
//! go on the flush list: what is said within a turn goes out in one system call for each receiver, however many
//! messages it is. A receiver that passes an output limit is judged in the flush as well, since only the attempt shows whether
//! it keeps up. Until then the time of the turn is up, so that speakers who ask for it wait. That is where a chat's speed comes from (`docs/benchmarks.md`): the kernel takes as long for one line
//! as for sixty-four.

use super::Net;
use super::conn::write::WriteKind;
use super::trace::{Kind, Whom};
use crate::base::id::SocketId;

/// A message above this size is written to each receiver by itself: places in a segment are 32 bits.
const LARGEST_SHARED: usize = 1 << 30;

impl Net {
    /// Sends a message to many. It goes out in the next flush, when the turn's reads are done; in each connection it keeps its
    /// place among the other writes. A connection that cannot be written to is left out.
    ///
    /// It counts as a write: in `buffer_size`, `bytes_written`, `drain` and the output limits, by which a receiver is judged
    /// when it was flushed. A handler that broadcasts much at a time asks [`Net::time_is_up`] after each message: it says so
    /// when a receiver has passed a limit and is to be flushed first.
    pub fn broadcast(&mut self, to: impl IntoIterator<Item = SocketId>, message: impl AsRef<[u8]>) {
        self.broadcast_as(None, to, message.as_ref());
    }

    /// As [`Net::broadcast`]; and the sender is not read from, from the flush on, until all receivers are under their soft
    /// output limit. So a room goes no faster than its slowest member, until the limit's grace period is over.
    pub fn broadcast_from(
        &mut self,
        sender: SocketId,
        to: impl IntoIterator<Item = SocketId>,
        message: impl AsRef<[u8]>,
    ) {
        self.broadcast_as(Some(sender), to, message.as_ref());
    }

    fn broadcast_as(&mut self, sender: Option<SocketId>, to: impl IntoIterator<Item = SocketId>, message: &[u8]) {
        if message.is_empty() {
            return;
        }
        if message.len() > LARGEST_SHARED {
            return self.write_to_each(to, message);
        }
        let span = self.cx.segments.append(message);
        // Until all receivers have it: what one of them keeps or drops may end its segment.
        self.cx.segments.hold(span.segment);
        let mut receivers = 0;
        for id in to {
            receivers += 1;
            if let Some(conn) = self.conns.get_mut(id) {
                conn.queue_message(span, sender, &mut self.cx);
            }
        }
        self.cx.segments.release(span.segment);
        let whom = sender.map_or(Whom::Loop, Whom::from);
        self.cx.agenda.notes.add(whom, Kind::Asked, || format!("broadcast of {} bytes to {receivers}", message.len()));
        self.cx.time.spend(receivers);
    }

    /// A receiver was flushed, and is still above its soft limit: the sender is not read from.
    pub(super) fn hold_sender(&mut self, sender: SocketId) {
        if let Some(conn) = self.conns.get_mut(sender) {
            conn.held_by += 1;
        }
    }

    fn write_to_each(&mut self, to: impl IntoIterator<Item = SocketId>, message: &[u8]) {
        for id in to {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.write(message, None, WriteKind::USER, &mut self.cx);
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::arena::lookups;
    use crate::net::Event;
    use crate::sim::Sim;

    /// All events of so many turns.
    #[expect(clippy::expect_used, reason = "a test that cannot go on says so")]
    fn turns(net: &mut Net, count: usize) -> Vec<Event> {
        (0..count)
            .flat_map(|_| {
                std::iter::from_fn(|| net.next_event(Some(Duration::from_millis(1))).expect("the simulator waits"))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn a_receiver_is_looked_up_twice_when_the_message_is_queued_and_when_it_is_sent() {
        const RECEIVERS: usize = 50;
        let sim = Sim::new(1);
        let [mut room, mut guests] = [sim.kernel(), sim.kernel()].map(Net::new);
        let server = room.new_server(Default::default()).expect("the defaults are in their bounds");
        room.listen(server, "10.0.0.1:7").expect("nobody else listens");
        for _ in 0..RECEIVERS {
            let guest = guests.new_socket(Default::default()).expect("the defaults are in their bounds");
            guests.connect(guest, "10.0.0.1:7").expect("it is fresh");
        }
        let mut receivers = Vec::new();
        while receivers.len() < RECEIVERS {
            turns(&mut guests, 1);
            receivers.extend(turns(&mut room, 1).into_iter().filter_map(|event| match event {
                Event::Connection { socket, .. } => Some(socket),
                _ => None,
            }));
        }
        turns(&mut room, 2);
        lookups::taken();
        room.broadcast(receivers.iter().copied(), "hello");
        turns(&mut room, 1);
        let taken = lookups::taken();
        assert_eq!(receivers.iter().map(|id| room.connection(*id).unsent()).sum::<usize>(), 0, "it was sent");
        assert!(taken <= 3 * RECEIVERS, "{taken} look-ups for {RECEIVERS} receivers");
        assert!(taken >= 2 * RECEIVERS, "{taken} look-ups for {RECEIVERS} receivers: are they still counted?");
    }
}
