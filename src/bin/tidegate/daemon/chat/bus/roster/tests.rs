use super::super::list::{List, Listed};
use super::lives::{CERTAIN_DEATH, LONGEST_SILENCE};
use super::*;

const A: u64 = 0xA;
const B: u64 = 0xB;

/// The roster of A, and the stream that it reads: an entry each second.
struct Reading {
    roster: Roster,
    now: u64,
}

impl Reading {
    /// Nothing was in the stream, so A is sure after its hello.
    fn begins() -> Self {
        let mut reading = Reading { roster: Roster::new(A, 100), now: 1000 };
        reading.roster.has_reached_end();
        reading.hello(A);
        reading
    }

    /// Something was in the stream.
    fn begins_late() -> Self {
        Reading { roster: Roster::new(A, 100), now: 1000 }
    }

    fn next(&self) -> EntryId {
        EntryId { milliseconds: self.now + 1000, number: 0 }
    }

    fn read(&mut self, boot: u64, what: What) -> Change {
        let id = self.next();
        self.now = id.milliseconds;
        let label = format!("web{boot:x}").as_str().into();
        self.roster.reads(id);
        self.roster.apply(id, &Entry { label, boot, sequence: 1, lines: 0, born: EntryId::ZERO, what })
    }

    fn hello(&mut self, boot: u64) {
        if boot == A {
            self.roster.says_hello();
        }
        self.read(boot, What::Hello);
    }

    fn claim(&mut self, boot: u64, guest: u64, name: &str) -> Change {
        self.read(boot, What::Claim { guest, name: name.into() })
    }

    fn list(&mut self, boot: u64, read: EntryId, boots: Option<&[u64]>, guests: &[(u64, &str, u64)]) {
        let listed = |(guest, name, granted): &(u64, &str, u64)| Listed {
            guest: *guest,
            name: (!name.is_empty()).then(|| (*name).to_owned()),
            granted: EntryId { milliseconds: *granted, number: 0 },
            is_announced: true,
        };
        let guests = guests.iter().map(listed).collect();
        let boots = boots.map(<[u64]>::to_vec);
        self.read(boot, What::List(List { read, from: 0, to: u64::MAX, boots, guests }));
    }

    fn name(&self, boot: u64, guest: u64) -> Option<&str> {
        self.roster.name(Whom { boot, guest })
    }
}

fn granted(from: Option<&str>) -> Change {
    Change::Granted { from: from.map(str::to_owned), is_announced: false }
}

fn taken_by(name: &str) -> Change {
    Change::Refused { taken_by: name.into() }
}

#[test]
fn the_first_claim_has_the_name() {
    let mut reading = Reading::begins();
    assert_eq!(reading.claim(A, 1, "Bill"), granted(None));
    assert_eq!(reading.claim(B, 1, "b-i11"), taken_by("Bill"));
    assert_eq!(reading.claim(A, 1, "bill"), granted(Some("Bill")), "its own name, written otherwise");
    assert_eq!(reading.claim(A, 1, "anna"), granted(Some("bill")));
    assert_eq!(reading.claim(B, 1, "bill"), granted(None), "it is free again");
    assert_eq!((reading.name(A, 1), reading.name(B, 1)), (Some("anna"), Some("bill")));
}

#[test]
fn whoever_leaves_frees_its_name() {
    let mut reading = Reading::begins();
    reading.claim(B, 1, "anna");
    assert_eq!(reading.read(B, What::Leave { guest: 1 }), Change::Nothing, "nobody knew of it");
    reading.claim(B, 2, "anna");
    assert_eq!(reading.read(B, What::Join { guest: 2 }), Change::Joined);
    assert_eq!(reading.read(B, What::Join { guest: 2 }), Change::Nothing);
    assert_eq!(reading.roster.announced_elsewhere(), 1);
    assert_eq!(reading.read(B, What::Leave { guest: 2 }), Change::Left { name: Some("anna".into()) });
    assert_eq!(reading.claim(A, 1, "anna"), granted(None));
    assert_eq!(reading.roster.announced_elsewhere(), 0);
}

#[test]
fn the_dead_have_no_guests_until_they_say_hello() {
    let mut reading = Reading::begins();
    reading.claim(B, 1, "anna");
    reading.read(B, What::Join { guest: 1 });
    let died = Change::Died { boot: B, label: "webb".into(), guests: 1 };
    assert_eq!(reading.read(A, What::Dead { boot: B }), died);
    assert_eq!(reading.read(A, What::Dead { boot: B }), Change::Nothing, "the first counts");
    assert_eq!(reading.claim(B, 1, "anna"), Change::Nothing);
    assert_eq!(reading.read(B, What::Join { guest: 1 }), Change::Nothing);
    assert_eq!(reading.claim(A, 1, "anna"), granted(None));
    reading.hello(B);
    assert_eq!(reading.claim(B, 1, "anna"), taken_by("anna"));
    assert_eq!(reading.claim(B, 1, "bob"), granted(None));
}

