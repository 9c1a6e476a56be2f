//! What begins with `/`.

use tidegate::Socket;

use super::names::RULE;
use super::room::{Renamed, Room};
use super::{dismiss, tell};

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
    let answer = match socket.state.rename(me, wanted) {
        Renamed::From(old) => {
            socket.set_label(wanted);
            let line = format!("* {old} is now {wanted}\n");
            return socket.state.online.tell(socket.net, None, &line);
        }
        Renamed::Same => format!("* you are {wanted}\n"),
        Renamed::TakenBy(name) if name.eq_ignore_ascii_case(wanted) => format!("* name taken: {wanted}\n"),
        Renamed::TakenBy(name) => format!("* name taken: {wanted} (it looks like {name})\n"),
        Renamed::NotAllowed(refused) => format!("* name not allowed: {wanted} ({})\n", refused.reason()),
    };
    tell(socket, &answer);
}

fn who(socket: &mut Socket<'_, Room>) {
    let room = &*socket.state;
    let names: Vec<&str> =
        room.online.in_order().filter_map(|id| room.guests.get(&id)).map(|guest| guest.name.as_str()).collect();
    let answer = format!("* {} online: {}\n", names.len(), names.join(", "));
    tell(socket, &answer);
}
