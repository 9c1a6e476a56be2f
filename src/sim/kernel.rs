//! The kernel that a loop is given: each of its calls is made on the world, where it is counted and recorded.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;

use super::fault::{Call, Extent, os};
use super::files;
use super::world::World;
use crate::address::{Address, UnixAddress};
use crate::base::error::Syscall;
use crate::kernel::{
    ConnectOptions, Handle, Kernel, ListenOptions, OpenMode, Ready, SocketOption, Stdio, Token, Wake, Watch,
};

/// The kernel of one loop on a simulated network. Made by [`Sim::kernel`](super::Sim::kernel).
pub struct SimKernel {
    pub(super) world: Rc<RefCell<World>>,
    pub(super) machine: usize,
}

impl fmt::Debug for SimKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimKernel").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl SimKernel {
    fn call(
        &self,
        call: Call,
        handle: Option<Handle>,
        carry_out: impl FnOnce(&mut World, Extent) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let end = handle.map_or(usize::MAX, |handle| handle.0 as usize);
        self.world.borrow_mut().call(call, end, carry_out)
    }

    fn close_end(&self, end: usize, reset: bool) {
        let mut world = self.world.borrow_mut();
        world.close(end, reset);
        let later = world.now + world.conditions.close;
        world.advance(later);
    }
}

/// Its process ends: the system closes what is still open.
impl Drop for SimKernel {
    fn drop(&mut self) {
        let mut world = self.world.borrow_mut();
        for end in world.ends_that(|_, end| end.machine == self.machine) {
            world.close(end, false);
        }
        world.close_files_of(self.machine);
    }
}

impl Kernel for SimKernel {
    fn now(&self) -> Duration {
        self.world.borrow().now
    }

    fn clock_slack(&self) -> Duration {
        Duration::ZERO
    }

    fn wait(&mut self, deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        let alone = world.machines.len() == 1;
        world.machines[self.machine].runs = true;
        let later = world.now + world.conditions.turn;
        world.advance(later);
        while alone && !world.has_edges() && deadline.is_none_or(|deadline| deadline > world.now) {
            let next = [world.next_arrival(), deadline].into_iter().flatten().min();
            let Some(next) = next else {
                return Err(io::Error::other("the simulation is stuck: the loop waits, and nothing will ever happen"));
            };
            world.advance(next);
        }
        world.take_ready(self.machine, ready);
        Ok(())
    }

