use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::*;
use crate::support::folder::Folder;
use crate::support::{PATIENCE, wait_until};

/// The role answers, and so does the inspector.
#[track_caller]
fn all_is_well(it: &Inspected) {
    let mut client = it.role.join();
    client.sends(b"still there?");
    client.receives(b"still there?");
    assert_eq!(it.metrics().status, 200);
}

/// What is left of the connection: until its end or its reset.
fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8(text).unwrap(),
    }
}

#[test]
fn a_head_has_five_seconds_however_it_trickles() {
    let it = Inspected::role("echo", &[]);
    let mut stream = http::connect(it.at);
    let began = Instant::now();
    let mut head = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec();
    head.resize(10_000, b'x');
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut answer = Vec::new();
    for byte in head {
        assert!(began.elapsed() < PATIENCE, "it trickles on");
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(count) if count > 0 => {
                answer.extend_from_slice(&bytes[..count]);
                break;
            }
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(began.elapsed() >= Duration::from_secs(5));
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    all_is_well(&it);
}

#[test]
fn what_is_no_request_is_refused_at_once_and_the_connection_ends() {
    let it = Inspected::role("echo", &[]);
    let endless = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(1 << 20));
    let fields = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}", "X: y\r\n".repeat(10_000));
    let blank = "\r\n".repeat(1 << 20);
    for (text, status) in [
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}", 400),
        ("hello\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 400),
        (endless.as_str(), 431),
        (fields.as_str(), 431),
        (blank.as_str(), 431),
    ] {
        let mut stream = http::connect(it.at);
        // What comes behind the refusal may not be taken any more.
        let _ = stream.write_all(text.as_bytes());
        let answer = rest(&mut stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{:.40}: {answer}", text);
        assert!(answer.contains("Connection: close"), "{answer}");
    }
    all_is_well(&it);
}

#[test]
fn ten_thousand_requests_at_once_get_their_answers_and_the_role_goes_on() {
    let it = Inspected::role("echo", &[]);
    let mut stream = http::connect(it.at);
    let mut sender = stream.try_clone().unwrap();
    let requests = "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(10_000);
    let sender = std::thread::spawn(move || sender.write_all(requests.as_bytes()));
    for number in 0..10_000 {
        assert_eq!(http::answer(&mut stream, false).status, 200, "{number}");
        if number % 2000 == 0 {
            all_is_well(&it);
        }
    }
    sender.join().unwrap().unwrap();
}

#[test]
fn a_client_that_sends_requests_and_does_not_read_is_not_read_and_put_out() {
    let it = Inspected::role("echo", &[]);
    let mut stuck = http::connect(it.at);
    stuck.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let mut sent = 0;
    // Until it is not read any more.
    while stuck.write_all(requests.as_bytes()).is_ok() {
        sent += requests.len();
        assert!(sent < 256 << 20, "it takes requests without end");
    }
    all_is_well(&it);
    let held = http::get(it.at, "/statistics").json()["figures"]["held_bytes"].as_u64().unwrap();
    assert!(held < 1 << 20, "{held}");
    wait_until("it is put out", || it.metrics().metric("tidegate_limit_used{name=\"inspector_connections\"}") == 1.0);
    all_is_well(&it);
}

#[test]
fn one_that_listens_to_events_and_never_reads_is_put_out() {
    let folder = Folder::new();
    let path = folder.path("echo.sock");
    let unix = format!("unix:{}", path.display());
    // In this order: when the log has the second one, it listens on the first one too.
    let words = ["echo", "--listen", &unix, "--listen", "127.0.0.1:0", "--inspect", "127.0.0.1:0"];
    let mut echo = Daemon::launch(&words);
    echo.finds_its_addresses(1);
    let it = Inspected::of(echo);
    // As little as the system gives, so that it does not take long.
    let stuck = crate::support::Client::connect_narrow(it.at);
    let mut stream = stuck.handle();
    write!(stream, "GET /events?key={} HTTP/1.1\r\nHost: localhost\r\n\r\n", it.key).unwrap();
    // With a slab of thousands an event is long. On a Unix socket they take no ports, which other tests want.
    let clients: Vec<_> = (0..5000).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let began = Instant::now();
    while it.metrics().metric("tidegate_limit_used{name=\"inspector_connections\"}") > 1.0 {
        assert!(began.elapsed() < Duration::from_secs(120), "it is still there");
        crate::support::a_quiet_moment();
    }
    drop(clients);
    all_is_well(&it);
}

#[test]
fn those_who_do_nothing_make_room_and_those_who_ask_do_not() {
    let it = Inspected::role("echo", &[]);
    let idle: Vec<_> = (0..50).map(|_| http::connect(it.at)).collect();
    all_is_well(&it);
    drop(idle);
    // Sixteen that have asked for something: the next one is told so.
    let listening = |_| {
        let mut stream = http::connect(it.at);
        write!(stream, "GET /events?key={} HTTP/1.1\r\nHost: localhost\r\n\r\n", it.key).unwrap();
        http::read_until(&mut stream, "\r\n\r\n");
        stream
    };
    let listening: Vec<_> = (0..16).map(listening).collect();
    let refused = it.metrics();
    assert!(refused.status == 503 && refused.body.contains("16 others"), "{refused:?}");
    drop(listening);
    wait_until("their places are free", || it.metrics().status == 200);
    all_is_well(&it);
}

#[test]
fn one_that_goes_on_sending_after_its_answer_is_reset() {
    let it = Inspected::role("echo", &[]);
    for request in
        ["\u{1}\r\n\r\n".to_owned(), format!("GET /events?key={} HTTP/1.1\r\nHost: localhost\r\n\r\n", it.key)]
    {
        let mut stream = http::connect(it.at);
        stream.write_all(request.as_bytes()).unwrap();
        let zeros = vec![0; 64 << 10];
        let mut sent = 0;
        while stream.write_all(&zeros).is_ok() {
            sent += zeros.len();
            assert!(sent < 64 << 20, "what it sends is read without end");
        }
    }
    all_is_well(&it);
}

#[test]
fn those_who_have_asked_a_part_make_room_too() {
    let it = Inspected::role("echo", &[]);
    let part = |_| {
        let mut stream = http::connect(it.at);
        stream.write_all(b"G").unwrap();
        stream
    };
    let _partial: Vec<_> = (0..16).map(part).collect();
    for _ in 0..20 {
        all_is_well(&it);
    }
}
