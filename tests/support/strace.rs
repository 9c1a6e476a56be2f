//! A daemon under `strace`, which lets some of its system calls fail and writes all of them down.
//!
//! strace starts the daemon, so it needs no right to attach to another process. It exits with the daemon's exit code.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};

use crate::support::alone::beside_others;
use crate::support::process::cpu_time;
use crate::support::{Daemon, PATIENCE, Signal, Stderr};

/// What an error costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Costs {
    Nothing,
    /// The connection whose call it was, or that would have been accepted, and no other.
    Connection,
}

/// Which calls fail, and how many of them that makes.
#[derive(Clone, Copy)]
pub struct Injection {
    pub call: &'static str,
    pub errno: &'static str,
    /// As strace has it: first..last+step, counted from 1.
    pub when: &'static str,
    pub times: usize,
    pub costs: Costs,
}

impl Injection {
    pub fn text(self) -> String {
        format!("{}:error={}:when={}", self.call, self.errno, self.when)
    }
}

/// Whether there is an strace that may do what is needed. If not, it says so, on a stderr that no harness captures.
pub fn has_strace() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let mut strace = Command::new("strace");
        strace.args(["-o", "/dev/null", "-e", "inject=getppid:error=EPERM:when=1..3+2", "true"]);
        let why = match strace.stdout(Stdio::null()).output() {
            Ok(output) if output.status.success() => return true,
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        assert!(std::env::var_os("TIDEGATE_STRACE").is_none_or(|how| how != "required"), "no strace: {why}");
        let told = format!("\ninject: NOT TESTED, since strace cannot be run here: {}\n", why.trim());
        io::stderr().write_all(told.as_bytes()).unwrap();
        false
    })
}

/// A daemon some of whose calls fail.
pub struct Injected {
    pub strace: Daemon,
    trace: PathBuf,
    _beside_others: RwLockReadGuard<'static, ()>,
}

impl Injected {
    /// Starts a role, and returns when it listens. Nothing without strace.
    pub fn start(role: &str, injections: &[&str]) -> Option<Injected> {
        let mut injected = Injected::launch(role, injections)?;
        injected.strace.finds_its_addresses(1);
        Some(injected)
    }

    pub fn launch(role: &str, injections: &[&str]) -> Option<Injected> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !has_strace() {
            return None;
        }
        let name = format!("strace-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let trace = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-s", "0", "-o"]).arg(&trace);
        for injection in injections {
            command.args(["-e", &format!("inject={injection}")]);
        }
        command.args([env!("CARGO_BIN_EXE_tidegate"), role, "--listen", "127.0.0.1:0"]);
        let _beside_others = beside_others();
        Some(Injected { strace: Daemon::launch_with(&mut command, Stderr::Kept), trace, _beside_others })
    }

    pub fn address(&self) -> SocketAddr {
        self.strace.address()
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        fs::read_to_string(&self.trace).unwrap_or_default().split_inclusive('\n').filter_map(Call::parse).collect()
    }

    /// How often it has begun this call.
    pub fn begun(&self, call: &str) -> usize {
        fs::read_to_string(&self.trace).unwrap_or_default().matches(&format!(" {call}(")).count()
    }

    /// The daemon's own process id, which each line of the trace begins with.
    fn pid(&self) -> Option<u32> {
        fs::read_to_string(&self.trace).ok()?.split(' ').next()?.parse().ok()
    }

    /// Waits until it has made no call for a fifth of a second.
    #[track_caller]
    pub fn falls_asleep(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let before = fs::metadata(&self.trace).unwrap().len();
            thread::sleep(Duration::from_millis(200));
            if fs::metadata(&self.trace).unwrap().len() == before {
                return;
            }
            assert!(Instant::now() < deadline, "it does not sleep; the log:\n{}", self.strace.log());
        }
    }

    pub fn asks_to_stop(&self) {
        let cpu = cpu_time(self.pid().unwrap());
        assert!(cpu < Duration::from_secs(5), "{cpu:?} of CPU");
        self.signal(Signal::TERM);
    }

    /// For the daemon itself, not for strace.
    pub fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid as i32)).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end of a daemon that was asked to stop, which must be a good one.
    #[track_caller]
    pub fn stops(mut self) -> Story {
        self.strace.exits_with(0); // what strace exits with is what the daemon did
        Story(self.calls())
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        // strace ends when the daemon has, and not the other way round.
        if self.strace.is_running()
            && let Some(pid) = self.pid().and_then(|pid| Pid::from_raw(pid as i32))
        {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = fs::remove_file(&self.trace);
    }
}

