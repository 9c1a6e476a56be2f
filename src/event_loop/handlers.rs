//! All handlers of a loop: of its sockets, servers, timers, ticks, callbacks and signals.
//!
//! The net knows nothing of them. It gives ids and numbers, and handlers are found by these. `dispatch.rs` runs them. One
//! rule holds for all of them: a handler is out of its place while it runs ([`run`]). So it can be lent the whole loop, and
//! can replace or remove itself.

use std::collections::HashMap;

use slab::Slab;

use crate::base::error::Error;
use crate::base::id::{Id, ServerId, SocketId, TimerId};
use crate::connection::CallbackId;
use crate::event_loop::server::{Server, ServerHandlers};
use crate::event_loop::socket::Socket;
use crate::event_loop::socket_handlers::SocketHandlers;
use crate::event_loop::{Loop, RunState, ShutDown, Stop};
use crate::net::Net;

pub(crate) type LoopHandler<S> = Box<dyn FnMut(&mut Loop<'_, S>)>;
pub(crate) type OnceHandler<S> = Box<dyn FnOnce(&mut Loop<'_, S>)>;
type WriteCallback<S> = Box<dyn FnOnce(&mut Socket<'_, S>, Result<(), Error>)>;

/// Set in the numbers of the loop's own callbacks and ticks. A number that a user has given to the net is none of them. See
/// [`CallbackId`].
const OF_THE_LOOP: CallbackId = 1 << 63;

/// What a loop keeps beside the net and the application's state.
pub(crate) struct Handlers<S> {
    /// By slot, since each event looks here. Without the generation: what a slot has goes before its socket does, and a view
    /// of a socket is given only while that is there.
    sockets: Vec<Option<SocketHandlers<S>>>,
    pub servers: HashMap<ServerId, ServerHandlers<S>>,
    pub timers: HashMap<TimerId, TimerHandler<S>>,
    ticks: Slab<OnceHandler<S>>,
    callbacks: Slab<WriteCallback<S>>,
    /// None: it runs.
    pub signals: HashMap<i32, Option<LoopHandler<S>>>,
    pub wake: Option<LoopHandler<S>>,
    pub run_state: RunState,
    pub stop: Stop,
    pub shut_down: ShutDown,
}

pub(crate) enum TimerHandler<S> {
    Once(OnceHandler<S>),
    /// None: it runs.
    Every(Option<LoopHandler<S>>),
}

impl<S> Handlers<S> {
    pub fn new() -> Self {
        Handlers {
            sockets: Vec::new(),
            servers: HashMap::new(),
            timers: HashMap::new(),
            ticks: Slab::new(),
            callbacks: Slab::new(),
            signals: HashMap::new(),
            wake: None,
            run_state: RunState::Running,
            stop: Stop::No,
            shut_down: ShutDown::default(),
        }
    }

    /// Keeps the callback of a write, under a number.
    pub fn add_callback(&mut self, callback: WriteCallback<S>) -> CallbackId {
        self.callbacks.insert(callback) as u64 | OF_THE_LOOP
    }

    pub fn take_callback(&mut self, callback: CallbackId) -> Option<WriteCallback<S>> {
        self.callbacks.try_remove(own_key(callback)?)
    }

    /// Keeps a handler that is to run once, under a number.
    pub fn add_tick(&mut self, handler: OnceHandler<S>) -> CallbackId {
        self.ticks.insert(handler) as u64 | OF_THE_LOOP
    }

    pub fn take_tick(&mut self, number: CallbackId) -> Option<OnceHandler<S>> {
        self.ticks.try_remove(own_key(number)?)
    }

    /// The place of a timer that comes again.
    pub fn repeating_timer(&mut self, id: TimerId) -> Option<&mut Option<LoopHandler<S>>> {
        match self.timers.get_mut(&id) {
            Some(TimerHandler::Every(place)) => Some(place),
            _ => None,
        }
    }

    pub fn add_socket(&mut self, id: SocketId) {
        let slot = id.key().slot as usize;
        if self.sockets.len() <= slot {
            self.sockets.resize_with(slot + 1, || None);
        }
        self.sockets[slot] = Some(SocketHandlers::default());
    }

    pub fn remove_socket(&mut self, id: SocketId) {
        if let Some(place) = self.sockets.get_mut(id.key().slot as usize) {
            *place = None;
        }
    }

    /// The timers of a socket, which are cancelled with it.
    pub fn take_timers(&mut self, id: SocketId) -> Vec<TimerId> {
        let rare = self.of_socket(id).and_then(|handlers| handlers.rare.as_mut());
        rare.map(|rare| std::mem::take(&mut rare.timers)).unwrap_or_default()
    }

    #[inline]
    pub fn of_socket(&mut self, id: SocketId) -> Option<&mut SocketHandlers<S>> {
        self.sockets.get_mut(id.key().slot as usize)?.as_mut()
    }

    #[inline]
    pub fn socket<'a>(&'a mut self, state: &'a mut S, net: &'a mut Net, id: SocketId) -> Option<Socket<'a, S>> {
        net.connection(id).exists().then_some(Socket { state, net, handlers: self, id })
    }

    pub fn server<'a>(&'a mut self, state: &'a mut S, net: &'a mut Net, id: ServerId) -> Option<Server<'a, S>> {
        self.servers.contains_key(&id).then_some(Server { state, net, handlers: self, id })
    }
}

/// The key of a number that the loop has given, and not a user of its net.
fn own_key(number: CallbackId) -> Option<usize> {
    (number & OF_THE_LOOP != 0).then_some((number & !OF_THE_LOOP) as usize)
}

// ---- running them --------------------------------------------------------------------------------------------------------

/// Takes a handler out of its place and runs it with the view that the place belongs to. Then it is put back, unless the
/// place is gone or has another handler by now. False if there is none.
#[inline]
pub(crate) fn run<V, H>(
    view: &mut V,
    place: impl Fn(&mut V) -> Option<&mut Option<H>>,
    run: impl FnOnce(&mut H, &mut V),
) -> bool {
    let Some(handler) = place(view).and_then(Option::take) else { return false };
    finally(
        (view, Some(handler)),
        |(view, handler)| {
            if let Some(handler) = handler {
                run(handler, view);
            }
        },
        |(view, handler)| {
            if let Some(handler) = handler.take()
                && let Some(place) = place(view)
            {
                place.get_or_insert(handler);
            }
        },
    );
    true
}

/// Does `work` and then `last`, also if `work` panics. A program that catches the panic finds the loop in order, and can run
/// it again.
#[inline]
pub(crate) fn finally<T>(value: T, work: impl FnOnce(&mut T), last: impl FnOnce(&mut T)) {
    struct Finally<T, L: FnOnce(&mut T)>(T, Option<L>);

    impl<T, L: FnOnce(&mut T)> Drop for Finally<T, L> {
        #[inline]
        fn drop(&mut self) {
            if let Some(last) = self.1.take() {
                last(&mut self.0);
            }
        }
    }

    work(&mut Finally(value, Some(last)).0);
}
