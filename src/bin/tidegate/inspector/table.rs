//! The table of connections. All rows are made in one pass; their text is made piece by piece while it is sent, since twenty
//! thousand rows take longer than a turn may.

use std::cmp::Reverse;
use std::fmt::{self, Display, Write};
use std::time::Duration;

use serde_json::Value;
use tidegate::{ConnectionInfo, Net, PausedBy, PeerCred, SocketId};

use super::request::Request;
use crate::cli::Sort;

/// So many bytes are made at a time, or a few more.
const PIECE: usize = 32 << 10;

/// What is asked of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub sort: Sort,
    pub limit: usize,
    /// The connection of this number alone.
    pub id: Option<u32>,
    /// The connection at this place of the slab alone.
    pub slot: Option<u32>,
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Text,
}

impl Wanted {
    /// None if it is not understood: a word that is mistyped must not give another table than was asked for.
    pub fn of(request: &Request) -> Option<Self> {
        let mut wanted = Wanted {
            sort: Sort::Id,
            limit: usize::MAX,
            id: None,
            slot: None,
            format: if request.wants_text { Format::Text } else { Format::Json },
        };
        for pair in request.query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=')? {
                ("sort", by) => wanted.sort = Sort::of(by)?,
                ("limit", number) => wanted.limit = number.parse().ok()?,
                ("id", number) => wanted.id = Some(number.trim_start_matches("%23").parse().ok()?),
                ("slot", number) => wanted.slot = Some(number.parse().ok()?),
                ("key", _) => {}
                _ => return None,
            }
        }
        Some(wanted)
    }
}

/// What is smaller stands before.
fn rank(sort: Sort, row: &Row) -> (Reverse<u64>, u32) {
    let rank = match sort {
        Sort::Id => 0,
        Sort::Queued => row.unsent,
        Sort::In => row.bytes_in,
        Sort::Out => row.bytes_out,
        Sort::Age => row.age.as_secs(),
        Sort::Idle => row.idle.as_secs(),
        Sort::ReadAhead => row.read_ahead,
        Sort::Dropped => row.messages_dropped,
    };
    (Reverse(rank), row.id.number())
}

/// A table that is being sent.
#[derive(Debug)]
pub struct Table {
    rows: std::vec::IntoIter<Row>,
    count: usize,
    shown: usize,
    format: Format,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    FirstRow,
    Rows,
    Over,
}

/// A connection, as it was when the table was made.
#[derive(Clone, Debug)]
struct Row {
    id: SocketId,
    slot: u32,
    label: Option<Box<str>>,
    kind: &'static str,
    server: Option<u32>,
    state: &'static str,
    stage: &'static str,
    reading: &'static str,
    writing: &'static str,
    flow: &'static str,
    age: Duration,
    idle: Duration,
    bytes_in: u64,
    bytes_out: u64,
    read_ahead: u64,
    queued: u64,
    unsent: u64,
    messages_dropped: u64,
    bytes_dropped: u64,
    high_water_mark: u64,
    needs_drain: bool,
    pipes: Box<[u32]>,
    paused_by: Option<PausedBy>,
}

impl Table {
    pub fn of(net: &Net, wanted: Wanted) -> Self {
        let (mut rows, mut count) = (Vec::new(), 0);
        for info in net.connections() {
            count += usize::from(!info.is_apart());
            // Those of the inspector are shown to who asks for them alone.
            let is_meant = match (wanted.id, wanted.slot) {
                (None, None) => !info.is_apart(),
                (id, slot) => {
                    id.is_none_or(|id| id == info.id().number()) && slot.is_none_or(|slot| slot == info.slot())
                }
            };
            if is_meant {
                rows.push(Row::of(&info));
            }
        }
        if wanted.limit < rows.len() {
            if let Some(last) = wanted.limit.checked_sub(1) {
                rows.select_nth_unstable_by_key(last, |row| rank(wanted.sort, row));
            }
            rows.truncate(wanted.limit);
        }
        rows.sort_unstable_by_key(|row| rank(wanted.sort, row));
        Table { count, shown: rows.len(), rows: rows.into_iter(), format: wanted.format, stage: Stage::Head }
    }

    /// The next piece of its text. None when that is over.
    pub fn next_piece(&mut self, net: &Net) -> Option<String> {
        let mut text = String::with_capacity(PIECE + 1024);
        if self.stage == Stage::Over {
            return None;
        }
        // A text takes everything, so there is no error.
        let _ = self.write_piece(&mut text, net);
        Some(text)
    }

