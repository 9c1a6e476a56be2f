//! The tokens of a loop, by the handles that they were given for.
//!
//! The inner kernel gets the number of a handle as its token. So a recording says nothing of how a loop makes its tokens.

use std::collections::BTreeMap;

use crate::kernel::{Handle, Ready, Token};

/// Handles below this have a place of their own. A kernel counts them like descriptors, so most are.
const LOW: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Tokens {
    low: Vec<Token>,
    others: BTreeMap<u32, Token>,
}

impl Tokens {
    /// Keeps the token of a handle. The one that stands for it.
    pub fn insert(&mut self, handle: Handle, token: Token) -> Token {
        let place = handle.0 as usize;
        if place < LOW {
            if place >= self.low.len() {
                self.low.resize(place + 1, Token::NOBODY);
            }
            self.low[place] = token;
        } else {
            self.others.insert(handle.0, token);
        }
        Token::from_bits(handle.0.into())
    }

    pub fn remove(&mut self, handle: Handle) {
        match self.low.get_mut(handle.0 as usize) {
            Some(token) => *token = Token::NOBODY,
            None => drop(self.others.remove(&handle.0)),
        }
    }

    /// Puts the loop's own tokens in the place of those that stand for them.
    #[inline]
    pub fn give_back(&self, found: &mut [Ready]) {
        for ready in found {
            if let Ready::Io { token, .. } = ready {
                let number = token.to_bits();
                *token = match self.low.get(number as usize) {
                    Some(own) => *own,
                    None => self.others.get(&(number as u32)).copied().unwrap_or(Token::NOBODY),
                };
            }
        }
    }
}
