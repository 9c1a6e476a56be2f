use super::super::Entry;
use super::super::entry::Malformed;
use super::*;

/// A node with a stream that takes all at once. Time is in milliseconds.
struct Bus {
    node: Node,
    now: u64,
    stream: Vec<(EntryId, Result<Entry, Malformed>)>,
    read: usize,
    is_connected: bool,
    told: Vec<String>,
}

const SETTINGS: Settings =
    Settings { patience: Duration::from_secs(2), outbox_bytes: 2000, catch_up: 3, most_guests: 100 };

impl Bus {
    fn new() -> Self {
        let node = Node::new("web1".into(), 0x3f9a, SETTINGS, Duration::ZERO);
        Bus { node, now: 0, stream: Vec::new(), read: 0, is_connected: false, told: Vec::new() }
    }

    /// One that is together with the others, with guests that have joined. What was told until then is forgotten.
    fn with_guests(guests: u64) -> Self {
        let mut bus = Bus::new();
        bus.connect();
        for guest in 1..=guests {
            bus.act(|node, now| node.arrives(guest, None, now));
            bus.act(|node, now| node.joins(guest, now));
        }
        bus.told.clear();
        bus
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Node, Duration) -> T) -> T {
        let done = act(&mut self.node, Duration::from_millis(self.now));
        self.do_outputs();
        while self.is_connected && self.read < self.stream.len() {
            let entries = self.stream[self.read..].to_vec();
            self.read = self.stream.len();
            self.node.read(&entries, true, Duration::from_millis(self.now));
            self.do_outputs();
        }
        done
    }

    fn do_outputs(&mut self) {
        while let Some(output) = self.node.next_output() {
            match output {
                Output::Publish(entry) => self.add(Ok(entry)),
                Output::ReadFrom(after) => self.read = self.stream.partition_point(|(id, _)| *id <= after),
                told => self.told.push(text(&told)),
            }
        }
    }

    fn add(&mut self, entry: Result<Entry, Malformed>) {
        let number = self.stream.len() as u64;
        self.stream.push((EntryId { milliseconds: 1000 + self.now, number }, entry));
    }

    /// Another node adds an entry.
    fn other(&mut self, sequence: u64, lines: u64, what: What) {
        let born = EntryId { milliseconds: u64::MAX, number: 0 };
        self.add(Ok(Entry { label: "web2".into(), boot: 0xB007, sequence, lines, born, what }));
        if self.is_connected {
            self.act(|_, _| {});
        }
    }

    fn connect(&mut self) {
        self.is_connected = true;
        self.act(Node::connected);
        if self.read == self.stream.len() {
            self.node.read(&[], true, Duration::from_millis(self.now));
            self.act(|_, _| {});
        }
    }

    fn lose(&mut self) {
        self.is_connected = false;
        self.act(Node::lost);
    }

    fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds;
        self.act(Node::expire);
    }

    fn says(&mut self, guest: u64, text: &str) {
        self.act(|node, now| node.says(guest, text, now));
    }

    #[track_caller]
    fn assert_told(&mut self, told: &[&str]) {
        assert_eq!(std::mem::take(&mut self.told), told);
    }
}

fn text(output: &Output) -> String {
    match output {
        Output::Named { guest, name, is_first: true } => format!("{guest} is {name}"),
        Output::Named { guest, name, is_first: false } => format!("{guest} is now {name}"),
        Output::Refused { guest, wanted, taken_by } => format!("{guest} is not {wanted}, as {taken_by} is"),
        Output::Said { name, text, .. } => format!("{name}: {text}"),
        Output::Joined { name, online, .. } => format!("* {name} joined; {online} online"),
        Output::Left { name, online } => format!("* {name} left; {online} online"),
        Output::Renamed { from, to, .. } => format!("* {from} is now {to}"),
        Output::Notice(notice) => format!("* {notice}"),
        Output::Publish(_) | Output::ReadFrom(_) => unreachable!(),
    }
}

fn say(text: &str) -> What {
    What::Say { guest: 1, text: text.into() }
}

