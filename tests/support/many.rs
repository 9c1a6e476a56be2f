//! Many connections; and tests that measure, one at a time.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::support::PATIENCE;

static MACHINE: RwLock<()> = RwLock::new(());

/// No test that is [`alone`] runs meanwhile; others like this one may.
pub fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// No other test of this program runs meanwhile, and this process may have as many descriptors as the system allows.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    let guard = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    assert!(most > 6000, "5,000 connections need more than the {most} descriptors of 'ulimit -Hn'");
    guard
}

/// A connection from one of sixteen addresses of this machine, so that the ports of none of them are used up by those
/// that have closed a moment ago.
pub fn connect(to: SocketAddr, number: usize) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from = Ipv4Addr::new(127, 0, 1, 1 + (number % 16) as u8);
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}
