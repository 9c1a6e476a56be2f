//! A kernel that tells its calls: it is put around the other one when a trace begins.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::notes::{Kind, Notes, Whom};
use crate::address::Address;
use crate::base::error::Syscall;
use crate::base::id::{Id, Owner, ServerId, SocketId};
#[cfg(unix)]
use crate::kernel::TcpOptions;
use crate::kernel::pass_on::pass_on;
use crate::kernel::{
    ConnectOptions, Handle, Kernel, ListenOptions, OpenMode, PeerCred, Readiness, Ready, SocketOption, Stdio, Token,
    TokenOwner, Wake, Watch,
};
use crate::net::around::wrap;

#[derive(Debug)]
pub struct Watched {
    inner: Box<dyn Kernel>,
    notes: Notes,
    /// The number of the loop, to which all ids belong.
    owner: Owner,
    /// Who has a handle.
    whose: HashMap<Handle, Whom>,
    /// What was begun with a handle that nobody has registered yet.
    begun: Option<(Handle, Kind, String)>,
}

impl Watched {
    /// Puts itself around `kernel`. `whose` says who has the handles that there are.
    pub fn around(kernel: &mut Box<dyn Kernel>, notes: Notes, owner: Owner, whose: HashMap<Handle, Whom>) {
        wrap(kernel, |inner| Box::new(Watched { inner, notes, owner, whose, begun: None }));
    }

    fn whom(&self, handle: Handle) -> Whom {
        self.whose.get(&handle).copied().unwrap_or(Whom::Loop)
    }

    fn whom_by(&self, token: Token) -> Whom {
        match token.owner() {
            TokenOwner::Socket(key) => SocketId::new(key, self.owner).into(),
            TokenOwner::Server(key) => ServerId::new(key, self.owner).into(),
            TokenOwner::Question(_) => Whom::Loop,
        }
    }

    fn tell(&self, handle: Handle, kind: Kind, text: impl FnOnce() -> String) {
        self.notes.add(self.whom(handle), kind, text);
    }

    /// An owner has come to the handle of the last call.
    fn owned(&mut self, handle: Handle, token: Token) {
        let whom = self.whom_by(token);
        self.whose.insert(handle, whom);
        if let Some((_, kind, text)) = self.begun.take().filter(|(begun, ..)| *begun == handle) {
            self.notes.add(whom, kind, || text);
        }
    }

    fn begin(&mut self, handle: Handle, kind: Kind, text: String) {
        self.begun = Some((handle, kind, text));
    }

    fn wrote(&self, socket: Handle, wrote: &io::Result<usize>, of: usize) {
        match wrote {
            Ok(sent) => self.tell(socket, Kind::Wrote, || format!("wrote {sent} of {}", bytes(of))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.tell(socket, Kind::Held, || format!("wrote 0 of {}: the kernel has no room", bytes(of)));
            }
            Err(error) => self.tell(socket, Kind::Failed, || format!("write failed: {error}")),
        }
    }

    /// Another call, of which only a failure is of interest.
    fn failed<T>(&self, handle: Handle, call: &str, outcome: &io::Result<T>) {
        if let Err(error) = outcome {
            self.tell(handle, Kind::Failed, || format!("{call} failed: {error}"));
        }
    }

    fn ready(&self, ready: Ready) {
        match ready {
            Ready::Signal(signal) => {
                self.notes.add(Whom::Loop, Kind::Signal(signal), || format!("signal {signal} has come"));
            }
            Ready::Io { token, readiness } => {
                self.notes.add(self.whom_by(token), Kind::Edge, || words_of(readiness));
            }
        }
    }
}

fn bytes(count: usize) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

fn words_of(readiness: Readiness) -> String {
    let Readiness { readable, writable, ended, urgent, hung_up } = readiness;
    let all = [
        (readable && !ended && !hung_up, "ready to read"),
        (ended && !hung_up, "ready to read, up to the peer's end"),
        (hung_up, "the peer is gone"),
        (urgent, "urgent data"),
        (writable && !hung_up, "ready to write"),
    ];
    let words: Vec<&str> = all.into_iter().filter(|(is, _)| *is).map(|(_, words)| words).collect();
    if words.is_empty() { "nothing new".to_owned() } else { words.join(", ") }
}

impl Kernel for Watched {
    fn wait(&mut self, deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let before = ready.len();
        let waited = self.inner.wait(deadline, ready);
        ready[before..].iter().for_each(|ready| self.ready(*ready));
        waited
    }

