//! Three nodes whose guests speak all the time, while the engine is stopped, killed, and killed with its data: what each node tells
//! is judged line by line.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::super::support::engine::Engine;
use super::super::support::{Client, Daemon};
use super::{guest, node};

const LABELS: [&str; 3] = ["web1", "web2", "web3"];

/// Guests who speak, at each node. One more listens.
const SPEAKERS: usize = 20;

/// Between two lines of a guest. An engine and its nodes have to keep up with all of them on a machine that does much else.
const PAUSE: Duration = Duration::from_millis(250);

/// A link waits up to ten seconds for its next attempt, and may need several.
const LONGEST: Duration = Duration::from_secs(90);

struct Room {
    nodes: Vec<Daemon>,
    speakers: Vec<Vec<Client>>,
    rounds: usize,
    /// One at each node, who says nothing.
    listeners: Vec<Client>,
    heard: Vec<Heard>,
}

impl Room {
    /// Each guest says the next line of its own: `web1.7.42`.
    fn speak(&mut self) {
        self.rounds += 1;
        for (label, speakers) in LABELS.iter().zip(&mut self.speakers) {
            for (number, speaker) in speakers.iter_mut().enumerate() {
                speaker.says(&format!("{label}.{number}.{}", self.rounds));
            }
        }
        std::thread::sleep(PAUSE);
    }

    /// They speak until the guests of each node were told something so many times, and go on for a moment.
    fn speak_until(&mut self, told: &str, times: usize) {
        let deadline = Instant::now() + LONGEST;
        while self.nodes.iter().any(|node| node.log().matches(told).count() < times) {
            assert!(Instant::now() < deadline, "not told {times} times everywhere: {told}\n{}", self.nodes[0].log());
            self.speak();
        }
        self.speak();
        self.speak();
    }

    /// All that was said is heard by all.
    fn hear_all(&mut self) {
        for (label, speakers) in LABELS.iter().zip(&mut self.speakers) {
            speakers.iter_mut().for_each(|speaker| speaker.says(&format!("{label}.all")));
        }
        for (listener, heard) in self.listeners.iter_mut().zip(&mut self.heard) {
            listener.is_patient_for(LONGEST);
            heard.listen(listener);
        }
    }
}

/// What a guest has heard of what others have said.
#[derive(Default)]
struct Heard {
    /// Each line with the name that it was told with: those told from the stream, and those told at once, as the node was away.
    from_stream: Vec<(String, String)>,
    at_once: Vec<(String, String)>,
    /// How many lines it was told to have missed.
    missed: usize,
    is_away: bool,
}