#[test]
fn a_hello_takes_the_names_away() {
    let mut reading = Reading::begins();
    reading.claim(B, 1, "anna");
    reading.hello(B);
    assert_eq!(reading.name(B, 1), None);
    assert_eq!(reading.claim(A, 1, "anna"), granted(None));
}

#[test]
fn the_silent_are_known_by_the_time_of_the_stream() {
    let mut reading = Reading::begins();
    reading.read(B, What::Alive);
    let heard = reading.now;
    for _ in 0..40 {
        reading.read(A, What::Alive);
        let is_dead = reading.now >= heard + CERTAIN_DEATH;
        let is_silent = reading.now > heard + LONGEST_SILENCE && !is_dead;
        let now = EntryId { milliseconds: reading.now, number: 0 };
        let silent = if is_silent { vec![B] } else { vec![] };
        assert_eq!((reading.roster.silent(), reading.roster.unheard_of(now)), (silent.clone(), silent));
    }
}

#[test]
fn a_boot_that_nobody_declares_dead_is_dead_at_a_place_of_the_stream() {
    let mut reading = Reading::begins();
    reading.claim(B, 1, "anna");
    reading.read(B, What::Join { guest: 1 });
    let heard = reading.now;
    while reading.now < heard + CERTAIN_DEATH - 2_000 {
        reading.read(A, What::Alive);
    }
    assert_eq!(reading.claim(A, 1, "anna"), taken_by("anna"));
    let died = Change::Died { boot: B, label: "webb".into(), guests: 1 };
    assert_eq!(reading.roster.reads(reading.next()), [died]);
    assert_eq!(reading.claim(A, 1, "anna"), granted(None));
    assert_eq!(reading.claim(B, 1, "bob"), Change::Nothing, "it has no guests until it says hello");
}

#[test]
fn whoever_is_sure_of_all_boots_and_hears_that_another_is_sure_too_was_wrong() {
    let mut reading = Reading::begins();
    let list = |boots| What::List(List { read: EntryId::ZERO, from: 0, to: u64::MAX, boots, guests: Vec::new() });
    let of_b = |what| Entry { label: "webb".into(), boot: B, sequence: 9, lines: 0, born: EntryId::ZERO, what };
    assert!(reading.roster.is_refuted_by(&of_b(list(Some(vec![B])))));
    assert!(!reading.roster.is_refuted_by(&of_b(list(None))), "it is not sure itself");
    reading.hello(B);
    assert!(!reading.roster.is_refuted_by(&of_b(list(Some(vec![A, B])))));
    reading.roster = reading.roster.anew(true);
    assert!(!reading.roster.is_refuted_by(&of_b(list(Some(vec![A, B])))), "it says nothing yet");
}

#[test]
fn a_node_that_was_declared_dead_lists_no_boots() {
    let mut reading = Reading::begins();
    assert_eq!(reading.roster.boots(), Some(vec![A]));
    reading.read(A, What::Dead { boot: A });
    assert_eq!(reading.roster.boots(), None);
}

#[test]
fn an_engine_that_is_stopped_makes_nobody_silent_for_those_who_were_there() {
    let mut reading = Reading::begins();
    reading.read(B, What::Alive);
    reading.now += 10 * LONGEST_SILENCE;
    reading.read(A, What::Alive);
    let now = EntryId { milliseconds: reading.now, number: 0 };
    assert_eq!((reading.roster.silent(), reading.roster.unheard_of(now)), (vec![], vec![B]));
}

#[test]
fn a_list_removes_who_is_not_in_it_and_changes_no_name_that_is_known() {
    let mut reading = Reading::begins();
    reading.claim(B, 1, "anna");
    reading.claim(B, 2, "bob");
    let now = reading.next();
    reading.list(B, now, None, &[(2, "carl", 9_999_999), (3, "dora", 9_999_999)]);
    assert_eq!((reading.name(B, 1), reading.name(B, 2), reading.name(B, 3)), (None, Some("bob"), None));
    assert_eq!(reading.roster.announced_elsewhere(), 2);
    assert_eq!(reading.claim(A, 1, "anna"), granted(None));
}

