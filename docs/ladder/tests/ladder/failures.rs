//! What goes wrong in one step, and not in the next: one function for each.
//!
//! Each decides by what happens, never by a time that has passed: either the good or the bad is seen.

use std::time::{Duration, Instant};
use std::{fs, thread};

use super::peer::Peer;
use super::server::{Outcome, Run, Server, look};

/// How long a client may be silent from step 10 on.
const SILENCE: Duration = Duration::from_secs(1);

/// Step 1: what was said comes back.
pub fn echo(run: &Run) -> Outcome {
    Peer::greeted(&Server::start(run)).map(drop)
}

/// Step 2: a client that says nothing, and one that does.
pub fn two_clients(run: &Run) -> Outcome {
    let server = Server::start(run);
    let silent = Peer::connect(&server);
    let mut other = Peer::connect(&server);
    other.says(b"hello\n");
    let outcome = look(|| match other.read(&mut [0; 6]) {
        Some(outcome) => Some(outcome.map(drop)),
        None if server.sleeps_on(silent.port) => {
            Some(Err("it sleeps in a call on the client that says nothing".to_owned()))
        }
        None => None,
    });
    drop(server); // before the clients: so it sees none of them go
    outcome
}

/// Step 3: nobody says anything.
pub fn nothing_to_do(run: &Run) -> Outcome {
    let server = Server::start(run);
    let _client = Peer::greeted(&server)?;
    let before = server.ticks();
    look(|| {
        if server.asleep().is_some() {
            return Some(Ok(()));
        }
        let used = server.ticks() - before;
        (used >= 10).then(|| Err("it used 100 ms of the processor for nothing, and has not slept".to_owned()))
    })
}

/// Step 4: many clients, and nobody says anything.
pub fn many_clients(run: &Run) -> Outcome {
    let server = Server::start(run);
    let clients: Outcome<Vec<Peer>> = (0..40).map(|_| Peer::greeted(&server)).collect();
    let call = look(|| server.asleep());
    let handed_over = if call.is_poll() { call.args[1] } else { 0 };
    drop(clients?);
    if handed_over == 0 { Ok(()) } else { Err(format!("each wait hands over {handed_over} descriptors")) }
}

/// Step 4 again: more than one read takes.
pub fn long_message(run: &Run) -> Outcome {
    let server = Server::start(run);
    let mut client = Peer::connect(&server);
    assert_eq!(client.streams(10_000)?, 10_000);
    let mut buffer = [0; 10_000];
    look(|| {
        match client.read(&mut buffer) {
            Some(Ok(0)) => return Some(Err("the server has closed the connection".to_owned())),
            Some(Err(error)) => return Some(Err(error)),
            _ => {}
        }
        if client.received == client.sent {
            return Some(Ok(()));
        }
        let before = server.held(client.port)?.unread;
        server.asleep()?;
        let after = server.held(client.port)?.unread;
        (before > 0 && after == before).then(|| Err(format!("it sleeps, and {after} bytes were not read")))
    })
}

/// Step 5: the 65th comes while the first one breaks off.
pub fn new_client_in_an_old_place(run: &Run) -> Outcome {
    let server = Server::start(run);
    let clients: Outcome<Vec<Peer>> = (0..64).map(|_| Peer::greeted(&server)).collect();
    let mut clients = clients?;
    server.stops();
    let mut new = Peer::connect(&server);
    clients.remove(0).breaks_off();
    server.goes_on();
    new.says(b"hello\n");
    new.hears(b"hello\n").map_err(|_| "the new client was thrown out, as the old one had broken off".to_owned())
}

/// Step 6: a client that speaks long before it listens.
pub fn speaks_before_it_listens(run: &Run) -> Outcome {
    const ALL: usize = 8 << 20;
    let server = Server::start(run);
    let mut client = Peer::connect(&server);
    let mut buffer = vec![0; 65_536];
    while client.received < ALL {
        let left = ALL - client.sent;
        if left > 0 && client.streams_on(left.min(65_536), &server)?.is_some() {
            continue;
        }
        if look(|| client.read(&mut buffer))? == 0 {
            return Err(format!("the server has closed the connection after {} of {ALL} bytes", client.received));
        }
    }
    Ok(())
}

