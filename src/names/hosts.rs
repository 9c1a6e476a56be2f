//! `/etc/hosts`: names that have their addresses there.
//!
//! A list against advertisements has 150,000 lines. So the file is kept as it is, in pieces, each with an index: a hash of each word
//! that may be a name, and where it stands. What is in a line is only looked at when its name is looked up. A piece that has not
//! changed is not gone through again.

use std::net::IpAddr;
use std::rc::Rc;

use crate::address::host_name::HostName;

/// The most addresses of one name that are used.
const MOST_ADDRESSES: usize = 64;

/// The most names that count: they take 2 MiB.
const MOST_NAMES: usize = 1 << 18;

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    pieces: Vec<Rc<Piece>>,
    names: usize,
    is_full: bool,
}

/// Some lines of it.
#[derive(Debug)]
struct Piece {
    text: Box<[u8]>,
    /// The hash of a word, and its place in the text. Sorted.
    index: Box<[(u32, u32)]>,
}

impl Hosts {
    /// Adds the next lines. If those of `known` are the same, they need not be read.
    pub fn push(&mut self, lines: &[u8], known: &Hosts) {
        if self.is_full || lines.is_empty() {
            return;
        }
        let room = MOST_NAMES - self.names;
        let same = known.pieces.get(self.pieces.len());
        let same = same.filter(|piece| *piece.text == *lines && piece.index.len() <= room);
        let piece = same.cloned().unwrap_or_else(|| Rc::new(Piece::read(lines, room)));
        if piece.text.len() < lines.len() {
            log::warn!("the hosts file has more than {MOST_NAMES} names: those after them do not count");
            self.is_full = true;
        }
        self.names += piece.index.len();
        self.pieces.push(piece);
    }

    /// The addresses of a name, in the order of the file. Empty if it has none here.
    pub fn addresses(&self, name: &HostName) -> Vec<IpAddr> {
        let mut all = Vec::new();
        let hash = hash(name.as_str().as_bytes());
        for address in self.pieces.iter().flat_map(|piece| piece.addresses(name, hash)) {
            if all.len() == MOST_ADDRESSES {
                break;
            }
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }
}

impl Piece {
    /// Reads it line by line: an address, and its names. What is neither is left out, as in glibc. Lines that have no room for all
    /// their names do not count.
    fn read(lines: &[u8], room: usize) -> Self {
        let mut index = Vec::new();
        let mut length = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let before = index.len();
            let names = words(line).skip(1);
            index.extend(names.map(|(place, word)| (hash(word), (length + place) as u32)));
            if index.len() > room {
                index.truncate(before);
                break;
            }
            length += line.len();
        }
        index.sort_unstable();
        Piece { text: lines[..length].into(), index: index.into_boxed_slice() }
    }

    fn addresses<'a>(&'a self, name: &'a HostName, hash: u32) -> impl Iterator<Item = IpAddr> + 'a {
        let first = self.index.partition_point(|(other, _)| *other < hash);
        let same = self.index[first..].iter().take_while(move |(other, _)| *other == hash);
        same.filter_map(|(_, place)| self.address_at(*place as usize, name))
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

    fn read(text: &[u8]) -> Hosts {
        let mut hosts = Hosts::default();
        hosts.push(text, &Hosts::default());
        hosts
    }

    #[test]
    fn names_have_all_addresses_of_their_lines() {
        let hosts = read(
            b"127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # both\n192.0.2.1 Alpha alpha.example\n\
              192.0.2.2 alpha\n192.0.2.1 alpha\n2001:db8::1 alpha\n# 192.0.2.9 alpha\nnonsense alpha\n\xff alpha\n\
              192.0.2.3 a..b beta\n192.0.2.4",
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
        let hosts = read(text.as_bytes());
        assert_eq!((hosts.names, size_of_val(&hosts.pieces[0].index[0])), (10_002, 8));
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
        let hosts = read(format!("192.0.2.1 {one}\n192.0.2.2 {other}\n").as_bytes());
        let of = |name: &str| hosts.addresses(&HostName::new(name).unwrap());
        assert_eq!((of(&one), of(&other)), (vec![[192, 0, 2, 1].into()], vec![[192, 0, 2, 2].into()]));
    }

    #[test]
    fn a_name_has_the_addresses_of_all_pieces_in_their_order() {
        let mut hosts = Hosts::default();
        for lines in ["192.0.2.3 a\n192.0.2.2 b\n", "", "192.0.2.1 a\n", "192.0.2.3 A # again\n"] {
            hosts.push(lines.as_bytes(), &Hosts::default());
        }
        let of = |name: &str| hosts.addresses(&HostName::new(name).unwrap());
        assert_eq!(of("a"), [IpAddr::from([192, 0, 2, 3]), [192, 0, 2, 1].into()]);
        assert_eq!(of("b"), [IpAddr::from([192, 0, 2, 2])]);
    }

    #[test]
    fn a_piece_that_is_the_same_is_kept_as_it_is() {
        let pushed = |pieces: &[&str], known: &Hosts| {
            let mut hosts = Hosts::default();
            pieces.iter().for_each(|piece| hosts.push(piece.as_bytes(), known));
            hosts
        };
        let known = pushed(&["192.0.2.1 a\n", "192.0.2.2 b\n", "192.0.2.3 c\n"], &Hosts::default());
        let hosts = pushed(&["192.0.2.1 a\n", "192.0.2.9 b\n", "192.0.2.3 c\n", "192.0.2.4 d\n"], &known);
        let kept = |at: usize| Rc::ptr_eq(&hosts.pieces[at], &known.pieces[at]);
        assert_eq!([kept(0), kept(1), kept(2)], [true, false, true]);
        let of = |name: &str| hosts.addresses(&HostName::new(name).unwrap());
        assert_eq!((of("b"), hosts.names), (vec![[192, 0, 2, 9].into()], 4));
    }

    #[test]
    fn names_beyond_the_bound_do_not_count() {
        let lines =
            |from: usize, to: usize| (from..to).map(|number| format!("192.0.2.1 h{number}\n")).collect::<String>();
        let whole = read(lines(0, MOST_NAMES + 2).as_bytes());
        let mut in_pieces = Hosts::default();
        for (from, to) in
            [(0, 9), (9, MOST_NAMES - 9), (MOST_NAMES - 9, MOST_NAMES + 9), (MOST_NAMES + 9, MOST_NAMES + 10)]
        {
            in_pieces.push(lines(from, to).as_bytes(), &Hosts::default());
        }
        for hosts in [whole, in_pieces] {
            let of = |number: usize| hosts.addresses(&HostName::new(&format!("h{number}")).unwrap()).len();
            assert_eq!((hosts.names, of(MOST_NAMES - 1), of(MOST_NAMES)), (MOST_NAMES, 1, 0));
        }
    }

    #[test]
    fn a_piece_that_is_the_same_counts_as_far_as_there_is_room() {
        let many = (0..MOST_NAMES / 2).map(|number| format!("192.0.2.1 h{number}\n")).collect::<String>();
        let known = {
            let mut hosts = read(b"192.0.2.1 a\n");
            hosts.push(many.as_bytes(), &Hosts::default());
            hosts
        };
        let first = (0..MOST_NAMES / 2 + 5).map(|number| format!("192.0.2.2 g{number}\n")).collect::<String>();
        let mut hosts = Hosts::default();
        hosts.push(first.as_bytes(), &known);
        hosts.push(many.as_bytes(), &known);
        assert_eq!(hosts.names, MOST_NAMES);
    }
}
