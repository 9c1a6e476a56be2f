//! The token of a handle: who its readiness is for.

use crate::base::id::{Id, Key, ServerId, SocketId};

/// The socket, the server or the name server that a readiness is for. A kernel keeps the token of each handle and gives it back with each
/// readiness. Only the loop reads what is in it.
///
/// ```text
///   63        32 31 30          0
///   generation   │  slot              bit 31: a server; bit 30: what is asked of a name server
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(u64);

/// The owner of a [`Token`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenOwner {
    Socket(Key),
    Server(Key),
    /// A question that a name server was asked.
    Question(Key),
}

/// The bits of the owners that are no sockets. Slots do not reach them: they are below the number of open descriptors.
const OF_A_SERVER: u32 = 1 << 31;
const OF_A_QUESTION: u32 = 1 << 30;

impl Token {
    /// The token of no socket and no server: no slot is so high.
    pub const NOBODY: Token = Token(u64::MAX);

    /// The token of this number, which a kernel that wraps another one may give it in place of the loop's own.
    #[inline]
    pub fn from_bits(bits: u64) -> Self {
        Token(bits)
    }

    /// Its number.
    #[inline]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    fn of(Key { slot, generation }: Key) -> Self {
        Token(u64::from(generation) << 32 | u64::from(slot))
    }

    #[inline]
    pub(crate) fn owner(self) -> TokenOwner {
        let (slot, generation) = (self.0 as u32, (self.0 >> 32) as u32);
        if slot & (OF_A_SERVER | OF_A_QUESTION) == 0 {
            TokenOwner::Socket(Key { slot, generation })
        } else if slot & OF_A_SERVER != 0 {
            TokenOwner::Server(Key { slot: slot & !OF_A_SERVER, generation })
        } else {
            TokenOwner::Question(Key { slot: slot & !OF_A_QUESTION, generation })
        }
    }

    /// The token of a question.
    #[cfg(feature = "names")]
    pub(crate) fn of_question(Key { slot, generation }: Key) -> Self {
        Token::of(Key { slot: slot | OF_A_QUESTION, generation })
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
