//! All look-ups of a resolver together: the line, a shortage of descriptors, cancels.

use std::io;
use std::time::Duration;

use super::{Action, Asked, Failure, Families, Hints, Hosts, NamesOptions, ResolvConf, Resolver, Ticket, Transport};
use crate::address::host_name::HostName;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

// The numbers of Linux: this floor knows no system.
const NFILE: i32 = 23;
const MFILE: i32 = 24;
const NETUNREACH: i32 = 101;
const NOBUFS: i32 = 105;
const HOSTUNREACH: i32 = 113;

/// A resolver with what it is driven by.
struct Driven {
    resolver: Resolver,
    now: Duration,
    /// How many random numbers it has drawn: one for each message.
    drawn: u16,
}

impl Driven {
    fn new(options: NamesOptions, conf: &str) -> Self {
        let mut resolver = Resolver::new(options);
        resolver.configure(Some(ResolvConf::read(conf.as_bytes())), Some(Hosts::default()));
        Driven { resolver, now: ms(1000), drawn: 0 }
    }

    fn look_up(&mut self, name: &str) -> Ticket {
        self.look_up_of(name, Families::Both)
    }

    fn look_up_of(&mut self, name: &str, families: Families) -> Ticket {
        let (name, drawn) = (HostName::new(name).unwrap(), &mut self.drawn);
        self.resolver.look_up(name, families, Hints::NONE, self.now, &mut || number(drawn))
    }

    fn failed(&mut self, asked: Asked, errno: i32) {
        let (error, drawn) = (io::Error::from_raw_os_error(errno), &mut self.drawn);
        self.resolver.failed(asked, &error, self.now, &mut || number(drawn));
    }

    fn expire(&mut self) {
        let drawn = &mut self.drawn;
        self.resolver.expire(self.now, &mut || number(drawn));
    }

    /// There is no such name, says the server.
    fn no_such_name(&mut self, asked: Asked, query: &[u8]) {
        let mut answer = query.to_vec();
        (answer[2], answer[3]) = (0x81, 3);
        let drawn = &mut self.drawn;
        assert!(self.resolver.received(asked, &answer, self.now, &mut || number(drawn)));
    }

    /// There is an address for a minute, says the server, and none of IPv6.
    fn found(&mut self, asked: Asked, query: &[u8]) {
        // The question ends where the record of EDNS begins.
        let (question, extensions) = query.split_at(query.len() - 11);
        let record = [&[0xc0, 12][..], &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4], &[192, 0, 2, 99]].concat();
        let is_v4 = question.ends_with(&[0, 1, 0, 1]);
        let mut answer = [question, if is_v4 { &record } else { &[] }, extensions].concat();
        (answer[2], answer[3], answer[7]) = (0x81, 0, u8::from(is_v4));
        let drawn = &mut self.drawn;
        assert!(self.resolver.received(asked, &answer, self.now, &mut || number(drawn)));
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.resolver.next_action()).collect()
    }

    /// The questions that are to be sent now.
    fn asks(&mut self) -> Vec<(Asked, Vec<u8>, String)> {
        let asks = self.actions().into_iter().filter_map(|action| match action {
            Action::Ask { asked, server, message, transport: Transport::Datagram } => {
                Some((asked, message, server.to_string()))
            }
            _ => None,
        });
        asks.collect()
    }
}

fn number(drawn: &mut u16) -> u16 {
    *drawn += 1;
    *drawn
}

const ONE: &str = "nameserver 192.0.2.1";

#[test]
fn look_ups_that_are_cancelled_one_by_one_ask_nobody_more_and_leave_nothing() {
    for is_one_name in [false, true] {
        let mut driven = Driven::new(NamesOptions::new().most_questions(100), ONE);
        let name = |number: usize| if is_one_name { "a.example".to_owned() } else { format!("host{number}.example") };
        let tickets: Vec<Ticket> = (0..10_000).map(|number| driven.look_up(&name(number))).collect();
        let asked = if is_one_name { 2 } else { 100 };
        assert_eq!(driven.asks().len(), asked);
        for ticket in tickets {
            driven.resolver.cancel(ticket, driven.now);
        }
        let closed = driven.actions();
        assert!(closed.iter().all(|action| matches!(action, Action::Close(_))), "those in line have not been asked");
        assert_eq!(closed.len(), asked);
        assert_eq!(driven.resolver.entries(), [0; 9], "nothing is left behind");
        assert_eq!(driven.resolver.next_deadline(), None);
        assert_eq!(usize::from(driven.drawn), asked);
    }
}

