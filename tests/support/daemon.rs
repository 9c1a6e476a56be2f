//! The harness of the tests that judge the binary from outside: it starts the real `tidegate`, and connects to it as a
//! user would. It knows nothing of the library.
//!
//! - [`Daemon`] is a running `tidegate` on a port of the system's choice. Its stderr is always drained; it is killed, by
//!   its own process id, when it goes out of scope; when a test fails, its log is shown.
//! - [`Client`] is one connection to it, which speaks and hears lines (chat) or bytes (echo).
//!
//! Every wait is for a condition and at most [`PATIENCE`] long; what ends it early is the condition alone, so a slow
//! machine makes a test slow and not wrong. Time is only ever asserted from below.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;

/// How long any one condition is waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a look at something that nobody announces (a process, a port) is put off to the next look.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

// ---------------------------------------------------------------------------------------------------------------------
// The daemon
// ---------------------------------------------------------------------------------------------------------------------

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
        let sink = match stderr {
            Stderr::Full => Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()),
            Stderr::Closed => Stdio::null(), // `program_with_closed_stderr` closes it
            Stderr::Kept | Stderr::Broken | Stderr::NeverRead => Stdio::piped(),
        };
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(sink).spawn().unwrap();
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
        let deadline = Instant::now() + PATIENCE;
        while !is_listening(address) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the daemon on {address} ended before it listened: {status}");
            }
            assert!(Instant::now() < deadline, "nobody listens on {address}");
            thread::sleep(LOOK_AGAIN);
        }
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

    /// The first guests of a room, who have heard the greetings and all of each other's arrivals. They come in less than
    /// the 100 ms in which a room tells five comings and goings one by one: so there are at most four, and after four,
    /// one more may come or go before the next is to be expected in a sum.
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

    /// Stops the process as `^Z` does, and returns when it is stopped: what is sent now lies in the kernel until
    /// [`Daemon::thaw`], which makes "in flight" a certain thing.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let deadline = Instant::now() + PATIENCE;
        while !self.status_text("State").starts_with('T') {
            assert!(Instant::now() < deadline, "it does not stop");
            thread::sleep(LOOK_AGAIN);
        }
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for its end; the exit code. By then [`Daemon::log`] is complete.
    #[track_caller]
    pub fn exits(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not exit");
            thread::sleep(LOOK_AGAIN);
        };
        self.log.whole();
        status.code().unwrap_or_else(|| panic!("it did not exit but was ended: {status}"))
    }

    #[track_caller]
    pub fn exits_with(&mut self, code: i32) {
        let real = self.exits();
        assert_eq!(real, code, "exit code; the log:\n{}", self.log());
    }

    /// Waits until a connection to its first address is refused.
    #[track_caller]
    pub fn refuses(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match TcpStream::connect_timeout(&self.address(), PATIENCE) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
                _ => assert!(Instant::now() < deadline, "{} still accepts", self.address()),
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// A number in `/proc/PID/status`.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn status(&self, field: &str) -> u64 {
        self.status_text(field).split_whitespace().next().unwrap().parse().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[track_caller]
    fn status_text(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in the status of the process")).trim().to_owned()
    }

    /// The most memory that it has ever held, in bytes.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM") * 1024
    }

    /// How many descriptors it has open.
    #[cfg(target_os = "linux")]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// The CPU time that it has used, of its own and the kernel's for it.
    #[cfg(target_os = "linux")]
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.pid())
    }

    /// The memory that it holds, in bytes.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn memory(&self) -> u64 {
        self.status("VmRSS") * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let ended = matches!(self.child.try_wait(), Ok(Some(_)));
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("--- the log of process {}:\n{}---", self.pid(), self.log.whole());
        }
    }
}

/// The CPU time that a process has used, of its own and the kernel's for it, in steps of 10 ms.
#[cfg(target_os = "linux")]
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap(); // behind the name of the program
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(10 * ticks.sum::<u64>()) // USER_HZ is 100 (proc(5))
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

/// What stands behind each `listening on ` in a log.
pub fn listening_lines(log: &str) -> impl Iterator<Item = &str> {
    // A line counts when its end is there: the port may be half written.
    log.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .filter_map(|line| line.split_once("listening on "))
        .filter_map(|(_, address)| address.split_whitespace().next())
}

