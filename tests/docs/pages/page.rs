//! What a page has for its reader to type or to see: its blocks, and the code between backticks in its sentences.

use crate::project::{files, root};

/// All pages: those beside Cargo.toml, and those in `docs/`, but for `docs/ladder/`: its own tests look at these.
pub fn all() -> Vec<String> {
    let beside = root().read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> = beside.filter(|name| name.ends_with(".md")).collect();
    let below = files("docs", "md").into_iter().map(|(name, _)| name);
    pages.extend(below.filter(|name| !name.starts_with("docs/ladder/")));
    pages.sort();
    pages
}

/// A part of a page, in the order of the page.
pub enum Part {
    Block(Block),
    /// Code in a sentence.
    Span(String),
}

pub struct Block {
    /// Of its first fence, from 1.
    pub line: usize,
    /// What stands behind the fence: `sh`, or nothing.
    pub language: String,
    pub text: String,
}

impl Block {
    /// The commands of an `sh` block, one a line: without comments, and joined where a backslash continues one.
    pub fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        let lines = joined.lines().map(|line| line.split("  #").next().unwrap_or_default().trim());
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }
}

pub fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut prose, mut block): (String, Option<Block>) = (String::new(), None);
    let spans = |prose: &mut String| {
        assert!(prose.matches('`').count().is_multiple_of(2), "a backtick is alone in:\n{prose}");
        let prose = std::mem::take(prose);
        prose.split('`').skip(1).step_by(2).map(|span| Part::Span(span.replace('\n', " "))).collect::<Vec<_>>()
    };
    for (number, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), block.take()) {
            (Some(_), Some(whole)) => parts.push(Part::Block(whole)),
            (Some(language), None) => {
                parts.extend(spans(&mut prose));
                block = Some(Block { line: number + 1, language: language.to_owned(), text: String::new() });
            }
            (None, Some(mut begun)) => {
                begun.text += line;
                begun.text.push('\n');
                block = Some(begun);
            }
            (None, None) => {
                prose += line;
                prose.push('\n');
            }
        }
    }
    assert!(block.is_none(), "the last block has no end");
    parts.extend(spans(&mut prose));
    parts
}

/// Programs that a sentence may have its reader type.
const PROGRAMS: [&str; 13] = [
    "cargo",
    "iperf",
    "jq",
    "nc",
    "ncat",
    "redis-benchmark",
    "socat",
    "strace",
    "systemctl",
    "taskset",
    "telnet",
    "tidegate",
    "ulimit",
];

/// Whether code in a sentence is a command: a program with arguments, or a script of this project.
pub fn is_command(span: &str) -> bool {
    let is_setting = |word: &&str| word.split_once('=').is_some_and(|(name, _)| name == name.to_uppercase());
    let words: Vec<&str> = span.split(' ').skip_while(is_setting).collect();
    // A file of the system, such as /etc/hosts, is no script, whatever its mode is.
    let is_ours = |word: &str| word.contains('/') && !word.starts_with('/');
    let is_script = |word: &str| is_ours(word) && root().join(word).is_file() && is_executable(word);
    match words[..] {
        [] => false,
        [program] => is_script(program),
        [program, ..] => PROGRAMS.contains(&program) || is_script(program),
    }
}

pub fn is_executable(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    root().join(path).metadata().is_ok_and(|it| it.permissions().mode() & 0o111 != 0)
}

#[test]
fn blocks_and_commands_are_seen() {
    let text = "Type `nc -U\nx`, not `nc`:\n\n```sh\n# first\na 'b'   # why\nc \\\n    d\n```\n`X=1 cargo test`\n  ```\n  x\n  ```\n";
    let seen: Vec<String> = parts(text)
        .into_iter()
        .map(|part| match part {
            Part::Span(span) => format!("{span}: {}", is_command(&span)),
            Part::Block(block) => format!("{} {} {:?}", block.line, block.language, block.commands()),
        })
        .collect();
    let expected = ["nc -U x: true", "nc: false", r#"4 sh ["a 'b'", "c d"]"#, "X=1 cargo test: true", r#"11  ["x"]"#];
    assert_eq!(seen, expected);
}
