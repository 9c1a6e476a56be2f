//! What a service manager is told (sd_notify(3)), by a manager that the test is.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::folder::Folder;
use crate::support::{self, Client, Daemon, PATIENCE, Signal, Stderr};

struct Manager {
    socket: UnixDatagram,
    _folder: Folder,
}

impl Manager {
    /// With a role whose manager it is.
    #[track_caller]
    fn of(arguments: &[&str], set_up: impl FnOnce(&mut Command)) -> (Manager, Daemon) {
        let folder = Folder::new();
        let path = folder.path("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = support::program();
        set_up(command.args(arguments).env("NOTIFY_SOCKET", &path));
        (Manager { socket, _folder: folder }, Daemon::launch_with(&mut command, Stderr::Kept))
    }

    #[track_caller]
    fn hears(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Until a message has this.
    #[track_caller]
    fn hears_of(&self, what: &str) -> String {
        let began = Instant::now();
        loop {
            let message = self.hears();
            if message.contains(what) {
                return message;
            }
            assert!(began.elapsed() < PATIENCE, "no message has {what}");
        }
    }

    fn forgets_what_waits(&self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.socket.recv(&mut [0; 4096]).is_ok() {}
        self.socket.set_nonblocking(false).unwrap();
    }
}

#[test]
fn it_is_told_that_the_role_listens_how_many_connections_there_are_and_that_it_stops() {
    for role in ["chat", "hub", "echo", "sink", "source"] {
        let (manager, mut daemon) = Manager::of(&[role, "--listen", "127.0.0.1:0", "--drain-timeout", "0"], |_| {});
        assert_eq!(manager.hears(), "READY=1\nSTATUS=0 connections", "{role}");
        daemon.finds_its_addresses(1); // it listened before
        daemon.signal(Signal::TERM);
        assert!(manager.hears_of("STOPPING=1").ends_with("STATUS=stopping: 0 connections to drain"), "{role}");
        daemon.exits();
    }
    let (manager, mut daemon) = Manager::of(&["echo", "--listen", "127.0.0.1:0"], |_| {});
    daemon.finds_its_addresses(1);
    let _clients: Vec<_> = (0..3).map(|_| Client::connect(daemon.address())).collect();
    manager.hears_of("STATUS=3 connections");
}

#[test]
fn it_is_told_when_the_file_is_read_again_and_when_that_is_done_whatever_came_of_it() {
    let folder = Folder::new();
    let file = folder.path("t.toml");
    std::fs::write(&file, "[echo]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let (manager, echo) = Manager::of(&["run", file.to_str().unwrap()], |_| {});
    assert!(manager.hears().starts_with("READY=1"));
    let mut last = 0;
    for settings in ["max-connections = 5", "wrong = 1", ""] {
        std::fs::write(&file, format!("[echo]\nlisten = \"127.0.0.1:0\"\n{settings}\n")).unwrap();
        echo.signal(Signal::HUP);
        let reloading = manager.hears();
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{reloading}"));
        let time: u64 = time.parse().unwrap();
        assert!(time > last, "{time} after {last}");
        last = time;
        assert_eq!(manager.hears(), "READY=1\nSTATUS=0 connections", "{settings}");
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    assert!(last / 1_000_000 <= now.tv_sec.cast_unsigned(), "it is the clock of the machine");
}

#[test]
fn a_role_that_cannot_start_is_not_ready() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (manager, mut daemon) = Manager::of(&["echo", "--listen", &address], |_| {});
    daemon.exits_with(1);
    manager.socket.set_nonblocking(true).unwrap();
    assert!(manager.socket.recv(&mut [0; 100]).is_err());
}

#[test]
fn the_watchdog_is_fed_by_a_loop_that_is_busy_and_not_by_one_that_is_stuck() {
    let watched = |command: &mut Command| {
        command.env("WATCHDOG_USEC", "200000");
    };
    let (manager, mut echo) = Manager::of(&["echo", "--listen", "127.0.0.1:0"], watched);
    echo.finds_its_addresses(1);
    let address = echo.address().to_string();
    let mut load = Daemon::launch(&["bench", "echo", &address, "--duration", "1s", "--warmup", "0"]);
    let began = Instant::now();
    for _ in 0..8 {
        assert_eq!(manager.hears_of("WATCHDOG"), "WATCHDOG=1");
    }
    assert!(began.elapsed() >= Duration::from_millis(500), "every 100 ms, and not all the time");
    load.exits();
    // Each paragraph holds the loop up for a minute.
    let slow = ["echo", "--listen", "127.0.0.1:0", "--explain", "--slow-motion", "1m"];
    let (manager, mut stuck) = Manager::of(&slow, watched);
    stuck.finds_its_addresses(1);
    let _client = Client::connect(stuck.address());
    stuck.logs("its first paragraph", |line| line.contains("turn "));
    manager.forgets_what_waits();
    manager.socket.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
    assert!(manager.socket.recv(&mut [0; 100]).is_err(), "nothing is fed while it is stuck");
}

#[test]
fn a_watchdog_for_another_process_is_not_fed_and_a_manager_that_is_gone_harms_nothing() {
    let for_another = |command: &mut Command| {
        command.env("WATCHDOG_USEC", "1000").env("WATCHDOG_PID", "1");
    };
    let (manager, mut echo) = Manager::of(&["echo", "--listen", "127.0.0.1:0"], for_another);
    echo.finds_its_addresses(1);
    assert!(manager.hears().starts_with("READY=1"));
    manager.socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(manager.socket.recv(&mut [0; 100]).is_err());
    drop(manager);
    let mut client = echo.join();
    client.sends(b"still there");
    client.receives(b"still there");
    echo.signal(Signal::TERM);
    drop(client);
    echo.exits_with(0);
    for (address, warnings) in [("/nonexistent/notify", 1), ("", 0)] {
        let mut command = support::program();
        command.args(["echo", "--listen", "127.0.0.1:0"]).env("NOTIFY_SOCKET", address);
        let mut alone = Daemon::launch_with(&mut command, Stderr::Kept);
        alone.finds_its_addresses(1);
        alone.signal(Signal::TERM);
        alone.exits_with(0);
        let told = alone.log().matches("no connection to the service manager at /nonexistent/notify").count();
        assert_eq!(told, warnings, "{}", alone.log());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_manager_may_have_an_abstract_name() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("tidegate-notify-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = support::program();
    command.args(["echo", "--listen", "127.0.0.1:0"]).env("NOTIFY_SOCKET", format!("@{name}"));
    let _echo = Daemon::launch_with(&mut command, Stderr::Kept);
    let mut bytes = [0; 100];
    let length = socket.recv(&mut bytes).unwrap();
    assert!(bytes[..length].starts_with(b"READY=1\n"));
}
