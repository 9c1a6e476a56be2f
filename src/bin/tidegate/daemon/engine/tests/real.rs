//! A link and the engines themselves, with no more rights than the documentation gives it. Where there is no Redis nothing is
//! tried, unless `TIDEGATE_TOOLS` is `required`, as in CI. Valkey is tried where it is installed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tidegate::{EventLoop, Loop};

use super::super::reply::{Bounds, Replies, Reply};
use super::super::{EntryId, EntryRead, Link, Linked, Password, Settings, publish, read_from, start};

/// What a node may do. It is in the documentation.
const RIGHTS: &str = "~tidegate:* -@all +xadd +xread +xrange +ping +hello +auth +client|setname";

const PASSWORD: &str = "pa55 w\u{f6}rd";

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test with each engine that is installed, with these lines in its configuration.
fn with_each(name: &str, more: &str, test: impl Fn(Engine)) {
    for program in ["redis-server", "valkey-server"] {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if version.is_ok_and(|status| status.success()) {
            test(Engine::start(program, name, more));
            continue;
        }
        let is_required = std::env::var_os("TIDEGATE_TOOLS").is_some_and(|how| how == "required");
        assert!(program == "valkey-server" || !is_required, "no {program}");
        eprintln!("NOT CHECKED: there is no {program}");
    }
}

/// An engine in a folder of its own.
struct Engine {
    program: &'static str,
    folder: PathBuf,
    process: Child,
}

impl Engine {
    fn start(program: &'static str, name: &str, more: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tidegate-{program}-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("password"), format!("{PASSWORD}\n")).unwrap();
        let configuration = format!(
            "port 0\nunixsocket {0}/socket\ndir {0}\nlogfile {0}/log\nuser default off\n\
             user room on \">{PASSWORD}\" {RIGHTS}\nuser admin on nopass ~* &* +@all\n{more}\n",
            folder.display()
        );
        std::fs::write(folder.join("redis.conf"), configuration).unwrap();
        let process = spawn(program, &folder);
        Engine { program, folder, process }
    }

