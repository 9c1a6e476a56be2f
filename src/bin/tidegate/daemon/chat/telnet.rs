//! The telnet protocol (RFC 854), as far as a room needs it: it is passed over, and every option is refused.
//!
//! A telnet client puts commands among what is typed. Each begins with IAC, the byte FF:
//!
//! ```text
//!   IAC DO option, IAC WILL option     asks for something; it waits for the answer, here IAC WONT or IAC DONT
//!   IAC SB option ... IAC SE           a subnegotiation
//!   IAC AYT, IAC NOP, ...              one byte from F0 to F9
//!   IAC IAC                            the byte FF itself
//! ```
//!
//! Other clients know nothing of that, and their FF stays what it is. So a client speaks telnet from its first command on,
//! and before that FF FF is two bytes. A refusal is needed also for Ctrl-C: `telnet` asks for a timing mark (RFC 860) then,
//! and shows nothing until that is answered.
//!
//! Nothing is kept but the place in a command, so a command may be cut anywhere.

use memchr::memchr;

pub const IAC: u8 = 0xFF;
const DONT: u8 = 0xFE;
const DO: u8 = 0xFD;
const WONT: u8 = 0xFC;
const WILL: u8 = 0xFB;
const SB: u8 = 0xFA;
const ERASE_LINE: u8 = 0xF8;
const ERASE_CHARACTER: u8 = 0xF7;
const ARE_YOU_THERE: u8 = 0xF6;
const SE: u8 = 0xF0;
/// The first of those that came later (RFC 1184): EOF, SUSP, ABORT and EOR. `telnet` sends EOF for Ctrl-D.
const EOF: u8 = 0xEC;

/// The longest subnegotiation. Those of real clients have less than a hundred bytes.
pub const LONGEST_SUBNEGOTIATION: usize = 4096;

/// Where a client is in its telnet commands, if it has any.
#[derive(Clone, Copy, Debug)]
pub struct Telnet {
    /// Whether a command has come.
    is_spoken: bool,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Text,
    AfterIac,
    /// After this verb: WILL, WONT, DO or DONT. The option comes next.
    AfterVerb(u8),
    /// In a subnegotiation of which so many bytes have come.
    Subnegotiation(usize),
    /// The same, after an IAC.
    SubnegotiationIac(usize),
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// No command: the byte FF.
    Text,
    /// It asks for an option, and is to be sent this.
    Refuse([u8; 3]),
    /// It wants a sign of life.
    AreYouThere,
    EraseCharacter,
    EraseLine,
    /// A subnegotiation is longer than any real one. What follows is text.
    TooLong,
    /// Nothing that a room has to do with.
    Other,
}

impl Telnet {
    pub fn new() -> Self {
        Telnet { is_spoken: false, place: Place::Text }
    }

    pub fn is_spoken(&self) -> bool {
        self.is_spoken
    }

    /// An IAC was found in the text.
    pub fn begin(&mut self) {
        self.place = Place::AfterIac;
    }

    /// Whether the next byte is for [`Telnet::read`].
    pub fn has_begun(&self) -> bool {
        self.place != Place::Text
    }

    /// Takes the rest of a command off `rest`. None if it goes on in the next chunk.
    pub fn read(&mut self, rest: &mut &[u8]) -> Option<Command> {
        while let Some((byte, after)) = rest.split_first() {
            match self.place {
                Place::Text => return None,
                Place::AfterIac => {
                    if *byte < self.first_command() {
                        self.place = Place::Text;
                        return Some(Command::Text);
                    }
                    *rest = after;
                    if let Some(command) = self.command(*byte) {
                        return Some(command);
                    }
                }
                Place::AfterVerb(verb) => {
                    *rest = after;
                    self.place = Place::Text;
                    return Some(answer(verb, *byte));
                }
                Place::Subnegotiation(length) => {
                    let most = rest.len().min(LONGEST_SUBNEGOTIATION + 1 - length);
                    let skipped = memchr(IAC, &rest[..most]).unwrap_or(most);
                    *rest = &rest[skipped..];
                    if length + skipped > LONGEST_SUBNEGOTIATION {
                        self.place = Place::Text;
                        return Some(Command::TooLong);
                    }
                    self.place = Place::Subnegotiation(length + skipped);
                    if skipped < most {
                        *rest = &rest[1..];
                        self.place = Place::SubnegotiationIac(length + skipped);
                    }
                }
                Place::SubnegotiationIac(length) if *byte < SE || *byte == IAC => {
                    *rest = after;
                    self.place = Place::Subnegotiation(length + 1);
                }
                // Its end; or another command, because the end was left out.
                Place::SubnegotiationIac(_) => self.place = Place::AfterIac,
            }
        }
        None
    }

    /// Takes the end of the stream. Whether the last byte was an FF that belongs to the text.
    pub fn finish(&mut self) -> bool {
        let place = std::mem::replace(&mut self.place, Place::Text);
        place == Place::AfterIac && !self.is_spoken
    }

    /// The commands below F0 are none to a client that has sent no other: more likely its FF is a wrong byte.
    fn first_command(&self) -> u8 {
        if self.is_spoken { EOF } else { SE }
    }

