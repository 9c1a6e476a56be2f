//! A chat in which every line goes to everybody else: speakers, and many who listen.
//!
//! Each line says which run, which speaker and which line it is, so it is known again behind whatever a server puts in
//! front of it; other lines are the server's own and are passed over. Every connection must hear all lines of each other
//! speaker, once and in order.
//!
//! A connection is open before the server has let it into the room. So at first one speaker calls, with a line that does
//! not count, until everybody else has heard it.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate::{Lines, Loop, Net, Socket, SocketId, sanitize};

use super::course::{self, Course, Load, Stage, Wrong};
use super::form::{Form, Read};
use crate::cli::{BenchOptions, Pressure};

/// How long a server's name for a speaker, or a line of its own, may be.
const FOREIGN: usize = 4096;

/// The number of a line that does not count.
const CALL: u64 = 9_999_999_999;

/// How long the first call is waited for; each later one has twice the time of the one before.
const CALL_AGAIN: Duration = Duration::from_millis(10);

/// Who has heard nothing after this time is in no room.
const IN_THE_ROOM_AFTER: Duration = Duration::from_secs(5);

/// Speakers and ears. The first connections are speakers, and have ears too.
pub struct Chat {
    course: Course,
    form: Form,
    /// How many more lines may be under way.
    places: usize,
    /// Lines are spoken in turn.
    turn: usize,
    speakers: Vec<Speaker>,
    ears: Vec<Ear>,
    open: usize,
    /// How many have not heard the call.
    outside: usize,
}

struct Speaker {
    id: Option<SocketId>,
    /// The number of the first line in `lines`.
    first: u64,
    /// From the first that not all have heard.
    lines: VecDeque<Spoken>,
}

struct Spoken {
    since: Duration,
    /// How many have not heard it.
    awaited: usize,
}

struct Ear {
    lines: Lines,
    /// For each speaker, which line is next.
    next: Vec<u64>,
    received: u64,
    place: Place,
}

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It has not heard the call.
    Outside,
    Room,
    Gone,
}

impl Chat {
    pub fn new(options: &BenchOptions, senders: usize, size: usize, pressure: Pressure) -> Self {
        let course = Course::new(options);
        let connections = course.connections;
        let speaker = || Speaker { id: None, first: 0, lines: VecDeque::new() };
        let ear = || Ear {
            lines: Lines::at_most(size + FOREIGN),
            next: vec![0; senders],
            received: 0,
            place: Place::Outside,
        };
        Chat {
            course,
            form: Form::new(std::process::id(), size),
            places: pressure.depth,
            turn: 0,
            speakers: std::iter::repeat_with(speaker).take(senders).collect(),
            ears: std::iter::repeat_with(ear).take(connections).collect(),
            open: 0,
            outside: connections,
        }
    }

    /// One more line, by the next speaker who is there. False if there is none, or nobody to hear it.
    fn speak(&mut self, net: &mut Net, since: Duration) -> bool {
        let count = self.speakers.len();
        let found = (0..count).map(|step| (self.turn + step) % count).find(|turn| self.speakers[*turn].id.is_some());
        let Some(number) = found.filter(|_| self.open > 1) else { return false };
        self.turn = (number + 1) % count;
        let speaker = &mut self.speakers[number];
        let line = self.form.line(number, speaker.first + speaker.lines.len() as u64);
        speaker.lines.push_back(Spoken { since, awaited: self.open - 1 });
        if let Some(id) = speaker.id {
            net.write(id, line);
        }
        self.course.sent(line.len());
        self.places -= 1;
        true
    }
}

impl Place {
    /// Each leaves the outside once.
    fn change(&mut self, to: Place, outside: &mut usize) {
        *outside -= usize::from(*self == Place::Outside);
        *self = to;
    }
}

impl Load for Chat {
    fn course(&mut self) -> &mut Course {
        &mut self.course
    }

    fn into_course(self) -> Course {
        self.course
    }

    fn set_up(socket: &mut Socket<'_, Self>, number: usize) {
        let id = socket.id();
        if let Some(speaker) = socket.state.speakers.get_mut(number) {
            speaker.id = Some(id);
        }
        socket.on_data(move |socket, chunk| heard(socket, number, chunk));
    }

    fn all_open(on: &mut Loop<'_, Self>) {
        call(on, CALL_AGAIN);
    }

    fn begin(on: &mut Loop<'_, Self>) {
        on.state.open = on.state.course.open();
    }

    /// Speaks as places allow, and with a rate the lines that are due. What a turn has made places for is spoken as one,
    /// as in a room where many answer the same line.
    fn work(on: &mut Loop<'_, Self>) -> Option<Duration> {
        let it = &mut *on.state;
        if !it.course.is_loading() || it.places == 0 {
            return None;
        }
        let now = it.course.now();
        while it.places > 0 {
            let since = match &mut it.course.pace {
                None => now,
                Some(pace) => match pace.take(now) {
                    Some(due) => due,
                    None => return Some(pace.next()),
                },
            };
            if !it.speak(on.net, since) {
                break;
            }
        }
        None
    }

