//! The flags of `tidegate source`.

use clap::Args;

use super::DaemonOptions;
use super::number::{OrNone, total_or_none};

#[derive(Clone, Debug, Args)]
pub struct SourceOptions {
    #[command(flatten)]
    pub daemon: DaemonOptions,

    /// Bytes to send on each connection, which then ends
    ///
    /// A SIZE of at most 1048576GiB.
    #[arg(long, value_name = "SIZE|none", default_value = "none", value_parser = total_or_none)]
    pub bytes: OrNone<u64>,
}

#[cfg(test)]
mod tests {
    use super::super::{Role, Typed, parse_from};

    #[test]
    fn a_source_has_an_end_if_it_is_told_one() {
        let source = |flags: &[&str]| match parse_from(["tidegate", "source"].iter().chain(flags)) {
            Ok(Typed::Role(Role::Source(options))) => Ok(options.bytes),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(source(&[]), Ok(None));
        assert_eq!(source(&["--bytes", "5000000000"]), Ok(Some(5_000_000_000)));
        assert_eq!(source(&["--bytes", "1M"]), Ok(Some(1 << 20)));
        assert_eq!(source(&["--bytes", "1048576G"]), Ok(Some(1 << 50)));
        assert_eq!(source(&["--bytes", "none"]), Ok(None));
        for (text, says) in [
            ("0", "from 1 byte to 1048576GiB"),
            ("1048577G", "from 1 byte to 1048576GiB"),
            ("", "from 1 byte to 1048576GiB"),
            ("1X", "in bytes, or in KiB, MiB or GiB, such as"),
            ("1.5", "in bytes, or in KiB, MiB or GiB, such as"),
        ] {
            assert!(source(&["--bytes", text]).is_err_and(|error| error.contains(says)), "{text}");
        }
    }
}
