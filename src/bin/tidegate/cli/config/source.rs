//! Where the flags of a role come from: the words that are in force, and those that were typed, by which the file is read again.

use std::ffi::OsString;
use std::rc::Rc;

/// A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// With those of the file.
    words: Rc<[OsString]>,
    /// None without a file, and in a run that is played.
    typed: Option<Rc<[OsString]>>,
}

impl Source {
    pub fn new(words: &[OsString], typed: Option<&[OsString]>) -> Self {
        Source { words: words.into(), typed: typed.map(Rc::from) }
    }

    /// The words in force, from the program's name on.
    pub fn words(&self) -> &[OsString] {
        &self.words
    }

    /// Whether some of them come from a file.
    pub fn has_file(&self) -> bool {
        self.typed.is_some()
    }

    pub(in crate::cli) fn typed(&self) -> Option<&[OsString]> {
        self.typed.as_deref()
    }
}