    /// The byte after an IAC, which begins a command. None if the command goes on.
    fn command(&mut self, byte: u8) -> Option<Command> {
        if byte == IAC && !self.is_spoken {
            return Some(Command::Text); // and the second FF may begin a command
        }
        self.is_spoken |= byte != IAC;
        self.place = match byte {
            WILL..=DONT => Place::AfterVerb(byte),
            SB => Place::Subnegotiation(0),
            _ => Place::Text,
        };
        match byte {
            WILL..=DONT | SB => None,
            IAC => Some(Command::Text),
            ARE_YOU_THERE => Some(Command::AreYouThere),
            ERASE_CHARACTER => Some(Command::EraseCharacter),
            ERASE_LINE => Some(Command::EraseLine),
            _ => Some(Command::Other),
        }
    }
}

/// No option is ever on, so only a request to turn one on is answered. An answer to the others would be answered again.
fn answer(verb: u8, option: u8) -> Command {
    match verb {
        WILL => Command::Refuse([IAC, DONT, option]),
        DO => Command::Refuse([IAC, WONT, option]),
        _ => Command::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a stream that is cut into these chunks, and its commands.
    fn read<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> (Vec<u8>, Vec<Command>) {
        let (mut telnet, mut text, mut commands) = (Telnet::new(), Vec::new(), Vec::new());
        for mut rest in chunks {
            while !rest.is_empty() {
                if !telnet.has_begun() {
                    if rest[0] == IAC {
                        telnet.begin();
                    } else {
                        text.push(rest[0]);
                    }
                    rest = &rest[1..];
                }
                match telnet.read(&mut rest) {
                    Some(Command::Text) => text.push(IAC),
                    command => commands.extend(command),
                }
            }
        }
        if telnet.finish() {
            text.push(IAC);
        }
        (text, commands)
    }

    #[test]
    fn commands_are_passed_over_wherever_they_are_cut() {
        let stream =
            b"a\xFF\xFB\x1Fb\xFF\xFA\x1F\0\xFF\xFF\0\x18\xFF\xF0c\xFF\xFD\x06\xFF\xF6\xFF\xFFd\xFF\xFE\x01\xFF\xF1e";
        let commands = [
            Command::Refuse([IAC, DONT, 0x1F]),
            Command::Other,
            Command::Refuse([IAC, WONT, 0x06]),
            Command::AreYouThere,
            Command::Other,
            Command::Other,
        ];
        let expected = (b"abc\xFFde".to_vec(), commands.to_vec());
        assert_eq!(read([&stream[..]]), expected);
        assert_eq!(read(stream.chunks(1)), expected);
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let cut = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(read(cut), expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn an_ff_that_begins_no_command_is_text() {
        for text in [&b"\xFF"[..], b"a\xFF", b"\xFF\xFF", b"\xFF\xFF\xFF\xFF", b"\xFFa", b"\xFF\xEF", b"\xFF\0\xFF\n"] {
            assert_eq!(read([text]), (text.to_vec(), vec![]), "{text:x?}");
            assert_eq!(read(text.chunks(1)), (text.to_vec(), vec![]), "{text:x?} byte by byte");
        }
    }

    #[test]
    fn after_the_first_command_two_ff_are_one() {
        assert_eq!(read([&b"\xFF\xFF\xFF\xF1\xFF\xFF\xFFa"[..]]).0, b"\xFF\xFF\xFF\xFFa");
        assert_eq!(read([&b"\xFF\xEC\xFF\xF1\xFF\xEC\xFF\xEB"[..]]).0, b"\xFF\xEC\xFF\xEB", "Ctrl-D, before and after");
        assert_eq!(read([&b"\xFF\xF1a\xFF"[..]]).0, b"a", "an unfinished command at the end of the stream");
    }

    #[test]
    fn a_subnegotiation_that_never_ends_is_text_from_its_bound_on() {
        let subnegotiation = |length| [b"\xFF\xFA", &vec![b'x'; length][..], b"\xFF\xF0after"].concat();
        assert_eq!(read([&subnegotiation(4096)[..]]), (b"after".to_vec(), vec![Command::Other]));
        let expected = (b"xxafter".to_vec(), vec![Command::TooLong, Command::Other]);
        assert_eq!(read([&subnegotiation(4099)[..]]), expected);
        assert_eq!(read(subnegotiation(4099).chunks(1)), expected);
        let (text, commands) = read([&b"\xFF\xFA"[..], &[IAC; 2 * 4097 + 6]]);
        assert_eq!((text, commands), (vec![IAC; 3], vec![Command::TooLong]), "a doubled FF counts as one byte");
    }

    #[test]
    fn a_subnegotiation_ends_with_another_command_too() {
        for stream in [&b"\xFF\xFA\x1F\x01\xFF\xFD\x01after"[..], b"\xFF\xFA\xFF\xFD\x01after"] {
            let expected = (b"after".to_vec(), vec![Command::Refuse([IAC, WONT, 1])]);
            assert_eq!(read([stream]), expected);
            assert_eq!(read(stream.chunks(1)), expected);
        }
        assert_eq!(read([&b"\xFF\xFA\x1F\xFFa\xFF\xF0after"[..]]).0, b"after", "an FF that was not doubled");
    }
}
