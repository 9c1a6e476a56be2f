//! What goes wrong is found, and named where it is.

use super::*;

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
    let what = done.report["wrong"]["what"].as_str().unwrap();
    assert!(what.starts_with("expected '") && what.ends_with("' came"), "{what}");
    assert_eq!((done.number("stayed"), done.number("lost")), (2, 0), "the others go on: {}", done.report);
}

#[test]
fn what_was_expected_and_what_came_are_shown() {
    let server = serve(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\n\x1b[31m");
        let _ = stream.read(&mut [0; 4096]);
    });
    for (expected, shown) in [
        (r"HTTP/1.1 200 OK\r\n", r"after 9 bytes: expected '200 OK\r\n', but '404 Not Found\r\n\x1b...' came"),
        (r"HTTP/1.1 404 Not Found\r\n\0\xff\\", r"after 24 bytes: expected '\0\xff\\', but '\x1b[31m' came"),
    ] {
        let done = bench("request", &server, &["--send", "x", "--expect", expected, "--connections", "1"]);
        assert_eq!(done.code, 1);
        assert!(done.problems().contains(shown), "{}", done.problems());
    }
}

#[test]
fn more_than_was_sent_is_wrong() {
    let server = serve(|stream, _| {
        let mut other = stream.try_clone().unwrap();
        echo(stream, |bytes, _| other.write_all(bytes).is_ok());
    });
    let done = bench("request", &server, &["--send", "x", "--expect", "x", "--connections", "1"]);
    assert_eq!(done.code, 1);
    assert!(done.problems().contains("an answer to nothing came: 'x"), "{}", done.report);
    let done = bench("echo", &server, &["--connections", "1", "--depth", "2", "--size", "3"]);
    assert_eq!(done.code, 1);
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
    let what = "a line was changed, at byte 33: expected 'xxxxxxxxxxxxxxxx...', but 'yxxxxxxxxxxxxxxx...' came";
    assert!(done.problems().contains(what), "{}", done.report);
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

#[test]
fn a_server_that_accepts_and_says_nothing_is_named_by_what_did_not_come() {
    let server = serve(|stream, _| {
        let _stream = stream;
        thread::sleep(Duration::from_secs(60));
    });
    for (workload, problem) in
        [("echo", "missing 3 answers"), ("churn", "missing 3 answers"), ("source", "nothing came in ")]
    {
        let done = bench(workload, &server, &["--connections", "3", "--duration", "50ms"]);
        assert_eq!(done.code, 1);
        assert!(done.problems().contains(problem), "{}", done.report);
    }
}

#[test]
fn a_room_that_holds_its_senders_back_is_recognised() {
    for flags in
        [&["--connections", "5", "--senders", "3"][..], &["--connections", "1", "--senders", "1", "--depth", "100"]]
    {
        let room = Daemon::chat(&["--flood", "5/10"]);
        let done = bench("chat", &room.address().to_string(), &[flags, &["--duration", "1s"]].concat());
        assert_eq!(done.code, 1, "{}", done.report);
        assert_eq!(done.report["held_back"], true, "{}", done.report);
        assert!(done.problems().contains("Start 'tidegate chat' with '--flood none'"), "{}", done.report);
    }
}

#[test]
fn a_room_that_is_slow_for_everybody_holds_nobody_back() {
    static BUSY: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let slow = |line: &str| {
        thread::sleep(Duration::from_millis(20));
        vec![line.to_owned()]
    };
    let one_by_one = move |line: &str| {
        let _guard = BUSY.lock().unwrap();
        slow(line)
    };
    for address in [room(slow), room(one_by_one)] {
        let flags = ["--connections", "5", "--senders", "3", "--duration", "600ms"];
        let done = bench("chat", &address, &flags);
        done.is_good();
        assert_eq!(done.report["held_back"], false, "{}", done.report);
    }
}
