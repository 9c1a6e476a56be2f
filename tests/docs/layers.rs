//! The floors of the house: imports point down only. And what the code is promised never to contain.
//!
//! It reads `src/` as text, so it sees what a compiler lets pass: a lower floor that has begun to know a higher one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The first part of a path below `src/`, with its floor.
const FLOORS: &[(&str, u32)] = &[
    ("base", 0),
    ("address", 0),
    ("connection", 1),
    ("names", 1),
    ("text", 1),
    ("kernel", 2),
    ("sim", 2),
    ("properties", 4),
    ("net", 3),
    ("event_loop", 4),
    ("guide", 4),
    ("bin", 5),
];

const TOP: u32 = 5;

struct Source {
    /// As in `connection/mod.rs`.
    path: String,
    /// Without comments, and without the tests at its end.
    code: String,
}

fn sources() -> Vec<Source> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &mut found);
    found.sort();
    let read = |path: &PathBuf| Source {
        path: path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/"),
        code: code(&std::fs::read_to_string(path).unwrap()),
    };
    found.iter().map(read).collect()
}

/// The lines that are no comments, up to the tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().map(|line| match line.find("//") {
        Some(at) => &line[..at],
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn floor_of(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// What stands behind each `crate::` of a text: `crate::{a, b::c}` names a and b.
fn named_behind<'t>(root: &str, code: &'t str) -> Vec<&'t str> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices(root) {
        if code[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$') {
            continue;
        }
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            None => named.push(word(rest)),
            Some(group) => {
                let mut depth = 1;
                let mut begins = true;
                for (at, letter) in group.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' => begins = depth == 1,
                        _ if letter.is_whitespace() => {}
                        _ if begins => {
                            named.push(word(&group[at..]));
                            begins = false;
                        }
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    named
}

fn word(text: &str) -> &str {
    let end = text.find(|letter: char| !(letter.is_alphanumeric() || letter == '_')).unwrap_or(text.len());
    &text[..end]
}

/// Names that `lib.rs` gives to the whole library, with the module that each comes from.
fn reexports(lib: &str) -> BTreeMap<String, String> {
    let mut from = BTreeMap::new();
    for statement in lib.split(';') {
        let Some((_, path)) = statement.split_once("pub use ") else { continue };
        let (module, names) = path.split_once("::").unwrap();
        for name in names.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).filter(|n| !n.is_empty()) {
            from.insert(name.to_owned(), module.trim().to_owned());
        }
    }
    from
}

#[test]
fn every_file_stands_on_a_floor() {
    for source in sources() {
        let module = source.path.split('/').next().unwrap().trim_end_matches(".rs");
        assert!(module == "lib" || floor_of(module).is_some(), "{}: which floor is it on?", source.path);
    }
}

#[test]
fn imports_point_down() {
    let sources = sources();
    let lib = sources.iter().find(|source| source.path == "lib.rs").unwrap();
    let reexports = reexports(&lib.code);
    let mut upward = Vec::new();
    for source in &sources {
        let module = source.path.split('/').next().unwrap().trim_end_matches(".rs");
        let Some(floor) = floor_of(module).filter(|floor| *floor < TOP) else { continue };
        for name in named_behind("crate::", &source.code) {
            let named = reexports.get(name).map_or(name, String::as_str);
            match floor_of(named) {
                Some(other) if other <= floor => {}
                Some(other) => upward.push(format!("{} (L{floor}) uses {named} (L{other})", source.path)),
                None => upward.push(format!("{} (L{floor}) uses {name}, which is on no floor", source.path)),
            }
        }
        if source.code.contains("tidegate::") {
            upward.push(format!("{} uses the library from outside", source.path));
        }
    }
    assert!(upward.is_empty(), "imports that point up:\n{}", upward.join("\n"));
}

/// The parts of the binary, and what each may import of it. `main.rs` may import everything.
const PARTS_OF_THE_BINARY: &[(&str, &[&str])] = &[
    ("cli", &[]),
    ("process", &[]),
    ("inspector", &["cli", "process"]),
    ("daemon", &["cli", "process", "inspector"]),
    ("bench", &["cli", "inspector"]),
    ("connect", &["cli", "process"]),
    ("replay", &["cli", "process"]),
    ("inspect", &["cli"]),
];

