//! The pages show what is there: programs, changes, tests, and what strace says.
//!
//! A fence says what stands in its block:
//!
//! - ```` ```rust 01-blocking ```` a program, whole;
//! - ```` ```rust two_clients ```` the test of that name;
//! - ```` ```diff 01-blocking 02-spinning ```` what is changed from one program to the next;
//! - ```` ```strace two_clients 01-blocking ```` lines of strace, in their order, while this program is played that test. `…`
//!   stands for anything, `(less)` for a result below what was asked for, and other lines may come between;
//! - ```` ```rust simulated ```` the kernel of `simulated.rs`.
//!
//! `LADDER_WRITE=1 cargo test pages` writes all blocks anew but those of strace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::{FAILURES, PROGRAMS, failure, new_file, play};

/// The most lines that a program may have which the one before has not.
const NEW_LINES: usize = 60;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source(program: &str) -> String {
    fs::read_to_string(root().join(format!("src/bin/{program}.rs"))).unwrap()
}

/// The pages of the steps, sorted.
fn pages() -> Vec<PathBuf> {
    let pages = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = pages.filter(|it| it.extension().is_some_and(|it| it == "md")).collect();
    pages.sort();
    pages
}

/// The function of a test, with its comment.
fn test(name: &str) -> String {
    let text = fs::read_to_string(root().join("tests/ladder/failures.rs")).unwrap();
    let parts = text.split("\n\n").find(|part| part.contains(&format!("\npub fn {name}(")));
    let from = text.find(parts.unwrap()).unwrap();
    text[from..from + text[from..].find("\n}\n").unwrap() + 3].to_owned()
}

/// The kernel that `simulated.rs` has for step 13, without its indentation.
fn simulated_kernel() -> String {
    let text = fs::read_to_string(root().join("tests/ladder/simulated.rs")).unwrap();
    let lines = text.lines().skip_while(|line| !line.contains("impl Kernel for Simulated"));
    let lines: Vec<&str> = lines.map(|line| line.get(8..).unwrap_or("")).collect();
    let end = lines.iter().position(|line| *line == "}").unwrap();
    lines[..=end].join("\n") + "\n"
}

fn diff(from: &str, to: &str) -> String {
    let path = |program| root().join(format!("src/bin/{program}.rs"));
    let output = Command::new("diff").arg("-U1").args([path(from), path(to)]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // Without the names of the files, and without the numbers of the lines.
    let lines = text.lines().skip(2).map(|line| if line.starts_with("@@") { "@@" } else { line }.to_owned() + "\n");
    lines.skip(1).collect()
}

/// What a block is to hold, if its fence says so.
fn expected(fence: &str) -> Option<String> {
    match fence.split(' ').collect::<Vec<_>>()[..] {
        ["rust", name] if FAILURES.iter().any(|it| it.name == name) => Some(test(name)),
        ["rust", "simulated"] => Some(simulated_kernel()),
        ["rust", program] => Some(source(program)),
        ["diff", from, to] => Some(diff(from, to)),
        _ => None,
    }
}

/// A page with each block as it should be, and its blocks: fence and text.
fn read(page: &Path) -> (String, Vec<(String, String)>) {
    let text = fs::read_to_string(page).unwrap();
    let (mut whole, mut blocks) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        whole += &format!("{line}\n");
        let Some(fence) = line.strip_prefix("```") else { continue };
        let block: String = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        whole += &expected(fence).unwrap_or(block.clone());
        whole += "```\n";
        blocks.push((fence.to_owned(), block));
    }
    (whole, blocks)
}

/// Whether a line is as a pattern says, in which `…` stands for anything, and `(less)` for a result below the first number
/// that stands alone between two commas.
fn is_like(line: &str, pattern: &str) -> bool {
    if let Some(call) = pattern.strip_suffix("(less)") {
        let result = line.rsplit(' ').next().and_then(|it| it.parse::<u64>().ok());
        let asked = line.split(", ").find_map(|it| it.parse::<u64>().ok());
        let Some(start) = result.map(|it| line.strip_suffix(&it.to_string()).unwrap_or(line)) else { return false };
        return result < asked && is_like(start, call);
    }
    let mut parts = pattern.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap()) else { return false };
    for part in parts.clone() {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || parts.next_back().is_some_and(str::is_empty)
}

