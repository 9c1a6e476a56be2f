//! What a connection has to do with pipes: where it pipes to, and what pipes into it.

use crate::base::few::Few;
use crate::base::id::SocketId;

/// Few connections have any pipes, so it is kept apart.
#[derive(Debug, Default)]
pub(in crate::net) struct Piping {
    pub destinations: Few<Pipe>,
    /// Who pipes into this socket, once for each pipe.
    pub sources: Few<SocketId>,
}

/// As what a source keeps its destinations that it waits for. Node keeps a set once there were several pipes, until it waits
/// for the drain of a single one; and an empty set is something to wait for where nothing is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum DrainWait {
    Single,
    Set,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Pipe {
    pub to: SocketId,
    /// Pipes are numbered as they are made. One that is made in the handler of an event does not notice that event.
    pub number: u64,
    pub at_end: AtEnd,
    pub drain: Drain,
    /// The user's handler for data was there before: it has each chunk first, as listeners in Node run in their order.
    pub after_listener: bool,
    /// The destination is a file: it gets no more than one of its pieces at once.
    pub into_file: bool,
}

/// What the source's end does to the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum AtEnd {
    EndDestination,
    LeaveOpen,
}

/// What a pipe has to do with its destination's `drain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Drain {
    /// It has never waited, and does not listen for it.
    NotListenedFor,
    /// It has waited once: from then on each `drain` of the destination lets the source flow.
    ListenedFor,
    /// As listened for, and the last `write` returned false: the source waits.
    Awaited,
}

/// Where the chunks of a source go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum PipeFlow {
    Nowhere,
    /// The usual case, without a look at the list.
    Into(SocketId),
    /// Into several, or into one that the user's handler comes before.
    ByList,
}

/// A chunk that the user's handler has first, for the destinations whose pipes were made after it was set.
#[derive(Debug)]
pub(in crate::net) struct KeptForPipes {
    pub from: SocketId,
    pub to: Vec<SocketId>,
    pub chunk: Vec<u8>,
}

impl Pipe {
    /// A chunk is about to be written: if it waited for a `drain`, it waits for the next one.
    #[inline]
    pub fn stop_waiting(&mut self) {
        if self.drain == Drain::Awaited {
            self.drain = Drain::ListenedFor;
        }
    }
}

impl Piping {
    pub fn has_destinations(&self) -> bool {
        !self.destinations.is_empty()
    }

    /// As [`Piping::flow`], if there is a single pipe.
    #[inline]
    pub fn sole_destination(&mut self) -> Option<SocketId> {
        match &mut self.destinations {
            Few::One(pipe) => {
                pipe.stop_waiting();
                Some(pipe.to)
            }
            _ => None,
        }
    }

    /// A chunk is about to be delivered: where to.
    #[inline]
    pub fn flow(&mut self) -> PipeFlow {
        match &mut self.destinations {
            Few::None => PipeFlow::Nowhere,
            Few::One(pipe) => {
                pipe.stop_waiting();
                if pipe.after_listener { PipeFlow::ByList } else { PipeFlow::Into(pipe.to) }
            }
            Few::Several(several) => {
                several.iter_mut().for_each(Pipe::stop_waiting);
                PipeFlow::ByList
            }
        }
    }

    pub fn awaits_any(&self) -> bool {
        self.awaited().is_some()
    }

    /// The first destination that has to drain.
    pub fn awaited(&self) -> Option<SocketId> {
        self.destinations.iter().find(|pipe| pipe.drain == Drain::Awaited).map(|pipe| pipe.to)
    }

    /// Whether all that is read goes into one socket, however much it is.
    pub fn takes_all(&self) -> bool {
        matches!(self.destinations[..], [pipe] if !pipe.into_file)
    }

    /// As it is with one pipe.
    #[cfg(test)]
    pub fn into_one(to: SocketId) -> Self {
        let pipe = Pipe {
            to,
            number: 0,
            at_end: AtEnd::EndDestination,
            drain: Drain::NotListenedFor,
            after_listener: false,
            into_file: false,
        };
        Piping { destinations: Few::One(pipe), ..Piping::default() }
    }
}
