//! What `docs/inspect.md` has its reader type, as it stands there, but for the ports and the paths; and the files for Prometheus.
//!
//! `curl`, `jq` and `promtool` are wanted. Where one is missing, nothing is tried, unless `TIDEGATE_TOOLS` is `required`, as in CI.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::folder::Folder;
use crate::support::inspector::{Place, inspected_echo};
use crate::support::{Client, Daemon, wait_until};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Whether all these programs are here.
fn are_here(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_missing = |program: &&&str| !std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let Some(missing) = programs.iter().find(is_missing) else { return true };
    assert!(std::env::var_os("TIDEGATE_TOOLS").is_none_or(|how| how != "required"), "no {missing}");
    println!("NOT RUN, since there is no {missing} here");
    false
}

/// A command of the page, typed where the role's port, its folder and its key are others.
#[track_caller]
fn types(command: &str, place: &Place, folder: &Folder) -> String {
    assert!(read("docs/inspect.md").lines().any(|line| line == command), "docs/inspect.md has no line {command:?}");
    let port = place.address.port().to_string();
    let typed = command.replace("9000", &port).replace("/run/", &format!("{}/", folder.itself().display()));
    let ours = Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap().display().to_string();
    let path = format!("{ours}:{}", std::env::var("PATH").unwrap_or_default());
    let output =
        Command::new("/bin/sh").args(["-c", &typed]).env("PATH", path).env("KEY", &place.key).output().unwrap();
    // That `curl` was ended by its time is what was asked for.
    assert!(output.status.success() || command.contains("--max-time"), "{typed}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_the_page_has_one_type_answers() {
    if !are_here(&["curl", "jq"]) {
        return;
    }
    let (echo, place) = inspected_echo();
    let folder = Folder::new();
    let at = folder.endpoint("echo-inspect.sock").to_string();
    let other = Daemon::echo(&["--inspect", &at]);
    other.logs("where the inspector is", |line| line.contains("inspect: unix:"));
    let mut clients: [Client; 2] = [echo.join(), other.join()];
    for client in &mut clients {
        client.says("hello");
        client.hears("hello");
    }
    let types = |command: &str| types(command, &place, &folder);
    assert!(types("curl -s http://127.0.0.1:9000/metrics").contains("\ntidegate_limit_used{name=\"connections\"} 1\n"));
    assert_eq!(types("curl -s http://127.0.0.1:9000/statistics | jq .figures.queued_bytes"), "0\n");
    let sorted =
        "curl -s \"http://127.0.0.1:9000/connections?key=$KEY&sort=queued&limit=10\" | jq '.connections[].queued'";
    assert_eq!(types(sorted), "0\n");
    let text =
        types("curl -s -H \"Authorization: Bearer $KEY\" -H 'Accept: text/plain' http://127.0.0.1:9000/connections");
    assert!(text.contains("127.0.0.1:") && serde_json::from_str::<Value>(&text).is_err(), "{text}");
    let events = types("curl -s -N --max-time 2 \"http://127.0.0.1:9000/events?key=$KEY\"");
    assert!(events.lines().filter(|line| line.starts_with("data: {")).count() >= 2, "{events}");
    let table = types("curl -s --unix-socket /run/echo-inspect.sock http://localhost/connections");
    assert_eq!(serde_json::from_str::<Value>(&table).unwrap()["count"], 1);
    assert_eq!(types("TIDEGATE_INSPECT_KEY=$KEY tidegate inspect 9000 --json | jq .connections.count"), "1\n");
    assert!(types("tidegate inspect unix:/run/echo-inspect.sock --once").contains("\n1 connection\n"));
}

#[test]
fn the_role_of_the_page_says_where_it_can_be_looked_at() {
    let command = "tidegate echo --inspect 9000".replace("9000", "0");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let echo = Daemon::role(words[0], &words[1..]);
    let place = Place::of(&echo);
    assert!(place.address.ip().is_loopback() && place.address.port() != 0);
    assert_eq!(place.json("/statistics")["role"], "echo");
}

// ---- Prometheus --------------------------------------------------------------------------------------------------------

const FOLDER: &str = "docs/examples/prometheus";

fn promtool(line: &str) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    Command::new("/bin/sh").args(["-c", &format!("exec promtool {line}")]).current_dir(folder).output().unwrap()
}

#[test]
fn promtool_accepts_the_metrics() {
    if !are_here(&["promtool"]) {
        return;
    }
    let (echo, place) = inspected_echo();
    let mut client = echo.join();
    client.says("hello");
    client.hears("hello");
    let folder = Folder::new();
    let file = folder.path("metrics");
    fs::write(&file, place.text("/metrics")).unwrap();
    let output = promtool(&format!("check metrics < {}", file.display()));
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn promtool_accepts_the_configuration_and_raises_each_alert() {
    if !are_here(&["promtool"]) {
        return;
    }
    for line in ["check config prometheus.yml", "check rules alerts.yml", "test rules alerts-test.yml"] {
        let output = promtool(line);
        assert!(output.status.success(), "{line}: {output:?}");
    }
    let alerts = read(&format!("{FOLDER}/alerts.yml"));
    let test = read(&format!("{FOLDER}/alerts-test.yml"));
    for alert in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(test.contains(&format!("alertname=\"{alert}\"")), "nothing raises {alert}");
    }
}

/// What a load generator opens is its plan, so it is near no limit and raises no alert.
#[test]
fn a_load_generator_is_near_no_limit() {
    let echo = Daemon::echo(&[]);
    let to = echo.address().to_string();
    let bench = Daemon::launch(&["bench", "echo", &to, "--inspect", "127.0.0.1:0", "--duration", "1h"]);
    let place = Place::of(&bench);
    wait_until("its connections are there", || place.json("/connections")["count"].as_u64() >= Some(64));
    for limit in place.json("/statistics")["limits"].as_array().unwrap() {
        if let (Some(used), Some(allowed)) = (limit["used"].as_u64(), limit["allowed"].as_u64()) {
            assert!(10 * used <= 9 * allowed, "{limit}");
        }
    }
}

/// A figure that has another name today would never raise an alert.
#[test]
fn each_figure_of_an_alert_is_one_that_is_served() {
    let (_echo, place) = inspected_echo();
    let metrics = place.text("/metrics");
    let alerts = read(&format!("{FOLDER}/alerts.yml"));
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let names = alerts.split(|letter: char| !is_name(letter)).filter(|word| word.starts_with("tidegate_"));
    let mut count = 0;
    for name in names {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "no {name} in:\n{metrics}");
        count += 1;
    }
    assert!(count > 8, "{count} names in alerts.yml");
}