#[test]
fn those_in_line_have_their_turn_after_a_cancel_and_in_order() {
    let mut driven = Driven::new(NamesOptions::new().most_questions(2), ONE);
    let first = driven.look_up("a.example");
    let second = driven.look_up("b.example");
    driven.look_up("c.example");
    assert_eq!(driven.asks().len(), 2);
    driven.resolver.cancel(second, driven.now);
    driven.resolver.cancel(first, driven.now);
    assert_eq!(driven.resolver.next_deadline(), Some(driven.now), "in the next turn");
    assert!(driven.asks().is_empty());
    driven.expire();
    let asked: Vec<Vec<u8>> = driven.asks().into_iter().map(|(_, message, _)| message).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|message| message[12..15] == *b"\x01c\x07"), "{asked:?}");
}

#[test]
fn without_a_descriptor_a_question_waits_and_the_line_with_it() {
    let mut driven = Driven::new(NamesOptions::new(), ONE);
    for name in ["a.example", "b.example", "c.example"] {
        driven.look_up(name);
    }
    // The first of six finds no descriptor, so none of the others is tried.
    let Some(Action::Ask { asked, .. }) = driven.resolver.next_action() else { panic!("a question") };
    driven.failed(asked, MFILE);
    assert!(driven.asks().is_empty());
    assert_eq!(driven.resolver.next_deadline(), Some(driven.now + ms(100)));
    driven.look_up("d.example");
    assert!(driven.asks().is_empty(), "nobody passes those that wait");
    driven.now += ms(100);
    driven.expire();
    let asks = driven.asks();
    assert_eq!(asks.len(), 8, "all have their turn when one is free");
    assert_eq!(asks[0].0, asked, "in the order in which they came");
    driven.resolver.was_sent();
    for (asked, query, _) in asks {
        driven.no_such_name(asked, &query);
    }
    let outcomes = driven.actions().into_iter().filter(|action| matches!(action, Action::Deliver(_, Err(_))));
    assert_eq!(outcomes.count(), 4);
    assert_eq!(driven.resolver.entries(), [0; 9]);
}

#[test]
fn without_a_descriptor_for_long_the_error_is_that_of_the_system() {
    let mut driven = Driven::new(NamesOptions::new(), "nameserver 192.0.2.1\noptions timeout:2\nsearch x.example");
    driven.look_up("a");
    driven.look_up("b");
    let (mut tries, began) = (0, driven.now);
    let outcomes = loop {
        let actions = driven.actions();
        if let Some(Action::Ask { asked, .. }) = actions.iter().find(|action| matches!(action, Action::Ask { .. })) {
            // A loop does what it is told, one after the other: what it could not send is not in this list any more.
            tries += 1;
            for action in &actions {
                if let Action::Ask { asked, .. } = action {
                    driven.failed(*asked, NFILE);
                }
            }
            assert!(
                driven.resolver.next_deadline().is_none_or(|next| next > driven.now),
                "{asked:?}: it does not spin"
            );
            continue;
        }
        let delivered = actions.into_iter().filter_map(|action| match action {
            Action::Deliver(_, Err(Failure::System(error))) => Some(error.raw_os_error()),
            Action::Deliver(_, outcome) => panic!("{outcome:?}"),
            _ => None,
        });
        let delivered: Vec<_> = delivered.collect();
        if !delivered.is_empty() {
            break delivered;
        }
        driven.now = driven.resolver.next_deadline().expect("there are look-ups");
        driven.expire();
    };
    assert_eq!(outcomes, [Some(NFILE); 2]);
    assert_eq!((driven.now - began, tries), (ms(2000), 21), "the time of one server, and not that of each domain");
    assert_eq!(driven.resolver.entries(), [0; 9]);
}

#[test]
fn one_that_could_not_be_fetched_by_tcp_for_want_of_a_descriptor_is_fetched_by_tcp_later() {
    let mut driven = Driven::new(NamesOptions::new(), "nameserver 192.0.2.1\nnameserver 192.0.2.2");
    driven.look_up("a.example");
    let (asked, query, server) = driven.asks().swap_remove(0);
    let mut truncated = query.clone();
    truncated[2] = 0x83;
    let drawn = &mut driven.drawn;
    assert!(driven.resolver.received(asked, &truncated, driven.now, &mut || number(drawn)));
    driven.failed(asked, NOBUFS);
    assert!(driven.asks().is_empty());
    driven.now += ms(100);
    driven.expire();
    let again = driven.actions();
    let [Action::Ask { server: now, transport: Transport::Stream, .. }] = &again[..] else { panic!("{again:?}") };
    assert_eq!(now.to_string(), server);
}

