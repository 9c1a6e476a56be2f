//! The guests of all nodes: clients who read and write bytes, and know nothing but what they hear.

use std::time::Duration;

use tidegate::{EventLoop, Net, Socket, SocketId};

#[derive(Default)]
pub struct Crowd {
    pub guests: Vec<Guest>,
    /// How many lines of each guest were traced.
    traced: Vec<usize>,
}

pub struct Guest {
    socket: SocketId,
    /// Of the room that it is in.
    boot: u64,
    /// How many lines it has said.
    pub said: u64,
    /// Each line that it has heard.
    pub heard: Vec<String>,
    /// What is no whole line yet.
    kept: Vec<u8>,
    /// It has ended its side.
    pub has_left: bool,
    pub is_closed: bool,
}

impl Guest {
    pub fn is_here(&self) -> bool {
        !self.has_left && !self.is_closed
    }

    fn hears(&mut self, chunk: &[u8]) {
        self.kept.extend_from_slice(chunk);
        while let Some(end) = self.kept.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.kept.drain(..=end).collect();
            let line = str::from_utf8(&line[..end]).unwrap().to_owned();
            self.heard.push(line);
        }
    }
}

/// Connects a guest. Returns its number.
pub fn joins(crowd: &mut EventLoop<Crowd>, place: &str, boot: u64) -> usize {
    let guest = crowd.state.guests.len();
    let setup = |socket: &mut Socket<'_, Crowd>| {
        socket.on_data(move |socket, chunk| socket.state.guests[guest].hears(chunk));
        socket.on_error(|_, _| {});
        socket.on_close(move |socket, _| socket.state.guests[guest].is_closed = true);
    };
    let socket = crowd.connect(place, setup).unwrap();
    crowd.state.guests.push(Guest {
        socket,
        boot,
        said: 0,
        heard: Vec::new(),
        kept: Vec::new(),
        has_left: false,
        is_closed: false,
    });
    guest
}

/// It reads nothing for so long.
pub fn pauses(crowd: &mut EventLoop<Crowd>, guest: usize, time: Duration) {
    let id = crowd.state.guests[guest].socket;
    if let Some(mut socket) = crowd.socket(id) {
        socket.pause();
        socket.after(time, |socket| socket.resume());
    }
}

impl Crowd {
    /// Its next line: with the boot of its room, as the checks want it, and with its own numbers.
    pub fn says(&mut self, net: &mut Net, guest: usize) -> String {
        let here = &mut self.guests[guest];
        here.said += 1;
        let text = format!("{:x} g{guest} {}", here.boot, here.said);
        net.write(here.socket, format!("{text}\n").as_bytes());
        text
    }

    pub fn types(&self, net: &mut Net, guest: usize, line: &str) {
        net.write(self.guests[guest].socket, format!("{line}\n").as_bytes());
    }

    /// By its end. What it has said before is heard.
    pub fn ends(&mut self, net: &mut Net, guest: usize) {
        self.guests[guest].has_left = true;
        net.end(self.guests[guest].socket, None);
    }

    pub fn quits(&mut self, net: &mut Net, guest: usize) {
        self.types(net, guest, "/quit");
        self.guests[guest].has_left = true;
    }

    /// What was heard since the last call.
    pub fn trace(&mut self, is_traced: bool) {
        if !is_traced {
            return;
        }
        self.traced.resize(self.guests.len(), 0);
        for (number, (guest, traced)) in self.guests.iter().zip(&mut self.traced).enumerate() {
            for line in &guest.heard[*traced..] {
                println!("          g{number} of {:x} hears {line}", guest.boot);
            }
            *traced = guest.heard.len();
        }
    }
}
