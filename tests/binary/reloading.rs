//! SIGHUP with `--config`: what is read again, what it changes, and what it does not.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::folder::Folder;
use crate::support::{self, Client, Daemon, Signal, Stderr, free_address, refuses, wait_until};

/// A role with a file, which may be written again.
struct Reloaded {
    role: Daemon,
    name: &'static str,
    file: PathBuf,
    reloads: usize,
    _folder: Folder,
}

impl Reloaded {
    /// It runs with these settings.
    #[track_caller]
    fn runs(name: &'static str, settings: &str) -> Reloaded {
        Reloaded::runs_with(name, settings, &[])
    }

    #[track_caller]
    fn runs_with(name: &'static str, settings: &str, flags: &[&str]) -> Reloaded {
        let folder = Folder::new();
        let file = folder.path("t.toml");
        write(&file, name, settings);
        let mut command = hears_hang_ups();
        command.args([name, "--config", file.to_str().unwrap()]).args(flags);
        let role = Daemon::launch_with(&mut command, Stderr::Kept);
        let mut reloaded = Reloaded { role, name, file, reloads: 0, _folder: folder };
        reloaded.role.finds_its_addresses(1);
        reloaded
    }

    /// It reads these settings, and says what has changed. Gives what the log has since.
    #[track_caller]
    fn reads(&mut self, settings: &str) -> String {
        write(&self.file, self.name, settings);
        self.reads_its_file()
    }

    #[track_caller]
    fn reads_its_file(&mut self) -> String {
        let before = self.role.log().len();
        self.role.signal(Signal::HUP);
        self.reloads += 1;
        wait_until("it has read its file", || {
            self.role.log().matches("the configuration was read again").count() >= self.reloads
        });
        self.role.log()[before..].to_owned()
    }

    fn address(&self) -> SocketAddr {
        self.role.address()
    }
}

/// The program, with SIGHUP as it is by default, though these tests may run under nohup.
fn hears_hang_ups() -> Command {
    if cfg!(not(target_os = "linux")) {
        return support::program();
    }
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(support::program().get_program());
    command
}

