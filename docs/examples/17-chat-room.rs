//! A chat room, version 1.0. Each guest gets what the others say, who comes and goes, and how many are online.
//!
//! ```sh
//! cargo run --example chat-room
//! nc localhost 8080
//! ```
//!
//! Run `nc` in two terminals and talk. The room of the daemon (`cargo run -- chat`) has what a room for strangers needs: names,
//! limits for guests that flood the room or do not read, and a goodbye.

use std::collections::BTreeMap;

use tidegate::{Error, EventLoop, Socket, SocketId, sanitize};

#[derive(Default)]
struct Room {
    names: BTreeMap<SocketId, String>,
    arrivals: u32,
}

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut room = EventLoop::with_state(Room::default())?;
    let server = room.listen(address, |guest| {
        guest.state.arrivals += 1;
        let (id, name) = (guest.id(), format!("guest{}", guest.state.arrivals));
        guest.state.names.insert(id, name.clone());
        let online = guest.state.names.len();
        guest.write(format!("* you are {name}; {online} online\n"));
        tell_others(guest, &format!("* {name} has joined; {online} online\n"));

        guest.on_line(4096, move |guest, line| {
            let said = format!("{}: {}\n", guest.state.names[&id], sanitize(line.bytes()));
            tell_others(guest, &said);
        });
        guest.on_close(move |guest, _| {
            guest.state.names.remove(&id);
            let online = guest.state.names.len();
            tell_others(guest, &format!("* {name} has left; {online} online\n"));
        });
    })?;
    if let Some(address) = room.net.server_address(server) {
        println!("listening on {address}");
    }
    room.run()
}

fn tell_others(guest: &mut Socket<'_, Room>, said: &str) {
    let id = guest.id();
    let others = guest.state.names.keys().copied().filter(|other| *other != id);
    guest.net.broadcast(others, said);
}
