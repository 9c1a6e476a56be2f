//! `--bus`: one room over several processes, with a real engine.

use std::process::{Command, Stdio};

mod fire;
mod stops;

use serde_json::json;

use super::support::engine::{Engine, PASSWORD};
use super::support::folder::Folder;
use super::support::inspector::Place;
use super::support::{Client, Daemon, Signal, free_address, free_port};

/// A node of the room that is together with the others.
fn node(engine: &Engine, label: &str, more: &[&str]) -> Daemon {
    let daemon = apart(engine, label, more);
    daemon.logs("that it is connected", |line| line.contains(": connected to "));
    daemon
}

/// The same, if the engine does not answer.
fn apart(engine: &Engine, label: &str, more: &[&str]) -> Daemon {
    let flags = engine.flags(label);
    let mut all: Vec<&str> = flags.iter().map(String::as_str).collect();
    all.extend(more);
    Daemon::chat(&all)
}

/// A guest who has a name in all of the room. Until the nodes know each other it may have one with the name of its node in it.
fn guest(daemon: &Daemon) -> (Client, String) {
    let mut client = daemon.join();
    let mut name = String::new();
    while name.is_empty() || name.contains('@') {
        let line = client.hears_line(); // it may hear of others before it has a name
        let is_now = line.strip_prefix(&format!("* {name} is now "));
        if let Some(told) = line.strip_prefix("* you are ").or(is_now) {
            name = told.split("; ").next().unwrap().to_owned();
        }
    }
    (client, name)
}

/// The next line that does not tell of somebody's coming or going.
fn hears_said(client: &mut Client) -> String {
    loop {
        let line = client.hears_line();
        let is_presence = line.starts_with("* ") && (line.contains(" joined") || line.contains(" left"));
        if !is_presence || line.contains(" is gone; ") {
            return line;
        }
    }
}

#[test]
fn what_is_said_at_one_node_is_heard_at_all_in_one_order() {
    let Some(engine) = Engine::start() else { return };
    let nodes = ["web1", "web2", "web3"].map(|label| node(&engine, label, &["--echo"]));
    let mut guests: Vec<(Client, String)> = nodes.iter().map(guest).collect();
    assert!(guests[0].1 != guests[1].1 && guests[1].1 != guests[2].1 && guests[0].1 != guests[2].1);
    for round in 0..50 {
        for (guest, _) in &mut guests {
            guest.says(&format!("line {round}"));
        }
    }
    let heard: Vec<Vec<String>> =
        guests.iter_mut().map(|(guest, _)| (0..150).map(|_| hears_said(guest)).collect()).collect();
    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[0], heard[2]);
    for (_, name) in &guests {
        let own: Vec<&String> = heard[0].iter().filter(|line| line.starts_with(&format!("{name}: "))).collect();
        assert_eq!(own.len(), 50);
        assert!(own.iter().enumerate().all(|(round, line)| line.ends_with(&format!(": line {round}"))));
    }
}

#[test]
fn comings_goings_and_names_are_told_everywhere() {
    let Some(engine) = Engine::start() else { return };
    let (here, there) = (node(&engine, "here", &[]), node(&engine, "there", &[]));
    let (mut alice, number) = guest(&here);
    alice.says("/nick alice");
    alice.hears_one_of(
        &["* you are alice".to_owned(), format!("* {number} is now alice")].each_ref().map(String::as_str),
    );
    let (mut bob, other) = guest(&there);
    bob.says("hello");
    alice.hears(&format!("* {other} joined; 2 online"));
    alice.hears(&format!("{other}: hello"));
    bob.says("/nick Alice");
    bob.hears("* name taken: Alice");
    bob.says("/nick bob");
    alice.hears(&format!("* {other} is now bob"));
    bob.says("/who");
    let who = loop {
        let line = bob.hears_line();
        if line.contains(" online: ") {
            break line;
        }
    };
    assert_eq!(who, "* 2 online: bob, alice");
    bob.hears("* at 2 machines: there 1, here 1");
    drop(bob);
    alice.hears("* bob left; 1 online");
    assert_ne!(number, other);
}