#[test]
fn imports_of_the_binary_point_down() {
    for source in sources() {
        let Some(path) = source.path.strip_prefix("bin/tidegate/").filter(|path| *path != "main.rs") else { continue };
        let part = path.split('/').next().unwrap();
        let (_, allowed) = PARTS_OF_THE_BINARY.iter().find(|(name, _)| *name == part).unwrap_or_else(|| {
            panic!("{path}: which part of the binary is it?");
        });
        for name in named_behind("crate::", &source.code) {
            assert!(name == part || allowed.contains(&name), "{path} uses {name}");
        }
        let levels = path.trim_end_matches("/mod.rs").split('/').count();
        assert!(!source.code.contains(&"super::".repeat(levels)), "{path} imports by way of the root");
    }
}

#[test]
fn the_logic_does_no_input_or_output_and_reads_no_clock() {
    let doors = ["std::net::Tcp", "std::fs", "Instant::now", "SystemTime", "mio::", "socket2", "rustix", "std::env"];
    for source in sources() {
        let module = source.path.split('/').next().unwrap().trim_end_matches(".rs");
        let floor = floor_of(module).unwrap_or(TOP);
        let is_logic = floor == 1;
        // rustix in `error.rs` is a table of numbers; above the kernel's floor there is no door at all but the log's.
        let is_engine = floor == 3 || floor == 4;
        for door in doors {
            let exempt = is_engine && (door == "mio::" || door == "rustix");
            assert!(!(is_logic || is_engine) || exempt || !source.code.contains(door), "{} uses {door}", source.path);
        }
    }
}

/// What a role asks of the world is a fact of its recording, so that a run that is played asks for nothing.
#[test]
fn a_role_asks_the_world_by_way_of_its_recording() {
    let doors = ["Instant::now", "SystemTime", "std::env", "std::fs", "UdpSocket", "RandomState"];
    // Its only caller asks for a fact.
    let asked_by_proxy = "bin/tidegate/daemon/itself.rs";
    let mut asking = Vec::new();
    for source in sources() {
        let is_role = source.path.starts_with("bin/tidegate/daemon/") && !source.path.contains("/tests/");
        if !is_role || !doors.iter().any(|door| source.code.contains(door)) {
            continue;
        }
        let asks = source.code.contains("outside::fact(") || source.code.contains("outside::secret(");
        assert!(asks || source.path == asked_by_proxy, "{}: what it finds out is in no recording", source.path);
        asking.push(source.path);
    }
    assert!(asking.len() >= 3, "{asking:?}");
    let proxy = sources().into_iter().find(|source| source.path.ends_with("daemon/proxy.rs")).unwrap();
    assert_eq!(proxy.code.matches("own_listener(").count(), 3, "it is declared, and asked twice");
    assert!(proxy.code.contains("outside::fact(\"own listener\", own)"));
    assert!(proxy.code.contains("outside::fact(&format!(\"own listener at {address}\"), own)"));
}

/// The files of `net/` that each file of it imports from, by path. `mod` and `pub use` of a parent count as imports too, if
/// they name something; declaring a module does not.
fn imports_within_net() -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources();
    let files: BTreeMap<Vec<String>, &Source> = sources
        .iter()
        .filter(|source| source.path.starts_with("net/"))
        .map(|source| (module(&source.path), source))
        .collect();
    let mut imports = BTreeMap::new();
    for (module, source) in &files {
        let found: &mut BTreeSet<String> = imports.entry(source.path.clone()).or_default();
        for path in uses(&source.code) {
            // The longest part of it that is a module.
            let path = absolute(&path, module, source.path.ends_with("mod.rs"));
            let file = (1..=path.len()).rev().find_map(|length| files.get(&path[..length]));
            found.extend(file.map(|file| file.path.clone()).filter(|path| *path != source.path));
        }
    }
    imports
}

