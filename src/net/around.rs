//! A kernel that is put around the one of a net while it runs: for the trace, and for the statistics.

use std::io::{self, IoSlice};
use std::time::Duration;

use crate::address::Address;
use crate::base::error::Syscall;
use crate::kernel::{ConnectOptions, Handle, Kernel, ListenOptions, Ready, SocketOption, Token};

/// Puts another kernel around `kernel`: the one that `outer` makes of it.
pub(super) fn wrap(kernel: &mut Box<dyn Kernel>, outer: impl FnOnce(Box<dyn Kernel>) -> Box<dyn Kernel>) {
    let inner = std::mem::replace(kernel, Box::new(Absent));
    *kernel = outer(inner);
}

/// What stands in the place of a kernel while another is put around it. Nobody calls it.
#[derive(Debug)]
struct Absent;

fn absent<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Kernel for Absent {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn clock_slack(&self) -> Duration {
        Duration::ZERO
    }

    fn wait(&mut self, _: Option<Duration>, _: &mut Vec<Ready>) -> io::Result<()> {
        absent()
    }

    fn listen(&mut self, _: Address, _: &ListenOptions) -> io::Result<Handle> {
        absent()
    }

    fn accept(&mut self, _: Handle) -> io::Result<(Handle, Address)> {
        absent()
    }

    fn shed(&mut self, _: Handle) -> io::Result<bool> {
        absent()
    }

    fn connect(&mut self, _: Address, _: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
        absent().map_err(|error| (Syscall::Connect, error))
    }

    fn connected(&mut self, _: Handle) -> io::Result<bool> {
        absent()
    }

    fn register(&mut self, _: Handle, _: Token) -> io::Result<()> {
        absent()
    }

    fn read(&mut self, _: Handle, _: &mut [u8]) -> io::Result<usize> {
        absent()
    }

    fn write(&mut self, _: Handle, _: &[u8]) -> io::Result<usize> {
        absent()
    }

    fn write_vectored(&mut self, _: Handle, _: &[IoSlice<'_>]) -> io::Result<usize> {
        absent()
    }

    fn shutdown(&mut self, _: Handle) -> io::Result<()> {
        absent()
    }

    fn close(&mut self, _: Handle) {}

    fn reset(&mut self, _: Handle) {}

    fn set_option(&mut self, _: Handle, _: SocketOption) -> io::Result<()> {
        absent()
    }

    fn local_address(&self, _: Handle) -> io::Result<Address> {
        absent()
    }

    fn watch_signal(&mut self, _: i32) -> io::Result<()> {
        absent()
    }
}
