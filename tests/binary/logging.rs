//! `--log` and `--log-file`: records for programs, and a file that can be rotated.

use std::fs;

use serde_json::Value;

use crate::support::folder::{Folder, mode_of};
use crate::support::{Daemon, Signal, wait_until};

#[test]
fn each_record_is_an_object_or_pairs() {
    let mut json = Daemon::launch(&["echo", "--listen", "127.0.0.1:0", "--log", "json"]);
    json.logs("its start", |line| line.contains("at most"));
    let mut logfmt = Daemon::launch(&["echo", "--listen", "127.0.0.1:0", "--log=logfmt"]);
    logfmt.logs("its start", |line| line.contains("at most"));
    for daemon in [&mut json, &mut logfmt] {
        daemon.signal(Signal::TERM);
        daemon.exits_with(0);
    }
    let log = json.log();
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(records.len() >= 4, "{log}");
    for record in &records {
        assert_eq!(record["level"], "info", "{record}");
        let time = record["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
    assert!(records[0]["message"].as_str().unwrap().starts_with("listening on 127.0.0.1:"), "{log}");
    assert_eq!(records.last().unwrap()["message"], "stopped: all was delivered");
    for line in logfmt.log().lines() {
        assert!(line.starts_with("time=2") && line.contains("Z level=info msg=\"") && line.ends_with('"'), "{line}");
    }
}

#[test]
fn a_log_file_is_appended_to_and_opened_anew_at_sighup() {
    let folder = Folder::new();
    let (path, rotated) = (folder.path("echo.log"), folder.path("echo.log.1"));
    fs::write(&path, "an older run\n").unwrap();
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mut echo = Daemon::launch(&["echo", "--listen", "127.0.0.1:0", "--log-file", path.to_str().unwrap()]);
    wait_until("its start", || read(&path).contains("at most"));
    assert!(read(&path).starts_with("an older run\n") && echo.log().is_empty());
    fs::rename(&path, &rotated).unwrap();
    echo.signal(Signal::HUP);
    wait_until("the new file", || read(&path).contains("the log file is opened anew"));
    assert!(read(&rotated).contains("listening on 127.0.0.1:"));
    assert_eq!(mode_of(&path) & !0o640, 0, "it is not for others");
    echo.signal(Signal::TERM);
    echo.exits_with(0);
    assert!(read(&path).contains("stopped: all was delivered") && !read(&rotated).contains("stopped"));
}

#[test]
fn a_log_file_that_cannot_be_opened_keeps_the_role_from_starting_and_later_harms_nothing() {
    let folder = Folder::new();
    let mut echo = Daemon::launch(&["echo", "--log-file", "/nonexistent/echo.log"]);
    echo.exits_with(1);
    assert!(echo.log().contains("cannot write the log to /nonexistent/echo.log: "), "{}", echo.log());
    // Its folder is taken away while it runs.
    let path = folder.path("logs/echo.log");
    fs::create_dir(folder.path("logs")).unwrap();
    let mut echo = Daemon::launch(&["echo", "--listen", "127.0.0.1:0", "--log-file", path.to_str().unwrap()]);
    wait_until("its start", || fs::read_to_string(&path).is_ok_and(|log| log.contains("at most")));
    let moved = folder.path("moved");
    fs::rename(folder.path("logs"), &moved).unwrap();
    echo.signal(Signal::HUP);
    let old = moved.join("echo.log");
    wait_until("the trouble", || fs::read_to_string(&old).unwrap().contains("the log goes on in the old file"));
    echo.signal(Signal::TERM);
    echo.exits_with(0);
}

#[test]
fn a_full_disk_holds_nobody_up() {
    let mut echo = Daemon::launch(&["echo", "--listen", "127.0.0.1:0", "--log-file", "/dev/full"]);
    crate::support::a_quiet_moment();
    assert!(echo.is_running());
    echo.signal(Signal::TERM);
    echo.exits_with(0);
}

#[test]
fn a_rotated_run_is_recorded_and_played() {
    let folder = Folder::new();
    let (log, recording) = (folder.path("log"), folder.path("run.rec"));
    let words = [
        "echo",
        "--listen",
        "127.0.0.1:0",
        "--log-file",
        log.to_str().unwrap(),
        "--record",
        recording.to_str().unwrap(),
    ];
    let mut echo = Daemon::launch(&words);
    wait_until("its start", || fs::read_to_string(&log).is_ok_and(|log| log.contains("at most")));
    echo.signal(Signal::HUP);
    wait_until("it is opened anew", || fs::read_to_string(&log).unwrap().contains("opened anew"));
    echo.signal(Signal::TERM);
    echo.exits_with(0);
    let before = fs::read(&log).unwrap();
    let mut played = Daemon::launch(&["replay", recording.to_str().unwrap()]);
    played.exits_with(0);
    assert_eq!(fs::read(&log).unwrap(), before, "a run that is played writes to no file");
}
