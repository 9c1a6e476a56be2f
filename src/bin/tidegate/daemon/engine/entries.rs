//! The answer to an XREAD of one stream, checked: an engine that answers anything else is not believed.

use super::command::COUNT;
use super::reply::Reply;
use super::{EntryId, EntryRead};

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong(pub &'static str);

/// The entries behind a place.
///
/// # Errors
/// It is no answer to what was asked: of another stream, of more entries, with a place that does not rise.
pub fn entries(reply: Reply, stream: &str, after: EntryId) -> Result<Vec<EntryRead>, Wrong> {
    let streams = match reply {
        Reply::Nil => return Ok(Vec::new()),
        Reply::Array(streams) => streams,
        _ => return Err(Wrong("no array of streams")),
    };
    let [Reply::Array(of_stream)] = <[Reply; 1]>::try_from(streams).map_err(|_| Wrong("not one stream"))? else {
        return Err(Wrong("a stream that is no array"));
    };
    let [Reply::Bulk(name), Reply::Array(found)] =
        <[Reply; 2]>::try_from(of_stream).map_err(|_| Wrong("a stream that is no pair"))?
    else {
        return Err(Wrong("a stream without a name and entries"));
    };
    if name != stream.as_bytes() {
        return Err(Wrong("another stream"));
    }
    if found.len() > COUNT {
        return Err(Wrong("more entries than were asked for"));
    }
    let mut last = after;
    found.into_iter().map(|found| entry(found, &mut last)).collect()
}

fn entry(reply: Reply, last: &mut EntryId) -> Result<EntryRead, Wrong> {
    let Reply::Array(pair) = reply else { return Err(Wrong("an entry that is no array")) };
    let (id, fields) = match <[Reply; 2]>::try_from(pair).map_err(|_| Wrong("an entry that is no pair"))? {
        [Reply::Bulk(id), Reply::Array(fields)] => (id, fields),
        [Reply::Bulk(id), Reply::Dropped] => (id, Vec::new()), // nobody here understands it
        _ => return Err(Wrong("an entry without an id and fields")),
    };
    let id = id_of(&id).ok_or(Wrong("an id that is none"))?;
    if id <= *last {
        return Err(Wrong("ids that do not rise"));
    }
    *last = id;
    let mut strings = fields.into_iter().map(|field| match field {
        Reply::Bulk(bytes) => Ok(bytes),
        Reply::Dropped => Ok(Vec::new()),
        _ => Err(Wrong("a field that is no string")),
    });
    let mut fields = Vec::new();
    while let Some(name) = strings.next() {
        let value = strings.next().ok_or(Wrong("a field without a value"))?;
        fields.push((name?, value?));
    }
    Ok(EntryRead { id, fields })
}

/// The id of the answer to an XADD too.
pub fn id_of(bytes: &[u8]) -> Option<EntryId> {
    str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.as_bytes().to_vec())
    }

    fn entry_of(id: &str, fields: &[&str]) -> Reply {
        Reply::Array(vec![bulk(id), Reply::Array(fields.iter().map(|field| bulk(field)).collect())])
    }

    fn answer(name: &str, entries: Vec<Reply>) -> Reply {
        Reply::Array(vec![Reply::Array(vec![bulk(name), Reply::Array(entries)])])
    }

    fn read(reply: Reply) -> Result<Vec<EntryRead>, Wrong> {
        entries(reply, "s", EntryId { milliseconds: 5, number: 0 })
    }

    #[test]
    fn entries_have_their_ids_and_fields_in_order() {
        let found = read(answer("s", vec![entry_of("5-1", &["a", "1", "b", ""]), entry_of("6-0", &[])])).unwrap();
        let ids: Vec<String> = found.iter().map(|entry| entry.id.to_string()).collect();
        assert_eq!(ids, ["5-1", "6-0"]);
        assert_eq!(found[0].fields, [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), vec![])]);
        assert_eq!(read(Reply::Nil), Ok(vec![]));
    }

    #[test]
    fn of_an_entry_that_is_too_large_there_is_its_place() {
        let long = Reply::Array(vec![bulk("6-0"), Reply::Array(vec![bulk("a"), Reply::Dropped])]);
        let many = Reply::Array(vec![bulk("7-0"), Reply::Dropped]);
        let found = read(answer("s", vec![long, many, entry_of("8-0", &["a", "1"])])).unwrap();
        let fields: Vec<_> = found.into_iter().map(|entry| entry.fields).collect();
        let [a, one] = [b"a".to_vec(), b"1".to_vec()];
        assert_eq!(fields, [vec![(a.clone(), vec![])], vec![], vec![(a, one)]]);
    }

    #[test]
    fn an_answer_to_something_else_is_wrong() {
        for (reply, wrong) in [
            (Reply::Status(b"OK".to_vec()), "no array of streams"),
            (Reply::Array(vec![]), "not one stream"),
            (Reply::Array(vec![Reply::Nil]), "a stream that is no array"),
            (Reply::Array(vec![Reply::Array(vec![bulk("s")])]), "a stream that is no pair"),
            (Reply::Array(vec![Reply::Array(vec![bulk("s"), Reply::Nil])]), "a stream without a name and entries"),
            (answer("other", vec![]), "another stream"),
            (answer("s", vec![bulk("5-1")]), "an entry that is no array"),
            (answer("s", vec![Reply::Array(vec![bulk("5-1")])]), "an entry that is no pair"),
            (answer("s", vec![Reply::Array(vec![bulk("5-1"), Reply::Nil])]), "an entry without an id and fields"),
            (answer("s", vec![entry_of("5", &[])]), "an id that is none"),
            (answer("s", vec![entry_of("5-0", &[])]), "ids that do not rise"),
            (answer("s", vec![entry_of("6-0", &[]), entry_of("6-0", &[])]), "ids that do not rise"),
            (answer("s", vec![entry_of("6-0", &["a"])]), "a field without a value"),
            (
                answer("s", vec![Reply::Array(vec![bulk("6-0"), Reply::Array(vec![Reply::Nil, bulk("1")])])]),
                "a field that is no string",
            ),
            (
                answer("s", (0..=COUNT).map(|number| entry_of(&format!("7-{number}"), &[])).collect()),
                "more entries than were asked for",
            ),
        ] {
            assert_eq!(read(reply), Err(Wrong(wrong)));
        }
    }
}