/// Neither an end nor anything else has come.
#[track_caller]
fn is_connected(client: &Client) {
    let stream = client.handle();
    stream.set_nonblocking(true).unwrap();
    let read = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    assert!(read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{read:?}");
}

fn write(file: &PathBuf, role: &str, settings: &str) {
    // As an editor does: a reader sees the old file or the new one.
    let new = file.with_extension("new");
    fs::write(&new, format!("[{role}]\n{settings}\n")).unwrap();
    fs::rename(new, file).unwrap();
}

#[test]
fn a_room_changes_its_limits_its_lines_and_its_level_for_those_who_are_here() {
    let settings = "listen = \"127.0.0.1:0\"\n";
    let mut room = Reloaded::runs("chat", &format!("{settings}max-connections = 1"));
    let mut ada = room.role.join();
    ada.hears("* you are guest1; 1 online");
    let mut turned_away = room.role.join();
    turned_away.hears("* the room is full");
    let log = room.reads(&format!("{settings}max-connections = 2\necho = true\nverbose = 1"));
    for line in ["--max-connections was '1', and is '2'", "--echo was off, and is on", "--verbose was 0, and is 1"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(log.contains("the configuration was read again: 3 changes"), "{log}");
    ada.says("hello");
    ada.hears("guest1: hello"); // echo
    let mut bob = room.role.join();
    bob.hears("* you are guest2; 2 online");
    room.role.logs("more than before", |line| line.contains("DEBUG") && line.contains("is guest2"));
    // A flood limit holds those who are here, and is taken away from them.
    let log = room.reads(&format!("{settings}max-connections = 2\nflood = \"2/1\"\nquiet = true"));
    assert!(log.contains("--flood was the default, and is '2/1'"), "{log}");
    let began = std::time::Instant::now();
    (0..4).for_each(|line| ada.says(&format!("line {line}")));
    bob.hears_all((0..4).map(|line| format!("guest1: line {line}")));
    assert!(
        began.elapsed() >= std::time::Duration::from_millis(1900),
        "two of four had to wait: {:?}",
        began.elapsed()
    );
    room.reads(&format!("{settings}max-connections = 2\nflood = \"none\""));
    (0..200).for_each(|line| ada.says(&format!("again {line}")));
    bob.hears_all((0..200).map(|line| format!("guest1: again {line}")));
}

#[test]
fn an_idle_timeout_is_given_to_those_who_are_here_and_taken_from_them() {
    for role in ["chat", "echo", "sink", "hub"] {
        let settings = "listen = \"127.0.0.1:0\"\n";
        let mut daemon = Reloaded::runs(role, settings);
        let mut idle = daemon.role.join();
        if role == "chat" {
            idle.hears("* you are guest1; 1 online");
        }
        daemon.reads(&format!("{settings}idle-timeout = \"100ms\""));
        if role == "chat" {
            idle.hears("* you said nothing for too long");
            idle.is_dismissed();
        } else {
            idle.ends();
        }
        if !["chat", "echo"].contains(&role) {
            continue; // the others do as the echo
        }
        // One that is taken back in time puts nobody out.
        daemon.reads(&format!("{settings}idle-timeout = \"3s\""));
        let mut stays = daemon.role.join();
        if role == "chat" {
            stays.hears("* you are guest2; 1 online");
        }
        daemon.reads(settings);
        std::thread::sleep(std::time::Duration::from_millis(3200));
        is_connected(&stays);
    }
}

#[test]
fn who_is_blocked_is_disconnected_and_who_is_not_stays() {
    let settings = "listen = \"127.0.0.1:0\"\n";
    let mut echo = Reloaded::runs("echo", settings);
    let mut client = echo.role.join();
    client.sends(b"x");
    client.receives(b"x");
    let log = echo.reads(&format!("{settings}block = [\"192.0.2.0/24\"]"));
    assert!(log.contains("--block was the default, and is '192.0.2.0/24'") && !log.contains("disconnected"), "{log}");
    client.sends(b"y");
    client.receives(b"y");
    let log = echo.reads(&format!("{settings}block = [\"127.0.0.0/8\"]"));
    assert!(log.contains("1 connection disconnected: --block or --allow says so now"), "{log}");
    client.is_dismissed();
    let mut refused = echo.role.join();
    refused.is_dismissed();
    echo.reads(&format!("{settings}allow = [\"127.0.0.1\"]"));
    let mut client = echo.role.join();
    client.sends(b"z");
    client.receives(b"z");
    echo.reads(&format!("{settings}allow = [\"192.0.2.1\"]"));
    client.is_dismissed();
}

#[test]
fn listeners_come_and_go_and_the_connections_of_those_that_went_stay() {
    let folder = Folder::new();
    let socket = folder.path("echo.sock");
    let (first, second) = (free_address(), free_address());
    let mut echo = Reloaded::runs("echo", &format!("listen = \"{first}\""));
    let mut of_the_first = Client::connect(first);
    let log = echo.reads(&format!("listen = [\"{second}\", \"unix:{}\"]\nmode = \"600\"", socket.display()));
    assert!(log.contains(&format!("listening on {second}")), "{log}");
    assert!(log.contains(&format!("no longer listening on {first}; its connections stay")), "{log}");
    wait_until("nobody listens on the first", || std::net::TcpStream::connect(first).is_err());
    of_the_first.sends(b"here");
    of_the_first.receives(b"here");
    Client::connect(second).sends_and_receives(b"there");
    assert_eq!(support::folder::mode_of(&socket), 0o600);
    // The first one comes back, with its port, and the file of the Unix socket is gone with its listener.
    echo.reads(&format!("listen = [\"{first}\", \"{second}\"]"));
    Client::connect(first).sends_and_receives(b"again");
    wait_until("the file is gone", || !socket.exists());
    of_the_first.sends(b"still here");
    of_the_first.receives(b"still here");
}

/// A listener that is to go and is wanted again before it has gone stays as it is.
#[test]
fn a_listener_that_is_wanted_again_at_once_never_goes() {
    let (first, second) = (free_address(), free_address());
    let mut echo = Reloaded::runs("echo", &format!("listen = \"{first}\""));
    for _ in 0..10 {
        echo.reads(&format!("listen = \"{second}\""));
        echo.reads(&format!("listen = \"{first}\""));
        Client::connect(first).sends_and_receives(b"x");
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    Client::connect(first).sends_and_receives(b"x");
    refuses(second);
}

#[test]
fn a_proxy_sends_new_clients_to_its_new_target_and_those_who_are_here_stay() {
    let greets = |text: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.write_all(text.as_bytes()).unwrap();
                kept.push(stream);
            }
        });
        address
    };
    let (old, new) = (greets("old"), greets("new"));
    let settings = |to: SocketAddr| format!("listen = \"127.0.0.1:0\"\nto = \"{to}\"");
    let mut proxy = Reloaded::runs("proxy", &settings(old));
    let mut before = proxy.role.join();
    before.receives(b"old");
    let log = proxy.reads(&settings(new));
    assert!(log.contains(&format!("--to was '{old}', and is '{new}'")), "{log}");
    let mut after = proxy.role.join();
    after.receives(b"new");
    is_connected(&before);
    // A pair that is here gets its time, too.
    proxy.reads(&format!("{}\nidle-timeout = \"100ms\"", settings(new)));
    before.is_dismissed();
    after.is_dismissed();
    // Its own address is no target.
    let itself = proxy.address();
    let log = proxy.reads(&settings(itself));
    assert!(log.contains("is this proxy itself"), "{log}");
}

