//! The names of things: small, `Copy`, and with a generation.
//!
//! An id is a slot and the generation of what lived in that slot when the id was given out. Once that is gone the slot
//! may be used again, with another generation, so that a stale id finds nothing: the call is a no-op, never a panic,
//! and never reaches a stranger. `arena.rs` keeps the other half of this promise.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            pub(crate) slot: u32,
            pub(crate) generation: u32,
        }

        impl From<(u32, u32)> for $name {
            fn from((slot, generation): (u32, u32)) -> Self {
                $name { slot, generation }
            }
        }

        impl From<$name> for (u32, u32) {
            fn from(id: $name) -> Self {
                (id.slot, id.generation)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({}.{})"), self.slot, self.generation)
            }
        }
    };
}

id! {
    /// Names one socket or file of a loop, from `new_socket`, `connect`, `open` or its acceptance until `on_close` has
    /// returned without a new `connect`.
    SocketId
}
id! {
    /// Names one server of a loop.
    ServerId
}
id! {
    /// Names one timer of a loop, until it has fired (`after`) or was cancelled.
    TimerId
}
