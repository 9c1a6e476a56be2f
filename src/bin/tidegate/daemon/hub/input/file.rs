//! Standard input, a file that is read to its end, and a FIFO, which has none.

use std::error::Error;
use std::path::Path;

use tidegate::{EventLoop, FileOptions, Socket, Stdio};

use super::super::state::Hub;
use super::super::stopping::input_has_ended;
use super::{add_feed, remove_feed};
use crate::process::outside;

pub fn read_stdin(hub: &mut EventLoop<Hub>) -> Result<(), Box<dyn Error>> {
    let opened = hub.event_loop().stdio(Stdio::Input, |socket| read_to_its_end(socket, "standard input".to_owned()));
    opened.map_err(|error| format!("--in -: {error}"))?;
    Ok(())
}

pub fn read(hub: &mut EventLoop<Hub>, path: &Path) -> Result<(), Box<dyn Error>> {
    let name = format!("--in file:{}", path.display());
    let opened = if is_fifo(path) {
        // With a writer of our own, a FIFO does not end when the last one of the others goes.
        hub.event_loop().open(path, FileOptions::read_write(), |socket| read_fifo(socket, name.clone()))
    } else {
        hub.event_loop().open(path, FileOptions::read(), |socket| read_to_its_end(socket, name.clone()))
    };
    opened.map_err(|error| format!("{name}: {error}"))?;
    Ok(())
}

fn read_to_its_end(socket: &mut Socket<'_, Hub>, name: String) {
    socket.set_label(&name);
    socket.on_error({
        let name = name.clone();
        move |_, error| log::error!("{name}: {error}")
    });
    let key = add_feed(socket, name, false);
    socket.on_close(move |socket, _| {
        remove_feed(&mut socket.event_loop(), key);
        input_has_ended(&mut socket.event_loop());
    });
}

fn read_fifo(socket: &mut Socket<'_, Hub>, name: String) {
    socket.set_label(&name);
    let key = add_feed(socket, name.clone(), false);
    socket.on_error(move |_, error| log::error!("{name}: {error}"));
    socket.on_close(move |socket, _| remove_feed(&mut socket.event_loop(), key));
}

pub fn is_fifo(path: &Path) -> bool {
    outside::fact("a FIFO", || is_fifo_now(path).then(String::new)).is_some()
}

#[cfg(unix)]
fn is_fifo_now(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;

    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

/// Other systems have none.
#[cfg(not(unix))]
fn is_fifo_now(_: &Path) -> bool {
    false
}
