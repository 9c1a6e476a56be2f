//! `docs/architecture.md`: the files that it names exist, and its walks name functions that exist where it says.

use std::path::Path;

use crate::project::{read, root};

const PAGE: &str = "docs/architecture.md";

/// A step of a walk: the files that are passed, each with the functions there.
type Step = Vec<(String, Vec<String>)>;

/// The walks of a page, by their headings. A step is a numbered line, and its text follows a colon.
fn walks(page: &str) -> Vec<(String, Vec<Step>)> {
    let mut walks: Vec<(String, Vec<Step>)> = Vec::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            walks.push((heading.to_owned(), Vec::new()));
        } else if line.starts_with('#') {
            walks.push((line.to_owned(), Vec::new()));
        } else if let Some((number, rest)) = line.split_once(". ")
            && number.parse::<u32>().is_ok()
        {
            let head = rest.split_once("`: ").unwrap_or_else(|| panic!("no text says what happens: {line}")).0;
            walks.last_mut().unwrap().1.push(step(head));
        }
    }
    walks.retain(|(_, steps)| !steps.is_empty());
    walks
}

fn step(head: &str) -> Step {
    let mut step = Step::new();
    for name in head.split('`').skip(1).step_by(2) {
        match step.last_mut() {
            _ if name.ends_with(".rs") => step.push((name.to_owned(), Vec::new())),
            Some((_, functions)) => functions.push(name.to_owned()),
            None => panic!("no file before `{name}`"),
        }
    }
    step
}

/// Whether a file has a function, outside its tests.
fn has_function(code: &str, name: &str) -> bool {
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let (plain, generic) = (format!("fn {name}("), format!("fn {name}<"));
    let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.any(|line| line.contains(&plain) || line.contains(&generic))
}

#[test]
fn the_functions_of_each_walk_exist() {
    let walks = walks(&read(PAGE));
    let headings: Vec<&str> = walks.iter().map(|(heading, _)| heading.as_str()).collect();
    assert_eq!(headings, ["An accept", "An echo", "A line of a chat", "A close"]);
    for (heading, steps) in &walks {
        assert!(steps.len() >= 10, "{heading} is told in {} steps", steps.len());
        for (file, functions) in steps.iter().flatten() {
            let code = read(&format!("src/{file}"));
            assert!(!functions.is_empty(), "{heading}: no function of {file}");
            for name in functions {
                assert!(has_function(&code, name), "{heading}: {file} has no function {name}");
            }
        }
    }
}

#[test]
fn the_files_that_the_page_names_exist() {
    let page = read(PAGE);
    let names = page.split('`').skip(1).step_by(2).filter(|name| !name.contains([' ', '\n']));
    let files: Vec<&str> = names.filter(|name| name.ends_with(".rs") || name.ends_with('/')).collect();
    assert!(files.len() > 50, "{files:?}");
    for file in files {
        let places = [String::new(), "src/".to_owned(), "src/bin/tidegate/".to_owned()];
        let is_there = places.iter().any(|place| root().join(place).join(Path::new(file)).exists());
        assert!(is_there, "{PAGE} names {file}");
    }
}

#[test]
fn the_reading_order_says_how_long_each_file_is() {
    let page = read(PAGE);
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.split(" | ").count() == 5);
    let mut all = 0;
    for row in rows.skip(1).filter(|row| row.contains(".rs` | ")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (file, said) = (cells[1].trim_matches('`'), cells[2].parse::<usize>().unwrap());
        let lines = read(&format!("src/{file}")).lines().count();
        assert!(lines.abs_diff(said) <= 10 + said / 10, "{PAGE}: {file} has {lines} lines, not {said}");
        all += lines;
    }
    assert!(page.contains("These are about 4,200 lines."), "{PAGE} does not say how many these are");
    assert!(all.abs_diff(4_200) <= 100, "{PAGE}: they have {all} lines in all");
}

#[test]
fn the_test_itself_sees_what_is_missing() {
    let page = "### A walk\n1. `a.rs` `f`, `g`, then `b.rs` `h`: text with `code`: more\nprose\n";
    let f = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let expected = vec![("a.rs".to_owned(), f(&["f", "g"])), ("b.rs".to_owned(), f(&["h"]))];
    assert_eq!(walks(page), [("A walk".to_owned(), vec![expected])]);
    let code = "    pub(super) fn read_once<T>(x: T) {}\n// fn gone()\n#[cfg(test)]\nmod tests {\n fn tested() {}\n";
    assert!(has_function(code, "read_once"));
    assert!(["read", "once", "gone", "tested"].iter().all(|name| !has_function(code, name)));
}
