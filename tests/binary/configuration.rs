//! `--config`, `tidegate run` and `tidegate check`: flags that stand in a file.

use std::collections::BTreeSet;
use std::fs;

use crate::manual::flags;
use crate::support::folder::Folder;
use crate::support::{self, Daemon, Signal, free_address};

/// A file, and what `tidegate check` says of it: the exit code and the text.
fn check(folder: &Folder, text: &str) -> (i32, String) {
    let file = folder.path("t.toml");
    fs::write(&file, text).unwrap();
    let mut check = Daemon::launch(&["check", file.to_str().unwrap()]);
    let code = check.exits();
    (code, (check.whole_output() + &check.log()).replace(file.to_str().unwrap(), "t.toml"))
}

#[test]
fn a_role_runs_with_what_the_file_says_and_what_is_typed_goes_before_it() {
    let folder = Folder::new();
    let file = folder.path("room.toml");
    let (in_file, typed) = (free_address(), free_address());
    let text = format!("[chat]\nlisten = [\"{in_file}\"]\nmax-connections = 2\necho = true\n[echo]\nquiet = true\n");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let mut room = Daemon::launch(&["chat", "--config", file]);
    room.listens_on(in_file);
    assert!(room.log().contains("at most 2 connections at once"), "{}", room.log());
    let mut guest = room.join();
    guest.hears("* you are guest1; 1 online");
    guest.says("hello");
    guest.hears("guest1: hello"); // echo
    drop(room);
    // A list that is typed takes the place of the whole list.
    let mut room =
        Daemon::launch(&["chat", "--config", file, "--max-connections", "1", "--listen", &typed.to_string()]);
    room.listens_on(typed);
    let log = room.log();
    assert!(log.contains("at most 1 connection at once") && !log.contains(&in_file.to_string()), "{log}");
}

