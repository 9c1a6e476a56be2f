//! Standard output, and a file that is appended to: when the disk is full it is tried again, and at SIGHUP it is opened anew.

use std::error::Error;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tidegate::{EventLoop, FileOptions, Loop, Socket, Stdio};

use super::super::distribution::stop_giving;
use super::super::state::{Hub, Key, Kind, MARK};
use super::super::stopping::output_has_ended;
use super::{add_consumer, attach, detach, remove_consumer};
use crate::daemon::retry::Retry;

#[derive(Clone)]
struct Appended {
    path: Rc<Path>,
    key: Key,
    retry: Retry,
}

/// Standard output is not opened again: when its reader has gone, that is the end of it.
pub fn open_stdout(hub: &mut EventLoop<Hub>) -> Result<(), Box<dyn Error>> {
    let key = hub.state.new_key();
    add_consumer(&mut hub.event_loop(), "standard output".to_owned(), Kind::Place, key, None);
    let opened = hub.event_loop().stdio(Stdio::Output, |socket| {
        socket.set_label("standard output");
        socket.on_close(move |socket, closed| {
            remove_consumer(&mut socket.event_loop(), key, closed);
            output_has_ended(&mut socket.event_loop());
        });
        attach(socket, key);
    });
    opened.map_err(|error| format!("--out -: {error}"))?;
    Ok(())
}

/// Opens the file at the start.
///
/// # Errors
/// It cannot be opened.
pub fn open_first(hub: &mut EventLoop<Hub>, path: &Path) -> Result<(), Box<dyn Error>> {
    let key = hub.state.new_key();
    let name = format!("--out file:{}", path.display());
    let file = Appended { path: path.into(), key, retry: Retry::of(&name) };
    add_consumer(&mut hub.event_loop(), name.clone(), Kind::Place, key, None);
    open(&mut hub.event_loop(), &file).map_err(|error| format!("{name}: {error}"))?;
    Ok(())
}

fn open(on: &mut Loop<'_, Hub>, file: &Appended) -> Result<(), tidegate::Error> {
    let (path, file) = (file.path.clone(), file.clone());
    let options = FileOptions::append().high_water_mark(MARK);
    on.open(&path, options, move |socket| opened(socket, file)).map(drop)
}

fn opened(socket: &mut Socket<'_, Hub>, file: Appended) {
    let (since, key) = (socket.net.now(), file.key);
    socket.set_label(&file.retry.name);
    socket.on_close(move |socket, closed| {
        let on = &mut socket.event_loop();
        detach(on, key, closed, true);
        if closed.had_error {
            let lasted = on.net.now().saturating_sub(since);
            open_later(on, file.clone(), lasted);
        } else {
            open_or_later(on, file.clone());
        }
    });
    attach(socket, key);
}

fn open_or_later(on: &mut Loop<'_, Hub>, file: Appended) {
    if on.is_shutting_down() {
        return;
    }
    if let Err(error) = open(on, &file) {
        log::error!("{}: {error}", file.retry.name);
        open_later(on, file, Duration::ZERO);
    }
}

fn open_later(on: &mut Loop<'_, Hub>, file: Appended, lasted: Duration) {
    let Appended { path, key, retry } = file;
    retry.later(on, lasted, move |on, retry| open_or_later(on, Appended { path, key, retry }));
}

/// What was written goes to the old file; what comes goes to one that is opened anew.
pub fn open_anew(on: &mut Loop<'_, Hub>) {
    let files: Vec<(Key, tidegate::SocketId)> = on
        .state
        .consumers
        .iter()
        .filter_map(|(key, outlet)| Some((*key, outlet.socket?)))
        .filter(|(_, id)| on.net.connection(*id).is_file())
        .collect();
    for (key, id) in files {
        if on.state.is_appended(key) {
            stop_giving(on, key);
            on.net.end(id, None);
        }
    }
}
