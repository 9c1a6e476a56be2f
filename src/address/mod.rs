//! The address of a socket, as the operating system knows it: of TCP, or of a Unix domain socket.
//!
//! The engine and its kernel use an [`Address`]. What a user writes may be less, a port alone for example: that is an
//! [`Endpoint`](crate::Endpoint). Both are small and `Copy`. The system limits the name of a Unix socket, so the name is part
//! of the value, and one that is too long is an error when it is made.

pub(crate) mod block_list;
pub(crate) mod endpoint;
pub(crate) mod families;
pub(crate) mod hints;
pub(crate) mod host_name;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use crate::base::error::Error;

/// The address of a socket, of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An address of TCP, over IPv4 or IPv6.
    Ip(SocketAddr),
    /// The address of a Unix domain socket.
    Unix(UnixAddress),
}

impl Address {
    /// The address of TCP, if it is one.
    pub fn ip(self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(address),
            Address::Unix(_) => None,
        }
    }

    /// The address of a Unix socket, if it is one.
    pub fn unix(self) -> Option<UnixAddress> {
        match self {
            Address::Ip(_) => None,
            Address::Unix(address) => Some(address),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Address::Ip(address)
    }
}

impl From<UnixAddress> for Address {
    fn from(address: UnixAddress) -> Self {
        Address::Unix(address)
    }
}

impl fmt::Display for Address {
    /// As Node writes them in its errors: `127.0.0.1:80`, `/run/x.sock`, `@name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Unix(address) => address.fmt(f),
        }
    }
}

/// The size of `sun_path`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SIZE: usize = 108;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SIZE: usize = 104;

/// On Linux a path may fill `sun_path`: it needs no NUL at its end (unix(7)). Elsewhere it has one.
const LONGEST_PATH: usize = if cfg!(any(target_os = "linux", target_os = "android")) { SIZE } else { SIZE - 1 };

/// The NUL that an abstract name begins with takes a byte.
const LONGEST_NAME: usize = SIZE - 1;

/// The address of a Unix domain socket: a path, or an abstract name on Linux. The address of a client has no name.
///
/// A path has at most 108 bytes on Linux, an abstract name 107; elsewhere a path has at most 103. If a path is too long, a
/// relative one may do.
///
/// ```
/// use tidegate::UnixAddress;
///
/// # #[cfg(unix)] {
/// let address = UnixAddress::path("/run/chat.sock")?;
/// assert_eq!(address.as_path(), Some("/run/chat.sock".as_ref()));
/// # }
/// assert_eq!(UnixAddress::abstract_name("chat")?.to_string(), "@chat");
/// assert!(UnixAddress::path("x".repeat(200)).is_err());
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnixAddress {
    /// As in `sun_path`: an abstract name begins with a NUL. The bytes after the name are zero, so that equal names are equal.
    name: [u8; SIZE],
    length: u8,
}

impl UnixAddress {
    /// The address of a socket without a name.
    pub const UNNAMED: UnixAddress = UnixAddress { name: [0; SIZE], length: 0 };

    /// The socket at a path.
    ///
    /// # Errors
    /// A path that is empty, too long, or contains a NUL.
    pub fn path(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_encoded_bytes();
        if bytes.is_empty() {
            return Err(Error::invalid("the path of a Unix socket is empty: write unix:/PATH, or unix:@NAME on Linux"));
        }
        if bytes.contains(&0) {
            return Err(Error::invalid(
                "the path of a Unix socket contains a NUL: an abstract name is written unix:@NAME",
            ));
        }
        if bytes.len() > LONGEST_PATH {
            return Err(Error::invalid(format!(
                "the path '{}' has {} bytes, and that of a Unix socket has at most {LONGEST_PATH}: a relative path may be shorter",
                path.display(),
                bytes.len()
            )));
        }
        Ok(UnixAddress::of(bytes))
    }

    /// A name in Linux's abstract namespace. It has no file and no mode, and is gone when its socket is closed. Every process
    /// of the machine can connect to it, if it is in the same network namespace.
    ///
    /// # Errors
    /// A name that is empty or too long.
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Result<Self, Error> {
        let name = name.as_ref();
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(Error::invalid(format!(
                "an abstract name of {} bytes: it must have from 1 to {LONGEST_NAME}",
                name.len()
            )));
        }
        Ok(UnixAddress::of(&[&[0], name].concat()))
    }

    /// From bytes as in `sun_path`. Too many would be cut, but the callers have looked.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut address = UnixAddress::UNNAMED;
        let length = bytes.len().min(SIZE);
        address.name[..length].copy_from_slice(&bytes[..length]);
        address.length = length as u8;
        address
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.name[..usize::from(self.length)]
    }

    /// The path, if it is one.
    #[cfg(unix)]
    pub fn as_path(&self) -> Option<&Path> {
        use std::os::unix::ffi::OsStrExt;

        match self.bytes() {
            [] | [0, ..] => None,
            path => Some(Path::new(std::ffi::OsStr::from_bytes(path))),
        }
    }

    /// The abstract name, if it is one.
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match self.bytes() {
            [0, name @ ..] => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for UnixAddress {
    /// The path, `@` and the abstract name, or `(unnamed)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes() {
            [] => f.write_str("(unnamed)"),
            [0, name @ ..] => write!(f, "@{}", String::from_utf8_lossy(name)),
            path => f.write_str(&String::from_utf8_lossy(path)),
        }
    }
}

impl fmt::Debug for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_a_name_is_the_systems() {
        assert!(UnixAddress::path("p".repeat(LONGEST_PATH)).is_ok());
        assert!(UnixAddress::abstract_name("n".repeat(LONGEST_NAME)).is_ok());
        let long = UnixAddress::path("p".repeat(LONGEST_PATH + 1)).expect_err("too long");
        assert!(long.to_string().contains(&format!("has at most {LONGEST_PATH}")), "{long}");
        let long = UnixAddress::abstract_name("n".repeat(LONGEST_NAME + 1)).expect_err("too long");
        assert!(long.to_string().contains(&format!("from 1 to {LONGEST_NAME}")), "{long}");
        assert!(UnixAddress::path("").is_err() && UnixAddress::abstract_name("").is_err());
        assert!(UnixAddress::path("a\0b").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_path_an_abstract_name_and_no_name_are_told_apart() {
        let path = UnixAddress::path("/run/x").expect("short");
        let name = UnixAddress::abstract_name("/run/x").expect("short");
        assert_ne!(path, name);
        assert_eq!((path.as_path(), path.as_abstract_name()), (Some(Path::new("/run/x")), None));
        assert_eq!((name.as_path(), name.as_abstract_name()), (None, Some(&b"/run/x"[..])));
        assert_eq!((UnixAddress::UNNAMED.as_path(), UnixAddress::UNNAMED.as_abstract_name()), (None, None));
        assert_eq!([path, name, UnixAddress::UNNAMED].map(|it| it.to_string()), ["/run/x", "@/run/x", "(unnamed)"]);
    }
}