/// Step 7: a client that speaks and does not listen.
pub fn never_listens(run: &Run) -> Outcome {
    const MOST: usize = 64 << 20;
    let server = Server::start(run);
    let mut client = Peer::connect(&server);
    while client.streams_on(65_536, &server)?.is_some() {
        if client.sent >= MOST {
            let held = server.memory() / 1024;
            assert!(held > 32, "it has taken 64 MiB and holds {held} MiB");
            return Err("it has taken 64 MiB of a client that reads nothing".to_owned());
        }
    }
    // It is held up. Now it listens, and nothing is missing.
    let mut buffer = vec![0; 65_536];
    while client.received < client.sent {
        look(|| client.read(&mut buffer))?;
    }
    Ok(())
}

/// Step 8: a client that ends, and then listens.
pub fn ends_and_listens(run: &Run) -> Outcome {
    let server = Server::start(run);
    let mut client = Peer::connect(&server);
    client.fills(&server, |queued, _| queued > 0)?;
    client.ends();
    let received = client.hears_to_the_end()?;
    if received == client.sent {
        Ok(())
    } else {
        Err("the end has come before all that was to come before it".to_owned())
    }
}

/// Step 9: a client that says quit and goes on speaking, while some of its answer is on its way.
pub fn quits_and_speaks_on(run: &Run) -> Outcome {
    let server = Server::start(run);
    let mut client = Peer::connect(&server);
    client.fills(&server, |_, missing| missing > 0)?;
    let answer = client.sent + b"bye\n".len();
    server.stops();
    client.says(b"quit\n");
    client.streams(32_768)?;
    server.goes_on();
    let received = client.hears_to_the_end().map_err(|_| "the connection was reset, and the answer has not arrived")?;
    assert_eq!(received, answer);
    Ok(())
}

/// Step 10: a client that falls silent.
pub fn falls_silent(run: &Run) -> Outcome {
    let server = Server::start(run);
    let begin = Instant::now();
    let mut client = Peer::greeted(&server)?;
    look(|| match client.read(&mut [0; 1]) {
        Some(outcome) => Some(outcome.map(|_| assert!(begin.elapsed() >= SILENCE))),
        None => {
            let no_deadline = server.asleep().is_some_and(|call| call.args[3] as u32 == u32::MAX);
            no_deadline.then(|| Err("it sleeps without a deadline, and the client keeps its place".to_owned()))
        }
    })
}

/// Step 10 again: a client that speaks again in time.
pub fn speaks_again(run: &Run) -> Outcome {
    let server = Server::start(run);
    loop {
        let mut client = Peer::greeted(&server)?;
        thread::sleep(SILENCE * 2 / 3);
        let begin = Instant::now();
        if client.read(&mut [0; 1]).is_some() {
            continue; // this test was too slow itself
        }
        client.says(b"again\n");
        if client.hears(b"again\n").is_err() {
            continue;
        }
        client.hears_to_the_end()?;
        let is_early = begin.elapsed() < SILENCE;
        return if is_early { Err("it has closed the connection too early".to_owned()) } else { Ok(()) };
    }
}

/// Step 11: a client that floods, and one that says a word.
pub fn flood(run: &Run) -> Outcome {
    // The last read may begin below the budget and pass it.
    const SHARE: usize = 65_536 + 4_096;
    let server = Server::start(run);
    let mut flooder = Peer::greeted(&server)?;
    let mut other = Peer::greeted(&server)?;
    look(|| server.asleep());
    server.stops();
    while flooder.streams(65_536)? > 0 {}
    assert!(flooder.sent > 4 * SHARE, "the kernel takes only {}", flooder.sent);
    other.says(b"a word\n");
    server.goes_on();
    other.hears(b"a word\n")?;
    drop(server);
    let trace = Trace::read(run);
    let before = trace.lines.iter().position(|line| line.contains("a word") && line.starts_with("sendto("));
    let before = trace.received(0, before.unwrap());
    if before <= SHARE {
        Ok(())
    } else {
        Err("more than its share was read of one before the other had its turn".to_owned())
    }
}