#[test]
fn a_file_that_is_wrong_changes_nothing_and_the_log_says_what_is_wrong() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let folder = Folder::new();
    let free = folder.path("free.sock");
    let settings = "listen = \"127.0.0.1:0\"\nmax-connections = 1\n";
    let mut room = Reloaded::runs("chat", settings);
    let mut ada = room.role.join();
    ada.hears("* you are guest1; 1 online");
    let wrong = [
        ("max-connections = ", "line 2, column"),
        (
            "max-connections = 2\nmax-connexions = 3",
            "line 3, column 1: chat has no flag 'max-connexions': did you mean 'max-connections'?",
        ),
        ("max-connections = 0", "line 2, column 19"),
        ("output-hard = \"1M\"\noutput-soft = \"2M\"", "output-hard in line 2, output-soft in line 3)"),
        ("block = [\"10.0.0.1\", \"10.0.0\"]", "line 2, column 22: invalid value '10.0.0' for '--block"),
        ("max-connections = 2\n[echo]\n[chat", "line 4"),
    ];
    for (wrong, says) in wrong {
        let log = room.reads(wrong);
        assert!(log.contains("ERROR") && log.contains("nothing is changed: ") && log.contains(says), "{wrong}: {log}");
    }
    // An address that is taken, after one that is free: neither is listened on.
    let log = room.reads(&format!("listen = [\"unix:{}\", \"{taken}\"]\nmax-connections = 2", free.display()));
    assert!(log.contains("nothing is changed: cannot listen on") && log.contains(&taken.to_string()), "{log}");
    assert!(!free.exists());
    // A FIFO would hold the loop up for ever.
    fs::remove_file(&room.file).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &room.file, 0o600.into()).unwrap();
    let log = room.reads_its_file();
    assert!(log.contains("nothing is changed: cannot read ") && log.contains("it is no regular file"), "{log}");
    // No file.
    fs::remove_file(&room.file).unwrap();
    let log = room.reads_its_file();
    assert!(log.contains("nothing is changed: cannot read "), "{log}");
    let mut turned_away = room.role.join();
    turned_away.hears("* the room is full");
    let log = room.reads(settings);
    assert!(log.contains("the configuration was read again: nothing has changed"), "{log}");
}

