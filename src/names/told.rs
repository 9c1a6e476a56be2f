//! What the log has of a look-up, at its level `debug`: who has answered what, how, and in which time.

use std::fmt;
use std::io;
use std::time::Duration;

use super::asking::{Asking, Transport};
use super::message::Reply;
use super::{Answer, Family, Question};

/// A server has answered.
pub(super) fn answered(question: &Question, asking: &Asking, reply: &Reply, now: Duration) {
    log::debug!("{} has answered {question} {}: {reply}", asking.present().server, how(asking, now));
}

/// A server has not answered.
pub(super) fn silent(question: &Question, asking: &Asking, now: Duration) {
    log::debug!("{} has not answered {question} {}", asking.present().server, how(asking, now));
}

/// A server could not be asked, or cannot answer.
pub(super) fn failed(question: &Question, asking: &Asking, error: &io::Error, now: Duration) {
    log::debug!("{} gives no answer to {question} {}: {error}", asking.present().server, how(asking, now));
}

/// An answer was kept.
pub(super) fn kept(question: &Question, answer: &Answer) {
    log::debug!("{question} was answered before: {answer}");
}

fn how(asking: &Asking, now: Duration) -> String {
    let by = match asking.present().transport {
        Transport::Datagram => "UDP",
        Transport::Stream => "TCP",
    };
    format!("by {by} in {:.1} ms", now.saturating_sub(asking.asked_at).as_secs_f64() * 1000.0)
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::V4 => "A",
            Family::V6 => "AAAA",
        };
        write!(f, "{family} {}", self.name.as_str())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Answer(answer, None) => answer.fmt(f),
            Reply::Answer(answer, Some(good_for)) => write!(f, "{answer}, good for {} s", good_for.as_secs()),
            Reply::Truncated => f.write_str("it is cut short"),
            Reply::NoExtensions => f.write_str("it does not know EDNS"),
            Reply::Failed => f.write_str("it cannot answer"),
            Reply::Refused => f.write_str("it refuses, or its answer is of no use"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Addresses(addresses) => {
                for (at, ip) in addresses.iter().enumerate() {
                    write!(f, "{}{ip}", if at == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Answer::NoAddress => f.write_str("no address"),
            Answer::NoSuchName => f.write_str("no such name"),
            // These are no answers of a server, and are not told.
            Answer::ServersFail | Answer::ServersRefuse | Answer::NoServer(_) | Answer::System(_) => Ok(()),
        }
    }
}
