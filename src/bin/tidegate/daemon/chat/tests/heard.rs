//! What a guest has heard, as the node has told it.

use std::collections::{HashMap, HashSet};

use super::super::bus::checks::Entries;
use super::super::bus::{Notice, Output, What};
use super::crowd::Crowd;
use super::machine::Machine;

/// Lines of guests, and notices that count. What is said while the server shuts down may be for those here alone.
pub fn told(heard: &[String], all: &Entries) -> Vec<Output> {
    let end = heard.iter().position(|line| line == "* the server is shutting down").unwrap_or(heard.len());
    let (before, after) = heard.split_at(end);
    let texts = all.values().filter_map(|entry| match &entry.what {
        What::Say { text, .. } => Some(text.as_str()),
        _ => None,
    });
    let published: HashSet<&str> = if after.is_empty() { HashSet::new() } else { texts.collect() };
    let is_published = |line: &&String| line.split_once(": ").is_none_or(|(_, text)| published.contains(text));
    before.iter().chain(after.iter().filter(is_published)).filter_map(|line| output(line)).collect()
}

fn output(line: &str) -> Option<Output> {
    match line.strip_prefix("* ") {
        Some(notice) => self::notice(notice).map(Output::Notice),
        None => {
            let (name, text) = line.split_once(": ").unwrap();
            Some(Output::Said { by: None, name: name.into(), text: text.into() })
        }
    }
}

fn notice(text: &str) -> Option<Notice> {
    if text.starts_with("the other machines are out of reach") {
        return Some(Notice::OutOfReach { here: 0 });
    } else if text.starts_with("together again") {
        return Some(Notice::TogetherAgain { lines: 0 });
    }
    let (lines, rest) = text.split_once(' ')?;
    let lines = lines.parse().ok()?;
    let rest = rest.strip_prefix("line").map(|rest| rest.strip_prefix('s').unwrap_or(rest))?;
    match rest.strip_prefix(" of ").and_then(|rest| rest.split_once(' ')) {
        Some(("this", _)) => Some(Notice::NotHeard { lines }),
        Some((label, _)) => Some(Notice::Lost { lines, label: label.into() }),
        None => Some(Notice::Gone { lines }),
    }
}

/// Under which name a line was heard.
pub fn name_of(text: &str, heard: &[String]) -> Option<String> {
    let named = heard.iter().rev().find_map(|line| line.strip_suffix(text)?.strip_suffix(": "));
    named.map(str::to_owned)
}

/// The last answer to `/who`: the names of each node.
pub fn who(heard: &[String]) -> Vec<(String, Vec<String>)> {
    let last = |part: &str| heard.iter().rev().find_map(|line| line.split_once(part)).map(|(_, rest)| rest);
    let names = last(" online: ").unwrap().split(", ");
    let mut names = names.map(str::to_owned);
    let nodes = heard.iter().rev().find(|line| line.starts_with("* at ")).unwrap();
    let (_, nodes) = nodes.split_once(": ").unwrap();
    let of_node = |node: &str| {
        let (label, count) = node.split_once(' ').unwrap();
        (label.to_owned(), names.by_ref().take(count.parse().unwrap()).collect())
    };
    nodes.split(", ").map(of_node).collect()
}

/// The lines of each guest come in the order in which it has said them, and all guests of a machine hear the same.
pub fn check_guests(machine: &mut Machine, crowd: &Crowd) {
    let ear: Vec<&str> = lines(&crowd.guests[machine.ear].heard).collect();
    let mut last: HashMap<&str, u64> = HashMap::new();
    for line in &ear {
        let (_, text) = line.split_once(": ").unwrap();
        let (guest, number) = text.rsplit_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        let last = last.insert(guest, number).unwrap_or(0);
        assert!(number > last, "{}: {line} comes after {last}", machine.label);
    }
    for guest in machine.guests(crowd).to_vec() {
        let heard: Vec<&str> = lines(&crowd.guests[guest].heard).collect();
        let from = ear.iter().position(|line| heard.first() == Some(line)).unwrap_or(ear.len());
        assert_eq!(heard, ear[from..], "{}: guest {guest}", machine.label);
    }
}

fn lines(heard: &[String]) -> impl Iterator<Item = &str> {
    heard.iter().map(String::as_str).filter(|line| !line.starts_with("* "))
}
