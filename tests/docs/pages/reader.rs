//! A reader who types what a page says: in a folder of their own, against servers on free ports, and with shorter
//! durations than the page has.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::project::{read, root};
use crate::support::examples::{compiled, profile};
use crate::support::folder::Folder;
use crate::support::{Daemon, Signal, Stderr};

/// What is typed instead of what is written, where that would take long or name something of the user's.
pub const INSTEAD: [(&str, &str); 15] = [
    ("RUNS=100 ", "RUNS=1 "),
    ("SEEDS=1000000 ", "SEEDS=4 "),
    ("MEGABYTES=1024 cargo test --release ", "MEGABYTES=8 cargo test "),
    ("PROPTEST_CASES=100000 ", "PROPTEST_CASES=20 "),
    ("-c 10000 ", "-c 100 "),
    ("-c 1000 ", "-c 20 "),
    ("--connections 1000 ", "--connections 20 "),
    ("--rate 10000 ", "--rate 1000 "),
    ("--rate 20000 ", "--rate 2000 "),
    ("redis-benchmark ", "redis-benchmark -n 1000 "),
    ("iperf ", "iperf -t 1 "),
    (" FILE...", " ROOT/tests/conformance/corpus.json"),
    (" :27", " :GROUP"),
    ("docs/explained/", "ROOT/docs/explained/"),
    ("/run/", "FOLDER/"),
];

const DEFAULT: &str = "127.0.0.1:8080";

pub struct Reader {
    folder: Folder,
    /// The servers that were started, by the port or path that the page gives them, and their real addresses. One that
    /// is no daemon of ours has none.
    servers: HashMap<String, (Option<Daemon>, String)>,
    /// The commands in the background that have not ended yet.
    background: Vec<(String, Daemon)>,
}

impl Reader {
    pub fn new() -> Reader {
        Reader { folder: Folder::new(), servers: HashMap::new(), background: Vec::new() }
    }

    pub fn put(&self, name: &str, text: &str) -> String {
        let path = self.folder.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn changed(&self, command: &str) -> String {
        let changed = INSTEAD.iter().fold(command.to_owned(), |text, (written, typed)| text.replace(written, typed));
        let group = rustix::process::getgid().as_raw().to_string();
        let (root, folder) = (root().to_str().unwrap(), self.folder.itself().to_str().unwrap());
        changed.replace(":GROUP", &format!(":{group}")).replace("ROOT", root).replace("FOLDER", folder)
    }

    /// Starts a server, `tidegate chat --listen 7000` or `cargo run -- chat`, and returns when it listens.
    pub fn serves(&mut self, command: &str) {
        let changed = self.changed(command.trim_end_matches(" &"));
        let words: Vec<&str> = changed.split(' ').collect();
        let words = match words[..] {
            ["tidegate", ref rest @ ..] => rest,
            ["cargo", "run", "--release", "--", ref rest @ ..] | ["cargo", "run", "--", ref rest @ ..] => rest,
            _ => panic!("no server: {command}"),
        };
        let (flags, written) = match words.iter().position(|word| *word == "--listen") {
            Some(place) => ([&words[1..place], &words[place + 2..]].concat(), words[place + 1]),
            None => (words[1..].to_vec(), DEFAULT),
        };
        self.servers.remove(&port(written)); // the server before it has ended
        let (server, real) = if written.starts_with("unix:") {
            let server = Daemon::launch(words);
            server.logs("it listens", |line| line.contains("listening on"));
            (server, written.to_owned())
        } else if flags.contains(&"-q") {
            let free = crate::support::free_address();
            let mut server = Daemon::launch(&[&words[..1], &["--listen", &free.to_string()], &flags].concat());
            server.listens_on(free);
            (server, free.to_string())
        } else {
            let server = Daemon::role(words[0], &flags);
            let real = server.address().to_string();
            (server, real)
        };
        self.servers.insert(port(written), (Some(server), real));
    }

    /// Starts what a command needs: a role of the daemon, or a server that is not ours.
    pub fn starts(&mut self, role: &str, command: &str) {
        let written = address(command);
        self.servers.remove(&port(&self.changed(&written)));
        match role {
            "lines" => drop(self.servers.insert(port(&written), (None, serve_lines().to_string()))),
            role => self.serves(&format!("tidegate {role} --listen {written}")),
        }
    }

    /// Types a command; what it prints. It must end well.
    pub fn types(&self, command: &str) -> Output {
        let typed = self.typed(command);
        let output = self.run(&typed);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command}\ntyped as {typed}: {}\n{out}{err}", output.status);
        assert!(!out.trim().is_empty() && out.trim() != "null", "{command}\ntyped as {typed} says nothing\n{err}");
        if typed.contains("cargo test") {
            let some = out.lines().any(|line| line.starts_with("test result: ok. ") && !line.contains(". 0 passed"));
            assert!(some, "{command}: not one test ran\n{out}");
        }
        output
    }

