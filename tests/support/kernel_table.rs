//! What the kernel knows of the sockets of this machine.

use std::fs;
use std::net::SocketAddr;

use super::Client;

struct KernelSocket {
    local: SocketAddr,
    remote: SocketAddr,
    is_listening: bool,
    to_send: usize,
    to_read: usize,
}

/// The IPv4 sockets in `/proc/net/tcp`.
fn sockets() -> impl Iterator<Item = KernelSocket> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows: Vec<_> = table.lines().skip(1).filter_map(kernel_socket).collect();
    rows.into_iter()
}

/// `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 ...`, all in hexadecimal.
fn kernel_socket(row: &str) -> Option<KernelSocket> {
    let mut fields = row.split_whitespace().skip(1);
    let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    let (to_send, to_read) = fields.next()?.split_once(':')?;
    let number = |text: &str| usize::from_str_radix(text, 16).ok();
    let address = |text: &str| {
        let (host, port) = text.split_once(':')?;
        let host = u32::from_str_radix(host, 16).ok()?.to_ne_bytes(); // as it lies in memory
        Some(SocketAddr::from((host, u16::from_str_radix(port, 16).ok()?)))
    };
    Some(KernelSocket {
        local: address(local)?,
        remote: address(remote)?,
        is_listening: state == "0A",
        to_send: number(to_send)?,
        to_read: number(to_read)?,
    })
}

pub fn is_listening(address: SocketAddr) -> bool {
    sockets().any(|socket| socket.is_listening && socket.local == address)
}

/// Says lines of 4000 bytes until at least `wanted` bytes wait inside the daemon for each of the `stuck` clients, which
/// read nothing, besides all that the kernel takes. It returns the lines. They stay well below 1 MiB.
#[track_caller]
pub fn stuff(speaker: &mut Client, stuck: &[&Client], wanted: usize) -> Vec<String> {
    const LINE: usize = 4001; // with its end; the name before it is left out, so this counts too little
    let mut said: Vec<String> = Vec::new();
    let mut queued = 0;
    while queued < wanted {
        let more = if queued == 0 { 192 << 10 } else { wanted - queued + LINE };
        for _ in 0..more.div_ceil(LINE) {
            let line = format!("{:05} {}", said.len(), "x".repeat(LINE - 7));
            speaker.says(&line);
            said.push(line);
        }
        // Twice: after the second answer, the turn in which the lines came is over.
        speaker.hears_nothing();
        speaker.hears_nothing();
        let sockets: Vec<KernelSocket> = sockets().collect();
        let waiting = stuck.iter().map(|client| (said.len() * LINE).saturating_sub(kernel_holds(&sockets, client)));
        queued = waiting.min().unwrap();
        assert!(said.len() * LINE < 64 << 20, "the kernel takes {} lines", said.len());
    }
    said
}

/// How many bytes from the daemon the kernel holds on their way to this client, unread.
fn kernel_holds(sockets: &[KernelSocket], client: &Client) -> usize {
    let (here, there) = (client.local_address(), client.remote_address());
    let of = |local, remote| sockets.iter().find(move |socket| socket.local == local && socket.remote == remote);
    of(there, here).map_or(0, |socket| socket.to_send) + of(here, there).map_or(0, |socket| socket.to_read)
}