    fn write_piece(&mut self, text: &mut String, net: &Net) -> fmt::Result {
        if self.stage == Stage::Head {
            self.stage = Stage::FirstRow;
            match self.format {
                Format::Json => {
                    write!(text, "{{\"count\":{},\"shown\":{},\"connections\":[", self.count, self.shown)?;
                }
                Format::Text => writeln!(text, "{HEADINGS}")?,
            }
        }
        while text.len() < PIECE {
            let Some(row) = self.rows.next() else {
                self.stage = Stage::Over;
                return match self.format {
                    Format::Json => text.write_str("]}\n"),
                    Format::Text => writeln!(text, "{} of {} shown", self.shown, self.count),
                };
            };
            let ends = Ends::of(&net.connection(row.id));
            match self.format {
                Format::Json => {
                    if self.stage == Stage::Rows {
                        text.push(',');
                    }
                    row.write_json(text, &ends)?;
                }
                Format::Text => row.write_text(text, &ends)?,
            }
            self.stage = Stage::Rows;
        }
        Ok(())
    }
}

/// The two ends of a connection. To ask for them takes system calls, so they are asked for while the text is made; of one that
/// is gone by then nothing is known.
struct Ends {
    local: Option<String>,
    remote: Option<String>,
    peer: Option<PeerCred>,
}

impl Ends {
    fn of(info: &ConnectionInfo<'_>) -> Self {
        Ends {
            local: info.local_address().map(|address| address.to_string()),
            remote: info.remote_address().map(|address| address.to_string()),
            peer: info.peer_cred(),
        }
    }
}

const HEADINGS: &str = "id       kind       state       age(s)   idle(s)          in          out     queued dropped peer, label, \
                        and why it is not read";

impl Row {
    fn of(info: &ConnectionInfo<'_>) -> Self {
        let unsent = info.unsent() as u64;
        Row {
            id: info.id(),
            slot: info.slot(),
            label: info.label().map(Into::into),
            kind: if info.is_apart() { "inspector" } else { info.kind().name() },
            server: info.server().map(tidegate::ServerId::number),
            state: info.state(),
            stage: info.stage(),
            reading: info.reading(),
            writing: info.writing(),
            flow: info.flow(),
            age: info.age(),
            idle: info.idle(),
            bytes_in: info.bytes_read(),
            // `bytes_written` has what waits too.
            bytes_out: info.bytes_written().saturating_sub(if info.is_file() { 0 } else { unsent }),
            read_ahead: info.read_ahead() as u64,
            queued: info.buffer_size() as u64,
            unsent,
            messages_dropped: info.messages_dropped(),
            bytes_dropped: info.bytes_dropped(),
            high_water_mark: info.high_water_mark() as u64,
            needs_drain: info.needs_drain(),
            pipes: info.pipes().map(SocketId::number).collect(),
            paused_by: info.paused_by(),
        }
    }

    fn write_json(&self, text: &mut String, ends: &Ends) -> fmt::Result {
        write!(text, "{{\"id\":{},\"slot\":{},\"label\":", self.id.number(), self.slot)?;
        write!(text, "{},\"kind\":\"{}\",\"server\":", Quoted(self.label.as_deref()), self.kind)?;
        match self.server {
            Some(server) => write!(text, "\"server #{server}\"")?,
            None => text.write_str("null")?,
        }
        let (local, remote) = (Quoted(ends.local.as_deref()), Quoted(ends.remote.as_deref()));
        write!(text, ",\"local\":{local},\"remote\":{remote}")?;
        let (user, process) = (ends.peer.map(|peer| peer.uid), ends.peer.and_then(|peer| peer.pid));
        write!(text, ",\"user\":{},\"process\":{}", OrNull(user), OrNull(process))?;
        write!(text, ",\"state\":\"{}\",\"stage\":\"{}\"", self.state, self.stage)?;
        write!(text, ",\"reading\":\"{}\",\"writing\":\"{}\",\"flow\":\"{}\"", self.reading, self.writing, self.flow)?;
        write!(text, ",\"age_seconds\":{},\"idle_seconds\":{}", self.age.as_secs(), self.idle.as_secs())?;
        write!(text, ",\"bytes_in\":{},\"bytes_out\":{}", self.bytes_in, self.bytes_out)?;
        write!(text, ",\"read_ahead\":{},\"queued\":{},\"unsent\":{}", self.read_ahead, self.queued, self.unsent)?;
        write!(text, ",\"messages_dropped\":{},\"bytes_dropped\":{}", self.messages_dropped, self.bytes_dropped)?;
        write!(text, ",\"high_water_mark\":{},\"needs_drain\":{}", self.high_water_mark, self.needs_drain)?;
        write!(text, ",\"pipes\":{:?},\"paused_by\":", self.pipes)?;
        match self.paused_by {
            None => text.write_str("null}"),
            Some(cause) => {
                let (by, reason, connection) = parts(cause);
                let (reason, connection) = (Quoted(reason), OrNull(connection.map(SocketId::number)));
                let cause = cause.to_string();
                let cause = Quoted(Some(&cause));
                write!(text, "{{\"by\":\"{by}\",\"reason\":{reason},\"connection\":{connection},\"text\":{cause}}}}}")
            }
        }
    }

