//! Standard output: a terminal that is redrawn, or lines one after the other.
//!
//! What is shown was made of what strangers have typed. So every line passes [`fit`], which lets no control character and no
//! mark of direction through.

use std::io::{self, IsTerminal, Write};

use tidegate::is_harmful;

/// On the alternate screen, without a cursor, and with lines that are cut at the edge: a character may be wider than it
/// was thought to be.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

/// As many connections as SIGUSR1 shows, where no screen has a height.
const ROWS: usize = 50;

/// Columns and lines of the terminal. Where there is none, nothing has to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(Option<(usize, usize)>);

impl Size {
    pub const NONE: Size = Size(None);

    pub fn of(columns: usize, lines: usize) -> Self {
        Size(Some((columns, lines)))
    }

    /// What has to fit into a line.
    pub fn width(self) -> usize {
        self.0.map_or(usize::MAX, |(columns, _)| columns)
    }

    fn height(self) -> usize {
        self.0.map_or(usize::MAX, |(_, lines)| lines)
    }

    /// How many connections can be seen at the most.
    pub fn rows(self) -> usize {
        self.0.map_or(ROWS, |(_, lines)| lines.max(1))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Lines, one after the other.
    Plain { has_printed: bool },
    /// A terminal that is redrawn, once there is something to show.
    Terminal,
    /// It is on the alternate screen.
    Entered,
}

#[derive(Debug)]
pub struct Screen(State);

impl Screen {
    /// `once`: nothing is redrawn, whatever standard output is.
    pub fn new(once: bool) -> Self {
        let is_redrawn = !once && io::stdout().is_terminal();
        Screen(if is_redrawn { State::Terminal } else { State::Plain { has_printed: false } })
    }

    /// Whether the terminal shows something that is redrawn.
    pub fn is_entered(&self) -> bool {
        self.0 == State::Entered
    }

    pub fn size(&self) -> Size {
        match self.0 {
            State::Plain { .. } => Size::NONE,
            State::Terminal | State::Entered => size_of_terminal(),
        }
    }

    /// Shows lines in place of those before.
    pub fn show(&mut self, lines: &[String]) -> io::Result<()> {
        match self.0 {
            State::Plain { has_printed } => {
                self.0 = State::Plain { has_printed: true };
                let lines = lines.iter().map(|line| fit(line, usize::MAX) + "\n").collect::<String>();
                write(&(if has_printed { "\n".to_owned() } else { String::new() } + &lines))
            }
            State::Terminal => {
                self.0 = State::Entered;
                write(&(ENTER.to_owned() + &drawn(lines, self.size())))
            }
            State::Entered => write(&drawn(lines, self.size())),
        }
    }

    /// Says in the first line what is wrong; the others stay.
    pub fn show_trouble(&mut self, sentence: &str) -> io::Result<()> {
        write(&format!("{HOME}{}{REST_OF_LINE}", fit(sentence, self.size().width())))
    }

    /// JSON means the same with its harmful characters escaped: they can only stand in strings.
    pub fn print_json(&mut self, json: &str) -> io::Result<()> {
        let mut units = [0; 2];
        let escaped = |character: char| -> String {
            match character {
                '\n' | '\t' => character.to_string(),
                _ if is_harmful(character) => {
                    character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
                }
                _ => character.to_string(),
            }
        };
        write(&json.chars().map(escaped).collect::<String>())
    }

    /// The terminal is as it was before.
    pub fn leave(&mut self) {
        if self.0 == State::Entered {
            self.0 = State::Terminal;
            let _ = write(LEAVE); // a terminal that is gone needs nothing
        }
    }
}

/// A panic leaves the terminal as it was, too.
impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Lines for a screen of this size, from its upper left corner on. The last one has no line end, or all would move up.
fn drawn(lines: &[String], size: Size) -> String {
    let fitting = lines.iter().take(size.height()).map(|line| fit(line, size.width()) + REST_OF_LINE);
    format!("{HOME}{}{REST_OF_SCREEN}", fitting.collect::<Vec<_>>().join("\r\n"))
}

/// A line that is harmless, and not wider than this.
fn fit(line: &str, width: usize) -> String {
    let mut fitting = String::new();
    let mut used = 0;
    for character in line.chars() {
        let shown = if is_harmful(character) || character.is_control() {
            character.escape_unicode().to_string()
        } else {
            character.to_string()
        };
        used += shown.chars().map(columns).sum::<usize>();
        if used > width {
            break;
        }
        fitting += &shown;
    }
    fitting
}

/// No character is wider than this. Those before Hangul have one column; of those after it many have two.
fn columns(character: char) -> usize {
    if character < '\u{1100}' || ('\u{2000}'..'\u{2e80}').contains(&character) { 1 } else { 2 }
}

#[cfg(unix)]
fn size_of_terminal() -> Size {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        // A terminal on a serial line may not know its size.
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size::of(size.ws_col.into(), size.ws_row.into()),
        _ => Size::of(80, 24),
    }
}

#[cfg(not(unix))]
fn size_of_terminal() -> Size {
    Size::of(80, 24)
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_and_is_harmless() {
        assert_eq!(fit("abcdef", 4), "abcd");
        assert_eq!(fit("a\x1b[31m\u{202e}\u{9b}\r\n", 100), "a\\u{1b}[31m\\u{202e}\\u{9b}\\u{d}\\u{a}");
        assert_eq!(fit("a\x1bb", 5), "a", "an escape is not cut");
        assert_eq!(fit("日本語", 5), "日本");
        assert_eq!(fit("≤ Αθήνα – é", 100), "≤ Αθήνα – é");
    }

    #[test]
    fn lines_are_as_many_as_the_screen_has() {
        let lines = ["one", "two", "three"].map(str::to_owned);
        assert_eq!(drawn(&lines, Size::of(3, 2)), "\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J");
        assert_eq!(drawn(&lines[..1], Size::of(80, 24)), "\x1b[Hone\x1b[K\x1b[J");
        assert_eq!((Size::of(80, 24).rows(), Size::NONE.rows(), Size::NONE.width()), (24, 50, usize::MAX));
    }
}
