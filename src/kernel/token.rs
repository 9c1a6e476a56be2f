//! For whom a readiness is, as a kernel keeps it.

use crate::base::id::{Id, Key, ServerId, SocketId};

/// The loop's name for whom a readiness is. A kernel keeps it and tells it back; what it says is the loop's affair.
///
/// ```text
///   63        32 31 30          0
///   generation   │  slot              bit 31: a server
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(u64);

/// Whom a [`Token`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenOwner {
    Socket(Key),
    Server(Key),
}

/// A slot is below the number of open descriptors, which does not get there.
const OF_A_SERVER: u32 = 1 << 31;

impl Token {
    /// Nobody's: no slot is so high.
    pub const NOBODY: Token = Token(u64::MAX);

    #[inline]
    fn of(Key { slot, generation }: Key) -> Self {
        Token(u64::from(generation) << 32 | u64::from(slot))
    }

    #[inline]
    pub(crate) fn owner(self) -> TokenOwner {
        let (slot, generation) = (self.0 as u32, (self.0 >> 32) as u32);
        if slot & OF_A_SERVER == 0 {
            TokenOwner::Socket(Key { slot, generation })
        } else {
            TokenOwner::Server(Key { slot: slot & !OF_A_SERVER, generation })
        }
    }
}

impl From<SocketId> for Token {
    #[inline]
    fn from(id: SocketId) -> Self {
        Token::of(id.key())
    }
}

impl From<ServerId> for Token {
    fn from(id: ServerId) -> Self {
        let Key { slot, generation } = id.key();
        Token::of(Key { slot: slot | OF_A_SERVER, generation })
    }
}
