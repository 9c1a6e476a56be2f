//! The small programs of `docs/programs.md`, each run as its reader runs it: the compiled example, an address as its
//! argument, a client, and what it prints or writes.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Instant, SystemTime};

use support::{Client, PATIENCE};

/// A running example, in a directory of its own.
struct Program {
    child: Child,
    lines: Receiver<String>,
    directory: PathBuf,
}

impl Program {
    /// Starts the example of this name.
    fn start(name: &str, arguments: &[&str]) -> Program {
        let program = compiled(name);
        let directory = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&directory).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (line, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Program { child, lines, directory }
    }

    /// Starts it on a port of the system's choice, and says which.
    #[track_caller]
    fn serve(name: &str, arguments: &[&str]) -> (Program, SocketAddr) {
        let program = Program::start(name, &[&["127.0.0.1:0"], arguments].concat());
        let line = program.next_line();
        let address = line.strip_prefix("listening on ").unwrap().parse().unwrap();
        (program, address)
    }

    #[track_caller]
    fn next_line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the program prints a line")
    }

    /// The next thing that it prints is this line.
    #[track_caller]
    fn prints(&self, line: &str) {
        assert_eq!(self.next_line(), line);
    }

    /// It ends by itself, and has printed nothing more.
    #[track_caller]
    fn ends(&mut self) {
        assert_eq!(self.lines.recv_timeout(PATIENCE).ok(), None);
        assert!(self.exits().success());
    }

    #[track_caller]
    fn exits(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not exit");
            std::thread::yield_now();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Where cargo has put an example: beside the folder of this test. `cargo test --test programs` builds no examples, so it
/// may be missing, or older than what it is made of.
#[track_caller]
fn compiled(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let program = profile.join("examples").join(name);
    let made_of = last_change(&source(name)).max(last_change(&root.join("src")));
    if !program.exists() || last_change(&program) < made_of {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", name, "--target-dir"]).arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.current_dir(root).status().unwrap().success(), "{name} cannot be built");
    }
    program
}

/// When a file, or the last one of a folder, was changed.
fn last_change(path: &Path) -> SystemTime {
    let itself = path.metadata().unwrap().modified().unwrap();
    let within = path.read_dir().into_iter().flatten().map(|entry| last_change(&entry.unwrap().path()));
    within.max().unwrap_or(itself)
}

/// Its path, as `Cargo.toml` declares it.
#[track_caller]
fn source(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let declared = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let entry = format!("[[example]]\nname = \"{name}\"\npath = \"");
    let (_, path) = declared.split_once(&entry).unwrap_or_else(|| panic!("{name} is not declared in Cargo.toml"));
    root.join(path.split('"').next().unwrap())
}

#[test]
fn everybody_is_greeted() {
    let (program, address) = Program::serve("greeting", &[]);
    let mut clients = [Client::connect(address), Client::connect(address)];
    for client in &mut clients {
        client.hears("hello, whoever you are");
        program.prints("a client has connected");
    }
}

#[test]
fn a_server_tells_its_port_address_and_family() {
    let (program, address) = Program::serve("address", &[]);
    assert_ne!(address.port(), 0);
    program.prints(&format!("port {}", address.port()));
    program.prints("address 127.0.0.1");
    program.prints("family IPv4");
}

#[test]
fn connections_are_counted_and_a_third_is_one_too_many() {
    let (program, address) = Program::serve("counting", &[]);
    let first = Client::connect(address);
    program.prints("1 of 2 are connected");
    let _second = Client::connect(address);
    program.prints("2 of 2 are connected");
    Client::connect(address).is_dismissed();
    program.prints("one too many");
    drop(first);
    program.prints("1 of 2 are connected");
    let _fourth = Client::connect(address);
    program.prints("2 of 2 are connected");
}

#[test]
fn a_server_closes_when_its_last_client_has_gone() {
    let (mut program, address) = Program::serve("closing", &[]);
    let client = Client::connect(address);
    program.prints("a client has connected: no others, please");
    refuses(address);
    drop(client);
    program.prints("the client has gone, and the server is closed");
    program.ends();
}

#[track_caller]
fn refuses(address: SocketAddr) {
    let answer = std::net::TcpStream::connect_timeout(&address, PATIENCE);
    assert_eq!(answer.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_connection_has_two_ends_and_there_is_one_at_a_time() {
    let (program, address) = Program::serve("both-ends", &[]);
    let client = Client::connect(address);
    let port = client.local_address().port();
    program.prints(&format!("this end: address 127.0.0.1, port {}, family IPv4", address.port()));
    program.prints(&format!("the client's end: address 127.0.0.1, port {port}, family IPv4"));
    Client::connect(address).is_dismissed();
}

#[test]
fn text_is_read_and_its_bytes_are_counted() {
    let (program, address) = Program::serve("reading-text", &[]);
    let mut client = Client::connect(address);
    client.sends("né".as_bytes());
    program.prints(r#""né", 3 bytes so far"#);
    let [one, other] = "é".as_bytes() else { unreachable!() };
    client.sends(&[b'>', *one]);
    program.prints(r#"">", 5 bytes so far"#);
    client.sends(&[*other]);
    program.prints(r#""é", 6 bytes so far"#);
}

#[test]
fn a_clients_end_is_noticed_and_answered() {
    let (program, address) = Program::serve("noticing-the-end", &[]);
    let mut client = Client::connect(address);
    client.sends(b"that is all");
    client.ends_its_side();
    program.prints(r#""that is all""#);
    program.prints("the client has ended");
    program.prints("the connection is closed");
    client.ends();
}
