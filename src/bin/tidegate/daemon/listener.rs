//! The places that a role listens on: all that the command line and systemd name, or none. While the role runs others may be put in
//! their place.

use std::error::Error as StdError;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tidegate::{Endpoint, Error, KeepAlive, Loop, ServerId, ServerOptions, Socket, TimerId};

use super::in_force::InForce;
use super::listen_error::{cannot_listen, has_no_ipv6};
use super::names::Addresses;
use super::systemd::{self, Passed};
use super::throttle::Throttle;
use crate::cli::{DEFAULT_LISTEN, DaemonOptions, Listen, counted};

/// What a listener is for, in a role that has several kinds.
pub trait Door: Copy + PartialEq + 'static {
    /// What may help if it cannot be listened on, after what went wrong.
    fn advice(self, _endpoint: &Endpoint, _error: &Error) -> String {
        String::new()
    }
}

impl Door for () {}

/// How long a listener that is not wanted any more still accepts: those who stand in its queue have been told by the kernel that
/// they are connected, and would be reset with it.
const LEAVES_AFTER: Duration = Duration::from_millis(100);

/// What runs for each connection that is accepted. Which clients have a place, it has to see to: `admission.rs`.
type Welcome<S, D> = Rc<dyn Fn(&mut Socket<'_, S>, D)>;

/// All of a role.
pub struct Listeners<S, D> {
    in_force: InForce,
    options: ServerOptions,
    welcome: Welcome<S, D>,
    passed: systemd::Sockets,
    names: Addresses,
    places: Vec<Listener<D>>,
}

/// A place, with its servers. localhost has two, and systemd may have passed any number.
struct Listener<D> {
    place: Listen,
    door: D,
    servers: Vec<ServerId>,
    stay: Stay,
}

/// Whether a listener is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stay {
    Wanted,
    /// This timer closes it.
    Leaves(TimerId),
}