/// An address that nobody listens on, and that nobody else is likely to take: on Linux, where all of 127.0.0.0/8 is the
/// machine itself, it is one of this process alone.
pub fn free_address() -> SocketAddr {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let host = if cfg!(target_os = "linux") {
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        format!("127.{}.{}.{}", 1 + process / 250 % 250, 1 + process % 250, 1 + count % 250)
    } else {
        "127.0.0.1".to_owned()
    };
    TcpListener::bind((host.as_str(), 0)).unwrap().local_addr().unwrap()
}

/// Lets the 100 ms pass in which a room counts comings and goings, so that the next five are told one by one.
pub fn a_quiet_moment() {
    thread::sleep(Duration::from_millis(250));
}

/// Everything that comes out of a pipe, as far as it has come. A thread of the test's reads it.
#[derive(Clone)]
struct Transcript(Arc<(Mutex<Text>, Condvar)>);

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    is_whole: bool,
}

impl Transcript {
    fn nothing() -> Transcript {
        Transcript(Arc::new((Mutex::new(Text { bytes: Vec::new(), is_whole: true }), Condvar::new())))
    }

    fn of(mut source: impl Read + Send + 'static) -> Transcript {
        let transcript = Transcript(Arc::default());
        let ours = transcript.clone();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                let count = source.read(&mut piece).unwrap_or(0);
                let (text, changed) = &*ours.0;
                let mut text = text.lock().unwrap();
                text.bytes.extend(&piece[..count]);
                text.is_whole = count == 0;
                changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        transcript
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().bytes).into_owned()
    }

    /// Waits for the end of the pipe.
    fn whole(&self) -> String {
        let (text, changed) = &*self.0;
        let text = text.lock().unwrap();
        let (text, _) = changed.wait_timeout_while(text, PATIENCE, |text| !text.is_whole).unwrap();
        String::from_utf8_lossy(&text.bytes).into_owned()
    }

    /// Waits until `find` finds what it looks for; nothing when the pipe ends first, or the patience.
    fn wait_for<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let (text, changed) = &*self.0;
        let mut text = text.lock().unwrap();
        loop {
            let found = find(&String::from_utf8_lossy(&text.bytes));
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || text.is_whole || left.is_zero() {
                return found;
            }
            text = changed.wait_timeout(text, left).unwrap().0;
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// A client
// ---------------------------------------------------------------------------------------------------------------------

/// One connection to the daemon.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where in `buffer` begins what has not been taken yet.
    start: usize,
    patience: Duration,
}