#[test]
fn an_engine_that_stops_parts_them_and_brings_them_together_again() {
    let Some(engine) = Engine::start() else { return };
    let patience = ["--bus-patience", "300ms"];
    let (here, there) = (node(&engine, "here", &patience), node(&engine, "there", &patience));
    let (mut anna, anna_name) = guest(&here);
    let (mut otto, otto_name) = guest(&here);
    let (mut berta, berta_name) = guest(&there);
    for speaker in [&mut anna, &mut otto, &mut berta] {
        speaker.says("first");
    }
    for hearer in [&mut anna, &mut otto, &mut berta] {
        let mut heard = [hears_said(hearer), hears_said(hearer)];
        heard.sort();
        assert!(heard.iter().all(|line| line.ends_with(": first")), "{heard:?}");
    }
    engine.stops();
    anna.says("is anybody there?");
    assert_eq!(hears_said(&mut otto), "* the other machines are out of reach; 2 here hear you");
    assert_eq!(hears_said(&mut otto), format!("{anna_name}: is anybody there?"));
    anna.says("no");
    assert_eq!(hears_said(&mut otto), format!("{anna_name}: no"));
    berta.says("nobody hears me");
    assert_eq!(hears_said(&mut berta), "* the other machines are out of reach; 1 here hear you");
    engine.goes_on();
    // Whoever comes back first says its lines first. Nothing is told twice, and nothing is missing.
    let until = |client: &mut Client, last: &str| {
        let mut lines = vec![hears_said(client)];
        while lines.last().is_some_and(|line| line != last) {
            lines.push(hears_said(client));
        }
        lines
    };
    otto.says("the end of otto");
    let end = format!("{otto_name}: the end of otto");
    let heard = until(&mut berta, &end);
    for line in [format!("{anna_name}: is anybody there?"), format!("{anna_name}: no")] {
        assert_eq!(heard.iter().filter(|it| **it == line).count(), 1, "{heard:?}");
    }
    assert_eq!(heard.iter().filter(|line| line.starts_with("* together again; ")).count(), 1, "{heard:?}");
    berta.says("the end of berta");
    let heard = until(&mut otto, &format!("{berta_name}: the end of berta"));
    assert_eq!(heard.iter().filter(|line| line.ends_with(": nobody hears me")).count(), 1, "{heard:?}");
    assert!(!heard.iter().any(|line| line.starts_with(&format!("{anna_name}: "))), "told before: {heard:?}");
}

#[test]
fn an_engine_that_has_lost_its_data_costs_no_line_that_is_said_later() {
    let Some(mut engine) = Engine::start() else { return };
    let patience = ["--bus-patience", "300ms"];
    let (here, there) = (node(&engine, "here", &patience), node(&engine, "there", &patience));
    let ((mut anna, anna_name), (mut berta, _)) = (guest(&here), guest(&there));
    anna.says("before");
    assert_eq!(hears_said(&mut berta), format!("{anna_name}: before"));
    engine.dies();
    anna.says("meanwhile");
    assert!(hears_said(&mut anna).starts_with("* the other machines are out of reach"));
    engine.begins();
    anna.says("after");
    let heard: Vec<String> =
        std::iter::repeat_with(|| hears_said(&mut berta)).take_while(|line| !line.ends_with(": after")).collect();
    assert_eq!(heard.iter().filter(|line| line.ends_with(": meanwhile")).count(), 1, "{heard:?}");
    assert!(!heard.iter().any(|line| line.ends_with(": before")), "{heard:?}");
}

#[test]
fn without_an_engine_a_room_serves_its_own_guests() {
    let Some(mut engine) = Engine::start() else { return };
    engine.dies();
    let daemon = apart(&engine, "alone", &["--bus-patience", "100ms"]);
    daemon.logs("why", |line| line.contains("connect ECONNREFUSED"));
    let ((mut anna, anna_name), (mut otto, _)) = (guest(&daemon), guest(&daemon));
    anna.says("hello");
    assert_eq!(hears_said(&mut otto), format!("{anna_name}: hello"));
}

#[test]
fn a_stop_in_order_is_told_and_loses_no_line() {
    let Some(engine) = Engine::start() else { return };
    let (mut here, there) = (node(&engine, "here", &[]), node(&engine, "there", &[]));
    let ((mut anna, anna_name), (mut berta, _)) = (guest(&here), guest(&there));
    anna.says("hello");
    assert_eq!(hears_said(&mut berta), format!("{anna_name}: hello"));
    here.freeze();
    anna.says("in flight");
    here.signal(Signal::TERM);
    here.thaw();
    here.exits_with(0);
    assert_eq!(hears_said(&mut berta), format!("{anna_name}: in flight"));
    let line = hears_said(&mut berta); // whether berta itself counts by now, is a matter of time
    assert!(line.starts_with("* here is gone; 1 left; "), "{line}");
}

#[test]
fn the_password_is_nowhere() {
    let Some(engine) = Engine::start() else { return };
    let folder = Folder::new();
    let recording = folder.path("run").display().to_string();
    let mut daemon = node(&engine, "here", &["-vvv", "--record", &recording]);
    let (mut anna, _) = guest(&daemon);
    anna.says("hello");
    daemon.signal(Signal::TERM);
    daemon.exits_with(0);
    assert!(!daemon.log().contains(PASSWORD));
    let bytes = std::fs::read(&recording).unwrap();
    assert!(!bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()));
}

#[test]
fn two_processes_share_a_port() {
    let Some(engine) = Engine::start() else { return };
    let port = free_address().to_string();
    let nodes = ["core1", "core2"].map(|label| node(&engine, label, &["--reuse-port", "--listen", &port]));
    assert_eq!(nodes[0].address(), nodes[1].address());
    // Which of the two has a guest is up to the kernel. All hear all.
    let mut guests: Vec<(Client, String)> = (0..12).map(|_| guest(&nodes[0])).collect();
    let (speaker, listeners) = guests.split_first_mut().unwrap();
    speaker.0.says("hello");
    for (listener, _) in listeners {
        assert_eq!(hears_said(listener), format!("{}: hello", speaker.1));
    }
}

