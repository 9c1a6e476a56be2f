//! The two files of the resolver: when they are read, and in which pieces.
//!
//! ```text
//!   at rest ──a look-up, and they were read 5 s ago──▶ the name servers at once, the hosts file a piece at a time ──▶ at rest
//! ```
//!
//! What is read has to be whole before a name is looked up in it: the look-ups wait for it.

use std::io;
use std::time::Duration;

use super::file_lines::FileLines;
use crate::base::error::{Error, Syscall};
use crate::kernel::Kernel;
use crate::names::{Hosts, NamesOptions, ResolvConf, is_shortage};

/// They are read again when they were read so long ago.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// What is more in one of them does not count.
const LARGEST_CONF: usize = 1 << 16;
/// Lists against advertisements have 150,000 lines and 5 MB.
const LARGEST_HOSTS: usize = 8 << 20;

#[derive(Debug, Default)]
pub(super) struct NameFiles {
    /// When they were read, if both could be.
    read_at: Option<Duration>,
    conf_text: Vec<u8>,
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    began: Duration,
    conf: io::Result<Option<ResolvConf>>,
    lines: FileLines,
    /// What the hosts file has up to now.
    hosts: Hosts,
}

/// What was read. A file that has not changed or could not be read stays as it was.
pub(super) struct Read {
    pub conf: Option<ResolvConf>,
    pub hosts: Option<Hosts>,
}

impl NameFiles {
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Begins to read them, unless that was just done or is under way.
    pub fn begin_if_due(&mut self, options: &NamesOptions, kernel: &mut dyn Kernel, now: Duration) -> bool {
        let are_good = self.read_at.is_some_and(|read| now.saturating_sub(read) < GOOD_FOR);
        if are_good || self.is_reading() {
            return false;
        }
        let conf = FileLines::read_all(&options.resolv_conf, LARGEST_CONF, kernel).map(|text| {
            let is_other = text != self.conf_text;
            is_other.then(|| {
                self.conf_text = text;
                ResolvConf::read(&self.conf_text)
            })
        });
        let lines = FileLines::of(&options.hosts, LARGEST_HOSTS);
        self.reading = Some(Reading { began: now, conf, lines, hosts: Hosts::default() });
        true
    }

    /// Reads a piece. None: there is more. An error: whom to ask is not known yet, for a reason that may go by.
    pub fn go_on(
        &mut self,
        options: &NamesOptions,
        known: &Hosts,
        kernel: &mut dyn Kernel,
    ) -> Option<Result<Read, Error>> {
        let reading = self.reading.as_mut()?;
        let read = reading.lines.read(kernel).map(|lines| reading.hosts.push(lines, known));
        if !reading.lines.is_over() {
            return None;
        }
        let Reading { began, conf, hosts, .. } = self.reading.take()?;
        let hosts = read.map(|()| hosts);
        for (path, error) in [(&options.resolv_conf, conf.as_ref().err()), (&options.hosts, hosts.as_ref().err())] {
            if let Some(error) = error {
                log::debug!("{} cannot be read: {error}", path.display());
            }
        }
        // To ask this machine, as without a file, would be wrong if there is one. So the next look-up tries to read it again.
        let short = [conf.as_ref().err(), hosts.as_ref().err()].into_iter().flatten().find(|error| is_shortage(error));
        match short {
            None => self.read_at = Some(began),
            Some(error) if self.read_at.is_none() => return Some(Err(Error::system(error, Syscall::Lookup))),
            Some(_) => {}
        }
        Some(Ok(Read { conf: conf.ok().flatten(), hosts: hosts.ok() }))
    }

    /// Nobody will want to know what is in them.
    pub fn close(&mut self, kernel: &mut dyn Kernel) {
        if let Some(mut reading) = self.reading.take() {
            reading.lines.close(kernel);
        }
    }
}
