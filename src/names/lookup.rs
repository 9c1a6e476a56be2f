//! One name: which names are asked for it, and when it is over.
//!
//! A name with few dots is one of the search list's domains first, and one with many is asked as it is first. The rules are those
//! of glibc's `res_search`: no such name, and no address, is a reason to ask for the next one; no answer at all is not, but the name
//! as it is, is asked in any case. A server that fails may know the next domain; one that refuses ends the list.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::{Answer, Families, Family, Hints, Question, ResolvConf};
use crate::address::hints::{Mapped, as_v6};
use crate::address::host_name::HostName;
use crate::base::error::Error;

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    NoSuchName,
    NoAddress,
    ServersFail,
    ServersRefuse,
    /// If one could not be reached, the error says why, and which.
    NoServer(Option<Error>),
    /// No server was asked: the system says why.
    System(Error),
    TooMany,
}

/// What a look-up comes to.
pub(super) enum Next {
    /// The families of this name are to be asked for.
    Ask(HostName),
    Over(Result<Vec<IpAddr>, Failure>),
}

#[derive(Debug)]
pub(super) struct Lookup {
    pub host: HostName,
    /// Which are asked for now.
    pub families: Families,
    /// When those of IPv4 are asked for after those of IPv6.
    mapped: Option<Mapped>,
    /// What has become of those, meanwhile.
    of_v6: Option<Result<Vec<IpAddr>, Failure>>,
    conf: Rc<ResolvConf>,
    /// Which of the names is asked for.
    place: usize,
    answers: Answers,
    /// What became of the name as it is, if it was asked for first.
    as_it_is: Option<Failure>,
    had_no_address: bool,
    had_failing_servers: bool,
    /// It has addresses of one family, and waits for the other until then.
    pub waits_until: Option<Duration>,
    /// That time is over, and a last turn is waited for.
    pub is_impatient: bool,
}

/// The answers for the name that is asked for.
#[derive(Debug, Default)]
struct Answers {
    v4: Option<Answer>,
    v6: Option<Answer>,
}

impl Lookup {
    pub fn new(host: HostName, families: Families, hints: Hints, conf: Rc<ResolvConf>) -> Self {
        Lookup {
            host,
            families,
            mapped: hints.mapped(families),
            of_v6: None,
            conf,
            place: 0,
            answers: Answers::default(),
            as_it_is: None,
            had_no_address: false,
            had_failing_servers: false,
            waits_until: None,
            is_impatient: false,
        }
    }

    /// Whether one family has addresses. It is not asked when both have answered.
    pub fn has_one_family(&self) -> bool {
        let has = |answer: &Option<Answer>| matches!(answer, Some(Answer::Addresses(_)));
        has(&self.answers.v4) || has(&self.answers.v6)
    }

    /// The addresses of the family that has answered. The other one is waited for no longer.
    pub fn with_one_family(&mut self) -> Option<Vec<IpAddr>> {
        let Answers { v4, v6 } = std::mem::take(&mut self.answers);
        [v6, v4].into_iter().flatten().find_map(|answer| match answer {
            Answer::Addresses(addresses) => Some(addresses),
            _ => None,
        })
    }

    /// The first name that is asked for.
    pub fn begin(&mut self) -> Next {
        self.from(0, Failure::NoSuchName)
    }

    /// What is asked for it now.
    pub fn questions(&self) -> impl Iterator<Item = Question> {
        let name = self.name(self.place);
        self.families.each().iter().filter_map(move |family| Some(Question { name: name?, family: *family }))
    }

    /// An answer has come. None: that of the other family is waited for.
    pub fn answered(&mut self, family: Family, answer: Answer) -> Option<Next> {
        match family {
            Family::V4 => self.answers.v4 = Some(answer),
            Family::V6 => self.answers.v6 = Some(answer),
        }
        let is_there = |family: &Family| match family {
            Family::V4 => self.answers.v4.is_some(),
            Family::V6 => self.answers.v6.is_some(),
        };
        self.families.each().iter().all(is_there).then(|| self.judge())
    }

    /// The name that is asked for has all its answers.
    fn judge(&mut self) -> Next {
        let Answers { v4, v6 } = std::mem::take(&mut self.answers);
        // Those of IPv6 first, as RFC 8305 wants it.
        let answers: Vec<Answer> = [v6, v4].into_iter().flatten().collect();
        let addresses: Vec<IpAddr> = answers
            .iter()
            .flat_map(|answer| match answer {
                Answer::Addresses(addresses) => addresses.as_slice(),
                _ => &[],
            })
            .copied()
            .collect();
        if !addresses.is_empty() {
            return self.over(Ok(addresses));
        }
        let failure = worst(&answers);
        self.had_no_address |= failure == Failure::NoAddress;
        self.had_failing_servers |= failure == Failure::ServersFail;
        if self.place == 0 && self.begins_as_it_is() {
            self.as_it_is = Some(failure.clone());
        }
        // It is of this machine, so another name would fare no better.
        if matches!(failure, Failure::System(_)) {
            return self.over(Err(failure));
        }
        // Without an answer for a domain, or with a refusal, the others are passed over.
        let domains = self.conf.search.len();
        let next = match (&failure, self.begins_as_it_is()) {
            (Failure::NoServer(_) | Failure::ServersRefuse, true) if self.place > 0 => domains + 1,
            (Failure::NoServer(_) | Failure::ServersRefuse, false) => domains.max(self.place + 1),
            _ => self.place + 1,
        };
        self.from(next, failure)
    }

