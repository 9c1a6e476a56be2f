//! The zone of an IPv6 address: the interface that it belongs to, as in `fe80::1%eth0`.
//!
//! std and the library know the number of an interface only. People and other programs write its name.

/// The text with the number of the interface in place of its name. As it is if there is no name.
///
/// # Errors
/// An interface that this machine does not have.
pub(super) fn by_number(text: &str) -> Result<String, String> {
    let Some((address, rest)) = text.split_once('%') else { return Ok(text.to_owned()) };
    let Some((zone, port)) = rest.split_once(']') else { return Ok(text.to_owned()) };
    if !text.starts_with('[') || zone.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let number = number_of(zone).ok_or_else(|| format!("there is no interface '{zone}' on this machine"))?;
    Ok(format!("{address}%{number}]{port}"))
}

#[cfg(target_os = "linux")]
fn number_of(interface: &str) -> Option<u32> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

    let any = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    netdevice::name_to_index(any, interface).ok()
}

/// Elsewhere there is no safe call for it.
#[cfg(not(target_os = "linux"))]
fn number_of(_: &str) -> Option<u32> {
    None
}
