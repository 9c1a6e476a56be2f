//! The compiled examples, for tests that run them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Where cargo has put what it has built: this test is in `deps/` there.
pub fn profile() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned()
}

/// Where cargo has put an example: beside the folder of this test. `cargo test --test docs` builds no examples, so it
/// may be missing, or older than what it is made of.
#[track_caller]
pub fn compiled(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let profile = profile();
    let program = profile.join("examples").join(name);
    let made_of = last_change(&source(name)).max(last_change(&root.join("src")));
    if !program.exists() || last_change(&program) < made_of {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", name, "--target-dir"]).arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.current_dir(root).status().unwrap().success(), "{name} cannot be built");
    }
    program
}

/// When a file, or the last one of a folder, was changed.
fn last_change(path: &Path) -> SystemTime {
    let itself = path.metadata().unwrap().modified().unwrap();
    let within = path.read_dir().into_iter().flatten().map(|entry| last_change(&entry.unwrap().path()));
    within.max().unwrap_or(itself)
}

/// Its path, as `Cargo.toml` declares it.
#[track_caller]
fn source(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let declared = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let entry = format!("[[example]]\nname = \"{name}\"\npath = \"");
    let (_, path) = declared.split_once(&entry).unwrap_or_else(|| panic!("{name} is not declared in Cargo.toml"));
    root.join(path.split('"').next().unwrap())
}