#[test]
fn a_way_that_is_not_there_is_a_reason_to_ask_the_next_server() {
    let mut driven = Driven::new(NamesOptions::new(), "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions attempts:1");
    let ticket = driven.look_up("a.example");
    let asks = driven.asks();
    assert!(asks.iter().all(|(_, _, server)| server == "192.0.2.1:53"));
    for (asked, _, _) in asks {
        driven.failed(asked, NETUNREACH);
    }
    let asks = driven.asks();
    assert!(asks.len() == 2 && asks.iter().all(|(_, _, server)| server == "192.0.2.2:53"));
    for (asked, _, _) in asks {
        driven.failed(asked, HOSTUNREACH);
    }
    let Some(Action::Deliver(of, Err(Failure::NoServer(Some(why))))) = driven.actions().pop() else {
        panic!("a failure")
    };
    assert_eq!((of, why.to_string().as_str()), (ticket, "getaddrinfo EHOSTUNREACH: no route to host 192.0.2.2:53"));
}

#[test]
fn what_an_old_server_says_counts_for_those_alone_who_have_asked_it() {
    let mut driven = Driven::new(NamesOptions::new(), ONE);
    let first = driven.look_up("a.example");
    let old = driven.asks();
    driven.resolver.configure(Some(ResolvConf::read(b"nameserver 192.0.2.2")), None);
    let second = driven.look_up("a.example");
    let new = driven.asks();
    assert!(new.len() == 2 && new.iter().all(|(_, _, server)| server == "192.0.2.2:53"), "{new:?}");
    for (asked, query, _) in old {
        driven.found(asked, &query);
    }
    let delivered = |actions: Vec<Action>| -> Vec<(Ticket, bool)> {
        let outcomes = actions.into_iter().filter_map(|action| match action {
            Action::Deliver(ticket, outcome) => Some((ticket, outcome.is_ok())),
            _ => None,
        });
        outcomes.collect()
    };
    assert_eq!(delivered(driven.actions()), [(first, true)]);
    let third = driven.look_up_of("a.example", Families::V4);
    assert_eq!(driven.actions(), [], "it joins the second, and nothing was kept");
    driven.resolver.cancel(third, driven.now);
    for (asked, query, _) in new {
        driven.no_such_name(asked, &query);
    }
    assert_eq!(delivered(driven.actions()), [(second, false)]);
    assert_eq!(driven.resolver.entries(), [0; 9]);
}

#[test]
fn a_question_to_an_old_server_ends_with_the_last_who_waits_for_it() {
    let mut driven = Driven::new(NamesOptions::new(), ONE);
    let first = driven.look_up("a.example");
    assert_eq!(driven.asks().len(), 2);
    driven.resolver.configure(Some(ResolvConf::read(b"nameserver 192.0.2.2")), None);
    let second = driven.look_up("a.example");
    assert_eq!(driven.asks().len(), 2);
    for (ticket, left) in [(first, 2), (second, 0)] {
        driven.resolver.cancel(ticket, driven.now);
        let closed = driven.actions();
        assert!(closed.len() == 2 && closed.iter().all(|action| matches!(action, Action::Close(_))), "{closed:?}");
        assert_eq!(driven.resolver.entries()[0], left);
    }
    assert_eq!(driven.resolver.entries(), [0; 9]);
}

/// As in glibc, where one call of `res_send` has both families, and each domain of the list is a call.
#[test]
fn rotate_gives_each_name_that_is_asked_for_to_another_server_with_both_families() {
    let conf = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch x.example y.example\noptions rotate attempts:1";
    let mut driven = Driven::new(NamesOptions::new(), conf);
    driven.look_up("a");
    driven.look_up("a");
    let mut servers = Vec::new();
    loop {
        let asks = driven.asks();
        let [first, second] = &asks[..] else { break };
        assert_eq!(first.2, second.2, "both families are with the same server");
        servers.push(first.2.clone());
        for (asked, query, _) in asks {
            driven.no_such_name(asked, &query);
        }
    }
    let begun_with = usize::from(servers[0] == "192.0.2.2:53");
    let expected = ["192.0.2.1:53", "192.0.2.2:53"].into_iter().cycle().skip(begun_with).take(3);
    assert_eq!(servers, expected.collect::<Vec<_>>());
}
