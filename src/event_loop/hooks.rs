//! All handlers of a loop: of its sockets, servers, timers, ticks, callbacks and signals.
//!
//! The net knows nothing of them; it gives numbers, and they are found by these. `dispatch.rs` runs them.

use std::collections::HashMap;

use slab::Slab;

use crate::base::error::Error;
use crate::base::id::{Id, ServerId, SocketId, TimerId};
use crate::connection::CallbackId;
use crate::event_loop::handlers::SocketHooks;
use crate::event_loop::server::{Server, ServerHooks};
use crate::event_loop::socket::Socket;
use crate::event_loop::{Loop, Stop};
use crate::net::Net;

pub(crate) type LoopHandler<S> = Box<dyn FnMut(&mut Loop<'_, S>)>;
pub(crate) type OnceHandler<S> = Box<dyn FnOnce(&mut Loop<'_, S>)>;
type WriteCallback<S> = Box<dyn FnOnce(&mut Socket<'_, S>, Result<(), Error>)>;

/// Set in the numbers of the loop's own callbacks and ticks, so that those which a user gives to the net are told from them.
const OF_THE_LOOP: CallbackId = 1 << 63;

/// All handlers of a loop. The net knows nothing of them.
pub(crate) struct Hooks<S> {
    /// By slot, since each event looks here.
    sockets: Vec<Option<(u32, SocketHooks<S>)>>,
    pub servers: HashMap<ServerId, ServerHooks<S>>,
    pub timers: HashMap<TimerId, TimerHook<S>>,
    ticks: Slab<OnceHandler<S>>,
    callbacks: Slab<WriteCallback<S>>,
    /// None: it is out, running.
    pub signals: HashMap<i32, Option<LoopHandler<S>>>,
    pub course: Course,
    /// While it is shut down.
    pub stop: Stop,
}

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// As long as anything keeps it running.
    Running,
    /// Until the last socket has closed.
    ShuttingDown,
    /// Until this turn is over.
    Stopped,
}

pub(crate) enum TimerHook<S> {
    Once(OnceHandler<S>),
    Every(LoopHandler<S>),
}

impl<S> Hooks<S> {
    pub fn new() -> Self {
        Hooks {
            sockets: Vec::new(),
            servers: HashMap::new(),
            timers: HashMap::new(),
            ticks: Slab::new(),
            callbacks: Slab::new(),
            signals: HashMap::new(),
            course: Course::Running,
            stop: Stop::default(),
        }
    }

    /// Keeps the callback of a write, and names it.
    pub fn add_callback(&mut self, callback: WriteCallback<S>) -> CallbackId {
        self.callbacks.insert(callback) as u64 | OF_THE_LOOP
    }

    pub fn take_callback(&mut self, callback: CallbackId) -> Option<WriteCallback<S>> {
        let key = callback & !OF_THE_LOOP;
        if key == callback {
            return None;
        }
        self.callbacks.try_remove(key as usize)
    }

    /// Keeps what is to run once, and names it.
    pub fn add_tick(&mut self, handler: OnceHandler<S>) -> CallbackId {
        self.ticks.insert(handler) as u64 | OF_THE_LOOP
    }

    pub fn take_tick(&mut self, number: CallbackId) -> Option<OnceHandler<S>> {
        let key = number & !OF_THE_LOOP;
        if key == number {
            return None;
        }
        self.ticks.try_remove(key as usize)
    }

    /// The timers of a connection that has come to its end.
    pub fn take_timers(&mut self, id: SocketId) -> Vec<TimerId> {
        let more = self.of_socket(id).and_then(|hooks| hooks.more.as_mut());
        more.map(|more| std::mem::take(&mut more.timers)).unwrap_or_default()
    }

    pub fn add_socket(&mut self, id: SocketId) {
        let slot = id.key().slot as usize;
        if self.sockets.len() <= slot {
            self.sockets.resize_with(slot + 1, || None);
        }
        if !matches!(&self.sockets[slot], Some((generation, _)) if *generation == id.key().generation) {
            self.sockets[slot] = Some((id.key().generation, SocketHooks::default()));
        }
    }

    /// The timers of the socket are given back: nobody waits for them any more.
    pub fn remove_socket(&mut self, id: SocketId) -> Vec<TimerId> {
        match self.sockets.get_mut(id.key().slot as usize) {
            Some(place @ Some(_))
                if place.as_ref().is_some_and(|(generation, _)| *generation == id.key().generation) =>
            {
                place.take().and_then(|(_, hooks)| hooks.more).map(|more| more.timers).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    #[inline]
    pub fn of_socket(&mut self, id: SocketId) -> Option<&mut SocketHooks<S>> {
        match self.sockets.get_mut(id.key().slot as usize) {
            Some(Some((generation, hooks))) if *generation == id.key().generation => Some(hooks),
            _ => None,
        }
    }

    #[inline]
    pub fn socket<'a>(&'a mut self, state: &'a mut S, net: &'a mut Net, id: SocketId) -> Option<Socket<'a, S>> {
        net.exists(id).then_some(Socket { state, net, hooks: self, id })
    }

    pub fn server<'a>(&'a mut self, state: &'a mut S, net: &'a mut Net, id: ServerId) -> Option<Server<'a, S>> {
        self.servers.contains_key(&id).then_some(Server { state, net, hooks: self, id })
    }
}
