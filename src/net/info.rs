//! What can be asked about a connection. Nothing changes here, and a socket that is gone has an answer too.

use std::net::SocketAddr;
use std::time::Duration;

use super::conn::Conn;
use super::cx::Cx;
use super::paused_by::{Holder, PausedBy};
use crate::base::id::{Id, ServerId, SocketId};
use crate::connection::{Connection, ReadyState, Stage};
use crate::kernel::PeerCred;

/// A read-only view of one socket or file.
///
/// It is looked up once, by [`Net::connection`](crate::Net::connection) or with all others by [`Net::connections`](crate::Net::connections), and answers for a socket that is gone as well: nothing is queued there, it is
/// destroyed, and it [does not exist](ConnectionInfo::exists).
///
/// ```
/// # use tidegate::EventLoop;
/// # let mut event_loop = EventLoop::new()?;
/// let server = event_loop.listen("127.0.0.1:0", |socket| {
///     let info = socket.net.connection(socket.id());
///     assert_eq!((info.buffer_size(), info.bytes_read()), (0, 0));
/// })?;
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConnectionInfo<'a> {
    id: SocketId,
    conn: Option<&'a Conn>,
    cx: &'a Cx,
    holder: Holder<'a>,
}

/// Where a connection has come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    /// A server has accepted it.
    Server,
    /// It was made here, or adopted.
    Client,
    /// It is a file.
    File,
}

impl ConnectionKind {
    /// In a word: `server`, `client`, `file`.
    pub fn name(self) -> &'static str {
        match self {
            ConnectionKind::Server => "server",
            ConnectionKind::Client => "client",
            ConnectionKind::File => "file",
        }
    }
}

/// Of a connection by a name.
impl<'a> ConnectionInfo<'a> {
    /// The addresses of the name that were tried, in order. Empty if the connection was not made by a name. It is kept until the
    /// next connect.
    #[doc(alias = "autoSelectFamilyAttemptedAddresses")]
    pub fn attempted_addresses(&self) -> &'a [SocketAddr] {
        self.conn.map_or(&[], Conn::attempted_addresses)
    }
}

impl<'a> ConnectionInfo<'a> {
    #[inline]
    pub(super) fn new(id: SocketId, conn: Option<&'a Conn>, cx: &'a Cx, holder: Holder<'a>) -> Self {
        ConnectionInfo { id, conn, cx, holder }
    }

    /// What its user calls it: [`Net::set_label`](crate::Net::set_label).
    pub fn label(&self) -> Option<&'a str> {
        self.cx.labels.get(self.conn?.id)
    }

    /// What it is piped into, in the order in which the pipes were made.
    pub fn pipes(&self) -> impl Iterator<Item = SocketId> + 'a {
        let piping = self.conn.and_then(|conn| conn.piping.as_ref());
        piping.into_iter().flat_map(|piping| piping.destinations.iter().map(|pipe| pipe.to))
    }
}

