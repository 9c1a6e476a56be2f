//! A kernel that counts its calls: it is put around the other one when statistics are kept.
//!
//! It counts before a call and returns what the call returns, which the compiler makes a jump: five instructions for a
//! call. So it does not see what became of it; where a call did not do all of it is off the busy paths, and is counted there
//! (`Cx::wrote`).

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::address::Address;
use crate::base::error::Syscall;
#[cfg(unix)]
use crate::kernel::TcpOptions;
use crate::kernel::pass_on::pass_on;
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

    pass_on!(
        now,
        now_to_measure,
        clock_slack,
        wait,
        events_at_once,
        listen,
        adopt_listener,
        adopt_stream,
        accept,
        shed,
        connect,
        connected,
        register,
        take_error,
        shutdown,
        close,
        reset,
        set_option,
        type_of_service,
        peer_cred,
        local_address,
        random,
        datagrams,
        send,
        receive,
        watch_signal,
        unwatch_signal,
        waker,
        poll_fd,
        open,
        stdio,
        adopt_file,
        watch_file,
    );
}