/// Step 11 again: six clients, and the server needs 10 ms for each read.
pub fn slow_calls(run: &Run) -> Outcome {
    let run = Run { slow_reads: Some(Duration::from_millis(10)), ..run.clone() };
    in_time(|| {
        let server = Server::start(&run);
        let clients: Outcome<Vec<Peer>> = (0..6).map(|_| Peer::greeted(&server)).collect();
        let mut clients = clients?;
        look(|| server.asleep());
        server.stops();
        clients.iter_mut().for_each(|client| client.says(b"a word\n"));
        server.goes_on();
        for client in &mut clients {
            client.hears(b"a word\n")?;
        }
        drop(server);
        let trace = Trace::read(&run);
        let turns = trace.lines.split(|line| line.starts_with("epoll_wait(") || line.starts_with("epoll_pwait("));
        let is_answer = |line: &&String| line.starts_with("sendto(") && line.contains("a word");
        match turns.map(|turn| turn.iter().filter(is_answer).count()).max() {
            Some(1) => Ok(()),
            most => Err(format!("{} clients were served before it asked the kernel again", most.unwrap_or(0))),
        }
    })
}

/// Step 12: a room.
pub fn two_in_a_room(run: &Run) -> Outcome {
    let server = Server::start(run);
    let mut speaker = Peer::greeted(&server)?;
    let mut listener = Peer::greeted(&server)?;
    let _ = look(|| speaker.read(&mut [0; 64]).or_else(|| server.asleep().map(|_| Ok(0))));
    speaker.says(b"a word\n");
    look(|| match listener.read(&mut [0; 64]) {
        Some(outcome) => Some(outcome.map(drop)),
        None => {
            speaker.read(&mut [0; 64]);
            let is_said = server.held(speaker.port)?.unread == 0 && server.asleep().is_some();
            let nothing = is_said && server.both_ends(listener.port)?.1.unread == 0;
            nothing.then(|| Err("nobody else hears it".to_owned()))
        }
    })
}

/// Step 12 again: one does not read, and two want to talk.
pub fn stuck_reader(run: &Run) -> Outcome {
    const ALL: usize = 8 << 20;
    let server = Server::start(run);
    let mut speaker = Peer::greeted(&server)?;
    let stuck = Peer::greeted(&server)?;
    let mut listener = Peer::greeted(&server)?;
    let mut buffer = vec![0; 65_536];
    let (mut heard, mut goal) = (0, 0);
    while heard < ALL {
        if heard == goal {
            goal += speaker.streams(16_384)?;
        }
        let waits = look(|| {
            let _ = speaker.read(&mut buffer);
            match listener.read(&mut buffer) {
                Some(Ok(length)) if length > 0 => {
                    heard += length;
                    Some(Ok(false))
                }
                Some(outcome) => Some(outcome.and(Err("the listener was thrown out".to_owned()))),
                None => server.asleep().filter(|call| call.is_poll()).map(|_| Ok(true)),
            }
        })?;
        if waits {
            drop(stuck);
            return Err("it waits for one client, and the others hear nothing".to_owned());
        }
    }
    Ok(())
}

/// Step 12 once more: sixteen lines in one packet.
pub fn sixteen_lines(run: &Run) -> Outcome {
    let server = Server::start(run);
    let mut speaker = Peer::greeted(&server)?;
    let mut listener = Peer::greeted(&server)?;
    speaker.hears(b"hello\n")?;
    let lines = "one line\n".repeat(16);
    speaker.says(lines.as_bytes());
    listener.hears(lines.as_bytes())?;
    drop(server);
    let trace = Trace::read(run);
    let to_listener = format!("sendto({}, \"one line", trace.clients[1]);
    let calls = trace.lines.iter().filter(|line| line.starts_with(&to_listener)).count();
    if calls == 1 { Ok(()) } else { Err(format!("{calls} calls for one client")) }
}

/// A room: one says quit, and then another one says something.
pub fn quits_in_a_room(run: &Run) -> Outcome {
    in_time(|| quits_while_another_speaks(run))
}

fn quits_while_another_speaks(run: &Run) -> Outcome {
    let server = Server::start(run);
    let mut quitter = Peer::greeted(&server)?;
    let mut speaker = Peer::greeted(&server)?;
    quitter.says(b"quit\n");
    quitter.hears_to_the_end()?;
    speaker.says(b"a word\n");
    speaker.hears(b"a word\n")?;
    // Its end is its own: until then the server reads, and throws away.
    quitter.streams(3)?;
    look(|| {
        let gone = "the quitter was thrown out by what others said".to_owned();
        let Some((theirs, ours)) = server.both_ends(quitter.port) else { return Some(Err(gone)) };
        (theirs.unread == 0 && ours.unsent == 0).then_some(())?;
        Some(quitter.streams(1).map(drop).map_err(|_| gone))
    })
}