    fn listen(&mut self, address: Address, options: &ListenOptions) -> io::Result<Handle> {
        let handle = self.inner.listen(address, options).inspect_err(|error| {
            self.notes.add(Whom::Loop, Kind::Failed, || format!("cannot listen on {address}: {error}"));
        })?;
        let address = self.inner.local_address(handle).unwrap_or(address);
        self.begin(handle, Kind::Listens, format!("listens on {address}"));
        Ok(handle)
    }

    #[cfg(unix)]
    fn adopt_listener(&mut self, listener: OwnedFd, tcp: &TcpOptions) -> io::Result<Handle> {
        let handle = self.inner.adopt_listener(listener, tcp).inspect_err(|error| {
            self.notes.add(Whom::Loop, Kind::Failed, || format!("cannot adopt a listener: {error}"));
        })?;
        self.begin(handle, Kind::Listens, "listens on a socket that was passed".to_owned());
        Ok(handle)
    }

    #[cfg(unix)]
    fn adopt_stream(&mut self, stream: OwnedFd, tcp: &TcpOptions) -> io::Result<(Handle, Option<Address>)> {
        let adopted = self.inner.adopt_stream(stream, tcp).inspect_err(|error| {
            self.notes.add(Whom::Loop, Kind::Failed, || format!("cannot adopt a connection: {error}"));
        })?;
        self.begin(adopted.0, Kind::Connected, "a connection that was made elsewhere".to_owned());
        Ok(adopted)
    }

    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, Address)> {
        let accepted = self.inner.accept(listener);
        match &accepted {
            Ok((_, peer)) => self.tell(listener, Kind::Accepted, || format!("accepted {peer}")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.tell(listener, Kind::Call, || "accept: nobody waits".to_owned());
            }
            Err(_) => self.failed(listener, "accept", &accepted),
        }
        accepted
    }

    fn shed(&mut self, listener: Handle) -> io::Result<bool> {
        let shed = self.inner.shed(listener);
        self.tell(listener, Kind::Call, || match &shed {
            Ok(true) => "out of descriptors: a client was turned away".to_owned(),
            Ok(false) => "out of descriptors: no client waits".to_owned(),
            Err(error) => format!("out of descriptors: {error}"),
        });
        shed
    }

    fn connect(&mut self, address: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
        let handle = self.inner.connect(address, options).inspect_err(|(_, error)| {
            self.notes.add(Whom::Loop, Kind::Failed, || format!("cannot connect to {address}: {error}"));
        })?;
        self.begin(handle, Kind::Call, format!("connects to {address}"));
        Ok(handle)
    }

    fn connected(&mut self, socket: Handle) -> io::Result<bool> {
        let connected = self.inner.connected(socket);
        match &connected {
            Ok(true) => self.tell(socket, Kind::Connected, || "the connect has succeeded".to_owned()),
            Ok(false) => self.tell(socket, Kind::Call, || "the connect goes on".to_owned()),
            Err(_) => self.failed(socket, "connect", &connected),
        }
        connected
    }

    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> {
        let registered = self.inner.register(handle, token);
        self.owned(handle, token);
        self.failed(handle, "epoll_ctl", &registered);
        registered
    }

    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(socket, buffer);
        match &read {
            Ok(0) => self.tell(socket, Kind::ReadNothing, || "read the end".to_owned()),
            Ok(length) => self.tell(socket, Kind::Read, || format!("read {}", bytes(*length))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.tell(socket, Kind::ReadNothing, || "read: nothing is there".to_owned());
            }
            Err(_) => self.failed(socket, "read", &read),
        }
        read
    }

    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize> {
        let wrote = self.inner.write(socket, bytes);
        self.wrote(socket, &wrote, bytes.len());
        wrote
    }

    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let wrote = self.inner.write_vectored(socket, slices);
        self.wrote(socket, &wrote, slices.iter().map(|slice| slice.len()).sum());
        wrote
    }

    fn take_error(&mut self, socket: Handle) -> io::Result<Option<io::Error>> {
        let taken = self.inner.take_error(socket);
        if let Ok(Some(error)) = &taken {
            self.tell(socket, Kind::Failed, || format!("it is broken: {error}"));
        }
        taken
    }

    fn shutdown(&mut self, socket: Handle) -> io::Result<()> {
        let shut = self.inner.shutdown(socket);
        match &shut {
            Ok(()) => self.tell(socket, Kind::Call, || "sent its end (FIN)".to_owned()),
            Err(_) => self.failed(socket, "shutdown", &shut),
        }
        shut
    }

    fn close(&mut self, handle: Handle) {
        self.inner.close(handle);
        self.tell(handle, Kind::Call, || "closed the descriptor".to_owned());
        self.whose.remove(&handle);
    }

    fn reset(&mut self, socket: Handle) {
        self.inner.reset(socket);
        self.tell(socket, Kind::Call, || "closed the descriptor with a reset (RST)".to_owned());
        self.whose.remove(&socket);
    }

    fn set_option(&mut self, socket: Handle, option: SocketOption) -> io::Result<()> {
        let set = self.inner.set_option(socket, option);
        self.tell(socket, Kind::Call, || format!("set {}", words_of_option(option)));
        self.failed(socket, "setsockopt", &set);
        set
    }

    fn datagrams(&mut self, peer: SocketAddr, local: Option<SocketAddr>) -> io::Result<Handle> {
        let handle = self.inner.datagrams(peer, local).inspect_err(|error| {
            self.notes.add(Whom::Loop, Kind::Failed, || format!("cannot send datagrams to {peer}: {error}"));
        })?;
        self.begin(handle, Kind::Call, format!("a socket for datagrams to {peer}"));
        Ok(handle)
    }

    fn send(&mut self, socket: Handle, datagram: &[u8]) -> io::Result<()> {
        let sent = self.inner.send(socket, datagram);
        match &sent {
            Ok(()) => self.tell(socket, Kind::Call, || format!("sent a datagram of {}", bytes(datagram.len()))),
            Err(_) => self.failed(socket, "send", &sent),
        }
        sent
    }

    fn receive(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        let received = self.inner.receive(socket, buffer);
        match &received {
            Ok(length) => self.tell(socket, Kind::Call, || format!("received a datagram of {}", bytes(*length))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.failed(socket, "receive", &received),
        }
        received
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Handle> {
        let handle = self.inner.open(path, mode).inspect_err(|error| {
            self.notes.add(Whom::Loop, Kind::Failed, || format!("cannot open {}: {error}", path.display()));
        })?;
        self.begin(handle, Kind::Call, format!("opened {}", path.display()));
        Ok(handle)
    }

    fn stdio(&mut self, stream: Stdio) -> io::Result<Handle> {
        let handle = self.inner.stdio(stream).inspect_err(|error| {
            self.notes.add(Whom::Loop, Kind::Failed, || format!("cannot open a standard stream: {error}"));
        })?;
        self.begin(handle, Kind::Call, stdio_name(stream).to_owned());
        Ok(handle)
    }

    #[cfg(unix)]
    fn adopt_file(&mut self, descriptor: OwnedFd, mode: OpenMode) -> io::Result<Handle> {
        let handle = self.inner.adopt_file(descriptor, mode).inspect_err(|error| {
            self.notes.add(Whom::Loop, Kind::Failed, || format!("cannot adopt a descriptor: {error}"));
        })?;
        self.begin(handle, Kind::Call, "a descriptor that was opened elsewhere".to_owned());
        Ok(handle)
    }

    fn watch_file(&mut self, handle: Handle, token: Token) -> io::Result<Watch> {
        let watched = self.inner.watch_file(handle, token);
        self.owned(handle, token);
        self.failed(handle, "epoll_ctl", &watched);
        watched
    }

    pass_on!(
        now,
        now_to_measure,
        clock_slack,
        type_of_service,
        peer_cred,
        local_address,
        random,
        watch_signal,
        unwatch_signal,
        events_at_once,
        waker,
        poll_fd
    );
}

fn words_of_option(option: SocketOption) -> String {
    let on_or_off = |on: bool| if on { "on" } else { "off" };
    match option {
        SocketOption::NoDelay(on) => format!("TCP_NODELAY {}", on_or_off(on)),
        SocketOption::KeepAlive(keep_alive) => format!("SO_KEEPALIVE {}", on_or_off(keep_alive.is_some())),
        SocketOption::TypeOfService(value) => format!("the type of service to {value}"),
        SocketOption::UserTimeout(Some(timeout)) => format!("TCP_USER_TIMEOUT to {timeout:?}"),
        SocketOption::UserTimeout(None) => "TCP_USER_TIMEOUT to that of the system".to_owned(),
    }
}

fn stdio_name(stream: Stdio) -> &'static str {
    match stream {
        Stdio::Input => "standard input",
        Stdio::Output => "standard output",
        Stdio::Error => "standard error",
    }
}
