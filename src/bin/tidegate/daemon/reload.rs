//! SIGHUP: the configuration file is read again, and files are opened anew, since they may have been renamed.
//!
//! What the file says is checked as at the start. If it is wrong, or a new place cannot be listened on, nothing is changed. If not,
//! what can change changes at once; what needs a restart is said, and stays as it is.

use std::error::Error as StdError;
use std::rc::Rc;

use log::LevelFilter;
use serde_json::Value;
use tidegate::{Error, EventLoop, Loop};

use super::admission::Lists;
use super::explain::trace;
use super::listener::set_keep_alive;
use super::notify;
use super::service::{Running, Service};
use crate::cli::{Change, Source, counted};
use crate::process::{descriptors, ignored::Ignored, log::file as log_file, outside};

/// What SIGHUP does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUp {
    /// The terminal is gone, so the role is too.
    Stops,
    ReadsAgain,
}

/// Has SIGHUP read again what there is to be read, if there is anything. To be called before the role listens.
///
/// # Errors
/// Those of [`Loop::on_signal`].
#[cfg(unix)]
pub fn at_hang_up<R: Service>(
    event_loop: &mut EventLoop<R>,
    ignored: Ignored,
    running: &Rc<Running<R>>,
) -> Result<HangUp, Error> {
    use tidegate::signal::HANGUP;

    let is_in_a_file = outside::fact("log in a file", || log_file::is_there().then(String::new)).is_some();
    let has_file = running.in_force.get().source.has_file();
    let has_file = outside::fact("configuration file", || has_file.then(String::new)).is_some();
    if !is_in_a_file && !has_file && !event_loop.state.has_files() {
        return Ok(HangUp::Stops);
    }
    // Elsewhere nobody knows, and to read a file does no harm.
    if cfg!(target_os = "linux") && ignored.contains(HANGUP) {
        log::info!("SIGHUP was ignored when this began, and stays so: nothing is read again (nohup has it ignored)");
        return Ok(HangUp::ReadsAgain);
    }
    let running = Rc::clone(running);
    event_loop.on_signal(HANGUP, move |on| {
        if on.is_shutting_down() {
            return log::info!("SIGHUP: nothing is read again, as this stops");
        }
        notify::is_reloading();
        log_file::open_anew();
        R::open_anew(on);
        if has_file {
            reload(on, &running);
        }
        notify::has_reloaded(on);
    })?;
    Ok(HangUp::ReadsAgain)
}

/// Other systems have no such signal.
#[cfg(not(unix))]
pub fn at_hang_up<R: Service>(_: &mut EventLoop<R>, _: Ignored, _: &Rc<Running<R>>) -> Result<HangUp, Error> {
    Ok(HangUp::Stops)
}

fn reload<R: Service>(on: &mut Loop<'_, R>, running: &Running<R>) {
    let source = running.in_force.get().source.clone();
    let change = read_again(&source).and_then(|words| source.change(&words));
    let put = change.map_err(Into::into).and_then(|change| put_in_force(on, running, &change).map(|()| change));
    match put {
        Ok(change) => {
            tell_and_set_level(on, running, &change);
        }
        Err(wrong) => log::error!("the configuration was read again, and nothing is changed: {wrong}"),
    }
}

/// The log has what has changed, and is then at the level that the flags say, whatever SIGUSR2 has made of it.
fn tell_and_set_level<R: Service>(on: &mut Loop<'_, R>, running: &Running<R>, change: &Change) {
    if outside::is_played() {
        return log_change(change); // its level is not that of the role
    }
    let daemon = change.role.daemon_options();
    let (before, level) = (log::max_level(), daemon.verbosity());
    // Said if it is shown on either side of the change.
    log::set_max_level(level.max(before));
    log_change(change);
    if before != level {
        log::info!("the log level is {}, as the flags say", level.as_str().to_lowercase());
    }
    running.in_force.set_usual_level(level);
    if before < level && level == LevelFilter::Trace && daemon.explain.followed().is_none() {
        trace(on.net);
    }
}

/// All words of the command line, with those that are in the file now.
fn read_again(source: &Source) -> Result<Vec<String>, String> {
    let read = outside::fact("configuration", || {
        let read = match source.read() {
            Ok(words) => Value::from(words),
            Err(wrong) => Value::from(wrong),
        };
        Some(read.to_string())
    });
    match read.map(|read| serde_json::from_str(&read)) {
        Some(Ok(Value::Array(words))) => Ok(words.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        Some(Ok(Value::String(wrong))) => Err(wrong),
        _ => Err("it is not in the recording".to_owned()),
    }
}

/// # Errors
/// A place that cannot be listened on. Then nothing is changed.
fn put_in_force<R: Service>(
    on: &mut Loop<'_, R>,
    running: &Running<R>,
    change: &Change,
) -> Result<(), Box<dyn StdError>> {
    let daemon = change.role.daemon_options();
    let lists = Lists::of(daemon)?;
    running.listen(on, daemon)?;
    // From here on nothing fails.
    running.in_force.put(daemon.clone());
    if change.has("max-connections") || change.has("memory") {
        let most = descriptors::max_connections(daemon.max_connections, R::SOCKETS_EACH);
        running.admission.set_most(most);
        running.limits.set(Some(most.saturating_mul(R::SOCKETS_EACH)), daemon.memory());
        on.net.set_memory_limit(daemon.memory());
    }
    running.admission.set_lists(lists);
    let servers: Vec<_> = running.listeners.borrow().servers().collect();
    R::change(on, change, &servers);
    change_connections(on, running, change);
    Ok(())
}

/// What concerns those who are here.
fn change_connections<R: Service>(on: &mut Loop<'_, R>, running: &Running<R>, change: &Change) {
    let changes_lists = change.has("block") || change.has("allow");
    let (keep_alive, idle_timeout) = (change.has("keep-alive"), change.has("idle-timeout"));
    if !changes_lists && !keep_alive && !idle_timeout {
        return;
    }
    let daemon = running.in_force.get().clone();
    let mut put_out = 0;
    for id in on.net.socket_ids().collect::<Vec<_>>() {
        let info = on.net.connection(id);
        if info.is_apart() || info.is_file() {
            continue;
        }
        let is_client = info.server().is_some();
        let Some(mut socket) = on.socket(id) else { continue };
        if changes_lists && is_client && running.admission.is_unwanted(socket.remote_address()) {
            put_out += 1;
            socket.reset();
            continue;
        }
        if keep_alive {
            set_keep_alive(&mut socket, daemon.keep_alive());
        }
        if idle_timeout {
            R::set_idle_timeout(&mut socket, daemon.idle_timeout);
        }
    }
    if put_out > 0 {
        log::info!("{} disconnected: --block or --allow says so now", counted(put_out, "connection"));
    }
}

fn log_change(change: &Change) {
    for changed in &change.at_once {
        log::info!("--{} was {}, and is {}", changed.flag, changed.before, changed.now);
    }
    for left in &change.left {
        log::warn!("--{} stays {}: a restart is needed for {}", left.flag, left.before, left.now);
    }
    match change.at_once.len() {
        0 => log::info!("the configuration was read again: nothing has changed"),
        changes => log::info!("the configuration was read again: {}", counted(changes as u64, "change")),
    }
}