#[test]
fn what_is_said_is_told_when_it_is_read() {
    let mut bus = Bus::new();
    bus.connect();
    bus.act(|node, now| node.arrives(7, None, now));
    bus.assert_told(&["7 is guest1"]);
    bus.act(|node, now| node.joins(7, now));
    bus.assert_told(&["* guest1 joined; 1 online"]);
    bus.other(1, 0, What::Hello);
    bus.other(2, 0, What::Claim { guest: 1, name: "anna".into() });
    bus.other(3, 1, say("hello"));
    bus.assert_told(&["anna: hello"]);
    bus.act(|node, now| node.says(7, "hi", now));
    bus.assert_told(&["guest1: hi"]);
    bus.act(|node, now| node.leaves(7, now));
    bus.assert_told(&["* guest1 left; 0 online"]);
}

#[test]
fn nothing_is_told_before_the_connection_while_the_patience_lasts() {
    let mut bus = Bus::with_guests(1);
    bus.lose();
    bus.says(1, "are you there?");
    bus.wait(1999);
    bus.assert_told(&[]);
    assert_eq!(bus.node.next_deadline(), Some(Duration::from_millis(2000)));
    bus.connect();
    bus.assert_told(&["guest1: are you there?"]);
}

#[test]
fn away_all_is_told_at_once_and_not_again() {
    let mut bus = Bus::with_guests(2);
    bus.lose();
    bus.says(1, "first");
    bus.wait(2000);
    bus.assert_told(&["* the other machines are out of reach; 2 here hear you", "guest1: first"]);
    bus.says(2, "second");
    bus.act(|node, now| node.renames(2, "anna", now)).unwrap();
    bus.says(2, "third");
    bus.act(|node, now| node.renames(1, "ANNA", now)).unwrap();
    bus.assert_told(&["guest2: second", "* guest2 is now anna", "anna: third", "1 is not ANNA, as anna is"]);
    bus.other(1, 0, What::Hello);
    bus.other(2, 1, say("elsewhere"));
    bus.connect();
    bus.assert_told(&["* together again; 1 line was said elsewhere", "guest1@web2-b007: elsewhere"]);
    let said = bus.stream.iter().filter_map(|(_, entry)| match &entry.as_ref().unwrap().what {
        What::Say { text, .. } => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), ["elsewhere", "first", "second", "third"]);
    assert_eq!(bus.node.name(2), Some("anna"));
}

#[test]
fn who_says_something_before_there_is_an_engine_has_joined_before_it() {
    let mut bus = Bus::new();
    bus.act(|node, now| node.arrives(1, None, now));
    bus.act(|node, now| node.joins(1, now));
    bus.says(1, "is anybody there?");
    bus.wait(2000);
    bus.assert_told(&[
        "* the other machines are out of reach; 1 here hear you",
        "1 is guest1",
        "* guest1 joined; 1 online",
        "guest1: is anybody there?",
    ]);
}

#[test]
fn a_name_that_was_taken_meanwhile_is_given_back() {
    let mut bus = Bus::with_guests(1);
    bus.lose();
    bus.wait(2000);
    bus.act(|node, now| node.renames(1, "anna", now)).unwrap();
    bus.told.clear();
    bus.other(1, 0, What::Hello);
    bus.other(2, 0, What::Claim { guest: 1, name: "Anna".into() });
    bus.connect();
    bus.assert_told(&[
        "* together again; nothing was said elsewhere",
        "1 is not anna, as Anna is",
        "* anna is now guest1",
    ]);
    assert_eq!(bus.node.name(1), Some("guest1"));
}

#[test]
fn of_a_long_absence_the_last_lines_are_told() {
    let mut bus = Bus::with_guests(1);
    bus.lose();
    bus.wait(2000);
    bus.told.clear();
    bus.other(1, 0, What::Hello);
    for line in 1..=5 {
        bus.other(line + 1, line, say(&line.to_string()));
    }
    bus.other(8, 7, say("7"));
    bus.connect();
    let name = "guest1@web2-b007";
    bus.assert_told(&[
        "* together again; 7 lines were said elsewhere",
        "* 4 lines are gone",
        &format!("{name}: 4"),
        &format!("{name}: 5"),
        &format!("{name}: 7"),
    ]);
    assert_eq!(bus.node.figures().lost, 1);
}

#[test]
fn a_loss_is_told_with_its_number_and_a_repetition_is_not_told() {
    let mut bus = Bus::with_guests(1);
    bus.other(1, 0, What::Hello);
    bus.other(2, 1, say("a"));
    bus.other(2, 1, say("a"));
    bus.other(5, 4, say("d"));
    bus.other(9, 6, What::Alive);
    let name = "guest1@web2-b007";
    bus.assert_told(&[
        &format!("{name}: a"),
        "* 2 lines of web2 were lost",
        &format!("{name}: d"),
        "* 2 lines of web2 were lost",
    ]);
}

