//! Each failure of the ladder: the step before has it, and this step has not.

mod failures;
mod pages;
mod peer;
mod server;
mod simulated;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use server::{Outcome, Run};

/// A failure, as a page tells it.
struct Failure {
    name: &'static str,
    happens: fn(&Run) -> Outcome,
    /// The program that has it, and what is said of it.
    before: (&'static str, &'static str),
    /// The program that has it no more.
    after: &'static str,
}

macro_rules! failures {
    ($($name:ident: $before:tt => $after:literal,)*) => {
        const FAILURES: &[Failure] = &[
            $(Failure { name: stringify!($name), happens: failures::$name, before: $before, after: $after },)*
        ];

        mod the_step_before {
            $(#[test] fn $name() {
                super::fails(super::failure(stringify!($name)));
            })*
        }

        mod this_step {
            $(#[test] fn $name() {
                super::passes(super::failure(stringify!($name)).after, super::failure(stringify!($name)));
            })*
        }
    };
}

failures! {
    two_clients: ("01-blocking", "it sleeps in a call on the client that says nothing") => "02-spinning",
    nothing_to_do: ("02-spinning", "it used 100 ms of the processor for nothing, and has not slept") => "03-poll",
    many_clients: ("03-poll", "each wait hands over 41 descriptors") => "04a-edges",
    long_message: ("04a-edges", "it sleeps, and 5904 bytes were not read") => "04-latches",
    new_client_in_an_old_place:
        ("05b-places", "the new client was thrown out, as the old one had broken off") => "05-generations",
    speaks_before_it_listens:
        ("05-generations", "the server has closed the connection after it had taken") => "06-queue",
    never_listens: ("06-queue", "it has taken 64 MiB of a client that reads nothing") => "07-backpressure",
    ends_and_listens:
        ("07-backpressure", "the end has come before all that was to come before it") => "08-half-close",
    quits_and_speaks_on:
        ("08-half-close", "the connection was reset, and the answer has not arrived") => "09-close",
    falls_silent: ("09-close", "it sleeps without a deadline, and the client keeps its place") => "10a-clock",
    speaks_again: ("10a-clock", "it has closed the connection too early") => "10-timers",
    flood:
        ("10-timers", "more than its share was read of one before the other had its turn") => "11a-shares",
    slow_calls: ("11a-shares", "6 clients were served before it asked the kernel again") => "11-budgets",
    two_in_a_room: ("11-budgets", "nobody else hears it") => "12a-waiting",
    stuck_reader: ("12a-waiting", "it waits for one client, and the others hear nothing") => "12b-each-line",
    sixteen_lines: ("12b-each-line", "16 calls for one client") => "12-broadcast",
    no_descriptor_left: ("13b-contract", "the server has ended: Too many open files") => "13-kernel",
}

/// The programs, in the order of the ladder.
macro_rules! programs {
    ($($name:literal)*) => { &[$(($name, env!(concat!("CARGO_BIN_EXE_", $name)))),*] };
}

const PROGRAMS: &[(&str, &str)] = programs!(
    "01-blocking" "02-spinning" "03-poll" "04a-edges" "04-latches" "05a-server" "05b-places" "05-generations" "06-queue"
    "07-backpressure" "08-half-close" "09-close" "10a-clock" "10-timers" "11a-shares" "11-budgets" "12a-waiting" "12b-each-line"
    "12-broadcast" "13a-machine" "13b-contract" "13-kernel"
);

/// What is judged by the lines of strace.
const TRACED: [&str; 3] = ["flood", "slow_calls", "sixteen_lines"];

fn failure(name: &str) -> &'static Failure {
    FAILURES.iter().find(|it| it.name == name).unwrap()
}

fn play(program: &str, failure: &Failure, trace: Option<PathBuf>) -> Outcome {
    let path = PROGRAMS.iter().find(|(name, _)| *name == program).unwrap().1;
    let is_traced = TRACED.contains(&failure.name);
    let own = trace.is_none() && is_traced;
    let trace = trace.or_else(|| own.then(new_file));
    let outcome = (failure.happens)(&Run::of(path, trace.clone()));
    if own {
        let _ = trace.map(std::fs::remove_file);
    }
    outcome
}

/// A file of its own, for strace.
fn new_file() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("trace-{}-{number}", std::process::id()))
}

fn fails(failure: &Failure) {
    let (program, words) = failure.before;
    let outcome = play(program, failure, None);
    assert!(outcome.as_ref().is_err_and(|it| it.starts_with(words)), "{program}: {outcome:?}");
}

fn passes(program: &str, failure: &Failure) {
    let outcome = play(program, failure, None);
    assert_eq!(outcome, Ok(()), "{program}: {}", failure.name);
}

#[test]
fn the_first_step_echoes() {
    let path = PROGRAMS[0].1;
    assert_eq!(failures::echo(&Run::of(path, None)), Ok(()));
}

/// What else a room has to do, in each program that is one.
#[test]
fn a_room_lets_go_of_whoever_quits() {
    let rooms = PROGRAMS.iter().skip_while(|(name, _)| *name != "12-broadcast");
    for (name, path) in rooms {
        for happens in [failures::quits_in_a_room, failures::quits_and_never_ends, failures::floods_after_quit] {
            let run = Run::of(path, Some(new_file()));
            let outcome = happens(&run);
            let _ = run.trace.map(std::fs::remove_file);
            assert_eq!(outcome, Ok(()), "{name}");
        }
    }
}

/// What was mended on the way is still whole in the last of the echoes. (A room does something else with what is said.)
#[test]
fn what_was_mended_stays_mended() {
    let echo = FAILURES.iter().take_while(|failure| failure.name != "two_in_a_room");
    // A second each: they were played on the step before this one.
    for failure in echo.filter(|failure| !["falls_silent", "speaks_again"].contains(&failure.name)) {
        // A client goes that was silent for too long, also if it was this machine that was slow.
        let outcome = failures::in_time(|| play("11-budgets", failure, None));
        assert_eq!(outcome, Ok(()), "{}", failure.name);
    }
}
