//! A step's program that runs, and what the system says about it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Why a step does not pass: in words that its page may quote.
pub type Outcome<T = ()> = Result<T, String>;

/// How a program is started.
#[derive(Clone)]
pub struct Run<'a> {
    pub program: &'a str,
    /// Where strace writes its lines, if it watches.
    pub trace: Option<PathBuf>,
    /// How many descriptors it may have.
    pub descriptors: Option<u32>,
    /// Each read of a client takes so long at least: strace holds it up.
    pub slow_reads: Option<Duration>,
}

impl<'a> Run<'a> {
    pub fn of(program: &'a str, trace: Option<PathBuf>) -> Self {
        Run { program, trace, descriptors: None, slow_reads: None }
    }
}

pub struct Server {
    child: Child,
    pid: u32,
    pub address: SocketAddr,
}

/// A system call in which the server sleeps.
#[derive(Debug)]
pub struct Call {
    pub number: u64,
    pub args: Vec<u64>,
}

/// What the system holds of one side of a connection, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// They have come, and were not read.
    pub unread: u64,
    /// They were written, and the other side has not confirmed them.
    pub unsent: u64,
    inode: u64,
}

#[cfg(target_arch = "x86_64")]
const POLL: [u64; 2] = [7, 271];
#[cfg(not(target_arch = "x86_64"))]
const POLL: [u64; 2] = [73, 73];

impl Call {
    /// Whether it is poll(2) or ppoll(2).
    pub fn is_poll(&self) -> bool {
        POLL.contains(&self.number)
    }
}

/// Looks until there is an answer. That there is none is a failure of the test itself, never the answer.
#[track_caller]
pub fn look<T>(mut answer: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(it) = answer() {
            return it;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "neither the one nor the other has happened in a minute");
        thread::sleep(Duration::from_millis(1));
    }
}

impl Server {
    pub fn start(run: &Run) -> Server {
        let mut words = Vec::new();
        if let Some(file) = &run.trace {
            words.extend([
                "strace",
                "-o",
                file.to_str().unwrap(),
                "-s",
                "16",
                "-e",
                "trace=!write",
                "-e",
                "signal=none",
            ]);
        }
        let slow = run.slow_reads.map(|time| format!("inject=recvfrom:delay_exit={}", time.as_micros()));
        if let Some(slow) = &slow {
            words.extend(["-e", slow]);
        }
        words.extend([run.program, "127.0.0.1:0"]);
        let limit = run.descriptors.map_or(String::new(), |most| format!("ulimit -n {most}; "));
        let mut shell = Command::new("sh");
        // Whoever runs the tests may leave descriptors open. Without them the listener is 3, as on the pages.
        let close = "exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; ";
        shell.args(["-c", &format!("{close}{limit}exec \"$@\""), "sh"]).args(words);
        let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect(&line).parse().unwrap();
        let mut pid = child.id();
        if run.trace.is_some() {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            pid = children.trim().parse().unwrap();
        }
        Server { child, pid, address }
    }

    /// The call in which it sleeps, if it does.
    pub fn asleep(&self) -> Option<Call> {
        let text = self.file("syscall")?;
        if self.state() != 'S' {
            return None;
        }
        let mut words = text.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let args = words.map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap()).collect();
        Some(Call { number, args })
    }

    /// Whether it sleeps in a call on its end of this connection.
    pub fn sleeps_on(&self, port: u16) -> bool {
        let Some(Call { args, .. }) = self.asleep() else { return false };
        let Some(held) = self.held(port) else { return false };
        let link = fs::read_link(format!("/proc/{}/fd/{}", self.pid, args[0]));
        link.is_ok_and(|it| it == Path::new(&format!("socket:[{}]", held.inode)))
    }

    /// The time it has used of a processor, in ticks of 10 ms.
    pub fn ticks(&self) -> u64 {
        let stat = self.file("stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// The memory that it has, in KiB.
    pub fn memory(&self) -> u64 {
        let status = self.file("status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What is held of the server's end of the connection to this port.
    pub fn held(&self, port: u16) -> Option<Held> {
        self.both_ends(port).map(|(ours, _)| ours)
    }

    /// What is held of the server's end, and of the other one.
    pub fn both_ends(&self, port: u16) -> Option<(Held, Held)> {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        Some((held(&table, self.address.port(), port)?, held(&table, port, self.address.port())?))
    }

    /// It does nothing more until [`Server::goes_on`]: so what comes meanwhile is there at once.
    pub fn stops(&self) {
        self.signal(Signal::STOP);
        look(|| matches!(self.state(), 'T' | 't').then_some(()));
    }

    pub fn goes_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Its last words, if it has ended by itself.
    pub fn last_words(&mut self) -> Option<String> {
        self.child.try_wait().unwrap()?;
        let mut words = String::new();
        self.child.stderr.as_mut().unwrap().read_to_string(&mut words).unwrap();
        Some(words)
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_raw(self.pid.cast_signed()).unwrap(), signal);
    }

    fn state(&self) -> char {
        let stat = self.file("stat").unwrap_or_default();
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?')
    }

    fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid)).ok()
    }
}

impl Drop for Server {
    /// Also ends a strace, which ends with its program.
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|it| it.is_none()) {
            self.signal(Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// The end of a connection with this port, whose other end has that one.
fn held(table: &str, port: u16, other: u16) -> Option<Held> {
    let ends = [format!(":{port:04X}"), format!(":{other:04X}")];
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut ours = rows.filter(|row| row.len() > 9 && row[1].ends_with(&ends[0]) && row[2].ends_with(&ends[1]));
    let row = ours.next()?;
    let (unsent, unread) = row[4].split_once(':')?;
    let bytes = |text| u64::from_str_radix(text, 16).unwrap();
    Some(Held { unread: bytes(unread), unsent: bytes(unsent), inode: row[9].parse().ok()? })
}
