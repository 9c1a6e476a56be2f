//! `tidegate inspect`: in a terminal, once, and for scripts.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread;

use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;

use crate::support::folder::Folder;
use crate::support::inspector::inspected_echo;
use crate::support::terminal::{open_terminal, pseudo_terminal};
use crate::support::{Daemon, Transcript, free_address, program};

fn inspect(words: &[&str]) -> Output {
    program().arg("inspect").args(words).env_remove("TIDEGATE_INSPECT_KEY").output().unwrap()
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn figures_come_first_and_then_the_table_for_who_has_the_key() {
    let (echo, place) = inspected_echo();
    let mut client = echo.join();
    client.says("hello");
    client.hears("hello");
    let shown = text(&inspect(&[&place.url(), "--once"]));
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[0].starts_with(concat!("tidegate ", env!("CARGO_PKG_VERSION"), " echo, up 0 s, listens on ")),
        "{shown}"
    );
    for title in ["loop  ", "turns  ", "bytes  ", "longest  ", "limits  "] {
        assert!(lines.iter().any(|line| line.starts_with(title)), "{title}: {shown}");
    }
    let table = lines.iter().position(|line| *line == "1 connection").unwrap();
    assert!(lines[table + 1].trim_start().starts_with("id"), "{shown}");
    let row: Vec<&str> = lines[table + 2].split_whitespace().collect();
    let id = place.json("/connections")["connections"][0]["id"].as_u64().unwrap();
    assert_eq!(row[..7], [&format!("#{id}"), "0", "B", "6", "B", "6", "B"], "{shown}");
    assert_eq!(row.last().map(|who| who.starts_with("127.0.0.1:")), Some(true));

    // Without the key there are figures, and where the key is.
    let port = place.address.port().to_string();
    let shown = text(&inspect(&[&port, "--once"]));
    assert!(shown.contains("\nThe table of connections needs the key: the log of the role shows it"), "{shown}");
    assert!(!shown.contains("1 connection\n"), "{shown}");
    // A key may be in the environment.
    let output = program().args(["inspect", &port, "--once"]).env("TIDEGATE_INSPECT_KEY", &place.key).output().unwrap();
    assert!(text(&output).contains("\n1 connection\n"), "{output:?}");
    assert!(text(&inspect(&[&port, "--once", "--key", &place.key])).contains("\n1 connection\n"));
}

#[test]
fn a_script_gets_all_of_it_as_json() {
    let (echo, place) = inspected_echo();
    let clients: Vec<_> = (0..3).map(|_| echo.join()).collect();
    crate::support::wait_until("all have come", || place.json("/connections")["count"] == 3);
    let json: Value = serde_json::from_str(&text(&inspect(&[&place.url(), "--json", "--sort", "id"]))).unwrap();
    assert_eq!(json["connections"]["connections"].as_array().unwrap().len(), 3);
    let ids =
        |table: &Value| table["connections"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&json["connections"]), ids(&place.json("/connections?sort=id")));
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&json["statistics"]), names(&place.json("/statistics")));
    let without = text(&inspect(&[&place.address.to_string(), "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&without).unwrap()["connections"], Value::Null);
    drop(clients);
}

#[test]
fn on_a_unix_socket_no_key_is_needed() {
    let folder = Folder::new();
    let at = folder.endpoint("inspect.sock").to_string();
    let echo = Daemon::echo(&["--inspect", &at]);
    echo.logs("where the inspector is", |line| line.contains(&format!("inspect: {at}")));
    let _client = echo.join();
    crate::support::wait_until("it is shown", || text(&inspect(&[&at, "--once"])).contains("\n1 connection\n"));
}

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    let says = |words: &[&str], code: i32, sentence: &str| {
        let output = inspect(words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(sentence), "{words:?}: {said}");
        assert!(output.stdout.is_empty(), "{words:?}");
        assert!(code == 2 || said.lines().count() == 1, "{said}");
    };
    let nobody = free_address().to_string();
    says(&[&nobody, "--once"], 1, &format!("nobody listens on {nobody}: a role does, if it is started with --inspect"));
    says(&["unix:/no/such/socket"], 1, "nobody listens on unix:/no/such/socket");
    let (echo, place) = inspected_echo();
    says(&[&place.address.to_string(), "--key", "nonsense"], 1, "refuses: This needs the key");
    let room = Daemon::chat(&[]);
    let source = Daemon::role("source", &[]);
    for other in [&echo, &room, &source] {
        says(
            &[&other.address().to_string(), "--json"],
            1,
            "is no inspector: write the address that a role has after --inspect",
        );
    }
    // One that says nothing is not waited for without an end.
    let sink = Daemon::role("sink", &[]);
    let at = sink.address().to_string();
    says(&[&at], 1, &format!("{at} has not answered within 5 s"));
    says(&["10.0.0.1:9000"], 2, "'ssh -L 9000:127.0.0.1:9000'");
}

/// A terminal in which it runs.
struct Seat {
    child: std::process::Child,
    user: File,
    screen: Transcript,
}

impl Seat {
    fn shows(words: &[&str], columns: u16, lines: u16) -> Seat {
        let (user, name) = pseudo_terminal();
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&user, size).unwrap();
        let terminal = || open_terminal(&name);
        // With a session and a terminal of its own, so that Ctrl-C is for it.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_tidegate"), "inspect"]).args(words);
        let child = command.stdin(terminal()).stdout(terminal()).stderr(terminal()).spawn().unwrap();
        let user = File::from(user);
        let screen = Transcript::of(user.try_clone().unwrap());
        Seat { child, user, screen }
    }

    /// Waits until this has been written to the terminal.
    #[track_caller]
    fn sees(&self, what: &str, is_there: impl Fn(&str) -> bool) {
        let seen = self.screen.wait_for(|screen| is_there(screen).then_some(()));
        assert!(seen.is_some(), "{what}: {:?}", self.screen.so_far());
    }
}

