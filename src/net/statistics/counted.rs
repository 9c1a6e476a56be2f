//! A kernel that counts its calls: it is put around the other one when statistics are kept.
//!
//! It counts before a call and returns what the call returns, which the compiler makes a jump: five instructions for a
//! call. So it does not see what became of it; where a call did not do all of it is off the busy paths, and is counted there
//! (`Cx::wrote`).

use std::cell::Cell;
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::address::Address;
use crate::base::error::Syscall;
#[cfg(unix)]
use crate::kernel::TcpOptions;
use crate::kernel::{
    ConnectOptions, Handle, Kernel, ListenOptions, OpenMode, PeerCred, Ready, SocketOption, Stdio, Token, Wake, Watch,
};
use crate::net::around::wrap;

/// The calls of a kernel, since it was counted.
#[derive(Debug, Default)]
#[repr(C)]
pub(in crate::net) struct Calls {
    pub writes: Cell<u64>,
    // Between the two that a write counts: side by side they would be added as a vector, which takes twice the instructions.
    pub reads: Cell<u64>,
    /// Bytes that the writes have offered.
    pub offered: Cell<u64>,
}

#[derive(Debug)]
pub(in crate::net) struct Counted {
    inner: Box<dyn Kernel>,
    calls: Rc<Calls>,
}

impl Counted {
    /// Puts itself around `kernel`.
    pub fn around(kernel: &mut Box<dyn Kernel>) -> Rc<Calls> {
        let calls = Rc::<Calls>::default();
        wrap(kernel, |inner| Box::new(Counted { inner, calls: Rc::clone(&calls) }));
        calls
    }
}

#[inline(always)]
fn add(to: &Cell<u64>, count: usize) {
    to.set(to.get().wrapping_add(count as u64));
}

impl Kernel for Counted {
    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        add(&self.calls.reads, 1);
        self.inner.read(socket, buffer)
    }

    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize> {
        add(&self.calls.writes, 1);
        add(&self.calls.offered, bytes.len());
        self.inner.write(socket, bytes)
    }

    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        add(&self.calls.writes, 1);
        add(&self.calls.offered, slices.iter().map(|slice| slice.len()).sum());
        self.inner.write_vectored(socket, slices)
    }

    // ---- all others only pass on -----------------------------------------------------------------------------------------

    fn now(&self) -> Duration {
        self.inner.now()
    }

    fn clock_slack(&self) -> Duration {
        self.inner.clock_slack()
    }

    fn wait(&mut self, deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.inner.wait(deadline, ready)
    }

    fn events_at_once(&self) -> usize {
        self.inner.events_at_once()
    }

    fn listen(&mut self, address: Address, options: &ListenOptions) -> io::Result<Handle> {
        self.inner.listen(address, options)
    }

    #[cfg(unix)]
    fn adopt_listener(&mut self, listener: OwnedFd, tcp: &TcpOptions) -> io::Result<Handle> {
        self.inner.adopt_listener(listener, tcp)
    }

    #[cfg(unix)]
    fn adopt_stream(&mut self, stream: OwnedFd, tcp: &TcpOptions) -> io::Result<(Handle, Option<Address>)> {
        self.inner.adopt_stream(stream, tcp)
    }

    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, Address)> {
        self.inner.accept(listener)
    }

    fn shed(&mut self, listener: Handle) -> io::Result<bool> {
        self.inner.shed(listener)
    }

    fn connect(&mut self, address: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
        self.inner.connect(address, options)
    }

    fn connected(&mut self, socket: Handle) -> io::Result<bool> {
        self.inner.connected(socket)
    }

    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> {
        self.inner.register(handle, token)
    }

    fn take_error(&mut self, socket: Handle) -> io::Result<Option<io::Error>> {
        self.inner.take_error(socket)
    }

    fn shutdown(&mut self, socket: Handle) -> io::Result<()> {
        self.inner.shutdown(socket)
    }

    fn close(&mut self, handle: Handle) {
        self.inner.close(handle);
    }

    fn reset(&mut self, socket: Handle) {
        self.inner.reset(socket);
    }

    fn set_option(&mut self, socket: Handle, option: SocketOption) -> io::Result<()> {
        self.inner.set_option(socket, option)
    }

    fn type_of_service(&self, socket: Handle) -> io::Result<u8> {
        self.inner.type_of_service(socket)
    }

    fn peer_cred(&self, socket: Handle) -> io::Result<PeerCred> {
        self.inner.peer_cred(socket)
    }

    fn local_address(&self, handle: Handle) -> io::Result<Address> {
        self.inner.local_address(handle)
    }

    fn random(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.random(buffer)
    }

    fn watch_signal(&mut self, signal: i32) -> io::Result<()> {
        self.inner.watch_signal(signal)
    }

    fn unwatch_signal(&mut self, signal: i32) {
        self.inner.unwatch_signal(signal);
    }

    fn waker(&mut self) -> io::Result<Wake> {
        self.inner.waker()
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.poll_fd()
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Handle> {
        self.inner.open(path, mode)
    }

    fn stdio(&mut self, stream: Stdio) -> io::Result<Handle> {
        self.inner.stdio(stream)
    }

    #[cfg(unix)]
    fn adopt_file(&mut self, descriptor: OwnedFd, mode: OpenMode) -> io::Result<Handle> {
        self.inner.adopt_file(descriptor, mode)
    }

    fn watch_file(&mut self, handle: Handle, token: Token) -> io::Result<Watch> {
        self.inner.watch_file(handle, token)
    }
}