/// The name is one of those that are this machine, whoever would be asked.
#[test]
fn a_name_is_looked_up_at_the_start_and_no_other_one_later() {
    let mut room = Reloaded::runs("chat", "listen = \"a.localhost:0\"");
    assert!(room.role.log().contains("a.localhost is 127.0.0.1"), "{}", room.role.log());
    assert!(room.address().ip().is_loopback());
    let mut ada = room.role.join();
    ada.hears("* you are guest1; 1 online");
    let log = room.reads("listen = \"a.localhost:0\"\necho = true");
    assert!(!log.contains("istening on"), "it listens where it did: {log}");
    let before = room.role.log().len();
    write(&room.file, "chat", "listen = \"b.localhost:0\"");
    room.role.signal(Signal::HUP);
    let why = "cannot listen on b.localhost:0: a name is looked up at the start only; restart, or write its address";
    wait_until("it says why", || room.role.log()[before..].contains(why));
    room.role.join().hears("* you are guest2; 2 online");
    is_connected(&ada);
}

#[test]
fn what_needs_a_restart_is_said_and_stays() {
    let out = free_address();
    let settings = |queue: &str| format!("listen = \"127.0.0.1:0\"\nout = \"{out}\"\nqueue = \"{queue}\"");
    let mut hub = Reloaded::runs("hub", &settings("1M"));
    let log = hub.reads(&format!("{}\nbacklog = 5", settings("2M")));
    assert!(log.contains("--queue stays '1M': a restart is needed for '2M'"), "{log}");
    assert!(log.contains("--backlog was the default, and is '5'") && log.contains("read again: 1 change"), "{log}");
    let mut producer = hub.role.join();
    (0..9).for_each(|line| producer.says(&format!("line {line}")));
    wait_until("all have come", || {
        let mut late = Client::connect(out);
        late.try_hear(b"line 4")
    });
    // It is said again as long as the file has it.
    assert!(hub.reads_its_file().contains("--queue stays '1M'"));
}

#[test]
fn what_was_typed_goes_before_the_file_each_time() {
    let settings = "listen = \"127.0.0.1:0\"\n";
    let mut echo = Reloaded::runs_with("echo", settings, &["--max-connections", "1"]);
    let mut client = echo.role.join();
    client.sends(b"x");
    client.receives(b"x");
    let log = echo.reads(&format!("{settings}max-connections = 7"));
    assert!(log.contains("nothing has changed"), "{log}");
    echo.role.join().is_dismissed();
}

#[test]
fn the_level_of_the_file_undoes_what_sigusr2_has_done() {
    let settings = "listen = \"127.0.0.1:0\"\n";
    let mut echo = Reloaded::runs("echo", settings);
    echo.role.signal(Signal::USR2);
    echo.role.logs("more", |line| line.contains("the log level is debug"));
    echo.reads(settings);
    drop(echo.role.join());
    let mut seen = echo.role.join();
    seen.sends(b"x");
    seen.receives(b"x");
    assert!(!echo.role.log().contains("DEBUG"), "{}", echo.role.log());
    // And it goes up from the level of the file.
    echo.reads(&format!("{settings}verbose = 1"));
    echo.role.signal(Signal::USR2);
    echo.role.logs("still more", |line| line.contains("the log level is trace"));
    echo.role.signal(Signal::USR2);
    echo.role.logs("back", |line| line.contains("the log level is debug"));
}

#[test]
fn the_trace_begins_with_its_level() {
    let settings = "listen = \"127.0.0.1:0\"\n";
    let mut echo = Reloaded::runs("echo", settings);
    echo.reads(&format!("{settings}verbose = 2"));
    echo.role.logs("its level", |line| line.contains("the log level is trace, as the flags say"));
    let mut client = echo.role.join();
    client.sends(b"x");
    client.receives(b"x");
    echo.role.logs("the trace", |line| line.contains("TRACE") && line.contains("accepted"));
}

