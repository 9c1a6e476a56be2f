//! `tidegate sink`: reads everything and discards it. RFC 863, discard.

use tidegate::{Loop, ServerId, ServerOptions, Socket};

use super::Outcome;
use super::admission::Admission;
use super::connection::admit;
use super::service::{Service, listens_everywhere, serve};
use crate::cli::{Change, DaemonOptions, Listen};

struct Sink;

/// Runs until it is stopped.
pub fn run(daemon: &DaemonOptions) -> Outcome {
    serve(Sink, daemon)
}

impl Service for Sink {
    type Door = ();
    const NAME: &'static str = "sink";

    fn server_options(&self) -> ServerOptions {
        ServerOptions::new()
    }

    fn places(&self, daemon: &DaemonOptions) -> Vec<(Listen, ())> {
        listens_everywhere(daemon)
    }

    fn default_door(&self) -> Option<()> {
        Some(())
    }

    fn welcome(socket: &mut Socket<'_, Self>, (): (), doors: &Admission) {
        if admit(socket, doors).is_some() {
            socket.on_data(|_, _| {});
        }
    }

    fn change(_: &mut Loop<'_, Self>, _: &Change, _: &[(ServerId, ())]) {}
}
