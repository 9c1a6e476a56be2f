//! The log on stderr, which can neither stop nor end the daemon.
//!
//! simple_logger lays out a record and prints it, but it waits while nobody reads stderr, panics when stderr is full or
//! gone, and passes a peer's escape sequences on to the terminal of whoever reads the log. [`GuardedLog`] stands before
//! it, as the one logger that the `log` macros know:
//!
//! ```text
//!  record ─> one harmless line, bounded ─> can stderr take it? ─yes─> simple_logger, panics caught ─> stderr
//!                                                   │no                          │panicked
//!                                                   └──────────> counted <───────┘
//! ```
//!
//! It is no queue: what stderr cannot take at once is left out, and the next record that gets through is preceded by how
//! many were. `main` calls [`install`] once; everybody else uses the macros.

mod one_line;

use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

use one_line::one_line;

/// The most bytes of one record, from its time to its line end. A pipe counts as writable when one page of it is free,
/// 4,096 bytes: a longer record could still wait for the reader.
const MAX_RECORD: usize = 4000;

/// The most bytes of a target, which is a module's path.
const MAX_TARGET: usize = 100;

/// What simple_logger writes beside target and message: time (24), level (5), brackets, spaces and the line end.
const FRAME: usize = 35;

/// Makes stderr the log of the process, for records up to `level`. The first call counts, a later one does nothing.
pub fn install(level: LevelFilter) {
    if log::set_boxed_logger(Box::new(GuardedLog::new(level))).is_ok() {
        log::set_max_level(level);
        silence_panics_of_the_printer();
        stop_waiting_for_a_terminal();
    }
}

thread_local! {
    /// True while simple_logger prints: a panic of this thread is then a record lost, not a bug to be told of.
    static PRINTING: Cell<bool> = const { Cell::new(false) };
}

/// Without this, each record that stderr refuses would run the panic hook, whose message goes to stderr.
fn silence_panics_of_the_printer() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !PRINTING.get() {
            previous(panic);
        }
    }));
}

/// A terminal counts as writable while it has room for one byte, so a record could wait for one that has stopped reading,
/// such as a hung remote session. Where stderr is one, it is opened again, non-blocking: set on the description that was
/// handed down, the flag would hold for the shell as well. A terminal that cannot be opened stays as it is.
#[cfg(target_os = "linux")]
fn stop_waiting_for_a_terminal() {
    use rustix::fs::{Mode, OFlags, open};
    use std::io::IsTerminal;

    if std::io::stderr().is_terminal() {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let _ = open("/proc/self/fd/2", flags, Mode::empty()).and_then(rustix::stdio::dup2_stderr);
    }
}

/// Elsewhere there is no path that opens what a descriptor stands for.
#[cfg(not(target_os = "linux"))]
fn stop_waiting_for_a_terminal() {}

/// Public to nobody: the `log` crate holds the one that there is.
struct GuardedLog {
    level: LevelFilter,
    printer: SimpleLogger,
    /// Records since the last time that this number was told. Atomic only because `Log` asks for it.
    left_out: AtomicU64,
}

impl GuardedLog {
    fn new(level: LevelFilter) -> Self {
        // The printer filters nothing: how many records were left out is told at every level.
        GuardedLog { level, printer: SimpleLogger::new().with_utc_timestamps(), left_out: AtomicU64::new(0) }
    }

    /// Tells of the records left out so far, if there are any. False if that did not get through either.
    fn tell_left_out(&self) -> bool {
        let count = self.left_out.load(Relaxed);
        if count == 0 {
            return true;
        }
        let records = if count == 1 { "record" } else { "records" };
        let told = self.print(Level::Warn, module_path!(), format_args!("{count} log {records} left out"));
        if told {
            self.left_out.fetch_sub(count, Relaxed);
        }
        told
    }

    /// Whether the record went out whole.
    fn print(&self, level: Level, target: &str, message: fmt::Arguments<'_>) -> bool {
        let target = one_line(format_args!("{target}"), MAX_TARGET);
        let message = one_line(message, MAX_RECORD - FRAME - target.len());
        stderr_can_take_a_record() && print_catching_panics(&self.printer, level, &target, &message)
    }
}

impl Log for GuardedLog {
    /// What other crates have to say, such as mio of each registration, is about their insides and not about connections.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_ours = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
        is_ours && metadata.level() <= self.level
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let printed = self.tell_left_out() && self.print(record.level(), record.target(), *record.args());
        if !printed {
            self.left_out.fetch_add(1, Relaxed);
        }
    }

    /// Nothing waits here to be written, but a count of what was left out may: a process that ends flushes first.
    fn flush(&self) {
        self.tell_left_out();
    }
}

/// Whether a record can be written to stderr without waiting. Not when the other end of a pipe is gone: nobody would
/// read it, and asking is cheaper than a panic.
#[cfg(unix)]
fn stderr_can_take_a_record() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let stderr = std::io::stderr();
    let mut asked = [PollFd::new(&stderr, PollFlags::OUT)];
    poll(&mut asked, Some(&Timespec::default())).is_ok() && asked[0].revents() == PollFlags::OUT
}

