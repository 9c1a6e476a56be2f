//! What the room itself tells its guests of the other nodes.

use std::fmt;
use std::rc::Rc;

use crate::cli::counted;

/// A line of the room, without the `* ` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// From now on only the guests of this node hear what is said here.
    OutOfReach { here: u64 },
    /// So many lines were said elsewhere meanwhile. They follow, but for those that are gone.
    TogetherAgain { lines: u64 },
    /// So many of them cannot be told any more.
    Gone { lines: u64 },
    /// So many lines of a node did not come, while all were together.
    Lost { lines: u64, label: Rc<str> },
    /// So many lines that were told here will not be told elsewhere.
    NotHeard { lines: u64 },
    /// A node has stopped, or nothing is heard of it: its guests have left.
    NodeLeft { label: Rc<str>, guests: u64, online: u64 },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = |count: u64| if count == 1 { "is" } else { "are" };
        let was = |count: u64| if count == 1 { "was" } else { "were" };
        let lines = |count: u64| counted(count, "line");
        match self {
            Notice::OutOfReach { here } => write!(f, "the other machines are out of reach; {here} here hear you"),
            Notice::TogetherAgain { lines: 0 } => write!(f, "together again; nothing was said elsewhere"),
            Notice::TogetherAgain { lines: n } => {
                write!(f, "together again; {} {} said elsewhere", lines(*n), was(*n))
            }
            Notice::Gone { lines: n } => write!(f, "{} {} gone", lines(*n), is(*n)),
            Notice::Lost { lines: n, label } => write!(f, "{} of {label} {} lost", lines(*n), was(*n)),
            Notice::NotHeard { lines: n } => write!(f, "{} of this machine {} not heard elsewhere", lines(*n), was(*n)),
            Notice::NodeLeft { label, guests, online } => write!(f, "{label} is gone; {guests} left; {online} online"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_sentence() {
        for (notice, text) in [
            (Notice::OutOfReach { here: 3 }, "the other machines are out of reach; 3 here hear you"),
            (Notice::TogetherAgain { lines: 41 }, "together again; 41 lines were said elsewhere"),
            (Notice::TogetherAgain { lines: 1 }, "together again; 1 line was said elsewhere"),
            (Notice::TogetherAgain { lines: 0 }, "together again; nothing was said elsewhere"),
            (Notice::Gone { lines: 812 }, "812 lines are gone"),
            (Notice::Lost { lines: 1, label: "web2".into() }, "1 line of web2 was lost"),
            (Notice::NotHeard { lines: 2 }, "2 lines of this machine were not heard elsewhere"),
            (Notice::NodeLeft { label: "web2".into(), guests: 12, online: 30 }, "web2 is gone; 12 left; 30 online"),
        ] {
            assert_eq!(notice.to_string(), text);
        }
    }
}
