//! `--inspect`: figures, the table of connections, and a page of them, served by the loop that they are of.
//!
//! Its server stands apart (`ServerOptions::apart`): no role counts it or sends to it, and it goes on while a role drains. It
//! answers and changes nothing.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `conversation/` | one connection, from request to request: read it first |
//! | `request.rs`, `guard.rs`, `refusal.rs` | what is asked; who may ask for it; why not |
//! | `response.rs` | the head and the frame of an answer |
//! | `subject.rs`, `figures.rs`, `longest.rs` | the role at one time; its figures in two formats; the longest turn of late |
//! | `table.rs` | the table of connections |
//! | `allowance.rs` | how much of the loop's time all this may take |
//! | `page.html` | the page |

mod allowance;
mod conversation;
mod figures;
mod guard;
mod longest;
mod refusal;
mod request;
mod response;
mod subject;
mod table;

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tidegate::{Endpoint, EventLoop, Net, ServerOptions, SocketId, SocketPermissions, TimerId};

use self::allowance::Allowance;
use self::conversation::Conversation;
use self::guard::Key;
use self::longest::Longest;
pub use self::subject::{Limits, OwnFigure, OwnFigures, Subject};
use self::subject::{Look, typed_flags};
use crate::cli::InspectorOptions;

/// Most connections at once. One that waits for no answer makes room for another.
pub const MOST: usize = 16;

/// Beside these, so many that have had their last answer or are refused: they are given a moment to read it.
const MOST_CLOSING: usize = 16;

/// What the kernel holds for a client that does not read.
const SEND_BUFFER: usize = 64 << 10;

/// What all connections of it have in common.
struct Inspector {
    subject: Subject,
    /// The words that were typed. Those of a configuration file are not among them: they are its owner's.
    flags: Vec<String>,
    /// None on a Unix socket.
    key: Option<Key>,
    began: Duration,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    conversations: BTreeMap<SocketId, Conversation>,
    /// While there are conversations.
    pulse: Option<TimerId>,
    allowance: Allowance,
    longest: Longest,
}

impl Inspector {
    /// All that is known at this time.
    fn look(&self, net: &mut Net, loop_state: &dyn Any) -> Look {
        let now = net.now();
        let turn = net.take_longest_turn();
        let mut state = self.state.borrow_mut();
        let longest = state.longest.with(now, turn);
        let uptime = now.saturating_sub(self.began);
        Look::at(net, loop_state, &self.subject, &self.flags, state.conversations.len(), uptime, longest)
    }
}

/// Listens where the command line says, if it does. To be called when the loop's signals are watched, and before the role
/// listens.
///
/// # Errors
/// What keeps it from listening, with the address.
pub fn inspect<S: 'static>(
    event_loop: &mut EventLoop<S>,
    options: &InspectorOptions,
    subject: Subject,
) -> Result<(), String> {
    let Some(at) = options.inspect else { return Ok(()) };
    let cannot = |error: tidegate::Error| format!("cannot serve --inspect {at}: {error}");
    event_loop.net.keep_statistics();
    let is_unix = matches!(at, Endpoint::Unix(_));
    let key = if is_unix { None } else { Some(new_key(&mut event_loop.net).map_err(cannot)?) };
    let began = event_loop.net.now();
    let inspector = Rc::new(Inspector { subject, flags: typed_flags(), key, began, state: RefCell::default() });
    let server = ServerOptions::new()
        .apart(true)
        .allow_half_open(true) // a client may end its side when it has asked
        .max_connections(Some(MOST + MOST_CLOSING))
        .permissions(SocketPermissions::new().mode(is_unix.then_some(0o600)))
        .send_buffer(Some(SEND_BUFFER))
        .notice_gone_peers(true)
        .no_delay(true);
    let server = event_loop.listen_with(at, server, move |socket| conversation::begin(socket, &inspector));
    let endpoint = event_loop.net.server_endpoint(server.map_err(cannot)?).unwrap_or(at);
    match key {
        Some(key) => log::info!("inspect: http://{endpoint}/?key={key}"),
        None => log::info!("inspect: {endpoint}"),
    }
    Ok(())
}

fn new_key(net: &mut Net) -> Result<Key, tidegate::Error> {
    let mut random = [0; 16];
    net.random(&mut random)?;
    Ok(Key::of(random))
}
