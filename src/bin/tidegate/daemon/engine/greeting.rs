//! What a connection says first, and what has to be answered before it is of use.

use std::collections::VecDeque;

use tidegate::Socket;

use super::failure::{Failure, shown};
use super::reply::Reply;
use super::{Settings, command};
use crate::process::outside;

#[derive(Debug)]
pub struct Greeting {
    stage: Stage,
    /// It must not come back in what an engine says.
    password: Option<Vec<u8>>,
    /// As the engine calls itself.
    pub engine: Option<String>,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    Sent(VecDeque<Asked>),
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Auth,
    Hello,
    Select,
}

/// What is to be sent.
pub struct Bytes {
    bytes: Vec<u8>,
    is_secret: bool,
}

impl Greeting {
    pub fn new() -> Self {
        Greeting { stage: Stage::Connecting, password: None, engine: None }
    }

    /// # Errors
    /// There is no password where it should be.
    pub fn begin(&mut self, settings: &Settings) -> Result<Bytes, Failure> {
        let engine = &settings.engine;
        let (mut bytes, mut asked) = (Vec::new(), VecDeque::new());
        self.password = settings.password.read().map_err(Failure::to_be_changed)?;
        match &self.password {
            Some(password) => {
                bytes.extend(command::auth(engine.user.as_deref(), password));
                asked.push_back(Asked::Auth);
            }
            None if engine.user.is_some() => {
                return Err(Failure::to_be_changed("a user without a password: give --bus-password-file"));
            }
            None => {}
        }
        bytes.extend(command::hello(&format!("tidegate-{}", settings.label)));
        asked.push_back(Asked::Hello);
        if let Some(database) = engine.database {
            bytes.extend(command::select(database));
            asked.push_back(Asked::Select);
        }
        self.stage = Stage::Sent(asked);
        Ok(Bytes { bytes, is_secret: self.password.is_some() })
    }

    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// # Errors
    /// The engine refuses, or has answered something else.
    pub fn answered(&mut self, reply: Reply) -> Result<(), Failure> {
        let Stage::Sent(missing) = &mut self.stage else { return Err(not_asked()) };
        let asked = missing.pop_front();
        if missing.is_empty() {
            self.stage = Stage::Over;
        }
        match (asked, reply) {
            (Some(_), Reply::Error(error)) => Err(self.error(&error)),
            (Some(Asked::Auth | Asked::Select), Reply::Status(_)) => Ok(()),
            (Some(Asked::Hello), Reply::Array(about)) => {
                self.engine = called(&about);
                Ok(())
            }
            _ => Err(Failure::lost("it has answered a greeting with something else")),
        }
    }

    /// An error that the engine has answered, now or later.
    pub fn error(&self, error: &[u8]) -> Failure {
        Failure::answered(error, self.password.as_deref())
    }
}

pub fn not_asked() -> Failure {
    Failure::lost("it has answered what it was not asked")
}

impl Bytes {
    /// # Errors
    /// Not all was taken. The rest would be written later, when a recording does not know that it is secret.
    pub fn send<S>(self, socket: &mut Socket<'_, S>) -> Result<(), Failure> {
        if !self.is_secret {
            socket.write(self.bytes);
            return Ok(());
        }
        outside::conceal(|| socket.write(self.bytes));
        match socket.net.connection(socket.id()).unsent() {
            0 => Ok(()),
            _ => Err(Failure::lost("it does not take a greeting")),
        }
    }
}

/// `redis 7.0.15`.
fn called(about: &[Reply]) -> Option<String> {
    let value = |wanted: &[u8]| {
        let mut pairs = about.chunks_exact(2);
        pairs.find_map(|pair| match pair {
            [Reply::Bulk(name), Reply::Bulk(value)] if name == wanted => Some(shown(value)),
            _ => None,
        })
    };
    Some(format!("{} {}", value(b"server")?, value(b"version")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_called_as_it_calls_itself() {
        let bulk = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
        let about =
            [bulk("server"), bulk("redis"), bulk("version"), bulk("7.0\x1b.15"), bulk("proto"), Reply::Integer(2)];
        assert_eq!(called(&about).as_deref(), Some("redis 7.0.15"));
        assert_eq!(called(&about[..3]), None);
        assert_eq!(called(&[]), None);
    }
}
