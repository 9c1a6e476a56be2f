//! A configuration that is read again while its role runs.

use std::ffi::OsString;
use std::fmt::Display;

use clap::CommandFactory;

use super::config::{self, Changed, FileOfRole, Source};
use super::{Program, Role, parse_role, role_from, with_its_file};

/// What it changes.
#[derive(Debug)]
pub struct Change {
    /// As it is in force from now on.
    pub role: Role,
    /// The flags that have other values now.
    pub at_once: Vec<Changed>,
    /// Those that would have, if the role were started again.
    pub left: Vec<Changed>,
}

impl Change {
    /// Whether this flag has another value now.
    pub fn has(&self, flag: &str) -> bool {
        self.at_once.iter().any(|changed| changed.flag == flag)
    }
}

impl Source {
    /// Reads the file again: all words of the command line with those that are in the file now.
    ///
    /// # Errors
    /// What is wrong with the file, in one line.
    pub fn read(&self) -> Result<Vec<String>, String> {
        let FileOfRole { typed, file } = self.file().ok_or("there is no file")?;
        let cannot = |why: &dyn Display| format!("cannot read {}: {why}", file.display());
        // At the start a FIFO is read to its end. Here it would hold all connections up.
        if !std::fs::metadata(file).map_err(|error| cannot(&error))?.is_file() {
            return Err(cannot(&"it is no regular file"));
        }
        let joined = with_its_file(typed)?.ok_or("there is no file")?;
        if let Err(error) = role_from(&joined.words) {
            let wrong = config::in_one_line(&error);
            return Err(format!("{wrong}{}", joined.places(&wrong)));
        }
        Ok(joined.words.iter().map(|word| word.to_string_lossy().into_owned()).collect())
    }

    /// What these words change, which were read again.
    ///
    /// # Errors
    /// They are for another role. With what has to stay as it is until a restart, they say what cannot be.
    pub fn change(&self, words: &[String]) -> Result<Change, String> {
        let program = Program::command();
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let matches = |words: &[OsString]| {
            let matches = program.clone().try_get_matches_from(words);
            let (role, matches) = matches.ok()?.remove_subcommand()?;
            Some((role, matches))
        };
        let unknown = || "this build does not know its command line".to_owned();
        let (before_role, before) = matches(self.words()).ok_or_else(unknown)?;
        let (now_role, now) = matches(&words).ok_or_else(unknown)?;
        if before_role != now_role {
            return Err(format!("the role is {before_role}, and the file has [{now_role}]: start that anew"));
        }
        let role = program.find_subcommand(&now_role).ok_or_else(unknown)?;
        let difference = config::difference(role, &before, &now);
        let role = parse_role(self.with(&difference.words)).map_err(|error| {
            let what = config::in_one_line(&error);
            let left: Vec<_> = difference.left.iter().map(|left| format!("--{}", left.flag)).collect();
            if left.is_empty() {
                what
            } else {
                format!("{what} ({} stay as they are until a restart)", left.join(", "))
            }
        })?;
        Ok(Change { role, at_once: difference.at_once, left: difference.left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(words: &str) -> Source {
        Source::new(&words.split(' ').map(OsString::from).collect::<Vec<_>>(), None)
    }

    fn change(before: &str, now: &str) -> Result<Change, String> {
        source(before).change(&now.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    fn flags(changed: &[Changed]) -> Vec<(&str, &str, &str)> {
        changed.iter().map(|it| (it.flag.as_str(), it.before.as_str(), it.now.as_str())).collect()
    }

    #[test]
    fn what_differs_is_told_and_what_needs_a_restart_stays() {
        let change = change(
            "tidegate hub --listen=7000 --queue=1M --two-way --in=7001 --out=7002 --max-connections=5 -v",
            "tidegate hub --listen=7003 --queue=2M --in=7001 --out=7002 -v -v --backlog=10",
        );
        let change = change.unwrap();
        let at_once = [
            ("listen", "'7000'", "'7003'"),
            ("max-connections", "'5'", "the default"),
            ("verbose", "1", "2"),
            ("backlog", "the default", "'10'"),
        ];
        assert_eq!(flags(&change.at_once), at_once);
        assert_eq!(flags(&change.left), [("two-way", "on", "off"), ("queue", "'1M'", "'2M'")]);
        let Role::Hub(hub) = &change.role else { panic!("{:?}", change.role) };
        assert_eq!((hub.queue(), hub.two_way, hub.daemon.max_connections), (1 << 20, true, None));
        assert_eq!(hub.daemon.verbosity(), log::LevelFilter::Trace);
        assert!(change.has("backlog") && !change.has("queue"));
        // And what is in force then is what the next one is compared with.
        let words =
            hub.daemon.source.words().iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>();
        let again = hub.daemon.source.change(&words).unwrap();
        assert_eq!((again.at_once.len(), again.left.len()), (0, 0));
    }

    #[test]
    fn a_default_that_is_written_down_is_no_change() {
        let change = change("tidegate echo", "tidegate echo --idle-timeout=none --drain-timeout=10s").unwrap();
        assert_eq!((flags(&change.at_once), flags(&change.left)), (vec![], vec![]));
    }

    #[test]
    fn another_role_and_what_cannot_be_together_with_what_stays_are_errors() {
        let other = change("tidegate echo", "tidegate sink").unwrap_err();
        assert_eq!(other, "the role is echo, and the file has [sink]: start that anew");
        let wrong = change("tidegate hub --frames=lines", "tidegate hub --frames=bytes --slow=drop-newest");
        assert!(wrong.is_ok(), "the frames stay");
        let wrong = change("tidegate hub --queue=1M", "tidegate hub --queue=8M --backlog=4M").unwrap_err();
        assert!(wrong.contains("--backlog of 4M is above --queue of 1M") && wrong.contains("(--queue stay"), "{wrong}");
    }
}
