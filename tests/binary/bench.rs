//! `tidegate bench`: it counts what happened, it finds and reports what is wrong, and its exit code says so. It runs
//! against this program's own servers, and against small ones that go wrong in known ways.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::folder::Folder;
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
    if !flags.contains(&"--duration") {
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

// ---------------------------------------------------------------------------------------------------------------------
// Each workload
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn echo_counts_the_messages_that_came_back() {
    let server = Daemon::echo(&[]);
    let done = bench("echo", &server.address().to_string(), &["--connections", "8", "--size", "100", "--depth", "4"]);
    done.is_good();
    let (count, received) = (done.number("count"), done.number("bytes_received"));
    // Messages that had arrived in part, at the beginning and at the end, are at most all that was in flight.
    assert!(received.abs_diff(count * 100) <= 8 * 4 * 100, "{}", done.report);
    assert_eq!(done.report["latency_us"]["count"], count);
    assert_eq!((done.number("opened"), done.number("stayed"), done.number("lost")), (8, 8, 0));
    let throughput: u64 =
        done.report["throughput"]["counts"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert!(throughput > 0 && throughput <= count, "{}", done.report);
    assert_eq!(done.report["unit"], "messages");
}

#[test]
fn messages_may_be_larger_than_any_buffer() {
    let server = Daemon::echo(&[]);
    let flags = ["--connections", "2", "--size", "1M", "--depth", "3", "--warmup", "50ms"];
    bench("echo", &server.address().to_string(), &flags).is_good();
}

#[test]
fn a_unix_socket_is_loaded_too() {
    let folder = Folder::new();
    let address = format!("unix:{}", folder.path("echo.sock").display());
    let server = Daemon::launch(&["echo", "--listen", &address]);
    server.logs("it listens", |line| line.contains("listening on"));
    bench("echo", &address, &["--connections", "4"]).is_good();
    bench("churn", &address, &["--connections", "4"]).is_good();
}

#[test]
fn a_request_has_the_answer_that_is_typed() {
    let server = serve(|stream, _| {
        let mut asked = 0;
        let mut answers = stream.try_clone().unwrap();
        let mut buffer = [0; 6];
        let mut stream = stream;
        while stream.read_exact(&mut buffer).is_ok() {
            assert_eq!(&buffer, b"PING\r\n");
            asked += 1;
            let _ = answers.write_all(format!("HTTP/1.1 200 OK\r\nNumber: {asked}\r\n\r\nhello").as_bytes());
        }
    });
    let expected = r"HTTP/1.1 200 OK\r\n\*\r\n\r\nhello";
    let flags = ["--send", r"PING\r\n", "--expect", expected, "--depth", "3", "--connections", "4"];
    let done = bench("request", &server, &flags);
    done.is_good();
    assert_eq!(done.report["unit"], "requests");

    let done = bench("request", &server, &["--send", r"PING\r\n", "--expect", "HTTP/1.0", "--connections", "2"]);
    assert_eq!(done.code, 1);
    assert_eq!(done.report["wrong"]["after_bytes"], "HTTP/1.".len());
    assert_eq!(done.report["wrong"]["connections"], 2);
}

#[test]
fn bytes_for_a_sink_are_counted() {
    let total = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&total);
    let server = serve(move |mut stream, _| {
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            sum.fetch_add(count as u64, Ordering::SeqCst);
        }
    });
    let done = bench("sink", &server, &["--connections", "2", "--size", "10000"]);
    done.is_good();
    let sent = done.number("bytes_sent");
    assert_eq!((sent, sent % 10_000), (done.number("count"), 0));
    // What was counted was given to the kernel. The kernel may have lost what it still held, which is bounded.
    wait_until("what was sent arrives", || total.load(Ordering::SeqCst) + (16 << 20) >= sent);
    assert!(done.report["latency_us"].is_null());
}

#[test]
fn bytes_of_a_source_are_counted() {
    let total = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&total);
    let server = serve(move |mut stream, _| {
        while let Ok(count) = stream.write(&[b'x'; 10_000]) {
            sum.fetch_add(count as u64, Ordering::SeqCst);
        }
    });
    let done = bench("source", &server, &["--connections", "2"]);
    done.is_good();
    // The server may not have counted the last write on each connection yet.
    assert!(done.number("bytes_received") <= total.load(Ordering::SeqCst) + 2 * 10_000, "{}", done.report);
    assert_eq!(done.number("count"), done.number("bytes_received"));
}