#[test]
fn what_is_too_much_for_the_outbox_is_told_as_not_heard() {
    let mut bus = Bus::with_guests(1);
    bus.lose();
    for line in 0..20 {
        bus.says(1, &line.to_string());
    }
    let figures = bus.node.figures();
    assert!(figures.outbox_bytes <= SETTINGS.outbox_bytes && figures.outbox_lines == 20, "{figures:?}");
    let told = std::mem::take(&mut bus.told);
    assert_eq!(told[0], "* the other machines are out of reach; 1 here hear you");
    assert_eq!(told.len(), 21);
    bus.connect();
    bus.assert_told(&[
        "* together again; nothing was said elsewhere",
        "* 11 lines of this machine were not heard elsewhere",
    ]);
    let figures = bus.node.figures();
    assert_eq!((figures.not_heard, figures.outbox_lines), (11, 0));
}

#[test]
fn what_was_too_much_for_the_outbox_and_comes_is_heard() {
    let mut bus = Bus::with_guests(1);
    bus.is_connected = false; // what is published stands in the stream, and is not read yet
    for line in 0..20 {
        bus.says(1, &line.to_string());
    }
    bus.is_connected = true;
    bus.act(|_, _| {});
    let figures = bus.node.figures();
    assert_eq!((figures.not_heard, figures.outbox_lines), (0, 0));
    assert_eq!(bus.told.last().unwrap(), "* together again; nothing was said elsewhere");
}

#[test]
fn an_engine_that_takes_nothing_is_asked_with_one_entry_at_a_time() {
    let mut bus = Bus::with_guests(1);
    bus.says(1, "a");
    bus.act(|node, now| node.refused(now));
    bus.is_connected = false;
    bus.says(1, "b");
    bus.says(1, "c");
    bus.told.clear();
    let before = bus.stream.len();
    bus.node.connected(Duration::from_millis(bus.now));
    let last = bus.stream[before - 1..].to_vec();
    bus.node.read(&last, true, Duration::from_millis(bus.now));
    bus.do_outputs();
    assert_eq!(bus.stream.len(), before + 1, "only b");
    bus.assert_told(&[]);
    bus.is_connected = true;
    bus.read = before;
    bus.act(|_, _| {});
    bus.assert_told(&["* together again; nothing was said elsewhere"]);
    assert_eq!(bus.node.figures().outbox_entries, 0);
}

#[test]
fn a_node_that_is_silent_for_too_long_is_declared_dead() {
    let mut bus = Bus::with_guests(1);
    bus.other(1, 0, What::Hello);
    bus.other(2, 0, What::Claim { guest: 1, name: "anna".into() });
    bus.other(3, 0, What::Join { guest: 1 });
    assert_eq!(bus.node.online(), 2);
    bus.told.clear();
    for _ in 0..7 {
        bus.wait(5000);
    }
    bus.assert_told(&["* web2 is gone; 1 left; 1 online"]);
    bus.other(4, 1, say("I am back"));
    bus.assert_told(&["guest1@web2-b007: I am back"]);
}

#[test]
fn a_node_that_reads_its_own_death_claims_the_names_again() {
    let mut bus = Bus::with_guests(2);
    bus.act(|node, now| node.renames(2, "anna", now)).unwrap();
    bus.told.clear();
    bus.other(1, 0, What::Hello);
    bus.now += 5000;
    bus.other(2, 0, What::Dead { boot: 0x3f9a });
    bus.says(2, "still here");
    bus.assert_told(&["anna: still here"]);
    assert_eq!(bus.node.who()[0].1, ["guest1", "anna"]);
}

#[test]
fn a_node_whose_first_hello_did_not_come_back_says_another_one_when_it_is_connected_again() {
    let mut bus = Bus::new();
    bus.node.connected(Duration::ZERO);
    bus.node.read(&[], true, Duration::ZERO);
    bus.do_outputs();
    assert_eq!(bus.stream.len(), 1);
    bus.lose();
    bus.stream.clear(); // it was read by others, and trimmed: they have forgotten this boot, or taken it for dead
    bus.connect();
    let hellos: Vec<u64> = bus.stream.iter().map(|(_, entry)| entry.as_ref().unwrap().sequence).collect();
    assert_eq!(hellos[..2], [1, 2]);
    assert_eq!(bus.stream[1].1.as_ref().unwrap().what, What::Hello);
}