impl<S: 'static, D: Door> Listeners<S, D> {
    /// # Errors
    /// A socket that systemd has passed and that is none to listen on.
    pub fn new(
        in_force: &InForce,
        options: &ServerOptions,
        welcome: impl Fn(&mut Socket<'_, S>, D) + 'static,
    ) -> Result<Self, String> {
        // Without it a byte of urgent data would be lost.
        let options = options.clone().urgent_inline(true).notice_gone_peers(true);
        let (in_force, welcome) = (in_force.clone(), Rc::new(welcome));
        Ok(Listeners {
            in_force,
            options,
            welcome,
            passed: systemd::sockets()?,
            names: Addresses::new(),
            places: Vec::new(),
        })
    }

    /// The names that are listened on have these addresses, from now on.
    pub fn set_names(&mut self, names: Addresses) {
        self.names = names;
    }

    /// A name has the address that it had at the start.
    fn address_of(&self, endpoint: Endpoint) -> Result<Endpoint, String> {
        let Endpoint::Name(name, port) = endpoint else { return Ok(endpoint) };
        let address = self.names.get(&name).map(|ip| Endpoint::from((*ip, port)));
        address.ok_or_else(|| {
            format!(
                "cannot listen on {name}:{port}: a name is looked up at the start only; restart, or write its address"
            )
        })
    }

    /// Listens on these places and on no others, and logs where. With a `default`, it listens for that if no place is named. What is
    /// listened on already stays as it is. If one place fails, or the role refuses one with `check`, nothing is changed, and the files
    /// of new Unix sockets are gone.
    ///
    /// # Errors
    /// What keeps it from listening, with the address.
    pub fn listen_on(
        &mut self,
        on: &mut Loop<'_, S>,
        daemon: &DaemonOptions,
        named: &[(Listen, D)],
        default: Option<D>,
        check: impl FnOnce(&mut Loop<'_, S>, &[ServerId]) -> Result<(), Box<dyn StdError>>,
    ) -> Result<(), Box<dyn StdError>> {
        let wanted = self.wanted(named, default)?;
        self.places.retain(|listener| listener.servers.iter().any(|server| on.net.is_listening(*server)));
        let mut opened = Vec::new();
        let opens = self.open_all(on, daemon, &wanted, &mut opened);
        let new: Vec<_> = opened.iter().flat_map(|listener| listener.servers.iter().copied()).collect();
        if let Err(error) = opens.and_then(|()| check(on, &new)) {
            close(on, &new);
            return Err(error);
        }
        for endpoint in new.iter().filter_map(|server| on.net.server_endpoint(*server)) {
            log::info!("listening on {endpoint}");
        }
        for listener in &mut self.places {
            listener.set_wanted(on, wanted.iter().any(|wanted| listener.is(*wanted)));
        }
        self.places.extend(opened);
        Ok(())
    }

    /// Those that are wanted, each with what it is for.
    pub fn servers(&self) -> impl Iterator<Item = (ServerId, D)> {
        let wanted = self.places.iter().filter(|listener| listener.stay == Stay::Wanted);
        wanted.flat_map(|listener| listener.servers.iter().map(|server| (*server, listener.door)))
    }

    /// What the command line names. If it names nothing and there is a default: what systemd has passed, because its unit is meant
    /// for these sockets, else the default address.
    fn wanted(&self, named: &[(Listen, D)], default: Option<D>) -> Result<Vec<(Listen, D)>, String> {
        let wanted = match (named, default) {
            ([], Some(door)) if self.passed.are_there() => vec![(Listen::Systemd, door)],
            ([], Some(door)) => vec![(Listen::At(DEFAULT_LISTEN), door)],
            (named, _) => named.to_vec(),
        };
        self.passed.check(wanted.iter().any(|(place, _)| *place == Listen::Systemd))?;
        Ok(wanted)
    }

    /// What is listened on already is in `opened`, whatever the outcome.
    fn open_all(
        &mut self,
        on: &mut Loop<'_, S>,
        daemon: &DaemonOptions,
        wanted: &[(Listen, D)],
        opened: &mut Vec<Listener<D>>,
    ) -> Result<(), Box<dyn StdError>> {
        // Those of systemd are had once, so they come when nothing else can fail.
        let (of_systemd, others): (Vec<_>, Vec<_>) =
            wanted.iter().copied().partition(|(place, _)| *place == Listen::Systemd);
        for (place, door) in others.into_iter().chain(of_systemd) {
            if !self.places.iter().any(|listener| listener.is((place, door))) {
                let mut servers = Vec::new();
                let opens = self.open(on, daemon, place, door, &mut servers);
                opened.push(Listener { place, door, servers, stay: Stay::Wanted });
                opens?;
            }
        }
        Ok(())
    }

    /// The same, for one place.
    fn open(
        &mut self,
        on: &mut Loop<'_, S>,
        daemon: &DaemonOptions,
        place: Listen,
        door: D,
        servers: &mut Vec<ServerId>,
    ) -> Result<(), Box<dyn StdError>> {
        let (welcome, in_force, inherited) = (Rc::clone(&self.welcome), self.in_force.clone(), daemon.keep_alive());
        let connection = move |socket: &mut Socket<'_, S>| {
            let keep_alive = in_force.get().keep_alive();
            if keep_alive != inherited {
                set_keep_alive(socket, keep_alive);
            }
            welcome(socket, door);
        };
        // Accepted sockets inherit both, so they cost no system call for each.
        let options = self.options.clone().keep_alive(inherited).send_buffer(daemon.send_buffer());
        match place {
            Listen::At(endpoint) => {
                let endpoint = self.address_of(endpoint)?;
                let options = match endpoint {
                    Endpoint::Unix(address) if address.as_path().is_some() => options.permissions(daemon.permissions()),
                    Endpoint::Unix(_) => options,
                    _ => options.reuse_port(daemon.reuse_port),
                };
                let server = on.listen_with(endpoint, options.clone(), connection.clone());
                let server =
                    server.map_err(|error| cannot_listen(&endpoint, &error) + &door.advice(&endpoint, &error))?;
                servers.push(server);
                log_errors(on, server);
                if matches!(endpoint, Endpoint::Localhost(_)) {
                    servers.extend(listen_on_ipv6_too(on, server, &options, connection)?);
                }
            }
            Listen::Systemd => {
                for socket in self.passed.take()? {
                    let server = adopt(on, socket, options.clone(), connection.clone())?;
                    servers.push(server);
                    log_errors(on, server);
                }
            }
        }
        Ok(())
    }
}

