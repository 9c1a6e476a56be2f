//! Where the flags of a role come from: the words that are in force, and the file that is read again.

use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;

/// A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// With those of the file.
    words: Rc<[OsString]>,
    /// None without a file, and in a run that is played.
    file: Option<Rc<FileOfRole>>,
}

/// The file of a role, and the words that were typed, which name it.
#[derive(Debug)]
pub(in crate::cli) struct FileOfRole {
    pub typed: Vec<OsString>,
    pub file: PathBuf,
}

impl Source {
    pub(in crate::cli) fn new(words: &[OsString], file: Option<FileOfRole>) -> Self {
        Source { words: words.into(), file: file.map(Rc::new) }
    }

    /// With other words, and the same file.
    pub(in crate::cli) fn with(&self, words: &[OsString]) -> Self {
        Source { words: words.into(), file: self.file.clone() }
    }

    /// The words in force, from the program's name on.
    pub fn words(&self) -> &[OsString] {
        &self.words
    }

    /// Whether some of them come from a file.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    pub(in crate::cli) fn file(&self) -> Option<&FileOfRole> {
        self.file.as_deref()
    }
}
