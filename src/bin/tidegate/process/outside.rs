//! The world outside of a role: its kernel, and what it is told besides that. It is the real one, the real one with a
//! recording of it, or that of a recording which is played.
//!
//! A role asks for nothing else. So a run that is played is the run of then, and touches nothing of the machine.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use tidegate::kernel::{Header, MioKernel, Playback, Recorder, RecorderOptions, Recording, Replay, Report, RunEnd};
use tidegate::{Error, EventLoop};

/// Called when a run that is played has come to its end, by whatever way.
pub type OnEnd = fn(&Playback);

enum Outside {
    Live,
    Recorded { recorder: Option<Recorder<MioKernel>>, recording: Recording, file: PathBuf },
    Played { replay: Option<Replay>, playback: Playback, on_end: OnEnd },
}

thread_local! {
    /// The process has one role, and one thread.
    static OUTSIDE: RefCell<Outside> = const { RefCell::new(Outside::Live) };
}

/// Begins a recording. The file is a new one, for its owner alone; a file that is there is
/// kept as `FILE.1`, unless a process still records to it.
///
/// # Errors
/// What keeps the file from being made, with its name.
pub fn record(file: &Path, header: &Header, options: RecorderOptions) -> Result<(), String> {
    let begin = || {
        let recorder = Recorder::new(MioKernel::new()?, new_file(file)?, header, options)?;
        let (named, recording) = (file.display().to_string(), recorder.recording());
        Ok::<_, io::Error>(recorder.on_stop(move |why| {
            let has = told(&recording);
            log::warn!("the recording in {named} goes no further: {why}; it has {has}; the run goes on");
        }))
    };
    let recorder = begin().map_err(|error| format!("cannot record to {}: {error}", file.display()))?;
    let recording = recorder.recording();
    OUTSIDE.set(Outside::Recorded { recorder: Some(recorder), recording, file: file.to_owned() });
    Ok(())
}

/// What a recording has, by which it is known again when it is played.
fn told(recording: &Recording) -> String {
    let (turns, size, fingerprint) = (recording.turns(), recording.size(), recording.fingerprint());
    format!("{turns} turns, {size} bytes, fingerprint {fingerprint:016x}")
}

