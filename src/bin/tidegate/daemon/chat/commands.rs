//! What begins with `/`.

use tidegate::Socket;

use super::names::RULE;
use super::room::{Renamed, Room};
use super::{dismiss, shared, tell};

/// Whether a line only says that the guest leaves.
pub fn is_quit(said: &str) -> bool {
    said.strip_prefix('/').is_some_and(|command| split(command).0.eq_ignore_ascii_case("quit"))
}

/// Runs a command, which comes without its `/`.
pub fn run(socket: &mut Socket<'_, Room>, command: &str) {
    let (verb, argument) = split(command);
    match verb.to_ascii_lowercase().as_str() {
        "nick" => nick(socket, argument),
        "who" => who(socket),
        "quit" => dismiss(socket),
        "help" => help(socket),
        _ => tell(socket, &format!("* unknown command: /{verb}; try /help\n")),
    }
}

fn split(command: &str) -> (&str, &str) {
    let (verb, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    (verb, argument.trim())
}

fn help(socket: &mut Socket<'_, Room>) {
    let help = format!(
        "* /nick NAME: be called NAME ({RULE})\n\
         * /nick: what you are called\n\
         * /who: who is online\n\
         * /quit: leave\n\
         * //text: say a line that begins with /\n\
         * anything else is said to everybody\n"
    );
    tell(socket, &help);
}

fn nick(socket: &mut Socket<'_, Room>, wanted: &str) {
    let me = socket.id();
    if wanted.is_empty() {
        let name = socket.state.guests.get(&me).map_or("", |guest| &guest.name);
        let answer = format!("* you are {name}\n");
        return tell(socket, &answer);
    }
    if let Some(is_asked) = shared::rename(socket, wanted) {
        return match is_asked {
            Ok(()) => {} // the answer comes when all nodes know it
            Err(refused) => tell(socket, &Renamed::NotAllowed(refused).answer(wanted)),
        };
    }
    match socket.state.rename(me, wanted) {
        Renamed::From(old) => {
            socket.set_label(wanted);
            socket.state.online.tell(socket.net, None, &Renamed::line(&old, wanted));
        }
        other => tell(socket, &other.answer(wanted)),
    }
}

fn who(socket: &mut Socket<'_, Room>) {
    let room = &*socket.state;
    if let Some(shared) = &room.shared {
        let answer = shared.who();
        return tell(socket, &answer);
    }
    let names: Vec<&str> =
        room.online.in_order().filter_map(|id| room.guests.get(&id)).map(|guest| guest.name.as_str()).collect();
    let answer = format!("* {} online: {}\n", names.len(), names.join(", "));
    tell(socket, &answer);
}