/// A room: one says quit, and never ends.
pub fn quits_and_never_ends(run: &Run) -> Outcome {
    let server = Server::start(run);
    let mut quitter = Peer::greeted(&server)?;
    quitter.says(b"quit\n");
    let begin = Instant::now();
    look(|| match quitter.streams(1) {
        Err(_) => Some(Ok(())),
        Ok(_) if begin.elapsed() > 20 * SILENCE => Some(Err("what it sends after quit keeps it its place".to_owned())),
        Ok(_) => None,
    })?;
    assert!(begin.elapsed() >= SILENCE);
    Ok(())
}

/// A room: one floods after quit, and another one says a word.
pub fn floods_after_quit(run: &Run) -> Outcome {
    in_time(|| quits_and_floods(run))
}

fn quits_and_floods(run: &Run) -> Outcome {
    // If the turn ends after the flooder, the next one begins with the other, and flushes when the flooder had its second share.
    const SHARES: usize = 2 * (65_536 + 4_096);
    let server = Server::start(run);
    let mut flooder = Peer::greeted(&server)?;
    let mut other = Peer::greeted(&server)?;
    flooder.says(b"quit\n");
    flooder.hears_to_the_end()?;
    look(|| server.asleep());
    server.stops();
    while flooder.streams(65_536)? > 0 {}
    assert!(flooder.sent > 2 * SHARES, "the kernel takes only {}", flooder.sent);
    other.says(b"a word\n");
    server.goes_on();
    other.hears(b"a word\n")?;
    drop(server);
    let trace = Trace::read(run);
    let before = trace.lines.iter().position(|line| line.contains("a word") && line.starts_with("sendto("));
    match trace.received(0, before.unwrap()) {
        ..=SHARES => Ok(()),
        read => Err(format!("{read} bytes were read of the flooder before the other had its turn")),
    }
}

/// Step 13: more clients than descriptors.
pub fn no_descriptor_left(run: &Run) -> Outcome {
    let run = Run { descriptors: Some(10), ..run.clone() };
    let mut server = Server::start(&run);
    server.stops();
    let mut clients: Vec<Peer> = (0..12).map(|_| Peer::connect(&server)).collect();
    for client in &mut clients {
        client.says(b"hello\n");
    }
    server.goes_on();
    look(|| {
        // Whoever has heard something goes, and makes room.
        clients.retain_mut(|client| !matches!(client.read(&mut [0; 64]), Some(Ok(1..))));
        if let Some(words) = server.last_words() {
            assert!(words.contains("Too many open files"), "{words}");
            return Some(Err("the server has ended: Too many open files".to_owned()));
        }
        clients.is_empty().then_some(Ok(()))
    })
}

/// What has to be done before a silent client goes. If the machine was too slow for that, it is played again.
pub fn in_time(mut play: impl FnMut() -> Outcome) -> Outcome {
    for _ in 0..20 {
        let begin = Instant::now();
        let outcome = play();
        if outcome.is_ok() || begin.elapsed() < SILENCE {
            return outcome;
        }
    }
    play()
}

/// What strace has seen.
struct Trace {
    lines: Vec<String>,
    /// The descriptors of the clients, as they came.
    clients: Vec<String>,
}

impl Trace {
    fn read(run: &Run) -> Trace {
        let text = fs::read_to_string(run.trace.as_ref().expect("strace watches this one")).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let accepted = lines.iter().filter(|line| line.starts_with("accept4("));
        let clients = accepted.filter_map(|line| Some(line.rsplit_once(" = ")?.1.to_owned()));
        Trace { clients: clients.filter(|it| it.parse::<u32>().is_ok()).collect(), lines }
    }

    /// The bytes that were read of a client, up to a line.
    fn received(&self, client: usize, up_to: usize) -> usize {
        let call = format!("recvfrom({},", self.clients[client]);
        let reads = self.lines[..up_to].iter().filter(|line| line.starts_with(&call));
        reads.filter_map(|line| line.rsplit_once(" = ")?.1.parse::<usize>().ok()).sum()
    }
}
