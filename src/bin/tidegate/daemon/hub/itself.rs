//! A hub that would hear itself, so that each frame would come again and again, or that would write each frame twice. It does not
//! start.

use std::error::Error;

use tidegate::{Net, ServerId};

use crate::cli::{HubOptions, Input, Output};
use crate::daemon::itself::meets;
use crate::process::outside;

/// # Errors
/// What is connected to is listened on, what is written is read, or it is written to twice.
pub fn refuse(net: &Net, options: &HubOptions, servers: &[ServerId]) -> Result<(), Box<dyn Error>> {
    let inputs = options.inputs.iter().filter_map(|input| match input {
        Input::Dial(to) => Some((format!("--in {to}"), *to)),
        _ => None,
    });
    let outputs = options.outputs.iter().filter_map(|output| match output {
        Output::Dial(to) => Some((format!("--out dial:{to}"), *to)),
        _ => None,
    });
    for (flag, to) in inputs.chain(outputs) {
        let mut own = servers.iter().filter_map(|server| net.server_endpoint(*server));
        let met = || own.find(|listener| meets(*listener, to)).map(|listener| listener.to_string());
        if let Some(listener) = outside::fact("own listener", met) {
            return Err(format!("{flag} is this hub itself, which listens on {listener}").into());
        }
    }
    for input in &options.inputs {
        let is_read = |output: &&Output| file_read(input).is_some_and(|file| file_written(output) == Some(file));
        let met = || options.outputs.iter().find(is_read).map(ToString::to_string);
        if let Some(output) = outside::fact("own file", met) {
            return Err(format!("--in {input} and --out {output} are one file: what is written would be read").into());
        }
    }
    for (place, output) in options.outputs.iter().enumerate().skip(1) {
        let is_the_same = |other: &&Output| file_written(output).is_some_and(|file| file_written(other) == Some(file));
        let met = || options.outputs[..place].iter().find(is_the_same).map(ToString::to_string);
        if let Some(other) = outside::fact("one file twice", met) {
            return Err(
                format!("--out {other} and --out {output} are one file: each frame would be there twice").into()
            );
        }
    }
    Ok(())
}

/// A file or a FIFO, known by its device and its number there. What reads and writes one terminal hears only what is typed.
type File = (u64, u64);

fn file_read(input: &Input) -> Option<File> {
    match input {
        Input::Stdin => file("/dev/stdin".as_ref()),
        Input::File(path) => file(path),
        Input::Dial(_) | Input::Listen(_) | Input::Tty(_) => None,
    }
}

fn file_written(output: &Output) -> Option<File> {
    match output {
        Output::Stdout => file("/dev/stdout".as_ref()),
        Output::File(path) => file(path),
        Output::Dial(_) | Output::Listen(_) => None,
    }
}

#[cfg(unix)]
fn file(path: &std::path::Path) -> Option<File> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    let found = std::fs::metadata(path).ok()?;
    (found.is_file() || found.file_type().is_fifo()).then(|| (found.dev(), found.ino()))
}

/// Other systems do not number their files.
#[cfg(not(unix))]
fn file(_: &std::path::Path) -> Option<File> {
    None
}
