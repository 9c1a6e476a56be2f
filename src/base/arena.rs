//! A slab whose keys carry a generation and an owner.
//!
//! It is `slab` (a slot is found by its number, freed slots are used again) plus the half of `id.rs`'s promise that the
//! owner keeps: each value knows its id, and the arena the loop that it belongs to. So an id that has outlived its value, or
//! comes from another loop, finds nothing. The net keeps its connections, servers and
//! timers in arenas.

use slab::Slab;

use super::id::{Id, Key, Owner};

/// What can be kept in an arena: a value that knows its own id.
pub(crate) trait HasId {
    type Id: Id;

    fn id(&self) -> Self::Id;
}

/// Values of one kind, found by their ids.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    slots: Slab<T>,
    /// The generation of the next value. One counter for all slots costs nothing per free slot, and comes round to the
    /// same number in the same slot only after 2^32 values.
    next_generation: u32,
    owner: Owner,
}

impl<T: HasId> Arena<T> {
    pub fn new(owner: Owner) -> Self {
        Arena { slots: Slab::new(), next_generation: 1, owner }
    }

    /// Keeps the value that `make` builds from its own id.
    pub fn insert_with(&mut self, make: impl FnOnce(T::Id) -> T) -> T::Id {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        let entry = self.slots.vacant_entry();
        // A slot number is below the number of open descriptors, timers or servers: 32 bits are never used up.
        let id = T::Id::new(Key { slot: entry.key() as u32, generation }, self.owner);
        entry.insert(make(id));
        id
    }

    #[inline]
    pub fn get(&self, id: T::Id) -> Option<&T> {
        if id.owner() != self.owner {
            return None;
        }
        lookups::count();
        match self.slots.get(id.key().slot as usize) {
            Some(found) if found.id().key().generation == id.key().generation => Some(found),
            _ => None,
        }
    }

    #[inline]
    pub fn get_mut(&mut self, id: T::Id) -> Option<&mut T> {
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
            Some(found) if found.id().key().generation == key.generation => Some(found),
            _ => None,
        }
    }

    /// What lives in a slot now.
    pub fn by_slot_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)
    }

    pub fn contains(&self, id: T::Id) -> bool {
        self.get(id).is_some()
    }

    pub fn remove(&mut self, id: T::Id) -> Option<T> {
        self.get(id)?;
        self.slots.try_remove(id.key().slot as usize)
    }

    /// The number of the loop, which all its ids carry.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn ids(&self) -> impl Iterator<Item = T::Id> {
        self.slots.iter().map(|(_, value)| value.id())
    }

    pub fn iter(&self) -> impl Iterator<Item = (T::Id, &T)> {
        self.slots.iter().map(|(_, value)| (value.id(), value))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|(_, value)| value)
    }

    /// The first value at or after `slot`, going round once, that `wanted` says yes to.
    pub fn find_from(&self, slot: u32, mut wanted: impl FnMut(&T) -> bool) -> Option<T::Id> {
        let bound = self.slots.capacity() as u32;
        (slot..bound).chain(0..slot.min(bound)).find_map(|slot| {
            let found = self.slots.get(slot as usize)?;
            wanted(found).then(|| found.id())
        })
    }

    /// The id of what lives under a key.
    pub fn id(&self, key: Key) -> T::Id {
        T::Id::new(key, self.owner)
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

    #[derive(Debug, PartialEq)]
    struct Named(SocketId, u32);

    impl HasId for Named {
        type Id = SocketId;

        fn id(&self) -> SocketId {
            self.0
        }
    }

    fn insert(arena: &mut Arena<Named>, number: u32) -> SocketId {
        arena.insert_with(|id| Named(id, number))
    }

    fn number(named: Option<&Named>) -> Option<u32> {
        named.map(|named| named.1)
    }

    #[test]
    fn a_stale_id_finds_nothing_and_never_a_stranger() {
        let mut arena = Arena::new(Owner::unique());
        let first = insert(&mut arena, 1);
        assert_eq!(number(arena.remove(first).as_ref()), Some(1));
        let second = insert(&mut arena, 2);
        assert_eq!(first.key().slot, second.key().slot, "the slot is used again");
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(number(arena.get(second)), Some(2));
    }

    #[test]
    fn finding_goes_round_once() {
        let mut arena = Arena::new(Owner::unique());
        let ids: Vec<_> = (0..5).map(|n| insert(&mut arena, n)).collect();
        assert_eq!(arena.find_from(3, |named| named.1 < 2), Some(ids[0]));
        assert_eq!(arena.find_from(1, |named| named.1 > 1), Some(ids[2]));
        assert_eq!(arena.find_from(2, |_| false), None);
    }

    #[test]
    fn an_id_of_another_loop_finds_nothing() {
        let (mut one, mut other) = (Arena::new(Owner::unique()), Arena::new(Owner::unique()));
        let (mine, yours) = (insert(&mut one, 1), insert(&mut other, 2));
        assert_eq!(mine.key(), yours.key());
        assert_ne!(mine, yours);
        assert_eq!((one.get(yours), other.remove(mine), number(other.get(yours))), (None, None, Some(2)));
    }
}