#[test]
fn sink_and_source_load_the_roles_of_their_names() {
    for workload in ["sink", "source"] {
        let server = Daemon::role(workload, &[]);
        bench(workload, &server.address().to_string(), &["--connections", "3"]).is_good();
    }
}

#[test]
fn churn_makes_a_connection_for_each_message() {
    let accepted = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&accepted);
    let server = serve(move |stream, _| {
        sum.fetch_add(1, Ordering::SeqCst);
        echo(stream, |_, _| true);
    });
    let done = bench("churn", &server, &["--connections", "4", "--size", "1000"]);
    done.is_good();
    let (count, opened, accepted) = (done.number("count"), done.number("opened"), accepted.load(Ordering::SeqCst));
    assert!(count <= opened && count <= accepted, "{} and {accepted} accepted", done.report);
    assert!(opened <= count + 4, "each slot has one connection at a time: {}", done.report);
    assert_eq!(done.report["unit"], "connections");
}

#[test]
fn in_a_chat_each_line_may_be_read_by_all_others() {
    let room = Daemon::chat(&[]);
    let flags = ["--connections", "5", "--senders", "3", "--depth", "4", "--size", "40"];
    let done = bench("chat", &room.address().to_string(), &flags);
    done.is_good();
    assert_eq!(done.report["latency_us"]["count"], done.report["count"]);
    assert_eq!((done.number("opened"), done.number("unanswered")), (8, 0));
    assert_eq!(done.report["unit"], "deliveries");

    let rated = bench("chat", &room.address().to_string(), &["--connections", "5", "--senders", "3", "--rate", "100"]);
    rated.is_good();
    // Seven guests hear each line. Lines are due at 100 a second, from the first moment on.
    let lines = 1.0 + 100.0 * rated.report["seconds"].as_f64().unwrap();
    assert!(rated.number("count") as f64 <= 7.0 * lines, "{}", rated.report);

    // A room that sends a line to its author too is a chat as well.
    let room = Daemon::chat(&["--echo"]);
    bench("chat", &room.address().to_string(), &flags).is_good();
}

#[test]
fn idle_connections_that_stay_are_counted() {
    let server = Daemon::echo(&[]);
    let done = bench("idle", &server.address().to_string(), &["--connections", "200"]);
    done.is_good();
    assert_eq!((done.number("count"), done.number("opened"), done.number("stayed")), (200, 200, 200));

    let server = serve(|mut stream, number| {
        if number % 2 == 0 {
            let _ = stream.read(&mut [0]);
        }
    });
    let done = bench("idle", &server, &["--connections", "20"]);
    assert_eq!(done.code, 1);
    assert_eq!((done.number("opened"), done.number("stayed"), done.number("lost")), (20, 10, 10));
    assert!(done.problems().contains("lost 10 connections: the server ended it"), "{}", done.report);
}

// ---------------------------------------------------------------------------------------------------------------------
// What goes wrong
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn a_wrong_byte_is_found_where_it_is() {
    let server = serve(|stream, number| {
        echo(stream, |bytes, before| {
            if let Some(byte) = 1000_u64.checked_sub(before).and_then(|at| bytes.get_mut(at as usize))
                && number == 1
            {
                *byte ^= 1;
            }
            true
        });
    });
    let done = bench("echo", &server, &["--connections", "3", "--size", "300"]);
    assert_eq!(done.code, 1);
    assert_eq!(done.report["wrong"]["after_bytes"], 1000);
    assert_eq!(done.report["wrong"]["connections"], 1);
    assert!(done.problems().contains("wrong bytes on 1 connection, first on number"), "{}", done.report);
    assert_eq!((done.number("stayed"), done.number("lost")), (2, 0), "the others go on: {}", done.report);
}

