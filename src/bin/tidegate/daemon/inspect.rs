//! `--inspect` of a role.

use tidegate::EventLoop;

use super::service::Service;
use crate::cli::DaemonOptions;
use crate::inspector::{self, Limits, OwnFigures, Subject};

/// Lets the role be looked at, if that is asked for. To be called before it listens.
///
/// # Errors
/// Those of the inspector.
pub fn inspect<R: Service>(
    event_loop: &mut EventLoop<R>,
    daemon: &DaemonOptions,
    limits: &Limits,
) -> Result<(), String> {
    let own = OwnFigures::of(R::figures);
    let subject = Subject { role: R::NAME.to_owned(), limits: limits.clone(), own };
    inspector::inspect(event_loop, &daemon.inspector, subject)
}
