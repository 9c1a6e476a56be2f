//! The table for users of Node, `docs/node.md`: each name of ours that it gives exists in the code, each `Type::member`
//! in that very type, and what it says of `Socket` holds for `Net` as well.
//!
//! This reads the sources as text, as rustfmt lays them out: what is public and stands four spaces deep in an `impl`, a
//! `struct` or an `enum` is a member.

use std::collections::{BTreeMap, BTreeSet};

use crate::project::{files, read};

/// The words of a text that could name something in Rust.
fn names(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        // `on_...` is no whole name.
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
fn each_name_of_ours_in_the_table_exists() {
    let there: BTreeSet<String> = files("src", "rs").iter().flat_map(|(_, text)| names(text)).collect();
    let page = read("docs/node.md");
    // After that heading the first column has the names of Node's tests, and the second one is prose.
    let tables = page.split("\n## Behaviours that are different").next().unwrap();
    let ours = ours(tables);
    assert!(ours.len() > 100, "the table has become short, or has another form: {} names", ours.len());
    let missing: Vec<_> = ours.iter().filter(|(name, _)| !there.contains(*name)).collect();
    assert!(missing.is_empty(), "names that are nowhere in src, with their lines: {missing:?}");
}

/// The public members of each type of a source: functions, constants, fields, variants, and what `setters!` makes.
fn members(text: &str, found: &mut BTreeSet<(String, String)>) {
    let first_name = |text: &str| names(text).next().unwrap_or_default();
    let mut of: Option<(&str, String)> = None;
    let mut in_setters = false;
    for line in text.lines() {
        let item = line.strip_prefix("pub ").or(line.strip_prefix("pub(crate) ")).unwrap_or(line);
        if let Some((kind, rest)) =
            ["struct ", "enum ", "impl"].iter().find_map(|it| Some((*it, item.strip_prefix(it)?)))
        {
            // `impl<S> fmt::Debug for Socket<'_, S> {` is of Socket; `impl<S: Clone> Socket<'_, S> {` too.
            let rest = rest.rsplit(" for ").next().unwrap_or_default();
            let rest = if rest.starts_with('<') { rest.split_once("> ").map_or(rest, |(_, rest)| rest) } else { rest };
            of = Some((kind, first_name(rest)));
        } else if line.starts_with('}') {
            of = None;
        } else if let (Some((kind, of)), Some(member)) = (&of, line.strip_prefix("    ")) {
            in_setters = member == "setters! {" || in_setters && member.starts_with(' ');
            if in_setters {
                found.insert((of.clone(), if member.starts_with(' ') { first_name(member) } else { "new".to_owned() }));
            }
            let public =
                member.strip_prefix("pub ").map(|it| it.trim_start_matches("fn ").trim_start_matches("const "));
            let variant =
                (*kind == "enum " && member.starts_with(|it: char| it.is_ascii_uppercase())).then_some(member);
            if let Some(member) = public.or(variant) {
                found.insert((of.clone(), first_name(member)));
            }
        }
    }
}

/// Each `Type::member` between backticks of a line.
fn pairs(line: &str) -> Vec<(String, String)> {
    let code = line.split('`').skip(1).step_by(2);
    let found = code.filter_map(|code| {
        let (of, member) = code.split_once("::")?;
        let is_type = of.starts_with(|it: char| it.is_ascii_uppercase()) && names(of).eq([of.to_owned()]);
        is_type.then(|| (of.to_owned(), names(member).next().unwrap_or_default()))
    });
    found.collect()
}

#[test]
fn each_member_is_one_of_its_type() {
    let mut there = BTreeSet::new();
    files("src", "rs").iter().for_each(|(_, text)| members(text, &mut there));
    let has = |of: &str, member: &str| there.contains(&(of.to_owned(), member.to_owned()));
    let page = read("docs/node.md");
    let rows = || page.lines().enumerate().filter(|(_, line)| line.starts_with("| "));
    // Handlers belong to the event loop; `Net` returns events. For the other names, one row says what `Net` has.
    let explained: BTreeSet<_> = rows()
        .filter(|(_, line)| line.contains("`Net") || line.contains("`Event::"))
        .flat_map(|(_, line)| pairs(line))
        .collect();
    let (mut count, mut wrong) = (0, Vec::new());
    for (number, pair) in rows().flat_map(|(number, line)| pairs(line).into_iter().map(move |pair| (number + 1, pair)))
    {
        let (of, member) = (pair.0.as_str(), pair.1.as_str());
        count += 1;
        // Of std.
        if of != "UnixStream" && !has(of, member) {
            wrong.push(format!("line {number}: {of} has no {member}"));
        }
        let by_id = has("Net", member) || has("ConnectionInfo", member);
        if of == "Socket" && !member.starts_with("on_") && !by_id && !explained.contains(&pair) {
            wrong.push(format!("line {number}: Net has no {member}, nor its view, and no row says what it has"));
        }
    }
    assert!(count > 200, "the table has become short, or has another form: {count} members");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_test_itself_sees_members_and_where_they_belong() {
    let mut found = BTreeSet::new();
    let text = "pub struct Aa<S> {\n    pub one: u8,\n    two: u8,\n}\nimpl<S> Aa<S> {\n    pub fn three() {}\n    fn four() {}\n}\n\
                pub enum Bb {\n    /// Five.\n    Five(u8),\n}\nimpl<S> fmt::Debug for Cc<S> {\n    pub const SIX: u8 = 6;\n}\npub fn no() {}\n\
                impl Dd {\n    setters! {\n        seven: u8,\n        eight in nine: u8,\n    }\n    fn ten() {}\n}\n";
    members(text, &mut found);
    let expected = [
        ("Aa", "one"),
        ("Aa", "three"),
        ("Bb", "Five"),
        ("Cc", "SIX"),
        ("Dd", "new"),
        ("Dd", "seven"),
        ("Dd", "eight"),
    ];
    assert_eq!(found, expected.map(|(of, member)| (of.to_owned(), member.to_owned())).into());
    let line = "| `a::b` | `Aa::one`, `Aa::three(x)` and `std::net::SocketAddr` | |";
    assert_eq!(pairs(line), [("Aa".to_owned(), "one".to_owned()), ("Aa".to_owned(), "three".to_owned())]);
}

#[test]
fn the_test_itself_sees_a_name_that_is_not_there() {
    let found = ours("| Node | here | why |\n| --- | --- | --- |\n| `a` | `Socket::writes`, `no_such(x)` | `b` |\n");
    assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), ["Socket", "no_such", "writes"]);
}
