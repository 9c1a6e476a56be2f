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
mod retry;
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

use tidegate::{EndOrder, EventLoop};

use self::client::{Role, welcome};
use self::state::Hub;
use super::admission::Admission;
use super::listener::{listen_on, log_limit};
use super::stop::{self, lasting_loop, stop_at_signals};
use super::{Outcome, answer_signals, explain, inspect};
use crate::cli::{HubOptions, Input, Listen, Output};

/// Runs until it is stopped, or until all its inputs have ended.
pub fn run(options: &HubOptions, max_connections: usize) -> Outcome {
    let hub = lasting_loop(Hub::new(options))?;
    answer_signals(hub)?;
    explain(hub, &options.daemon.explain);
    table::write_at_signal(hub)?;
    let admission = Admission::new(&options.daemon, max_connections)?;
    stop_at_signals(hub, options.daemon.drain_timeout, EndOrder::Together, stopping::shut_down)?;
    output::open_anew_at_hang_up(hub)?;
    inspect(hub, "hub", &options.daemon, max_connections)?;
    start(hub, options, max_connections, &admission)?;
    let code = stop::run(hub, &admission)?;
    Ok(stopping::report(hub, code))
}

/// Listens and opens everything, and says so.
fn start(
    hub: &mut EventLoop<Hub>,
    options: &HubOptions,
    max_connections: usize,
    admission: &Admission,
) -> Result<(), Box<dyn Error>> {
    let (listeners, doors) = (listeners(options), admission.clone());
    let default = options.has_members().then_some(Role::Members);
    let server = Hub::server_options();
    let servers = listen_on(hub, &options.daemon, &listeners, default, &server, move |socket, role| {
        welcome(socket, role, &doors);
    })?;
    if !servers.is_empty() {
        log_limit(max_connections, options.daemon.max_connections.is_some());
    }
    let started = itself::refuse(&hub.net, options, &servers).and_then(|()| open_all(hub, options));
    started.inspect_err(|_| hub.net.close_servers())?;
    log::info!("{}", start_line::start_line(&hub.net, options, &servers));
    Ok(())
}

fn listeners(options: &HubOptions) -> Vec<(Listen, Role)> {
    let members = options.daemon.listen.iter().map(|place| (*place, Role::Members));
    let producers = options.inputs.iter().filter_map(|input| match input {
        Input::Listen(place) => Some((*place, Role::Producers)),
        _ => None,
    });
    let consumers = options.outputs.iter().filter_map(|output| match output {
        Output::Listen(place) => Some((*place, Role::Consumers)),
        _ => None,
    });
    members.chain(producers).chain(consumers).collect()
}

fn open_all(hub: &mut EventLoop<Hub>, options: &HubOptions) -> Result<(), Box<dyn Error>> {
    input::count(&mut hub.state, &options.inputs, options.has_members());
    // The outputs first: they hear all that the inputs say.
    options.outputs.iter().try_for_each(|output| output::open(hub, output))?;
    distribution::regulate(&mut hub.event_loop());
    options.inputs.iter().try_for_each(|input| input::open(hub, input))
}