#[test]
fn what_the_dead_declare_does_not_count_and_is_declared_again() {
    let mut bus = Bus::with_guests(1);
    bus.other(1, 0, What::Hello);
    bus.other(2, 0, What::Claim { guest: 1, name: "anna".into() });
    bus.other(3, 0, What::Join { guest: 1 });
    bus.told.clear();
    bus.now += 35_000;
    let dead = What::Dead { boot: 0x3f9a };
    bus.add(Ok(Entry { label: "web3".into(), boot: 0xC, sequence: 1, lines: 0, born: EntryId::ZERO, what: dead }));
    bus.act(|_, _| {});
    (0..3).for_each(|_| bus.wait(5000));
    bus.assert_told(&["* web2 is gone; 1 left; 1 online"]);
}

#[test]
fn a_stop_in_order_waits_for_its_goodbye() {
    let mut bus = Bus::with_guests(1);
    bus.lose();
    bus.says(1, "the last");
    bus.act(Node::stops);
    assert!(!bus.node.has_stopped());
    bus.connect();
    assert!(bus.node.has_stopped());
    assert_eq!(bus.stream.last().unwrap().1.as_ref().unwrap().what, What::Bye);
    bus.wait(60_000);
    assert_eq!(bus.node.figures().outbox_entries, 0, "nothing is said after it");
}

#[test]
fn what_comes_after_the_goodbye_is_told_here_alone() {
    let mut bus = Bus::with_guests(2);
    bus.act(|node, now| node.renames(2, "anna", now)).unwrap();
    bus.act(Node::stops);
    bus.told.clear();
    let entries = bus.stream.len();
    bus.says(2, "is anybody there?");
    bus.act(|node, now| node.renames(2, "bob", now)).unwrap();
    bus.act(|node, now| node.arrives(3, None, now));
    bus.act(|node, now| node.joins(3, now));
    bus.act(|node, now| node.leaves(1, now));
    bus.assert_told(&[
        "anna: is anybody there?",
        "* anna is now bob",
        "3 is guest3",
        "* guest3 joined; 3 online",
        "* guest1 left; 2 online",
    ]);
    assert_eq!((bus.node.figures().not_heard, bus.stream.len(), bus.node.has_stopped()), (1, entries, true));
}

#[test]
fn a_join_that_is_under_way_when_the_node_says_hello_again_is_listed() {
    let mut bus = Bus::with_guests(0);
    bus.act(|node, now| node.arrives(1, None, now));
    bus.is_connected = false; // what is published stands in the stream, and is not read yet
    bus.act(|node, now| node.joins(1, now));
    (bus.node.hello, bus.node.is_to_list) = (None, true);
    bus.wait(500);
    let mut lists = bus.stream.iter().filter_map(|(_, entry)| match &entry.as_ref().unwrap().what {
        What::List(list) => list.guests.first().map(|guest| guest.is_announced),
        _ => None,
    });
    assert_eq!(lists.next_back(), Some(true));
}

#[test]
fn a_node_that_was_frozen_with_a_full_outbox_is_away_once() {
    let mut bus = Bus::with_guests(3);
    bus.other(1, 0, What::Hello);
    bus.lose();
    bus.now += 40_000;
    bus.act(Node::expire);
    for line in 0..8 {
        bus.says(1, &line.to_string());
    }
    bus.other(2, 0, What::Dead { boot: 0x3f9a });
    bus.told.clear();
    bus.connect();
    bus.wait(2000);
    bus.assert_told(&["* together again; nothing was said elsewhere"]);
    let figures = bus.node.figures();
    assert_eq!((figures.standing, figures.outbox_entries, figures.not_heard), (Standing::Together, 0, 0));
    assert_eq!(bus.node.who()[0].1, ["guest1", "guest2", "guest3"]);
}