#[test]
fn a_terminal_is_drawn_anew_and_left_as_it_was() {
    let (echo, place) = inspected_echo();
    let clients: Vec<_> = (0..20).map(|_| echo.join()).collect();
    crate::support::wait_until("all have come", || place.json("/connections")["count"] == 20);
    let mut seat = Seat::shows(&[&place.url()], 60, 15);
    let frame = "\x1b[H";
    seat.sees("it is drawn three times", |screen| screen.matches(frame).count() >= 4);
    let screen = seat.screen.so_far();
    assert!(screen.starts_with("\x1b[?1049h"), "{screen:?}");
    let drawn = screen.split(frame).nth(2).unwrap().replace("\x1b[K", "").replace("\x1b[J", "");
    assert!(drawn.lines().count() <= 15, "{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 60), "{drawn}");
    assert!(drawn.contains("20 connections, by queued") && drawn.contains("(now)"), "{drawn}");
    // One that is gone is said to be, and found again.
    let at = place.address.to_string();
    drop(clients);
    drop(echo);
    seat.sees("it is gone", |screen| screen.contains("nobody listens on"));
    let _echo = Daemon::echo(&["--inspect", &at]);
    seat.sees("the key is another one", |screen| screen.contains("refuses: This needs the key"));
    seat.user.write_all(b"\x03").unwrap();
    assert_eq!(crate::support::exit_of(&mut seat.child).code(), Some(0));
    seat.sees("it leaves the terminal", |screen| screen.contains("\x1b[?7h\x1b[?25h\x1b[?1049l"));
}

/// Whoever listens may answer what they like: nothing of it gets to the terminal that a terminal would obey.
#[test]
fn nothing_that_strangers_have_typed_is_obeyed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let harmful = "\\u001b]0;x\\u0007\\u009b31m\\u202e\\r\\n\u{202e}\u{9b}";
    let statistics = format!("{{\"program\": \"{harmful}\", \"figures\": {{}}, \"uptime_seconds\": 1}}");
    let connections = format!(
        "{{\"count\": 1, \"shown\": 1, \"connections\": [{{\"id\": 1, \"label\": \"{harmful}\", \"state\": \"open\"}}]}}"
    );
    thread::spawn(move || {
        for stream in listener.incoming().take(6) {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..count]).into_owned();
            let body = if head.starts_with("GET /statistics ") { &statistics } else { &connections };
            let answer = if head.contains("Bearer bad") {
                "HTTP/1.1 403 Forbidden\r\n\r\nno \x1b[31m\r\n".to_owned()
            } else {
                format!("HTTP/1.1 200 OK\r\n\r\n{body}")
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let at = address.to_string();
    for words in [&[at.as_str(), "--key", "k", "--once"][..], &[&at, "--key", "k", "--json"], &[&at, "--key", "bad"]] {
        let output = program().arg("inspect").args(words).stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(
            !told.is_empty() && told.chars().all(|it| it == '\n' || !tidegate::is_harmful(it)),
            "{words:?}: {told:?}"
        );
    }
}
