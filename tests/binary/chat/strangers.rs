//! Clients that are no chat clients: they are told so, and say nothing.

use crate::support::{Client, Daemon};

/// A room in which one guest hears what happens, and a client that has been greeted.
fn room_and_client() -> (Daemon, Client, Client) {
    let room = Daemon::chat(&[]);
    let [anna] = room.guests();
    let mut client = room.join();
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
        "GET /room HTTP/1.0",
        "OPTIONS * HTTP/1.1",
        "PRI * HTTP/2.0",
        &format!("GET {target} HTTP/1.1"),
    ] {
        let (room, mut anna, mut client) = room_and_client();
        client.sends(format!("{request_line}\r\nHost: 127.0.0.1\r\n\r\nhello\n/nick boss\n").as_bytes());
        let answer = client.hears_to_the_end();
        assert_eq!(answer[0], "HTTP/1.1 400 Bad Request\r", "{request_line}");
        nobody_noticed(&room, &mut anna);
    }
}

#[test]
fn a_request_that_comes_byte_by_byte_or_after_empty_lines_is_one_too() {
    let (room, mut anna, mut client) = room_and_client();
    b"\r\n\r\nGET / HTTP/1.1\r\n".iter().for_each(|byte| client.sends(&[*byte]));
    client.hears("HTTP/1.1 400 Bad Request\r");
    nobody_noticed(&room, &mut anna);
}

#[test]
fn ssh_and_proxies_are_told_so() {
    for first in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello\r\n",
        b"PROXY UNKNOWN\r\nhello\n",
    ] {
        let (room, mut anna, mut client) = room_and_client();
        client.sends(first);
        let answer = client.hears_line();
        assert!(answer.starts_with("* this is a chat room"), "{answer}");
        client.ends();
        nobody_noticed(&room, &mut anna);
    }
}

/// They may wait for an answer before they send a line end.
#[test]
fn tls_and_the_binary_header_of_a_proxy_are_known_without_a_line() {
    for first in [&b"\x16\x03\x01\x02\0"[..], b"\x16\x03", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0chello\n"] {
        for byte_by_byte in [false, true] {
            let (room, mut anna, mut client) = room_and_client();
            if byte_by_byte {
                first[..first.len().min(12)].iter().for_each(|byte| client.sends(&[*byte]));
            } else {
                client.sends(first);
            }
            let answer = client.hears_line();
            assert!(answer.starts_with("* this is a chat room"), "{answer}");
            client.ends();
            nobody_noticed(&room, &mut anna);
        }
    }
}

#[test]
fn what_only_looks_like_it_is_said() {
    for line in ["GET lost", "PROXY servers are slow", "SSH-keys are nice", "SSH-2.0", "I like HTTP/1.1", "\x16 hello"]
    {
        let (_room, mut anna, mut bob) = room_and_client();
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
    let (_room, mut anna, mut client) = room_and_client();
    anna.hears("* guest2 joined; 2 online");
    client.sends(b"GET / HTTP/1.1\r\n\r\n");
    client.hears("HTTP/1.1 400 Bad Request\r");
    anna.hears("* guest2 left; 1 online");
    anna.hears_nothing();
}

#[test]
fn a_request_without_an_end_of_its_line_is_judged_at_the_end() {
    let (room, mut anna, mut client) = room_and_client();
    client.sends(b"GET / HTTP/1.1");
    client.ends_its_side();
    client.hears("HTTP/1.1 400 Bad Request\r");
    nobody_noticed(&room, &mut anna);
}
