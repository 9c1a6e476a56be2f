//! The line of those who have something to do, served in rounds.
//!
//! ```text
//!   join ──▶ [ next round ] ──begin_round──▶ [ this round ] ──call──▶ served
//! ```
//!
//! Who joins while a round is served belongs to the next one: no turn can be kept from its end. It knows nothing of what
//! is done with whom; `turn.rs` begins the rounds, `serve.rs` calls.

use crate::kernel::Token;

#[derive(Debug, Default)]
pub(super) struct Line {
    round: Vec<Token>,
    /// How many of the round were called.
    called: usize,
    next: Vec<Token>,
}

impl Line {
    /// At the end of the next round.
    #[inline]
    pub fn join(&mut self, token: Token) {
        self.next.push(token);
    }

    /// All who stand in line belong to the round that begins. The one before is over.
    pub fn begin_round(&mut self) {
        debug_assert_eq!(self.called, self.round.len(), "the last round came to its end");
        self.round.clear();
        self.called = 0;
        std::mem::swap(&mut self.round, &mut self.next);
    }

    /// The next one of this round.
    #[inline]
    pub fn call(&mut self) -> Option<Token> {
        let token = *self.round.get(self.called)?;
        self.called += 1;
        Some(token)
    }

    /// Who was called last is called once more, before the others.
    pub fn call_again(&mut self) {
        self.called = self.called.saturating_sub(1);
    }

    pub fn is_empty(&self) -> bool {
        self.next.is_empty() && self.called == self.round.len()
    }

    /// All who stand in line.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.round[self.called..].iter().chain(&self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::SocketId;

    fn token(slot: u32) -> Token {
        SocketId { slot, generation: 0 }.into()
    }

    #[test]
    fn who_joins_while_a_round_is_served_belongs_to_the_next() {
        let mut line = Line::default();
        line.join(token(1));
        line.join(token(2));
        assert_eq!(line.call(), None, "no round has begun");
        line.begin_round();
        assert_eq!(line.call(), Some(token(1)));
        line.join(token(1));
        assert_eq!(line.iter().copied().collect::<Vec<_>>(), [token(2), token(1)]);
        line.call_again();
        assert_eq!([line.call(), line.call(), line.call()], [Some(token(1)), Some(token(2)), None]);
        assert!(!line.is_empty());
        line.begin_round();
        assert_eq!([line.call(), line.call()], [Some(token(1)), None]);
        assert!(line.is_empty());
    }
}
