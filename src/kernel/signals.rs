//! Signals as events: with the feature `signals`, on Unix systems.
//!
//! The process has one handler for a signal, which signal-hook installs with the first listener. It notes that the signal has
//! arrived, and wakes each loop that listens to it through a pair of sockets. signal-hook never takes its handler away again,
//! and without `unsafe` nobody can. So when no loop of the process listens any more, the handler does itself what the system
//! would do by default: see `InProcess`.

#[cfg(all(unix, feature = "signals"))]
pub(super) use with::Signals;
#[cfg(all(any(target_os = "linux", target_os = "android"), feature = "signals"))]
pub(super) use with::ends_the_process;
#[cfg(not(all(unix, feature = "signals")))]
pub(super) use without::Signals;

#[cfg(all(unix, feature = "signals"))]
mod with {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;
    use std::io::{self, ErrorKind};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use mio::unix::SourceFd;
    use mio::{Interest, Registry};
    use signal_hook::consts::FORBIDDEN;
    use signal_hook::iterator::backend::SignalDelivery;
    use signal_hook::iterator::exfiltrator::SignalOnly;
    use signal_hook::{flag, low_level};

    use crate::kernel::system::has_default_effect;

    /// The numbers of signals are below this: 65 on Linux, 128 on MIPS. signal-hook panics at others.
    const MOST_SIGNALS: i32 = 128;

    /// The signals that one loop listens to.
    #[derive(Default)]
    pub(in crate::kernel) struct Signals {
        listened: BTreeMap<i32, Listener>,
        /// Made with the first.
        waking: Option<Waking>,
    }

    /// What wakes the loop, whatever the number of signals: the handler of the process writes, the poll watches the other end.
    struct Waking(SignalDelivery<UnixStream, SignalOnly>);

    impl Waking {
        fn new(registry: &Registry, key: mio::Token) -> io::Result<Self> {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            registry.register(&mut SourceFd(&reader.as_raw_fd()), key, Interest::READABLE)?;
            let none: [i32; 0] = [];
            Ok(Waking(SignalDelivery::with_pipe(reader, writer, SignalOnly, none)?))
        }
    }

    impl Signals {
        /// Listens to one more.
        pub fn watch(&mut self, registry: &Registry, key: mio::Token, signal: i32) -> io::Result<()> {
            if FORBIDDEN.contains(&signal) {
                return Err(io::Error::new(ErrorKind::InvalidInput, format!("signal {signal} cannot be caught")));
            }
            if self.listened.contains_key(&signal) {
                return Ok(());
            }
            let waking = match &mut self.waking {
                Some(waking) => waking,
                none => none.insert(Waking::new(registry, key)?),
            };
            let listener = Listener::new(signal, waking).map_err(|error| match error.kind() {
                // EINVAL of sigaction(2).
                ErrorKind::InvalidInput => {
                    io::Error::new(ErrorKind::InvalidInput, format!("there is no signal {signal}"))
                }
                _ => error,
            })?;
            self.listened.insert(signal, listener);
            Ok(())
        }

        /// Listens to it no more. If it has arrived and was not taken, nobody hears of it.
        pub fn unwatch(&mut self, signal: i32) {
            self.listened.remove(&signal);
        }

        /// Those that have arrived since the last call.
        pub fn take(&mut self) -> impl Iterator<Item = i32> {
            let arrived = self.waking.iter_mut().flat_map(|waking| waking.0.pending());
            let mut arrived: Vec<i32> = arrived.filter(|signal| self.listened.contains_key(signal)).collect();
            arrived.sort_unstable();
            arrived.into_iter()
        }
    }

    /// One loop that listens to one signal.
    struct Listener(i32);

    impl Listener {
        fn new(signal: i32, waking: &Waking) -> io::Result<Self> {
            if !(1..MOST_SIGNALS).contains(&signal) {
                return Err(ErrorKind::InvalidInput.into());
            }
            let mut process = process();
            // As long as signal-hook has no handler yet. And before the loop is woken by one: the handler of the process runs on
            // any thread, and calls what is registered in this order. The loop that it has woken may be gone before it comes to
            // the next, and then the signal that the loop has heard would have its default effect too.
            let in_process = match process.entry(signal) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(InProcess::new(signal, Unheard::now(signal))?),
            };
            // It stays there when nobody listens any more, and then only wakes the loop.
            waking.0.handle().add_signal(signal)?;
            in_process.begin();
            Ok(Listener(signal))
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            if let Some(in_process) = process().get_mut(&self.0) {
                in_process.end();
            }
        }
    }

    /// What the whole process knows of a signal that one of its loops has listened to.
    struct InProcess {
        /// How many loops listen, on whatever thread.
        listeners: usize,
        /// Set while the signal is to have its default effect. `None` if it never is.
        default_acts: Option<Arc<AtomicBool>>,
    }

    /// The effect of a signal that no loop listens to.
    enum Unheard {
        Default,
        /// None of ours: it is ignored, or the program has a handler, which signal-hook calls as well. Or nobody can say.
        Other,
    }

    impl Unheard {
        fn now(signal: i32) -> Self {
            if has_default_effect(signal) == Some(true) { Unheard::Default } else { Unheard::Other }
        }
    }

    impl InProcess {
        fn new(signal: i32, unheard: Unheard) -> io::Result<Self> {
            let Unheard::Default = unheard else { return Ok(InProcess { listeners: 0, default_acts: None }) };
            let acts = Arc::new(AtomicBool::new(true));
            if low_level::signal_name(signal).is_some() {
                flag::register_conditional_default(signal, Arc::clone(&acts))?;
            } else {
                // One that signal-hook does not know: a realtime signal. By default these end the process.
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&acts))?;
            }
            Ok(InProcess { listeners: 0, default_acts: Some(acts) })
        }

        fn begin(&mut self) {
            self.listeners += 1;
            self.decide();
        }

        fn end(&mut self) {
            self.listeners -= 1;
            self.decide();
        }

        fn decide(&self) {
            if let Some(acts) = &self.default_acts {
                acts.store(self.listeners == 0, Ordering::SeqCst);
            }
        }
    }

    static PROCESS: Mutex<BTreeMap<i32, InProcess>> = Mutex::new(BTreeMap::new());

    fn process() -> MutexGuard<'static, BTreeMap<i32, InProcess>> {
        PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a signal, one that ends a process by default, would end this one now. If that cannot be known, it counts as if
    /// it would.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(in crate::kernel) fn ends_the_process(signal: i32) -> bool {
        let process = process();
        let emulated = process.get(&signal).and_then(|in_process| in_process.default_acts.as_ref());
        emulated.is_some_and(|acts| acts.load(Ordering::SeqCst)) || has_default_effect(signal).unwrap_or(true)
    }
}

#[cfg(not(all(unix, feature = "signals")))]
mod without {
    use std::io;

    use mio::Registry;

    #[derive(Default)]
    pub(in crate::kernel) struct Signals {}

    impl Signals {
        pub fn watch(&mut self, _registry: &Registry, _key: mio::Token, _signal: i32) -> io::Result<()> {
            let why = if cfg!(unix) {
                "built without the feature `signals`: add it to those of tidegate in Cargo.toml"
            } else {
                "this system has no signals"
            };
            Err(io::Error::new(io::ErrorKind::Unsupported, why))
        }

        pub fn unwatch(&mut self, _signal: i32) {}

        pub fn take(&mut self) -> impl Iterator<Item = i32> {
            std::iter::empty()
        }
    }
}
