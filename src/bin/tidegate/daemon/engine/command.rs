//! What an engine is asked: commands as bytes, each an array of strings.

use super::EntryId;

/// How many entries an answer has at most.
pub const COUNT: usize = 500;

/// A command whose arguments are added one by one.
#[derive(Debug)]
struct Command {
    arguments: usize,
    bytes: Vec<u8>,
}

impl Command {
    fn new(name: &str) -> Self {
        Command { arguments: 0, bytes: Vec::new() }.with(name)
    }

    fn with(mut self, argument: impl AsRef<[u8]>) -> Self {
        let argument = argument.as_ref();
        self.arguments += 1;
        self.bytes.extend(format!("${}\r\n", argument.len()).bytes());
        self.bytes.extend_from_slice(argument);
        self.bytes.extend(b"\r\n");
        self
    }

    fn finished(self) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", self.arguments).into_bytes();
        bytes.extend(self.bytes);
        bytes
    }
}

/// A command of its own, and no part of `HELLO`: an engine without `HELLO` repeats in its error what `HELLO` has.
pub fn auth(user: Option<&str>, password: &[u8]) -> Vec<u8> {
    let command = Command::new("AUTH");
    let command = if let Some(user) = user { command.with(user) } else { command };
    command.with(password).finished()
}

/// RESP2, and a name by which people find the connection in `CLIENT LIST`.
pub fn hello(name: &str) -> Vec<u8> {
    Command::new("HELLO").with("2").with("SETNAME").with(name).finished()
}

pub fn select(database: u32) -> Vec<u8> {
    Command::new("SELECT").with(database.to_string()).finished()
}

/// An entry at the end. Of the stream about the last `history` entries stay: it is cut where that is cheap.
pub fn xadd(stream: &str, history: u64, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let command = Command::new("XADD").with(stream).with("MAXLEN").with("~").with(history.to_string()).with("*");
    fields.iter().fold(command, |command, (field, value)| command.with(field).with(value)).finished()
}

/// What stands behind a place. `block`: if nothing does, the engine waits so many milliseconds for it.
pub fn xread(stream: &str, after: EntryId, block: Option<u64>) -> Vec<u8> {
    let command = Command::new("XREAD").with("COUNT").with(COUNT.to_string());
    let command = match block {
        Some(time) => command.with("BLOCK").with(time.to_string()),
        None => command,
    };
    command.with("STREAMS").with(stream).with(after.to_string()).finished()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As people type it: no argument here has a blank.
    fn typed(command: &[u8]) -> String {
        let text = String::from_utf8(command.to_vec()).unwrap();
        let mut lines = text.strip_suffix("\r\n").unwrap().split("\r\n");
        let count: usize = lines.next().unwrap().strip_prefix('*').unwrap().parse().unwrap();
        let mut words = Vec::new();
        while let Some(length) = lines.next() {
            let word = lines.next().unwrap();
            assert_eq!(length, format!("${}", word.len()));
            words.push(word);
        }
        assert_eq!(words.len(), count);
        words.join(" ")
    }

    #[test]
    fn commands_are_arrays_of_strings() {
        assert_eq!(hello("tidegate-a"), b"*4\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$7\r\nSETNAME\r\n$10\r\ntidegate-a\r\n");
        assert_eq!(auth(None, b"a\r\nb"), b"*2\r\n$4\r\nAUTH\r\n$4\r\na\r\nb\r\n");
        assert_eq!(typed(&auth(Some("room"), b"secret")), "AUTH room secret");
        assert_eq!(typed(&select(3)), "SELECT 3");
        let fields = [(&b"node"[..], &b"a"[..]), (b"line", "grüße".as_bytes())];
        assert_eq!(typed(&xadd("s", 1000, &fields)), "XADD s MAXLEN ~ 1000 * node a line grüße");
        let after = EntryId { milliseconds: 17, number: 4 };
        assert_eq!(typed(&xread("s", after, None)), "XREAD COUNT 500 STREAMS s 17-4");
        assert_eq!(typed(&xread("s", after, Some(5000))), "XREAD COUNT 500 BLOCK 5000 STREAMS s 17-4");
    }
}
