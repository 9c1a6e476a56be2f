//! The recipes of `docs/hub.md`, as they stand there, but for the ports and the paths.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{Client, has_consumers, path};
use crate::support::folder::Folder;
use crate::support::terminal::pseudo_terminal;
use crate::support::{Daemon, Stderr, free_port, wait_for, wait_until};

/// Somebody who follows a recipe, in a folder of their own.
struct Cook {
    folder: Folder,
    ports: Vec<(&'static str, SocketAddr)>,
}

/// A program that listens, with what it prints.
struct Listener {
    child: Child,
    output: BufReader<ChildStdout>,
    input: ChildStdin,
}

impl Cook {
    /// The ports of the page, for each of which there is another one here.
    fn new(ports: &[&'static str]) -> Cook {
        Cook {
            folder: Folder::new(),
            ports: ports.iter().map(|port| (*port, ([127, 0, 0, 1], free_port()).into())).collect(),
        }
    }

    fn address(&self, port: &str) -> SocketAddr {
        self.ports.iter().find(|(written, _)| *written == port).unwrap().1
    }

    /// A command of the page, as it is typed here.
    #[track_caller]
    fn typed(&self, command: &str) -> String {
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hub.md")).unwrap();
        assert!(page.lines().any(|line| line == command), "docs/hub.md has no line {command:?}");
        let group = rustix::process::getgid().as_raw();
        let mut typed = command.replace(":27", &format!(":{group}"));
        for (written, real) in &self.ports {
            typed = typed.replace(written, &real.port().to_string());
        }
        for folder in ["/run/", "/dev/"] {
            typed = typed.replace(folder, &format!("{}/", path(self.folder.itself())));
        }
        typed
    }

    /// A shell that types the command. If it is one program, the shell becomes that (`exec`).
    fn shell(&self, command: &str, first: &str) -> Command {
        let ours = std::path::Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap();
        let programs = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &format!("{first}{}", self.typed(command))])
            .env("PATH", format!("{}:{programs}", ours.display()));
        shell.current_dir(self.folder.itself());
        shell
    }

    /// Starts a hub, and returns when it has said what it does.
    #[track_caller]
    fn starts(&self, command: &str) -> Daemon {
        let hub = Daemon::launch_with(&mut self.shell(command, "exec "), Stderr::Kept);
        hub.logs("what it does", |line| line.contains("in: ") || line.contains("in and out: "));
        hub
    }

    /// Starts a program that listens. None if it is not installed.
    fn listens(&self, command: &str) -> Option<Listener> {
        let program = command.split(' ').next().unwrap();
        if Command::new(program).arg("--version").output().is_err() {
            println!("{program} is not installed");
            return None;
        }
        // One that hears nothing is a failure, not a test that never ends.
        let mut child =
            self.shell(command, "exec timeout 20 ").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (output, input) = (BufReader::new(child.stdout.take().unwrap()), child.stdin.take().unwrap());
        Some(Listener { child, output, input })
    }
}