#[test]
fn the_operator_is_told_how_the_node_stands() {
    let Some(engine) = Engine::start() else { return };
    let (here, there) = (node(&engine, "here", &["--inspect", "127.0.0.1:0"]), node(&engine, "there", &[]));
    let ((mut anna, name), (mut berta, other)) = (guest(&here), guest(&there));
    anna.says("hello");
    assert_eq!(hears_said(&mut berta), format!("{name}: hello"));
    berta.says("hello"); // who says nothing is counted when others hear that it has joined
    assert_eq!(hears_said(&mut anna), format!("{other}: hello"));
    let figures = Place::of(&here).json("/statistics")["own_figures"].clone();
    assert_eq!((&figures["bus_nodes"], &figures["bus_together"]), (&json!(2.0), &json!(1.0)), "{figures}");
    let metrics = Place::of(&here).text("/metrics");
    assert!(metrics.lines().any(|line| line == "tidegate_bus_nodes 2"), "{metrics}");
    here.signal(Signal::USR1);
    let line = here.logs("how it stands", |line| line.contains("the other machines: together; "));
    assert!(
        line.contains("; 2 machines with 2 guests; round trip ") && line.contains("; 0 entries of 0 bytes"),
        "{line}"
    );
}

/// As a wrong password does: it is told, and the room serves its own guests.
#[test]
fn an_engine_that_refuses_a_password_is_told_without_it() {
    let Some(engine) = Engine::start() else { return };
    let folder = Folder::new();
    std::fs::write(folder.path("wrong"), "not-this-one").unwrap();
    let wrong = folder.path("wrong").display().to_string();
    let mut flags = engine.flags("here");
    *flags.last_mut().unwrap() = wrong;
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let daemon = Daemon::chat(&flags);
    daemon.logs("why", |line| line.contains("WRONGPASS"));
    assert!(!daemon.log().contains("not-this-one"));
}

/// The commands of docs/machines.md, with a folder and ports of the test's own.
#[test]
fn what_the_page_shows_works() {
    if Engine::start().is_none() {
        return;
    }
    let (folder, ports) = (Folder::new(), [free_port(), free_port()].map(|port| port.to_string()));
    let typed = |command: &str| -> Vec<String> {
        let here = command.replace("/run", &folder.itself().display().to_string());
        let here = here.replace("7001", &ports[0]).replace("7002", &ports[1]);
        here.trim_end_matches(" &").split(' ').map(str::to_owned).collect()
    };
    let engine = typed("redis-server --port 0 --unixsocket /run/engine.sock &");
    let mut engine =
        Command::new(&engine[0]).args(&engine[1..]).current_dir(folder.itself()).stdout(Stdio::null()).spawn().unwrap();
    let nodes = [
        "tidegate chat --listen 7001 --bus redis+unix:/run/engine.sock --bus-node web1 &",
        "tidegate chat --listen 7002 --bus redis+unix:/run/engine.sock --bus-node web2 &",
    ];
    let nodes = nodes.map(|command| {
        let words = typed(command);
        let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        let mut daemon = Daemon::launch(&words);
        daemon.finds_its_addresses(1);
        daemon.logs("that it is connected", |line| line.contains(": connected to "));
        daemon
    });
    let ((mut anna, name), (mut berta, _)) = (guest(&nodes[0]), guest(&nodes[1])); // as "nc 127.0.0.1 7001" does
    anna.says("hello");
    assert_eq!(hears_said(&mut berta), format!("{name}: hello"));
    engine.kill().unwrap();
    engine.wait().unwrap();
    // The one for an engine elsewhere is at least understood.
    let words =
        typed("tidegate chat --bus redis://room@engine.example:6379 --bus-password-file /etc/tidegate/engine.password");
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).chain(["--print-config"]).collect();
    Daemon::launch(&words).exits_with(0);
}

/// Its last lines wait for an engine that does not answer: whether others hear of them is not known.
#[test]
fn a_stop_without_an_engine_says_what_others_may_not_hear() {
    let Some(engine) = Engine::start() else { return };
    let mut daemon = node(&engine, "here", &["--bus-patience", "300ms"]);
    let ((mut anna, anna_name), (mut otto, _)) = (guest(&daemon), guest(&daemon));
    engine.stops();
    anna.says("is anybody there?");
    assert_eq!(hears_said(&mut otto), "* the other machines are out of reach; 2 here hear you");
    assert_eq!(hears_said(&mut otto), format!("{anna_name}: is anybody there?"));
    daemon.signal(Signal::TERM);
    daemon.exits_with(1);
    daemon.logs("how many", |line| line.contains("1 line did not come back from the engine"));
}

/// What the node itself has to say to others is nothing that anybody misses.
#[test]
fn a_stop_without_an_engine_and_without_a_line_is_a_stop_in_order() {
    let Some(mut engine) = Engine::start() else { return };
    engine.dies();
    let mut daemon = apart(&engine, "alone", &[]);
    drop(guest(&daemon));
    daemon.signal(Signal::TERM);
    daemon.exits_with(0);
    assert!(!daemon.log().contains("did not come back"), "{}", daemon.log());
}
