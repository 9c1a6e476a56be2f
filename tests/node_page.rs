//! The table for users of Node, `docs/node.md`: each name of ours that it gives exists in the code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All words of all sources.
fn words(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            words(&path, found);
        } else {
            found.extend(names(&std::fs::read_to_string(path).unwrap()));
        }
    }
}

/// The words of a text that could name something in Rust.
fn names(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        // `on_...` is none yet.
        .filter(|word| word.len() > 1 && !word.ends_with('_'))
        .filter(|word| word.starts_with(|first: char| first.is_ascii_alphabetic()))
        .map(str::to_owned)
}

/// What stands between backticks in the second column of the tables.
fn ours(page: &str) -> BTreeMap<String, usize> {
    let rows = page.lines().enumerate().filter(|(_, line)| line.starts_with("| "));
    let cells =
        rows.filter_map(|(number, line)| Some((number, line.replace("\\|", " ").split('|').nth(2)?.to_owned())));
    cells
        .flat_map(|(number, cell)| {
            let code: Vec<String> = cell.split('`').skip(1).step_by(2).flat_map(names).collect();
            code.into_iter().map(move |name| (name, number + 1))
        })
        .collect()
}

#[test]
fn what_the_table_calls_ours_is_there() {
    let mut there = BTreeSet::new();
    words(&root().join("src"), &mut there);
    let page = std::fs::read_to_string(root().join("docs/node.md")).unwrap();
    // Behind that heading the first column is ours to explain, and the second one is prose.
    let tables = page.split("\n## Behaviours that are otherwise").next().unwrap();
    let ours = ours(tables);
    assert!(ours.len() > 100, "the table has become short, or has another form: {} names", ours.len());
    let missing: Vec<_> = ours.iter().filter(|(name, _)| !there.contains(*name)).collect();
    assert!(missing.is_empty(), "names that are nowhere in src, with their lines: {missing:?}");
}

#[test]
fn the_test_itself_sees_a_name_that_is_not_there() {
    let found = ours("| Node | here | why |\n| --- | --- | --- |\n| `a` | `Socket::writes`, `no_such(x)` | `b` |\n");
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), ["Socket", "no_such", "writes"]);
}
