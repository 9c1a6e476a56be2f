//! A serial device: raw, in both directions, and opened again when it has vanished.

use std::error::Error;
use std::time::Duration;

use tidegate::{EventLoop, FileOptions, Loop, Socket};

use super::super::raw_mode::{NOT_THERE, make_raw};
use super::super::state::Hub;
use super::super::talk::listeners_can_talk;
use super::{add_feed, remove_feed};
use crate::cli::Tty;
use crate::daemon::retry::Retry;

#[derive(Clone)]
struct Device {
    tty: Tty,
    retry: Retry,
}

/// Opens the device at the start. One that is not there yet is waited for.
///
/// # Errors
/// A file that is no terminal, a speed that the device does not have.
pub fn open_first(hub: &mut EventLoop<Hub>, tty: &Tty) -> Result<(), Box<dyn Error>> {
    let name = format!("--in tty:{}", tty.path.display());
    if let Err(why) = make_raw(tty)
        && why != NOT_THERE
    {
        return Err(format!("{name}: {why}").into());
    }
    open(&mut hub.event_loop(), Device { tty: tty.clone(), retry: Retry::of(&name) });
    Ok(())
}

/// The device is made raw first, so that it gives back no byte as an echo. Whether it is there, only the second call decides.
fn open(on: &mut Loop<'_, Hub>, device: Device) {
    let name = &device.retry.name;
    if let Err(why) = make_raw(&device.tty) {
        log::debug!("{name}: {why}");
    }
    let again = device.clone();
    let opened = on.open(&device.tty.path, FileOptions::read_write(), move |socket| opened(socket, again));
    if let Err(error) = opened {
        log::warn!("{name}: {error}");
        open_later(on, &device, Duration::ZERO);
    }
}

fn opened(socket: &mut Socket<'_, Hub>, device: Device) {
    let (since, name) = (socket.net.now(), device.retry.name.clone());
    log::info!("{name}: opened");
    socket.set_label(&name);
    let is_writable = socket.state.options.two_way;
    let key = add_feed(socket, name.to_string(), is_writable);
    socket.on_error(move |_, error| log::warn!("{name}: {error}"));
    socket.on_end(|socket| socket.destroy());
    socket.on_drain(|socket| listeners_can_talk(&mut socket.event_loop()));
    socket.on_close(move |socket, _| {
        let on = &mut socket.event_loop();
        remove_feed(on, key);
        listeners_can_talk(on);
        let lasted = on.net.now().saturating_sub(since);
        open_later(on, &device, lasted);
    });
}

fn open_later(on: &mut Loop<'_, Hub>, device: &Device, lasted: Duration) {
    let tty = device.tty.clone();
    device.retry.clone().later(on, lasted, move |on, retry| open(on, Device { tty, retry }));
}