/// Limits that are set again would begin a new grace: a reload each second would let a guest be slow for ever.
#[test]
fn a_guest_who_does_not_read_is_put_out_however_often_the_file_is_read() {
    let settings = "listen = \"127.0.0.1:0\"\nflood = \"none\"\nsend-buffer = \"8K\"\noutput-hard = \"64M\"\n\
                    output-soft = \"32K\"\noutput-grace = \"1s\"";
    let mut room = Reloaded::runs("chat", settings);
    let mut speaker = room.role.join();
    speaker.hears("* you are guest1; 1 online");
    let stuck = Client::connect_narrow(room.address());
    speaker.hears("* guest2 joined; 2 online");
    let line = "x".repeat(3000);
    (0..300).for_each(|_| speaker.says(&line));
    let began = std::time::Instant::now();
    while !room.role.log().contains("was disconnected") {
        assert!(began.elapsed() < support::PATIENCE, "{}", room.role.log());
        room.reads_its_file();
        speaker.says("go on");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(began.elapsed() >= std::time::Duration::from_millis(900), "not before its grace is over");
    drop(stuck);
}

#[test]
fn run_reads_the_role_of_its_file_again_and_no_other_role() {
    let folder = Folder::new();
    let file = folder.path("t.toml");
    write(&file, "chat", "listen = \"127.0.0.1:0\"");
    let mut room = Daemon::launch_with(hears_hang_ups().args(["run", file.to_str().unwrap()]), Stderr::Kept);
    room.finds_its_addresses(1);
    write(&file, "chat", "listen = \"127.0.0.1:0\"\necho = true");
    room.signal(Signal::HUP);
    room.logs("the change", |line| line.contains("--echo was off, and is on"));
    write(&file, "echo", "listen = \"127.0.0.1:0\"");
    room.signal(Signal::HUP);
    room.logs("the other role", |line| line.contains("nothing is changed: the role is chat, and the file has [echo]"));
    let mut guest = room.join();
    guest.hears("* you are guest1; 1 online");
    guest.says("x");
    guest.hears("guest1: x");
}

/// `nohup` has SIGHUP ignored.
#[test]
fn it_stays_ignored_if_it_was_ignored_before_and_the_log_says_so() {
    let folder = Folder::new();
    let file = folder.path("t.toml");
    write(&file, "echo", "listen = \"127.0.0.1:0\"");
    let mut command = support::program_after("trap '' HUP");
    command.args(["echo", "--config", file.to_str().unwrap()]);
    let mut echo = Daemon::launch_with(&mut command, Stderr::Kept);
    echo.finds_its_addresses(1);
    assert!(echo.log().contains("SIGHUP was ignored when this began, and stays so"), "{}", echo.log());
    write(&file, "echo", "listen = \"127.0.0.1:0\"\nmax-connections = 1");
    echo.signal(Signal::HUP);
    support::a_quiet_moment();
    assert!(!echo.log().contains("read again:") && echo.is_running(), "{}", echo.log());
    echo.signal(Signal::TERM);
    echo.exits_with(0);
}

#[test]
fn a_thousand_times_leaves_nothing_behind() {
    let folder = Folder::new();
    let socket = folder.path("room.sock");
    let settings = [
        "listen = \"127.0.0.1:0\"\nquiet = true".to_owned(),
        format!(
            "listen = [\"127.0.0.1:0\", \"unix:{}\"]\nblock = [\"192.0.2.0/24\"]\nidle-timeout = \"1h\"\nquiet = true",
            socket.display()
        ),
        "listen = \"127.0.0.1:0\"\nwrong = 1".to_owned(),
    ];
    let room = Reloaded::runs("chat", "listen = \"127.0.0.1:0\"");
    let mut guest = room.role.join();
    guest.hears("* you are guest1; 1 online");
    // A listener comes and goes each 30 times, as it stays for a tenth of a second.
    let of = |number: usize| if number.is_multiple_of(30) { &settings[1] } else { &settings[number % 2 * 2] };
    (0..60).for_each(|number| reload(&room, of(number), &socket));
    let (descriptors, memory) = (room.role.descriptors(), room.role.memory());
    (60..1060).for_each(|number| reload(&room, of(number), &socket));
    wait_until("its descriptors are as before", || room.role.descriptors() <= descriptors + 1);
    let grown = room.role.memory().saturating_sub(memory);
    assert!(grown < 512 * 1024, "{grown} bytes more");
    guest.says("/who");
    guest.hears("* 1 online: guest1");
}

/// It has done so when this returns: it listens on the Unix socket, or not any more, or the log has an error.
fn reload(room: &Reloaded, settings: &str, socket: &Path) {
    let errors = || room.role.log().matches("nothing is changed").count();
    let before = errors();
    write(&room.file, "chat", settings);
    room.role.signal(Signal::HUP);
    match settings {
        wrong if wrong.contains("wrong") => wait_until("it is wrong", || errors() > before),
        there if there.contains("unix:") => wait_until("it listens there too", || UnixStream::connect(socket).is_ok()),
        _ => wait_until("it has left", || !socket.exists()),
    }
}

/// Load on the role while it reads its file again and again: nothing is lost, and nobody is disconnected.
#[test]
fn under_load_no_connection_is_lost() {
    let fixed = free_address();
    let settings = |extra: &str| format!("listen = \"{fixed}\"\n{extra}");
    let mut echo = Reloaded::runs("echo", &settings(""));
    let load = support::program()
        .args(["bench", "echo", &fixed.to_string(), "--connections", "50", "--duration", "3s", "--warmup", "0"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let other = free_address();
    let extras = [
        format!("block = [\"192.0.2.0/24\"]\nlisten = [\"{fixed}\", \"{other}\"]"),
        "max-connections = 100".to_owned(),
        "idle-timeout = \"10s\"\nkeep-alive = \"30s\"".to_owned(),
        "memory = \"64M\"\nverbose = 1\nwrong".to_owned(),
    ];
    let mut load = load;
    let mut reloads = 0;
    while load.try_wait().unwrap().is_none() {
        let extra = &extras[reloads % extras.len()];
        let text = if extra.contains("listen") { extra.clone() } else { settings(extra) };
        echo.reads(&text);
        reloads += 1;
    }
    let output = load.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(reloads >= 4, "{reloads}");
    echo.role.signal(Signal::TERM);
    echo.role.exits_with(0);
}

#[test]
fn a_run_that_has_read_its_file_again_is_played_as_it_was() {
    let folder = Folder::new();
    let recording = folder.path("run.rec");
    let settings = "listen = \"127.0.0.1:0\"\n";
    let mut room = Reloaded::runs_with("chat", settings, &["--record", recording.to_str().unwrap()]);
    let mut guest = room.role.join();
    guest.hears("* you are guest1; 1 online");
    guest.says("silent");
    guest.hears_nothing();
    room.reads(&format!("{settings}echo = true\nmax-connections = 3\nidle-timeout = \"1h\""));
    guest.says("heard");
    guest.hears("guest1: heard");
    room.reads("wrong");
    drop(guest);
    room.role.signal(Signal::TERM);
    room.role.exits_with(0);
    let recorded = room.role.logs("its fingerprint", |line| line.contains("fingerprint"));
    let fingerprint = recorded.rsplit(' ').next().unwrap().trim().to_owned();
    let played = Command::new(support::program().get_program()).arg("replay").arg(&recording).output().unwrap();
    let played = String::from_utf8_lossy(&played.stdout).into_owned();
    assert!(played.contains(&format!("fingerprint {fingerprint}")), "{played}");
}
