use std::io::Write;
use std::process::Stdio;

use super::{consumer, has_consumers, hub, hub_from, path, producer};
use crate::support::Signal;
use crate::support::folder::Folder;

#[test]
fn when_standard_input_has_ended_consumers_are_ended_after_the_last_frame() {
    let (read, mut write) = std::io::pipe().unwrap();
    let mut hub = hub_from(&["--in", "-", "--out", "0"], Stdio::from(read));
    let (mut anna, mut bob) = (consumer(&hub), consumer(&hub));
    has_consumers(&hub, 2);
    write.write_all(b"one\ntwo\nno end").unwrap();
    drop(write);
    for heard in [&mut anna, &mut bob] {
        assert_eq!(heard.hears_to_the_end(), ["one", "two", "no end"]);
    }
    drop((anna, bob));
    hub.exits_with(0);
    assert!(hub.log().contains("all inputs have ended"), "{}", hub.log());
}

#[test]
fn a_file_that_is_held_is_read_whole_by_its_first_consumer() {
    let folder = Folder::new();
    let file = folder.path("file");
    let text: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
    std::fs::write(&file, &text).unwrap();
    // Without a bound to skip frames at, this is a lossless transfer.
    let mut hub = hub(&["--in", &format!("file:{}", path(&file)), "--out", "0", "--hold", "--slow", "pause"]);
    let mut heard = consumer(&hub);
    heard.receives(text.as_bytes());
    heard.ends();
    drop(heard);
    hub.exits_with(0);
}

#[test]
fn at_a_signal_what_has_come_is_passed_on_and_a_slow_consumer_gets_the_rest() {
    let mut hub = hub(&["--in", "listen:0", "--out", "0", "--queue", "8M"]);
    let mut producer = producer(&hub);
    let mut slow = super::Client::connect_narrow(super::address_of(&hub, "out"));
    has_consumers(&hub, 1);
    let text: Vec<u8> =
        (0..80_000).flat_map(|number| format!("{number:09} {}\n", "x".repeat(89)).into_bytes()).collect();
    producer.sends(&text);
    producer.sends(b"the last\n");
    crate::support::wait_until("all has come", || {
        hub.signal(Signal::USR1);
        hub.log().contains("80001 frames since it joined")
    });
    hub.signal(Signal::TERM);
    slow.receives(&text);
    slow.receives(b"the last\n");
    slow.ends();
    drop((slow, producer));
    hub.exits_with(0);
}

#[test]
fn a_consumer_that_reads_nothing_is_reported_and_the_exit_code_says_so() {
    let mut hub = hub(&["--in", "listen:0", "--out", "0", "--queue", "8M", "--drain-timeout", "300ms"]);
    let mut producer = producer(&hub);
    let _stuck = super::Client::connect_narrow(super::address_of(&hub, "out"));
    has_consumers(&hub, 1);
    let line = [&[b'x'; 99][..], b"\n"].concat();
    producer.sends(&line.repeat(80_000));
    crate::support::wait_until("all has come", || {
        hub.signal(Signal::USR1);
        hub.log().contains("80000 frames since it joined")
    });
    hub.signal(Signal::TERM);
    hub.exits_with(1);
    let sum = hub.logs("its sum", |line| line.contains("80000 frames since it joined: ") && line.contains(" unsent, "));
    let number = |after: &str| {
        let word = sum.split(after).next().unwrap().rsplit(' ').next().unwrap();
        word.parse::<u64>().unwrap()
    };
    assert_eq!(number(" taken,") + number(" unsent,") + number(" skipped"), 80_000, "{sum}");
    assert!(number(" unsent,") > 0, "{sum}");
}
