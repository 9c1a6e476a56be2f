//! `tidegate hub`: what each source says goes to all consumers, frame by frame, and a slow one harms nobody.
//!
//! ```text
//!   --in      dial, listen, file, tty ──▶ frames ──▶ ring ──▶ distribution ──▶ consumers      --out
//!                                                     ▲                          │
//!   --listen  a member is both                        └── --two-way goes around ─┘
//! ```
//!
//! What is pure: `ring.rs` (the queue of all consumers), `frames.rs`, `consumer.rs` (what became of each frame), `slow.rs` (the
//! rules), `brake.rs`. `state.rs` has the whole state; `distribution.rs` gives frames to consumers; `input/` and `output/` have
//! one kind of place each; `stopping.rs` is the end.

mod brake;
mod client;
mod consumer;
mod dial;
mod distribution;
mod frames;
mod input;
mod itself;
mod output;
mod raw_mode;
mod ring;
#[cfg(test)]
mod simulated;
mod slow;
mod start_line;
mod state;
mod stopping;
mod table;
mod talk;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use tidegate::{EndOrder, EventLoop, Loop, ServerId, ServerOptions, ShutDownOptions, Socket};

use self::client::{Role, welcome};
use self::state::{Hub, MARK};
use super::Outcome;
use super::admission::Admission;
use super::service::{Service, serve};
use crate::cli::{Change, DaemonOptions, HubOptions, Input, Listen, Output};

/// Runs until it is stopped, or until all its inputs have ended.
pub fn run(options: &HubOptions) -> Outcome {
    serve(Hub::new(options), &options.daemon)
}

impl Service for Hub {
    type Door = Role;
    const NAME: &'static str = "hub";
    const ORDER: EndOrder = EndOrder::Together;

    fn server_options(&self) -> ServerOptions {
        ServerOptions::new().allow_half_open(true).no_delay(true).high_water_mark(MARK)
    }

    fn places(&self, daemon: &DaemonOptions) -> Vec<(Listen, Role)> {
        let members = daemon.listen.iter().map(|place| (*place, Role::Members));
        let producers = self.options.inputs.iter().filter_map(|input| match input {
            Input::Listen(place) => Some((*place, Role::Producers)),
            _ => None,
        });
        let consumers = self.options.outputs.iter().filter_map(|output| match output {
            Output::Listen(place) => Some((*place, Role::Consumers)),
            _ => None,
        });
        members.chain(producers).chain(consumers).collect()
    }

    fn default_door(&self) -> Option<Role> {
        (self.options.inputs.is_empty() && self.options.outputs.is_empty()).then_some(Role::Members)
    }

    fn welcome(socket: &mut Socket<'_, Self>, role: Role, doors: &Admission) {
        welcome(socket, role, doors);
    }

    fn check_servers(on: &mut Loop<'_, Self>, new: &[ServerId]) -> Result<(), Box<dyn Error>> {
        itself::refuse(on.net, &on.state.options, new)
    }

    fn start(hub: &mut EventLoop<Self>, servers: &[(ServerId, Role)]) -> Result<(), Box<dyn Error>> {
        let options = hub.state.options.clone();
        open_all(hub, &options)?;
        log::info!("{}", start_line::start_line(&hub.net, &options, servers));
        Ok(())
    }

    fn shut_down(on: &mut Loop<'_, Self>, options: ShutDownOptions) {
        stopping::shut_down(on, options);
    }

    fn has_stopped(hub: &mut EventLoop<Self>, code: ExitCode) -> ExitCode {
        stopping::report(hub, code)
    }

    fn write_table(on: &mut Loop<'_, Self>) {
        table::write_table_of_consumers(on);
    }

    fn has_files(&self) -> bool {
        self.options.outputs.iter().any(|output| matches!(output, Output::File(_)))
    }

    fn open_anew(on: &mut Loop<'_, Self>) {
        if on.state.has_files() {
            output::open_anew(on);
        }
    }

    fn change(on: &mut Loop<'_, Self>, change: &Change, _: &[(ServerId, Role)]) {
        if let crate::cli::Role::Hub(options) = &change.role {
            on.state.change(options);
            distribution::regulate(on); // another rule may hold the inputs, or let them go
        }
    }

    /// The handler is there already.
    fn set_idle_timeout(socket: &mut Socket<'_, Self>, period: Option<Duration>) {
        if socket.server().is_some() {
            socket.set_timeout(period);
        }
    }
}

fn open_all(hub: &mut EventLoop<Hub>, options: &HubOptions) -> Result<(), Box<dyn Error>> {
    input::count(&mut hub.state);
    // The outputs first: they hear all that the inputs say.
    options.outputs.iter().try_for_each(|output| output::open(hub, output))?;
    distribution::regulate(&mut hub.event_loop());
    options.inputs.iter().try_for_each(|input| input::open(hub, input))
}