#[test]
fn guests_whose_claims_are_more_than_the_outbox_holds_have_their_names_again() {
    let mut bus = Bus::with_guests(30);
    bus.other(1, 0, What::Hello);
    bus.other(2, 0, What::Dead { boot: 0x3f9a });
    (0..3).for_each(|_| bus.wait(1000));
    bus.told.clear();
    bus.says(30, "here I am");
    bus.assert_told(&["guest30: here I am"]);
    let named = (1..=30).filter(|guest| bus.node.roster.name(Whom { boot: 0x3f9a, guest: *guest }).is_some());
    assert_eq!((named.count(), bus.node.figures().outbox_entries), (30, 0));
}

#[test]
fn entries_that_are_missed_are_seen_and_the_names_claimed_again() {
    let mut bus = Bus::with_guests(1);
    bus.says(1, "a");
    bus.lose();
    bus.stream.drain(..);
    bus.now += 1000;
    bus.other(1, 0, What::Hello);
    bus.other(2, 1, say("b"));
    bus.now += 900;
    bus.told.clear();
    bus.connect();
    assert!(bus.told.contains(&"guest1@web2-b007: b".to_owned()), "{:?}", bus.told);
    let is_hello = |entry: &&(EntryId, Result<Entry, Malformed>)| entry.1.as_ref().unwrap().what == What::Hello;
    assert_eq!(bus.stream.iter().filter(is_hello).count(), 2);
}

#[test]
fn what_is_not_understood_is_counted() {
    let mut bus = Bus::with_guests(1);
    bus.add(Err(Malformed::Wrong("what")));
    bus.act(|_, _| {});
    assert_eq!(bus.node.figures().malformed, 1);
    bus.assert_told(&[]);
    // The engine loses the last entry, and all that is left is read again.
    bus.says(1, "a");
    bus.lose();
    bus.stream.pop();
    bus.connect();
    assert_eq!(bus.node.figures().malformed, 1);
    bus.add(Err(Malformed::Wrong("what")));
    bus.act(|_, _| {});
    assert_eq!(bus.node.figures().malformed, 2);
}

#[test]
fn what_a_guest_has_said_before_it_left_is_told_under_its_name_also_when_the_node_goes_away() {
    let mut bus = Bus::with_guests(2);
    bus.lose();
    bus.says(1, "good night");
    bus.act(|node, now| node.leaves(1, now));
    bus.wait(2000);
    bus.assert_told(&[
        "* the other machines are out of reach; 1 here hear you",
        "guest1: good night",
        "* guest1 left; 1 online",
    ]);
}

#[test]
fn a_number_that_another_node_makes_up_is_told_and_harms_nobody() {
    let mut bus = Bus::with_guests(1);
    bus.other(1, 0, What::Hello);
    bus.lose();
    bus.wait(2000);
    bus.other(u64::MAX, u64::MAX - 1, What::Alive);
    bus.other(u64::MAX, u64::MAX - 1, What::Say { guest: 1, text: "x".into() });
    bus.connect();
    assert_eq!(bus.node.figures().lost, u64::MAX - 1);
}

#[test]
fn an_engine_that_was_out_of_reach_for_long_makes_nobody_dead() {
    let mut bus = Bus::with_guests(1);
    bus.other(1, 0, What::Hello);
    bus.other(2, 0, What::Claim { guest: 1, name: "anna".into() });
    bus.other(3, 0, What::Join { guest: 1 });
    bus.lose();
    bus.wait(40_000);
    bus.says(1, "nobody hears me");
    bus.told.clear();
    bus.connect();
    bus.assert_told(&["* together again; nothing was said elsewhere"]);
    bus.wait(15_000);
    bus.other(4, 1, say("I have come back later"));
    bus.assert_told(&["anna: I have come back later"]);
    for _ in 0..7 {
        bus.wait(5000);
    }
    bus.assert_told(&["* web2 is gone; 1 left; 1 online"]);
}

#[test]
fn a_node_that_reads_nothing_for_its_readers_is_not_out_of_reach() {
    let mut bus = Bus::with_guests(1);
    bus.is_connected = false; // it does not read
    bus.act(|node, now| node.is_behind(true, now));
    bus.act(|node, now| node.says(1, "x", now));
    let entries = bus.stream.len();
    (0..5).for_each(|_| bus.wait(5000));
    assert_eq!(bus.node.figures().standing, Standing::Together);
    let alive = bus.stream[entries..].iter().filter(|(_, entry)| entry.as_ref().unwrap().what == What::Alive).count();
    assert_eq!(alive, 5, "the others hear that it lives");
    bus.act(|node, now| node.is_behind(false, now));
    bus.wait(1999);
    assert_eq!(bus.node.figures().standing, Standing::Together);
    bus.wait(1);
    assert_eq!(bus.node.figures().standing, Standing::Away);
}

