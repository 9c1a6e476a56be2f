//! A folder of one test's own, which is removed with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate::Endpoint;

/// A folder below the system's for temporary files, with a short name: the path of a Unix socket has at most 108 bytes.
/// It is removed when this goes out of scope, with all that is in it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tidegate-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub fn itself(&self) -> &Path {
        &self.0
    }

    /// Of this name in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The Unix socket of this name in it.
    pub fn endpoint(&self, name: &str) -> Endpoint {
        format!("unix:{}", self.path(name).display()).parse().unwrap()
    }
}

/// The permissions of a file.
#[cfg(unix)]
pub fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
