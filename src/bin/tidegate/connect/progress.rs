//! The progress bar, if a file is moved and stderr is a terminal.
//!
//! indicatif would draw it in a thread of its own. Here a timer of the event loop does it. It is gone before anything else is
//! written to the terminal, and at the end.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tidegate::{Loop, Net, SocketId};

use super::{Connect, Streams, size_of_file};

const REDRAWN_EVERY: Duration = Duration::from_millis(200);

/// `{msg}` is what comes back meanwhile.
const OF_A_TOTAL: &str = "{bytes} of {total_bytes} [{wide_bar}] {percent}% {bytes_per_sec}, {eta} left{msg}";
const WITHOUT_A_TOTAL: &str = "{bytes} in {elapsed}, {bytes_per_sec}{msg}";

/// What is shown. None is hidden: there is no file, or nobody looks.
#[derive(Debug, Default)]
pub struct Progress(Option<ProgressBar>);

/// The file whose bytes are counted.
#[derive(Clone, Copy)]
enum Moved {
    /// Standard input is a file, with so many bytes before its end. None: it does not know, as many files of /proc.
    Input(Option<u64>),
    Output,
}

impl Progress {
    pub fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Takes the bar away for good.
    pub fn end(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }

    /// Has a line written where the bar is.
    pub fn aside(&self, write: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// Shows it from now on, if it is wanted.
pub fn show(on: &mut Loop<'_, Connect>, streams: Streams, socket: SocketId) {
    let Some(moved) = moved() else { return };
    if on.state.options.quiet || !std::io::stderr().is_terminal() {
        return;
    }
    let (total, template) = match moved {
        Moved::Input(Some(total)) => (Some(total), OF_A_TOTAL),
        Moved::Input(None) | Moved::Output => (None, WITHOUT_A_TOTAL),
    };
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    // With a wrong template the bar would keep its default style.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    on.state.progress = Progress(Some(bar));
    let timer = on.every(REDRAWN_EVERY, move |on| {
        let Some(bar) = &on.state.progress.0 else { return };
        let (sent, received) = (sent(on.net, socket), on.net.connection(streams.output).bytes_written());
        match moved {
            Moved::Input(_) => {
                if received > 0 {
                    bar.set_message(format!("; {} received", HumanBytes(received)));
                }
                bar.set_position(sent);
            }
            Moved::Output => bar.set_position(received),
        }
    });
    on.set_ref(timer, false);
}

/// The bytes that the system has taken.
fn sent(net: &Net, socket: SocketId) -> u64 {
    let info = net.connection(socket);
    info.bytes_written().saturating_sub(info.unsent() as u64)
}

/// The streams are asked, and nothing of them is changed.
fn moved() -> Option<Moved> {
    use rustix::fs::{SeekFrom, seek};

    let input = std::io::stdin();
    match size_of_file(&input) {
        Some(size) => {
            let begun = seek(&input, SeekFrom::Current(0)).unwrap_or(0);
            Some(Moved::Input(size.checked_sub(begun).filter(|left| *left > 0)))
        }
        None => size_of_file(std::io::stdout()).map(|_| Moved::Output),
    }
}
