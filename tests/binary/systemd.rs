//! The units of `docs/systemd.md` are what the program takes: each command line of the page is run with a socket such
//! as systemd passes, serves a guest, and stops in the time that the unit gives it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::folder::Folder;
use crate::support::{Client, Signal, program, program_of_systemd};

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/systemd.md")).unwrap()
}

/// The code blocks of this language.
fn blocks(language: &str) -> Vec<String> {
    let (page, fence) = (page(), format!("```{language}\n"));
    page.split(&fence).skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// A unit: what each key of each section is set to, in their order.
struct Unit(Vec<(String, String, String)>);

impl Unit {
    #[track_caller]
    fn parse(text: &str) -> Self {
        let mut section = "";
        let mut settings = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(name) => section = name,
                None => {
                    let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no setting: {line}"));
                    assert!(!section.is_empty(), "in no section: {line}");
                    settings.push((section.to_owned(), key.to_owned(), value.to_owned()));
                }
            }
        }
        Unit(settings)
    }

    #[track_caller]
    fn get(&self, section: &str, key: &str) -> &str {
        let found = self.0.iter().find(|(in_section, of_key, _)| in_section == section && of_key == key);
        found.map_or_else(|| panic!("no {key}= in [{section}]"), |(_, _, value)| value)
    }
}

/// The units of the page: of the socket, and of the service.
fn units() -> [Unit; 2] {
    let units: Vec<Unit> = blocks("ini").iter().map(|text| Unit::parse(text)).collect();
    units.try_into().ok().expect("two units")
}

/// The words behind the program's name.
#[track_caller]
fn flags(command: &str) -> &str {
    command.split_once("tidegate ").unwrap_or_else(|| panic!("another program: {command}")).1
}

#[test]
fn the_room_serves_and_stops_as_the_units_say() {
    let [_, service] = units();
    let tried = blocks("sh").concat();
    for command in [service.get("Service", "ExecStart"), tried.trim()] {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut anna = Client::connect(address); // she waits at the socket
        let mut room = program_of_systemd(flags(command), socket, "$$").spawn().unwrap();
        anna.hears("* you are guest1; 1 online");
        rustix::process::kill_process(rustix::process::Pid::from_child(&room), Signal::TERM).unwrap();
        anna.hears("* the server is shutting down");
        anna.ends();
        drop(anna);
        assert_eq!(room.wait().unwrap().code(), Some(0), "{command}");
        let mut log = String::new();
        room.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(log.contains(&format!("listening on {address}")) && !log.contains("WARN"), "{command}: {log}");
    }
}

/// Started without its socket, as by hand, it must not open another one.
#[test]
fn without_its_socket_the_service_fails() {
    let [_, service] = units();
    let flags = flags(service.get("Service", "ExecStart"));
    let output = program().args(flags.split_whitespace()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("systemd has passed no socket"));
}

#[test]
fn the_units_agree_with_each_other_and_with_the_page() {
    let [socket, service] = units();
    assert!(page().contains("tidegate-chat.socket`:\n\n```ini\n[Unit]") && page().contains("tidegate-chat.service`:"));
    assert_eq!(service.get("Unit", "Requires"), "tidegate-chat.socket");
    socket.get("Socket", "ListenStream").parse::<u16>().unwrap();
    assert_eq!(socket.get("Install", "WantedBy"), "sockets.target");

    // The drain timeout is shorter than the time that systemd waits.
    let command = service.get("Service", "ExecStart");
    let drain = command.split_once("--drain-timeout ").unwrap().1.split(' ').next().unwrap();
    let drain: u64 = drain.strip_suffix('s').unwrap().parse().unwrap();
    let patience: u64 = service.get("Service", "TimeoutStopSec").parse().unwrap();
    assert!(Duration::from_secs(drain) + Duration::from_secs(5) <= Duration::from_secs(patience));

    // 64 of the descriptors are kept for other things than connections.
    let descriptors: usize = service.get("Service", "LimitNOFILE").parse().unwrap();
    assert!(page().contains(&format!("at most {} connections at once", descriptors - 64)));
}

/// Another start would not help after a usage error.
#[test]
fn the_service_is_not_restarted_after_a_usage_error() {
    let [_, service] = units();
    let code = program().args(["chat", "--shout"]).output().unwrap().status.code();
    assert_eq!(code.map(|code| code.to_string()).as_deref(), Some(service.get("Service", "RestartPreventExitStatus")));
}

// ---- what systemd has passed ----------------------------------------------------------------------------------------

