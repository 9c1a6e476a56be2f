//! `/etc/hosts`: names that have their addresses there.
//!
//! A list against advertisements has 150,000 lines. So the file is kept as it is, with an index: a hash of each word that may be a
//! name, and where it stands. What is in a line is only looked at when its name is looked up.

use std::net::IpAddr;

use crate::address::host_name::HostName;

/// The most addresses of one name that are used.
const MOST_ADDRESSES: usize = 64;

/// The most names that count. They are put in order in one turn, and nobody is served meanwhile.
const MOST_NAMES: usize = 1 << 18;

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    text: Vec<u8>,
    /// The hash of a word, and its place in the text. Sorted.
    index: Vec<(u32, u32)>,
}

impl Hosts {
    /// Reads it line by line: an address, and its names. What is neither is left out, as in glibc.
    pub fn read(mut text: Vec<u8>) -> Self {
        let mut index = Vec::new();
        let mut from = 0;
        for line in text.split(|byte| *byte == b'\n') {
            let names = words(line).skip(1);
            index.extend(names.map(|(place, word)| (hash(word), (from + place) as u32)));
            from += line.len() + 1;
            if index.len() > MOST_NAMES {
                log::warn!("the hosts file has more than {MOST_NAMES} names: those after them do not count");
                index.truncate(MOST_NAMES);
                break;
            }
        }
        index.sort_unstable();
        text.shrink_to_fit();
        index.shrink_to_fit();
        Hosts { text, index }
    }

    /// What it was read from.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The addresses of a name, in the order of the file. Empty if it has none here.
    pub fn addresses(&self, name: &HostName) -> Vec<IpAddr> {
        let mut all = Vec::new();
        let hash = hash(name.as_str().as_bytes());
        let first = self.index.partition_point(|(other, _)| *other < hash);
        let same = self.index[first..].iter().take_while(|(other, _)| *other == hash);
        for address in same.filter_map(|(_, place)| self.address_at(*place as usize, name)) {
            if all.len() < MOST_ADDRESSES && !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }

    /// The address of the line in which this name stands at this place.
    fn address_at(&self, place: usize, name: &HostName) -> Option<IpAddr> {
        let (before, after) = self.text.split_at_checked(place)?;
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let length = after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
        let line = self.text.get(begin..place + length)?;
        // Bytes that are no text spoil their line.
        std::str::from_utf8(line.split(|byte| *byte == b'#').next()?).ok()?;
        let text = |word| std::str::from_utf8(word).ok();
        let (_, word) = words(line).find(|(at, _)| begin + at == place)?;
        let (_, address) = words(line).next()?;
        (HostName::new(text(word)?).ok()? == *name).then(|| text(address)?.parse().ok())?
    }
}

/// The words of a line, and where they stand, up to a comment.
fn words(line: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
    let mut at = 0;
    line.split(u8::is_ascii_whitespace).filter_map(move |word| {
        let place = at;
        at += word.len() + 1;
        (!word.is_empty()).then_some((place, word))
    })
}

/// The same for upper and lower case, and for a name with a dot at its end (FNV-1a).
fn hash(word: &[u8]) -> u32 {
    let word = word.strip_suffix(b".").unwrap_or(word);
    word.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_all_addresses_of_their_lines() {
        let hosts = Hosts::read(
            b"127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # both\n192.0.2.1 Alpha alpha.example\n\
              192.0.2.2 alpha\n192.0.2.1 alpha\n2001:db8::1 alpha\n# 192.0.2.9 alpha\nnonsense alpha\n\xff alpha\n\
              192.0.2.3 a..b beta\n192.0.2.4"
                .to_vec(),
        );
        let of = |name: &str| {
            let found = hosts.addresses(&HostName::new(name).unwrap());
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("ALPHA"), "192.0.2.1 192.0.2.2 2001:db8::1");
        assert_eq!(of("alpha.example"), "192.0.2.1");
        assert_eq!(of("beta"), "192.0.2.3");
        assert_eq!(of("ip6-localhost"), "::1");
        assert_eq!(of("gamma"), "");
    }

    #[test]
    fn a_long_list_is_kept_in_little_more_than_its_own_size() {
        let line = |number: usize| format!("0.0.0.0 ad{number}.example\n");
        let text: String = (0..10_000).map(line).chain(["192.0.2.1 ad17.example AD17.EXAMPLE.\n".to_owned()]).collect();
        let hosts = Hosts::read(text.into_bytes());
        assert_eq!((hosts.index.len(), size_of_val(&hosts.index[0])), (10_002, 8));
        let of = |name: &str| hosts.addresses(&HostName::new(name).unwrap()).len();
        assert!((0..10_000).all(|number| of(&format!("ad{number}.EXAMPLE")) == 1 + usize::from(number == 17)));
        assert_eq!((of("ad17.example."), of("ad10000.example"), of("d17.example"), of("ad17.exampl")), (1, 0, 0, 0));
    }

    #[test]
    fn names_whose_hashes_are_equal_are_told_apart() {
        let mut seen = std::collections::HashMap::new();
        let [one, other] = (0..)
            .find_map(|number| {
                let name = format!("h{number}");
                let earlier = seen.insert(hash(name.as_bytes()), name.clone())?;
                Some([earlier, name])
            })
            .unwrap();
        let hosts = Hosts::read(format!("192.0.2.1 {one}\n192.0.2.2 {other}\n").into_bytes());
        let of = |name: &str| hosts.addresses(&HostName::new(name).unwrap());
        assert_eq!((of(&one), of(&other)), (vec![[192, 0, 2, 1].into()], vec![[192, 0, 2, 2].into()]));
    }

    #[test]
    fn names_beyond_the_bound_do_not_count() {
        let text: String = (0..MOST_NAMES + 2).map(|number| format!("192.0.2.1 h{number}\n")).collect();
        let hosts = Hosts::read(text.into_bytes());
        let of = |number: usize| hosts.addresses(&HostName::new(&format!("h{number}")).unwrap()).len();
        assert_eq!((hosts.index.len(), of(MOST_NAMES - 1), of(MOST_NAMES)), (MOST_NAMES, 1, 0));
    }
}