    /// The first of the names from this place on. `failure` is what became of the one before.
    fn from(&mut self, place: usize, failure: Failure) -> Next {
        for place in place..=self.conf.search.len() {
            if let Some(name) = self.name(place) {
                self.place = place;
                return Next::Ask(name);
            }
        }
        let failure = match &self.as_it_is {
            Some(failure) => failure.clone(),
            None if self.had_no_address => Failure::NoAddress,
            None if self.had_failing_servers => Failure::ServersFail,
            None => failure,
        };
        self.over(Err(failure))
    }

    /// The names have come to this. With a hint, IPv4 addresses are asked for next, from the first name on, as glibc does: of the
    /// search list, they may be those of another domain.
    fn over(&mut self, outcome: Result<Vec<IpAddr>, Failure>) -> Next {
        let goes_on = match (self.mapped.take(), &outcome) {
            (None, _) | (_, Err(Failure::System(_))) => false,
            (Some(mapped), Ok(_)) => mapped == Mapped::Always,
            (Some(Mapped::IfNone | Mapped::Always), Err(_)) => true,
        };
        if goes_on {
            self.families = Families::V4;
            self.of_v6 = Some(outcome);
            (self.as_it_is, self.had_no_address, self.had_failing_servers) = (None, false, false);
            return self.begin();
        }
        Next::Over(match self.of_v6.take() {
            None => outcome,
            Some(of_v6) => with_mapped(of_v6, outcome),
        })
    }

    fn begins_as_it_is(&self) -> bool {
        self.host.is_whole() || self.host.dots() >= self.conf.ndots
    }

    /// The name at this place of the list, if there is one.
    fn name(&self, place: usize) -> Option<HostName> {
        let as_it_is = self.host.whole();
        let domain = match place {
            0 if self.begins_as_it_is() => return Some(as_it_is),
            _ if self.host.is_whole() => return None,
            _ if self.begins_as_it_is() => place - 1,
            _ => place,
        };
        match self.conf.search.get(domain) {
            Some(Some(domain)) => self.host.within(domain),
            Some(None) => Some(as_it_is),
            None if self.begins_as_it_is() || self.conf.search.contains(&None) => None,
            None => Some(as_it_is),
        }
    }
}

/// The IPv6 addresses, and the IPv4 ones behind them. If there are none, what may be otherwise later is said.
fn with_mapped(
    of_v6: Result<Vec<IpAddr>, Failure>,
    of_v4: Result<Vec<IpAddr>, Failure>,
) -> Result<Vec<IpAddr>, Failure> {
    let of_v4 = of_v4.map(|addresses| addresses.into_iter().map(as_v6).collect::<Vec<_>>());
    match (of_v6, of_v4) {
        (Ok(of_v6), Ok(of_v4)) => Ok([of_v6, of_v4].concat()),
        (Ok(addresses), Err(_)) | (Err(_), Ok(addresses)) => Ok(addresses),
        (Err(failure), Err(Failure::NoSuchName | Failure::NoAddress)) | (Err(_), Err(failure)) => Err(failure),
    }
}

