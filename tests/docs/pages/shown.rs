//! What the pages show, compared with the real output.

use serde_json::{Value, json};

use super::page::{Part, parts};
use super::reader::{Reader, has};
use crate::project::{read, root};
use crate::support::{Client, Daemon};

/// A session in the room: `$ nc ...`, then what this guest types, after `>`, and what it hears. The other guests do
/// what it hears of them.
pub fn a_room(text: &str) {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("$ nc 127.0.0.1 8080"));
    let help = crate::support::program().args(["chat", "--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("else 127.0.0.1:8080]"), "the address is the default");
    let room = Daemon::chat(&[]);
    let mut anna = room.join();
    let mut other: Option<Client> = None;
    for line in lines {
        if let Some(typed) = line.strip_prefix("> ") {
            anna.says(typed);
            continue;
        }
        match line.split_once(' ').unwrap() {
            ("*", told) if told.starts_with("guest2 joined") => other = Some(room.join()),
            ("*", told) if told.starts_with("guest2 left") => drop(other.take().unwrap()),
            ("guest2:", said) => other.as_mut().unwrap().says(said),
            _ => {}
        }
        anna.hears(line);
    }
    anna.ends();
}

/// Numbers, and the units after them, differ each time.
fn form(line: &str) -> String {
    let is_number = |word: &str| word.starts_with(|it: char| it.is_ascii_digit());
    let is_unit = |word: &str| ["us", "ms", "s", "kB/s", "MB/s", "GB/s", "bytes"].contains(&word);
    let words = line.split_whitespace().map(|word| {
        let (word, comma) = word.strip_suffix([',', ':']).map_or((word, ""), |it| (it, ","));
        let shown = if is_number(word) { "N" } else { word };
        format!("{}{comma}", if is_unit(word) { "unit" } else { shown })
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Lines as `tidegate replay` prints them, with other numbers: the run of the page's room is a short one.
pub fn a_replay(reader: &mut Reader, text: &str) {
    let output = reader.types("tidegate replay /run/chat.rec");
    let output = String::from_utf8(output.stdout).unwrap();
    let (shown, printed): (Vec<&str>, Vec<&str>) = (text.lines().collect(), output.lines().collect());
    assert_eq!(shown.len(), printed.len(), "{output}");
    let words = |line: &str| -> Vec<String> {
        let singular = |word: &str| word.trim_end_matches(',').trim_end_matches('s').to_owned();
        let is_number = |word: &str| word.starts_with(|first: char| first.is_ascii_digit());
        line.split(' ').filter(|word| !is_number(word)).map(singular).collect()
    };
    assert!(printed[0].starts_with(shown[0]), "{output}");
    assert_eq!(words(printed[1]), words(shown[1]));
    // The room of the page still runs.
    assert_eq!(shown[2], "it ended as it ended then");
    assert!(printed[2].starts_with("the recording goes no further: "), "{output}");
    assert_eq!(printed[3].split(' ').next(), shown[3].split(' ').next());
}

/// What `tidegate inspect --once` shows of an echo with one client: of this form, with other figures.
pub fn an_inspection(text: &str) {
    let echo = Daemon::echo(&["--inspect", "127.0.0.1:0"]);
    let line = echo.logs("where the inspector is", |line| line.contains("inspect: http://"));
    let url = line.split("inspect: ").nth(1).unwrap();
    let mut client = echo.join();
    client.says("hello");
    client.hears("hello");
    let output = crate::support::program().args(["inspect", url, "--once"]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    // Words without a digit, and no units: a figure may have any.
    let words = |line: &str| -> Vec<String> {
        let units = ["B", "KiB", "MiB", "GiB", "B/s", "KiB/s", "MiB/s", "GiB/s", "µs", "ms", "s", "min", "h", "d", "≤"];
        let words = line.split_whitespace().map(|word| word.trim_end_matches([',', ';']));
        let is_word = |word: &&str| !units.contains(word) && !word.contains(|letter: char| letter.is_ascii_digit());
        words.filter(is_word).map(str::to_owned).collect()
    };
    // The longest turn may have been with the client, with the inspector, or with nobody.
    let lines = |text: &str| -> Vec<Vec<String>> {
        text.lines().filter(|line| !line.starts_with("longest")).map(words).collect()
    };
    let shown: String = text.lines().filter(|line| !line.starts_with("$ ")).map(|line| format!("{line}\n")).collect();
    assert_eq!(lines(&shown), lines(&printed), "shown is\n{shown}\nand this is printed:\n{printed}");
}

/// A part of what is told of the run of this block.
pub fn an_explanation(reader: &mut Reader, text: &str, nth: usize) {
    let runs = ["echo", "half-close", "broadcast", "stuck-reader", "stuck-reader"];
    let output = reader.types(&format!("tidegate replay docs/explained/{}.rec --explain", runs[nth]));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("\nit ended as it ended then\n"), "{told}");
    assert!(told.contains(text.trim_end()), "the page has:\n{text}\nand this is told:\n{told}");
}

/// `$ tidegate echo &`, `$ tidegate bench ...`, and a report of that form.
pub fn a_measurement(reader: &mut Reader, text: &str) {
    let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(commands.len(), 2);
    reader.serves(commands[0]);
    let output = reader.types(commands[1]);
    let output = String::from_utf8(output.stdout).unwrap();
    // Lines that a short run may not have, and a note about a busy machine.
    let may_be_missing = |line: &str| ["99.9 %", "99.99 %", "note "].iter().any(|it| line.trim().starts_with(it));
    let exact = |line: &str| line.trim().split_once(" %").is_some_and(|(it, _)| it.parse::<f64>().is_ok());
    let form = |line: &str| if exact(line) { line.split(" %").next().unwrap().trim().to_owned() } else { form(line) };
    let mut come = output.lines().peekable();
    for line in text.lines().filter(|line| !line.starts_with("$ ")) {
        match come.next_if(|it| form(it) == form(line)) {
            Some(_) => {}
            None => assert!(may_be_missing(line), "shown is {line:?}, next came {:?}, of\n{output}", come.peek()),
        }
    }
    assert!(come.all(may_be_missing), "more comes than is shown:\n{output}");
}

/// Types `cargo run --release --example scenario -- FILE...`, or `scenario -- --sim FILE...`: what it prints and says.
fn scenario(reader: &Reader, flags: &str, file: &str) -> (Value, String) {
    let program = crate::support::examples::compiled("scenario");
    let output = reader.run(&format!("{} {flags} {file}", program.display()));
    assert!(output.status.success(), "{output:?}");
    (serde_json::from_slice(&output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

pub fn how_many_are_equal(reader: &Reader, text: &str) {
    let corpus = root().join("tests/conformance/corpus.json");
    let (played, said) = scenario(reader, "--sim", corpus.to_str().unwrap());
    assert_eq!(said, text);
    assert_eq!(played.as_array().unwrap().len(), text.split(' ').next().unwrap().parse::<usize>().unwrap());
}

pub fn second_json(page: &str) -> String {
    let mut blocks = parts(&read(page)).into_iter().filter_map(|part| match part {
        Part::Block(block) if block.language == "json" => Some(block.text),
        _ => None,
    });
    blocks.nth(1).unwrap()
}

/// A scenario of a page gives the trace beside it, and the rule that never fires is the last one, as it says.
pub fn a_scenario(reader: &Reader, text: &str, trace: &str) {
    let (one, trace): (Value, Value) = (serde_json::from_str(text).unwrap(), serde_json::from_str(trace).unwrap());
    let last = one["rules"].as_array().unwrap().len() - 1;
    let file = reader.put("scenario.json", &json!([{ "scenario": one, "trace": trace }]).to_string());
    for flags in ["", "--sim"] {
        let (played, said) = scenario(reader, flags, &file);
        assert_eq!(played, json!([{ "name": one["name"], "trace": trace, "unfired": [last] }]), "{flags}");
        assert_eq!(said, "1 of 1 traces equal\n");
    }
}

/// A manifest with these lines is one that cargo resolves, where the project lies beside it.
pub fn a_dependency(reader: &Reader, text: &str) {
    assert!(text.contains("\"../tidegate\""), "{text}");
    let package = "[package]\nname = \"reader\"\nversion = \"0.0.0\"\n[lib]\npath = \"Cargo.toml\"\n[workspace]\n";
    let lines = text.replace("../tidegate", root().to_str().unwrap());
    let manifest = reader.put("Cargo.toml", &format!("{package}{lines}"));
    reader.put("Cargo.lock", &read("Cargo.lock"));
    let output = reader.run(&format!("cargo tree --offline --edges normal --manifest-path {manifest}"));
    assert!(output.status.success(), "{output:?}");
}

/// JavaScript, which is judged where there is a node; what it does was compared by hand.
pub fn a_sketch(reader: &Reader, text: &str) {
    if has("node", "the sketch of docs/node.md") {
        let file = reader.put("sketch.mjs", text);
        let output = reader.run(&format!("node --check {file}"));
        assert!(output.status.success(), "{output:?}");
    }
}

/// Each line of a trace has a form that traces have.
pub fn a_trace(reader: &Reader, text: &str) {
    let output = reader.types("SEED=17 cargo test --test sim simulation -- --nocapture");
    let traced = String::from_utf8(output.stdout).unwrap();
    let form = |line: &str| {
        let letters = line.trim().chars().map(|it| if it.is_ascii_digit() { '0' } else { it });
        letters.collect::<String>().split('0').filter(|it| !it.is_empty()).collect::<Vec<_>>().join("0")
    };
    let forms: Vec<String> = traced.lines().map(form).collect();
    for line in text.lines() {
        assert!(forms.contains(&form(line)), "no line of a trace is like {line:?}");
    }
}

/// What `docs/programs.md` shows is judged by tests of its own; a text is what the program prints there.
pub fn program(text: &str, language: &str) {
    if language != "text" {
        return assert!(read("tests/docs/programs_page.rs").contains(&format!(", \"{language}\")")), "{language}");
    }
    let tests = read("tests/docs/programs.rs");
    let words = |line: &str| {
        line.split([' ', ':', ','])
            .filter(|it| !it.contains(|it: char| it.is_ascii_digit() || it == '{' || it == '}'))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let printed: Vec<String> = tests.lines().filter_map(|line| line.split('"').nth(1)).map(words).collect();
    for line in text.lines() {
        assert!(printed.contains(&words(line)), "no test sees {line:?}");
    }
}

/// A flag in a sentence is one of this program's, in some role; or of a tool that the sentence is about.
pub fn a_flag(page: &str, span: &str) {
    let flag = span.split([' ', '=']).next().unwrap();
    let roles = ["chat", "hub", "proxy", "connect", "replay", "inspect", "bench echo", "bench request", "bench chat"];
    let help = |role: &str| crate::support::program().args(role.split(' ')).arg("--help").output().unwrap().stdout;
    let known = roles.iter().any(|role| String::from_utf8_lossy(&help(role)).contains(&format!("{flag} ")))
        || roles.iter().any(|role| String::from_utf8_lossy(&help(role)).contains(&format!("{flag}\n")));
    assert!(known, "{page}: no role has {flag}");
}
