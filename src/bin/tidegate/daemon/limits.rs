//! How many descriptors this process may hold, and how many connections that makes.
//!
//! A shell usually hands down a soft limit far below the hard one, up to which any process may raise itself. This asks
//! for that once, before the first socket. It does not count descriptors: what happens when they run out all the same is
//! the engine's table of accept errors. `main` calls it.

/// Descriptors that are not connections: the standard three, the poll, the signals, the listeners, the engine's spare
/// one, and some room for whatever else a library opens.
const NOT_CONNECTIONS: u64 = 64;

/// The most connections at once: what was asked for, else what there is room for. The limit is raised whatever was asked
/// for: a number that was typed needs its descriptors too.
pub fn max_connections(asked: Option<usize>, descriptors_each: u64) -> usize {
    let room = room(raise_descriptor_limit(), descriptors_each);
    match asked {
        Some(asked) if asked > room => {
            log::warn!("--max-connections {asked} is more than the descriptor limit has room for ({room})");
            asked
        }
        Some(asked) => asked,
        None => room,
    }
}

/// Raises the soft limit of descriptors to the hard one, and gives the limit now in force.
///
/// A system that refuses is no reason not to start: the limit stays what it was.
#[cfg(unix)]
fn raise_descriptor_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    // What macOS calls OPEN_MAX: the most it takes where its hard limit reads as infinite.
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

/// Where there is no such limit, none is in force.
#[cfg(not(unix))]
fn raise_descriptor_limit() -> u64 {
    u64::MAX
}

/// The connections that a descriptor limit has room for; at least one, so that a tiny limit still serves somebody.
fn room(descriptor_limit: u64, descriptors_each: u64) -> usize {
    let connections = descriptor_limit.saturating_sub(NOT_CONNECTIONS) / descriptors_each;
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
        assert_eq!(raise_descriptor_limit(), hard);
        assert_eq!(raise_descriptor_limit(), hard, "a second call finds nothing to raise");
    }
}
