//! Who may connect to a Unix socket: `--mode` and `--owner`.

use std::str::FromStr;

use super::number::whole;

pub(super) fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(mode),
        _ => Err("write it in octal, from 0 to 777, such as 660".to_owned()),
    }
}

/// The owner of a file, by number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owner {
    pub user: Option<u32>,
    pub group: Option<u32>,
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let owner = Owner { user: number(user, "id -u")?, group: number(group, "getent group")? };
        if owner.user.is_none() && owner.group.is_none() {
            return Err(
                "write a user's number, a user's and a group's such as 0:27, or a group's such as :27".to_owned()
            );
        }
        Ok(owner)
    }
}

/// A name is not looked up, because that may ask another machine. `lookup` is the command that does it.
fn number(text: &str, lookup: &str) -> Result<Option<u32>, String> {
    match text {
        "" => Ok(None),
        name if name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_') => {
            Err(format!("names are not looked up: write the number that '{lookup} {name}' prints"))
        }
        // To chown(2) the last number means that the owner stays.
        number => whole(number, 0..=u32::MAX - 1).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use tidegate::SocketPermissions;

    use super::super::Listen;
    use super::super::tests::{daemon, wrong};

    #[test]
    fn a_unix_socket_has_a_path_or_a_name_and_a_path_has_a_mode_and_an_owner() {
        let path = "unix:/run/x.sock";
        for text in [path, "unix:@x"] {
            assert_eq!(daemon(&["--listen", text]).listen, [Listen::At(text.parse().unwrap())]);
        }
        assert!(wrong(&["--listen", path, "--listen", path]).contains("is given twice"));
        assert!(wrong(&["--listen", "unix:"]).contains("is empty"));
        assert!(wrong(&["--listen", &format!("unix:/{}", "x".repeat(200))]).contains("has at most"));

        let permissions = |flags: &[&str]| daemon(&[&["--listen", path], flags].concat()).permissions();
        let expected = SocketPermissions::new().mode(0o660).group(27);
        assert_eq!(permissions(&["--mode", "660", "--owner", ":27"]), expected);
        assert_eq!(permissions(&["--owner", "1:2"]), SocketPermissions::new().owner(1).group(2));
        assert_eq!(permissions(&[]), SocketPermissions::new());
        for text in ["888", "1777", "rw", "", "+7"] {
            assert!(wrong(&["--listen", path, "--mode", text]).contains("such as 660"), "{text}");
        }
        assert!(wrong(&["--listen", path, "--owner", ":"]).contains("a user's number"));
        for (owner, says) in [
            ("root", "names are not looked up: write the number that 'id -u root' prints"),
            ("0:adm", "names are not looked up: write the number that 'getent group adm' prints"),
            ("-1", "not a whole number"),
        ] {
            assert!(wrong(&["--listen", path, &format!("--owner={owner}")]).contains(says), "{owner}");
        }
        assert!(wrong(&["--mode", "660"]).contains("nothing else has a file"));
        assert!(wrong(&["--listen", "unix:@x", "--mode", "660"]).contains("nothing else has a file"));
        let beside = daemon(&["--listen", ":7000", "--listen", path, "--mode", "660"]);
        assert_eq!(beside.permissions(), SocketPermissions::new().mode(0o660));
    }
}