    /// Puts a command into the background.
    pub fn types_aside(&mut self, command: &str) {
        let typed = self.typed(command.trim_end_matches(" &"));
        let mut shell = self.shell(&format!("exec {typed}"));
        self.background.push((command.to_owned(), Daemon::launch_with(&mut shell, Stderr::Kept)));
    }

    /// The command, with addresses of servers that are there.
    fn typed(&self, command: &str) -> String {
        let typed = self.changed(command);
        if let Some(rest) = typed.strip_prefix("cargo run ") {
            let rest = rest.trim_start_matches("--release ");
            let (name, words) = rest.strip_prefix("--example ").and_then(|it| it.split_once(" -- ")).unwrap();
            return format!("{} {words}", compiled(name).display());
        }
        let written = address(&typed);
        let Some((_, real)) = self.servers.get(&port(&written)) else { return typed };
        if !typed.starts_with("tidegate bench ") {
            return typed.replace("8080", real.rsplit(':').next().unwrap());
        }
        // `tidegate bench echo :7000 --duration 3s | jq ...`
        let (bench, pipe) = typed.split_once(" | ").unwrap_or((&typed, ""));
        let quoted = format!(" {bench} ").replace(&format!(" {written} "), " ");
        let mut words: Vec<&str> = quoted.trim().split(' ').collect();
        if let Some(place) = words.iter().position(|word| *word == "--duration") {
            words.drain(place..place + 2);
        }
        let warmup = if words[2] == "idle" { "" } else { "--warmup 50ms" };
        let bench = format!("{} {real} {} --duration 200ms {warmup}", words[..3].join(" "), words[3..].join(" "));
        if pipe.is_empty() { bench } else { format!("{bench} >output && {pipe} <output") }
    }

    fn shell(&self, line: &str) -> Command {
        let mut shell = Command::new("timeout"); // redis-benchmark would try for ever to connect
        let programs = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
        let ours = [env!("CARGO_BIN_EXE_tidegate"), env!("CARGO")].map(|it| std::path::Path::new(it).parent().unwrap());
        let path = std::env::join_paths(ours.iter().map(|it| it.to_path_buf()).chain(programs)).unwrap();
        shell.args(["300", "sh", "-c", line]).env("PATH", path).env("CARGO_TARGET_DIR", profile().parent().unwrap());
        shell.current_dir(if line.contains("cargo ") { root() } else { self.folder.itself() });
        shell
    }

    /// Types exactly this. A client of a room leaves it.
    pub fn run(&self, line: &str) -> Output {
        let line = match profile().ends_with("release") {
            true => line.replace("cargo test ", "cargo test --release "),
            false => line.to_owned(),
        };
        let mut shell = self.shell(&line);
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"/quit\n");
        child.wait_with_output().unwrap()
    }

    /// Waits for the commands in the background, and ends the servers.
    pub fn goes(mut self) {
        for (command, mut program) in self.background.drain(..) {
            assert_eq!(program.exits(), 0, "{command}\n{}", program.log());
        }
        for (written, (server, _)) in self.servers.drain() {
            let Some(mut server) = server else { continue };
            server.signal(Signal::TERM);
            assert_eq!(server.exits(), 0, "the server on {written}\n{}", server.log());
        }
    }
}

/// The address that a command speaks of, as it is written there.
fn address(command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    match words[..] {
        ["tidegate", "bench", _, address, ..] if !address.starts_with('-') => address.to_owned(),
        [_, "-U", path] => format!("unix:{path}"),
        _ => DEFAULT.to_owned(),
    }
}

/// Which port or path that is.
fn port(address: &str) -> String {
    if address.starts_with("unix:") { address } else { address.rsplit(':').next().unwrap() }.to_owned()
}

/// A server that answers lines as Redis, memcached and a small HTTP server do.
fn serve_lines() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = |mut stream: TcpStream| {
        for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
            let answer = match line.as_str() {
                "PING" => "+PONG\r\n",
                "GET key" => "$5\r\nhello\r\n",
                "get key" => "VALUE key 0 5\r\nhello\r\nEND\r\n",
                "" => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                "hello" => "hello yourself\n",
                _ => continue, // the rest of a request
            };
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    };
    thread::spawn(move || {
        listener.incoming().map_while(Result::ok).for_each(|stream| drop(thread::spawn(move || serve(stream))))
    });
    address
}

/// Whether there is such a program here. What CI installs must be there where `TIDEGATE_TOOLS` is `required`.
pub fn has(program: &str, wanted_for: &str) -> bool {
    let found =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|it| it.join(program).is_file());
    let is_required = std::env::var_os("TIDEGATE_TOOLS").is_some_and(|how| how == "required");
    assert!(found || !is_required || !read(".ci/tools").contains(program), "no {program} for: {wanted_for}");
    if !found {
        let told = format!("\npages: NOT RUN, since there is no {program} here: {wanted_for}\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
    }
    found
}
