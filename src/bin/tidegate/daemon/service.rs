//! A role as the daemon runs it: what all roles have in common, from the first handler of a signal to the exit code.
//!
//! A role is the state of its event loop, and this trait says what it does. [`serve`] does the rest, in an order that matters: all
//! signals have their handlers before anything listens, since a client or a manager that sees it listen may send one at once.

use std::cell::RefCell;
use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use tidegate::{EndOrder, Endpoint, EventLoop, Loop, ServerId, ServerOptions, ShutDownOptions, Socket};

use super::admission::Admission;
use super::connection::destroy_if_idle;
use super::in_force::InForce;
use super::listener::{Door, Listeners, log_limit};
use super::stop::{self, lasting_loop, stop_at_signals};
use super::{Outcome, answer_signals, explain, inspect, names, reload, signals};
use crate::cli::{Change, DaemonOptions, Listen};
use crate::inspector::{Limits, OwnFigure};
use crate::process::descriptors::max_connections;
use crate::process::ignored::Ignored;

/// A role.
pub trait Service: Sized + 'static {
    /// As it is typed.
    const NAME: &'static str;
    /// In which order connections come to their ends at the stop.
    const ORDER: EndOrder = EndOrder::Each;
    /// How many sockets a client takes.
    const SOCKETS_EACH: usize = 1;
    /// What its listeners are for.
    type Door: Door;

    /// Of the connections that it accepts, beside what all roles have.
    fn server_options(&self) -> ServerOptions;

    /// What it listens on with these flags.
    fn places(&self, daemon: &DaemonOptions) -> Vec<(Listen, Self::Door)>;

    /// What it listens for if no place is named. None: it needs none.
    fn default_door(&self) -> Option<Self::Door>;

    /// Somebody has connected. Whether there is a place, `doors` says.
    fn welcome(socket: &mut Socket<'_, Self>, door: Self::Door, doors: &Admission);

    /// # Errors
    /// Why it must not listen there.
    fn check_servers(_on: &mut Loop<'_, Self>, _new: &[ServerId]) -> Result<(), Box<dyn Error>> {
        Ok(())
    }

    /// It listens. `servers` are all of it.
    ///
    /// # Errors
    /// Why it cannot start.
    fn start(_event_loop: &mut EventLoop<Self>, _servers: &[(ServerId, Self::Door)]) -> Result<(), Box<dyn Error>> {
        Ok(())
    }

    /// The stop: the last chance to write to everybody.
    fn shut_down(on: &mut Loop<'_, Self>, options: ShutDownOptions) {
        on.shut_down_with(options);
    }

    /// It has stopped, and would exit with this code.
    fn has_stopped(_event_loop: &mut EventLoop<Self>, code: ExitCode) -> ExitCode {
        code
    }

    /// SIGUSR1: what it knows, in the log.
    fn write_table(on: &mut Loop<'_, Self>) {
        signals::write_table(on);
    }

    /// What it counts beside its loop, for `--inspect`.
    fn figures(&self) -> Vec<OwnFigure> {
        Vec::new()
    }

    /// Whether it has files that SIGHUP opens anew.
    fn has_files(&self) -> bool {
        false
    }

    /// SIGHUP: its files may have been renamed.
    fn open_anew(_on: &mut Loop<'_, Self>) {}

    /// Other flags are in force from now on; of those that need a restart none is another one. `servers` are all that it has now.
    fn change(on: &mut Loop<'_, Self>, change: &Change, servers: &[(ServerId, Self::Door)]);

    /// Another --idle-timeout is in force for a connection that is there.
    fn set_idle_timeout(socket: &mut Socket<'_, Self>, period: Option<Duration>) {
        destroy_if_idle(socket, period);
    }
}

/// A role that runs, beside its event loop.
pub struct Running<R: Service> {
    pub in_force: InForce,
    pub admission: Admission,
    pub listeners: RefCell<Listeners<R, R::Door>>,
    /// What the inspector shows beside the figures.
    pub limits: Limits,
}

/// Runs a role until it is stopped.
pub fn serve<R: Service>(role: R, daemon: &DaemonOptions) -> Outcome {
    let most = max_connections(daemon.max_connections, R::SOCKETS_EACH);
    let event_loop = lasting_loop(role)?;
    let running = Rc::new(Running::new(&event_loop.state, daemon, most)?);
    let ignored = Ignored::at_start();
    answer_signals(event_loop, &running.in_force)?;
    explain(event_loop, &daemon.explain);
    let hang_up = reload::at_hang_up(event_loop, ignored, &running)?;
    stop_at_signals(event_loop, ignored, hang_up, &running.in_force)?;
    inspect(event_loop, daemon, &running.limits)?;
    start(event_loop, &running).inspect_err(|_| event_loop.net.close_servers())?;
    let code = stop::run(event_loop, &running.admission)?;
    Ok(R::has_stopped(event_loop, code))
}

/// Listens, and lets the role begin.
pub fn start<R: Service>(event_loop: &mut EventLoop<R>, running: &Running<R>) -> Result<(), Box<dyn Error>> {
    let daemon = running.in_force.get().clone();
    event_loop.net.set_memory_limit(daemon.memory());
    running.look_names_up(event_loop, &daemon)?;
    running.listen(&mut event_loop.event_loop(), &daemon)?;
    let servers: Vec<_> = running.listeners.borrow().servers().collect();
    if !servers.is_empty() {
        log_limit(running.admission.most(), daemon.max_connections.is_some());
    }
    R::start(event_loop, &servers)
}

impl<R: Service> Running<R> {
    /// # Errors
    /// What the command line has let pass and cannot be; a socket of systemd that is none to listen on. `most` counts clients.
    pub fn new(role: &R, daemon: &DaemonOptions, most: usize) -> Result<Self, Box<dyn Error>> {
        let in_force = InForce::new(daemon);
        let admission = Admission::new(&in_force, most)?;
        let doors = admission.clone();
        let welcome = move |socket: &mut Socket<'_, R>, door| R::welcome(socket, door, &doors);
        let listeners = RefCell::new(Listeners::new(&in_force, &role.server_options(), welcome)?);
        let limits = Limits::default();
        limits.set(Some(most.saturating_mul(R::SOCKETS_EACH)), daemon.memory());
        Ok(Running { in_force, admission, listeners, limits })
    }

    /// Finds the addresses of the names that it is to listen on.
    fn look_names_up(&self, event_loop: &mut EventLoop<R>, daemon: &DaemonOptions) -> Result<(), Box<dyn Error>> {
        let places = event_loop.state.places(daemon);
        let names = places.into_iter().filter_map(|(place, _)| match place {
            Listen::At(Endpoint::Name(name, _)) => Some(name),
            _ => None,
        });
        let addresses = names::look_up(event_loop, names)?;
        self.listeners.borrow_mut().set_names(addresses);
        Ok(())
    }

    /// Listens where these flags say, and nowhere else.
    ///
    /// # Errors
    /// What keeps it from that. Then nothing is changed.
    pub fn listen(&self, on: &mut Loop<'_, R>, daemon: &DaemonOptions) -> Result<(), Box<dyn Error>> {
        let (places, default) = (on.state.places(daemon), on.state.default_door());
        self.listeners.borrow_mut().listen_on(on, daemon, &places, default, R::check_servers)
    }
}

/// The places of a role that has one kind of them.
pub fn listens_everywhere(daemon: &DaemonOptions) -> Vec<(Listen, ())> {
    daemon.listen.iter().map(|place| (*place, ())).collect()
}
