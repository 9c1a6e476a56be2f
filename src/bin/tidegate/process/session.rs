//! The session and the process group that this process belongs to: setsid(2), credentials(7).

/// The numbers of both, beside the number of the process itself. 0 is a leader that this process cannot see, because it is
/// outside of its PID namespace, as in many containers: pid_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Membership {
    process: i32,
    group: i32,
    session: i32,
}

impl Membership {
    /// `None` if the system does not tell.
    ///
    /// On Linux it is read as text from proc_pid_stat(5): `getsid` and `getpgrp` of rustix hold an answer of 0 for impossible.
    #[cfg(target_os = "linux")]
    pub fn of_this_process() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// Elsewhere there are no PID namespaces, so no answer is 0.
    #[cfg(all(unix, not(target_os = "linux")))]
    pub fn of_this_process() -> Option<Self> {
        use rustix::process::{Pid, getpgrp, getpid, getsid};

        let session = Pid::as_raw(Some(getsid(None).ok()?));
        Some(Self { process: Pid::as_raw(Some(getpid())), group: Pid::as_raw(Some(getpgrp())), session })
    }

    /// `PID (NAME) STATE PARENT GROUP SESSION ...`. The name may hold spaces and brackets.
    #[cfg(any(target_os = "linux", test))]
    fn parse(stat: &str) -> Option<Self> {
        let (process, _) = stat.split_once(' ')?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ').skip(2).map(|field| field.parse().ok());
        Some(Self { process: process.parse().ok()?, group: fields.next()??, session: fields.next()?? })
    }

    /// A daemon, a service or a container has a session of its own.
    pub fn leads_its_session(self) -> bool {
        self.session == self.process
    }

    /// The number of the process group, as a terminal names the one in its foreground.
    pub fn group(self) -> i32 {
        self.group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_outside_of_the_pid_namespace_is_0_and_nothing_special() {
        let inside = Membership::parse("7 (tidegate) R 0 0 0 0 -1 4194304 98").unwrap();
        assert_eq!(inside, Membership { process: 7, group: 0, session: 0 });
        assert!(!inside.leads_its_session());
    }

    #[test]
    fn a_daemon_leads_its_session() {
        assert!(Membership::parse("4711 (tidegate) S 1 4711 4711 0 -1").unwrap().leads_its_session());
        assert!(!Membership::parse("4712 (tidegate) S 4711 4712 4711 34816 4711").unwrap().leads_its_session());
    }

    #[test]
    fn a_name_may_look_like_the_fields_behind_it() {
        let odd = Membership::parse("12 (a) S 1 2 3 (b) R 5 6 12 0").unwrap();
        assert_eq!(odd, Membership { process: 12, group: 6, session: 12 });
    }

    #[test]
    fn text_of_another_shape_tells_nothing() {
        for stat in ["", "12", "12 (a)", "12 (a) S 1", "12 (a) S 1 2", "12 (a) S 1 2 x"] {
            assert_eq!(Membership::parse(stat), None, "{stat:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn this_process_is_a_member_of_both() {
        let this = Membership::of_this_process().unwrap();
        assert_eq!(this.process, std::process::id() as i32);
    }
}
