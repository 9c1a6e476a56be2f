//! A line, as it is cut out of a stream.

use std::borrow::Cow;

use super::lossy;

/// One line, without its end.
///
/// It may borrow from the chunk, and never borrows from the [`Lines`](crate::Lines).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'c> {
    pub(super) bytes: Cow<'c, [u8]>,
    pub(super) is_too_long: bool,
}

impl Line<'_> {
    /// The bytes of the line. If it is too long, its beginning: as many bytes as the bound allows.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The line as text. Invalid UTF-8 becomes U+FFFD. A line that is too long may be cut inside its last character.
    ///
    /// The text may contain whatever a peer can send, escape sequences for terminals too. See [`sanitize`](crate::sanitize)
    /// and [`Escaped`](crate::Escaped).
    pub fn text(&self) -> Cow<'_, str> {
        lossy(&self.bytes)
    }

    /// Whether the line has passed the bound. Nothing more of it comes, even if its end has not arrived yet.
    pub fn is_too_long(&self) -> bool {
        self.is_too_long
    }
}
