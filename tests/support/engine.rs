//! A Valkey or Redis of a test's own, on a Unix socket in a folder of its own. Who uses it may do what the documentation says, and
//! nothing else.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::folder::Folder;
use super::{Signal, wait_until};

const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];

/// As `docs/machines.md` has it.
const RULES: &str = "~tidegate:* -@all +xadd +xread +xrange +ping +hello +auth +client|setname";

pub const USER: &str = "room";
pub const PASSWORD: &str = "a-secret-of-the-engine";

pub struct Engine {
    program: &'static str,
    folder: Folder,
    /// It saves what it is told before it answers.
    saves: bool,
    child: Option<Child>,
}

impl Engine {
    /// None: there is none here, unless `TIDEGATE_TOOLS` is `required`.
    pub fn start() -> Option<Engine> {
        Engine::start_that_saves(false)
    }

    pub fn start_that_saves(saves: bool) -> Option<Engine> {
        let is_there = |program: &&str| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
        let Some(program) = PROGRAMS.into_iter().find(is_there) else {
            assert!(std::env::var_os("TIDEGATE_TOOLS").is_none_or(|how| how != "required"), "no {PROGRAMS:?}");
            eprintln!("NOT CHECKED: there is no {PROGRAMS:?}");
            return None;
        };
        let folder = Folder::new();
        std::fs::write(folder.path("password"), PASSWORD).unwrap();
        let mut engine = Engine { program, folder, saves, child: None };
        engine.begins();
        Some(engine)
    }

    /// It runs, with the data that it has saved, if it has any.
    #[track_caller]
    pub fn begins(&mut self) {
        let rules = format!("user {USER} on >{PASSWORD}");
        let conf = format!(
            "port 0\nunixsocket {}\nsave \"\"\nappendonly {}\nappendfsync no\ndir {}\n{rules} {RULES}\n",
            self.socket().display(),
            if self.saves { "yes" } else { "no" },
            self.folder.path(".").display(),
        );
        let file = self.folder.path("engine.conf");
        std::fs::write(&file, conf).unwrap();
        let child = Command::new(self.program).arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.child = Some(child);
        wait_until("the engine answers", || self.ask(&["PING"]).is_some_and(|answer| answer == "+PONG\r\n"));
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path("engine.sock")
    }

    /// The flags of a node.
    pub fn flags(&self, node: &str) -> Vec<String> {
        let bus = format!("redis+unix://{USER}@{}", self.socket().display());
        let password = self.folder.path("password").display().to_string();
        ["--bus", &bus, "--bus-node", node, "--bus-password-file", &password].map(str::to_owned).to_vec()
    }

    /// What it says to somebody who may do all, if it says something at once.
    pub fn ask(&self, words: &[&str]) -> Option<String> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut command = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| command += &format!("${}\r\n{word}\r\n", word.len()));
        stream.write_all(command.as_bytes()).ok()?;
        let mut answer = vec![0; 65_536];
        let length = stream.read(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    /// How many entries the room's stream has.
    pub fn entries(&self) -> u64 {
        let answer = self.ask(&["XLEN", "tidegate:lobby"]).unwrap();
        answer.trim().trim_start_matches(':').parse().unwrap()
    }

    /// It does nothing until [`Engine::goes_on`], and its connections stay.
    pub fn stops(&self) {
        self.signal(Signal::STOP);
    }

    pub fn goes_on(&self) {
        self.signal(Signal::CONT);
    }

    /// It is gone, and with it all that it has not saved.
    pub fn dies(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The same, and what it has saved is gone too.
    pub fn dies_with_its_data(&mut self) {
        self.dies();
        std::fs::remove_dir_all(self.folder.path("appendonlydir")).unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.dies();
    }
}
