//! How many bytes may be queued for one peer: `--output-hard`, `--output-soft` and `--output-grace`.

use std::time::Duration;

use clap::Args;
use tidegate::{OutputLimits, OutputPolicy, SoftLimit};

use super::duration::grace;
use super::number::{OrNone, Size, size_or_none};

/// The soft limit if none is typed.
const DEFAULT_SOFT: usize = 256 * 1024;

/// The greeting, and what the room says of guests who come and go, take some hundred bytes.
const LEAST_HARD: usize = 1024;

#[derive(Clone, Debug, Args)]
pub struct OutputOptions {
    /// Most bytes that may be queued for one peer
    ///
    /// A peer for which more is queued is disconnected at once.
    #[arg(long, value_name = "SIZE|none", default_value = "1MiB", value_parser = size_or_none, verbatim_doc_comment)]
    output_hard: OrNone<Size>,

    /// Most bytes that may be queued for longer than --output-grace
    ///
    /// A peer for which more is queued for that long is disconnected. It
    /// cannot be above --output-hard; the default is lowered to that.
    ///
    /// [default: 256KiB]
    #[arg(long, value_name = "SIZE|none", value_parser = size_or_none, verbatim_doc_comment)]
    output_soft: Option<OrNone<Size>>,

    /// Longest time above --output-soft
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = grace)]
    output_grace: Duration,
}

impl OutputOptions {
    pub(super) fn check(&self) -> Result<(), String> {
        match (&self.output_soft, &self.output_hard) {
            (Some(Some(soft)), Some(hard)) if soft.bytes > hard.bytes => Err(format!(
                "--output-soft of {soft} is above --output-hard of {hard} and would never act: lower it, or raise \
                 --output-hard (or set it to none)"
            )),
            _ => self.check_hard(),
        }
    }

    fn check_hard(&self) -> Result<(), String> {
        match &self.output_hard {
            Some(hard) if hard.bytes < LEAST_HARD => Err(format!(
                "--output-hard of {hard} is below 1KiB: a peer would be disconnected for the greeting and a line of the \
                 room's own"
            )),
            _ => Ok(()),
        }
    }

    pub fn limits(&self) -> OutputLimits {
        let bytes = |size: &OrNone<Size>| size.as_ref().map(|size| size.bytes);
        let hard = bytes(&self.output_hard);
        let soft = match &self.output_soft {
            Some(soft) => bytes(soft),
            None => Some(hard.map_or(DEFAULT_SOFT, |hard| hard.min(DEFAULT_SOFT))),
        };
        let soft = soft.map(|bytes| SoftLimit::new(bytes, self.output_grace));
        OutputLimits::new().hard(hard).soft(soft).policy(OutputPolicy::Disconnect)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{chat, wrong};
    use super::*;

    #[test]
    fn the_soft_limit_is_not_above_the_hard_one() {
        let limits = |flags: &[&str]| {
            let OutputLimits { hard, soft, .. } = chat(flags).output.limits();
            (hard, soft.map(|soft| soft.bytes))
        };
        assert_eq!(limits(&["--output-hard", "none", "--output-soft", "none"]), (None, None));
        assert_eq!(limits(&["--output-hard", "none"]), (None, Some(DEFAULT_SOFT)));
        assert_eq!(limits(&["--output-hard", "none", "--output-soft", "8M"]), (None, Some(8 << 20)));
        assert_eq!(limits(&["--output-hard", "64K"]), (Some(65536), Some(65536)), "the default is lowered");
        assert_eq!(limits(&["--output-hard", "64K", "--output-soft", "64K"]), (Some(65536), Some(65536)));
        assert_eq!(
            chat(&["--output-soft", "4K", "--output-grace", "1s500ms"]).output.limits().soft,
            Some(SoftLimit::new(4096, Duration::from_millis(1500)))
        );
        assert!(wrong(&["--output-hard", "10"]).contains("--output-hard of 10 bytes is below 1KiB"));
        assert_eq!(
            wrong(&["--output-soft", "2M"]),
            "error: --output-soft of 2M is above --output-hard of 1MiB and would never act: lower it, or raise \
             --output-hard (or set it to none)"
        );
    }
}
