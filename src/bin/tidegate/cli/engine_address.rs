//! Where an engine is: `redis://[user@]HOST:PORT[/DB]`, or `redis+unix:PATH`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use tidegate::Endpoint;

use super::address::target;

/// What engines listen on if nobody says otherwise.
const PORT: u16 = 6379;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineAddress {
    pub at: Endpoint,
    pub user: Option<String>,
    pub database: Option<u32>,
}

/// Where engines are if nobody says otherwise.
impl Default for EngineAddress {
    fn default() -> Self {
        let at = SocketAddr::from(([127, 0, 0, 1], PORT)).into();
        EngineAddress { at, user: None, database: None }
    }
}

impl FromStr for EngineAddress {
    type Err = String;

    /// No error has a part of the text: there may be a password in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write redis://HOST:PORT, redis://USER@HOST:PORT/DB or redis+unix:/PATH";
        let scheme = |name: &str| {
            text.get(..name.len()).filter(|begin| begin.eq_ignore_ascii_case(name)).map(|_| &text[name.len()..])
        };
        if scheme("rediss:").is_some() || scheme("valkeys:").is_some() {
            return Err(
                "TLS is not spoken: write redis://, over a network that you trust or through a tunnel".to_owned()
            );
        }
        if let Some(path) = scheme("redis+unix:").or_else(|| scheme("valkey+unix:")) {
            return of_path(path.strip_prefix("//").unwrap_or(path));
        }
        match scheme("redis://").or_else(|| scheme("valkey://")) {
            Some(rest) => of_host(rest),
            None => Err(form.to_owned()),
        }
    }
}

/// `//user@/path` is a path too: its user has an at sign behind it.
fn of_path(text: &str) -> Result<EngineAddress, String> {
    let (user, path) = match text.split_once('@') {
        Some((user, path)) if !user.contains('/') => (Some(user), path),
        _ => (None, text),
    };
    let path = path.trim_end_matches('/');
    if !path.starts_with('/') {
        return Err("the path of its socket has to begin with '/': write redis+unix:/PATH".to_owned());
    }
    let at = format!("unix:{path}").parse::<Endpoint>().map_err(|_| "that is no path of a Unix socket".to_owned())?;
    Ok(EngineAddress { at, user: user.map(checked_user).transpose()?, database: None })
}

fn of_host(text: &str) -> Result<EngineAddress, String> {
    let (user, place) = match text.rsplit_once('@') {
        Some((user, place)) => (Some(checked_user(user)?), place),
        None => (None, text),
    };
    let (place, database) = match place.split_once('/') {
        Some((place, "")) => (place, None),
        Some((place, number)) => (place, Some(checked_database(number)?)),
        None => (place, None),
    };
    if place.contains(['?', '#']) {
        return Err("there is nothing behind the database: no parameters are known".to_owned());
    }
    let has_port = place.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let place = if has_port { place.to_owned() } else { format!("{place}:{PORT}") };
    let at = target(&place).map_err(|_| "that is no host with its port: write redis://HOST:PORT".to_owned())?;
    match at {
        Endpoint::Unix(_) => Err("the path of a Unix socket is written redis+unix:/PATH".to_owned()),
        at => Ok(EngineAddress { at, user, database }),
    }
}

fn checked_user(user: &str) -> Result<String, String> {
    if user.contains(':') {
        return Err(
            "a password does not belong there, where everybody sees it: use --bus-password-file or the variable \
                    TIDEGATE_BUS_PASSWORD"
                .to_owned(),
        );
    }
    let is_name = !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%');
    if is_name { Ok(user.to_owned()) } else { Err("a user is at least one letter, without blanks and '%'".to_owned()) }
}

fn checked_database(number: &str) -> Result<u32, String> {
    let wrong = |_| "a database is a number from 0 to 65535, behind the last '/'".to_owned();
    number.parse::<u16>().map(u32::from).map_err(wrong)
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        match self.at {
            Endpoint::Unix(path) if user.is_empty() => write!(f, "redis+unix:{path}"),
            Endpoint::Unix(path) => write!(f, "redis+unix://{user}{path}"),
            at => write!(f, "redis://{user}{at}"),
        }?;
        self.database.map_or(Ok(()), |database| write!(f, "/{database}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_taken_in_each_of_its_forms() {
        for (text, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://127.0.0.1", "redis://127.0.0.1:6379"),
            ("REDIS://localhost:7000/", "redis://localhost:7000"),
            ("redis://[::1]:7000/3", "redis://[::1]:7000/3"),
            ("redis://[::1]", "redis://[::1]:6379"),
            ("redis://room@engine.example:6379/0", "redis://room@engine.example:6379/0"),
            ("valkey://engine.example", "redis://engine.example:6379"),
            ("redis+unix:/run/redis.sock", "redis+unix:/run/redis.sock"),
            ("redis+unix:///run/redis.sock", "redis+unix:/run/redis.sock"),
            ("redis+unix://room@/run/redis.sock", "redis+unix://room@/run/redis.sock"),
        ] {
            let parsed: EngineAddress = text.parse().unwrap();
            assert_eq!(parsed.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<EngineAddress>(), Ok(parsed), "{text}");
        }
        let with_database: EngineAddress = "redis://h/12".parse().unwrap();
        assert_eq!((with_database.database, with_database.user), (Some(12), None));
    }

    #[test]
    fn what_cannot_be_says_the_way_out() {
        for (text, says) in [
            ("127.0.0.1:6379", "write redis://HOST:PORT"),
            ("http://h", "write redis://HOST:PORT"),
            ("", "write redis://HOST:PORT"),
            ("rediss://h:6379", "TLS is not spoken"),
            ("redis://h:6379/x", "a database is a number from 0 to 65535"),
            ("redis://h:6379/0?timeout=1", "a database is a number from 0 to 65535"),
            ("redis://h?x", "no parameters are known"),
            ("redis://h:0", "that is no host with its port"),
            ("redis://", "that is no host with its port"),
            ("redis://:6379", "that is no host with its port"),
            ("redis://@h", "a user is at least one letter"),
            ("redis+unix:relative", "has to begin with '/'"),
            ("redis+unix:", "has to begin with '/'"),
        ] {
            let wrong = text.parse::<EngineAddress>().unwrap_err();
            assert!(wrong.contains(says), "{text}: {wrong}");
        }
    }

    #[test]
    fn a_password_in_it_is_refused_and_not_repeated() {
        for text in [
            "redis://room:s3cret@h:6379",
            "redis://:s3cret@h:6379/0",
            "redis://room:s3@cret@h",
            "redis+unix://room:s3cret@/run/x",
            "rediss://room:s3cret@h",
            "redis:room:s3cret@h",
            "redis://room:s3cret",
            "redis://room:s3cret/0",
        ] {
            let wrong = text.parse::<EngineAddress>().unwrap_err();
            assert!(!wrong.contains("s3") && !wrong.contains("cret"), "{wrong}");
        }
        let wrong = "redis://room:s3cret@h".parse::<EngineAddress>().unwrap_err();
        assert!(wrong.contains("--bus-password-file or the variable TIDEGATE_BUS_PASSWORD"), "{wrong}");
    }
}
