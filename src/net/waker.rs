//! Waking a loop from another thread: the only part of a loop that other threads may use.
//!
//! ```text
//!   Waker::wake ──▶ woken ──▶ the kernel's `wait` returns ──▶ Event::Wake, once for all wakes until then
//!   the last Waker is dropped ──▶ `wait` returns ──▶ nothing keeps the loop running any more
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::base::error::Error;
use crate::kernel::{Kernel, Wake};

/// Wakes a loop from another thread.
///
/// A loop, and all that belongs to it, stays on its thread. Another thread puts what it has for the loop into a channel of std,
/// and then wakes the loop. The handler of [`Loop::on_wake`](crate::Loop::on_wake) takes it out. All wakes before a turn are one
/// event.
///
/// A loop runs as long as there is a waker for it, since a wake may still come. So it waits for its workers:
/// [`EventLoop::run`](crate::EventLoop::run) returns when they have dropped their wakers. If the program keeps one for ever, in
/// its state for example, end the loop with [`Loop::stop`](crate::Loop::stop) or [`Loop::shut_down`](crate::Loop::shut_down).
/// A handler need not keep one: [`Loop::waker`](crate::Loop::waker) gives another.
///
/// ```
/// use std::sync::mpsc;
/// use std::thread;
/// use tidegate::EventLoop;
///
/// let mut event_loop = EventLoop::with_state(Vec::new())?;
/// let (sender, results) = mpsc::channel();
/// event_loop.on_wake(move |event_loop| event_loop.state.extend(results.try_iter()));
///
/// let waker = event_loop.waker()?;
/// let worker = thread::spawn(move || {
///     for number in 1..=3 {
///         sender.send(number * number).expect("the loop receives");
///         waker.wake()?;
///     }
///     Ok::<_, tidegate::Error>(())
/// });
/// event_loop.run()?; // until the worker has come to its end
/// worker.join().expect("it does not panic")?;
/// assert_eq!(event_loop.state, [1, 4, 9]);
/// # Ok::<(), tidegate::Error>(())
/// ```
pub struct Waker(Arc<Shared>);

/// What the wakers of a loop and the loop share.
struct Shared {
    /// There was a wake since the loop has asked last.
    woken: AtomicBool,
    /// How many wakers there are.
    wakers: AtomicUsize,
    wake: Wake,
}

impl Waker {
    fn of(shared: &Arc<Shared>) -> Self {
        shared.wakers.fetch_add(1, Ordering::SeqCst);
        Waker(Arc::clone(shared))
    }

    /// Wakes the loop: [`Event::Wake`](crate::Event::Wake) comes in its next turn. A second wake before that turn costs next to
    /// nothing. If the loop is gone, nothing happens.
    ///
    /// What was put into a channel before the call can be taken out when the event comes.
    ///
    /// # Errors
    /// What the system says if it cannot wake the loop's thread. In practice that does not happen.
    pub fn wake(&self) -> Result<(), Error> {
        if self.0.woken.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        (self.0.wake)().map_err(|error| {
            self.0.woken.store(false, Ordering::SeqCst);
            Error::from(error)
        })
    }
}

impl Clone for Waker {
    fn clone(&self) -> Self {
        Waker::of(&self.0)
    }
}

impl Drop for Waker {
    /// The last one ends the loop's wait, so that the loop finds that it does not keep it running any more.
    fn drop(&mut self) {
        if self.0.wakers.fetch_sub(1, Ordering::SeqCst) == 1
            && let Err(error) = (self.0.wake)()
        {
            log::debug!("the last waker was dropped, and the loop could not be woken: {error}");
        }
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker").field("woken", &self.0.woken.load(Ordering::SeqCst)).finish_non_exhaustive()
    }
}

/// The loop's side. Most loops never have a waker.
#[derive(Default)]
pub(super) struct Wakers(Option<Arc<Shared>>);

impl Wakers {
    pub fn waker(&mut self, kernel: &mut dyn Kernel) -> Result<Waker, Error> {
        let shared = match &mut self.0 {
            Some(shared) => shared,
            none => {
                let wake = kernel.waker()?;
                none.insert(Arc::new(Shared { woken: AtomicBool::new(false), wakers: AtomicUsize::new(0), wake }))
            }
        };
        Ok(Waker::of(shared))
    }

    /// Whether there was a wake since this was asked last.
    pub fn take_wake(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.woken.swap(false, Ordering::SeqCst))
    }

    /// Whether a wake has come or may still come. The count is read first, since the last waker may be used just before it is
    /// dropped.
    pub fn keep_alive(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|shared| shared.wakers.load(Ordering::SeqCst) > 0 || shared.woken.load(Ordering::SeqCst))
    }
}

impl fmt::Debug for Wakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wakers = self.0.as_ref().map_or(0, |shared| shared.wakers.load(Ordering::SeqCst));
        f.debug_tuple("Wakers").field(&wakers).finish()
    }
}
