//! The pictures of the documentation: what they name exists in the code, and they agree with their sources.

use crate::project::{files, read};

/// The texts of a picture's source: each label, line by line.
fn labels(dot: &str) -> Vec<String> {
    let parts = dot.split("label=\"").skip(1);
    parts.flat_map(|rest| rest.split('"').next().unwrap().split("\\n").map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The names of a picture's boxes that are no labels: `A -> B` and `A [`.
fn boxes(dot: &str) -> Vec<String> {
    let lines = dot.lines().map(str::trim).filter(|line| line.contains("->") || line.contains('['));
    let lines = lines.filter(|line| !line.starts_with(['n', 'e', 'r', '{', '/']));
    let names = lines.flat_map(|line| line.split('[').next().unwrap().split("->"));
    let mut names: Vec<String> = names.map(|name| name.trim().trim_end_matches(';').to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

/// The functions that a text names: words before `()`.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("()").map(|(at, _)| {
        let from =
            text[..at].rfind(|letter: char| !letter.is_alphanumeric() && letter != '_').map_or(0, |space| space + 1);
        &text[from..at]
    })
}

fn check(picture: &str, states_in: &str) {
    let dot = read(&format!("docs/pictures/{picture}.dot"));
    let svg = read(&format!("docs/pictures/{picture}.svg"));
    let code: String = files("src", "rs").into_iter().map(|(_, text)| text).collect();
    let states: String = files(states_in, "rs").into_iter().map(|(_, text)| text).collect();
    let labels = labels(&dot);
    assert!(labels.len() > 5, "{picture}: {labels:?}");
    for label in &labels {
        let shown = label.replace('\'', "&#39;");
        assert!(svg.contains(&shown), "{picture}.svg does not show {label:?}: render it again");
        for name in functions(label) {
            assert!(code.contains(&format!("fn {name}(")), "{picture}: there is no function {name}");
        }
    }
    for name in boxes(&dot) {
        // Two states have one name; and the tasks are no phase.
        let state = name.strip_prefix("Reading").or(name.strip_prefix("Writing")).unwrap_or(&name);
        let is_there = states.contains(&format!("    {state},")) || states.contains(&format!("    {state} {{"));
        let is_there = is_there || states.contains(&format!("    {state}(")) || state == "Tasks";
        assert!(is_there, "{picture}: {states_in} has no state {state}");
    }
}

#[test]
fn the_turn_is_as_it_is_drawn() {
    check("turn", "src/net");
}

#[test]
fn the_states_of_a_connection_are_as_they_are_drawn() {
    check("connection", "src/connection");
}

#[test]
fn what_the_time_line_names_exists() {
    let svg = read("docs/pictures/echo.svg");
    let code: String = files("src", "rs").into_iter().map(|(_, text)| text).collect();
    let names: Vec<&str> = functions(&svg).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(code.contains(&format!("fn {name}(")), "echo.svg: there is no function {name}");
    }
}

#[test]
fn the_page_of_each_picture_shows_it() {
    for picture in ["turn", "connection"] {
        assert!(read(&format!("docs/{picture}.md")).contains(&format!("](pictures/{picture}.svg)")));
    }
}
