//! The log on stderr, which can neither stop nor end the process.
//!
//! simple_logger formats and prints a record. But it waits while the reader of stderr does not read, it panics when stderr
//! is full or closed, and it passes the escape sequences of a peer on to the terminal of the reader. So a [`GuardedLog`]
//! comes before it, and is the logger that the `log` macros use:
//!
//! ```text
//!  record ─> one harmless line, bounded ─> can stderr take it? ─yes─> simple_logger, panics caught ─> stderr
//!                                                   │no                          │panicked
//!                                                   └──────────> counted <───────┘
//! ```
//!
//! Where stderr is the journal of systemd, which adds the time by itself, a record is its priority and its text.
//!
//! There is no queue. A record that stderr cannot take at once is left out, and before the next record the log says how
//! many were left out. `main` calls [`install`] once.

pub mod file;
mod one_line;
mod stderr;

use std::cell::Cell;
use std::fmt;
use std::io::Write;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

use one_line::one_line;

/// The name of the program, which each record of a file or a terminal has. Where in the program it comes from is of no use to
/// a reader of the log.
const NAME: &str = env!("CARGO_CRATE_NAME");

/// The most bytes of one record, from its time to its line end. A pipe is writable when one page of it is free, 4,096
/// bytes, so a longer record could still wait for the reader.
const MAX_RECORD: usize = 4000;

/// The target of records that are printed as they are, without time and level: see [`explanation`].
const EXPLANATION: &str = "tidegate::explanation";

/// Prints a text line by line, as it is. What stderr cannot take at once is left out, and counted, as of the log.
pub fn explanation(text: &str) {
    for line in text.lines() {
        // At the level that no flag turns off.
        log::error!(target: EXPLANATION, "{line}");
    }
}

/// The bytes that the printer adds to the name and the message: time (24), level (5), brackets, spaces and the line end.
const FRAME: usize = 35;

/// Makes stderr the log of the process, for records up to `level`. A second call does nothing.
pub fn install(level: LevelFilter, form: Form) {
    if log::set_boxed_logger(Box::new(GuardedLog::new(form))).is_ok() {
        log::set_max_level(level);
        silence_panics_of_the_printer();
        stderr::never_wait_for_a_terminal();
    }
}

/// From now on a run is played, and nobody waits for it: no record is left out, however slowly they are read.
pub fn wait_for_the_reader() {
    stderr::wait_for_the_reader();
}

/// From now on nothing is logged, at whatever level, but for explanations.
pub fn mute() {
    MUTED.store(true, Relaxed);
}

/// Atomic because `Log` requires `Sync`.
static MUTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// True while simple_logger prints. A panic of this thread is then a lost record, and no bug to report.
    static PRINTING: Cell<bool> = const { Cell::new(false) };
}

/// Otherwise each record that stderr refuses would run the panic hook, which prints to stderr.
fn silence_panics_of_the_printer() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !PRINTING.get() {
            previous(panic);
        }
    }));
}

/// What a record is to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people; in the journal of systemd, which adds the time by itself, with its priority.
    Text,
    /// `time=… level=info msg="…"`
    Logfmt,
    /// `{"time":"…","level":"info","message":"…"}`
    Json,
}

/// Who prints a record.
enum Printer {
    /// With its time, its level and the name of the program.
    Line(SimpleLogger),
    /// With its priority in front: sd-daemon(3).
    Journal,
    Logfmt,
    Json,
}

struct GuardedLog {
    printer: Printer,
    /// Records that were left out since this number was last logged. Atomic because `Log` requires `Sync`.
    left_out: AtomicU64,
}

impl GuardedLog {
    fn new(form: Form) -> Self {
        let printer = match form {
            Form::Text if stderr::is_the_journal() => Printer::Journal,
            // The printer filters nothing, because the number of records left out is logged at every level.
            Form::Text => Printer::Line(SimpleLogger::new().with_utc_timestamps()),
            Form::Logfmt => Printer::Logfmt,
            Form::Json => Printer::Json,
        };
        GuardedLog { printer, left_out: AtomicU64::new(0) }
    }

    /// Logs how many records were left out, if any were. False if stderr cannot take that either.
    fn log_left_out(&self) -> bool {
        let count = self.left_out.load(Relaxed);
        if count == 0 {
            return true;
        }
        let records = if count == 1 { "record" } else { "records" };
        let printed = self.print(Level::Warn, format_args!("{count} log {records} left out"));
        if printed {
            self.left_out.fetch_sub(count, Relaxed);
        }
        printed
    }

    /// Whether the record was printed completely.
    fn print(&self, level: Level, message: fmt::Arguments<'_>) -> bool {
        let message = one_line(message, MAX_RECORD - FRAME - NAME.len());
        stderr::can_take_a_record()
            && match &self.printer {
                Printer::Line(printer) => print_catching_panics(printer, level, &message),
                Printer::Journal => print_with_priority(level, &message),
                Printer::Logfmt => print_line(&bounded(&message, |message| logfmt(level, message))),
                Printer::Json => print_line(&bounded(&message, |message| json(level, message))),
            }
    }
}

