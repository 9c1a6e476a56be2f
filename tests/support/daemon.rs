//! The daemon as its users have it: the real `tidegate`, in a process of its own.
//!
//! [`Daemon`] listens on a port of the system's choice. Its stderr is always drained; it is killed, by its own process
//! id, when it goes out of scope; when a test fails, its log is shown.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;

#[cfg(target_os = "linux")]
use super::kernel_table::is_listening;
#[cfg(target_os = "linux")]
use super::process;
use super::transcript::Transcript;
use super::{Client, PATIENCE, exit_of, free_address, wait_until};

/// A running `tidegate`.
pub struct Daemon {
    child: Child,
    log: Transcript,
    output: Transcript,
    addresses: Vec<SocketAddr>,
}

/// Where a daemon's stderr goes.
pub enum Stderr {
    /// To the test, which keeps it: [`Daemon::log`].
    Kept,
    /// To `/dev/full`: each write fails with ENOSPC.
    Full,
    /// Nowhere: descriptor 2 is closed when the program starts.
    Closed,
    /// To a pipe whose reader is gone: each write fails with EPIPE.
    Broken,
    /// To a pipe that nobody reads: when it is full, a write blocks.
    NeverRead,
}

impl Daemon {
    /// `tidegate chat` with these arguments. Without a `--listen` among them it listens on `127.0.0.1:0`.
    #[track_caller]
    pub fn chat(arguments: &[&str]) -> Daemon {
        Daemon::start("chat", arguments)
    }

    /// `tidegate echo` with these arguments. Without a `--listen` among them it listens on `127.0.0.1:0`.
    #[track_caller]
    pub fn echo(arguments: &[&str]) -> Daemon {
        Daemon::start("echo", arguments)
    }

    /// Any role, on a port of the system's choice unless it is told where to listen.
    pub fn role(role: &str, arguments: &[&str]) -> Daemon {
        Daemon::start(role, arguments)
    }

    #[track_caller]
    fn start(role: &str, arguments: &[&str]) -> Daemon {
        let mut all = vec![role];
        if !arguments.contains(&"--listen") {
            all.extend(["--listen", "127.0.0.1:0"]);
        }
        all.extend(arguments);
        let mut daemon = Daemon::launch(&all);
        daemon.finds_its_addresses(all.iter().filter(|argument| **argument == "--listen").count());
        daemon
    }

    /// Starts it with exactly these arguments and waits for nothing.
    pub fn launch(arguments: &[&str]) -> Daemon {
        Daemon::launch_with(program().args(arguments), Stderr::Kept)
    }

    /// Starts this command, and waits for nothing. The command must *become* the daemon (`exec`), not start it.
    pub fn launch_with(command: &mut Command, stderr: Stderr) -> Daemon {
        Daemon::launch_from(command, Stdio::null(), stderr)
    }