/// Elsewhere there is no way to ask.
#[cfg(not(unix))]
fn stderr_can_take_a_record() -> bool {
    true
}

/// Takes text that is laid out already: the panics caught here are the printer's alone.
fn print_catching_panics(printer: &SimpleLogger, level: Level, target: &str, message: &str) -> bool {
    let print = || {
        printer.log(&Record::builder().level(level).target(target).args(format_args!("{message}")).build());
    };
    PRINTING.set(true);
    let printed = panic::catch_unwind(AssertUnwindSafe(print)).is_ok();
    PRINTING.set(false);
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_a_crate_that_is_not_asked_for_is_not_printed_nor_counted() {
        let log = GuardedLog::new(LevelFilter::Error);
        let is_printed = |level, target| log.enabled(&Metadata::builder().level(level).target(target).build());
        for target in ["tidegate", "tidegate::net::accept"] {
            assert!(is_printed(Level::Error, target) && !is_printed(Level::Warn, target));
        }
        for target in ["mio::poll", "tidegated", ""] {
            assert!(!is_printed(Level::Error, target));
        }
        log.log(&Record::builder().level(Level::Warn).target("tidegate").args(format_args!("quiet")).build());
        log.log(&Record::builder().level(Level::Error).target("mio::poll").args(format_args!("quiet")).build());
        assert_eq!(log.left_out.load(Relaxed), 0);
    }
}

/// What stderr does to a process can only be seen in a process of its own: each test runs [`child`] in one.
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests_of_stderr {
    use std::fs::OpenOptions;
    use std::io::{self, BufRead, BufReader, Read};
    use std::process::{self, Child, Command, Stdio};
    use std::thread;
    use std::time::Duration;

    use super::*;

    const JOB: &str = "TIDEGATE_LOG_TEST";
    const RECORDS: usize = 1000;

    /// Does nothing unless one of the tests below has started it.
    #[test]
    fn child() {
        let Ok(job) = std::env::var(JOB) else { return };
        thread::spawn(|| {
            thread::sleep(Duration::from_secs(10));
            process::exit(3); // the log waits for its reader
        });
        install(LevelFilter::Debug);
        if job == "panic" {
            panic!("not the printer's");
        }
        let long = "x".repeat(5000);
        for _ in 0..RECORDS {
            log::info!("a peer said {long}");
        }
        println!("\nlogged");
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        log::debug!("the end");
        process::exit(0);
    }

    fn start(program: &str, arguments: &[&str], stderr: Stdio, job: &str) -> Child {
        let test = concat!(module_path!(), "::child").split_once("::").unwrap().1;
        let mut command = Command::new(program);
        command.args(arguments).args(["--exact", test, "--nocapture"]).env(JOB, job);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap()
    }

    fn this_program() -> String {
        std::env::current_exe().unwrap().into_os_string().into_string().unwrap()
    }

    fn wait_until_logged(child: &mut Child) {
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "logged"), "the child ended early");
    }

    #[test]
    fn a_reader_that_sleeps_is_not_waited_for_and_told_what_it_missed() {
        let mut child = start(&this_program(), &[], Stdio::piped(), "log");
        wait_until_logged(&mut child);

        let mut read = vec![0; 16 * 1024];
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_exact(&mut read).unwrap(); // makes room for the next record
        drop(child.stdin.take());
        stderr.read_to_end(&mut read).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));

        let read = String::from_utf8(read).unwrap();
        assert!(read.lines().all(|line| line.len() < MAX_RECORD));
        let mut last = read.lines().rev();
        assert!(last.next().unwrap().ends_with("the end"));
        let told = last.next().unwrap().strip_suffix(" log records left out").unwrap();
        let left_out: usize = told.rsplit_once(' ').unwrap().1.parse().unwrap();
        assert_eq!(last.filter(|line| line.contains("a peer said")).count() + left_out, RECORDS);
    }

    #[test]
    fn a_reader_that_is_gone_ends_nothing() {
        let mut child = start(&this_program(), &[], Stdio::piped(), "log");
        drop(child.stderr.take());
        wait_until_logged(&mut child);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn a_full_disk_ends_nothing() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut child = start(&this_program(), &[], full.into(), "log");
        wait_until_logged(&mut child);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn a_closed_stderr_ends_nothing() {
        let shell = ["-c", "exec \"$0\" \"$@\" 2>&-", &this_program()];
        let mut child = start("sh", &shell, Stdio::null(), "log");
        wait_until_logged(&mut child);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }

    #[test]
    fn other_panics_are_still_told() {
        let mut child = start(&this_program(), &[], Stdio::piped(), "panic");
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert!(told.contains("not the printer's"), "{told}");
        assert!(!child.wait().unwrap().success());
    }
}
