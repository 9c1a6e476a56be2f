//! The catalogue of behaviours: what Node's own tests look at is looked at here too, or it is told why not.
//!
//! Each file in `tests/catalogue/` is a list, `id: title` on each line; an id is the name of a test of Node's. An id is
//! covered by a test with `// covers: ID` directly above it (several ids have commas between them), or by a row in
//! `docs/node.md`, below "Behaviours that are different". This reads text only. Whether a test really looks at what it
//! claims, a reader has to judge.

use std::collections::BTreeMap;

use crate::project::{files, read};

/// What stands before the ids that a test claims.
const CLAIM: &str = "// covers:";

/// The heading of the table of those that are explained.
const HEADING: &str = "## Behaviours that are different";

/// An id, and where it stands.
type Found = (String, String);

/// The lines of a list that are neither empty nor remarks; and those that are no `id: title`.
fn listed(name: &str, text: &str) -> (Vec<Found>, Vec<String>) {
    let (mut ids, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        match line.split_once(": ") {
            _ if line.is_empty() || line.starts_with('#') => {}
            Some((id, title)) if !id.contains([',', '|', '`']) && !title.trim().is_empty() => {
                ids.push((id.to_owned(), place));
            }
            _ => wrong.push(format!("{place}: not a line `id: title`")),
        }
    }
    (ids, wrong)
}

/// The ids that the tests of a file claim; and the claims that stand above no test.
fn claimed(name: &str, text: &str) -> (Vec<Found>, Vec<String>) {
    let (mut ids, mut wrong) = (Vec::new(), Vec::new());
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for (number, line) in lines.iter().enumerate() {
        let Some(claim) = line.strip_prefix(CLAIM) else { continue };
        let place = format!("{name}:{}", number + 1);
        // More claims and conditions may stand between.
        let below = lines[number + 1..].iter().find(|line| !line.starts_with(CLAIM) && !line.starts_with("#[cfg("));
        if below != Some(&"#[test]") {
            wrong.push(format!("{place}: above no test"));
        }
        ids.extend(claim.split(',').map(|id| (id.trim().to_owned(), place.clone())));
    }
    (ids, wrong)
}

/// The ids in the first column of the table; and the rows that say nothing.
fn explained(name: &str, text: &str) -> (Vec<Found>, Vec<String>) {
    let (mut ids, mut wrong) = (Vec::new(), Vec::new());
    let lines = text.lines().enumerate();
    let section =
        lines.skip_while(|(_, line)| *line != HEADING).skip(1).take_while(|(_, line)| !line.starts_with("## "));
    for (number, line) in section.filter(|(_, line)| line.starts_with("| `")) {
        let place = format!("{name}:{}", number + 1);
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        if cells.len() != 2 || cells[1].trim().is_empty() {
            wrong.push(format!("{place}: not a row `| id | why |`"));
        }
        ids.extend(cells[0].split(',').map(|id| (id.trim().trim_matches('`').to_owned(), place.clone())));
    }
    (ids, wrong)
}

/// What is wrong between a catalogue and the claims of its ids.
fn judge(listed: &[Found], claims: &[Found]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut catalogue = BTreeMap::new();
    for (id, place) in listed {
        if let Some(first) = catalogue.insert(id, place) {
            wrong.push(format!("{place}: {id} is listed in {first} already"));
        }
    }
    for (id, place) in claims.iter().filter(|(id, _)| !catalogue.contains_key(id)) {
        wrong.push(format!("{place}: {id} is not in the catalogue"));
    }
    for (id, place) in listed.iter().filter(|(id, _)| !claims.iter().any(|(claimed, _)| claimed == id)) {
        wrong.push(format!("{place}: {id} is neither covered by a test nor explained in docs/node.md"));
    }
    wrong
}

#[test]
fn each_behaviour_of_nodes_tests_is_tested_or_explained() {
    let mut wrong = Vec::new();
    let mut gather = |found: Vec<(Vec<Found>, Vec<String>)>| -> Vec<Found> {
        let (ids, faults): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        wrong.extend(faults.into_iter().flatten());
        ids.into_iter().flatten().collect()
    };
    let listed = gather(files("tests/catalogue", "txt").iter().map(|(name, text)| listed(name, text)).collect());
    assert!(!listed.is_empty(), "the catalogue is empty");
    let mut claims = gather(files("tests", "rs").iter().map(|(name, text)| claimed(name, text)).collect());
    let page = read("docs/node.md");
    claims.extend(gather(vec![explained("docs/node.md", &page)]));
    wrong.extend(judge(&listed, &claims));
    assert!(wrong.is_empty(), "{} faults in the catalogue:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_test_itself_sees_what_is_missing_unknown_and_double() {
    let (ids, wrong) = listed("list", "# a remark\n\nfirst: one\nx/second: two\nfirst: again\nno title:\n");
    assert_eq!(ids.len(), 3);
    assert_eq!(wrong, ["list:6: not a line `id: title`"]);

    let (claims, wrong) =
        claimed("file", "// covers: first, third\n#[cfg(unix)]\n#[test]\n\n// covers: first\nfn f() {}\n");
    assert_eq!(claims.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["first", "third", "first"]);
    assert_eq!(wrong, ["file:5: above no test"]);
    assert_eq!(
        judge(&ids, &claims),
        [
            "list:5: first is listed in list:3 already",
            "file:1: third is not in the catalogue",
            "list:4: x/second is neither covered by a test nor explained in docs/node.md"
        ]
    );

    let page = format!(
        "| `no` | row |\n{HEADING}\n\n| id | why |\n| --- | --- |\n| `a`, `b` | so |\n| `c` | |\n## Next\n| `d` | so |"
    );
    let (ids, wrong) = explained("page", &page);
    assert_eq!(ids.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(wrong, ["page:7: not a row `| id | why |`"]);
}
