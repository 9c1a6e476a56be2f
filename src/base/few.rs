//! A list that mostly has one element, or none: the pipes of a socket, the handlers of its events.
//!
//! One element needs no memory of its own, which is what counts with ten thousand idle connections. It is a slice to
//! whoever reads it.

use std::ops::{Deref, DerefMut};

#[derive(Clone, Debug, Default)]
pub(crate) enum Few<T> {
    #[default]
    None,
    One(T),
    #[expect(clippy::box_collection, reason = "a list beside one element would make room for three")]
    Several(Box<Vec<T>>),
}

impl<T> Few<T> {
    pub fn push(&mut self, element: T) {
        *self = match std::mem::take(self) {
            Few::None => Few::One(element),
            Few::One(first) => Few::Several(Box::new(vec![first, element])),
            Few::Several(mut elements) => {
                elements.push(element);
                Few::Several(elements)
            }
        };
    }

    /// Takes the first element away that is so; the others keep their order.
    pub fn remove_first(&mut self, is_so: impl Fn(&T) -> bool) -> Option<T> {
        let at = self.iter().position(is_so)?;
        match std::mem::take(self) {
            Few::None => None,
            Few::One(element) => Some(element),
            Few::Several(mut elements) => {
                let removed = elements.remove(at);
                *self = if elements.len() == 1 {
                    elements.pop().map_or(Few::None, Few::One)
                } else {
                    Few::Several(elements)
                };
                Some(removed)
            }
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Few::None => &[],
            Few::One(element) => std::slice::from_ref(element),
            Few::Several(elements) => elements,
        }
    }
}

impl<T> DerefMut for Few<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Few::None => &mut [],
            Few::One(element) => std::slice::from_mut(element),
            Few::Several(elements) => elements,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_list_that_was_pushed() {
        let mut few = Few::default();
        for n in 1..=4 {
            few.push(n);
            assert_eq!(few.iter().copied().collect::<Vec<_>>(), (1..=n).collect::<Vec<_>>());
        }
        few[1] = 1;
        assert_eq!(few.remove_first(|n| *n == 1), Some(1));
        assert_eq!(few[..], [1, 3, 4]);
        assert_eq!(few.remove_first(|n| *n == 2), None);
        assert_eq!([3, 1, 4].map(|n| few.remove_first(|other| *other == n)), [Some(3), Some(1), Some(4)]);
        assert!(matches!(few, Few::None));
    }

    #[test]
    fn one_element_costs_no_more_than_a_list_without_any() {
        assert!(size_of::<Few<u64>>() <= size_of::<Vec<u64>>());
    }
}