    fn write_text(&self, text: &mut String, ends: &Ends) -> fmt::Result {
        let (age, idle) = (self.age.as_secs(), self.idle.as_secs());
        write!(text, "{:<8} {:<10} {:<10} {age:>7} {idle:>9}", self.id.to_string(), self.kind, self.state)?;
        let (came, went, dropped) = (self.bytes_in, self.bytes_out, self.messages_dropped);
        write!(text, " {came:>11} {went:>12} {:>10} {dropped:>7}", self.unsent)?;
        match (&ends.remote, ends.peer) {
            (Some(remote), _) => write!(text, " {remote}")?,
            (None, Some(peer)) => write!(text, " user {}", peer.uid)?,
            (None, None) => write!(text, " -")?,
        }
        if let Some(label) = &self.label {
            // It may have been chosen by a stranger, and this is for a terminal.
            let label = label.chars().map(|letter| if letter.is_control() { '?' } else { letter });
            write!(text, " {}", label.collect::<String>())?;
        }
        if let Some(cause) = self.paused_by {
            write!(text, "; paused by {cause}")?;
        }
        writeln!(text)
    }
}

/// What a pause is, in a word, with its reason and the connection that it is because of.
fn parts(cause: PausedBy) -> (&'static str, Option<&'static str>, Option<SocketId>) {
    match cause {
        PausedBy::User(reason) => ("user", reason, None),
        PausedBy::Pipe(to) => ("pipe", None, Some(to)),
        PausedBy::Receiver(receiver) => ("receiver", None, Some(receiver)),
        PausedBy::Memory => ("memory", None, None),
        PausedBy::Turn => ("turn", None, None),
        PausedBy::ReadAhead => ("read_ahead", None, None),
        _ => ("other", None, None),
    }
}

/// A text of JSON, or null.
struct Quoted<'a>(Option<&'a str>);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("null"),
            Some(text) => Value::from(text).fmt(f),
        }
    }
}

/// A number of JSON, or null.
struct OrNull<T>(Option<T>);

impl<T: Display> Display for OrNull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("null"),
            Some(number) => number.fmt(f),
        }
    }
}

/// The slab, a letter for each place: what is there, and whether it is held up.
pub fn cells(net: &Net) -> String {
    let mut cells = Vec::new();
    for info in net.connections() {
        let slot = info.slot() as usize;
        if cells.len() <= slot {
            cells.resize(slot + 1, b'.');
        }
        cells[slot] = match info.state() {
            _ if info.is_apart() => b'i',
            "fresh" => b'f',
            "connecting" => b'c',
            "closing" => b'x',
            _ if info.unsent() > 0 => b'q',
            _ if info.paused_by().is_some() => b'p',
            "read_only" => b'r',
            "write_only" => b'w',
            _ => b'o',
        };
    }
    cells.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> Option<Wanted> {
        Wanted::of(&Request { query: query.to_owned(), ..Request::default() })
    }

    #[test]
    fn what_is_wanted_is_understood_or_refused() {
        let all = Wanted { sort: Sort::Id, limit: usize::MAX, id: None, slot: None, format: Format::Json };
        assert_eq!(wanted(""), Some(all));
        assert_eq!(wanted("key=abc"), Some(all));
        assert_eq!(wanted("sort=queued&limit=5"), Some(Wanted { sort: Sort::Queued, limit: 5, ..all }));
        assert_eq!(wanted("id=7"), Some(Wanted { id: Some(7), ..all }));
        assert_eq!(wanted("id=%237&slot=0"), Some(Wanted { id: Some(7), slot: Some(0), ..all }));
        for wrong in ["sort=size", "sort", "limit=-1", "limit=many", "id=x", "slot=", "color=red", "sort=queued&"] {
            let is_wrong = wanted(wrong).is_none();
            assert_eq!(is_wrong, wrong != "sort=queued&", "{wrong}");
        }
    }

    #[test]
    fn a_table_of_nobody_is_whole_in_both_formats() {
        let event_loop = tidegate::EventLoop::new().unwrap();
        let text = |format| {
            let mut table = Table::of(&event_loop.net, Wanted { format, ..wanted("").unwrap() });
            let first = table.next_piece(&event_loop.net).unwrap();
            assert_eq!(table.next_piece(&event_loop.net), None);
            first
        };
        assert_eq!(text(Format::Json), "{\"count\":0,\"shown\":0,\"connections\":[]}\n");
        assert!(text(Format::Text).ends_with("\n0 of 0 shown\n"));
        assert_eq!(cells(&event_loop.net), "");
    }

    #[test]
    fn a_label_is_a_text_of_json() {
        assert_eq!(Quoted(Some("a\"b\u{1b}\u{202e}<x>")).to_string(), "\"a\\\"b\\u001b\u{202e}<x>\"");
        assert_eq!((Quoted(None).to_string(), OrNull(None::<u32>).to_string()), ("null".to_owned(), "null".to_owned()));
    }
}