#[test]
fn a_typed_flag_takes_the_place_of_what_it_is_in_conflict_with() {
    let folder = Folder::new();
    let file = folder.path("t.toml");
    fs::write(&file, "[echo]\nquiet = true\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let mut echo = Daemon::launch(&["echo", "--config", file.to_str().unwrap(), "-v"]);
    echo.finds_its_addresses(1);
    let mut client = echo.join();
    client.sends(b"x");
    client.receives(b"x");
    echo.logs("a client", |line| line.contains("DEBUG") && line.contains(" connected"));
    drop(client);
    // And the other way round.
    fs::write(&file, "[echo]\nverbose = 2\n").unwrap();
    let mut quiet = Daemon::launch(&["echo", "--config", file.to_str().unwrap(), "--quiet", "--print-config"]);
    quiet.exits_with(0);
    let shown = quiet.whole_output();
    assert!(shown.contains("verbose = 0  # default") && shown.contains("quiet = true  # the command line"), "{shown}");
}

#[test]
fn what_is_in_force_is_shown_with_where_it_comes_from() {
    let folder = Folder::new();
    let file = folder.path("t.toml");
    fs::write(&file, "[proxy]\nto = \"127.0.0.1:7\"\n\nblock = [\"10.0.0.0/8\", \"::1\"]\n").unwrap();
    let name = file.to_str().unwrap();
    let mut proxy = Daemon::launch(&["proxy", "--config", name, "--drain-timeout", "3s", "--print-config"]);
    proxy.exits_with(0);
    let shown = proxy.whole_output();
    for line in [
        "[proxy]".to_owned(),
        format!("to = \"127.0.0.1:7\"  # {name}, line 2"),
        format!("block = [\"10.0.0.0/8\", \"::1\"]  # {name}, line 4"),
        "drain-timeout = \"3s\"  # the command line".to_owned(),
        "connect-timeout = \"5s\"  # default".to_owned(),
        "# listen is not given".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    // What is shown can be used.
    assert_eq!(check(&folder, &shown), (0, "t.toml: no mistake in [proxy]\n".to_owned()));
    let mut again = Daemon::launch(&["echo", "--print-config"]);
    again.exits_with(0);
    assert!(again.whole_output().contains("verbose = 0  # default"), "{}", again.whole_output());
}

#[test]
fn run_takes_the_role_from_the_file() {
    let folder = Folder::new();
    let file = folder.path("t.toml");
    let at = free_address();
    fs::write(&file, format!("[echo]\nlisten = \"{at}\"\n")).unwrap();
    let mut echo = Daemon::launch(&["run", file.to_str().unwrap()]);
    echo.listens_on(at);
    let mut client = echo.join();
    client.sends(b"x");
    client.receives(b"x");
    drop(client);
    echo.signal(Signal::TERM);
    echo.exits_with(0);
    fs::write(&file, "[echo]\n[chat]\n").unwrap();
    let mut two = Daemon::launch(&["run", file.to_str().unwrap()]);
    two.exits_with(2);
    assert!(two.log().contains("it has [echo], [chat]: one is wanted"), "{}", two.log());
}

#[test]
fn a_run_with_a_file_is_recorded_and_played_without_it() {
    let folder = Folder::new();
    let (file, recording) = (folder.path("t.toml"), folder.path("run.rec"));
    fs::write(&file, "[chat]\nlisten = \"127.0.0.1:0\"\necho = true\n").unwrap();
    let recording = recording.to_str().unwrap();
    let mut room = Daemon::launch(&["chat", "--config", file.to_str().unwrap(), "--record", recording]);
    room.finds_its_addresses(1);
    let mut guest = room.join();
    guest.hears("* you are guest1; 1 online");
    guest.says("hello");
    guest.hears("guest1: hello");
    drop(guest);
    room.signal(Signal::TERM);
    room.exits_with(0);
    fs::remove_file(&file).unwrap();
    let mut played = Daemon::launch(&["replay", recording]);
    played.exits_with(0);
    assert!(played.whole_output().contains("chat --listen=127.0.0.1:0 --echo"), "{}", played.whole_output());
}

/// In the file, and by what was typed.
#[test]
fn what_is_wrong_together_is_told_with_the_lines_that_it_concerns() {
    let folder = Folder::new();
    let file = folder.path("t.toml");
    fs::write(&file, "[chat]\n\noutput-hard = \"1M\"\n").unwrap();
    let name = file.to_str().unwrap();
    let mut room = Daemon::launch(&["chat", "--config", name, "--output-soft", "2M"]);
    room.exits_with(2);
    assert!(room.log().contains("above --output-hard of 1M"), "{}", room.log());
    assert!(room.log().contains(&format!("({name}: output-hard in line 3)")), "{}", room.log());
}

#[test]
fn each_flag_of_each_role_can_stand_in_a_file_and_is_shown() {
    for role in ["chat", "hub", "echo", "sink", "source", "proxy"] {
        let to: &[&str] = if role == "proxy" { &["--to", "9"] } else { &[] };
        let shown = support::program().arg(role).args(to).arg("--print-config").output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let keys: BTreeSet<&str> =
            shown.lines().skip(1).map(|line| line.trim_start_matches("# ").split(' ').next().unwrap()).collect();
        let flags = flags(&[role]);
        let not_in_a_file = ["config", "print-config", "help", "version"];
        let flags: BTreeSet<&str> =
            flags.iter().map(String::as_str).filter(|flag| !not_in_a_file.contains(flag)).collect();
        assert_eq!(keys, flags, "{role}");
    }
}

#[test]
fn each_mistake_is_told_with_its_place_and_the_way_out() {
    let folder = Folder::new();
    for (text, says) in [
        ("[chat]\necko = true\n", "line 2, column 1: chat has no flag 'ecko': did you mean 'echo'?"),
        (
            "[chat]\nmax-connection = 5\n",
            "line 2, column 1: chat has no flag 'max-connection': did you mean 'max-connections'?",
        ),
        ("[chat]\nblubb = 5\n", "line 2, column 1: chat has no flag 'blubb'\n"),
        ("[chat]\n--echo = true\n", "line 2, column 1: chat has no flag '--echo': did you mean 'echo'?"),
        ("[echo]\ncrlf = true\n", "line 2, column 1: echo has no flag 'crlf'"),
        ("[chat]\nmax-connections = \"many\"\n", "line 2, column 19: invalid value 'many' for '--max-connections <N>'"),
        ("[chat]\nmax-connections = -1\n", "line 2, column 19: invalid value '-1' for '--max-connections <N>'"),
        ("[chat]\nmax-connections = 1.5\n", "line 2, column 19: invalid value '1.5'"),
        ("[chat]\necho = \"yes\"\n", "line 2, column 8: 'echo' is true or false"),
        ("[chat]\necho = 1\n", "line 2, column 8: 'echo' is true or false"),
        (
            "[chat]\nlisten = [\"7000\", \"127.0.0.1\"]\n",
            "line 2, column 19: invalid value '127.0.0.1' for '--listen <ADDR>': it has no port: write 127.0.0.1:8080",
        ),
        ("[chat]\nlisten = [[\"7000\"]]\n", "line 2, column 11: 'listen' has a list within its list"),
        ("[chat]\nlisten = [true]\n", "line 2, column 11: 'listen' is not true or false"),
        ("[chat]\nlisten = [\"7000\", \"7000\"]\n", "[chat]: --listen 127.0.0.1:7000 is given twice"),
        (
            "[chat]\nlisten = \"7000\"\ninspect = \"7000\"\n",
            "[chat]: --listen 127.0.0.1:7000 and --inspect 127.0.0.1:7000 are one address",
        ),
        ("[chat]\nmemory = [1]\n", "line 2, column 10: 'memory' has one value, not a list"),
        ("[chat]\nmemory = {size = 1}\n", "line 2, column 10: 'memory' is a table"),
        ("[chat]\nverbose = 2\nquiet = true\n", "[chat]: the argument '--verbose...' cannot be used with '--quiet'"),
        ("[chat]\nverbose = true\n", "line 2, column 11: 'verbose' is a number: how often it would be typed"),
        ("[chat]\nverbose = 10\n", "line 2, column 11: 'verbose' is a number from 0 to 9"),
        ("[chat]\nconfig = \"x\"\n", "line 2, column 1: 'config' is for the command line alone"),
        ("[chat]\nhelp = true\n", "line 2, column 1: "),
        ("[chat\n", "line 1, column 6: unclosed table"),
        ("[chat]\n[chat]\n", "line 2, column 2: "),
        ("[room]\n", "line 1, column 2: there is no role 'room': there are chat, echo, sink, source, proxy, hub"),
        ("[bench]\n", "line 1, column 2: there is no role 'bench'"),
        ("echo = true\n", "line 1, column 1: 'echo' is in no table: write the name of a role above it, such as [chat]"),
        ("[[echo]]\n", "line 1, column 3: 'echo' is a list: a role has one table, [echo]"),
        ("", "there is no table of a role in it, such as [chat]"),
        ("[proxy]\n", "[proxy]: the following required arguments were not provided: --to <ADDR>"),
        ("[chat]\nmode = 0o660\n", "line 2, column 8: 'mode' is a number that is not decimal: write it in quotes"),
        (
            "[chat]\ndrain-timeout = 10\n",
            "line 2, column 17: invalid value '10' for '--drain-timeout <DURATION>': write a number with a unit",
        ),
        ("[chat]\nidle-timeout = 1979-05-27\n", "line 2, column 16: 'idle-timeout' is a date: write it in quotes"),
        (
            "[chat]\noutput-hard = \"1M\"\noutput-soft = \"2M\"\n",
            "raise --output-hard (or set it to none) (t.toml: output-hard in line 2, output-soft in line 3)\n",
        ),
        ("[chat]\nrecord-contents = \"no\"\n", "[chat]: --record-contents no: what a chat does depends on"),
        ("[chat]\nslow-motion = \"1s\"\n", "[chat]: the following required arguments were not provided: --explain"),
        (
            "[hub]\nslow = \"fast\"\n",
            "line 2, column 8: invalid value 'fast' for '--slow <RULE>' [possible values: drop-oldest",
        ),
        ("[hub]\nin = [\":10110\"]\n", "line 2, column 7: invalid value ':10110' for '--in <SOURCE>'"),
        (
            "[echo]\n\n[chat]\ninspect = \":9000\"\n",
            "line 4, column 11: invalid value ':9000' for '--inspect <ADDR>': it is for this machine alone",
        ),
    ] {
        let (code, told) = check(&folder, text);
        assert_eq!(code, 2, "{text}: {told}");
        assert!(told.starts_with("error: t.toml") && told.contains(says), "{text}: {told}");
    }
    for (path, says) in [("/dev/zero", "is longer than 1 MiB"), ("/", "cannot read /: ")] {
        let mut other = Daemon::launch(&["check", path]);
        other.exits_with(2);
        assert!(other.log().contains(says), "{path}: {}", other.log());
    }
    let mut missing = Daemon::launch(&["chat", "--config", "/nonexistent/t.toml"]);
    missing.exits_with(2);
    assert!(missing.log().contains("cannot read /nonexistent/t.toml: "), "{}", missing.log());
}