// covers: listen-fd-server
#[test]
fn the_daemon_listens_on_a_socket_that_systemd_has_passed() {
    fn serves(arguments: &str, socket: impl Into<OwnedFd>, mut peer: impl Read + Write) {
        let mut daemon = program_of_systemd(arguments, socket, "$$").spawn().unwrap();
        peer.write_all(b"hello").unwrap();
        let mut back = [0; 5];
        peer.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"hello", "{arguments}");
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }
    // The peers have connected before it is started.
    for arguments in ["echo", "echo --listen systemd --listen 127.0.0.1:0"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        serves(arguments, listener, peer);
    }
    let folder = Folder::new();
    let listener = UnixListener::bind(folder.path("s")).unwrap();
    let peer = UnixStream::connect(folder.path("s")).unwrap();
    serves("echo", listener, peer);
}

// covers: listen-fd-ebadf
#[test]
fn a_wrong_or_missing_socket_of_systemd_is_an_error() {
    let fails = |arguments, socket: OwnedFd, pid, words: &str| {
        let output = program_of_systemd(arguments, socket, pid).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains(words), "{log}");
    };
    let datagrams = || UdpSocket::bind("127.0.0.1:0").unwrap().into();
    fails("echo", datagrams(), "$$", "ListenStream=");
    fails("echo --listen systemd", datagrams(), "1", "systemd has passed no socket");
    let fresh = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    fails("echo", fresh.into(), "$$", "cannot listen on a socket from systemd: ");
    let (connection, _peer) = UnixStream::pair().unwrap();
    fails("echo", connection.into(), "$$", "it does not listen, so its .socket file must say Accept=no");
}

// covers: listen-fd-ebadf
#[test]
fn a_descriptor_that_is_closed_or_standard_error_is_no_listener() {
    for third in ["3<&-", "3>&2"] {
        let script = format!(r#"exec {third}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" echo"#);
        let mut shell = Command::new("/bin/sh");
        let output = shell.args(["-c", &script, env!("CARGO_BIN_EXE_tidegate")]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{third}");
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains("cannot listen on descriptor 3 from systemd: it is not a stream socket"), "{log}");
    }
}

/// `packaging/systemd/tidegate@.service`: its command runs the role of a file, and the manager hears of it.
#[test]
fn the_instance_unit_runs_the_role_of_its_file() {
    let text = include_str!("../../packaging/systemd/tidegate@.service");
    let unit = Unit::parse(text);
    let command = unit.get("Service", "ExecStart");
    assert_eq!(command, "/usr/bin/tidegate run /etc/tidegate/%i.toml");
    assert_eq!((unit.get("Service", "Type"), unit.get("Service", "RestartPreventExitStatus")), ("notify", "2"));
    let patience: u64 = unit.get("Service", "TimeoutStopSec").parse().unwrap();
    assert!(patience > 10, "longer than the default of --drain-timeout");
    let folder = Folder::new();
    std::fs::write(folder.path("room.toml"), "[chat]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let (notify, file) = (folder.path("notify"), folder.path("room.toml"));
    let manager = std::os::unix::net::UnixDatagram::bind(&notify).unwrap();
    manager.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let words = flags(command).replace("/etc/tidegate/%i.toml", file.to_str().unwrap());
    let mut room = program();
    room.args(words.split(' ')).env("NOTIFY_SOCKET", &notify).env("WATCHDOG_USEC", "30000000");
    let mut room = crate::support::Daemon::launch_with(&mut room, crate::support::Stderr::Kept);
    let mut message = [0; 200];
    let length = manager.recv(&mut message).unwrap();
    assert!(message[..length].starts_with(b"READY=1\n"));
    room.signal(Signal::TERM);
    room.exits_with(0);
}

/// With the program of this build in place of the installed one, `systemd-analyze` finds no fault, where it is there.
#[test]
fn the_instance_unit_has_no_fault() {
    let folder = Folder::new();
    let unit = folder.path("tidegate@room.service");
    let text = include_str!("../../packaging/systemd/tidegate@.service");
    std::fs::write(&unit, text.replace("/usr/bin/tidegate", env!("CARGO_BIN_EXE_tidegate"))).unwrap();
    match Command::new("systemd-analyze").arg("verify").arg(&unit).output() {
        Ok(verified) => {
            let told = String::from_utf8_lossy(&verified.stderr).into_owned();
            // What it says of the machine it is on is not about the unit.
            assert!(!told.contains("tidegate@"), "{told}");
        }
        Err(error) => eprintln!("NOT CHECKED: there is no systemd-analyze: {error}"),
    }
}