    fn listen(&mut self, address: Address, options: &ListenOptions) -> io::Result<Handle> {
        let machine = self.machine;
        let end = self.call(Call::Listen, None, |world, _| world.listen(machine, address, options))?;
        Ok(Handle(end as u32))
    }

    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, Address)> {
        let end = self.call(Call::Accept, Some(listener), |world, _| world.accept(listener.0 as usize))?;
        let remote = self.world.borrow().stream(end).and_then(|stream| stream.remote);
        Ok((Handle(end as u32), remote.unwrap_or(UnixAddress::UNNAMED.into())))
    }

    fn shed(&mut self, listener: Handle) -> io::Result<bool> {
        self.world.borrow_mut().shed(listener.0 as usize)
    }

    fn connect(&mut self, address: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
        let machine = self.machine;
        let end = self.call(Call::Connect, None, |world, _| world.connect(machine, address, options.local));
        end.map(|end| Handle(end as u32)).map_err(|error| (Syscall::Connect, error))
    }

    fn connected(&mut self, socket: Handle) -> io::Result<bool> {
        self.call(Call::Connected, Some(socket), |world, _| world.connected(socket.0 as usize).map(usize::from))
            .map(|connected| connected != 0)
    }

    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> {
        self.call(Call::Register, Some(handle), |world, _| world.register(handle.0 as usize, token).map(|()| 0))
            .map(drop)
    }

    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        if files::is_file(socket) {
            return self.call(Call::ReadFile, Some(socket), |world, extent| world.read_file(socket, buffer, extent));
        }
        self.call(Call::Read, Some(socket), |world, extent| world.read(socket.0 as usize, buffer, extent))
    }

    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(socket, &[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if files::is_file(socket) {
            return self.call(Call::WriteFile, Some(socket), |world, extent| world.write_file(socket, slices, extent));
        }
        self.call(Call::Write, Some(socket), |world, extent| world.write(socket.0 as usize, slices, extent))
    }

    fn take_error(&mut self, socket: Handle) -> io::Result<Option<io::Error>> {
        let taken = self.call(Call::TakeError, Some(socket), |world, _| world.take_error(socket.0 as usize))?;
        Ok((taken != 0).then(|| io::Error::from_raw_os_error(taken as i32)))
    }

    fn shutdown(&mut self, socket: Handle) -> io::Result<()> {
        self.call(Call::Shutdown, Some(socket), |world, _| world.shutdown(socket.0 as usize).map(|()| 0)).map(drop)
    }

    fn close(&mut self, handle: Handle) {
        match files::is_file(handle) {
            true => self.world.borrow_mut().close_file(handle),
            false => self.close_end(handle.0 as usize, false),
        }
    }

    fn reset(&mut self, socket: Handle) {
        let end = socket.0 as usize;
        let has_resets = self.world.borrow().ends.get(end).is_some_and(|end| end.local.ip().is_some());
        match has_resets {
            true => self.close_end(end, true),
            false => self.close(socket),
        }
    }

    fn set_option(&mut self, socket: Handle, option: SocketOption) -> io::Result<()> {
        self.call(Call::SetOption, Some(socket), |world, _| world.set_option(socket.0 as usize, option).map(|()| 0))
            .map(drop)
    }

    fn local_address(&self, handle: Handle) -> io::Result<Address> {
        self.world.borrow().ends.get(handle.0 as usize).map(|end| end.local).ok_or_else(|| os(Errno::BADF))
    }

    fn datagrams(&mut self, peer: SocketAddr, local: Option<SocketAddr>) -> io::Result<Handle> {
        let machine = self.machine;
        let end = self.call(Call::Datagrams, None, |world, _| world.datagrams(machine, peer, local))?;
        Ok(Handle(end as u32))
    }

    fn send(&mut self, socket: Handle, datagram: &[u8]) -> io::Result<()> {
        self.call(Call::Send, Some(socket), |world, _| world.send_datagram(socket.0 as usize, datagram)).map(drop)
    }

    fn receive(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        self.call(Call::Receive, Some(socket), |world, _| world.receive_datagram(socket.0 as usize, buffer))
    }

    /// From the seed.
    fn random(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        buffer.fill_with(|| world.random(256) as u8);
        Ok(())
    }

    fn watch_signal(&mut self, signal: i32) -> io::Result<()> {
        if !can_be_caught(signal) {
            let why = format!("{signal} is no signal, or one that cannot be caught");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.world.borrow_mut().machines[self.machine].watched.push(signal);
        Ok(())
    }

    fn unwatch_signal(&mut self, signal: i32) {
        let machine = &mut self.world.borrow_mut().machines[self.machine];
        machine.watched.retain(|watched| *watched != signal);
        machine.signals.retain(|arrived| *arrived != signal);
    }

    fn waker(&mut self) -> io::Result<Wake> {
        let woken = Arc::clone(&self.world.borrow().machines[self.machine].woken);
        Ok(Box::new(move || {
            woken.store(true, Ordering::SeqCst);
            Ok(())
        }))
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Handle> {
        let machine = self.machine;
        self.call(Call::Open, None, |world, _| world.open_file(machine, path, mode)).map(files::handle)
    }

    fn stdio(&mut self, stream: Stdio) -> io::Result<Handle> {
        let (path, mode) = files::stdio(stream);
        self.open(Path::new(path), mode)
    }

    fn watch_file(&mut self, _handle: Handle, _token: Token) -> io::Result<Watch> {
        Ok(Watch::AlwaysReady)
    }
}

/// As on Linux: its signals are 1 to 64, nobody can catch SIGKILL (9) and SIGSTOP (19), and SIGILL (4), SIGFPE (8) and SIGSEGV
/// (11) are faults of the program itself, behind which it cannot go on.
fn can_be_caught(signal: i32) -> bool {
    (1..=64).contains(&signal) && ![4, 8, 9, 11, 19].contains(&signal)
}
