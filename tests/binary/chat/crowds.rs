//! Many guests come and go at once.

use std::time::{Duration, Instant};

use crate::support::{Client, Daemon, a_quiet_moment};

/// One announcement: `* guest7 joined; 8 online`, or a sum: `* 37 joined, 12 left; 4821 online`.
#[derive(Debug)]
pub struct Announcement {
    joined: usize,
    left: usize,
    online: usize,
    /// The guest that it names, unless it is a sum.
    name: Option<String>,
}

impl Announcement {
    #[track_caller]
    fn read(line: &str) -> Announcement {
        Announcement::parse(line).unwrap_or_else(|| panic!("not an announcement: {line:?}"))
    }

    fn parse(line: &str) -> Option<Announcement> {
        let (who, online) = line.strip_prefix("* ")?.strip_suffix(" online")?.rsplit_once("; ")?;
        let mut all = Announcement { joined: 0, left: 0, online: online.parse().ok()?, name: None };
        for part in who.split(", ") {
            let (subject, verb) = part.split_once(' ')?;
            let count = match subject.parse() {
                Ok(count) => count,
                Err(_) => {
                    all.name = Some(subject.to_owned());
                    1
                }
            };
            match verb {
                "joined" => all.joined += count,
                "left" => all.left += count,
                _ => return None,
            }
        }
        let names_one_of_several = all.name.is_some() && all.joined + all.left != 1;
        (!names_one_of_several).then_some(all)
    }
}

/// Hears announcements until so many guests have joined and left. Each announcement must give the number online that
/// follows from the one before. At most five in any 100 ms may be about one guest alone.
#[track_caller]
pub fn hears_of(listener: &mut Client, online_before: usize, joined: usize, left: usize) -> Vec<Announcement> {
    let began = Instant::now();
    let mut all: Vec<Announcement> = Vec::new();
    let (mut sum_joined, mut sum_left) = (0, 0);
    while (sum_joined, sum_left) != (joined, left) {
        let line = listener.hears_line();
        let next = Announcement::read(&line);
        sum_joined += next.joined;
        sum_left += next.left;
        assert!(sum_joined <= joined && sum_left <= left, "too many after {line:?}: {all:?}");
        assert_eq!(next.online, online_before + sum_joined - sum_left, "the sum after {line:?}: {all:?}");
        all.push(next);
    }
    listener.hears_nothing();
    let windows = began.elapsed().as_millis() as usize / 100 + 2; // one may have begun before, one may end after
    let alone = all.iter().filter(|announcement| announcement.name.is_some()).count();
    assert!(alone <= 5 * windows, "{alone} were told one by one in {windows} times 100 ms: {all:?}");
    all
}

#[test]
fn five_arrivals_at_once_are_announced_one_by_one() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    a_quiet_moment();
    let _crowd: Vec<Client> = (0..5).map(|_| room.join()).collect();
    anna.hears_all((2..=6).map(|number| format!("* guest{number} joined; {number} online")));
    anna.hears_nothing();
}

#[test]
fn a_crowd_is_announced_together_after_the_first_five() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    a_quiet_moment();
    let began = Instant::now();
    let _crowd: Vec<Client> = (0..100).map(|_| room.join()).collect();
    let was_a_crowd = began.elapsed() < Duration::from_millis(100);
    let told = hears_of(&mut anna, 1, 100, 0);
    for (announcement, number) in told.iter().zip(2..=6) {
        assert_eq!(announcement.name, Some(format!("guest{number}")), "the first five: {told:?}");
    }
    assert!(!was_a_crowd || told.iter().any(|announcement| announcement.joined > 1), "no sum: {told:?}");
}

#[test]
fn a_crowd_that_comes_and_goes_adds_up() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    a_quiet_moment();
    let mut crowd: Vec<Client> = (0..60).map(|_| room.join()).collect();
    for guest in &mut crowd {
        let greeting = guest.hears_line();
        assert!(greeting.starts_with("* you are guest"), "{greeting}");
        guest.sends(b"/who\n"); // so that it is announced before it goes
        guest.hears_line();
    }
    drop(crowd);
    hears_of(&mut anna, 1, 60, 60);
}

#[test]
fn a_crowd_is_announced_to_the_end_also_when_nothing_else_happens() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let crowd: Vec<Client> = (0..40).map(|_| room.join()).collect();
    hears_of(&mut anna, 1, 40, 0);
    drop(crowd);
    hears_of(&mut anna, 41, 0, 40);
}

#[test]
fn a_crowd_is_greeted_one_by_one() {
    let room = Daemon::chat(&[]);
    let mut crowd: Vec<Client> = (0..40).map(|_| room.join()).collect();
    for (number, guest) in (1..).zip(&mut crowd) {
        guest.hears(&format!("* you are guest{number}; {number} online"));
    }
}

#[test]
fn after_a_crowd_and_a_pause_the_next_is_named_again() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let _crowd: Vec<Client> = (0..20).map(|_| room.join()).collect();
    hears_of(&mut anna, 1, 20, 0);
    a_quiet_moment();
    let _late = room.join();
    anna.hears("* guest22 joined; 22 online");
}