/// What came next.
#[derive(Debug)]
enum Next {
    /// More bytes are in the buffer.
    More,
    /// The peer has ended its side.
    End,
    /// The connection is gone without an end.
    Reset,
    /// Nothing, for as long as the patience lasted.
    Silence,
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Client {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => Client::on(stream),
            Err(error) => panic!("cannot connect to {address}: {error}"),
        }
    }

    /// A client whose kernel takes as little as it can for an application that does not read.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr) -> Client {
        use rustix::net::{AddressFamily, SocketType, sockopt};
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = rustix::net::socket(family, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
        rustix::net::connect(&socket, &address).unwrap();
        Client::on(TcpStream::from(socket))
    }

    fn on(stream: TcpStream) -> Client {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, buffer: Vec::new(), start: 0, patience: PATIENCE }
    }

    /// Waits longer from now on, where the specification speaks of more than [`PATIENCE`].
    pub fn is_patient_for(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    // Speaking.

    /// Sends a line.
    #[track_caller]
    pub fn says(&mut self, line: &str) {
        self.sends(format!("{line}\n").as_bytes());
    }

    /// Sends bytes, in one segment if they fit.
    #[track_caller]
    pub fn sends(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            panic!("cannot send {}: {error}", shown(bytes));
        }
    }

    /// Sends each piece when the server has certainly read the one before: `other`, a guest in the same room, has made
    /// two round trips in between, and heard nothing else.
    #[track_caller]
    pub fn sends_apart(&mut self, pieces: &[&[u8]], other: &mut Client) {
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                other.hears_nothing();
                other.hears_nothing();
            }
            self.sends(piece);
        }
    }

    /// Sends copies of `piece` until the server has taken none for half a second; the number of bytes that went out.
    #[track_caller]
    pub fn sends_until_paused(&mut self, piece: &[u8], limit: usize) -> usize {
        self.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut count = 0;
        loop {
            match self.stream.write(&piece[count % piece.len()..]) {
                Ok(written) => count += written,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => panic!("cannot send after {count} bytes: {error}"),
            }
            assert!(count <= limit, "not paused after {count} bytes");
        }
        self.stream.set_write_timeout(Some(PATIENCE)).unwrap();
        count
    }

    /// Ends its own side, and goes on listening.
    pub fn ends_its_side(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Goes as one goes whose network is cut: with a reset.
    pub fn resets(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    /// A second handle of the connection, to send on another thread.
    pub fn handle(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// The connection, for a test that goes on by other means.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    // Hearing lines.

    /// Waits for the next line, which must be this one.
    #[track_caller]
    pub fn hears(&mut self, line: &str) {
        if !self.try_hear(line.as_bytes()) {
            let real = self.hears_line();
            panic!("expected the line {line:?}\n     but heard {real:?}");
        }
    }

    /// Waits for these lines, in this order, with nothing in between.
    #[track_caller]
    pub fn hears_all<L: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = L>) {
        for line in lines {
            self.hears(line.as_ref());
        }
    }

    /// Waits for these lines, in any order, with nothing in between.
    #[track_caller]
    pub fn hears_in_any_order(&mut self, lines: &[&str]) {
        let mut real: Vec<String> = lines.iter().map(|_| self.hears_line()).collect();
        let mut expected = lines.to_vec();
        real.sort();
        expected.sort_unstable();
        assert_eq!(real, expected, "in any order");
    }

    /// Waits for the next line, which must be one of these: where the specification leaves a choice.
    #[track_caller]
    pub fn hears_one_of(&mut self, lines: &[&str]) {
        let real = self.hears_line();
        assert!(lines.contains(&real.as_str()), "expected one of the lines {lines:?}\n            but heard {real:?}");
    }

    /// Waits for the next line, and returns it without its end.
    #[track_caller]
    pub fn hears_line(&mut self) -> String {
        match self.next_line() {
            Ok(line) => String::from_utf8(line).unwrap_or_else(|error| panic!("a line that is no UTF-8: {error}")),
            Err(why) => panic!("expected a line, but: {why}"),
        }
    }

    /// Waits for the next line, and takes it if it is this one.
    #[track_caller]
    pub fn try_hear(&mut self, line: &[u8]) -> bool {
        loop {
            let rest = &self.buffer[self.start..];
            if rest.len() > line.len() && rest[line.len()] == b'\n' && rest.starts_with(line) {
                self.start += line.len() + 1;
                return true;
            }
            if rest.contains(&b'\n') {
                return false;
            }
            match self.reads() {
                Next::More => {}
                other => panic!("expected the line {:?}, but: {}", shown(line), self.describe(&other)),
            }
        }
    }

    /// Nothing at all has been said to it that it has not heard yet; its own earlier lines have been served. It asks
    /// something that is answered to it alone, and the answer is the next thing that it hears.
    #[track_caller]
    pub fn hears_nothing(&mut self) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let question = format!("/anything-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.says(&question);
        self.hears(&format!("* unknown command: {question}; try /help"));
    }

    /// Waits for the end of the connection, which must come in order and with nothing before it.
    #[track_caller]
    pub fn ends(&mut self) {
        match self.next_line() {
            Ok(line) => panic!("expected the end\n but heard {}", shown(&line)),
            Err(Ended::InOrder) => {}
            Err(why) => panic!("expected the end, but: {why}"),
        }
    }

    /// Waits until the server lets it go, in order or by a reset, perhaps with words of its own (`* ...`) before.
    #[track_caller]
    pub fn is_dismissed(&mut self) {
        loop {
            match self.next_line() {
                Ok(line) if line.starts_with(b"* ") => {}
                Ok(line) => panic!("expected the end\n but heard {}", shown(&line)),
                Err(Ended::InOrder | Ended::Reset) => return,
                Err(why) => panic!("expected the end, but: {why}"),
            }
        }
    }

    /// The rest of the lines until the end, which must come in order.
    #[track_caller]
    pub fn hears_to_the_end(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.next_line() {
                Ok(line) => lines.push(String::from_utf8(line).unwrap()),
                Err(Ended::InOrder) => return lines,
                Err(why) => panic!("expected the end, but: {why}; heard so far: {lines:?}"),
            }
        }
    }

    // Hearing bytes.

    /// Waits for these bytes.
    #[track_caller]
    pub fn receives(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.start == self.buffer.len() {
                match self.reads() {
                    Next::More => {}
                    other => panic!("{} bytes are missing: {}", rest.len(), self.describe(&other)),
                }
            }
            let real = &self.buffer[self.start..];
            let real = &real[..real.len().min(rest.len())];
            let (expected, after) = rest.split_at(real.len());
            assert!(real == expected, "other bytes than expected, from byte {} on", {
                let same = real.iter().zip(expected).take_while(|(one, other)| one == other).count();
                bytes.len() - rest.len() + same
            });
            self.start += real.len();
            rest = after;
        }
    }

    fn next_line(&mut self) -> Result<Vec<u8>, Ended> {
        let mut searched = self.start;
        loop {
            if let Some(length) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer[self.start..searched + length].to_vec();
                self.start = searched + length + 1;
                return Ok(line);
            }
            let old_start = self.start;
            searched = self.buffer.len();
            let next = self.reads();
            searched -= old_start - self.start;
            match next {
                Next::More => {}
                Next::End if self.start == self.buffer.len() => return Err(Ended::InOrder),
                Next::Reset => return Err(Ended::Reset),
                other => return Err(Ended::Otherwise(self.describe(&other))),
            }
        }
    }

    /// Waits for more bytes.
    fn reads(&mut self) -> Next {
        if self.start > 1 << 20 || self.start == self.buffer.len() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let deadline = Instant::now() + self.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Silence;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let end = self.buffer.len();
            self.buffer.resize(end + (64 << 10), 0);
            let result = self.stream.read(&mut self.buffer[end..]);
            self.buffer.truncate(end + result.as_ref().copied().unwrap_or(0));
            match result {
                Ok(0) => return Next::End,
                Ok(_) => return Next::More,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return Next::Reset,
                },
            }
        }
    }

    fn describe(&self, next: &Next) -> String {
        let what = match next {
            Next::More => "more came".to_owned(),
            Next::End => "the connection ended".to_owned(),
            Next::Reset => "the connection was reset".to_owned(),
            Next::Silence => format!("nothing came for {:?}", self.patience),
        };
        match &self.buffer[self.start..] {
            [] => what,
            rest => format!("{what}, after {}", shown(rest)),
        }
    }
}

