//! Clients that are no chat clients: they are told so, and say nothing.

#![cfg(target_os = "linux")]

use crate::support::{Client, Daemon};

/// A client that sends this first, in a room in which somebody hears what happens. It has been greeted.
fn client_that_sends(first: &[u8]) -> (Daemon, Client, Client) {
    let room = Daemon::chat(&[]);
    let [anna] = room.guests();
    let mut client = room.join_saying(first);
    client.hears("* you are guest2; 2 online");
    (room, anna, client)
}

/// Nobody was told of the client, neither before nor now.
#[track_caller]
fn nobody_noticed(room: &Daemon, anna: &mut Client) {
    anna.hears_nothing();
    room.join().says("hello");
    anna.hears_all(["* guest3 joined; 2 online", "guest3: hello"]);
}

#[test]
fn a_web_page_cannot_speak_in_the_room() {
    let target = "/x".repeat(3000);
    for request_line in [
        "POST / HTTP/1.1",
        "\r\n\r\nGET /room HTTP/1.0",
        "OPTIONS * HTTP/1.1",
        "PRI * HTTP/2.0",
        &format!("GET {target} HTTP/1.1"),
    ] {
        let request = format!("{request_line}\r\nHost: 127.0.0.1\r\n\r\nhello\n/nick boss\n");
        let (room, mut anna, mut client) = client_that_sends(request.as_bytes());
        let answer = client.hears_to_the_end();
        assert_eq!(answer[0], "HTTP/1.1 400 Bad Request\r", "{request_line}");
        nobody_noticed(&room, &mut anna);
    }
}

#[test]
fn a_request_without_an_end_of_its_line_is_judged_at_the_end() {
    let (_room, mut anna, mut client) = client_that_sends(b"GET / HTTP/1.1");
    client.ends_its_side();
    client.hears("HTTP/1.1 400 Bad Request\r");
    says_nothing(&mut client, &mut anna);
}

#[test]
fn ssh_tls_and_proxies_are_told_so() {
    for first in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello\r\n",
        b"PROXY UNKNOWN\r\nhello\n",
        // These may wait for an answer before they send a line end.
        b"\x16\x03\x01\x02\0",
        b"\x16\x03",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0chello\n",
    ] {
        let (room, mut anna, mut client) = client_that_sends(first);
        let answer = client.hears_line();
        assert!(answer.starts_with("* this is a chat room"), "{answer}");
        client.ends();
        nobody_noticed(&room, &mut anna);
    }
}

/// The client is disconnected. On a slow machine the others were told that it came and went, and of nothing else.
#[track_caller]
fn says_nothing(client: &mut Client, anna: &mut Client) {
    client.hears_to_the_end();
    anna.says("/nick anna");
    loop {
        match anna.hears_line().as_str() {
            "* guest2 joined; 2 online" | "* guest2 left; 1 online" => {}
            other => return assert_eq!(other, "* guest1 is now anna"),
        }
    }
}

#[test]
fn a_client_that_sends_byte_by_byte_is_known_too() {
    for first in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x\r", b"\x16\x03", b"\r\n\r\n\0\r\nQUIT\n"] {
        let (_room, mut anna, mut client) = client_that_sends(b"");
        first.iter().for_each(|byte| client.sends(&[*byte]));
        says_nothing(&mut client, &mut anna);
    }
}

#[test]
fn what_only_looks_like_it_is_said() {
    for line in ["GET lost", "PROXY servers are slow", "SSH-keys are nice", "SSH-2.0", "I like HTTP/1.1", "\x16 hello"]
    {
        let (_room, mut anna, mut bob) = client_that_sends(b"");
        bob.says(line);
        anna.hears("* guest2 joined; 2 online");
        anna.hears(&format!("guest2: {}", line.trim_start_matches('\x16')));
    }
}

#[test]
fn only_the_first_line_is_judged() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("what does this do?");
    for line in ["GET / HTTP/1.1", "SSH-2.0-x", "PROXY UNKNOWN", "\x16\x03"] {
        bob.says(line);
    }
    anna.hears_all(
        ["what does this do?", "GET / HTTP/1.1", "SSH-2.0-x", "PROXY UNKNOWN"].map(|line| format!("guest2: {line}")),
    );
    anna.hears_nothing();
    bob.hears_nothing();
}

/// A browser connects before it knows what it will ask for.
#[test]
fn a_stranger_that_was_silent_at_first_is_known_too() {
    let (_room, mut anna, mut client) = client_that_sends(b"");
    anna.hears("* guest2 joined; 2 online");
    client.sends(b"GET / HTTP/1.1\r\n\r\n");
    client.hears("HTTP/1.1 400 Bad Request\r");
    anna.hears("* guest2 left; 1 online");
    anna.hears_nothing();
}