#[test]
fn more_than_was_sent_is_wrong() {
    let server = serve(|stream, _| {
        let mut other = stream.try_clone().unwrap();
        echo(stream, |bytes, _| other.write_all(bytes).is_ok());
    });
    let done = bench("request", &server, &["--send", "x", "--expect", "x", "--connections", "1"]);
    assert_eq!(done.code, 1);
    assert!(done.problems().contains("an answer to nothing"), "{}", done.report);
}

#[test]
fn bytes_of_another_connection_are_wrong() {
    // The first one hears itself, each later one what the one before it has said.
    let said = Arc::new(std::sync::Mutex::new(Vec::new()));
    let server = serve(move |stream, _| {
        echo(stream, |bytes, _| {
            let mut said = said.lock().unwrap();
            if said.is_empty() {
                said.extend_from_slice(bytes);
            }
            said.swap_with_slice(bytes);
            true
        });
    });
    let done = bench("churn", &server, &["--connections", "2"]);
    assert_eq!(done.code, 1);
    assert_eq!(done.report["wrong"]["after_bytes"], 0);
}

/// A room that passes on what `change` makes of each line.
fn room(change: impl Fn(&str) -> Vec<String> + Send + Sync + 'static) -> String {
    let guests = std::sync::Mutex::new(Vec::<(usize, TcpStream)>::new());
    serve(move |stream, number| {
        guests.lock().unwrap().push((number, stream.try_clone().unwrap()));
        let lines = std::io::BufRead::lines(std::io::BufReader::new(stream));
        for line in lines.map_while(Result::ok) {
            for line in change(&line) {
                for (_, guest) in guests.lock().unwrap().iter_mut().filter(|(guest, _)| *guest != number) {
                    let _ = guest.write_all(format!("somebody: {line}\n").as_bytes());
                }
            }
        }
    })
}

/// Each line has its number in it.
fn is_number_3(line: &str) -> bool {
    line.contains(" 0000000003 ")
}

#[test]
fn a_line_that_is_missing_doubled_or_changed_is_wrong() {
    let flags = ["--connections", "2", "--senders", "1", "--depth", "2"];
    let good = room(|line| vec![line.to_owned()]);
    bench("chat", &good, &flags).is_good();

    let missing = room(|line| if is_number_3(line) { vec![] } else { vec![line.to_owned()] });
    let done = bench("chat", &missing, &flags);
    assert_eq!(done.code, 1);
    assert!(done.problems().contains("line 4 of sender 0 came, but 3 was expected"), "{}", done.report);

    let doubled = room(|line| vec![line.to_owned(); 1 + usize::from(is_number_3(line))]);
    let done = bench("chat", &doubled, &flags);
    assert_eq!(done.code, 1);
    assert!(done.problems().contains("line 3 of sender 0 came, but 4 was expected"), "{}", done.report);

    let changed = room(|line| vec![if is_number_3(line) { line.replacen('x', "y", 1) } else { line.to_owned() }]);
    let done = bench("chat", &changed, &flags);
    assert_eq!(done.code, 1);
    assert!(done.problems().contains("a line was changed"), "{}", done.report);
}

#[test]
fn guests_that_join_late_are_waited_for() {
    let server = serve(|stream, number| {
        // Each guest joins 50 ms after the one before. So the last one joins long after all have connected.
        static ROOM: std::sync::Mutex<Vec<(usize, TcpStream)>> = std::sync::Mutex::new(Vec::new());
        thread::sleep(Duration::from_millis(50) * number as u32);
        ROOM.lock().unwrap().push((number, stream.try_clone().unwrap()));
        echo(stream, |bytes, _| {
            for (_, guest) in ROOM.lock().unwrap().iter_mut().filter(|(guest, _)| *guest != number) {
                let _ = guest.write_all(bytes);
            }
            true
        });
    });
    let done = bench("chat", &server, &["--connections", "4", "--senders", "1"]);
    done.is_good();

    let done = bench("chat", &Daemon::echo(&[]).address().to_string(), &["--connections", "3", "--senders", "1"]);
    assert_eq!(done.code, 1);
    assert_eq!(done.report["wrong"]["connections"], 3);
    assert!(done.problems().contains("it receives no line of the others: is this a chat?"), "{}", done.report);
}

