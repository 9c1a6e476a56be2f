//! Names, with dnsmasq or unbound as the name server and glibc's resolver beside it, in a network of their own.
//!
//! The name server, `ip` and `python3` are wanted, and `unshare` without a password. Where one is missing, nothing is tried, and
//! that is printed, unless `TIDEGATE_TOOLS` is `required`, as in CI.

mod attempts;
mod hints;
mod unbound;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};

use tidegate::{ErrorKind, EventLoop, NamesOptions, Socket, SocketOptions};

use crate::support::folder::Folder;
use crate::support::isolated::isolated_with_a_network;
use crate::support::wait_until;

/// What became of each name: its addresses, or the code of its error.
type Outcomes = BTreeMap<String, BTreeSet<String>>;

fn has_tools() -> bool {
    has_tools_and("dnsmasq --version")
}

fn has_tools_and(name_server: &str) -> bool {
    let works = |command: &str| {
        let status = Command::new("sh").args(["-c", command]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let missing: Vec<&str> = [name_server, "ip -V", "python3 -c ''", "unshare -rmn true"]
        .into_iter()
        .filter(|command| !works(command))
        .collect();
    let is_required = std::env::var_os("TIDEGATE_TOOLS").is_some_and(|how| how == "required");
    assert!(missing.is_empty() || !is_required, "these do not work: {missing:?}");
    if !missing.is_empty() {
        eprintln!("NOT CHECKED: these do not work: {missing:?}");
    }
    missing.is_empty()
}

#[track_caller]
fn sh(command: &str) {
    assert!(Command::new("sh").args(["-ec", command]).status().unwrap().success(), "{command}");
}

/// A name server at 127.0.0.1. It ends with its network.
struct NameServer(Child);

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `example` and names without a dot are its own; of others it knows nothing, and refuses.
const ZONE: &[&str] = &[
    "--local=/example/",
    "--local=//",
    "--host-record=alpha.corp.example,10.0.0.1,fd00::1",
    "--host-record=alpha.lab.example,10.0.0.2",
    "--host-record=beta.lab.example,fd00::2",
    "--host-record=gamma.corp.example,10.0.0.3",
    "--host-record=alpha.lab.corp.example,10.0.0.4",
    "--host-record=printer.corp.example,10.0.0.5",
    "--host-record=delta.deep.corp.example,10.0.0.6,fd00::6",
    "--cname=alias.corp.example,alpha.corp.example",
    "--cname=chain.lab.example,alias.corp.example",
    "--txt-record=text.lab.example,hello",
    "--address=/wild.example/10.9.9.9",
];

fn name_server(more: &[String]) -> NameServer {
    sh("ip link set lo up");
    let options = ["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="];
    let mut dnsmasq = Command::new("dnsmasq");
    dnsmasq.args(options).args(["--local-ttl=60", "--edns-packet-max=1232"]).args(ZONE).args(more);
    let server = NameServer(dnsmasq.stderr(Stdio::null()).spawn().unwrap());
    wait_until("the name server listens", || std::net::TcpStream::connect("127.0.0.1:53").is_ok());
    server
}

/// Puts a copy of `/etc` in its place, so that a test can write there.
fn own_etc(folder: &Folder) {
    let etc = folder.path("etc");
    // What it may not read is not needed.
    sh(&format!("cp -r /etc {etc} 2>/dev/null || true; mount --bind {etc} /etc", etc = etc.display()));
    for (name, text) in [("resolv.conf", ""), ("hosts", ""), ("nsswitch.conf", "hosts: files dns\n")] {
        // It may be a link to somewhere else.
        let _ = std::fs::remove_file(format!("/etc/{name}"));
        write(name, text);
    }
}

/// Writes a file in `/etc`.
fn write(name: &str, text: &str) {
    std::fs::write(format!("/etc/{name}"), text).unwrap();
}

/// What this library finds, all names at once.
fn ours(names: &[&str]) -> Outcomes {
    ours_with(names, &SocketOptions::new())
}

fn ours_with(names: &[&str], options: &SocketOptions) -> Outcomes {
    let mut event_loop = EventLoop::with_state(Outcomes::new()).unwrap();
    for name in names {
        let key = (*name).to_owned();
        let begun =
            event_loop.connect_with(format!("{name}:9"), options.clone(), move |socket: &mut Socket<'_, Outcomes>| {
                let of_lookup = key.clone();
                socket.on_lookup(move |socket, lookup| {
                    let found = match &lookup.outcome {
                        Ok(ip) => ip.to_string(),
                        Err(error) => error.code().to_owned(),
                    };
                    socket.state.entry(of_lookup.clone()).or_default().insert(found);
                });
                socket.on_connection_attempt(|socket, _| socket.destroy());
                socket.on_error(|_, _| {});
            });
        if let Err(error) = begun {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            event_loop.state.entry((*name).to_owned()).or_default().insert("ENOTFOUND".to_owned());
        }
    }
    event_loop.run().unwrap();
    event_loop.state.clone()
}

/// What the system's `getaddrinfo` finds, without AI_ADDRCONFIG.
fn glibcs(names: &[&str]) -> Outcomes {
    glibcs_with(names, "AF_UNSPEC", "0")
}

/// With a family and with flags, in Python's words.
fn glibcs_with(names: &[&str], family: &str, flags: &str) -> Outcomes {
    let script = "
import sys
from socket import *
family, flags = (eval(word) for word in sys.argv[1:3])
for name in sys.argv[3:]:
    try:
        found = {answer[4][0] for answer in getaddrinfo(name, 9, family, SOCK_STREAM, flags=flags)}
    except gaierror as error:
        found = {'EAI_AGAIN' if error.errno == EAI_AGAIN else 'ENOTFOUND'}
    except UnicodeError:
        found = {'ENOTFOUND'}
    print(name, *found)
";
    let output = Command::new("python3").args(["-c", script, family, flags]).args(names).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let outcome = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?, words.collect()))
    };
    text.lines().filter_map(outcome).collect()
}

