//! The sockets and files of Unix systems. What these systems differ in is in `differences.rs`, and nowhere else.

mod descriptor;
mod differences;
mod socket_file;
mod sockets;

pub(super) use descriptor::Descriptor;
#[cfg(feature = "signals")]
pub(super) use differences::has_default_effect;
pub(super) use differences::{random, set_user_timeout};
pub(super) use sockets::{Listener, Stream, set_type_of_service};
