//! The daemon on Unix sockets.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;

use crate::support::folder::{Folder, mode_of};
use crate::support::{Daemon, PATIENCE, Signal, program, wait_until};

/// A daemon that listens on this path.
#[track_caller]
fn start(arguments: &[&str], path: &Path) -> Daemon {
    let place = format!("unix:{}", path.display());
    let daemon = Daemon::launch(&[arguments, &["--listen", &place]].concat());
    wait_until(&format!("a daemon that listens on {place}"), || UnixStream::connect(path).is_ok());
    daemon
}

fn join(path: &Path) -> UnixStream {
    let guest = UnixStream::connect(path).unwrap();
    guest.set_read_timeout(Some(PATIENCE)).unwrap();
    guest
}

#[track_caller]
fn hears(mut guest: &UnixStream, what: &str) {
    let mut heard = String::new();
    while !heard.contains(what) {
        let mut buffer = [0; 1024];
        let length = guest.read(&mut buffer).unwrap();
        assert!(length > 0, "it ended before '{what}': {heard:?}");
        heard.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
}

#[test]
fn a_chat_room_and_an_echo_listen_on_a_path_with_a_mode() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let mut room = start(&["chat", "--mode", "660"], &path);
    assert_eq!(mode_of(&path), 0o660);
    let [anna, ben] = [join(&path), join(&path)];
    (&anna).write_all(b"hello\n").unwrap();
    hears(&ben, ": hello\n");
    for mut guest in [anna, ben] {
        guest.shutdown(Shutdown::Write).unwrap();
        guest.read_to_string(&mut String::new()).unwrap();
    }
    room.signal(Signal::TERM);
    room.exits_with(0);
    assert!(!path.exists());

    let path = folder.path("echo");
    let mut echo = start(&["echo"], &path);
    let mut peer = join(&path);
    peer.write_all(b"there and back").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    peer.read_to_string(&mut back).unwrap();
    assert_eq!(back, "there and back");
    echo.signal(Signal::TERM);
    echo.exits_with(0);
}

#[test]
fn a_daemon_says_what_is_wrong_with_a_path() {
    let folder = Folder::new();
    let says = |name: &str, why: &str| {
        let place = folder.endpoint(name).to_string();
        let output = program().args(["chat", "--listen", &place]).stdin(Stdio::null()).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{log}");
        assert!(log.ends_with(&format!("cannot listen on {place}: {why}\n")), "{log}");
    };
    fs::write(folder.path("file"), "precious").unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    let _listener = UnixListener::bind(folder.path("socket")).unwrap();
    says("no/folder", "its folder does not exist");
    says("file/s", "not a directory");
    says("file", "a file is there that is not a socket: move it, or use another path");
    says("folder", "it is a folder: add the name of the socket");
    says("socket", "address in use");
    assert_eq!(fs::read(folder.path("file")).unwrap(), b"precious");
}

#[test]
fn a_role_that_cannot_start_leaves_no_file() {
    let folder = Folder::new();
    let place = folder.endpoint("echo.sock").to_string();
    // The second is an address for documentation.
    let mut echo = Daemon::launch(&["echo", "--listen", &place, "--listen", "192.0.2.77:0"]);
    echo.exits_with(1);
    let log = echo.log();
    assert!(log.contains("192.0.2.77") && !log.contains("INFO"), "what was taken back is not said to be there: {log}");
    assert!(!folder.path("echo.sock").exists());
}