const NAMES: &[&str] = &[
    "alpha",
    "alpha.lab",
    "Beta",
    "gamma.corp.example",
    "alias",
    "chain",
    "text",
    "printer",
    "alpha.corp.example.",
    "x.wild",
    "delta.deep",
    "nothing.elsewhere",
];

const CONFIGURATIONS: &[&str] = &[
    "nameserver 127.0.0.1",
    "nameserver 127.0.0.1\nsearch corp.example",
    "nameserver 127.0.0.1\nsearch lab.example",
    "nameserver 127.0.0.1\nsearch lab.example corp.example",
    "nameserver 127.0.0.1\nsearch corp.example lab.example",
    "nameserver 127.0.0.1\ndomain corp.example",
    "nameserver 127.0.0.1\nsearch lab.example\ndomain corp.example",
    "nameserver 127.0.0.1\ndomain corp.example\nsearch lab.example",
    "nameserver 127.0.0.1\nsearch corp.example\noptions ndots:0",
    "nameserver 127.0.0.1\nsearch corp.example\noptions ndots:2",
    "nameserver 127.0.0.1\nsearch example\noptions ndots:3",
    "nameserver 127.0.0.1\nsearch lab.example corp.example example\noptions ndots:4",
    "nameserver 127.0.0.1\nsearch . corp.example",
    "nameserver 127.0.0.9\nnameserver 127.0.0.1\nsearch corp.example\noptions timeout:1",
    "nameserver 127.0.0.1\nnonsense\nsearch corp.example\noptions unknown ndots:1",
    "search lab.example corp.example\n# no server: that of this machine",
    "nameserver 127.0.0.1\nsearch elsewhere corp.example",
    "nameserver 127.0.0.9\noptions timeout:1 attempts:1",
];

const HOSTS: &str = "127.0.0.1 localhost\n10.7.7.7 printer printer.here # in the office\nfd00::7 Printer\n";

#[test]
fn two_hundred_names_have_the_addresses_that_getaddrinfo_finds() {
    if !has_tools() {
        return;
    }
    isolated_with_a_network("names::two_hundred_names_have_the_addresses_that_getaddrinfo_finds", || {
        let folder = Folder::new();
        own_etc(&folder);
        let _server = name_server(&[]);
        let plain = {
            write("resolv.conf", CONFIGURATIONS[0]);
            ours(NAMES)
        };
        let (mut compared, mut others) = (0, 0);
        for hosts in ["", HOSTS] {
            write("hosts", hosts);
            for configuration in CONFIGURATIONS {
                write("resolv.conf", configuration);
                let (ours, glibcs) = (ours(NAMES), glibcs(NAMES));
                for name in NAMES {
                    assert_eq!(ours[*name], glibcs[*name], "{name} with\n{configuration}\n{hosts}");
                    compared += 1;
                    others += usize::from(ours[*name] != plain[*name]);
                }
            }
        }
        println!("{compared} names and configurations, {others} of them with another outcome than without any");
        assert!(compared >= 200 && others >= 60, "{compared} {others}");
    });
}

