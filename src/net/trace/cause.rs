//! What may have given rise to an event.

use super::notes::{Kind, Whom};
use crate::net::event::Event;
use crate::net::lookup::LookupAsker;

/// An event as the trace tells it.
pub struct Told {
    pub whom: Whom,
    /// Its name, as that of its handler.
    pub name: &'static str,
    /// With what is to be known of it.
    pub detailed: String,
    /// Whose notes tell the cause, and of which kinds it may be: the latest of them is it.
    pub cause: (Whom, Vec<Kind>),
}

/// How an event is told, and what may be its cause.
pub fn told(event: &Event) -> Told {
    let name = name_of(event);
    let detailed = match event {
        Event::Error { error, .. } | Event::ServerError { error, .. } => format!("error ({error})"),
        Event::Callback { outcome: Err(error), .. } => format!("callback ({error})"),
        Event::Close { closed, .. } if closed.unsent > 0 => format!("close ({} bytes unsent)", closed.unsent),
        Event::LookupWanted(request) => format!("{name} ({})", request.host),
        Event::Lookup { lookup, .. } => match &lookup.outcome {
            Ok(ip) => format!("lookup ({} is {ip})", lookup.host),
            Err(error) => format!("lookup ({error})"),
        },
        Event::ConnectionAttempt { address, .. } | Event::ConnectionAttemptTimeout { address, .. } => {
            format!("{name} ({address})")
        }
        Event::ConnectionAttemptFailed { error, .. } => format!("{name} ({error})"),
        Event::Timer(id) => id.to_string(),
        Event::Tick(number) => format!("tick {}", number_of_tick(*number)),
        Event::Signal(signal) => format!("signal {signal}"),
        _ => name.to_owned(),
    };
    let whom = whom_of(event);
    let of = match event {
        Event::Connection { server, .. } => (*server).into(),
        _ => whom,
    };
    Told { whom, name, detailed, cause: (of, causes_of(event)) }
}

fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Data { .. } => "data",
        Event::End(_) => "end",
        Event::Drain(_) => "drain",
        Event::Finish(_) => "finish",
        Event::Timeout(_) => "timeout",
        Event::Connect(_) => "connect",
        Event::LookupWanted(_) => "lookup wanted",
        Event::Lookup { .. } => "lookup",
        Event::ConnectionAttempt { .. } => "connectionAttempt",
        Event::ConnectionAttemptFailed { .. } => "connectionAttemptFailed",
        Event::ConnectionAttemptTimeout { .. } => "connectionAttemptTimeout",
        Event::Error { .. } | Event::ServerError { .. } => "error",
        Event::Close { .. } | Event::ServerClose(_) => "close",
        Event::Callback { .. } => "callback",
        Event::Continue(_) => "its turn again",
        Event::Connection { .. } => "connection",
        Event::Listening(_) => "listening",
        Event::Drop { .. } => "drop",
        Event::Timer(_) => "timer",
        Event::Tick(_) => "tick",
        Event::Signal(_) => "signal",
        Event::Wake => "wake",
    }
}

/// Whom an event concerns.
pub fn whom_of(event: &Event) -> Whom {
    match event {
        Event::Connect(socket)
        | Event::End(socket)
        | Event::Drain(socket)
        | Event::Finish(socket)
        | Event::Timeout(socket)
        | Event::Continue(socket)
        | Event::Data { socket, .. }
        | Event::Error { socket, .. }
        | Event::Close { socket, .. }
        | Event::Callback { socket, .. }
        | Event::Connection { socket, .. } => (*socket).into(),
        Event::LookupWanted(request) => match request.id.asker() {
            LookupAsker::Socket(socket) => socket.into(),
            LookupAsker::Server(server) => server.into(),
        },
        Event::Lookup { socket, .. }
        | Event::ConnectionAttempt { socket, .. }
        | Event::ConnectionAttemptFailed { socket, .. }
        | Event::ConnectionAttemptTimeout { socket, .. } => (*socket).into(),
        Event::Listening(server)
        | Event::ServerClose(server)
        | Event::Drop { server, .. }
        | Event::ServerError { server, .. } => (*server).into(),
        Event::Timer(_) | Event::Tick(_) | Event::Signal(_) | Event::Wake => Whom::Loop,
    }
}

/// What may be the cause of an error: the destroy, or rather what has failed before it.
pub const ERROR: &[Kind] = &[Kind::Destroyed, Kind::Failed];

fn causes_of(event: &Event) -> Vec<Kind> {
    let kinds: &[Kind] = match event {
        Event::Data { .. } => &[Kind::Read, Kind::Kept],
        Event::End(_) => &[Kind::ReadNothing],
        Event::Drain(_) => &[Kind::Wrote, Kind::Dropped],
        Event::Finish(_) => &[Kind::Written],
        Event::Timeout(_) => &[Kind::Due],
        Event::Timer(timer) => &[Kind::Came { timer: *timer, again: false }, Kind::Came { timer: *timer, again: true }],
        Event::Connect(_) => &[Kind::Connected],
        Event::LookupWanted(_)
        | Event::Lookup { .. }
        | Event::ConnectionAttempt { .. }
        | Event::ConnectionAttemptFailed { .. }
        | Event::ConnectionAttemptTimeout { .. } => &[Kind::State, Kind::Failed, Kind::Asked],
        Event::Error { .. } => ERROR,
        Event::ServerError { .. } => &[Kind::Failed],
        Event::Close { .. } => &[Kind::Destroyed],
        Event::ServerClose(_) => &[Kind::Destroyed, Kind::Asked],
        Event::Callback { outcome: Ok(()), .. } => &[Kind::Wrote, Kind::Written, Kind::ReadNothing, Kind::Asked],
        Event::Callback { outcome: Err(_), .. } => &[Kind::Failed, Kind::Destroyed, Kind::Dropped, Kind::Asked],
        Event::Continue(_) => &[Kind::Yielded],
        Event::Connection { .. } | Event::Drop { .. } => &[Kind::Accepted],
        Event::Listening(_) => &[Kind::Listens],
        Event::Tick(number) => &[Kind::PutOff(*number)],
        Event::Signal(signal) => &[Kind::Signal(*signal)],
        Event::Wake => &[Kind::Woken],
    };
    kinds.to_vec()
}

/// Without the bit that tells those of a loop's closures from those of a user of the net alone.
pub fn number_of_tick(number: u64) -> u64 {
    number & (u64::MAX >> 1)
}