impl<D: Door> Listener<D> {
    fn is(&self, (place, door): (Listen, D)) -> bool {
        self.place == place && self.door == door
    }

    /// The connections of one that leaves stay.
    fn set_wanted<S: 'static>(&mut self, on: &mut Loop<'_, S>, is_wanted: bool) {
        self.stay = match (self.stay, is_wanted) {
            (Stay::Wanted, false) => {
                let servers = self.servers.clone();
                let timer = on.after(LEAVES_AFTER, move |on| close(on, &servers));
                for endpoint in self.servers.iter().filter_map(|server| on.net.server_endpoint(*server)) {
                    log::info!("no longer listening on {endpoint}; its connections stay");
                }
                Stay::Leaves(timer)
            }
            (Stay::Leaves(timer), true) => {
                on.cancel(timer);
                Stay::Wanted
            }
            (stay, _) => stay,
        };
    }
}

/// Each is forgotten when it has no connection any more.
fn close<S: 'static>(on: &mut Loop<'_, S>, servers: &[ServerId]) {
    for server in servers {
        if let Some(mut server) = on.server(*server) {
            server.on_close(|server| {
                let id = server.id();
                if let Some(server) = server.event_loop().server(id) {
                    server.remove();
                }
            });
            server.close();
        }
    }
}

/// One that the system refuses is no reason to refuse the client.
pub fn set_keep_alive<S>(socket: &mut Socket<'_, S>, keep_alive: Option<KeepAlive>) {
    if let Err(error) = socket.set_keep_alive(keep_alive) {
        log::debug!("{error}");
    }
}

#[cfg(unix)]
fn adopt<S: 'static>(
    on: &mut Loop<'_, S>,
    socket: Passed,
    options: ServerOptions,
    connection: impl Fn(&mut Socket<'_, S>) + 'static,
) -> Result<ServerId, String> {
    let server = on.listen_fd(socket, options, connection);
    server.map_err(|error| super::listen_error::cannot_listen_on_passed(&error))
}

#[cfg(not(unix))]
fn adopt<S: 'static>(
    _: &mut Loop<'_, S>,
    nothing: Passed,
    _: ServerOptions,
    _: impl Fn(&mut Socket<'_, S>) + 'static,
) -> Result<ServerId, String> {
    match nothing {}
}
/// localhost is also ::1, if there is IPv6, and on the same port.
fn listen_on_ipv6_too<S: 'static>(
    on: &mut Loop<'_, S>,
    first: ServerId,
    options: &ServerOptions,
    connection: impl Fn(&mut Socket<'_, S>) + 'static,
) -> Result<Option<ServerId>, String> {
    let Some(SocketAddr::V4(first)) = on.net.server_address(first) else { return Ok(None) };
    let endpoint = Endpoint::from((Ipv6Addr::LOCALHOST, first.port()));
    match on.listen_with(endpoint, options.clone(), connection) {
        Ok(server) => {
            log_errors(on, server);
            Ok(Some(server))
        }
        Err(error) if has_no_ipv6(&error) => {
            log::debug!("{error}");
            Ok(None)
        }
        Err(error) => Err(cannot_listen(&endpoint, &error)),
    }
}

/// Logs the errors of a server.
fn log_errors<S: 'static>(on: &mut Loop<'_, S>, server: ServerId) {
    if let Some(mut server) = on.server(server) {
        let errors = Throttle::default();
        server.on_error(move |server, error| errors.warn(&mut server.event_loop(), error));
    }
}

/// If there is room for fewer connections than this, the descriptor limit is probably a mistake.
const FEW: usize = 100;

pub fn log_limit(max_connections: usize, was_asked_for: bool) {
    log::info!("at most {} at once", counted(max_connections as u64, "connection"));
    if max_connections < FEW && !was_asked_for {
        log::warn!("the descriptor limit has room for no more: raise it with 'ulimit -Hn' or LimitNOFILE");
    }
}
