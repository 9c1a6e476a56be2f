//! `tidegate inspect`: what an inspector knows, in a terminal or for a script.
//!
//! It is a client on the library's own loop. A round asks for the figures, then for the table of connections, shows both, and
//! the next one begins a second later:
//!
//! ```text
//!   figures ──with a key──▶ connections ──▶ shown ──in a terminal──▶ a second ──▶ figures
//!      │ without                              ▲ │ --once, --json
//!      └──────────────────────────────────────┘ └──▶ end
//! ```
//!
//! In a terminal that has shown something, an inspector that is gone is asked again. Whatever comes from there was made of what
//! strangers have typed, or is that of another program: it is shown by `screen.rs` alone, which lets no control character pass.

mod answer;
mod ask;
mod report;
mod screen;
mod words;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use tidegate::{EventLoop, Loop, signal};

use self::ask::{Question, ask, no_inspector};
use self::screen::Screen;
use crate::cli::InspectOptions;

const EVERY: Duration = Duration::from_secs(1);

/// Ctrl-\ leaves the terminal as it was, as Ctrl-C does.
#[cfg(unix)]
const QUIT: i32 = 3;
#[cfg(not(unix))]
const QUIT: i32 = signal::TERMINATE;

/// The longest answers: the figures have some 4 KB, a row some 450 bytes with a label of the usual length, and a table of 20,000
/// connections 9 MB. Whoever answers may not be an inspector, and what it says is kept and read as a whole.
const LONGEST_STATISTICS: usize = 1 << 20;
const LONGEST_ROW: usize = 4 << 10;
const LONGEST_TABLE: usize = 128 << 20;

/// The state of the loop.
struct Inspect {
    options: InspectOptions,
    screen: Screen,
    question: Question,
    /// The figures that were shown last: what a second was like is the difference.
    before: Option<Value>,
    /// Why it is over, if it has not gone well.
    failed: Option<String>,
}

/// What a round has brought: the texts as they came, and what they say.
struct Round {
    statistics: (String, Value),
    connections: Option<(String, Value)>,
}

/// Shows an inspector until it is interrupted, or once.
///
/// # Errors
/// Nobody listens, it is no inspector, or the key is wrong: in a sentence.
pub fn run(options: &InspectOptions) -> Result<ExitCode, Box<dyn Error>> {
    let screen = Screen::new(options.once || options.json);
    let state = Inspect { options: options.clone(), screen, question: Question::default(), before: None, failed: None };
    let mut event_loop = EventLoop::with_state(state)?;
    for signal in [signal::INTERRUPT, signal::TERMINATE, signal::HANGUP, QUIT] {
        event_loop.on_signal(signal, |on| on.stop())?;
    }
    begin(&mut event_loop.event_loop());
    let outcome = event_loop.run();
    // Before anything is logged: the terminal is as it was.
    event_loop.state.screen.leave();
    outcome?;
    match event_loop.state.failed {
        Some(why) => Err(why.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Begins a round.
fn begin(on: &mut Loop<'_, Inspect>) {
    ask(on, "/statistics", LONGEST_STATISTICS, |on, answer| {
        match answer.and_then(|text| on.state.read(text, "figures")) {
            Ok(statistics) if on.state.options.may_see_connections() => {
                let (path, most) = on.state.table();
                ask(on, &path, most, move |on, answer| {
                    match answer.and_then(|text| on.state.read(text, "connections")) {
                        Ok(connections) => end(on, Ok(Round { statistics, connections: Some(connections) })),
                        Err(why) => end(on, Err(why)),
                    }
                });
            }
            Ok(statistics) => end(on, Ok(Round { statistics, connections: None })),
            Err(why) => end(on, Err(why)),
        }
    });
}

/// Ends a round: it is shown, and the next one is due, or there is none.
fn end(on: &mut Loop<'_, Inspect>, round: Result<Round, String>) {
    match on.state.show(round) {
        Ok(Then::Again) => {
            on.after(EVERY, begin);
        }
        Ok(Then::Over) => on.stop(),
        Err(why) => {
            on.state.failed = Some(why);
            on.stop();
        }
    }
}

/// What follows a round.
enum Then {
    Again,
    Over,
}

impl Inspect {
    fn show(&mut self, round: Result<Round, String>) -> Result<Then, String> {
        let Inspect { options, screen, before, .. } = self;
        let (shown, then) = match round {
            Ok(round) if options.json => (screen.print_json(&round.json()), Then::Over),
            Ok(Round { statistics: (_, figures), connections }) => {
                let connections = connections.as_ref().map(|(_, connections)| connections);
                let lines = report::lines(options, before.as_ref(), &figures, connections, screen.size());
                *before = Some(figures);
                (screen.show(&lines), if options.once { Then::Over } else { Then::Again })
            }
            // Somebody looks at it, and it may come back.
            Err(why) if screen.is_entered() => {
                (screen.show_trouble(&format!("{why}. Trying again each second.")), Then::Again)
            }
            Err(why) => return Err(why),
        };
        match shown {
            Ok(()) => Ok(then),
            // Nobody wants the rest.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Then::Over),
            Err(error) => Err(format!("cannot write to stdout: {error}")),
        }
    }

    /// An object that has what an inspector's has. Whoever else answers in HTTP is none.
    fn read(&self, text: String, field: &str) -> Result<(String, Value), String> {
        match serde_json::from_str::<Value>(&text) {
            Ok(value) if value.get(field).is_some() => Ok((text, value)),
            _ => Err(no_inspector(self.options.endpoint())),
        }
    }

    /// The table of connections, as much of it as is shown, and how long it may be.
    fn table(&self) -> (String, usize) {
        let (sort, rows) = (self.options.sort, self.screen.size().rows());
        match self.options.json {
            true => (format!("/connections?sort={sort}"), LONGEST_TABLE),
            false => (format!("/connections?sort={sort}&limit={rows}"), LONGEST_ROW * (rows + 1)),
        }
    }
}

impl Round {
    /// As it came: a number keeps its digits, and names their order.
    fn json(&self) -> String {
        let connections = self.connections.as_ref().map_or("null", |(text, _)| text.trim());
        format!("{{\"statistics\": {}, \"connections\": {connections}}}\n", self.statistics.0.trim())
    }
}