#[test]
fn a_node_that_reads_nothing_for_its_readers_and_has_no_engine_is_out_of_reach() {
    let mut bus = Bus::with_guests(1);
    bus.act(|node, now| node.is_behind(true, now));
    bus.lose();
    bus.wait(1999);
    assert_eq!(bus.node.figures().standing, Standing::Together);
    bus.wait(1);
    assert_eq!(bus.node.figures().standing, Standing::Away);
}

#[test]
fn guests_who_go_before_the_others_know_of_them_leave_their_name_to_the_next() {
    let mut bus = Bus::with_guests(1);
    let entries = bus.stream.len();
    let mut numbers = Vec::new();
    for new in 10..20 {
        let guest = bus.node.vacant().unwrap_or(new);
        bus.act(|node, now| node.arrives(guest, None, now));
        numbers.push(guest);
        bus.act(|node, now| node.leaves(guest, now));
    }
    assert_eq!(numbers, [10; 10]);
    assert_eq!(bus.told, ["10 is guest2"; 10]);
    assert_eq!(bus.stream.len(), entries + 1, "one claim");
    assert_eq!(bus.node.figures().guests, 1, "a name that waits for a guest is no guest");
    // One that stays has joined with that name.
    assert_eq!(bus.node.vacant(), Some(10));
    bus.act(|node, now| node.arrives(10, None, now));
    bus.act(|node, now| node.joins(10, now));
    bus.act(|node, now| node.leaves(10, now));
    assert_eq!(bus.told[11..], ["* guest2 joined; 2 online", "* guest2 left; 1 online"]);
    assert_eq!((bus.node.vacant(), bus.stream.len()), (None, entries + 3));
}

#[test]
fn a_name_that_nobody_comes_for_is_given_up() {
    let mut bus = Bus::with_guests(1);
    bus.act(|node, now| node.arrives(2, None, now));
    bus.act(|node, now| node.leaves(2, now));
    let is_leave = |entry: &(EntryId, Result<Entry, Malformed>)| {
        matches!(entry.1.as_ref().unwrap().what, What::Leave { guest: 2 })
    };
    (0..11).for_each(|_| bus.wait(5000));
    assert!(!bus.stream.iter().any(is_leave));
    (0..2).for_each(|_| bus.wait(5000));
    assert!(bus.stream.iter().any(is_leave));
    assert_eq!(bus.node.vacant(), None);
}

#[test]
fn of_many_who_come_at_once_a_bounded_number_of_names_is_kept() {
    let settings = Settings { most_guests: 1000, outbox_bytes: 1 << 20, ..SETTINGS };
    let mut bus = Bus { node: Node::new("web1".into(), 0x3f9a, settings, Duration::ZERO), ..Bus::new() };
    bus.connect();
    for guest in 1..=90 {
        bus.act(|node, now| node.arrives(guest, None, now));
    }
    (1..=90).for_each(|guest| bus.act(|node, now| node.leaves(guest, now)));
    for guest in 101..=180 {
        bus.act(|node, now| node.arrives(guest, None, now));
    }
    let before = bus.stream.len();
    (101..=180).for_each(|guest| bus.act(|node, now| node.leaves(guest, now)));
    assert_eq!(bus.stream.len(), before + 70, "so many go");
    assert_eq!(std::iter::from_fn(|| bus.node.vacant()).count(), 100);
}

#[test]
fn a_name_that_is_not_decided_is_for_nobody() {
    let mut bus = Bus::with_guests(0);
    bus.is_connected = false; // nothing is read
    bus.act(|node, now| node.arrives(1, None, now));
    bus.act(|node, now| node.leaves(1, now));
    assert_eq!(bus.node.vacant(), None);
    bus.is_connected = true;
    bus.act(|_, _| ());
    assert_eq!(bus.node.vacant(), Some(1));
}

/// Two names in a row, before the first one has come back.
#[track_caller]
fn renames_twice(bus: &mut Bus, names: [&str; 2], told: &[&str]) {
    bus.is_connected = false; // what is published stands in the stream, and is not read yet
    for name in names {
        bus.act(|node, now| node.renames(1, name, now)).unwrap();
    }
    bus.assert_told(&[]);
    bus.is_connected = true;
    bus.act(|_, _| {});
    bus.assert_told(told);
    assert_eq!(bus.node.roster.name(Whom { boot: 0x3f9a, guest: 1 }), bus.node.name(1));
    assert_eq!(bus.node.figures().outbox_entries, 0);
}

