//! What a link needs to know.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::{BusOptions, EngineAddress};
use crate::process::outside;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub engine: EngineAddress,
    pub password: Password,
    /// The key of the stream: `tidegate:ROOM`.
    pub stream: String,
    /// What people call this node.
    pub label: String,
    /// How many entries the stream keeps, about.
    pub history: u64,
    /// The most bytes of the outbox. An engine that leaves much more unread is lost.
    pub outbox: usize,
}

/// Those of a link that is not started.
impl Default for Settings {
    fn default() -> Self {
        Settings {
            engine: EngineAddress::default(),
            password: Password::Environment,
            stream: String::new(),
            label: String::new(),
            history: 0,
            outbox: 0,
        }
    }
}

impl Settings {
    /// None: there is no engine.
    pub fn of(options: &BusOptions) -> Option<Self> {
        let engine = options.engine()?.clone();
        let password = options.bus_password_file.clone().map_or(Password::Environment, Password::File);
        Some(Settings {
            engine,
            password,
            stream: format!("tidegate:{}", options.bus_room),
            label: options.bus_node.clone().unwrap_or_else(host_name),
            history: options.bus_history.into(),
            outbox: options.outbox(),
        })
    }

    /// # Errors
    /// There is no password where it should be: to be asked at the start.
    pub fn check(&self) -> Result<(), String> {
        self.password.read().map(drop)
    }
}

/// As it may stand in the name of a connection.
fn host_name() -> String {
    let ask = || rustix::system::uname().nodename().to_str().ok().map(str::to_owned);
    label(&outside::fact("host name", ask).unwrap_or_default())
}

fn label(host: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '-' };
    match host.chars().take(64).map(plain).collect::<String>() {
        none if none.is_empty() => "node".to_owned(),
        label => label,
    }
}

/// Where the password is. It is looked for at each connect, so that another one needs no restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// If the variable is not there, the engine wants none.
    Environment,
    File(PathBuf),
}

pub const VARIABLE: &str = "TIDEGATE_BUS_PASSWORD";

/// A file with more bytes is another one.
const LONGEST: usize = 4096;

impl Password {
    /// # Errors
    /// It is not where it should be.
    pub fn read(&self) -> Result<Option<Vec<u8>>, String> {
        let Password::File(path) = self else {
            let variable = || std::env::var_os(VARIABLE).map(|value| value.into_encoded_bytes());
            return Ok(outside::secret("bus password", variable));
        };
        let mut why = String::new();
        let ask = || read(path).inspect_err(|error| why = error.to_string()).ok();
        match outside::secret("bus password", ask) {
            Some(password) => Ok(Some(password)),
            None => Err(format!("--bus-password-file {}: {why}", path.display())),
        }
    }
}

/// Without the line end that an editor adds.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut password = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(LONGEST as u64 + 1).read_to_end(&mut password).map_err(|error| error.to_string())?;
    if password.len() > LONGEST {
        return Err(format!("it has more than {LONGEST} bytes, so it is no password"));
    }
    if password.pop_if(|byte| *byte == b'\n').is_some() {
        password.pop_if(|byte| *byte == b'\r');
    }
    if password.is_empty() { Err("it is empty".to_owned()) } else { Ok(password) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_machine_is_made_a_label() {
        for (host, expected) in
            [("web-1.example", "web-1.example"), ("my machine", "my-machine"), ("", "node"), ("ü", "-")]
        {
            assert_eq!(label(host), expected);
        }
        assert_eq!(label(&"x".repeat(100)).len(), 64);
    }

    #[test]
    fn a_password_is_the_contents_of_its_file_without_the_line_end() {
        let path = std::env::temp_dir().join(format!("tidegate-password-{}", std::process::id()));
        let of = |contents: &[u8]| {
            std::fs::write(&path, contents).unwrap();
            Password::File(path.clone()).read()
        };
        for contents in ["a b ", "a b \n", "a b \r\n"] {
            assert_eq!(of(contents.as_bytes()), Ok(Some(b"a b ".to_vec())));
        }
        assert_eq!(of(b"a\n\n"), Ok(Some(b"a\n".to_vec())));
        let named = format!("--bus-password-file {}", path.display());
        assert_eq!(of(b"\n"), Err(format!("{named}: it is empty")));
        assert!(of(&[b'x'; 4097]).is_err_and(|why| why.contains("more than 4096 bytes")));
        std::fs::remove_file(&path).unwrap();
        assert!(
            Password::File(path.clone())
                .read()
                .is_err_and(|why| why.starts_with(&named) && why.contains("No such file"))
        );
    }
}