impl ConnectionInfo<'_> {
    /// Whether it is over for good: `close` was emitted, and it does not connect again.
    pub(crate) fn is_over(&self) -> bool {
        self.conn.is_none_or(|conn| conn.connection.stage() == Stage::Closed)
    }

    /// Its id. `Display` shows its number: `#5`.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// Its place in the slab, from 0. When it is gone, another takes the place.
    pub fn slot(&self) -> u32 {
        self.id.key().slot
    }

    /// Whether its server stands apart from the others: [`ServerOptions::apart`](field@crate::ServerOptions::apart).
    pub fn is_apart(&self) -> bool {
        self.conn.is_some_and(|conn| conn.apart)
    }

    /// Whether a shut-down leaves its end to the program: [`SocketOptions::outlasts`](field@crate::SocketOptions::outlasts).
    pub(crate) fn outlasts(&self) -> bool {
        self.conn.is_some_and(|conn| conn.outlasts)
    }

    /// Where it has come from: [`ConnectionKind::Client`] for a socket that is gone.
    pub fn kind(&self) -> ConnectionKind {
        match self.conn {
            Some(conn) if conn.is_file() => ConnectionKind::File,
            Some(Conn { server: Some(_), .. }) => ConnectionKind::Server,
            _ => ConnectionKind::Client,
        }
    }

    /// Where it is on its way, in the words of `docs/connection.md`: `fresh`, `connecting`, `connected`, `destroyed` while its
    /// `close` waits, `closed`.
    pub fn stage(&self) -> &'static str {
        self.conn.map_or("closed", |conn| conn.connection.stage().name())
    }

    /// Its state in a word, as [`Statistics::connections`](crate::Statistics) counts them: `fresh`, `connecting`, `open`,
    /// `read_only`, `write_only`, `closing`.
    pub fn state(&self) -> &'static str {
        self.conn.map_or("closing", Conn::state)
    }

    /// Its reading half: `open`, `end seen` if the peer's end was read and not emitted yet, `over`.
    pub fn reading(&self) -> &'static str {
        self.conn.map_or("over", |conn| conn.connection.reading_name())
    }

    /// Its writing half: `open`; `ending` while the end waits for what was written before; `shutting down` until the end is
    /// sent; `shut`; `over` from `finish` on.
    pub fn writing(&self) -> &'static str {
        self.conn.map_or("over", |conn| conn.connection.writing_name())
    }

    /// Whether its data flows: `initial` if nobody has asked for it, `paused`, `flowing`.
    pub fn flow(&self) -> &'static str {
        self.conn.map_or("initial", |conn| conn.connection.flow_name())
    }

    /// Messages that output limits have dropped of this connection.
    pub fn messages_dropped(&self) -> u64 {
        self.conn.map_or(0, |conn| conn.dropped().0)
    }

    /// The bytes of [`ConnectionInfo::messages_dropped`].
    pub fn bytes_dropped(&self) -> u64 {
        self.conn.map_or(0, |conn| conn.dropped().1)
    }

    /// Whether the id still names a socket.
    pub fn exists(&self) -> bool {
        self.conn.is_some()
    }

    /// Bytes of all writes that are not completed; one in flight counts whole. 0 for a socket that is gone.
    #[doc(alias = "bufferSize")]
    #[doc(alias = "writableLength")]
    pub fn buffer_size(&self) -> usize {
        self.ask(Connection::length)
    }

    /// Bytes that the kernel has not taken yet.
    pub fn unsent(&self) -> usize {
        self.ask(|connection| connection.queue().unsent())
    }

    /// Bytes that were read and not delivered yet.
    #[doc(alias = "readableLength")]
    pub fn read_ahead(&self) -> usize {
        self.ask(Connection::read_ahead)
    }

    /// Bytes taken from the kernel, delivered or not.
    #[doc(alias = "bytesRead")]
    pub fn bytes_read(&self) -> u64 {
        self.ask(Connection::bytes_read)
    }

    /// Bytes of all writes, sent or not. Of a file: what the kernel has taken.
    #[doc(alias = "bytesWritten")]
    pub fn bytes_written(&self) -> u64 {
        match self.conn.and_then(|conn| conn.file()) {
            Some(file) => file.written,
            None => self.ask(Connection::bytes_written),
        }
    }

    /// Which directions are open. [`ReadyState::Closed`] for a socket that is gone.
    #[doc(alias = "readyState")]
    pub fn ready_state(&self) -> ReadyState {
        self.conn.map_or(ReadyState::Closed, |conn| conn.connection.ready_state())
    }

    /// Whether it is connecting.
    #[doc(alias = "connecting")]
    pub fn is_connecting(&self) -> bool {
        self.ask(Connection::is_connecting)
    }

    /// Whether it is not connected: fresh, connecting or closed.
    #[doc(alias = "pending")]
    pub fn is_pending(&self) -> bool {
        self.conn.is_none_or(|conn| conn.connection.stage() != Stage::Connected)
    }

    /// Whether it is destroyed; true also for a socket that is gone.
    #[doc(alias = "destroyed")]
    pub fn is_destroyed(&self) -> bool {
        self.conn.is_none_or(|conn| conn.connection.is_destroyed())
    }

    /// Whether `pause` was called and `resume` was not.
    #[doc(alias = "isPaused")]
    pub fn is_paused(&self) -> bool {
        self.ask(Connection::is_paused)
    }

    /// Whether the peer's end has come, be it read or not: what the peer has sent may still be there to be read, and nothing
    /// will follow. The kernel says so also of a connection that is paused.
    pub fn has_peer_ended(&self) -> bool {
        self.conn.is_some_and(Conn::has_peer_ended)
    }

    /// Why it is not read from, though its peer may send, and because of whom. `None` if it is read from, and if nothing can
    /// be read from it.
    ///
    /// A receiver that holds it up is looked for among all connections, once for a table ([`Net::connections`]).
    ///
    /// [`Net::connections`]: crate::Net::connections
    pub fn paused_by(&self) -> Option<PausedBy> {
        let conn = self.conn.filter(|conn| conn.connection.is_readable())?;
        if conn.connection.is_paused() {
            return Some(match conn.awaits_drain_of() {
                Some(to) => PausedBy::Pipe(to),
                None => PausedBy::User(conn.pause_reason()),
            });
        }
        if conn.lists.memory {
            return Some(PausedBy::Memory);
        }
        if conn.held_by_receivers() > 0
            && let Some(receiver) = self.holder.of(self.id)
        {
            return Some(PausedBy::Receiver(receiver));
        }
        if conn.has_yielded() {
            return Some(PausedBy::Turn);
        }
        conn.connection.is_read_ahead_full().then_some(PausedBy::ReadAhead)
    }

    /// How long ago the socket was made, in whole seconds. An accepted connection was made when it was accepted.
    pub fn age(&self) -> Duration {
        self.ago(|conn| conn.since)
    }

    /// How long ago a byte was read or written last, or the connection was made, in whole seconds.
    pub fn idle(&self) -> Duration {
        self.ago(|conn| conn.active)
    }

    /// Whether it is paused by the user, and not by a pipe whose destination is full.
    pub(crate) fn waits_for_resume(&self) -> bool {
        self.is_paused() && self.conn.is_none_or(|conn| conn.awaits_drain_of().is_none())
    }

    /// Whether data would be heard: somebody takes it, or the user has paused, and so may still ask for it.
    pub(crate) fn may_be_read(&self) -> bool {
        self.ask(|connection| connection.is_listening() || connection.is_paused())
    }

    /// Whether a handler of its own hears what it reads, and not only what it is piped into.
    pub(crate) fn has_listener(&self) -> bool {
        self.conn.is_some_and(Conn::has_listener)
    }

    /// Whether `data` or `end` can still come.
    #[doc(alias = "readable")]
    pub fn is_readable(&self) -> bool {
        self.ask(Connection::is_readable)
    }

    /// Whether `write` is allowed.
    #[doc(alias = "writable")]
    pub fn is_writable(&self) -> bool {
        self.ask(Connection::is_writable)
    }

    /// Whether `finish` was emitted.
    #[doc(alias = "writableFinished")]
    pub fn is_finished(&self) -> bool {
        self.ask(Connection::is_finished)
    }

    /// Whether `drain` will come.
    #[doc(alias = "writableNeedDrain")]
    pub fn needs_drain(&self) -> bool {
        self.ask(Connection::needs_drain)
    }

    /// The mark, in bytes.
    #[doc(alias = "writableHighWaterMark")]
    #[doc(alias = "readableHighWaterMark")]
    pub fn high_water_mark(&self) -> usize {
        self.ask(Connection::high_water_mark)
    }

    /// What `set_timeout` was given last.
    pub fn timeout(&self) -> Option<Duration> {
        self.conn?.connection.idle()?.period()
    }

    /// This side's address, while connected; `None` for a Unix socket.
    #[doc(alias = "localAddress")]
    #[doc(alias = "localPort")]
    #[doc(alias = "localFamily")]
    pub fn local_address(&self) -> Option<SocketAddr> {
        let handle = self.conn?.handle_if_connected()?;
        self.cx.kernel.local_address(handle).ok()?.ip()
    }

    /// The other side's address, from the connection on; `None` for a Unix socket. It is kept after the close.
    #[doc(alias = "remoteAddress")]
    #[doc(alias = "remotePort")]
    #[doc(alias = "remoteFamily")]
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.conn?.remote.ip()
    }

    /// Who is at the other end of a Unix socket, while connected. `None` for TCP, and where the system does not tell.
    pub fn peer_cred(&self) -> Option<PeerCred> {
        let handle = self.conn.filter(|conn| conn.remote.is_unix())?.handle_if_connected()?;
        self.cx.kernel.peer_cred(handle).ok()
    }

    /// What the system has for its type of service, while connected; before, what was set. `None` for a Unix socket.
    #[doc(alias = "getTypeOfService")]
    pub fn type_of_service(&self) -> Option<u8> {
        let conn = self.conn?;
        match conn.handle_if_connected() {
            Some(handle) => self.cx.kernel.type_of_service(handle).ok(),
            None => conn.type_of_service(),
        }
    }

    /// The server that accepted it.
    pub fn server(&self) -> Option<ServerId> {
        self.conn?.server
    }

    /// Whether it is a file that is only read.
    pub(crate) fn is_file_to_read(&self) -> bool {
        self.conn.and_then(Conn::file).is_some_and(|file| !file.mode.is_written())
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.conn.is_some_and(|conn| conn.is_file())
    }

    fn ago(&self, second: impl FnOnce(&Conn) -> u32) -> Duration {
        let now = self.cx.now().as_secs() as u32;
        self.conn.map_or(Duration::ZERO, |conn| Duration::from_secs(now.wrapping_sub(second(conn)).into()))
    }

    fn ask<T: Default>(&self, question: impl FnOnce(&Connection) -> T) -> T {
        self.conn.map_or_else(T::default, |conn| question(&conn.connection))
    }
}
