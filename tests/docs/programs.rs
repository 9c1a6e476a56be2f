//! The small programs of `docs/programs.md`, each run as a reader runs it: the compiled example, an address as its
//! argument, a client, and what it prints or writes.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::support::examples::compiled;
use crate::support::folder::Folder;
use crate::support::{Client, PATIENCE, exit_of, free_address, wait_until};

/// A running example, in a directory of its own.
struct Program {
    child: Child,
    lines: Receiver<String>,
    folder: Folder,
}

impl Program {
    /// Starts the example of this name.
    fn start(name: &str, arguments: &[&str]) -> Program {
        let program = compiled(name);
        let folder = Folder::new();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder.itself()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (line, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        Program { child, lines, folder }
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

    /// What it has written into this file of its directory is, in the end, these bytes.
    #[track_caller]
    fn writes(&self, file: &str, bytes: impl AsRef<[u8]>) {
        let written = || std::fs::read(self.folder.path(file)).unwrap_or_default();
        wait_until(&format!("{file} has its {} bytes", bytes.as_ref().len()), || written() == bytes.as_ref());
    }

    #[track_caller]
    fn exits(&mut self) -> ExitStatus {
        exit_of(&mut self.child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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

#[test]
fn a_client_goes_into_a_file_that_stays_open_at_its_end() {
    let (program, address) = Program::serve("piping", &[]);
    let mut client = Client::connect(address);
    client.says("hello");
    program.writes("msg.txt", "hello\n");
    client.ends_its_side();
    client.ends();
    program.prints("over");
    program.writes("msg.txt", "hello\nover\n");
    let mut second = Client::connect(address);
    second.says("here I am");
    second.ends_its_side();
    program.prints("over");
    program.writes("msg.txt", "hello\nover\nhere I am\nover\n");
}

#[test]
fn bytes_after_the_unpipe_are_not_in_the_file() {
    let (program, address) = Program::serve("unpiping", &["2"]);
    let connecting = Instant::now();
    let mut client = Client::connect(address);
    client.says("in time");
    program.writes("msg.txt", "in time\n");
    program.prints("bye bye");
    assert!(connecting.elapsed() >= Duration::from_secs(2));
    client.says("too late");
    program.writes("msg.txt", "in time\nbye bye\n");
}

#[test]
fn bytes_sent_to_a_paused_socket_are_not_lost() {
    let (program, address) = Program::serve("pausing", &["0.5"]);
    let connecting = Instant::now();
    let mut client = Client::connect(address);
    let sent = "what was said meanwhile\n".repeat(10_000);
    client.sends(sent.as_bytes());
    client.ends_its_side();
    program.prints("paused");
    program.prints("piping");
    assert!(connecting.elapsed() >= Duration::from_millis(500));
    program.prints("all is in the file");
    program.writes("msg.txt", sent);
}

#[test]
fn an_idle_timeout_comes_once_and_is_turned_off() {
    let (program, address) = Program::serve("idle-timeout", &["0.3"]);
    let connecting = Instant::now();
    let mut client = Client::connect(address);
    client.says("hello");
    program.prints("nothing moved for 300ms");
    assert!(connecting.elapsed() >= Duration::from_millis(300));
    program.writes("msg.txt", "hello\n");
    client.says("and more");
    program.writes("msg.txt", "hello\nand more\n");
    let second = program.lines.recv_timeout(Duration::from_secs(1));
    assert!(second.is_err(), "{second:?}");
}

#[test]
fn a_client_and_its_server_hear_each_other_and_close_normally() {
    let (server, address) = Program::serve("answering", &[]);
    for (name, begins, ends) in
        [("client", None, None), ("new-socket", Some("connected, type tcp4"), Some("the server has ended"))]
    {
        let started = Instant::now();
        let mut client = Program::start(name, &[&address.to_string(), "0.5"]);
        begins.inspect(|line| client.prints(line));
        server.prints(r#"the client says "hello""#);
        client.prints(r#"the server says "I have heard \"hello\"""#);
        server.prints(r#"the client says "byebye""#);
        assert!(started.elapsed() >= Duration::from_millis(500));
        client.prints(r#"the server says "I have heard \"byebye\"""#);
        ends.inspect(|line| client.prints(line));
        server.prints("closed normally");
        client.prints("closed normally");
        client.ends();
    }
}

#[test]
fn a_server_tells_the_code_of_its_clients_error() {
    let (server, address) = Program::serve("answering", &[]);
    Client::connect(address).resets();
    server.prints("error ECONNRESET");
    server.prints("closed with an error");
}

#[test]
fn a_client_tells_the_code_of_its_error() {
    for name in ["client", "new-socket"] {
        let nobody = free_address();
        let mut client = Program::start(name, &[&nobody.to_string()]);
        client.prints("error ECONNREFUSED");
        client.prints("closed with an error");
        client.ends();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Program::start("client", &[&listener.local_addr().unwrap().to_string()]);
    let (mut server, _) = listener.accept().unwrap();
    server.read_exact(&mut [0; 5]).unwrap();
    rustix::net::sockopt::set_socket_linger(&server, Some(Duration::ZERO)).unwrap();
    drop(server);
    client.prints("error ECONNRESET");
    client.prints("closed with an error");
    client.ends();
}

#[test]
fn a_server_that_closes_at_its_second_connection_keeps_the_two() {
    let (mut program, address) = Program::serve("two-clients", &[]);
    let mut first = Client::connect(address);
    program.prints("client 1 has connected");
    let mut second = Client::connect(address);
    program.prints("client 2 has connected");
    refuses(address);
    for (number, client) in [&mut first, &mut second].into_iter().enumerate() {
        client.says("still there?");
        client.hears("still there?");
        program.prints(&format!("client {} says \"still there?\\n\"", number + 1));
    }
    drop(first);
    program.prints("client 1 has gone");
    second.says("and now?");
    second.hears("and now?");
    program.prints(r#"client 2 says "and now?\n""#);
    drop(second);
    program.prints("the server is closed");
    program.prints("client 2 has gone");
    program.ends();
}

#[test]
fn a_half_open_server_answers_after_the_end_and_its_program_ends_with_the_last_client() {
    let (mut program, address) = Program::serve("half-open", &[]);
    let mut first = Client::connect(address);
    first.says("stay");
    program.prints(r#""stay\n""#);
    first.ends_its_side();
    program.prints("the client has ended, the socket is writeOnly");
    first.hears("5 bytes: thank you, and goodbye");
    first.ends();
    // It was told to stay.
    let mut second = Client::connect(address);
    second.says("hello");
    program.prints(r#""hello\n""#);
    second.ends_its_side();
    program.prints("the client has ended, the socket is writeOnly");
    second.hears("6 bytes: thank you, and goodbye");
    second.ends();
    program.ends();
}

#[test]
fn a_write_is_refused_at_the_mark_and_drain_tells_when_to_go_on() {
    let mut program = Program::start("buffer-size", &["2"]);
    program.prints("write 1 returned true: 0 bytes buffered, 2 written");
    let refused = program.next_line();
    let number: u32 = refused.split(' ').nth(1).unwrap().parse().unwrap();
    let written = 2 * number;
    assert_eq!(refused, format!("write {number} returned false: 65536 bytes buffered, {written} written"));
    assert!((32_769..50_000).contains(&number), "the kernel takes a little: {refused}");
    program.prints("drain: 0 bytes buffered");
    // The buffers of the system may be full again by then.
    let (next, after) = (program.next_line(), (number + 1, written + 2));
    let line = |left: u32| format!("write {} returned true: {left} bytes buffered, {} written", after.0, after.1);
    assert!([0, 2].map(line).contains(&next), "{next}");
    program.prints("the client has read 100000 bytes");
    program.ends();
}

#[test]
fn keep_alive_is_what_the_system_says_it_is() {
    let mut program = Program::start("keep-alive", &[]);
    for line in ["keep-alive: false", "keep-alive: true", "initial delay: 5s", "then each: 1s", "probes: 10"] {
        program.prints(line);
    }
    program.ends();
}

#[test]
fn a_peer_that_vanished_is_noticed_after_the_delay_and_ten_probes() {
    let mut program = Program::start("vanished-peer", &[]);
    program.prints("a client has connected");
    program.prints("600s: the client is cut off");
    program.prints("670s: error ETIMEDOUT");
    program.prints("closed with an error");
    program.ends();
}

#[test]
fn a_chat_room_tells_all_who_speaks_comes_and_goes() {
    let (_program, address) = Program::serve("chat-room", &[]);
    let mut anna = Client::connect(address);
    anna.hears("* you are guest1; 1 online");
    let mut bert = Client::connect(address);
    bert.hears("* you are guest2; 2 online");
    anna.hears("* guest2 has joined; 2 online");
    let mut carl = Client::connect(address);
    carl.hears("* you are guest3; 3 online");
    anna.hears("* guest3 has joined; 3 online");
    bert.hears("* guest3 has joined; 3 online");
    anna.says("hello, who are you?");
    bert.hears("guest1: hello, who are you?");
    carl.hears("guest1: hello, who are you?");
    bert.sends(b"just \x1b[2Jpassing by\n");
    anna.hears("guest2: just [2Jpassing by");
    carl.hears("guest2: just [2Jpassing by");
    drop(bert);
    anna.hears("* guest2 has left; 2 online");
    carl.hears("* guest2 has left; 2 online");
}
