//! Signals as events: with the feature `signals`, on Unix systems.

#[cfg(all(unix, feature = "signals"))]
pub(super) use with::Signals;
#[cfg(not(all(unix, feature = "signals")))]
pub(super) use without::Signals;

#[cfg(all(unix, feature = "signals"))]
mod with {
    use std::io;

    use mio::{Interest, Registry};

    /// The signals that are watched. It is empty until the first one is.
    #[derive(Default)]
    pub(in crate::kernel) struct Signals(Option<signal_hook_mio::v1_0::Signals>);

    impl Signals {
        /// Watches one more.
        pub fn watch(&mut self, registry: &Registry, key: mio::Token, signal: i32) -> io::Result<()> {
            if signal_hook::consts::FORBIDDEN.contains(&signal) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("signal {signal} cannot be caught")));
            }
            if let Some(signals) = &self.0 {
                return signals.add_signal(signal);
            }
            let mut signals = signal_hook_mio::v1_0::Signals::new([signal])?;
            registry.register(&mut signals, key, Interest::READABLE)?;
            self.0 = Some(signals);
            Ok(())
        }

        /// Those that have arrived since the last call.
        pub fn take(&mut self) -> impl Iterator<Item = i32> {
            self.0.iter_mut().flat_map(|signals| signals.pending())
        }
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

        pub fn take(&mut self) -> impl Iterator<Item = i32> {
            std::iter::empty()
        }
    }
}