impl Heard {
    /// Until each guest of each node has said that this is all.
    fn listen(&mut self, client: &mut Client) {
        let mut ends = 0;
        while ends < LABELS.len() * SPEAKERS {
            let line = client.hears_line();
            if let Some(notice) = line.strip_prefix("* ") {
                self.is_away |= notice.starts_with("the other machines are out of reach");
                self.is_away &= !notice.starts_with("together again");
                if notice.ends_with(" lost") || notice.ends_with(" gone") {
                    self.missed += notice.split(' ').next().unwrap().parse::<usize>().unwrap();
                }
            } else if line.ends_with(".all") {
                ends += 1;
            } else {
                let (name, text) = line.split_once(": ").unwrap();
                let lines = if self.is_away { &mut self.at_once } else { &mut self.from_stream };
                lines.push((name.to_owned(), text.to_owned()));
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &(String, String)> {
        self.at_once.iter().chain(&self.from_stream)
    }
}

#[test]
fn under_fire_no_line_is_told_twice_in_another_order_or_lost_in_silence() {
    let Some(mut engine) = Engine::start_that_saves(true) else { return };
    let flags = ["--echo", "--flood", "none", "--bus-patience", "500ms", "--catch-up", "100000"];
    let nodes: Vec<Daemon> = LABELS.iter().map(|label| node(&engine, label, &flags)).collect();
    let listeners = nodes.iter().map(|node| guest(node).0).collect();
    let speakers = nodes.iter().map(|node| (0..SPEAKERS).map(|_| guest(node).0).collect()).collect();
    let heard = LABELS.map(|_| Heard::default()).into();
    let mut room = Room { nodes, speakers, rounds: 0, listeners, heard };
    for _ in 0..4 {
        room.speak();
    }
    engine.stops();
    room.speak_until("are out of reach", 1);
    engine.goes_on();
    room.speak_until("together again", 1);
    engine.dies();
    room.speak_until("are out of reach", 2);
    engine.begins();
    room.speak_until("together again", 2);
    room.hear_all(); // what one has read and another has not, would have another place in the next stream
    engine.dies_with_its_data();
    room.speak_until("are out of reach", 3);
    engine.begins();
    room.speak_until("together again", 3);
    room.hear_all();
    let said = LABELS.len() * SPEAKERS * room.rounds;
    for (heard, label) in room.heard.iter().zip(LABELS) {
        judge(heard, label, said);
    }
    for (number, one) in room.heard.iter().enumerate() {
        for other in &room.heard[number + 1..] {
            compare(one, other);
        }
    }
    all_know_the_same_guests(&mut room.listeners);
}

fn judge(heard: &Heard, label: &str, said: usize) {
    let lines: BTreeSet<&str> = heard.all().map(|(_, text)| text.as_str()).collect();
    assert_eq!(lines.len(), heard.all().count(), "at {label} a line was told twice");
    assert_eq!(said - lines.len(), heard.missed, "at {label}: what is missing, and what was told to be");
    let own = format!("{label}.");
    assert!(heard.at_once.iter().all(|(_, text)| text.starts_with(&own)), "{label} was not away");
    // What one guest said has its order in each of the two.
    for told in [&heard.at_once, &heard.from_stream] {
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (_, text) in told {
            let (author, number) = text.rsplit_once('.').unwrap();
            let number = number.parse().unwrap();
            let before = last.insert(author, number);
            assert!(before < Some(number), "at {label} {author} said {number} after {before:?}");
        }
    }
}

/// What both were told from the stream has the same order and the same names. Where the stream has begun anew, a node may not know a
/// name: then it tells one of its own, with an `@`.
fn compare(one: &Heard, other: &Heard) {
    let names: BTreeMap<&str, &str> = one.from_stream.iter().map(|(name, text)| (&**text, &**name)).collect();
    let both: Vec<&(String, String)> =
        other.from_stream.iter().filter(|(_, text)| names.contains_key(&**text)).collect();
    let among: BTreeSet<&str> = both.iter().map(|(_, text)| text.as_str()).collect();
    let order: Vec<&str> =
        one.from_stream.iter().map(|(_, text)| &**text).filter(|text| among.contains(text)).collect();
    assert_eq!(order, both.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), "another order");
    for (name, text) in both {
        let there = names[text.as_str()];
        assert!(name == there || name.contains('@') || there.contains('@'), "{text} is of {name} and of {there}");
    }
}

/// After a while: who is there is repeated every ten seconds.
fn all_know_the_same_guests(listeners: &mut [Client]) {
    let deadline = Instant::now() + LONGEST;
    loop {
        let lists: Vec<BTreeSet<String>> = listeners.iter_mut().map(who).collect();
        if lists.iter().all(|list| *list == lists[0] && list.len() == LABELS.len() * (SPEAKERS + 1)) {
            return;
        }
        assert!(Instant::now() < deadline, "{lists:?}");
        std::thread::sleep(PAUSE);
    }
}

fn who(client: &mut Client) -> BTreeSet<String> {
    client.says("/who");
    let names = loop {
        let line = client.hears_line();
        if let Some((_, names)) = line.split_once(" online: ") {
            break names.to_owned();
        }
    };
    names.split(", ").map(str::to_owned).collect()
}