impl Log for GuardedLog {
    /// Records of other crates are about their internals, such as each registration of mio, and not about connections.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_heard = !MUTED.load(Relaxed) || metadata.target() == EXPLANATION;
        is_heard && metadata.target().split("::").next() == Some(NAME)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let printed = self.log_left_out()
            && match record.target() {
                EXPLANATION => print_as_it_is(*record.args()),
                _ => self.print(record.level(), *record.args()),
            };
        if !printed {
            self.left_out.fetch_add(1, Relaxed);
        }
    }

    /// Only the number of records left out may wait here. A process that ends flushes first.
    fn flush(&self) {
        self.log_left_out();
    }
}

/// Takes formatted text, so that only panics of the printer are caught here.
fn print_catching_panics(printer: &SimpleLogger, level: Level, message: &str) -> bool {
    let print = || {
        printer.log(&Record::builder().level(level).target(NAME).args(format_args!("{message}")).build());
    };
    PRINTING.set(true);
    let printed = panic::catch_unwind(AssertUnwindSafe(print)).is_ok();
    PRINTING.set(false);
    printed
}

fn print_as_it_is(text: fmt::Arguments<'_>) -> bool {
    let line = one_line(text, MAX_RECORD - 1);
    stderr::can_take_a_record() && std::io::stderr().write_all(format!("{line}\n").as_bytes()).is_ok()
}

fn print_with_priority(level: Level, message: &str) -> bool {
    let priority = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    std::io::stderr().write_all(format!("<{priority}>{message}\n").as_bytes()).is_ok()
}

fn print_line(line: &str) -> bool {
    std::io::stderr().write_all(line.as_bytes()).is_ok()
}

/// A record whose message has many quotes is longer than its message: then half of the message is enough.
fn bounded(message: &str, record: impl Fn(&str) -> String) -> String {
    match record(message) {
        long if long.len() > MAX_RECORD => record(&one_line(format_args!("{message}"), MAX_RECORD / 2 - FRAME)),
        record => record,
    }
}

fn logfmt(level: Level, message: &str) -> String {
    format!("time={} level={} msg={}\n", timestamp(), name(level), quoted(message))
}

fn json(level: Level, message: &str) -> String {
    format!("{{\"time\":\"{}\",\"level\":\"{}\",\"message\":{}}}\n", timestamp(), name(level), quoted(message))
}

/// A text in the quotes of JSON, which are those of logfmt too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn name(level: Level) -> String {
    level.as_str().to_ascii_lowercase()
}

/// RFC 3339, in UTC, as the text form has it.
fn timestamp() -> String {
    let now = time::UtcDateTime::now();
    let (date, (hour, minute, second, milli)) = (now.date(), now.time().as_hms_milli());
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_for_programs_is_one_line_and_bounded() {
        let record = json(Level::Warn, "it said \"no\"\\");
        let value: serde_json::Value = serde_json::from_str(&record).unwrap();
        assert_eq!((&value["level"], &value["message"]), (&"warn".into(), &"it said \"no\"\\".into()));
        let time = value["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
        let record = logfmt(Level::Info, "listening on 127.0.0.1:7");
        assert!(record.starts_with("time=2") && record.ends_with(" level=info msg=\"listening on 127.0.0.1:7\"\n"));
        let quotes = "\"".repeat(MAX_RECORD - FRAME);
        for form in [logfmt, json] {
            let record = bounded(&quotes, |message| form(Level::Info, message));
            assert!(record.len() <= MAX_RECORD && record.ends_with('\n'), "{}", record.len());
        }
    }

    #[test]
    fn a_record_of_another_crate_is_not_printed_nor_counted() {
        let log = GuardedLog::new(Form::Text);
        let is_printed = |target| log.enabled(&Metadata::builder().target(target).build());
        for target in ["tidegate", "tidegate::net::accept"] {
            assert!(is_printed(target));
        }
        for target in ["mio::poll", "tidegated", ""] {
            assert!(!is_printed(target));
        }
        log.log(&Record::builder().level(Level::Error).target("mio::poll").args(format_args!("quiet")).build());
        assert_eq!(log.left_out.load(Relaxed), 0);
    }
}

/// Each test runs [`child`] in a process of its own, because stderr belongs to a process.
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
        install(LevelFilter::Debug, Form::Text);
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
    fn the_log_does_not_wait_for_its_reader_and_says_how_many_records_were_left_out() {
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
        let line = last.next().unwrap().strip_suffix(" log records left out").unwrap();
        let left_out: usize = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        assert_eq!(last.filter(|line| line.contains("a peer said")).count() + left_out, RECORDS);
    }

    #[test]
    fn a_closed_pipe_ends_nothing() {
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
    fn other_panics_are_still_reported() {
        let mut child = start(&this_program(), &[], Stdio::piped(), "panic");
        let mut printed = String::new();
        child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
        assert!(printed.contains("not the printer's"), "{printed}");
        assert!(!child.wait().unwrap().success());
    }
}
