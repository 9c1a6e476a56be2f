//! An open loop: messages are due at a rate, whatever the server does.

use super::*;

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

/// An echo that answers nothing more after so many bytes on a connection, until the other side has gone.
fn freezing_echo(after: u64) -> String {
    serve(move |stream, _| {
        let mut rest = stream.try_clone().unwrap();
        echo(stream, |_, before| before < after);
        while rest.read(&mut [0; 65_536]).is_ok_and(|count| count > 0) {}
    })
}

#[test]
fn what_is_still_waiting_at_the_end_counts_with_its_wait() {
    // 20 messages of 64 bytes on each of the four connections are answered, within 80 ms. Of 1000 that are due in a second,
    // half have waited for half a second or more.
    let flags = ["--rate", "1000", "--connections", "4", "--duration", "1s"];
    let done = bench("echo", &freezing_echo(20 * 64), &flags);
    assert_eq!(done.code, 1);
    let (unsent, unanswered) = (done.number("unsent"), done.number("unanswered"));
    assert!(unsent > 800 && (1..=4).contains(&unanswered), "{}", done.report);
    assert_eq!(done.report["latency_us"]["waiting"], unsent + unanswered);
    assert!(done.latency_ms("p50") > 350.0 && done.latency_ms("p75") > 600.0, "{}", done.report);
    assert!(done.latency_ms("p95") > 800.0 && done.latency_ms("max") > 900.0, "{}", done.report);
    assert!(done.report["notes"].to_string().contains("did not come: the latencies count them"), "{}", done.report);
}

#[test]
fn without_a_rate_what_is_still_waiting_counts_too() {
    let flags = ["--connections", "4", "--duration", "600ms"];
    let done = bench("echo", &freezing_echo(0), &flags);
    assert_eq!(done.code, 1);
    assert_eq!((done.number("count"), done.number("unanswered")), (0, 4));
    assert_eq!(done.report["latency_us"]["waiting"], 4);
    assert!(done.latency_ms("min") > 599.0, "{}", done.report);

    // A server that comes back after the end: its answers have their whole latency.
    let server = serve(|stream, _| {
        echo(stream, |_, _| {
            thread::sleep(Duration::from_millis(700));
            true
        });
    });
    for workload in ["echo", "churn"] {
        let done = bench(workload, &server, &["--connections", "2", "--duration", "100ms"]);
        assert_eq!((done.number("count"), done.number("unanswered")), (0, 0), "{}", done.report);
        assert_eq!(done.report["latency_us"]["count"], 2);
        assert!(done.latency_ms("min") >= 699.0, "{}", done.report);
    }
}