#[test]
fn each_of_two_names_in_a_row_is_answered() {
    let mut bus = Bus::with_guests(2);
    renames_twice(&mut bus, ["anna", "guest1"], &["* guest1 is now anna", "* anna is now guest1"]);
    renames_twice(&mut bus, ["anna", "bob"], &["* guest1 is now anna", "* anna is now bob"]);
    renames_twice(&mut bus, ["carl", "carl"], &["* bob is now carl"]);
    renames_twice(&mut bus, ["dora", "Carl"], &["* carl is now dora", "* dora is now Carl"]);
    bus.act(|node, now| node.renames(2, "anna", now)).unwrap();
    bus.told.clear();
    renames_twice(&mut bus, ["ANNA", "bob"], &["1 is not ANNA, as anna is", "* Carl is now bob"]);
    renames_twice(&mut bus, ["carl", "ANNA"], &["* bob is now carl", "1 is not ANNA, as anna is"]);
    renames_twice(&mut bus, ["ANNA", "carl"], &["1 is not ANNA, as anna is"]);
}

#[test]
fn a_guest_who_wants_the_name_that_it_has_is_told_that_it_has_it() {
    let mut bus = Bus::with_guests(1);
    bus.act(|node, now| node.renames(1, "guest1", now)).unwrap();
    bus.assert_told(&["1 is now guest1"]);
    bus.lose();
    bus.wait(2000);
    bus.told.clear();
    bus.act(|node, now| node.renames(1, "guest1", now)).unwrap();
    bus.assert_told(&["1 is now guest1"]);
}

#[test]
fn of_two_names_in_a_row_the_last_one_counts_when_the_node_goes_away() {
    let mut bus = Bus::with_guests(1);
    bus.other(1, 0, What::Hello);
    bus.other(2, 0, What::Claim { guest: 1, name: "bob".into() });
    bus.lose();
    for name in ["anna", "bob"] {
        bus.act(|node, now| node.renames(1, name, now)).unwrap();
    }
    bus.wait(2000);
    bus.assert_told(&["* the other machines are out of reach; 1 here hear you", "* guest1 is now anna"]);
    bus.other(3, 0, What::Leave { guest: 1 });
    bus.connect();
    bus.assert_told(&["* together again; nothing was said elsewhere", "* anna is now bob"]);
    assert_eq!(bus.node.roster.name(Whom { boot: 0x3f9a, guest: 1 }), Some("bob"));
}

#[test]
fn a_name_that_was_given_up_during_an_absence_is_not_refused_afterwards() {
    let mut bus = Bus::with_guests(1);
    bus.lose();
    bus.wait(2000);
    for name in ["anna", "bob"] {
        bus.act(|node, now| node.renames(1, name, now)).unwrap();
    }
    bus.told.clear();
    bus.other(1, 0, What::Hello);
    bus.other(2, 0, What::Claim { guest: 1, name: "Anna".into() });
    bus.connect();
    bus.assert_told(&["* together again; nothing was said elsewhere"]);
    assert_eq!((bus.node.name(1), bus.node.figures().outbox_entries), (Some("bob"), 0));
}

#[test]
fn a_name_that_is_given_back_is_told_however_long_the_absence_was() {
    let mut bus = Bus::with_guests(1);
    bus.is_connected = false; // what is published stands in the stream, and is not read yet
    bus.other(1, 0, What::Hello);
    bus.other(2, 0, What::Claim { guest: 1, name: "Anna".into() });
    bus.act(|node, now| node.renames(1, "anna", now)).unwrap();
    bus.lose();
    bus.wait(2000);
    bus.assert_told(&["* the other machines are out of reach; 1 here hear you", "* guest1 is now anna"]);
    for line in 1..=5 {
        bus.other(line + 2, line, say(&line.to_string()));
    }
    bus.connect();
    assert_eq!(bus.node.name(1), Some("guest1"));
    assert_eq!(bus.told[..2], ["1 is not anna, as Anna is", "* anna is now guest1"]);
    assert_eq!(bus.told[2], "* together again; 5 lines were said elsewhere");
}
