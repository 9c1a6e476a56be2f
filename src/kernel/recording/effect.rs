//! A call as it is compared, counted in the fingerprint, and read by people.

use std::fmt::Write;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::format::Kind;
use crate::address::Address;
use crate::kernel::{ConnectOptions, KeepAlive, ListenOptions, OpenMode, SocketOption, TcpOptions};

/// A call of a program, without its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub kind: Kind,
    /// The number of a handle or of a signal. 0 if it has none.
    pub handle: u32,
    pub detail: Detail,
}

/// What a call is about, beside its handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Nothing,
    /// An address and options, a path, a name.
    Text(String),
    /// Bytes to be written: how many were offered, how many were taken, and a hash of these.
    Bytes {
        offered: u64,
        taken: u64,
        hash: u32,
    },
}

/// A hash of all effects so far. Two runs with the same one did the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(pub u64);

impl Fingerprint {
    pub const EMPTY: Fingerprint = Fingerprint(0xcbf2_9ce4_8422_2325);

    #[inline]
    pub fn add(&mut self, kind: Kind, handle: u32, detail: &Detail) {
        self.fold(u64::from(kind as u8) << 32 | u64::from(handle));
        match detail {
            Detail::Nothing => {}
            Detail::Text(text) => self.fold(crc32fast::hash(text.as_bytes()).into()),
            Detail::Bytes { offered, taken, hash } => {
                self.fold(*offered);
                self.fold(*taken << 32 ^ u64::from(*hash));
            }
        }
    }

    #[inline]
    fn fold(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

/// What people read: `write 12 bytes to handle 5`. `peer` is at the other end of the handle.
pub(super) fn described(call: &Call, peer: Option<&str>) -> String {
    let mut text = call.kind.words().to_owned();
    // Writing to a string cannot fail.
    let _ = match &call.detail {
        Detail::Nothing => Ok(()),
        Detail::Text(what) => write!(text, " {what}"),
        Detail::Bytes { offered, taken, .. } if taken == offered => write!(text, " {offered} bytes"),
        Detail::Bytes { offered, taken, .. } => write!(text, " {offered} bytes, of which {taken} are taken"),
    };
    let _ = match call.kind {
        Kind::WatchSignal | Kind::UnwatchSignal => write!(text, " {}", call.handle),
        kind if kind.has_handle() => write!(text, ", handle {}", call.handle),
        _ => Ok(()),
    };
    if let Some(peer) = peer.filter(|_| call.kind.has_handle()) {
        let _ = write!(text, " ({peer})");
    }
    text
}

/// The hash of the first bytes.
pub(super) fn hash_of(bytes: &[u8], length: usize) -> u32 {
    crc32fast::hash(&bytes[..length.min(bytes.len())])
}

/// The same of slices.
pub(super) fn hash_of_slices(slices: &[IoSlice<'_>], length: usize) -> u32 {
    let (mut hasher, mut left) = (crc32fast::Hasher::new(), length);
    for slice in slices {
        let taken = left.min(slice.len());
        hasher.update(&slice[..taken]);
        left -= taken;
        if left == 0 {
            break;
        }
    }
    hasher.finalize()
}

pub(super) fn length_of(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().map(|slice| slice.len()).sum()
}

// ---- options as text: those that are not as they are by default, so that a new one changes no old recording ---------------

pub(super) fn listen(address: Address, options: &ListenOptions) -> String {
    let mut text = format!("{address} backlog {}", options.backlog);
    add(&mut text, options.ipv6_only.then_some("ipv6 only"));
    add(&mut text, options.reuse_port.then_some("reuse port"));
    let permissions = options.permissions;
    add(&mut text, permissions.mode.map(|mode| format!("mode {mode:o}")));
    add(&mut text, permissions.owner.map(|owner| format!("owner {owner}")));
    add(&mut text, permissions.group.map(|group| format!("group {group}")));
    add(&mut text, Some(tcp(&options.tcp)));
    text
}

pub(super) fn connect(address: Address, options: &ConnectOptions) -> String {
    let mut text = address.to_string();
    add(&mut text, options.local.map(|local: SocketAddr| format!("from {local}")));
    add(&mut text, Some(tcp(&options.tcp)));
    text
}

pub(super) fn tcp(options: &TcpOptions) -> String {
    let mut text = String::new();
    add(&mut text, options.no_delay.then_some("no delay"));
    add(&mut text, options.keep_alive.map(keep_alive));
    add(&mut text, options.type_of_service.map(|value| format!("type of service {value}")));
    add(&mut text, options.user_timeout.map(|time| format!("user timeout {time:?}")));
    add(&mut text, options.receive_buffer.map(|bytes| format!("receive buffer {bytes}")));
    add(&mut text, options.send_buffer.map(|bytes| format!("send buffer {bytes}")));
    add(&mut text, options.urgent_inline.then_some("urgent inline"));
    text
}

pub(super) fn option(option: SocketOption) -> String {
    match option {
        SocketOption::NoDelay(on) => format!("no delay {on}"),
        SocketOption::KeepAlive(None) => "no keep-alive".to_owned(),
        SocketOption::KeepAlive(Some(times)) => keep_alive(times),
        SocketOption::TypeOfService(value) => format!("type of service {value}"),
        SocketOption::UserTimeout(None) => "no user timeout".to_owned(),
        SocketOption::UserTimeout(Some(time)) => format!("user timeout {time:?}"),
    }
}

pub(super) fn open(path: &Path, mode: OpenMode) -> String {
    format!("{} {}", path.display(), letters(mode))
}

/// Node's flags.
pub(super) fn letters(mode: OpenMode) -> &'static str {
    match mode {
        OpenMode::Read => "r",
        OpenMode::Write => "w",
        OpenMode::Append => "a",
        OpenMode::CreateNew => "wx",
        OpenMode::ReadWrite => "r+",
    }
}

fn keep_alive(times: KeepAlive) -> String {
    let mut text = format!("keep-alive {:?}", times.initial_delay);
    add(&mut text, times.interval.map(|interval: Duration| format!("every {interval:?}")));
    add(&mut text, times.count.map(|count| format!("count {count}")));
    text
}

fn add(text: &mut String, more: Option<impl AsRef<str>>) {
    let Some(more) = more else { return };
    if !text.is_empty() && !more.as_ref().is_empty() {
        text.push_str(", ");
    }
    text.push_str(more.as_ref());
}
