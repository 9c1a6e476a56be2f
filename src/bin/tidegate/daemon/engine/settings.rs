//! What a link needs to know.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::EngineAddress;
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
