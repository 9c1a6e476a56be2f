//! One message to many.
//!
//! Nothing is written here. The message is laid down once, each receiver's queue gets a range of it, and the receivers
//! go on the flush list: what is said within a turn goes out in one system call for each receiver, however many
//! messages it is. That is where a chat's speed comes from (`docs/benchmarks.md`): the kernel takes as long for one line
//! as for sixty-four.

use super::Net;
use crate::base::id::SocketId;
use crate::connection::Stage;

/// A message above this size is written to each receiver by itself: places in a segment are 32 bits.
const LARGEST_SHARED: usize = 1 << 30;

impl Net {
    /// Sends a message to many. It goes out in the next flush, at the latest when the turn's reads are done; in each
    /// connection it keeps its place among the other writes. Who cannot be written to is left out.
    ///
    /// It counts as a write: in `buffer_size`, `bytes_written`, `drain` and the output limits.
    pub fn broadcast(&mut self, to: impl IntoIterator<Item = SocketId>, message: impl AsRef<[u8]>) {
        self.broadcast_as(None, to, message.as_ref());
    }

    /// As [`Net::broadcast`]; and the sender is not read from until all receivers are under their soft output limit. So
    /// a room goes no faster than its slowest member, until the limit's grace period is over.
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
            to.into_iter().for_each(|id| {
                self.write(id, message);
            });
            return;
        }
        let place = self.segments.append(message);
        for id in to {
            let Some(link) = self.sockets.get_mut(id) else { continue };
            let near_a_limit = !link.has_room_for(message.len());
            if near_a_limit && !self.limits_admit_message(id, message.len()) {
                continue;
            }
            let Some(link) = self.sockets.get_mut(id) else { continue };
            if !link.connection.queue_message(place, &mut self.segments) {
                continue;
            }
            if !link.to_be_flushed && !link.connection.is_in_flight() {
                link.to_be_flushed = true;
                self.flushing.push_back(id);
            }
            if near_a_limit {
                self.judge_broadcast(id, sender);
            }
        }
    }

    /// Whether a message would be refused before it is queued.
    fn limits_admit_message(&mut self, id: SocketId, length: usize) -> bool {
        self.sockets.get(id).is_some_and(|link| link.connection.stage() != Stage::Fresh)
            && self.limits_admit(id, length)
    }
}
