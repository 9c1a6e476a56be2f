//! Answers, for as long as they are good.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Answer, NamesOptions, Question};

#[derive(Debug, Default)]
pub(super) struct Cache {
    answers: BTreeMap<Question, Kept>,
    /// When each of them is not good any more.
    by_end: BTreeSet<(Duration, Question)>,
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    /// It is good before this time.
    end: Duration,
}

impl Cache {
    pub fn get(&self, question: &Question, now: Duration) -> Option<Answer> {
        let kept = self.answers.get(question).filter(|kept| now < kept.end)?;
        Some(kept.answer.clone())
    }

    /// Keeps an answer that is good for so long. If there is no room, the one goes that would go next.
    pub fn keep(
        &mut self,
        question: Question,
        answer: &Answer,
        good_for: Duration,
        now: Duration,
        options: &NamesOptions,
    ) {
        let longest = match answer {
            Answer::Addresses(_) => options.kept_for,
            Answer::NoAddress | Answer::NoSuchName => options.missing_for,
            Answer::ServersFail | Answer::ServersRefuse | Answer::NoServer(_) | Answer::System(_) => return,
        };
        let end = now.saturating_add(good_for.min(longest));
        self.remove(&question);
        if end == now {
            return;
        }
        while self.answers.len() >= options.most_kept {
            let Some((_, first)) = self.by_end.pop_first() else { return };
            self.answers.remove(&first);
        }
        self.by_end.insert((end, question));
        self.answers.insert(question, Kept { answer: answer.clone(), end });
    }

    fn remove(&mut self, question: &Question) {
        if let Some(kept) = self.answers.remove(question) {
            self.by_end.remove(&(kept.end, *question));
        }
    }

    pub fn clear(&mut self) {
        *self = Cache::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::host_name::HostName;
    use crate::names::Family;

    fn question(name: &str) -> Question {
        Question { name: HostName::new(name).unwrap(), family: Family::V4 }
    }

    fn found() -> Answer {
        Answer::Addresses(vec![[192, 0, 2, 1].into()])
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_is_good_for_its_time_and_for_its_question_alone() {
        let (mut cache, options) = (Cache::default(), NamesOptions::new());
        cache.keep(question("a"), &found(), s(30), s(100), &options);
        assert_eq!(cache.get(&question("A"), s(129)), Some(found()));
        assert_eq!(cache.get(&Question { family: Family::V6, ..question("a") }, s(129)), None);
        assert_eq!(cache.get(&question("a"), s(130)), None);
        assert_eq!(cache.get(&question("b"), s(101)), None);
    }

    #[test]
    fn no_answer_is_kept_longer_than_the_user_wants() {
        let mut cache = Cache::default();
        let options = NamesOptions::new().kept_for(s(60)).missing_for(s(10));
        cache.keep(question("a"), &found(), s(1_000_000), s(0), &options);
        cache.keep(question("b"), &Answer::NoSuchName, s(1_000_000), s(0), &options);
        assert!(cache.get(&question("a"), s(59)).is_some() && cache.get(&question("a"), s(60)).is_none());
        assert!(cache.get(&question("b"), s(9)).is_some() && cache.get(&question("b"), s(10)).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_next_to_go_makes_room() {
        let mut cache = Cache::default();
        let options = NamesOptions::new().most_kept(3);
        for (name, time) in [("a", 30), ("b", 10), ("c", 20), ("d", 40), ("a", 5)] {
            cache.keep(question(name), &found(), s(time), s(0), &options);
        }
        assert_eq!((cache.answers.len(), cache.by_end.len()), (3, 3));
        let there: Vec<&str> =
            ["a", "b", "c", "d"].into_iter().filter(|name| cache.get(&question(name), s(1)).is_some()).collect();
        assert_eq!(there, ["a", "c", "d"]);
        assert!(cache.get(&question("a"), s(5)).is_none(), "the later answer counts");
    }

    #[test]
    fn an_answer_that_is_not_kept_makes_no_room_and_ends_the_one_before() {
        let mut cache = Cache::default();
        let options = NamesOptions::new().most_kept(2);
        for (name, time) in [("a", 30), ("b", 30), ("c", 0), ("b", 0)] {
            cache.keep(question(name), &found(), s(time), s(0), &options);
        }
        assert!(cache.get(&question("a"), s(1)).is_some() && cache.get(&question("b"), s(1)).is_none());
        assert_eq!((cache.answers.len(), cache.by_end.len()), (1, 1));
    }

    #[test]
    fn nothing_is_kept_that_is_not_to_be_kept() {
        let (mut cache, none) = (Cache::default(), NamesOptions::new().most_kept(0));
        cache.keep(question("a"), &found(), s(30), s(0), &none);
        cache.keep(question("a"), &found(), s(0), s(0), &NamesOptions::new());
        cache.keep(question("a"), &Answer::ServersFail, s(30), s(0), &NamesOptions::new());
        assert!(cache.answers.is_empty() && cache.by_end.is_empty());
    }
}