/// What is to be said of a name, of both families of which there is no address.
fn worst(answers: &[Answer]) -> Failure {
    let has = |answer| answers.contains(&answer);
    let of_machine = answers.iter().find_map(|answer| match answer {
        Answer::System(error) => Some(Failure::System(error.clone())),
        _ => None,
    });
    let of_servers = answers.iter().find_map(|answer| match answer {
        Answer::NoServer(error) => Some(Failure::NoServer(error.clone())),
        _ => None,
    });
    if let Some(failure) = of_machine.or(of_servers) {
        failure
    } else if has(Answer::ServersRefuse) {
        Failure::ServersRefuse
    } else if has(Answer::ServersFail) {
        Failure::ServersFail
    } else if has(Answer::NoAddress) {
        Failure::NoAddress
    } else {
        Failure::NoSuchName
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(text: &str) -> Rc<ResolvConf> {
        Rc::new(ResolvConf::read(text.as_bytes()))
    }

    fn lookup(host: &str, text: &str) -> Lookup {
        Lookup::new(HostName::new(host).unwrap(), Families::Both, Hints::NONE, conf(text))
    }

    fn asks(next: Next) -> String {
        match next {
            Next::Ask(name) => name.as_str().to_owned(),
            Next::Over(outcome) => format!("{outcome:?}"),
        }
    }

    /// All names that are asked for, and the outcome, if each of them has these answers.
    fn course(host: &str, text: &str, answer: &dyn Fn(&str) -> Answer) -> Vec<String> {
        let mut lookup = lookup(host, text);
        let mut course = Vec::new();
        let mut next = lookup.begin();
        while let Next::Ask(name) = next {
            course.push(name.as_str().to_owned());
            assert!(lookup.answered(Family::V6, answer(name.as_str())).is_none(), "the other one is waited for");
            next = lookup.answered(Family::V4, answer(name.as_str())).unwrap();
        }
        course.push(asks(next));
        course
    }

    const LIST: &str = "search a.example b.example";

    #[test]
    fn a_name_with_few_dots_is_one_of_the_domains_first() {
        let none = |_: &str| Answer::NoSuchName;
        assert_eq!(course("www", LIST, &none), ["www.a.example", "www.b.example", "www", "Err(NoSuchName)"]);
        assert_eq!(course("www.x", LIST, &none), ["www.x", "www.x.a.example", "www.x.b.example", "Err(NoSuchName)"]);
        let more_dots = "search a.example\noptions ndots:2";
        assert_eq!(course("www.x", more_dots, &none), ["www.x.a.example", "www.x", "Err(NoSuchName)"]);
        assert_eq!(course("www.x.y", more_dots, &none), ["www.x.y", "www.x.y.a.example", "Err(NoSuchName)"]);
        assert_eq!(course("www", "search a.example\noptions ndots:0", &none)[0], "www");
    }

    #[test]
    fn a_whole_name_has_no_domain_and_the_root_may_be_one() {
        let none = |_: &str| Answer::NoSuchName;
        assert_eq!(course("www.", LIST, &none), ["www", "Err(NoSuchName)"]);
        assert_eq!(course("www", "", &none), ["www", "Err(NoSuchName)"]);
        assert_eq!(course("www", "search . a.example", &none), ["www", "www.a.example", "Err(NoSuchName)"]);
    }

    #[test]
    fn the_first_name_with_addresses_ends_it_with_those_of_ipv6_first() {
        let mut lookup = lookup("www", LIST);
        assert_eq!(asks(lookup.begin()), "www.a.example");
        assert!(lookup.answered(Family::V4, Answer::NoAddress).is_none());
        assert_eq!(asks(lookup.answered(Family::V6, Answer::NoAddress).unwrap()), "www.b.example");
        assert!(lookup.answered(Family::V4, Answer::Addresses(vec![[192, 0, 2, 1].into()])).is_none());
        let six = "2001:db8::1".parse().unwrap();
        let over = lookup.answered(Family::V6, Answer::Addresses(vec![six])).unwrap();
        assert_eq!(asks(over), "Ok([2001:db8::1, 192.0.2.1])");
    }

    #[test]
    fn one_family_is_enough_even_if_the_other_fails() {
        let mut lookup = lookup("www.x", LIST);
        lookup.begin();
        assert!(lookup.answered(Family::V6, Answer::ServersFail).is_none());
        let over = lookup.answered(Family::V4, Answer::Addresses(vec![[192, 0, 2, 1].into()])).unwrap();
        assert_eq!(asks(over), "Ok([192.0.2.1])");
    }

    #[test]
    fn without_an_answer_only_the_name_as_it_is_is_asked_too() {
        let silent = |_: &str| Answer::NoServer(None);
        assert_eq!(course("www", LIST, &silent), ["www.a.example", "www", "Err(NoServer(None))"]);
        let refused = |_: &str| Answer::ServersRefuse;
        assert_eq!(course("www", LIST, &refused), ["www.a.example", "www", "Err(ServersRefuse)"]);
        let failed = |_: &str| Answer::ServersFail;
        assert_eq!(course("www", LIST, &failed).len(), 4, "a server that fails may know another domain");
        assert_eq!(course("www.x", LIST, &silent), ["www.x", "www.x.a.example", "Err(NoServer(None))"]);
    }

    #[test]
    fn what_is_said_at_the_end_is_what_glibc_says() {
        let of = |name: &str| match name {
            "www.a.example" => Answer::NoAddress,
            "www.b.example" => Answer::ServersFail,
            _ => Answer::NoSuchName,
        };
        assert_eq!(course("www", LIST, &of).last().unwrap(), "Err(NoAddress)");
        let of = |name: &str| if name == "www.b.example" { Answer::ServersFail } else { Answer::NoSuchName };
        assert_eq!(course("www", LIST, &of).last().unwrap(), "Err(ServersFail)");
        // The first one as it is counts, whatever its domains say.
        let of = |name: &str| if name == "www.x" { Answer::NoSuchName } else { Answer::NoAddress };
        assert_eq!(course("www.x", LIST, &of).last().unwrap(), "Err(NoSuchName)");
    }

    #[test]
    fn a_name_that_becomes_too_long_in_a_domain_is_passed_over() {
        let label = "x".repeat(63);
        let host = [label.as_str(); 3].join(".");
        let domain = [label.as_str(), "example"].join(".");
        let none = |_: &str| Answer::NoSuchName;
        assert_eq!(course(&host, &format!("search {domain} b"), &none).len(), 3);
    }
}
