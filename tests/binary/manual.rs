//! `tidegate man` and `tidegate completions`: they have each command and each flag that the help has.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support;
use crate::support::Daemon;
use crate::support::folder::Folder;

const COMMANDS: [&[&str]; 14] = [
    &[],
    &["chat"],
    &["hub"],
    &["echo"],
    &["sink"],
    &["source"],
    &["proxy"],
    &["connect"],
    &["replay"],
    &["inspect"],
    &["check"],
    &["bench"],
    &["bench", "echo"],
    &["bench", "chat"],
];

/// The flags that `--help` lists.
pub fn flags(command: &[&str]) -> BTreeSet<String> {
    let help = support::program().args(command).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed = help
        .lines()
        .filter_map(|line| line.strip_prefix("      --").or_else(|| line.split_once(", --").map(|it| it.1)));
    let name = |rest: &str| {
        rest.split(|it: char| !(it.is_ascii_lowercase() || it == '-')).next().unwrap_or_default().to_owned()
    };
    listed.map(name).filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_manual_has_a_page_for_each_command_with_each_flag() {
    let folder = Folder::new();
    let pages = folder.path("man/man1");
    let mut man = Daemon::launch(&["man", pages.to_str().unwrap()]);
    man.exits_with(0);
    for command in COMMANDS {
        let name = [&["tidegate"], command].concat().join("-");
        let page =
            fs::read_to_string(pages.join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        let flags = flags(command);
        assert!(flags.contains("help"), "{name}: {flags:?}");
        for flag in &flags {
            let in_roff = format!("\\-\\-{}", flag.replace('-', "\\-"));
            assert!(page.contains(&in_roff), "{name} has no {in_roff}");
        }
    }
    assert!(flags(&["chat"]).len() > 20);
    let mut full = Daemon::launch(&["man", "/dev/null/man"]);
    full.exits_with(1);
    assert!(full.log().contains("cannot write the manual to /dev/null/man: "), "{}", full.log());
}

#[test]
fn each_shell_completes_each_command_and_flag() {
    for (shell, syntax) in
        [("bash", Some("bash")), ("zsh", None), ("fish", None), ("elvish", None), ("powershell", None)]
    {
        let script = support::program().args(["completions", shell]).output().unwrap();
        assert!(script.status.success(), "{shell}");
        let script = String::from_utf8(script.stdout).unwrap();
        for flag in COMMANDS.iter().flat_map(|command| flags(command)) {
            // fish has them without the hyphens.
            assert!(script.contains(flag.as_str()), "{shell} has no --{flag}");
        }
        for command in COMMANDS.iter().filter_map(|command| command.last()) {
            assert!(script.contains(command), "{shell} has no {command}");
        }
        if let Some(program) = syntax {
            let checked = Command::new(program).args(["-n", "-c", &script]).status().unwrap();
            assert!(checked.success(), "{shell}");
        }
    }
    let mut unknown = Daemon::launch(&["completions", "tcsh"]);
    unknown.exits_with(2);
    assert!(unknown.log().contains("possible values: bash, elvish, fish, powershell, zsh"), "{}", unknown.log());
}