impl Listener {
    #[track_caller]
    fn hears(&mut self, line: &str) {
        let mut heard = String::new();
        self.output.read_line(&mut heard).unwrap();
        assert_eq!(heard, format!("{line}\n"));
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_receiver_to_many() {
    let cook = Cook::new(&["30003", "10110"]);
    let receiver = TcpListener::bind(cook.address("30003")).unwrap();
    let hub = cook.starts("tidegate hub --in 127.0.0.1:30003 --out :10110 --backlog last --gap-line '# {frames} lost'");
    let (mut receiver, _) = receiver.accept().unwrap();
    let mut first = Client::connect(cook.address("10110"));
    has_consumers(&hub, 1);
    receiver.write_all(b"MSG,1\nMSG,2\n").unwrap();
    first.hears_all(["MSG,1", "MSG,2"]);
    let Some(mut late) = cook.listens("nc 127.0.0.1 10110") else { return };
    late.hears("MSG,2");
    receiver.write_all(b"MSG,3\n").unwrap();
    late.hears("MSG,3");
}

#[test]
fn several_sources_merged() {
    let cook = Cook::new(&["30003", "4000", "10110"]);
    let receiver = TcpListener::bind(cook.address("30003")).unwrap();
    assert!(Command::new("mkfifo").arg(cook.folder.path("nmea.fifo")).status().unwrap().success());
    let hub = cook.starts("tidegate hub --in 127.0.0.1:30003 --in listen:4000 --in file:/run/nmea.fifo --out :10110");
    let (mut receiver, _) = receiver.accept().unwrap();
    let mut heard = Client::connect(cook.address("10110"));
    has_consumers(&hub, 1);
    receiver.write_all(b"from the receiver\n").unwrap();
    heard.hears("from the receiver");
    Client::connect(cook.address("4000")).says("from a producer");
    heard.hears("from a producer");
    assert!(cook.shell("echo '$GPGLL,...' > /run/nmea.fifo", "").status().unwrap().success());
    heard.hears("$GPGLL,...");
}

#[test]
fn a_serial_console() {
    let cook = Cook::new(&["7000"]);
    let (line, name) = pseudo_terminal();
    symlink(name, cook.folder.path("ttyUSB0")).unwrap();
    let hub = cook.starts("tidegate hub --in tty:/dev/ttyUSB0,115200 --out 7000 --two-way --backlog 8KiB");
    let mut line = File::from(line);
    line.write_all(b"login: \r\n").unwrap();
    let Some(mut user) = cook.listens("nc 127.0.0.1 7000") else { return };
    user.hears("login: \r");
    user.input.write_all(b"root\n").unwrap();
    let mut typed = [0; 5];
    line.read_exact(&mut typed).unwrap();
    assert_eq!(&typed, b"root\n");
    drop(hub);
}

#[test]
fn a_log() {
    let cook = Cook::new(&["7000"]);
    let log = cook.folder.path("app.log");
    fs::write(&log, "old\n").unwrap();
    let mut tail = cook.shell("tail -n 0 -F app.log | tidegate hub --in - --out 7000", "");
    let mut tail = tail.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(tail.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("in: standard input; out: listen 127.0.0.1:")));
    let hear = ["nc 127.0.0.1 7000", "curl -sN telnet://127.0.0.1:7000"];
    let mut listeners: Vec<Listener> = hear.into_iter().filter_map(|command| cook.listens(command)).collect();
    let mut own = BufReader::new(TcpStream::connect(cook.address("7000")).unwrap());
    // Whether all of them are there, only what they hear shows.
    let mut file = fs::OpenOptions::new().append(true).open(&log).unwrap();
    let _all = wait_for("a line", || {
        writeln!(file, "ERROR").unwrap();
        own.get_ref().set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        let mut heard = String::new();
        own.read_line(&mut heard).ok().filter(|_| heard == "ERROR\n")
    });
    for _ in 0..20 {
        writeln!(file, "ERROR").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for listener in &mut listeners {
        listener.hears("ERROR");
    }
    let both = rustix::process::Pid::from_child(&tail);
    rustix::process::kill_process_group(both, rustix::process::Signal::TERM).unwrap();
    tail.wait().unwrap();
}

#[test]
fn in_place_of_a_broker() {
    let cook = Cook::new(&["10110"]);
    let hub = cook.starts("tidegate hub --listen :10110");
    let [mut anna, mut bob] = [(); 2].map(|()| Client::connect(cook.address("10110")));
    has_consumers(&hub, 2);
    anna.says("hello");
    bob.hears("hello");
}

#[test]
fn a_copy_into_a_file() {
    let cook = Cook::new(&[]);
    let command = "seq 100000 | tidegate hub --in - --out - --out file:/run/copy.log | wc -l";
    let output = cook.shell(command, "").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "100000");
    let expected: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    wait_until("the copy", || fs::read_to_string(cook.folder.path("copy.log")).unwrap() == expected);
}

#[test]
fn chained_hubs() {
    let cook = Cook::new(&["4001", "4000", "7000"]);
    let last = cook.starts("tidegate hub --in listen:4001 --out 7000");
    let first = cook.starts("tidegate hub --in listen:4000 --out dial:127.0.0.1:4001");
    let mut heard = Client::connect(cook.address("7000"));
    has_consumers(&last, 1);
    Client::connect(cook.address("4000")).says("hello");
    heard.hears("hello");
    drop(first);
}

#[test]
fn a_feed_for_one_group() {
    let cook = Cook::new(&["30003"]);
    let receiver = TcpListener::bind(cook.address("30003")).unwrap();
    let _hub = cook.starts("tidegate hub --in 127.0.0.1:30003 --out unix:/run/feed.sock --mode 660 --owner :27");
    let (mut receiver, _) = receiver.accept().unwrap();
    let socket = cook.folder.path("feed.sock");
    assert_eq!(crate::support::folder::mode_of(&socket), 0o660);
    let mut own = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    own.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    let listener = cook.listens("nc -U /run/feed.sock");
    let mut buffer = [0; 64];
    wait_until("a line", || {
        receiver.write_all(b"MSG\n").unwrap();
        own.read(&mut buffer).is_ok_and(|count| count > 0)
    });
    let Some(mut listener) = listener else { return };
    for _ in 0..20 {
        receiver.write_all(b"MSG\n").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    listener.hears("MSG");
}
