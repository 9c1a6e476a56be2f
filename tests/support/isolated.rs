//! Tests that measure their own process.

use std::process::{Command, ExitStatus};

const INSIDE: &str = "TIDEGATE_ISOLATED";

/// The test itself again, in a process that runs nothing else. `None` in that process.
fn itself(name: &str) -> Option<Command> {
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == name) {
        return None;
    }
    let mut itself = Command::new(std::env::current_exe().unwrap());
    itself.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(INSIDE, name);
    Some(itself)
}

/// Runs `test` in a process of its own, and gives how that process has ended. `None` in that process, when `test` has come to
/// its end.
pub fn end_of(name: &str, test: impl FnOnce()) -> Option<ExitStatus> {
    match itself(name) {
        Some(mut itself) => Some(itself.output().unwrap().status),
        None => {
            test();
            None
        }
    }
}

/// Runs a test in a process that runs nothing else, so that what it measures of the process is its own: memory and
/// descriptors. `name` is the name of the test, with its module.
#[track_caller]
pub fn isolated(name: &str, test: impl FnOnce()) {
    let Some(mut itself) = itself(name) else { return test() };
    assert_one_passes(&mut itself);
}

/// As [`isolated`], with a network and with mounts of its own, in which the test is root: it may listen on any port, and put
/// files in the place of the system's.
#[track_caller]
pub fn isolated_with_a_network(name: &str, test: impl FnOnce()) {
    let Some(itself) = itself(name) else { return test() };
    let mut unshared = Command::new("unshare");
    unshared.arg("-rmn").arg(itself.get_program()).args(itself.get_args()).env(INSIDE, name);
    assert_one_passes(&mut unshared);
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