/// One line of a trace.
#[derive(Debug)]
pub struct Call {
    pub name: String,
    pub arguments: String,
    result: i64,
    injected: bool,
}

impl Call {
    /// `17771 accept4(7, {..., sin_port=htons(38200), ...}, [128 => 16], ...) = 8`
    fn parse(line: &str) -> Option<Call> {
        let (_, call) = line.strip_suffix('\n')?.split_once(' ')?;
        let (call, result) = call.trim_start().rsplit_once(" = ")?;
        let (name, arguments) = call.split_once('(')?;
        let result_number = result.split(' ').next()?.parse().unwrap_or(0); // or hexadecimal, or `?`
        let injected = result.ends_with("(INJECTED)");
        Some(Call { name: name.to_owned(), arguments: arguments.to_owned(), result: result_number, injected })
    }

    /// The descriptor that it is about.
    fn descriptor(&self) -> Option<i64> {
        let place = if self.name == "epoll_ctl" { 2 } else { 0 };
        self.arguments.trim_end_matches([')', ' ']).split(", ").nth(place)?.parse().ok()
    }

    /// The peer's port, of an accept that was one.
    fn port(&self) -> Option<u16> {
        let (_, rest) = self.arguments.split_once("sin_port=htons(")?;
        rest.split(')').next()?.parse().ok()
    }
}

/// All calls of a daemon from its start to its end.
pub struct Story(Vec<Call>);

impl Story {
    /// There were as many failures as planned, and only the connections that had one were lost.
    #[track_caller]
    pub fn shows(&self, injection: Injection, lost: &BTreeSet<u16>) {
        let what = injection.text();
        let calls = self.0.len();
        assert!(calls < 20_000, "{what}: {calls} calls");
        let injected = self.0.iter().filter(|call| call.injected).count();
        assert_eq!(injected, injection.times, "{what}: so many have failed");
        let struck = self.struck();
        match injection.costs {
            Costs::Nothing => assert_eq!(lost, &BTreeSet::new(), "{what}: lost, though it costs nobody anything"),
            Costs::Connection => {
                assert!(lost.is_subset(&struck), "{what}: {lost:?} are lost, {struck:?} were struck");
                assert!(!lost.is_empty(), "{what}: nobody has noticed anything");
                self.shows_that_the_struck_are_closed(&what);
            }
        }
    }

    /// The ports of the connections whose calls have failed, or that were turned away because of that.
    fn struck(&self) -> BTreeSet<u16> {
        let mut ports: HashMap<i64, u16> = HashMap::new();
        let mut struck = BTreeSet::new();
        let mut sheds = false;
        for call in &self.0 {
            if call.name == "accept4" {
                if let Some(port) = call.port() {
                    ports.insert(call.result, port);
                    struck.extend(sheds.then_some(port));
                }
                sheds = call.injected;
            } else if call.injected {
                struck.extend(call.descriptor().and_then(|descriptor| ports.get(&descriptor)));
            }
        }
        struck
    }

    /// A call that has failed is not tried again.
    #[track_caller]
    fn shows_that_the_struck_are_closed(&self, what: &str) {
        let failed = self.0.iter().enumerate().filter(|(_, call)| call.injected && call.name != "accept4");
        for (index, call) in failed {
            let mut later = self.0[index + 1..].iter().filter(|later| later.descriptor() == call.descriptor());
            let next = later.next().map(|next| next.name.as_str());
            // A debug build asks for the flags of what it closes.
            assert!(matches!(next, Some("close" | "fcntl")), "{what}: {call:?}, and then {next:?}");
        }
    }
}
