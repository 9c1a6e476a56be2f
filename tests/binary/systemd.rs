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

// ---- the units of packaging/ -----------------------------------------------------------------------------------------

const ROLES: [&str; 6] = ["chat", "hub", "proxy", "echo", "sink", "source"];

/// A file of `packaging/`.
#[track_caller]
fn packaged(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All units, by their names.
fn packaged_units() -> Vec<(String, Unit)> {
    let roles = ROLES.iter().map(|role| format!("tidegate-{role}.service"));
    let named = |name: String| (name.clone(), Unit::parse(&packaged(&format!("systemd/{name}"))));
    roles.chain(["tidegate@.service".to_owned()]).map(named).collect()
}

/// The command of the instance unit runs the role of a file, and the manager hears of it.
#[test]
fn the_instance_unit_runs_the_role_of_its_file() {
    let unit = Unit::parse(&packaged("systemd/tidegate@.service"));
    let command = unit.get("Service", "ExecStart");
    assert_eq!(command, "/usr/bin/tidegate run /etc/tidegate/%i.toml");
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

/// The unit of a role runs its table of the configuration, which the program takes. `.ci/package` starts each of them.
#[test]
fn each_role_has_a_unit_and_a_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/tidegate.toml");
    for role in ROLES {
        let unit = Unit::parse(&packaged(&format!("systemd/tidegate-{role}.service")));
        let command = unit.get("Service", "ExecStart");
        assert_eq!(command, format!("/usr/bin/tidegate {role} --config /etc/tidegate/tidegate.toml"));
        let words = flags(command).replace("/etc/tidegate/tidegate.toml", file.to_str().unwrap());
        let shown = program().args(words.split(' ')).arg("--print-config").output().unwrap();
        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.status.success() && text.contains("listen = [\"127.0.0.1:"), "{role}: {shown:?}");
    }
    let checked = program().arg("check").arg(&file).output().unwrap();
    let tables = String::from_utf8_lossy(&checked.stdout).matches('[').count();
    assert_eq!(tables, ROLES.len(), "{checked:?}");
}

/// A line that is changed in one of them is changed in all: they differ in their names, and in the devices of a hub.
#[test]
fn the_units_have_the_same_sandbox() {
    const OF_DEVICES: [&str; 4] = ["PrivateDevices", "SupplementaryGroups", "DevicePolicy", "DeviceAllow"];
    let common = |name: &str, unit: &Unit| -> Vec<(String, String)> {
        let itself = name.trim_start_matches("tidegate-").trim_end_matches(".service").replace("tidegate@", "%i");
        let settings = unit
            .0
            .iter()
            .filter(|(section, key, _)| section != "Unit" && key != "ExecStart" && !OF_DEVICES.contains(&key.as_str()));
        let folder = format!("tidegate/{itself}");
        settings.map(|(_, key, value)| (key.clone(), value.replace(&folder, "tidegate/NAME"))).collect()
    };
    let units = packaged_units();
    let (name, chat) = &units[0];
    let expected = common(name, chat);
    assert!(expected.contains(&("RuntimeDirectory".to_owned(), "tidegate/NAME".to_owned())), "{expected:?}");
    for (name, unit) in &units {
        assert_eq!(common(name, unit), expected, "{name}");
        let may_open_devices = ["tidegate-hub.service", "tidegate@.service"].contains(&name.as_str());
        let devices: Vec<_> = unit.0.iter().filter(|(_, key, _)| OF_DEVICES.contains(&key.as_str())).collect();
        assert_eq!(devices.len(), if may_open_devices { 6 } else { 1 }, "{name}: {devices:?}");
    }
    let (kind, code) = (chat.get("Service", "Type"), chat.get("Service", "RestartPreventExitStatus"));
    assert_eq!((kind, code), ("notify", "2"));
    let patience: u64 = chat.get("Service", "TimeoutStopSec").parse().unwrap();
    assert!(patience > 10, "longer than the default of --drain-timeout");
}

/// From systemd 253 on. The signal is sent by systemd itself then, and by the unit's command it would come twice.
#[test]
fn the_drop_in_leaves_the_signal_to_systemd() {
    let drop_in = Unit::parse(&packaged("systemd/notify-reload.conf"));
    let settings: Vec<_> =
        drop_in.0.iter().map(|(section, key, value)| [section, key, value].map(String::as_str)).collect();
    assert_eq!(settings, [["Service", "Type", "notify-reload"], ["Service", "ExecReload", ""]]);
    for (name, unit) in packaged_units() {
        assert_eq!(unit.get("Service", "ExecReload"), "/bin/kill -HUP $MAINPID", "{name}");
    }
}

/// Of a tool that CI installs: what it says on standard error, and how it ends.
#[track_caller]
fn looked_at(tool: &mut Command) -> Option<(String, bool)> {
    match tool.output() {
        Ok(output) => Some((String::from_utf8(output.stderr).unwrap(), output.status.success())),
        Err(error) => {
            assert!(std::env::var_os("TIDEGATE_TOOLS").is_none_or(|how| how != "required"), "{tool:?}: {error}");
            eprintln!("NOT CHECKED: {tool:?}: {error}");
            None
        }
    }
}

/// With the program of this build in place of the installed one, `systemd-analyze` finds no fault, and little that a unit may do.
#[test]
fn the_units_have_no_fault_and_may_do_little() {
    let folder = Folder::new();
    for (name, _) in packaged_units() {
        let unit = folder.path(&name.replace('@', "@room"));
        let text = packaged(&format!("systemd/{name}"));
        std::fs::write(&unit, text.replace("/usr/bin/tidegate", env!("CARGO_BIN_EXE_tidegate"))).unwrap();
        // The manual is not installed.
        let mut verify = Command::new("systemd-analyze");
        if let Some((told, is_well)) = looked_at(verify.args(["verify", "--man=no"]).arg(&unit)) {
            assert!(told.is_empty() && is_well, "{name}: {told}");
        }
        // 100 is a service that may do everything, and systemd calls 20 good.
        let mut security = Command::new("systemd-analyze");
        if let Some((told, is_well)) =
            looked_at(security.args(["security", "--offline=true", "--threshold=20"]).arg(&unit))
        {
            assert!(is_well, "{name} is too exposed: {told}");
        }
    }
}

/// In a folder of its own: `logrotate` takes the stanza, and rotates the log of a role.
#[test]
fn logrotate_takes_the_stanza() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("log/room")).unwrap();
    std::fs::write(folder.path("log/room/room.log"), "something\n").unwrap();
    let stanza =
        packaged("logrotate/tidegate").replace("/var/log/tidegate/", &format!("{}/", folder.path("log").display()));
    let script = "systemctl kill --signal=HUP";
    assert!(stanza.contains(script) && stanza.contains("su tidegate tidegate"));
    let reopened = folder.path("reopened");
    let stanza = stanza.lines().filter(|line| !line.contains("su tidegate")).map(|line| match line.contains(script) {
        true => format!("touch {}\n", reopened.display()),
        false => format!("{line}\n"),
    });
    let file = folder.path("stanza");
    std::fs::write(&file, stanza.collect::<String>()).unwrap();
    let mut logrotate = Command::new("logrotate");
    logrotate.arg("--force").arg("--state").arg(folder.path("state")).arg(&file);
    if let Some((told, is_well)) = looked_at(&mut logrotate) {
        assert!(is_well && told.is_empty(), "{told}");
        assert!(folder.path("log/room/room.log.1").exists() && reopened.exists());
    }
}
