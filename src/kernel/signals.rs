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
    use std::io::{self, ErrorKind, Read};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use mio::unix::SourceFd;
    use mio::{Interest, Registry};
    use signal_hook::consts::FORBIDDEN;
    use signal_hook::{SigId, flag, low_level};

    use crate::kernel::system::has_default_effect;

    /// The signals that one loop listens to.
    #[derive(Default)]
    pub(in crate::kernel) struct Signals {
        listened: BTreeMap<i32, Listener>,
        /// Made with the first.
        waking: Option<Waking>,
    }

    /// What wakes the loop: the handler of the process writes, the poll watches the other end.
    struct Waking {
        reader: UnixStream,
        writer: UnixStream,
    }

    impl Waking {
        fn new(registry: &Registry, key: mio::Token) -> io::Result<Self> {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            registry.register(&mut SourceFd(&reader.as_raw_fd()), key, Interest::READABLE)?;
            Ok(Waking { reader, writer })
        }

        fn empty(&self) {
            while matches!((&self.reader).read(&mut [0; 64]), Ok(1..)) {}
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
            let listener = Listener::new(signal, &waking.writer).map_err(|error| match error.kind() {
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
            // In this order: what arrives in between wakes the loop again.
            if let Some(waking) = &self.waking {
                waking.empty();
            }
            let arrived = self.listened.iter().filter(|(_, listener)| listener.arrived.swap(false, Ordering::SeqCst));
            arrived.map(|(signal, _)| *signal)
        }
    }

    /// What the handler of the process does for a signal, as long as this lives.
    struct Action(SigId);

    impl Drop for Action {
        fn drop(&mut self) {
            low_level::unregister(self.0);
        }
    }

    /// One loop that listens to one signal.
    struct Listener {
        signal: i32,
        arrived: Arc<AtomicBool>,
        _actions: [Action; 2],
    }

    impl Listener {
        fn new(signal: i32, writer: &UnixStream) -> io::Result<Self> {
            let mut process = process();
            // As long as signal-hook has no handler yet.
            let unheard = (!process.contains_key(&signal)).then(|| Unheard::now(signal));
            let arrived = Arc::new(AtomicBool::new(false));
            let notes = Action(flag::register(signal, Arc::clone(&arrived))?);
            let wakes = Action(low_level::pipe::register(signal, writer.try_clone()?)?);
            if let Some(unheard) = unheard {
                process.insert(signal, InProcess::new(signal, unheard)?);
            }
            if let Some(in_process) = process.get_mut(&signal) {
                in_process.begin();
            }
            Ok(Listener { signal, arrived, _actions: [notes, wakes] })
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            // Before its actions are: a signal between the two must not be without any effect.
            if let Some(in_process) = process().get_mut(&self.signal) {
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