    /// As [`Daemon::launch_with`], with something on its stdin: a terminal.
    pub fn launch_from(command: &mut Command, stdin: Stdio, stderr: Stderr) -> Daemon {
        let sink = match stderr {
            Stderr::Full => Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()),
            Stderr::Closed => Stdio::null(), // `program_with_closed_stderr` closes it
            Stderr::Kept | Stderr::Broken | Stderr::NeverRead => Stdio::piped(),
        };
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(sink).spawn().unwrap();
        let log = match stderr {
            Stderr::Kept => Transcript::of(child.stderr.take().unwrap()),
            Stderr::Broken => {
                drop(child.stderr.take());
                Transcript::nothing()
            }
            // The pipe stays in `child`, unread.
            Stderr::Full | Stderr::Closed | Stderr::NeverRead => Transcript::nothing(),
        };
        let output = Transcript::of(child.stdout.take().unwrap());
        Daemon { child, log, output, addresses: Vec::new() }
    }

    /// `tidegate chat` whose log nobody can read, on an address chosen beforehand; returns when it listens.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn chat_without_a_log(stderr: Stderr, arguments: &[&str]) -> Daemon {
        let address = free_address();
        let mut command = match stderr {
            Stderr::Closed => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", r#"exec "$0" "$@" 2>&-"#, env!("CARGO_BIN_EXE_tidegate")]);
                shell
            }
            _ => program(),
        };
        command.args(["chat", "--listen", &address.to_string()]).args(arguments);
        let mut daemon = Daemon::launch_with(&mut command, stderr);
        daemon.listens_on(address);
        daemon
    }

    /// Waits until it listens on this address, where no log says so.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn listens_on(&mut self, address: SocketAddr) {
        wait_until(&format!("a daemon that listens on {address}"), || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the daemon on {address} ended before it listened: {status}");
            }
            is_listening(address)
        });
        self.addresses.push(address);
    }

    /// Reads the real addresses from the log: one line `listening on ADDRESS` each.
    #[track_caller]
    pub fn finds_its_addresses(&mut self, count: usize) {
        let found = self.log.wait_for(|log| {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in listening_lines(log).filter_map(|address| address.parse().ok()) {
                if !addresses.contains(&address) {
                    addresses.push(address); // with `-vv`, more than one line may speak of it
                }
            }
            (addresses.len() >= count).then_some(addresses)
        });
        match found {
            Some(addresses) => self.addresses = addresses,
            None => panic!("no {count} lines `listening on ADDRESS` in the log:\n{}", self.log()),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The first address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A new connection to the first address.
    #[track_caller]
    pub fn join(&self) -> Client {
        Client::connect(self.address())
    }

    /// A new connection to the first address, on which these bytes have arrived when the daemon accepts it.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn join_saying(&self, bytes: &[u8]) -> Client {
        self.freeze();
        let mut client = self.join();
        client.sends(bytes);
        self.thaw();
        client
    }

    /// The first guests of a room, after the greetings and all announcements of each other. In 100 ms a room announces
    /// five arrivals and departures one by one, and sums up the others. So there are at most four guests here, and one
    /// more may come or go before announcements are summed up.
    #[track_caller]
    pub fn guests<const N: usize>(&self) -> [Client; N] {
        const { assert!(N <= 4) };
        let mut guests: Vec<Client> = Vec::new();
        for number in 1..=N {
            let mut newcomer = self.join();
            newcomer.hears(&format!("* you are guest{number}; {number} online"));
            for guest in &mut guests {
                guest.hears(&format!("* guest{number} joined; {number} online"));
            }
            guests.push(newcomer);
        }
        guests.try_into().ok().unwrap()
    }

    /// What it has said on stderr so far.
    pub fn log(&self) -> String {
        self.log.so_far()
    }

    /// Waits for a line of the log that `is_meant`, and returns it.
    #[track_caller]
    pub fn logs(&self, what: &str, is_meant: impl Fn(&str) -> bool) -> String {
        let found = self.log.wait_for(|log| log.lines().find(|line| is_meant(line)).map(str::to_owned));
        found.unwrap_or_else(|| panic!("no line in the log: {what}; the log:\n{}", self.log()))
    }

    /// What it has said on stdout when it has ended.
    pub fn whole_output(&self) -> String {
        self.output.whole()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Stops the process as `^Z` does, and returns when it is stopped. What is sent now stays in the kernel until
    /// [`Daemon::thaw`], so it is certainly in flight.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        wait_until("it is stopped", || process::status_text(self.pid(), "State").starts_with('T'));
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for its end; the exit code. By then [`Daemon::log`] is complete.
    #[track_caller]
    pub fn exits(&mut self) -> i32 {
        let status = exit_of(&mut self.child);
        self.log.whole();
        status.code().unwrap_or_else(|| panic!("it did not exit but was ended: {status}"))
    }

    /// Sends it one signal, and then another over and over until it has exited; the exit code.
    #[track_caller]
    pub fn exits_while_it_gets(&mut self, first: Signal, over_and_over: Signal) -> i32 {
        self.signal(first);
        let deadline = Instant::now() + PATIENCE;
        while self.is_running() {
            assert!(Instant::now() < deadline, "it runs on; the log:\n{}", self.log());
            self.signal(over_and_over);
        }
        self.exits()
    }

    #[track_caller]
    pub fn exits_with(&mut self, code: i32) {
        let real = self.exits();
        assert_eq!(real, code, "exit code; the log:\n{}", self.log());
    }

    /// Ends it without asking, unless it has ended already.
    pub fn is_killed(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    /// A number in `/proc/PID/status`.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn status(&self, field: &str) -> u64 {
        process::status(self.pid(), field)
    }

    /// The memory that it holds, in bytes.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn memory(&self) -> u64 {
        process::memory(self.pid())
    }

    /// The most memory that it has ever held, in bytes.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn peak_memory(&self) -> u64 {
        process::peak_memory(self.pid())
    }

    /// How many descriptors it has open.
    #[cfg(target_os = "linux")]
    pub fn descriptors(&self) -> usize {
        process::descriptors(self.pid())
    }

    /// The CPU time that it has used, of its own and the kernel's for it.
    #[cfg(target_os = "linux")]
    pub fn cpu_time(&self) -> Duration {
        process::cpu_time(self.pid())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.is_killed();
        if thread::panicking() {
            eprintln!("--- the log of process {}:\n{}---", self.pid(), self.log.whole());
        }
    }
}

/// The program under test, without arguments.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
}

/// The program under test, started by a shell that has first done something else: `ulimit -n 80`.
pub fn program_after(shell_command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!(r#"{shell_command} && exec "$0" "$@""#), env!("CARGO_BIN_EXE_tidegate")]);
    shell
}

/// The program as systemd starts it: `socket` is descriptor 3, and the environment says so, to the process `pid`. With
/// `$$` that is the program itself, which the shell becomes.
pub fn program_of_systemd(arguments: &str, socket: impl Into<OwnedFd>, pid: &str) -> Command {
    let script = format!(r#"exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID={pid} exec "$0" {arguments}"#);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_tidegate")]).stdin(socket.into()).stderr(Stdio::piped());
    shell
}

/// What stands behind each `listening on ` in a log.
pub fn listening_lines(log: &str) -> impl Iterator<Item = &str> {
    // A line counts when its end is there. Before that, the port may be half written.
    log.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .filter_map(|line| line.split_once("listening on "))
        .filter_map(|(_, address)| address.split_whitespace().next())
}

/// Lets the 100 ms pass in which a room counts comings and goings, so that the next five are told one by one.
pub fn a_quiet_moment() {
    thread::sleep(Duration::from_millis(250));
}

/// Waits until a connection to this address is refused.
#[track_caller]
pub fn refuses(address: SocketAddr) {
    wait_until(&format!("a connection to {address} is refused"), || {
        let refused = TcpStream::connect_timeout(&address, PATIENCE).err();
        refused.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
}
