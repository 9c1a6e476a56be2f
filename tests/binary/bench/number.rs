//! `-n`: a number of messages ends the run.

use super::*;

/// An echo, and how many bytes it has read.
fn counting_echo() -> (String, Arc<AtomicU64>) {
    let total = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&total);
    let server = serve(move |stream, _| {
        echo(stream, |bytes, _| {
            sum.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            true
        });
    });
    (server, total)
}

#[test]
fn so_many_messages_are_sent_and_answered_and_no_more() {
    let each: [&[&str]; 5] = [&[], &["--depth", "7"], &["--depth", "100"], &["-c", "1"], &["--rate", "2000"]];
    for number in ["1", "63", "500"] {
        for flags in each {
            let (server, total) = counting_echo();
            let done = bench("echo", &server, &[&["-n", number, "--size", "10"][..], flags].concat());
            done.is_good();
            let expected: u64 = number.parse().unwrap();
            assert_eq!(
                (done.number("count"), done.number("number")),
                (expected, expected),
                "{flags:?} {}",
                done.report
            );
            assert_eq!(done.report["latency_us"]["count"], expected);
            assert_eq!((total.load(Ordering::SeqCst), done.number("bytes_sent")), (expected * 10, expected * 10));
            assert_eq!((done.number("unsent"), done.number("unanswered")), (0, 0));
        }
    }
}

#[test]
fn each_workload_with_messages_has_a_number() {
    let (server, total) = counting_echo();
    let flags = ["-n", "100", "--send", "abc", "--expect", "abc", "-c", "3", "--depth", "2"];
    let done = bench("request", &server, &flags);
    done.is_good();
    assert_eq!((done.number("count"), total.load(Ordering::SeqCst)), (100, 300));

    let (server, total) = counting_echo();
    let done = bench("churn", &server, &["-n", "100", "-c", "8", "--size", "5"]);
    done.is_good();
    assert_eq!((done.number("count"), done.number("opened"), total.load(Ordering::SeqCst)), (100, 100, 500));

    let sink = Daemon::role("sink", &[]);
    let done = bench("sink", &sink.address().to_string(), &["-n", "1000", "-c", "3", "--size", "100K"]);
    done.is_good();
    assert_eq!(done.number("count"), 1000 * 100 * 1024);

    let room = Daemon::chat(&[]);
    let done = bench("chat", &room.address().to_string(), &["-n", "100", "-c", "4", "--senders", "3"]);
    done.is_good();
    assert_eq!(done.number("count"), 100 * 6, "each line is delivered to all others");
}

#[test]
fn after_a_warm_up_the_number_is_that_of_the_measurement() {
    let (server, total) = counting_echo();
    let done = bench("echo", &server, &["-n", "200", "--warmup", "50ms", "--depth", "3"]);
    done.is_good();
    assert_eq!(done.number("count"), 200);
    assert!(total.load(Ordering::SeqCst) > 200 * 64);
}

#[test]
fn the_number_or_the_time_is_first() {
    let (server, _) = counting_echo();
    let done = bench("echo", &server, &["-n", "10", "--duration", "1h"]);
    done.is_good();
    assert_eq!(done.number("count"), 10);

    let done = bench("echo", &server, &["-n", "1000000", "--duration", "200ms", "--rate", "1000"]);
    done.is_good();
    assert!(done.number("count") <= 400, "{}", done.report);
    assert!(done.report["notes"].to_string().contains("were not sent: --duration was over"), "{}", done.report);
}

#[test]
fn a_server_that_answers_no_more_is_given_up() {
    let server = serve(|stream, _| echo(stream, |_, before| before < 640));
    let done = bench("echo", &server, &["-n", "1000", "-c", "4"]);
    assert_eq!(done.code, 1);
    assert!(done.problems().contains("were not sent: no connection was left"), "{}", done.report);

    // Some answers come, and then nothing, for longer than anything else here waits.
    let server = serve(|stream, _| {
        let mut rest = stream.try_clone().unwrap();
        echo(stream, |_, before| before < 640);
        while rest.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
    });
    let bench = Daemon::launch(&["bench", "echo", &server, "-n", "1000", "-c", "4", "--json"]);
    thread::sleep(Duration::from_secs(6)); // it takes 12 s, and the wait for its exit is 10 s long
    let done = finish(bench);
    assert_eq!((done.code, done.number("unanswered")), (1, 4), "{}", done.report);
    assert!(done.problems().contains("were not sent: nothing came for 10.00 s"), "{}", done.report);
}

#[test]
fn what_a_sink_has_queued_was_not_sent() {
    let server = serve(|stream, _| {
        let _stream = stream;
        thread::sleep(Duration::from_secs(60));
    });
    let flags = ["-n", "2", "-c", "2", "--size", "64M", "--duration", "300ms"];
    let done = bench("sink", &server, &flags);
    assert!(done.report["notes"].to_string().contains("2 of 2 were not sent: --duration was over"), "{}", done.report);
    assert_eq!(done.code, 1, "{}", done.report);
}