#[test]
fn whoever_begins_late_decides_when_all_have_listed_their_guests() {
    let mut reading = Reading::begins_late();
    let from = reading.next();
    reading.read(B, What::Alive);
    reading.roster.has_reached_end();
    reading.hello(A);
    assert_eq!(reading.claim(A, 1, "anna"), Change::Nothing);
    reading.hello(A);
    assert!(!reading.roster.is_sure(), "B has not listed its guests");
    reading.list(B, from, Some(&[A, B]), &[(1, "anna", 500)]);
    assert!(reading.roster.is_sure());
    assert_eq!(reading.claim(A, 1, "anna"), taken_by("anna"));
}

#[test]
fn a_list_that_was_made_before_the_gap_or_before_a_hello_says_nothing() {
    let mut reading = Reading::begins_late();
    reading.read(B, What::Alive);
    reading.hello(A);
    reading.list(B, EntryId { milliseconds: 1999, number: 0 }, Some(&[A, B]), &[(1, "anna", 500)]);
    assert_eq!(reading.name(B, 1), None);
    assert!(!reading.roster.is_sure());
    let before = EntryId { milliseconds: reading.now, number: 0 };
    reading.hello(B);
    reading.list(B, before, None, &[(1, "anna", 500)]);
    assert_eq!(reading.name(B, 1), None, "the hello has taken it away");
}

#[test]
fn a_claim_that_was_not_decided_is_in_a_later_list() {
    let mut reading = Reading::begins_late();
    let from = reading.next();
    reading.hello(A);
    reading.claim(B, 1, "bob");
    let claimed = EntryId { milliseconds: reading.now, number: 0 };
    reading.list(B, from, Some(&[A, B]), &[(1, "anna", 500)]);
    assert!(reading.roster.has_undecided() && !reading.roster.is_sure());
    assert_eq!(reading.name(B, 1), None);
    reading.list(B, claimed, Some(&[A, B]), &[(1, "bob", claimed.milliseconds)]);
    assert!(reading.roster.is_sure());
    assert_eq!(reading.name(B, 1), Some("bob"));
}

#[test]
fn a_boot_that_nobody_has_heard_of_is_waited_for() {
    const C: u64 = 0xC;
    let mut reading = Reading::begins_late();
    let from = reading.next();
    reading.hello(A);
    reading.list(B, from, Some(&[A, B, C]), &[]);
    assert!(!reading.roster.is_sure());
    reading.list(C, from, None, &[(1, "anna", 500)]);
    assert!(reading.roster.is_sure());
    assert_eq!(reading.claim(A, 1, "anna"), taken_by("anna"));
}

#[test]
fn whoever_may_be_dead_declares_nobody_dead_for_sure() {
    const C: u64 = 0xC;
    let mut reading = Reading::begins_late();
    let from = reading.next();
    reading.hello(A);
    reading.claim(C, 1, "anna");
    reading.read(B, What::Dead { boot: C });
    let doubted = EntryId { milliseconds: reading.now, number: 0 };
    reading.list(C, from, None, &[(1, "anna", 500)]);
    assert_eq!(reading.name(C, 1), None);
    reading.list(B, doubted, Some(&[A, B, C]), &[]);
    assert!(!reading.roster.is_sure());
    reading.list(C, doubted, None, &[(1, "anna", 500)]);
    assert_eq!(reading.name(C, 1), Some("anna"));
    assert!(reading.roster.is_sure());
}

#[test]
fn a_death_that_is_declared_again_to_those_who_have_not_read_the_first_one_is_only_a_doubt() {
    const C: u64 = 0xC;
    let mut reading = Reading::begins_late();
    let from = reading.next();
    reading.hello(A);
    reading.hello(B); // so it is alive itself
    reading.read(C, What::Join { guest: 1 });
    reading.list(C, from, None, &[(1, "anna", 500)]);
    assert_eq!(reading.read(B, What::Dead { boot: C }), Change::Nothing);
    let doubted = EntryId { milliseconds: reading.now, number: 0 };
    reading.list(C, from, None, &[(1, "anna", 500)]);
    assert_eq!((reading.name(C, 1), reading.roster.others().count()), (None, 1), "it has not read that");
    reading.list(C, doubted, None, &[(1, "anna", 500)]);
    assert_eq!((reading.name(C, 1), reading.roster.others().count()), (Some("anna"), 2));
}

#[test]
fn boots_and_guests_have_bounds() {
    let mut reading = Reading::begins();
    for boot in 1..=2 * MOST_BOOTS as u64 {
        reading.claim(boot << 8, 1, &format!("n{boot}"));
        reading.read(A, What::Dead { boot: (boot << 8) + 1 });
    }
    assert!(reading.roster.boots.len() <= MOST_BOOTS);
    for guest in 0..1000 {
        reading.claim(A, guest, &format!("m{guest}"));
    }
    assert_eq!(reading.roster.guests(), 100);
    assert!(reading.roster.names.len() <= 100);
}