/// `net/conn/read.rs` is the module `net::conn::read`, `net/conn/mod.rs` is `net::conn`.
fn module(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The paths that `use` statements name: `use super::{a, b::c}` gives `super::a` and `super::b::c`.
fn uses(code: &str) -> Vec<Vec<String>> {
    fn expand(before: &[String], text: &str, found: &mut Vec<Vec<String>>) {
        let Some((path, group)) = text.split_once('{') else {
            let path = text.split("::").map(|part| word(part.trim()).to_owned());
            found.push(before.iter().cloned().chain(path).collect());
            return;
        };
        let path = path.trim_end_matches("::").split("::").map(|part| part.trim().to_owned());
        let before: Vec<String> = before.iter().cloned().chain(path.filter(|part| !part.is_empty())).collect();
        let group = group.rsplit_once('}').map_or(group, |(inside, _)| inside);
        let (mut depth, mut start) = (0, 0);
        for (at, letter) in group.char_indices().chain([(group.len(), ',')]) {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    if !group[start..at].trim().is_empty() {
                        expand(&before, group[start..at].trim(), found);
                    }
                    start = at + 1;
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    for statement in code.split(';') {
        if let Some((before, path)) = statement.rsplit_once("use ")
            && before
                .trim_end()
                .lines()
                .last()
                .is_none_or(|line| line.trim().is_empty() || line.contains("pub") || line.ends_with(']'))
        {
            expand(&[], path.trim(), &mut found);
        }
    }
    found
}

/// A path from the crate's root on. Of a `mod.rs`, what begins with one of its own modules is one below it.
fn absolute(path: &[String], module: &[String], is_mod: bool) -> Vec<String> {
    let (first, rest) = path.split_first().unwrap();
    let parent = &module[..module.len() - 1];
    match first.as_str() {
        "crate" => rest.to_vec(),
        "super" if is_mod => [parent, rest].concat(),
        "super" => [parent, rest].concat(),
        _ => [module, path].concat(),
    }
}

#[test]
fn the_files_of_net_import_in_no_circle() {
    let imports = imports_within_net();
    assert!(imports.len() > 25, "where are the files of net/? {imports:?}");
    assert!(imports["net/conn/read.rs"].contains("net/conn/mod.rs"), "{:?}", imports["net/conn/read.rs"]);
    assert!(imports["net/turn.rs"].contains("net/mod.rs"), "{:?}", imports["net/turn.rs"]);
    assert!(imports["net/mod.rs"].contains("net/cx.rs"), "{:?}", imports["net/mod.rs"]);
    // Taking away what imports nothing that is left, and what nothing that is left imports, leaves the circles.
    let mut left = imports.clone();
    loop {
        let imported: BTreeSet<&String> = left.values().flatten().collect();
        let free: Vec<String> = left
            .iter()
            .filter(|(path, imports)| {
                !imports.iter().any(|import| left.contains_key(import)) || !imported.contains(path)
            })
            .map(|(path, _)| path.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|path| {
            left.remove(path);
        });
    }
    assert!(left.is_empty(), "these import each other: {left:#?}");
}

#[test]
fn a_connection_reaches_no_other() {
    let conn = sources().into_iter().filter(|source| source.path.starts_with("net/conn/"));
    for source in conn {
        for word in ["Net", "Arena", "super::super"] {
            let names = source.code.match_indices(word).any(|(at, _)| {
                let before = source.code[..at].chars().next_back();
                let after = source.code[at + word.len()..].chars().next();
                let is_part =
                    |letter: Option<char>| letter.is_some_and(|letter| letter == '_' || letter.is_alphanumeric());
                !is_part(before) && !is_part(after)
            });
            let is_harness = source.path.ends_with("harness.rs") && word == "Arena";
            assert!(!names || is_harness, "{} names {word}", source.path);
        }
    }
}

#[test]
fn there_is_no_unsafe_code_and_no_thread() {
    let words = ["unsafe", "thread::spawn", "thread::Builder", "thread::scope"];
    for source in sources() {
        for word in words {
            let found = source.code.match_indices(word).any(|(at, _)| {
                let behind = source.code[at + word.len()..].chars().next();
                !behind.is_some_and(|letter| letter == '_' || letter.is_alphanumeric())
            });
            assert!(!found, "{}: {word}", source.path);
        }
    }
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
}

#[test]
fn the_test_itself_sees_an_upward_import() {
    let code = code(
        "use crate::{error::Error, net::{Net, Event}, id::SocketId};\nfn f(x: crate::event_loop::Socket) {} // crate::main",
    );
    assert_eq!(named_behind("crate::", &code), ["error", "net", "id", "event_loop"]);
    assert_eq!(reexports("pub use net::{Chunk,\n Event};\npub use id::SocketId;")["Event"], "net");
}
