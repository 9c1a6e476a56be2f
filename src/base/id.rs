//! The names of things: small, `Copy`, with a generation and an owner.
//!
//! An id is a slot, the generation of what lived in that slot when the id was given out, and the number of the loop that
//! gave it. When the thing is gone the slot may be used again, with another generation, so a stale id finds nothing: the
//! call does nothing, never panics and never reaches a stranger. The same holds for an id of another loop. `arena.rs`
//! keeps the other half of this promise.
//!
//! Nobody outside the library can make an id, so nobody can forge one.

use std::fmt;
use std::num::NonZeroU32;

/// A place in an arena, and which of the values that have lived there is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub slot: u32,
    pub generation: u32,
}

/// What an arena makes its ids of, and looks them up by.
pub(crate) trait Id: Copy {
    fn new(key: Key, owner: Owner) -> Self;
    fn key(self) -> Key;
    fn owner(self) -> Owner;
}

/// The number of a loop, of which a process has each once. (After 2^32 loops the numbers begin again.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Owner(NonZeroU32);

impl Owner {
    /// A number that no other loop has.
    pub fn unique() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};

        static NEXT: AtomicU32 = AtomicU32::new(1);
        loop {
            if let Some(number) = NonZeroU32::new(NEXT.fetch_add(1, Ordering::Relaxed)) {
                return Owner(number);
            }
        }
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            key: Key,
            owner: Owner,
        }

        impl Id for $name {
            #[inline]
            fn new(key: Key, owner: Owner) -> Self {
                $name { key, owner }
            }

            #[inline]
            fn key(self) -> Key {
                self.key
            }

            #[inline]
            fn owner(self) -> Owner {
                self.owner
            }
        }

        impl fmt::Debug for $name {
            /// Slot and generation. The owner is left out: a run prints the same whatever other loops there were.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({}.{})"), self.key.slot, self.key.generation)
            }
        }
    };
}

macro_rules! number {
    ($name:ident, $before:literal) => {
        impl $name {
            /// Its number, which no other of the loop has (until 2^32 were made). `Display` shows it behind `#`.
            pub fn number(self) -> u32 {
                self.key.generation
            }
        }

        impl fmt::Display for $name {
            /// [`Self::number`].
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($before, "#{}"), self.key.generation)
            }
        }
    };
}

number!(SocketId, "");
number!(ServerId, "server ");
number!(TimerId, "timer ");

id! {
    /// Names one socket or file of a loop, from `new_socket`, `connect`, `open` or its acceptance until `on_close` has
    /// returned without a new `connect`. It means nothing to another loop.
    SocketId
}
id! {
    /// Names one server of a loop. It means nothing to another loop.
    ServerId
}
id! {
    /// Names one timer of a loop, until it has fired (`after`) or was cancelled. It means nothing to another loop.
    TimerId
}
