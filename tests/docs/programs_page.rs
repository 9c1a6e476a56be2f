//! `docs/programs.md` agrees with the programs that it describes: what the page names, quotes and tells its reader to
//! type exists, is declared and is tested. `programs.rs` runs the programs.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::project::{read, root};

/// The examples that are one file each, by name, as `Cargo.toml` declares them: their files, below `docs/`.
fn declared() -> BTreeMap<String, String> {
    let manifest = read("Cargo.toml");
    let entries = manifest.split("[[example]]\n").skip(1).map(|entry| {
        let value = |key: &str| entry.split_once(&format!("{key} = \"")).unwrap().1.split('"').next().unwrap();
        (value("name").to_owned(), value("path").strip_prefix("docs/").unwrap().to_owned())
    });
    entries.filter(|(_, path)| !path.ends_with("/main.rs")).collect()
}

/// The sections of the page.
fn sections(page: &str) -> Vec<&str> {
    page.split("\n## ").collect()
}

/// The code blocks of this language.
fn blocks<'p>(text: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// Where the links to programs lead, below `docs/`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    targets.filter(|target| target.ends_with(".rs")).collect()
}

/// Without the lines' indentation.
fn flat(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_program_is_on_the_page_in_a_test_and_says_how_it_is_run() {
    let (page, tests, declared) = (read("docs/programs.md"), read("tests/docs/programs.rs"), declared());
    for (name, path) in &declared {
        assert!(links(&page).contains(&path.as_str()), "{path} is not on the page");
        assert!(tests.contains(&format!("(\"{name}\", ")), "{name} is in no test");
        let text = read(&format!("docs/{path}"));
        assert!(text.starts_with("//! "), "{path} does not begin with what it shows");
        assert!(text.contains(&format!("//! cargo run --example {name}\n")), "{path} does not say how it is run");
    }
    let mut files: Vec<String> = root()
        .join("docs/examples")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".rs"))
        .map(|name| format!("examples/{name}"))
        .collect();
    files.sort();
    let mut paths: Vec<String> = declared.into_values().collect();
    paths.sort();
    assert_eq!(files, paths, "declared are all files, and nothing else");
}

#[test]
fn there_are_seventeen_sections_with_a_sketch_and_a_program_each() {
    let page = read("docs/programs.md");
    let sections = &sections(&page)[1..];
    assert_eq!(sections.len(), 17);
    for (number, section) in sections.iter().enumerate() {
        let number = number + 1;
        assert!(section.starts_with(&format!("{number}. ")), "section {number}");
        assert!(!blocks(section, "js").is_empty(), "section {number} has no sketch");
        assert!(!links(section).is_empty(), "section {number} has no program");
        for link in links(section) {
            assert!(link.starts_with(&format!("examples/{number:02}-")), "{link} is not of section {number}");
        }
        assert!(section.contains("\n**The same:** ") && section.contains("\n**Different:** "), "section {number}");
    }
}

#[test]
fn the_quotes_of_the_page_are_in_the_programs_of_its_section() {
    let page = read("docs/programs.md");
    for section in sections(&page) {
        let programs: Vec<String> = links(section).iter().map(|link| flat(&read(&format!("docs/{link}")))).collect();
        for quote in blocks(section, "rust") {
            assert!(programs.iter().any(|text| text.contains(&flat(quote))), "in no program:\n{quote}");
        }
    }
}

#[test]
fn each_command_of_the_page_is_a_program_or_a_client() {
    let declared = declared();
    let pages = declared.values().map(|path| format!("docs/{path}")).chain(["docs/programs.md".to_owned()]);
    for path in pages {
        let text = read(&path).replace("\n//! ", "\n").replace("\n//!\n", "\n\n");
        let commands: Vec<&str> = blocks(&text, "sh").into_iter().flat_map(str::lines).collect();
        assert!(!commands.is_empty(), "{path}");
        for command in commands {
            let words: Vec<&str> = command.split(' ').collect();
            let known = match words[..] {
                ["cargo", "run", "--example", name] | ["cargo", "run", "--example", name, "--", ..] => {
                    declared.contains_key(name)
                }
                ["cargo", "run", "--", role] => ["chat", "echo"].contains(&role),
                ["nc", "localhost", "8080"] | ["nc", "-N", "localhost", "8080"] | ["cat", "msg.txt"] => true,
                _ => false,
            };
            assert!(known, "{path}: {command}");
        }
    }
}

/// What they do was compared with our programs by hand, with Node 20.
#[test]
fn the_sketches_are_javascript_where_there_is_a_node_to_ask() {
    let page = read("docs/programs.md");
    let mut node = Command::new("node");
    node.args(["--check", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let Ok(mut node) = node.spawn() else {
        let told = "\nsketches: NOT PARSED, since there is no node here\n";
        return std::io::stderr().write_all(told.as_bytes()).unwrap();
    };
    let each_by_itself: String = blocks(&page, "js").iter().map(|sketch| format!("{{\n{sketch}}}\n")).collect();
    node.stdin.take().unwrap().write_all(each_by_itself.as_bytes()).unwrap();
    assert!(node.wait().unwrap().success());
}
