//! One question to the inspector, on the loop. One is asked at a time.

use std::time::Duration;

use tidegate::{Endpoint, Error, ErrorKind, Loop};

use super::Inspect;
use super::answer::{Answer, Wrong};

/// The longest wait for an answer. It is that of a whole one: one that comes byte by byte is given up as well.
const PATIENCE: Duration = Duration::from_secs(5);

/// The question that is under way.
#[derive(Debug, Default)]
pub struct Question {
    answer: Answer,
    /// Why there will be no answer.
    failed: Option<String>,
}

/// Asks for a path. `then` gets the body, of `most` bytes, or why there is none, in a sentence.
pub fn ask(
    on: &mut Loop<'_, Inspect>,
    path: &str,
    most: usize,
    then: impl FnOnce(&mut Loop<'_, Inspect>, Result<String, String>) + 'static,
) {
    let (to, key) = (on.state.options.endpoint(), on.state.options.key());
    let request = request(path, key.as_deref());
    on.state.question = Question { answer: Answer::at_most(most), failed: None };
    let mut then = Some(then);
    let asked = on.connect(to, |socket| {
        let id = socket.id();
        let patience = socket.event_loop().after(PATIENCE, move |on| {
            on.state.question.failed = Some(format!("{to} has not answered within {} s", PATIENCE.as_secs()));
            on.net.destroy(id);
        });
        socket.write(request.as_bytes());
        socket.on_data(move |socket, piece| {
            if let Err(wrong) = socket.state.question.answer.take(piece) {
                socket.state.question.failed = Some(sentence(to, &wrong));
                socket.destroy();
            }
        });
        socket.on_error(move |socket, error| socket.state.question.failed = Some(unreachable(to, error)));
        socket.on_close(move |socket, _| {
            let on = &mut socket.event_loop();
            on.cancel(patience);
            let Question { answer, failed } = std::mem::take(&mut on.state.question);
            let answer = failed.map_or_else(|| answer.end().map_err(|wrong| sentence(to, &wrong)), Err);
            if let Some(then) = then.take() {
                then(on, answer);
            }
        });
    });
    if let Err(error) = asked {
        // It is no address: then there is no connection, and no event. `then` has gone with the handlers.
        on.state.failed = Some(unreachable(to, &error));
        on.stop();
    }
}

/// In HTTP/1.0 a body ends with the connection. The host is there for the inspector's own check.
fn request(path: &str, key: Option<&str>) -> String {
    let key = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
    format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{key}\r\n")
}

fn sentence(to: Endpoint, wrong: &Wrong) -> String {
    match wrong {
        Wrong::NoHttp => no_inspector(to),
        Wrong::TooLong => format!("the answer of {to} is longer than what was asked for can be"),
        Wrong::Cut => format!("{to} has ended the connection within its answer"),
        Wrong::Status(403 | 503, why) => format!("{to} refuses: {}", why.trim_end().trim_end_matches('.')),
        Wrong::Status(..) => no_inspector(to),
    }
}

pub fn no_inspector(to: Endpoint) -> String {
    format!("what listens on {to} is no inspector: write the address that a role has after --inspect")
}

fn unreachable(to: Endpoint, error: &Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
            format!("nobody listens on {to}: a role does, if it is started with --inspect {to}")
        }
        ErrorKind::PermissionDenied => format!("{to} is for its owner alone: {error}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_which_host_and_which_key() {
        assert_eq!(request("/statistics", None), "GET /statistics HTTP/1.0\r\nHost: localhost\r\n\r\n");
        assert!(request("/", Some("k")).ends_with("\r\nAuthorization: Bearer k\r\n\r\n"));
    }
}
