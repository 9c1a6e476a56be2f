//! How many descriptors this process may have, and for how many connections that is enough.
//!
//! A shell usually sets a soft limit far below the hard one, and any process may raise its soft limit to the hard one. This
//! is done once, before the first socket. If the descriptors run out nevertheless, the engine's accept errors apply.

use super::outside;

/// Descriptors that are not connections: the standard streams, the poll, the signals, the listeners, a spare one of the
/// engine, and some for other libraries.
const RESERVED: u64 = 64;

/// The most connections at once: what was asked for, else what there is room for. The limit is raised in both cases.
pub fn max_connections(wanted: Option<usize>, descriptors_each: usize) -> usize {
    let limit = outside::fact("descriptor limit", || Some(raise_limit().to_string()));
    let limit = limit.and_then(|limit| limit.parse().ok()).unwrap_or(u64::MAX);
    let room = room(limit, descriptors_each);
    if let Some(wanted) = wanted.filter(|wanted| *wanted > room) {
        log::warn!("--max-connections {wanted} is more than the descriptor limit has room for ({room})");
    }
    wanted.unwrap_or(room)
}

/// Raises the soft limit to the hard one, and returns the limit that is now in force. A system that refuses is no reason
/// not to start.
#[cfg(unix)]
fn raise_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    // OPEN_MAX of macOS: the most that it takes if its hard limit is infinite.
    const OPEN_MAX: u64 = 10_240;

    let limit = getrlimit(Resource::Nofile);
    for wanted in [limit.maximum, Some(OPEN_MAX)] {
        let raises = limit.current.is_some_and(|now| wanted.is_none_or(|wanted| wanted > now));
        if raises && setrlimit(Resource::Nofile, Rlimit { current: wanted, ..limit }).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Other systems have no such limit.
#[cfg(not(unix))]
fn raise_limit() -> u64 {
    u64::MAX
}

/// At least one, so that a tiny limit still serves one client.
fn room(descriptor_limit: u64, descriptors_each: usize) -> usize {
    let connections = descriptor_limit.saturating_sub(RESERVED) / descriptors_each.max(1) as u64;
    usize::try_from(connections.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_for_other_uses() {
        assert_eq!((room(1024, 1), room(1024, 2)), (960, 480));
        for tiny in [65, 64, 0] {
            assert_eq!((room(tiny, 1), room(tiny, 2)), (1, 1));
        }
        assert!(room(u64::MAX, 1) > 1_000_000);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        use rustix::process::{Resource, getrlimit};

        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(raise_limit(), hard);
        assert_eq!(raise_limit(), hard, "a second call finds nothing to raise");
    }
}