#[test]
fn a_refused_connection_is_told_at_once() {
    let address = free_address().to_string();
    for workload in ["echo", "sink", "source", "churn", "chat", "idle"] {
        let mut bench = Daemon::launch(&["bench", workload, &address, "--duration", "1h"]);
        bench.exits_with(1);
        let log = bench.log();
        assert!(log.contains(&format!("cannot load {address}")) && log.contains("connection refused"), "{log}");
        assert_eq!(bench.whole_output(), "");
    }
}

#[test]
fn connections_that_are_lost_are_counted_and_the_others_go_on() {
    let server = serve(|stream, number| echo(stream, |_, before| number != 0 || before < 640));
    let done = bench("echo", &server, &["--connections", "4"]);
    assert_eq!(done.code, 1);
    assert_eq!((done.number("lost"), done.number("stayed"), done.number("unanswered")), (1, 3, 0));
    assert!(done.problems().contains("lost 1 connection: "), "{}", done.report);
}

#[test]
fn a_run_whose_connections_are_all_lost_is_over() {
    let server = serve(|stream, _| echo(stream, |_, before| before < 640));
    let done = bench("echo", &server, &["--connections", "4", "--duration", "1h"]);
    assert_eq!(done.code, 1);
    assert_eq!((done.number("lost"), done.number("stayed")), (4, 0));
}

#[test]
fn messages_without_an_answer_are_a_problem() {
    let server = serve(|mut stream, _| while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
    let done = bench("echo", &server, &["--connections", "2", "--depth", "3", "--duration", "50ms"]);
    assert_eq!(done.code, 1);
    assert_eq!((done.number("unanswered"), done.number("count")), (6, 0));
    assert!(done.problems().contains("missing 6 answers"), "{}", done.report);
}

#[test]
fn more_connections_than_descriptors_are_refused_with_the_way_out() {
    let mut command = support::program_after("ulimit -n 100");
    command.args(["bench", "idle", "127.0.0.1:1", "--connections", "1000"]);
    let mut bench = Daemon::launch_with(&mut command, support::Stderr::Kept);
    bench.exits_with(1);
    assert!(bench.log().contains("1000 connections are more than the descriptor limit has room for (36)"));
}

// ---------------------------------------------------------------------------------------------------------------------
// An open loop
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn a_rate_is_kept_and_not_passed() {
    let server = Daemon::echo(&[]);
    let flags = ["--rate", "500", "--connections", "4", "--duration", "400ms"];
    let done = bench("echo", &server.address().to_string(), &flags);
    done.is_good();
    let due = 500.0 * done.report["seconds"].as_f64().unwrap();
    let count = done.number("count") as f64;
    assert!(count >= due / 2.0 && count <= due + 1.0, "{count} of {due}: {}", done.report);
    assert_eq!(done.report["rate"], 500);
}

#[test]
fn with_a_rate_the_wait_for_a_sleeping_server_counts_as_latency() {
    const ASLEEP: Duration = Duration::from_millis(200);
    let server = serve(|stream, _| {
        echo(stream, |_, before| {
            if before == 0 {
                thread::sleep(ASLEEP);
            }
            true
        });
    });
    let flags = ["--rate", "1000", "--connections", "1", "--duration", "500ms"];
    let done = bench("echo", &server, &flags);
    assert_eq!(done.code, 0, "{}", done.report);
    // Of 500 messages 200 were due while it slept, and half of those waited for half of that time. A loop that sends
    // when an answer has come would know of one message that was late.
    assert!(done.latency_ms("p90") >= 90.0, "{}", done.report);
    assert!(done.latency_ms("max") >= 199.0, "{}", done.report);
}

#[test]
fn a_rate_that_the_server_cannot_keep_is_a_problem() {
    let server = serve(|stream, _| {
        echo(stream, |_, _| {
            thread::sleep(Duration::from_millis(20));
            true
        });
    });
    let done = bench("echo", &server, &["--rate", "1000", "--connections", "1"]);
    assert_eq!(done.code, 0, "{}", done.report);
    let unsent = done.number("unsent");
    assert!(unsent >= 200, "of 300 at most 15 could be sent: {}", done.report);
    assert!(done.report["notes"].to_string().contains("the rate of 1000/s was not reached"), "{}", done.report);
}

// ---------------------------------------------------------------------------------------------------------------------
// What is told
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn a_signal_ends_it_early_with_what_was_measured() {
    let echoed = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&echoed);
    let server = serve(move |stream, _| {
        echo(stream, |bytes, _| {
            sum.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            true
        });
    });
    let words = ["bench", "echo", &server, "--connections", "2", "--warmup", "0", "--duration", "1h", "--json"];
    let bench = Daemon::launch(&words);
    wait_until("a thousand messages", || echoed.load(Ordering::SeqCst) >= 64_000);
    bench.signal(Signal::INT);
    let done = finish(bench);
    done.is_good();
    assert_eq!(done.report["interrupted"], true);
}