fn new_file(path: &Path) -> io::Result<fs::File> {
    // The locks of both are held until all is done.
    let there = locked(path)?;
    if there.is_some() {
        let mut older = path.as_os_str().to_owned();
        older.push(".1");
        let _older = locked(Path::new(&older))?;
        fs::rename(path, &older)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    lock(&file)?;
    Ok(file)
}

/// The file that is there, if there is one: nobody else records to it. What is no file, a device, a FIFO or a link, is not
/// written over.
fn locked(path: &Path) -> io::Result<Option<fs::File>> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => {}
        Ok(_) => return Err(io::Error::other("something is there that is no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let file = fs::File::open(path)?;
    lock(&file)?;
    // Another one may have moved it before it was locked.
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (opened, there) = (file.metadata()?, fs::symlink_metadata(path)?);
        if (opened.dev(), opened.ino()) != (there.dev(), there.ino()) {
            return Err(in_use());
        }
    }
    Ok(Some(file))
}

/// Takes the lock that whoever records to a file has. A file system without locks has none.
#[cfg(unix)]
fn lock(file: &fs::File) -> io::Result<()> {
    match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(in_use()),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn lock(_file: &fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn in_use() -> io::Error {
    io::Error::other("another process records to it")
}

/// From now on a recording is played.
pub fn play(replay: Replay, on_end: OnEnd) {
    let playback = replay.playback();
    OUTSIDE.set(Outside::Played { replay: Some(replay), playback, on_end });
}

/// The event loop of the role, on its kernel.
pub fn event_loop<S>(state: S) -> Result<EventLoop<S>, Error> {
    let event_loop = OUTSIDE.with_borrow_mut(|outside| match outside {
        Outside::Live => Err(state),
        Outside::Recorded { recorder, .. } => match recorder.take() {
            Some(recorder) => Ok(EventLoop::on(recorder, state)),
            None => Err(state),
        },
        Outside::Played { replay, .. } => match replay.take() {
            Some(replay) => Ok(EventLoop::on(replay, state)),
            None => Err(state),
        },
    });
    event_loop.or_else(EventLoop::with_state)
}

/// What `ask` finds out about the machine or the process, or what was found out then.
pub fn fact(name: &str, ask: impl FnOnce() -> Option<String>) -> Option<String> {
    enum Source {
        Live,
        Recorded(Recording),
        Played(Playback),
    }

    // `ask` may ask for another one.
    let source = OUTSIDE.with_borrow(|outside| match outside {
        Outside::Live => Source::Live,
        Outside::Recorded { recording, .. } => Source::Recorded(recording.clone()),
        Outside::Played { playback, .. } => Source::Played(playback.clone()),
    });
    match source {
        Source::Live => ask(),
        Source::Recorded(recording) => {
            let answer = ask();
            recording.fact(name, answer.as_deref());
            answer
        }
        Source::Played(playback) => playback.fact(name),
    }
}

/// A secret that `ask` finds out. A recording has its length only, and a run that is played has other bytes of that length.
pub fn secret(name: &str, ask: impl FnOnce() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut found = None;
    let length = fact(name, || {
        found = ask();
        found.as_ref().map(|secret| secret.len().to_string())
    });
    found.or_else(|| length?.parse().ok().map(|length| vec![b'*'; length]))
}

/// What is written meanwhile has a secret in it: a recording has its length only.
pub fn conceal<T>(write: impl FnOnce() -> T) -> T {
    let recording = OUTSIDE.with_borrow(|outside| match outside {
        Outside::Recorded { recording, .. } => Some(recording.clone()),
        Outside::Live | Outside::Played { .. } => None,
    });
    let Some(recording) = recording else { return write() };
    recording.conceal(true);
    let written = write();
    recording.conceal(false);
    written
}

/// Whether the run is one that is played: then nobody waits for it but the person who plays it.
pub fn is_played() -> bool {
    OUTSIDE.with_borrow(|outside| matches!(outside, Outside::Played { .. }))
}

/// The role has come to its end: the recording is complete. To be called before the process exits.
pub fn end() {
    match OUTSIDE.replace(Outside::Live) {
        Outside::Live => {}
        Outside::Recorded { recording, file, .. } => {
            recording.finish();
            if recording.stopped().is_none() {
                log::info!("recorded to {}: {}", file.display(), told(&recording));
            }
        }
        Outside::Played { playback, on_end, .. } => {
            playback.finish();
            on_end(&playback);
        }
    }
}

/// Ends the process at once. One that plays a recording says what it has seen, and leaves with success if it was the run of
/// then.
pub fn exit(code: i32) -> ! {
    let played = OUTSIDE.with_borrow(|outside| match outside {
        Outside::Played { playback, .. } => Some(playback.clone()),
        _ => None,
    });
    end();
    log::logger().flush();
    std::process::exit(played.map_or(code, |playback| i32::from(fails(&playback.report()))))
}

/// Whether the run that was played was another one, or its recording is damaged.
pub fn fails(report: &Report) -> bool {
    matches!(report.end, RunEnd::Differs(_) | RunEnd::Damaged(_))
}

/// Writes what a run that is played has to say. Whether somebody still reads it; any other error ends the process.
pub fn say(text: &str) -> bool {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => false,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: cannot write to stdout: {error}");
            std::process::exit(1)
        }
    }
}

/// Writes what was recorded when the role panics.
pub struct FlushAtPanic;

impl Drop for FlushAtPanic {
    fn drop(&mut self) {
        OUTSIDE.with_borrow(|outside| {
            if let Outside::Recorded { recording, .. } = outside {
                recording.flush();
            }
        });
    }
}