    /// Nobody waits for it any more.
    fn lost(on: &mut Loop<'_, Self>, number: usize) {
        let it = &mut *on.state;
        if let Some(speaker) = it.speakers.get_mut(number) {
            speaker.id = None;
        }
        it.open = it.open.saturating_sub(1);
        let ear = &it.ears[number];
        for (who, speaker) in it.speakers.iter_mut().enumerate().filter(|(who, _)| *who != number) {
            let unheard = ear.next[who].saturating_sub(speaker.first) as usize;
            for spoken in speaker.lines.iter_mut().skip(unheard) {
                it.places += spoken.heard_by_one();
            }
            speaker.forget_what_all_have_heard();
        }
        it.ears[number].place.change(Place::Gone, &mut it.outside);
    }

    fn under_way(&self) -> usize {
        self.speakers.iter().flat_map(|speaker| &speaker.lines).map(|spoken| spoken.awaited).sum()
    }
}

impl Spoken {
    /// How many places that makes: one, if it was the last.
    #[inline]
    fn heard_by_one(&mut self) -> usize {
        if self.awaited == 0 {
            return 0;
        }
        self.awaited -= 1;
        usize::from(self.awaited == 0)
    }
}

impl Speaker {
    #[inline]
    fn forget_what_all_have_heard(&mut self) {
        while self.lines.front().is_some_and(|spoken| spoken.awaited == 0) {
            self.lines.pop_front();
            self.first += 1;
        }
    }
}

/// Calls into the room until all have heard it.
fn call(on: &mut Loop<'_, Chat>, again: Duration) {
    let it = &mut *on.state;
    if it.course.stage != Stage::Connecting {
        return;
    }
    let who = it.speakers.iter().enumerate().find_map(|(number, speaker)| Some((number, speaker.id?)));
    if let Some((number, id)) = who {
        // That others hear it says that the caller is there as well.
        it.ears[number].place.change(Place::Room, &mut it.outside);
        on.net.write(id, it.form.line(number, CALL));
    }
    if it.outside == 0 || who.is_none() {
        return course::begin(on);
    }
    if again > IN_THE_ROOM_AFTER {
        return nobody_hears(on);
    }
    on.after(again, move |on| call(on, again * 2));
}

fn nobody_hears(on: &mut Loop<'_, Chat>) {
    let it = &mut *on.state;
    let connection = it.ears.iter().position(|ear| ear.place == Place::Outside).unwrap_or_default();
    let at = it.ears[connection].received;
    it.course.wrong = it.outside;
    it.course.where_wrong = Some(Wrong { connection, at, what: "it hears nobody: is this a chat?".to_owned() });
    course::enter(on, Stage::Over);
}

/// Bytes came on a connection.
fn heard(socket: &mut Socket<'_, Chat>, number: usize, chunk: &[u8]) {
    let Chat { course, form, places, speakers, ears, outside, .. } = &mut *socket.state;
    let Ear { lines, next, received, place } = &mut ears[number];
    let now = course.now();
    let before = *received;
    *received += chunk.len() as u64;
    course.received(chunk.len());
    let mut wrong = None;
    for line in lines.push(chunk) {
        let judged = match form.read(line.bytes()) {
            Read::Foreign => Ok(()),
            Read::Own { speaker, .. } if speaker == number => Ok(()), // a room that sends a line to its speaker too
            Read::Own { line: CALL, .. } => {
                place.change(Place::Room, outside);
                Ok(())
            }
            Read::Own { speaker, line } => hear_line(speakers, next, speaker, line).map(|(since, made)| {
                *places += made;
                course.answered(since, now);
            }),
            Read::Changed => Err(changed(line.bytes())),
        };
        if let Err(what) = judged {
            wrong = Some(Wrong { connection: number, at: before, what });
            break;
        }
    }
    let are_all_there = *outside == 0 && course.stage == Stage::Connecting;
    if let Some(wrong) = wrong {
        course::wrong(socket, wrong);
    } else if are_all_there {
        course::begin(&mut socket.event_loop());
    }
}

/// One connection has heard a line. Gives since when it was awaited, and how many places that makes.
#[inline]
fn hear_line(speakers: &mut [Speaker], next: &mut [u64], who: usize, line: u64) -> Result<(Duration, usize), String> {
    let (Some(speaker), Some(next)) = (speakers.get_mut(who), next.get_mut(who)) else {
        return Err(out_of_order(who, line, "there is no such speaker"));
    };
    let spoken = line.checked_sub(speaker.first).and_then(|at| speaker.lines.get_mut(at as usize));
    let Some(spoken) = spoken.filter(|_| *next == line) else {
        return Err(out_of_order(who, line, &format!("{next} was to come")));
    };
    *next += 1;
    let heard = (spoken.since, spoken.heard_by_one());
    speaker.forget_what_all_have_heard();
    Ok(heard)
}

/// As much of it as fits a message, and harmless on a terminal.
fn changed(line: &[u8]) -> String {
    const SHOWN: usize = 160;

    let (shown, dots) = if line.len() > SHOWN { (&line[..SHOWN], " ...") } else { (line, "") };
    format!("a line was changed: {}{dots}", sanitize(shown))
}

fn out_of_order(speaker: usize, line: u64, expected: &str) -> String {
    format!("line {line} of speaker {speaker} came, but {expected}")
}