#[test]
fn the_summary_goes_to_stdout_and_nothing_to_stderr() {
    let server = Daemon::echo(&[]);
    let address = server.address().to_string();
    let mut bench = Daemon::launch(&["bench", "echo", &address, "--duration", "200ms", "--warmup", "1ms"]);
    bench.exits_with(0);
    let output = bench.whole_output();
    let first = format!("echo on {address}: 64 connections, 64 bytes, 1 in flight on each\n");
    assert!(output.starts_with(&first), "{output}");
    for word in ["  messages ", "/s\n", "  latency ", "50 %", "  this client "] {
        assert!(output.contains(word), "no {word} in\n{output}");
    }
    assert!(!output.contains("PROBLEM"), "{output}");
    assert_eq!(bench.log(), "");
}

#[test]
fn a_plot_is_an_svg() {
    let server = Daemon::echo(&[]);
    let address = server.address().to_string();
    let folder = Folder::new();
    let path = folder.path("echo.svg");
    bench("echo", &address, &["--plot", path.to_str().unwrap()]).is_good();
    let svg = std::fs::read_to_string(&path).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
    for part in ["latency by percentile", "throughput per second", "prefers-color-scheme: dark", "<polyline"] {
        assert!(svg.contains(part), "no {part} in\n{svg}");
    }
}

#[test]
fn a_plot_that_cannot_be_written_is_an_error_before_anything_is_measured() {
    let untouched = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = untouched.local_addr().unwrap().to_string();
    let nowhere = "/there/is/no/such/folder.svg";
    let mut bench = Daemon::launch(&["bench", "echo", &address, "--duration", "1h", "--plot", nowhere]);
    bench.exits_with(1);
    assert!(bench.log().contains(&format!("cannot write {nowhere}")), "{}", bench.log());
    untouched.set_nonblocking(true).unwrap();
    assert_eq!(untouched.accept().unwrap_err().kind(), ErrorKind::WouldBlock);

    // A run that does not begin leaves no file, and does not change a file that is there.
    let path = std::env::temp_dir().join(format!("tidegate-bench-none-{}.svg", std::process::id()));
    let nobody = free_address().to_string();
    let fails = || Daemon::launch(&["bench", "echo", &nobody, "--plot", path.to_str().unwrap()]).exits_with(1);
    fails();
    assert!(!path.exists());
    std::fs::write(&path, "another's").unwrap();
    fails();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another's");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_usage_error_exits_with_2() {
    let wrong: [(&[&str], &str); 6] = [
        (&["bench", "knit"], "unrecognized subcommand"),
        (&["bench", "echo", "127.0.0.1"], "it has no port"),
        (&["bench", "echo", "--duration", "0"], "nothing to measure"),
        (&["bench", "source", "--rate", "1"], "unexpected argument"),
        (&["bench", "request", "--send", r"\q", "--expect", "x"], "the escapes are"),
        (&["bench", "echo", "--size", "1G", "--depth", "2"], "more than 1GiB"),
    ];
    for (words, message) in wrong {
        let mut bench = Daemon::launch(words);
        bench.exits_with(2);
        assert!(bench.log().contains(message), "{words:?}: {}", bench.log());
        assert_eq!(bench.whole_output(), "");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn there_is_one_thread() {
    let server = Daemon::echo(&[]);
    let address: SocketAddr = server.address();
    let bench = Daemon::launch(&["bench", "echo", &address.to_string(), "--duration", "1h"]);
    wait_until("64 connections", || bench.descriptors() >= 64);
    assert_eq!(bench.status("Threads"), 1);
}
