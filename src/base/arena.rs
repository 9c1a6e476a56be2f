//! A slab whose keys carry a generation and an owner.
//!
//! It is `slab` (a slot is found by its number, freed slots are used again) plus the half of `id.rs`'s promise that the
//! owner keeps: each value remembers the generation that its id was given, and the arena the loop that it belongs to. So an
//! id that has outlived its value, or comes from another loop, finds nothing. The net keeps its connections, servers and
//! timers in arenas.

use std::marker::PhantomData;

use slab::Slab;

use super::id::{Id, Key, Owner};

/// Values of one kind, found by ids of the kind `I`.
#[derive(Debug)]
pub(crate) struct Arena<I, T> {
    slots: Slab<Slot<T>>,
    /// The generation of the next value. One counter for all slots costs nothing per free slot, and comes round to the
    /// same number in the same slot only after 2^32 values.
    next_generation: u32,
    owner: Owner,
    ids: PhantomData<I>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: T,
}

impl<I: Id, T> Arena<I, T> {
    pub fn new(owner: Owner) -> Self {
        Arena { slots: Slab::new(), next_generation: 0, owner, ids: PhantomData }
    }

    /// Keeps the value that `make` builds from its own id.
    pub fn insert_with(&mut self, make: impl FnOnce(I) -> T) -> I {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let entry = self.slots.vacant_entry();
        // A slot number is below the number of open descriptors, timers or servers: 32 bits are never used up.
        let id = I::new(Key { slot: entry.key() as u32, generation }, self.owner);
        entry.insert(Slot { generation, value: make(id) });
        id
    }

    #[inline]
    pub fn get(&self, id: I) -> Option<&T> {
        if id.owner() != self.owner {
            return None;
        }
        lookups::count();
        match self.slots.get(id.key().slot as usize) {
            Some(found) if found.generation == id.key().generation => Some(&found.value),
            _ => None,
        }
    }

    #[inline]
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        if id.owner() != self.owner {
            return None;
        }
        self.by_key_mut(id.key())
    }

    /// By what a kernel has kept of an id of this arena.
    #[inline]
    pub fn by_key_mut(&mut self, key: Key) -> Option<&mut T> {
        lookups::count();
        match self.slots.get_mut(key.slot as usize) {
            Some(found) if found.generation == key.generation => Some(&mut found.value),
            _ => None,
        }
    }

    pub fn contains(&self, id: I) -> bool {
        self.get(id).is_some()
    }

    pub fn remove(&mut self, id: I) -> Option<T> {
        self.get(id)?;
        self.slots.try_remove(id.key().slot as usize).map(|slot| slot.value)
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn ids(&self) -> impl Iterator<Item = I> {
        self.iter().map(|(id, _)| id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.slots.iter().map(|(slot, found)| (self.id_of(slot as u32, found.generation), &found.value))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|(_, found)| &mut found.value)
    }

    /// The first value at or after `slot`, going round once, that `wanted` says yes to.
    pub fn find_from(&self, slot: u32, mut wanted: impl FnMut(&T) -> bool) -> Option<I> {
        let bound = self.slots.capacity() as u32;
        (slot..bound).chain(0..slot.min(bound)).find_map(|slot| {
            let found = self.slots.get(slot as usize)?;
            wanted(&found.value).then(|| self.id_of(slot, found.generation))
        })
    }

    /// The id of what lives under a key.
    pub fn id(&self, key: Key) -> I {
        I::new(key, self.owner)
    }

    fn id_of(&self, slot: u32, generation: u32) -> I {
        self.id(Key { slot, generation })
    }
}

/// How often something was looked up on this thread: a test bounds it, because every look-up is a cache miss in a large
/// room.
pub(crate) mod lookups {
    #[cfg(test)]
    thread_local! {
        static COUNT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    #[inline(always)]
    pub(super) fn count() {
        #[cfg(test)]
        COUNT.with(|count| count.set(count.get() + 1));
    }

    /// Since the last call.
    #[cfg(test)]
    pub fn taken() -> usize {
        COUNT.with(std::cell::Cell::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::SocketId;

    #[test]
    fn a_stale_id_finds_nothing_and_never_a_stranger() {
        let mut arena: Arena<SocketId, &str> = Arena::new(Owner::unique());
        let first = arena.insert_with(|_| "first");
        assert_eq!(arena.remove(first), Some("first"));
        let second = arena.insert_with(|_| "second");
        assert_eq!(first.key().slot, second.key().slot, "the slot is used again");
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get(second), Some(&"second"));
    }

    #[test]
    fn finding_goes_round_once() {
        let mut arena: Arena<SocketId, u32> = Arena::new(Owner::unique());
        let ids: Vec<_> = (0..5).map(|n| arena.insert_with(|_| n)).collect();
        assert_eq!(arena.find_from(3, |n| *n < 2), Some(ids[0]));
        assert_eq!(arena.find_from(1, |n| *n > 1), Some(ids[2]));
        assert_eq!(arena.find_from(2, |_| false), None);
    }

    #[test]
    fn an_id_of_another_loop_finds_nothing() {
        let (mut one, mut other) = (Arena::new(Owner::unique()), Arena::new(Owner::unique()));
        let (mine, yours): (SocketId, SocketId) = (one.insert_with(|_| "mine"), other.insert_with(|_| "yours"));
        assert_eq!(mine.key(), yours.key());
        assert_ne!(mine, yours);
        assert_eq!((one.get(yours), other.remove(mine), other.get(yours)), (None, None, Some(&"yours")));
    }
}
