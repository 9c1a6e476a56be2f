//! A terminal that changes no byte: raw mode, and the speed of a serial line (termios(3)).

use std::io;

use crate::cli::Tty;
use crate::process::outside;

/// What is said of a device that is not there.
pub const NOT_THERE: &str = "it is not there";

/// Makes a serial device raw. Why it cannot be is a fact of a recording, so that a run that is played touches no device.
///
/// # Errors
/// [`NOT_THERE`], or in words what else is wrong: it is no terminal, or does not have this speed.
pub fn make_raw(tty: &Tty) -> Result<(), String> {
    let why = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => NOT_THERE.to_owned(),
        _ => error.to_string(),
    };
    outside::fact("not raw", || set_raw(tty).err().map(why)).map_or(Ok(()), Err)
}

/// Makes a serial device raw: no echo, no signals, no line ends that are changed, no flow control by characters, and no modem
/// lines. That is a matter of the device, and stays when this descriptor of it is closed. The device is not created, and does
/// not become the terminal of this process.
///
/// # Errors
/// It is not there, or is no terminal; a speed that it does not have.
#[cfg(unix)]
fn set_raw(tty: &Tty) -> io::Result<()> {
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;
    use rustix::termios::{ControlModes, InputModes, OptionalActions, isatty, tcgetattr, tcsetattr};

    let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits() as i32;
    let device = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&tty.path)?;
    if !isatty(&device) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no terminal: for a file or a FIFO, write file:PATH",
        ));
    }
    let mut modes = tcgetattr(&device)?;
    modes.make_raw();
    modes.input_modes.remove(InputModes::IXON | InputModes::IXOFF | InputModes::IXANY);
    modes.control_modes.insert(ControlModes::CREAD | ControlModes::CLOCAL);
    if let Some(baud) = tty.baud {
        modes.set_speed(baud)?;
    }
    Ok(tcsetattr(&device, OptionalActions::Now, &modes)?)
}

/// Other systems have no such devices.
#[cfg(not(unix))]
fn set_raw(_: &Tty) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
