//! What a handle of mio's kernel stands for: a connection, a socket that listens, one of datagrams, a file.

use super::Token;
use super::datagrams::Datagrams;
use super::system::{Descriptor, Listener, Stream};

/// What a handle stands for. A stream takes 16 bytes. The others are boxed: there are few of them, and they are larger.
#[derive(Debug)]
pub(super) enum Source {
    Stream(Entry<Stream>),
    Listener(Box<Entry<Listener>>),
    Datagrams(Box<Entry<Datagrams>>),
    File(Box<Entry<Descriptor>>),
}

#[derive(Debug)]
pub(super) struct Entry<T> {
    pub source: T,
    /// [`Token::NOBODY`] until it is registered.
    pub token: Token,
}

impl Source {
    #[inline]
    pub fn token(&self) -> Token {
        match self {
            Source::Stream(entry) => entry.token,
            Source::Listener(_) | Source::Datagrams(_) | Source::File(_) => self.token_of_other(),
        }
    }

    // Apart: nearly all readiness is for streams.
    #[cold]
    fn token_of_other(&self) -> Token {
        match self {
            Source::Stream(entry) => entry.token,
            Source::Listener(entry) => entry.token,
            Source::Datagrams(entry) => entry.token,
            Source::File(entry) => entry.token,
        }
    }
}

impl<T> Entry<T> {
    pub fn new(source: T) -> Self {
        Entry { source, token: Token::NOBODY }
    }
}