#[test]
fn programs_changes_and_tests_are_those_of_the_files() {
    for page in pages() {
        let (whole, _) = read(&page);
        if env::var_os("LADDER_WRITE").is_some() {
            fs::write(&page, &whole).unwrap();
        }
        let is_same = fs::read_to_string(&page).unwrap() == whole;
        assert!(is_same, "{} does not show what is there; LADDER_WRITE=1 writes it", page.display());
    }
}

#[test]
fn each_program_and_each_test_is_shown() {
    let blocks: Vec<String> = pages().iter().flat_map(|page| read(page).1).map(|(fence, _)| fence).collect();
    for (at, (program, _)) in PROGRAMS.iter().enumerate() {
        let fence = match at {
            0 => format!("rust {program}"),
            _ => format!("diff {} {program}", PROGRAMS[at - 1].0),
        };
        assert!(blocks.contains(&fence), "no page has {fence}");
    }
    for it in FAILURES {
        assert!(blocks.contains(&format!("rust {}", it.name)), "no page has the test {}", it.name);
        assert!(blocks.contains(&format!("strace {} {}", it.name, it.before.0)), "no lines of strace for {}", it.name);
        let said =
            pages().iter().any(|page| fs::read_to_string(page).unwrap().replace('\n', " ").contains(it.before.1));
        assert!(said, "no page says: {}", it.before.1);
    }
}

#[test]
fn a_step_has_few_new_lines() {
    for pair in PROGRAMS.windows(2) {
        let new = diff(pair[0].0, pair[1].0).lines().filter(|line| line.starts_with('+')).count();
        assert!((1..=NEW_LINES).contains(&new), "{} has {new} new lines", pair[1].0);
    }
}

#[test]
fn strace_says_what_the_pages_show() {
    for (fence, block) in pages().iter().flat_map(|page| read(page).1) {
        let ["strace", name, program] = fence.split(' ').collect::<Vec<_>>()[..] else { continue };
        let file = new_file();
        let _ = play(program, failure(name), Some(file.clone()));
        let trace = fs::read_to_string(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let mut lines = trace.lines();
        for pattern in block.lines() {
            let is_there = lines.by_ref().any(|line| is_like(line, pattern));
            let last = trace.lines().rev().take(40).collect::<Vec<_>>();
            assert!(is_there, "{fence}: there is no\n{pattern}\nin these lines, backwards:\n{}", last.join("\n"));
        }
    }
}

#[test]
fn the_map_leads_to_places_that_exist() {
    let map = fs::read_to_string(root().join("14-map.md")).unwrap();
    let rows: Vec<&str> = map.lines().filter(|line| line.contains("| `src/")).collect();
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let place = row.split(" | ").nth(2).unwrap();
        let (file, item) = place.trim_matches('`').split_once("` `").unwrap_or((place.trim_matches('`'), ""));
        let code = fs::read_to_string(root().join("../..").join(file)).unwrap_or_else(|_| panic!("there is no {file}"));
        assert!(code.contains(item), "{file} has no {item}");
    }
}

#[test]
fn a_pattern_is_strict() {
    assert!(is_like("read(3, 17) = 4", "read(3, …) = 4") && is_like("read(3", "read(…") && is_like("x", "x"));
    assert!(
        is_like("write(3, 17, 0) = 4", "write(…, 0) = (less)") && !is_like("write(3, 4, 0) = 4", "write(…) = (less)")
    );
    assert!(!is_like("write(3, 17) = -1 EAGAIN (x)", "write(…) = (less)"));
    assert!(!is_like("read(3, 17) = 44", "read(3, …) = 4") && !is_like("aread(3", "read(…") && !is_like("xy", "x"));
}