/// How a connection ended.
enum Ended {
    InOrder,
    Reset,
    Otherwise(String),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(match self {
            Ended::InOrder => "the connection ended",
            Ended::Reset => "the connection was reset",
            Ended::Otherwise(what) => what,
        })
    }
}

/// Bytes, as a panic shows them.
fn shown(bytes: &[u8]) -> String {
    let (head, more) = if bytes.len() > 200 { (&bytes[..200], "...") } else { (bytes, "") };
    format!("\"{}{more}\" ({} bytes)", head.escape_ascii(), bytes.len())
}

/// Says lines of 4000 bytes until at least `wanted` bytes for each of the `stuck` clients, which read nothing, wait
/// inside the daemon, behind all that the kernel takes; the lines that were said. It stays well below 1 MiB.
#[cfg(target_os = "linux")]
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
#[cfg(target_os = "linux")]
fn kernel_holds(sockets: &[KernelSocket], client: &Client) -> usize {
    let (here, there) = (client.stream.local_addr().unwrap(), client.stream.peer_addr().unwrap());
    let of = |local, remote| sockets.iter().find(move |socket| socket.local == local && socket.remote == remote);
    of(there, here).map_or(0, |socket| socket.to_send) + of(here, there).map_or(0, |socket| socket.to_read)
}

/// Numbers that look random: xorshift, so that a seed gives the same ones everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What the kernel knows of its sockets
// ---------------------------------------------------------------------------------------------------------------------

#[cfg(target_os = "linux")]
struct KernelSocket {
    local: SocketAddr,
    remote: SocketAddr,
    is_listening: bool,
    to_send: usize,
    to_read: usize,
}

/// The IPv4 sockets in `/proc/net/tcp`.
#[cfg(target_os = "linux")]
fn sockets() -> impl Iterator<Item = KernelSocket> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let rows: Vec<_> = table.lines().skip(1).filter_map(kernel_socket).collect();
    rows.into_iter()
}

/// `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 ...`, all in hexadecimal.
#[cfg(target_os = "linux")]
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

#[cfg(target_os = "linux")]
fn is_listening(address: SocketAddr) -> bool {
    sockets().any(|socket| socket.is_listening && socket.local == address)
}
