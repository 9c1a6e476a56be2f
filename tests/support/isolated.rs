//! Tests that measure their own process.

use std::process::Command;

/// Runs a test in a process that runs nothing else, so that what it measures of the process is its own: memory and
/// descriptors. `name` is the name of the test, with its module.
#[track_caller]
pub fn isolated(name: &str, test: impl FnOnce()) {
    const INSIDE: &str = "TIDEGATE_ISOLATED";
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == name) {
        return test();
    }
    let mut itself = Command::new(std::env::current_exe().unwrap());
    itself.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(INSIDE, name);
    assert_one_passes(&mut itself);
}

/// Runs a test program, shows what it prints, and asserts that one test ran in it and passed.
#[track_caller]
pub fn assert_one_passes(program: &mut Command) {
    let output = program.output().unwrap();
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{printed}");
    assert!(
        output.status.success() && printed.contains("test result: ok. 1 passed"),
        "{program:?}\n{printed}\n{errors}"
    );
}
