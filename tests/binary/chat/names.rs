//! Names: which are allowed, and who is told.

use crate::support::Daemon;

const RULE: &str = "letters, digits, _ and -, at most 32, and not only _ and -";
const OF_ITS_GUEST: &str = "guest with a number is for the guest of that number";

#[test]
fn a_new_name_is_told_to_all() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob, mut carl] = room.guests();
    anna.says("/nick anna");
    for guest in [&mut anna, &mut bob, &mut carl] {
        guest.hears("* guest1 is now anna");
        guest.hears_nothing();
    }
    anna.says("hello");
    bob.hears("anna: hello");
    carl.hears("anna: hello");
}

#[test]
fn a_name_may_have_letters_digits_low_lines_and_hyphens() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let mut old = "guest1";
    for name in
        ["Anna_B-7", "a", "7", "_7", "-a-", "0123456789_abcdefghijklmnopqrs-X", "guest", "guests", "guest1x", "xguest1"]
    {
        anna.says(&format!("/nick {name}"));
        anna.hears(&format!("* {old} is now {name}"));
        old = name;
    }
}

#[test]
fn a_name_that_the_guest_has_already_is_confirmed_to_it_alone() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick guest1");
    anna.hears("* you are guest1");
    bob.hears_nothing();
    anna.says("/nick anna");
    anna.hears("* guest1 is now anna");
    bob.hears("* guest1 is now anna");
    anna.says("/nick anna");
    anna.hears("* you are anna");
    anna.hears_nothing();
    bob.hears_nothing();
}

#[test]
fn the_own_name_in_another_case_is_a_change() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let mut old = "guest1";
    for name in ["anna", "Anna", "ANNA"] {
        anna.says(&format!("/nick {name}"));
        for guest in [&mut anna, &mut bob] {
            guest.hears(&format!("* {old} is now {name}"));
            guest.hears_nothing();
        }
        old = name;
    }
}

#[test]
fn a_name_of_another_is_taken_in_any_case() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick anna");
    anna.hears("* guest1 is now anna");
    bob.hears("* guest1 is now anna");
    for name in ["anna", "Anna", "aNNA"] {
        bob.says(&format!("/nick {name}"));
        bob.hears(&format!("* name taken: {name}"));
    }
    anna.hears_nothing();
    bob.says("/who");
    bob.hears("* 2 online: anna, guest2");
}

#[test]
fn a_name_is_free_again_when_its_owner_takes_another() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.sends(b"/nick anna\n/nick ann\n");
    anna.hears_all(["* guest1 is now anna", "* anna is now ann"]);
    bob.hears_all(["* guest1 is now anna", "* anna is now ann"]);
    bob.says("/nick ANNA");
    bob.hears("* guest2 is now ANNA");
    anna.hears("* guest2 is now ANNA");
}

#[test]
fn a_name_is_free_again_when_its_owner_has_left() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick Anna");
    anna.hears("* guest1 is now Anna");
    drop(anna);
    bob.hears("* guest1 is now Anna");
    bob.hears("* Anna left; 1 online");
    bob.says("/nick anna");
    bob.hears("* guest2 is now anna");
}

#[test]
fn the_own_number_can_be_taken_back_in_any_case() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    anna.sends(b"/nick anna\n/nick guest1\n/nick Guest1\n/nick GUEST1\n/nick anna\n");
    anna.hears("* guest1 is now anna");
    anna.hears("* anna is now guest1");
    anna.hears("* guest1 is now Guest1");
    anna.hears("* Guest1 is now GUEST1");
    anna.hears("* GUEST1 is now anna");
}

/// A guest may have none of these names, and the others hear nothing of it.
#[track_caller]
fn are_refused(reason: &str, names: &[&str]) {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for name in names {
        anna.says(&format!("/nick {name}"));
        anna.hears(&format!("* name not allowed: {name} ({reason})"));
    }
    bob.hears_nothing();
}

#[test]
fn the_number_of_another_is_not_allowed() {
    are_refused(
        OF_ITS_GUEST,
        &[
            "guest3",
            "GUEST3",
            "gUeSt77",
            "guest11",
            "guest0",
            "guestll",
            "guestO",
            "guest-3",
            "gu_est3",
            "guest9999999999999999999999999",
        ],
    );
}

#[test]
fn the_number_of_a_guest_with_another_name_is_not_allowed() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("/nick bob");
    bob.hears("* guest2 is now bob");
    anna.hears("* guest2 is now bob");
    anna.says("/nick guest2");
    anna.hears(&format!("* name not allowed: guest2 ({OF_ITS_GUEST})"));
}

/// Two rules apply here, so either answer is right. The name is not given away.
#[test]
fn the_number_that_another_guest_uses_cannot_be_taken() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for name in ["guest2", "Guest2"] {
        anna.says(&format!("/nick {name}"));
        anna.hears_one_of(&[&format!("* name taken: {name}"), &format!("* name not allowed: {name} ({OF_ITS_GUEST})")]);
    }
    bob.hears_nothing();
    anna.says("/who");
    anna.hears("* 2 online: guest1, guest2");
}

#[test]
fn a_malformed_name_is_not_allowed() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let cyrillic = "аnna";
    for name in ["anna b", "anna!", "José", "*", "a:b", "[anna]", "日本", "a/b", "a.b", cyrillic, "_", "-", "-_-"] {
        anna.says(&format!("/nick {name}"));
        anna.hears(&format!("* name not allowed: {name} ({RULE})"));
    }
    bob.hears_nothing();
}

#[test]
fn a_name_of_32_bytes_is_allowed_and_one_of_33_is_not() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let (long, longer) = ("n".repeat(32), "n".repeat(33));
    anna.says(&format!("/nick {longer}"));
    anna.hears(&format!("* name not allowed: {longer} ({RULE})"));
    anna.says(&format!("/nick {long}"));
    anna.hears(&format!("* guest1 is now {long}"));
}

#[test]
fn without_a_name_the_guest_is_told_its_own() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.sends(b"/nick\n/nick \n/nick anna\n/NICK\n");
    anna.hears_all(["* you are guest1", "* you are guest1", "* guest1 is now anna", "* you are anna"]);
    bob.hears("* guest1 is now anna");
    bob.hears_nothing();
}

#[test]
fn names_of_the_room_and_of_its_operators_are_reserved() {
    are_refused(
        "it is reserved",
        &[
            "server",
            "Server",
            "system",
            "admin",
            "root",
            "operator",
            "moderator",
            "announce",
            "tidegate",
            "r00t",
            "sys_tem",
            "-admin-",
            "0perat0r",
        ],
    );
}

#[test]
fn a_name_that_looks_like_that_of_another_is_taken() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick Lola");
    anna.hears("* guest1 is now Lola");
    bob.hears("* guest1 is now Lola");
    for name in ["1ola", "lo-la", "L0LA", "_lola"] {
        bob.says(&format!("/nick {name}"));
        bob.hears(&format!("* name taken: {name} (it looks like Lola)"));
    }
    anna.says("/nick 1o1a"); // it may look like itself
    bob.hears("* Lola is now 1o1a");
}

#[test]
fn a_name_that_is_not_allowed_is_made_harmless() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    anna.sends("/nick \x1b[31mred\u{202e}\u{9b}0m\n".as_bytes());
    anna.hears(&format!("* name not allowed: [31mred0m ({RULE})"));
    anna.sends(b"/nick a\xffb\n");
    anna.hears(&format!("* name not allowed: a\u{fffd}b ({RULE})"));
}
