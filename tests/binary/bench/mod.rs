//! `tidegate bench`: it counts what happened, it finds and reports what is wrong, and its exit code says so. It runs
//! against this program's own servers, and against small ones that go wrong in known ways.

/// Connections that cannot be opened, or not in time.
mod connecting;
/// What goes wrong is found, and named where it is.
mod faults;
/// `-n`: a number of messages ends the run.
mod number;
/// An open loop: messages are due at a rate, whatever the server does.
mod rate;
/// The load generator itself is suspended for a while.
#[cfg(target_os = "linux")]
mod suspended;
/// What is told: the summary, the plot, the exit code.
mod told;
/// Each workload counts what happened.
mod workloads;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::folder::Folder;
use crate::support::process::{TcpState, tcp_sockets};
use crate::support::{self, Daemon, Signal, free_address, wait_until};
use serde_json::Value;

/// Enough for some thousand messages, and for a few on a machine that is busy.
const SHORTLY: [&str; 2] = ["--duration", "300ms"];

/// A finished `tidegate bench --json`.
struct Finished {
    code: i32,
    report: Value,
}

impl Finished {
    fn number(&self, field: &str) -> u64 {
        self.report[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {}", self.report))
    }

    fn latency_ms(&self, field: &str) -> f64 {
        let latency = &self.report["latency_us"][field];
        latency.as_f64().unwrap_or_else(|| panic!("no latency {field} in {}", self.report)) / 1000.0
    }

    fn problems(&self) -> String {
        self.report["problems"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn is_good(&self) {
        assert_eq!((self.code, self.problems().as_str()), (0, ""), "{}", self.report);
        assert!(self.number("count") > 0, "{}", self.report);
    }
}

#[track_caller]
fn bench(workload: &str, address: &str, flags: &[&str]) -> Finished {
    let mut words = vec!["bench", workload, address, "--json"];
    if !flags.contains(&"--duration") && !flags.contains(&"-n") {
        words.extend(SHORTLY);
    }
    if workload != "idle" && !flags.contains(&"--warmup") {
        words.extend(["--warmup", "0"]);
    }
    words.extend(flags);
    finish(Daemon::launch(&words))
}

#[track_caller]
fn finish(mut bench: Daemon) -> Finished {
    let code = bench.exits();
    let output = bench.whole_output();
    let report = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}\n{}", bench.log()));
    Finished { code, report }
}

/// A server of the test's own: a thread for each connection, which are numbered as they come.
fn serve(connection: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connection = Arc::new(connection);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let connection = Arc::clone(&connection);
            thread::spawn(move || connection(stream.unwrap(), number));
        }
    });
    address
}

/// Gives `each` what comes, until nothing does or `each` says that it is enough.
fn echo(mut stream: TcpStream, mut each: impl FnMut(&mut [u8], u64) -> bool) {
    let mut buffer = [0; 65_536];
    let mut before = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if !each(&mut buffer[..count], before) || stream.write_all(&buffer[..count]).is_err() {
            return;
        }
        before += count as u64;
    }
}
