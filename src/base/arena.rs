//! A slab whose keys carry a generation.
//!
//! It is `slab` (a slot is found by its number, freed slots are used again) plus the half of `id.rs`'s promise that the
//! owner keeps: each value remembers the generation that its id was given, so an id that has outlived its value finds
//! nothing. The net keeps its sockets, servers and timers in arenas, the event loop their handlers.

use std::marker::PhantomData;

use slab::Slab;

/// Values of one kind, found by ids of the kind `I`.
#[derive(Debug)]
pub(crate) struct Arena<I, T> {
    slots: Slab<Slot<T>>,
    /// The generation of the next value. One counter for all slots costs nothing per free slot, and comes round to the
    /// same number in the same slot only after 2^32 values.
    next_generation: u32,
    ids: PhantomData<I>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: T,
}

impl<I: From<(u32, u32)> + Into<(u32, u32)> + Copy, T> Arena<I, T> {
    pub fn new() -> Self {
        Arena { slots: Slab::new(), next_generation: 0, ids: PhantomData }
    }

    /// Keeps the value that `make` builds from its own id.
    pub fn insert_with(&mut self, make: impl FnOnce(I) -> T) -> I {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let entry = self.slots.vacant_entry();
        // A slot number is below the number of open descriptors, timers or servers: 32 bits are never used up.
        let id = I::from((entry.key() as u32, generation));
        entry.insert(Slot { generation, value: make(id) });
        id
    }

    #[inline]
    pub fn get(&self, id: I) -> Option<&T> {
        let (slot, generation) = id.into();
        match self.slots.get(slot as usize) {
            Some(found) if found.generation == generation => Some(&found.value),
            _ => None,
        }
    }

    #[inline]
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        let (slot, generation) = id.into();
        match self.slots.get_mut(slot as usize) {
            Some(found) if found.generation == generation => Some(&mut found.value),
            _ => None,
        }
    }

    pub fn contains(&self, id: I) -> bool {
        self.get(id).is_some()
    }

    pub fn remove(&mut self, id: I) -> Option<T> {
        self.get(id)?;
        let (slot, _) = id.into();
        self.slots.try_remove(slot as usize).map(|slot| slot.value)
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.slots.iter().map(|(slot, found)| (I::from((slot as u32, found.generation)), &found.value))
    }

    /// The first value at or after `slot`, going round once, that `wanted` says yes to.
    pub fn find_from(&self, slot: u32, mut wanted: impl FnMut(&T) -> bool) -> Option<I> {
        let bound = self.slots.capacity() as u32;
        (slot..bound).chain(0..slot.min(bound)).find_map(|slot| {
            let found = self.slots.get(slot as usize)?;
            wanted(&found.value).then(|| I::from((slot, found.generation)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::SocketId;

    #[test]
    fn a_stale_id_finds_nothing_and_never_a_stranger() {
        let mut arena: Arena<SocketId, &str> = Arena::new();
        let first = arena.insert_with(|_| "first");
        assert_eq!(arena.remove(first), Some("first"));
        let second = arena.insert_with(|_| "second");
        assert_eq!(first.slot, second.slot, "the slot is used again");
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get(second), Some(&"second"));
    }

    #[test]
    fn finding_goes_round_once() {
        let mut arena: Arena<SocketId, u32> = Arena::new();
        let ids: Vec<_> = (0..5).map(|n| arena.insert_with(|_| n)).collect();
        assert_eq!(arena.find_from(3, |n| *n < 2), Some(ids[0]));
        assert_eq!(arena.find_from(1, |n| *n > 1), Some(ids[2]));
        assert_eq!(arena.find_from(2, |_| false), None);
    }
}
