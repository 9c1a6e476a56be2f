//! `/etc/resolv.conf`: which name servers are asked, and for which names.
//!
//! It is read line by line, as glibc does: what is wrong or unknown in it is left out, and the rest counts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::address::host_name::HostName;

/// The bounds of glibc (resolv.h).
const MOST_SERVERS: usize = 3;
const MOST_DOTS: u32 = 15;
const LONGEST_TIMEOUT: u32 = 30;
const MOST_ATTEMPTS: u32 = 5;

/// glibc has no bound. Each domain may cost the time of all servers.
const MOST_DOMAINS: usize = 32;

/// The port of name servers.
const PORT: u16 = 53;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvConf {
    /// From one to three.
    pub servers: Vec<SocketAddr>,
    /// The domains that are added to a name. `None` among them is the root: the name as it is.
    pub search: Vec<Option<HostName>>,
    /// A name with as many dots is asked for as it is first.
    pub ndots: usize,
    /// How long a server may take.
    pub timeout: Duration,
    /// How often each server is asked.
    pub attempts: u32,
    /// Whether each look-up begins with another server.
    pub rotate: bool,
}

impl Default for ResolvConf {
    /// As if the file was empty.
    fn default() -> Self {
        ResolvConf {
            servers: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))],
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
        }
    }
}

impl ResolvConf {
    pub fn read(text: &[u8]) -> Self {
        let mut conf = ResolvConf::default();
        let mut servers = Vec::new();
        for line in text.split(|byte| *byte == b'\n') {
            // A line of bytes that are no text has no name and no address.
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let Some((keyword, rest)) = line.split_once([' ', '\t']) else { continue };
            let mut words = rest.split_ascii_whitespace();
            match keyword {
                "nameserver" => servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
                "domain" => conf.search = words.next().and_then(domain).into_iter().collect(),
                "search" => conf.search = words.filter_map(domain).take(MOST_DOMAINS).collect(),
                "options" => words.for_each(|option| conf.set(option)),
                _ => {}
            }
        }
        if !servers.is_empty() {
            conf.ask(servers.into_iter().map(|server| SocketAddr::new(server, PORT)));
        }
        conf
    }

    /// Asks these servers, the first three of them.
    pub fn ask(&mut self, servers: impl IntoIterator<Item = SocketAddr>) {
        self.servers = servers.into_iter().take(MOST_SERVERS).collect();
    }

    fn set(&mut self, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        // As atoi(3) does: the digits that it begins with.
        let digits = value.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(value.len());
        let number = value[..digits].parse::<u32>().ok();
        match (name, number) {
            ("ndots", Some(number)) => self.ndots = number.min(MOST_DOTS) as usize,
            ("timeout", Some(number)) => {
                self.timeout = Duration::from_secs(number.clamp(1, LONGEST_TIMEOUT).into());
            }
            ("attempts", Some(number)) => self.attempts = number.clamp(1, MOST_ATTEMPTS),
            ("rotate", None) if value.is_empty() => self.rotate = true,
            _ => {}
        }
    }
}

/// A domain that is added to names; what cannot be one is left out.
fn domain(word: &str) -> Option<Option<HostName>> {
    // As glibc does, without the dot that it may begin with.
    let word = word.strip_prefix('.').unwrap_or(word);
    if word.is_empty() {
        return Some(None);
    }
    HostName::new(word).ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(conf: &ResolvConf) -> Vec<String> {
        conf.search.iter().map(|domain| domain.map_or(String::new(), |domain| domain.to_string())).collect()
    }

    #[test]
    fn a_usual_file() {
        let conf = ResolvConf::read(
            b"# made by hand\nsearch corp.example example.org\nnameserver 192.0.2.1\nnameserver\t2001:db8::1\n\
              options ndots:2 timeout:3 attempts:4 rotate edns0\n",
        );
        assert_eq!(conf.servers, ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]);
        assert_eq!(domains(&conf), ["corp.example", "example.org"]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts, conf.rotate), (2, Duration::from_secs(3), 4, true));
    }

    #[test]
    fn without_a_server_the_machine_itself_is_asked() {
        for text in [&b""[..], b"search example.org", b"nameserver\nnameserver nobody\nnameserver 1.2.3"] {
            assert_eq!(ResolvConf::read(text).servers, ["127.0.0.1:53".parse().unwrap()]);
        }
    }

    #[test]
    fn what_is_wrong_is_left_out_and_the_rest_counts() {
        let conf = ResolvConf::read(
            b"nameserver 300.1.1.1\n nameserver 192.0.2.9\nNAMESERVER 192.0.2.8\nnameserver 192.0.2.1 # the first\n\
              \xff\xfe\nnameserver 192.0.2.2\r\nnonsense\nsearch a..b ok.example\n\
              options ndots:x timeout: attempts rotate:1 unknown:7 ndots:3\n",
        );
        assert_eq!(conf.servers, ["192.0.2.1:53".parse().unwrap(), "192.0.2.2:53".parse().unwrap()]);
        assert_eq!(domains(&conf), ["ok.example"]);
        assert_eq!((conf.ndots, conf.timeout, conf.attempts, conf.rotate), (3, Duration::from_secs(5), 2, false));
    }

    #[test]
    fn numbers_have_bounds() {
        let conf = ResolvConf::read(b"options ndots:99 timeout:999 attempts:99");
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (15, Duration::from_secs(30), 5));
        let conf = ResolvConf::read(b"options ndots:0 timeout:0 attempts:0");
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (0, Duration::from_secs(1), 1));
    }

    #[test]
    fn the_last_list_counts_and_three_servers_are_asked() {
        let conf = ResolvConf::read(
            b"search a.example b.example\ndomain c.example d.example\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n\
              nameserver 192.0.2.3\nnameserver 192.0.2.4\n",
        );
        assert_eq!(domains(&conf), ["c.example"]);
        assert_eq!(conf.servers.len(), 3);
        assert_eq!(domains(&ResolvConf::read(b"domain a.example\nsearch b.example .")), ["b.example", ""]);
    }
}
