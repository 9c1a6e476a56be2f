//! The load generator itself is suspended for a while. That is not the server's fault.

use std::sync::atomic::AtomicBool;

use super::*;

const ASLEEP: Duration = Duration::from_millis(2500);

#[test]
fn answers_that_came_while_it_was_suspended_are_not_missing() {
    let answers = Arc::new(AtomicBool::new(true));
    let asked = Arc::new(AtomicU64::new(0));
    let (may_answer, sum) = (Arc::clone(&answers), Arc::clone(&asked));
    let server = serve(move |stream, _| {
        echo(stream, |_, _| {
            sum.fetch_add(1, Ordering::SeqCst);
            while !may_answer.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            true
        });
    });
    let bench =
        Daemon::launch(&["bench", "echo", &server, "-c", "4", "--warmup", "0", "--duration", "300ms", "--json"]);
    wait_until("some answers", || asked.load(Ordering::SeqCst) > 8);
    answers.store(false, Ordering::SeqCst);
    thread::sleep(Duration::from_millis(500)); // the measurement is over: it waits for the last answers
    bench.freeze();
    answers.store(true, Ordering::SeqCst);
    thread::sleep(ASLEEP);
    bench.thaw();
    let done = finish(bench);
    done.is_good();
    assert_eq!(done.number("unanswered"), 0, "{}", done.report);
}

#[test]
fn the_time_in_which_it_was_suspended_is_not_measured() {
    let echoed = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&echoed);
    let server = serve(move |stream, _| {
        echo(stream, |_, _| {
            sum.fetch_add(1, Ordering::SeqCst);
            true
        });
    });
    let words = ["bench", "echo", &server, "-c", "4", "--rate", "200", "--warmup", "0", "--duration", "2s", "--json"];
    let bench = Daemon::launch(&words);
    wait_until("some answers", || echoed.load(Ordering::SeqCst) > 50);
    bench.freeze();
    thread::sleep(ASLEEP);
    bench.thaw();
    let done = finish(bench);
    done.is_good();
    let suspended = done.report["suspended_seconds"].as_f64().unwrap();
    assert!(suspended >= 2.4, "{}", done.report);
    assert!(done.report["notes"].to_string().contains("this process did not run for"), "{}", done.report);
    // The schedule has stood still too: about 400 messages were due in 2 s of running, and those of 2.5 s were not.
    let due = 200.0 * done.report["seconds"].as_f64().unwrap();
    assert!(done.number("count") as f64 <= due + 1.0 && due < 600.0, "{}", done.report);
    assert!(done.latency_ms("max") < 2000.0, "{}", done.report);
}
