//! The flags that tell what the loop does.

use std::time::Duration;

use clap::Args;

use super::duration::duration;

#[derive(Clone, Debug, Args)]
pub struct ExplainOptions {
    /// Tell what the loop does and why
    ///
    /// A paragraph for each turn in which something has happened. With
    /// --explain=#5 it follows connection 5 alone. What peers send is not
    /// shown. A role tells it on standard error, 'replay' on standard output.
    #[arg(
        long,
        value_name = "#N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all",
        value_parser = followed,
        verbatim_doc_comment
    )]
    explain: Option<Followed>,

    /// Wait this long after each paragraph of --explain
    ///
    /// For a lecture. Peers have to wait as well.
    #[arg(long, value_name = "DURATION", requires = "explain", value_parser = duration, verbatim_doc_comment)]
    slow_motion: Option<Duration>,
}

/// Whom an explanation follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    All,
    Connection(u32),
}

impl ExplainOptions {
    pub fn followed(&self) -> Option<Followed> {
        self.explain
    }

    /// The wait after each paragraph.
    pub fn slow_motion(&self) -> Duration {
        self.slow_motion.unwrap_or_default()
    }
}

fn followed(text: &str) -> Result<Followed, String> {
    if text == "all" {
        return Ok(Followed::All);
    }
    let number = text.strip_prefix('#').unwrap_or(text);
    number.parse().map(Followed::Connection).map_err(|_| {
        "it is the number of a connection, as --explain shows it: --explain=#5. Quote it for the shell: '--explain=#5'"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{daemon, wrong};
    use super::*;

    #[test]
    fn all_or_one_connection_is_followed() {
        for (flag, followed) in [
            ("--explain", Followed::All),
            ("--explain=all", Followed::All),
            ("--explain=#5", Followed::Connection(5)),
            ("--explain=5", Followed::Connection(5)),
        ] {
            assert_eq!(daemon(&[flag]).explain.followed(), Some(followed), "{flag}");
        }
        assert_eq!(daemon(&[]).explain.followed(), None);
        for flag in ["--explain=anna", "--explain=#", "--explain=-1", "--explain=#99999999999"] {
            assert!(wrong(&[flag]).contains("the number of a connection"), "{flag}");
        }
    }

    #[test]
    fn slow_motion_is_for_an_explanation() {
        let slow = daemon(&["--explain", "--slow-motion", "500ms"]).explain;
        assert_eq!(slow.slow_motion(), Duration::from_millis(500));
        assert!(wrong(&["--slow-motion", "500ms"]).contains("required"));
    }
}
