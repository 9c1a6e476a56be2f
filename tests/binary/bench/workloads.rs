//! Each workload counts what happened.

use super::*;

#[test]
fn echo_counts_the_messages_that_came_back() {
    let server = Daemon::echo(&[]);
    let done = bench("echo", &server.address().to_string(), &["--connections", "8", "--size", "100", "--depth", "4"]);
    done.is_good();
    let (count, received) = (done.number("count"), done.number("bytes_received"));
    // Messages that had arrived in part, at the beginning and at the end, are at most all that was in flight.
    assert!(received.abs_diff(count * 100) <= 8 * 4 * 100, "{}", done.report);
    // Those that were in flight at the end and came after it have a latency too.
    let latencies = done.report["latency_us"]["count"].as_u64().unwrap();
    assert!((count..=count + 8 * 4).contains(&latencies), "{}", done.report);
    assert_eq!(done.report["latency_us"]["waiting"], 0);
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
    let latencies = done.report["latency_us"]["count"].as_u64().unwrap();
    assert!((done.number("count")..=done.number("count") + 4 * 7).contains(&latencies), "{}", done.report);
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
