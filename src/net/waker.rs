//! Waking a loop from another thread: the one thing of a loop that other threads may touch.
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
/// A loop and all that belongs to it stay on their thread. What another thread has for it goes through a channel of std, or
/// whatever else is safe to share; then it wakes the loop, and the handler of
/// [`Loop::on_wake`](crate::Loop::on_wake) takes it out. All wakes before a turn are one event.
///
/// A loop runs as long as there is a waker for it, since somebody may still wake it. So it waits for its workers, and
/// [`EventLoop::run`](crate::EventLoop::run) returns when they have dropped theirs. A program that keeps one for ever, in its
/// state for example, ends its loop with [`Loop::stop`](crate::Loop::stop) or [`Loop::shut_down`](crate::Loop::shut_down).
/// Handlers need not keep one: [`Loop::waker`](crate::Loop::waker) gives another.
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
    /// A wake that the loop has not taken note of.
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

    /// Has [`Event::Wake`](crate::Event::Wake) come in the next turn of the loop. A wake that follows another before that
    /// costs next to nothing. It does nothing for a loop that is gone.
    ///
    /// What was sent to the loop before the call is there when the event comes.
    ///
    /// # Errors
    /// The system's, of telling the loop's thread. There is none in practice.
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
    /// The loop may wait for nothing but this: it has to look again whether anything keeps it running.
    fn drop(&mut self) {
        if self.0.wakers.fetch_sub(1, Ordering::SeqCst) == 1
            && let Err(error) = (self.0.wake)()
        {
            log::debug!("the last waker of a loop was dropped, and the loop could not be told: {error}");
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

    /// Whether a wake has come or may still come. The count is looked at first: whoever drops the last waker may have
    /// used it just before.
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
