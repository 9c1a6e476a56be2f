use super::{address_of, hub};
use crate::support::{Client, Daemon};

#[track_caller]
fn member(hub: &Daemon) -> Client {
    Client::connect(address_of(hub, "in and out"))
}

/// A hub, and so many who have joined it.
#[track_caller]
fn members<const N: usize>(flags: &[&str]) -> (Daemon, [Client; N]) {
    let hub = hub(&[&["--listen", "127.0.0.1:0"], flags].concat());
    let members = [(); N].map(|()| member(&hub));
    super::has_consumers(&hub, N);
    (hub, members)
}

#[test]
fn what_one_says_all_others_hear_byte_for_byte() {
    let (_hub, [mut anna, mut bob, mut carol]) = members(&[]);
    anna.sends(b"hello\r\n\x00\x1b[31m\xff\n");
    bob.receives(b"hello\r\n\x00\x1b[31m\xff\n");
    carol.receives(b"hello\r\n\x00\x1b[31m\xff\n");
    bob.sends(b"yes\n");
    anna.receives(b"yes\n");
    carol.receives(b"yes\n");
}

/// ncat's broker passes on bytes as they come, so that two half lines become one.
#[test]
fn lines_of_several_members_are_never_mixed() {
    let (_hub, [mut anna, mut bob, mut carol]) = members(&[]);
    for _ in 0..20 {
        anna.sends(b"half of one ");
        bob.sends(b"a whole one\n");
        anna.receives(b"a whole one\n");
        anna.sends(b"and the rest\n");
        carol.receives(b"a whole one\nhalf of one and the rest\n");
        bob.receives(b"half of one and the rest\n");
    }
}

/// So `echo hello | nc -N` returns, as with ncat's broker.
#[test]
fn a_member_that_has_said_something_and_ends_its_side_is_heard_to_its_last_line_and_ended() {
    let (_hub, [mut anna, mut bob]) = members(&[]);
    bob.says("hello");
    anna.hears("hello");
    anna.sends(b"the last line has no end");
    anna.ends_its_side();
    bob.receives(b"the last line has no end\n");
    anna.ends();
    bob.says("is anybody there?");
}

/// As `nc` does whose input is `/dev/null`.
#[test]
fn a_member_that_ends_its_side_and_has_said_nothing_goes_on_hearing() {
    let (_hub, [mut anna, mut bob]) = members(&[]);
    anna.ends_its_side();
    for line in ["still there?", "still there"] {
        bob.says(line);
        anna.hears(line);
    }
}

#[test]
fn a_line_that_is_too_long_is_left_out_and_the_log_says_so() {
    let (hub, [mut anna, mut bob]) = members(&["--max-frame", "1000"]);
    anna.sends(&[&[b'x'; 1001][..], b"\n", &[b'y'; 1000], b"\n"].concat());
    bob.receives(&[&[b'y'; 1000][..], b"\n"].concat());
    hub.logs("the line", |line| line.contains(": a line of more than 1000 bytes was left out"));
}

#[test]
fn messages_with_their_length_are_passed_on_whole() {
    let (hub, [mut anna, mut bob]) = members(&["--frames", "u32"]);
    let message = [&5000_u32.to_be_bytes()[..], &[b'\n'; 5000]].concat();
    anna.sends(&message[..3]);
    bob.sends(&message);
    anna.receives(&message);
    anna.sends(&message[3..]);
    bob.receives(&message);
    anna.sends(b"GET / HTTP/1.1\r\n\r\n");
    anna.is_dismissed();
    hub.logs("why", |line| {
        line.contains(" was disconnected: a message of 1195725856 bytes, where --max-frame is 65536 bytes")
    });
}

#[test]
fn the_limits_of_the_other_roles_hold() {
    let hub = hub(&["--listen", "127.0.0.1:0", "--max-connections", "1", "--idle-timeout", "200ms"]);
    let mut anna = member(&hub);
    super::has_consumers(&hub, 1);
    member(&hub).is_dismissed();
    hub.logs("why", |line| line.contains("too many connections, --max-connections is 1"));
    anna.is_dismissed();
}
