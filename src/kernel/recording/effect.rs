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
        match detail {
            Detail::Nothing => self.begin(kind, handle),
            Detail::Text(text) => {
                self.begin(kind, handle);
                self.fold(crc32fast::hash(text.as_bytes()).into());
            }
            Detail::Bytes { offered, taken, hash } => self.add_write(handle, *offered, *taken, *hash),
        }
    }

    #[inline]
    pub fn add_write(&mut self, handle: u32, offered: u64, taken: u64, hash: u32) {
        self.begin(Kind::Write, handle);
        self.fold(offered);
        self.fold(taken << 32 ^ u64::from(hash));
    }

    #[inline]
    fn begin(&mut self, kind: Kind, handle: u32) {
        self.fold(u64::from(kind as u8) << 32 | u64::from(handle));
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
#[inline]
pub(super) fn hash_of(bytes: &[u8], length: usize) -> u32 {
    let mut contents = Contents::EMPTY;
    contents.add(&bytes[..length.min(bytes.len())]);
    contents.hash()
}

/// The same of slices.
pub(super) fn hash_of_slices(slices: &[IoSlice<'_>], length: usize) -> u32 {
    let (mut contents, mut left) = (Contents::EMPTY, length);
    for slice in slices {
        let taken = left.min(slice.len());
        contents.add(&slice[..taken]);
        left -= taken;
        if left == 0 {
            break;
        }
    }
    contents.hash()
}

/// What is written, on its way to a hash: eight bytes at a time, wherever one slice ends and another begins. A CRC was a tenth of
/// what the recording of an echo cost.
struct Contents {
    so_far: u64,
    /// Bytes that are no eight yet, the first one lowest.
    rest: u64,
    /// How many bits they have.
    bits: u32,
}

impl Contents {
    const EMPTY: Contents = Contents { so_far: Fingerprint::EMPTY.0, rest: 0, bits: 0 };

    #[inline]
    fn add(&mut self, bytes: &[u8]) {
        let (words, last) = bytes.as_chunks::<8>();
        if self.bits == 0 {
            words.iter().for_each(|word| self.fold(u64::from_le_bytes(*word)));
        } else {
            for word in words {
                let word = u64::from_le_bytes(*word);
                self.fold(self.rest | word << self.bits);
                self.rest = word >> (u64::BITS - self.bits);
            }
        }
        for byte in last {
            self.rest |= u64::from(*byte) << self.bits;
            self.bits += 8;
            if self.bits == u64::BITS {
                self.fold(self.rest);
                (self.rest, self.bits) = (0, 0);
            }
        }
    }

    #[inline]
    fn hash(mut self) -> u32 {
        self.fold(self.rest);
        self.fold(self.bits.into());
        (self.so_far >> 32 ^ self.so_far) as u32
    }

    /// The upper bits are brought down first. A multiplication carries upwards only, so the highest bit of a word would be one
    /// bit of the next one.
    #[inline]
    fn fold(&mut self, word: u64) {
        let mixed = self.so_far ^ word;
        self.so_far = (mixed ^ mixed >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
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

pub(super) fn datagrams(peer: SocketAddr, local: Option<SocketAddr>) -> String {
    let mut text = peer.to_string();
    add(&mut text, local.map(|local| format!("from {local}")));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_slices_is_that_of_their_bytes() {
        let bytes: Vec<u8> = (0..100_u8).map(|number| number.wrapping_mul(37)).collect();
        for first in 0..bytes.len() {
            for second in [first, first + 1, first + 5, first + 8, first + 19, bytes.len()] {
                let second = second.min(bytes.len());
                let slices = [&bytes[..first], &bytes[first..second], &bytes[second..]].map(IoSlice::new);
                for length in [0, 1, 7, 8, 9, 50, 99, 100] {
                    assert_eq!(hash_of_slices(&slices, length), hash_of(&bytes, length), "{first} {second} {length}");
                }
            }
        }
    }

    #[test]
    fn each_bit_and_each_length_has_a_hash_of_its_own() {
        let bytes = [0; 40];
        let mut hashes: Vec<u32> = (0..=40).map(|length| hash_of(&bytes, length)).collect();
        for bit in 0..320 {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            hashes.push(hash_of(&other, 40));
        }
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}
