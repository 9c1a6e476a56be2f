//! `tidegate echo`: sends every byte back, in order, and the end too.
//!
//! Each socket is piped into itself. So a client that sends without reading is paused, and memory stays bounded.

use tidegate::{Loop, ServerId, ServerOptions, Socket};

use super::Outcome;
use super::admission::Admission;
use super::connection::admit;
use super::service::{Service, listens_everywhere, serve};
use crate::cli::{Change, DaemonOptions, Listen};

struct Echo;

/// Runs until it is stopped.
pub fn run(daemon: &DaemonOptions) -> Outcome {
    serve(Echo, daemon)
}

impl Service for Echo {
    type Door = ();
    const NAME: &'static str = "echo";

    fn server_options(&self) -> ServerOptions {
        ServerOptions::new().allow_half_open(true).no_delay(true)
    }

    fn places(&self, daemon: &DaemonOptions) -> Vec<(Listen, ())> {
        listens_everywhere(daemon)
    }

    fn default_door(&self) -> Option<()> {
        Some(())
    }

    fn welcome(socket: &mut Socket<'_, Self>, (): (), doors: &Admission) {
        let Some(peer) = admit(socket, doors) else { return };
        let itself = socket.id();
        if let Err(error) = socket.pipe(itself) {
            log::warn!("{peer}: {error}");
        }
    }

    fn change(_: &mut Loop<'_, Self>, _: &Change, _: &[(ServerId, ())]) {}
}