    /// It is killed, and begins with what it has written to its disk.
    fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(self.program, &self.folder);
    }

    /// As its administrator.
    fn asked(&self, command: &str) -> Reply {
        let begun = Instant::now();
        let mut stream = loop {
            match UnixStream::connect(self.folder.join("socket")) {
                Ok(stream) => break stream,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut replies = Replies::new(Bounds::DEFAULT);
        let mut answer = |command: &str| {
            stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
            loop {
                if let Some(reply) = replies.next().unwrap() {
                    return reply;
                }
                let mut chunk = [0; 4096];
                let length = stream.read(&mut chunk).unwrap();
                assert!(length > 0, "the engine has ended");
                replies.push(&chunk[..length]);
            }
        };
        assert_eq!(answer("AUTH admin x"), Reply::Status(b"OK".to_vec()));
        answer(command)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn settings(&self) -> Settings {
        Settings {
            engine: format!("redis+unix://room@{}/socket", self.folder.display()).parse().unwrap(),
            password: Password::File(self.folder.join("password")),
            stream: "tidegate:lobby".to_owned(),
            label: "real".to_owned(),
            history: 1000,
            outbox: 1 << 20,
        }
    }
}

fn spawn(program: &str, folder: &Path) -> Child {
    let mut command = Command::new(program);
    command.arg(folder.join("redis.conf")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

struct Node {
    link: Link,
    told: Vec<String>,
    read: Vec<EntryRead>,
    is_at_end: bool,
}

impl Node {
    fn values(&self) -> Vec<String> {
        self.read.iter().map(|entry| String::from_utf8(entry.fields[0].1.clone()).unwrap()).collect()
    }
}

impl Linked for Node {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn connected(on: &mut Loop<'_, Self>) {
        on.state.told.push("connected".to_owned());
        on.state.is_at_end = false;
        let place = on.state.read.last().map_or(EntryId::ZERO, |entry| entry.id);
        read_from(on, place);
    }

    fn read(on: &mut Loop<'_, Self>, entries: Vec<EntryRead>, is_end: bool) {
        on.state.read.extend(entries);
        on.state.is_at_end = is_end;
    }

    fn refused(on: &mut Loop<'_, Self>, why: String) {
        on.state.told.push(format!("refused: {why}"));
    }

    fn lost(on: &mut Loop<'_, Self>, why: String) {
        on.state.told.push(format!("lost: {why}"));
    }
}

fn node(settings: Settings) -> EventLoop<Node> {
    let node = Node { link: Link::new(settings), told: vec![], read: vec![], is_at_end: false };
    let mut node = EventLoop::with_state(node).unwrap();
    start(&mut node.event_loop());
    node
}

#[track_caller]
fn run_until(node: &mut EventLoop<Node>, is_so: impl Fn(&Node) -> bool) {
    let begun = Instant::now();
    while !is_so(&node.state) {
        let Node { told, link, .. } = &node.state;
        assert!(begun.elapsed() < PATIENCE, "{told:?} {:?}", link.figures());
        node.turn(Some(Duration::from_millis(20))).unwrap();
    }
}

fn say(node: &mut EventLoop<Node>, value: &str) {
    publish(&mut node.event_loop(), &[(b"v", value.as_bytes())]);
}

#[test]
fn the_rights_of_the_documentation_are_enough() {
    with_each("rights", "save \"\"", has_rights_enough);
}

fn has_rights_enough(engine: Engine) {
    let mut node = node(engine.settings());
    run_until(&mut node, |node| node.is_at_end);
    let names = engine.asked("CLIENT LIST");
    let Reply::Bulk(names) = names else { panic!("{names:?}") };
    assert_eq!(String::from_utf8(names).unwrap().matches("name=tidegate-real ").count(), 2);
    let lines: Vec<String> = (0..1234).map(|number| format!("line {number}")).collect();
    // The stream may be cut before a burst of more is read.
    for some in lines.chunks(400) {
        some.iter().for_each(|line| say(&mut node, line));
        run_until(&mut node, |node| node.values().last() == some.last());
    }
    assert_eq!(node.state.values(), lines);
    run_until(&mut node, |node| node.link.figures().unanswered == 0);
    let figures = node.state.link.figures();
    assert_eq!((figures.published, figures.read, figures.connects), (1234, 1234, 1));
    println!("{figures:?}");
    // An empty room goes on waiting.
    let begun = Instant::now();
    run_until(&mut node, |_| begun.elapsed() > Duration::from_secs(6));
    say(&mut node, "the last one");
    run_until(&mut node, |node| node.read.len() == 1235);
    assert_eq!(node.state.told, ["connected"]);
    // The stream was cut; whoever comes later reads what is left.
    let Reply::Integer(kept) = engine.asked("XLEN tidegate:lobby") else { panic!() };
    assert!((1000..=1200).contains(&kept), "{kept}");
    let mut later = self::node(engine.settings());
    run_until(&mut later, |node| node.is_at_end);
    assert_eq!(later.state.values()[..], node.state.values()[1235 - kept as usize..]);
}

#[test]
fn what_an_engine_refuses_is_told_in_its_words() {
    with_each("refuses", "save \"\"", refuses);
}

fn refuses(engine: Engine) {
    let why = |settings: Settings| {
        let mut node = node(settings);
        run_until(&mut node, |node| {
            node.link.figures().why.is_some_and(|why| !why.contains("ENOENT") && !why.contains("ECONNREFUSED"))
        });
        assert!(!node.state.link.figures().is_connected);
        node.state.link.figures().why.unwrap()
    };
    engine.asked("PING");
    let wrong = engine.folder.join("wrong");
    std::fs::write(&wrong, "wrong").unwrap();
    let said = why(Settings { password: Password::File(wrong), ..engine.settings() });
    assert!(said.starts_with("WRONGPASS invalid username-password pair"), "{said}");
    let without = format!("redis+unix:{}/socket", engine.folder.display()).parse().unwrap();
    let said = why(Settings { engine: without, password: Password::Environment, ..engine.settings() });
    assert!(said.starts_with("NOAUTH "), "{said}");
    let said = why(Settings { stream: "other".to_owned(), ..engine.settings() });
    assert!(said.starts_with("NOPERM "), "{said}");
    engine.asked("SET tidegate:text x");
    let said = why(Settings { stream: "tidegate:text".to_owned(), ..engine.settings() });
    assert!(said.starts_with("WRONGTYPE "), "{said}");

    let publishing = |what: &str| {
        let mut node = node(engine.settings());
        run_until(&mut node, |node| node.is_at_end);
        engine.asked(what);
        say(&mut node, "mine");
        run_until(&mut node, |node| node.told.len() == 2);
        node.state.told.pop().unwrap()
    };
    let said = publishing("CONFIG SET maxmemory 1");
    assert!(said.starts_with("refused: OOM command not allowed"), "{said}");
    engine.asked("CONFIG SET maxmemory 0");
    let said = publishing("REPLICAOF 127.0.0.1 1");
    assert!(said.starts_with("refused: READONLY ") || said.starts_with("lost: UNBLOCKED "), "{said}");
    engine.asked("CONFIG SET replica-serve-stale-data no");
    let said = why(engine.settings());
    assert!(said.starts_with("MASTERDOWN "), "{said}");
}

#[test]
fn an_engine_may_be_stopped_killed_and_lose_its_data() {
    with_each("killed", "appendonly yes\nappendfsync always", is_stopped_and_killed);
}

fn is_stopped_and_killed(mut engine: Engine) {
    let mut node = node(engine.settings());
    run_until(&mut node, |node| node.is_at_end);
    say(&mut node, "one");
    run_until(&mut node, |node| node.read.len() == 1 && node.link.figures().unanswered == 0);

    engine.signal(Signal::STOP);
    say(&mut node, "two");
    run_until(&mut node, |node| node.told.len() == 2);
    assert_eq!(node.state.told[1], "lost: it has not answered in time");
    engine.signal(Signal::CONT);
    run_until(&mut node, |node| node.told.len() == 3 && node.is_at_end);
    println!("what was written to an engine that was stopped is there: {}", node.state.read.len() == 2);
    say(&mut node, "three");
    run_until(&mut node, |node| node.values().ends_with(&["three".to_owned()]));

    engine.restart();
    run_until(&mut node, |node| node.told.len() == 5);
    say(&mut node, "four");
    run_until(&mut node, |node| node.values().ends_with(&["three".to_owned(), "four".to_owned()]));

    std::fs::remove_dir_all(engine.folder.join("appendonlydir")).unwrap();
    engine.restart();
    run_until(&mut node, |node| node.told.len() == 7);
    say(&mut node, "five");
    run_until(&mut node, |node| node.values().ends_with(&["four".to_owned(), "five".to_owned()]));
    assert_eq!(node.state.read.iter().filter(|entry| entry.fields[0].1 == b"one").count(), 1);
    println!("{:?}", node.state.told);
}