#[test]
fn a_large_answer_comes_by_tcp_and_many_names_at_once_by_one_thread() {
    if !has_tools() {
        return;
    }
    isolated_with_a_network("names::a_large_answer_comes_by_tcp_and_many_names_at_once_by_one_thread", || {
        let folder = Folder::new();
        own_etc(&folder);
        write("resolv.conf", "nameserver 127.0.0.1\n");
        let large = (1..=60).map(|number| format!("--host-record=large.corp.example,10.1.1.{number},fd01::{number}"));
        let many = (0..1000)
            .map(|number| format!("--host-record=host{number}.example,10.2.{}.{}", number / 250, number % 250));
        let _server = name_server(&large.chain(many).collect::<Vec<_>>());
        let found = ours(&["large.corp.example"]);
        assert_eq!(found["large.corp.example"].len(), 120);

        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        let names: Vec<String> = (0..1000).map(|number| format!("host{number}.example")).collect();
        let mut event_loop = EventLoop::with_state((0, 0)).unwrap();
        event_loop.net.set_names(NamesOptions::new().most_questions(128)).unwrap();
        for name in &names {
            event_loop
                .connect(format!("{name}:9"), move |socket| {
                    socket.on_lookup(move |socket, lookup| {
                        socket.state.0 += usize::from(lookup.outcome.is_ok());
                        let now = std::fs::read_dir("/proc/self/task").unwrap().count();
                        socket.state.1 = now.max(socket.state.1);
                        socket.destroy();
                    });
                })
                .unwrap();
        }
        event_loop.run().unwrap();
        assert_eq!(event_loop.state, (1000, before), "all were found, and no thread was started");
    });
}

/// What a log says without its times and levels.
#[cfg(feature = "cli")]
fn without_times(log: &str) -> Vec<String> {
    let message = |line: &str| line.split_once("[tidegate] ").map_or(line, |(_, message)| message).to_owned();
    let without_time = |line: String| match (line.find(" in "), line.find(" ms: ")) {
        (Some(from), Some(to)) => format!("{}{}", &line[..from], &line[to..]),
        _ => line,
    };
    log.lines().map(message).map(without_time).collect()
}

/// What `tidegate connect -v` says of a look-up: who was asked, how, and what came.
#[cfg(feature = "cli")]
#[test]
fn the_log_says_who_has_answered_what_and_how() {
    if !has_tools() {
        return;
    }
    isolated_with_a_network("names::the_log_says_who_has_answered_what_and_how", || {
        let folder = Folder::new();
        own_etc(&folder);
        write("resolv.conf", "nameserver 192.0.2.9\nnameserver 127.0.0.1\nsearch corp.example\n");
        write("hosts", "10.7.7.7 printer\n");
        let large = (1..=60).map(|number| format!("--host-record=large.corp.example,fd01::{number}"));
        let _server = name_server(&large.collect::<Vec<_>>());
        let said = |name: &str| {
            let connect = ["connect", "-v", "--connect-timeout", "1s", name, "9"];
            let output =
                Command::new(env!("CARGO_BIN_EXE_tidegate")).args(connect).stdin(Stdio::null()).output().unwrap();
            String::from_utf8(output.stderr).unwrap()
        };
        let parts = |name: &str, parts: &[&str]| {
            let said = said(name);
            for part in parts {
                assert!(said.contains(part), "{part}: {said}");
            }
        };
        parts("printer", &["printer stands in the hosts file", "printer is 10.7.7.7"]);
        let refused = "192.0.2.9:53 gives no answer to A alpha.corp.example by UDP in ";
        let alpha = "127.0.0.1:53 has answered A alpha.corp.example by UDP in ";
        parts("alpha", &[refused, alpha, " ms: 10.0.0.1, good for 60 s", "alpha is 10.0.0.1", "trying 10.0.0.1:9"]);
        let cut = "127.0.0.1:53 has answered AAAA large.corp.example by UDP in ";
        let whole = "127.0.0.1:53 has answered AAAA large.corp.example by TCP in ";
        parts("large", &[cut, ": it is cut short", whole, " ms: fd01::", "large is fd01::60"]);
        parts("nothing.example", &["127.0.0.1:53 has answered AAAA nothing.example by UDP in ", ": no such name"]);
        let page = include_str!("../../../docs/names.md");
        let shown = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
        let (shown, said) = (without_times(shown), without_times(&said("gamma")));
        // Two answers that are under way at the same time come in any order.
        let sorted = |lines: &[String]| lines.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(sorted(&said[..shown.len()]), sorted(&shown));
    });
}
