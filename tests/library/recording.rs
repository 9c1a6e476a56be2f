//! A run that is recorded, and played again: the same program makes the same run, and another one is noticed where it begins
//! to differ.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use tidegate::kernel::{
    Difference, Header, Kernel, MioKernel, Recorder, RecorderOptions, Recording, Replay, ReplayOptions, Report, RunEnd,
};
use tidegate::sim::{Conditions, Sim};
use tidegate::{Error, EventLoop, ServerOptions, SocketId, Statistics};

use crate::support::Random;
use crate::support::recording::{blocks_of, recording_of};

/// A file that is kept in memory, and full at some size.
#[derive(Clone)]
struct Disk {
    bytes: Rc<RefCell<Vec<u8>>>,
    room: usize,
}

impl Disk {
    fn new(room: usize) -> Self {
        Disk { bytes: Rc::default(), room }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.bytes.borrow_mut();
        let taken = bytes.len().min(self.room.saturating_sub(disk.len()));
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A room, and three guests of it in the same loop.
#[derive(Default)]
struct Room {
    names: BTreeMap<SocketId, String>,
    heard: Vec<u8>,
    /// What the program does otherwise than in the recorded run.
    twist: Twist,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Twist {
    #[default]
    None,
    /// It looks at the clock once more for each line.
    LooksAtTheClock,
    /// It asks for an address that nobody asked for.
    Asks,
    /// The welcome is another one.
    Welcomes,
    /// The fourth line is not passed on.
    Forgets,
    /// It says nothing more, and goes.
    Leaves,
}

fn room(mut on: EventLoop<Room>, at: &str) -> Result<Room, Error> {
    let server = on.listen_with(at, ServerOptions::new().no_delay(true), |socket| {
        let mut number = [0; 2];
        // In a run of garbage the kernel may have failed here, too.
        if socket.net.random(&mut number).is_err() {
            return socket.destroy();
        }
        let name = format!("{:02x}{:02x}", number[0], number[1]);
        let id = socket.id();
        let welcome = if socket.state.twist == Twist::Welcomes { "welcome" } else { "you are" };
        socket.write(format!("* {welcome} {name}\n").as_bytes());
        socket.state.names.insert(id, name);
        socket.on_line(100, move |socket, line| {
            match socket.state.twist {
                Twist::LooksAtTheClock => {
                    let timer = socket.event_loop().after(Duration::from_secs(3600), |_| {});
                    socket.cancel(timer);
                }
                Twist::Asks => assert_eq!(socket.net.connection(id).local_address(), None),
                Twist::Forgets if line.text() == "4" => return,
                _ => {}
            }
            let said = format!("{}: {}\n", socket.state.names[&id], line.text());
            let others: Vec<_> = socket.state.names.keys().copied().filter(|other| *other != id).collect();
            socket.net.broadcast(others, said);
        });
        socket.on_close(move |socket, _| {
            socket.state.names.remove(&id);
            if socket.state.names.is_empty() {
                socket.net.close_servers();
            }
        });
    })?;
    let address = on.net.server_address(server).unwrap();
    for guest in 0..3 {
        on.connect(address, move |socket| {
            let mut said = 0;
            socket.on_data(move |socket, chunk| {
                socket.state.heard.extend(chunk);
                said += 1;
                if said <= 5 {
                    socket.write(format!("{}\n", guest * 3 + said));
                } else if !(socket.state.twist == Twist::Leaves && guest == 0) {
                    socket.end();
                } else {
                    socket.destroy();
                }
            });
        })?;
    }
    on.run()?;
    Ok(on.state)
}

struct Recorded {
    bytes: Vec<u8>,
    room: Room,
    recording: Recording,
}

fn record(kernel: impl Kernel + 'static, at: &str, options: RecorderOptions, disk: &Disk) -> Recorded {
    let header = Header::new().with("program", "room").with("at", at);
    let recorder = Recorder::new(kernel, disk.clone(), &header, options).unwrap();
    let recording = recorder.recording();
    let room = room(EventLoop::on(recorder, Room::default()), at).unwrap();
    Recorded { bytes: disk.bytes(), room, recording }
}

fn record_on_loopback() -> Recorded {
    record(MioKernel::new().unwrap(), "127.0.0.1:0", RecorderOptions::new(), &Disk::new(usize::MAX))
}

/// A network that is the same each time.
fn fixed_sim() -> impl Kernel {
    Sim::with(5, Conditions::new().delay(Duration::from_millis(30)).short(200)).kernel()
}

/// Plays a run. What the program came to, if it was played to its end.
fn play(bytes: &[u8], twist: Twist) -> Result<(Report, Option<Room>), io::Error> {
    let replay = Replay::new(io::Cursor::new(bytes.to_vec()), ReplayOptions::new())?;
    let playback = replay.playback();
    assert_eq!(playback.header().get("program"), Some("room"));
    let at = playback.header().get("at").unwrap_or("127.0.0.1:0").to_owned();
    let played = room(EventLoop::on(replay, Room { twist, ..Room::default() }), &at);
    let report = playback.report();
    assert!(played.is_ok() || report.end != RunEnd::Ended, "{report:?}");
    Ok((report, played.ok()))
}

fn difference(recorded: &Recorded, twist: Twist) -> Difference {
    match play(&recorded.bytes, twist).unwrap().0.end {
        RunEnd::Differs(difference) => difference,
        other => panic!("{twist:?}: {other:?}"),
    }
}

#[test]
fn the_same_program_makes_the_same_run() {
    let recorded = record_on_loopback();
    let (report, played) = play(&recorded.bytes, Twist::None).unwrap();
    assert_eq!(report.end, RunEnd::Ended);
    assert_eq!(report.fingerprint, recorded.recording.fingerprint());
    assert_eq!(report.turns, recorded.recording.turns());
    assert_eq!(played.unwrap().heard, recorded.room.heard);
    assert_eq!(report.connections, 6, "both ends of three");
    assert_eq!(report.bytes_read, report.bytes_written);
    assert_eq!(recorded.recording.size(), recorded.bytes.len() as u64);
    assert_eq!(recorded.recording.stopped(), None);
    // And once more: nothing of the machine is in it.
    assert_eq!(play(&recorded.bytes, Twist::None).unwrap().0, report);
}

#[test]
fn questions_are_not_compared() {
    let recorded = record_on_loopback();
    let (report, _) = play(&recorded.bytes, Twist::LooksAtTheClock).unwrap();
    assert_eq!(report.end, RunEnd::Ended);
    assert_eq!(report.fingerprint, recorded.recording.fingerprint());
    // Nobody asked then, so there is no answer; the run is the same.
    assert_eq!(play(&recorded.bytes, Twist::Asks).unwrap().0.end, RunEnd::Ended);
}

#[test]
fn a_program_that_does_something_else_is_caught_where_it_begins() {
    let recorded = record_on_loopback();
    let changed = difference(&recorded, Twist::Welcomes);
    assert!(changed.then.starts_with("write 15 bytes, handle "), "{changed}");
    assert!(changed.now.starts_with("write 15 bytes, ") && changed.now.contains(": \"* welcome "), "{changed}");
    assert!(changed.turn >= 1 && changed.call >= 1, "{changed}");

    let forgot = difference(&recorded, Twist::Forgets);
    assert!(forgot.then.starts_with("write "), "{forgot}");
    let left = difference(&recorded, Twist::Leaves);
    assert!(left.now.starts_with("close, "), "{left}");
    // Effects are compared at once, so nothing that follows from a difference is taken for the first one.
    assert!(changed.turn <= forgot.turn && forgot.turn <= left.turn, "{changed}\n{forgot}\n{left}");
}

/// The blocks are small if all that was recorded is written at once.
fn recorded_in_small_blocks() -> Recorded {
    let at_once = RecorderOptions::new().delay(Duration::ZERO);
    record(MioKernel::new().unwrap(), "127.0.0.1:0", at_once, &Disk::new(usize::MAX))
}

#[test]
fn a_recording_that_was_cut_plays_up_to_the_cut() {
    let recorded = recorded_in_small_blocks();
    let whole = play(&recorded.bytes, Twist::None).unwrap().0;
    let (mut last, mut played) = (0, 0);
    for length in 0..recorded.bytes.len() {
        match play(&recorded.bytes[..length], Twist::None) {
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{length}: {error}"),
            Ok((report, _)) => {
                assert!(matches!(report.end, RunEnd::NoMore(_)), "{length}: {report:?}");
                assert!(report.turns >= last && report.turns <= whole.turns, "{length}: {report:?}");
                (last, played) = (report.turns, played + 1);
            }
        }
    }
    assert!(played > 1000 && last + 2 >= whole.turns, "{played} played, the last one up to turn {last} of {whole:?}");
}

#[test]
fn a_damaged_recording_is_an_error_or_plays_up_to_the_damage() {
    let recorded = recorded_in_small_blocks();
    let mut count = 0;
    for place in 0..recorded.bytes.len() {
        let mut damaged = recorded.bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        match play(&damaged, Twist::None) {
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{place}: {error}"),
            Ok((report, _)) => {
                assert!(matches!(report.end, RunEnd::Damaged(_)), "{place}: {report:?}");
                count += 1;
            }
        }
    }
    assert!(count > 1000, "{count} of {}", recorded.bytes.len());
}

/// A hole, a part that is there twice, zeros that a system has left in the place of what it had not written.
#[test]
fn a_block_at_another_place_is_damage() {
    let recorded = recorded_in_small_blocks();
    let blocks = blocks_of(&recorded.bytes);
    let damaged_at = |bytes: &[u8], place: usize| {
        let end = play(bytes, Twist::None).unwrap().0.end;
        assert_eq!(end, RunEnd::Damaged(format!("it is damaged at byte {place}")));
    };
    let [_, second, third, fourth, ..] = &blocks[..] else { panic!("{blocks:?}") };
    let place = second.start;
    damaged_at(&[&recorded.bytes[..place], &recorded.bytes[third.start..]].concat(), place);
    damaged_at(&[&recorded.bytes[..third.start], &recorded.bytes[place..]].concat(), third.start);
    damaged_at(&[&recorded.bytes[..fourth.start], &[0; 4096][..]].concat(), fourth.start);
}

#[test]
fn what_is_no_recording_is_an_error_that_says_so() {
    let error = |bytes: &[u8]| Header::read(bytes).unwrap_err().to_string();
    for foreign in [&b""[..], b"hello", b"\x7fELF................................", b"tidegate recording x\n"] {
        assert!(error(foreign).starts_with("this is no recording of tidegate"), "{}", error(foreign));
    }
    let newer = "the recording has format 3, and this build plays format 2: use a newer tidegate";
    assert_eq!(error(b"tidegate recording 3\nwhatever"), newer);
    let older =
        "the recording has format 1, and this build plays format 2: use the tidegate that has made it, or record anew";
    assert_eq!(error(b"tidegate recording 1\nwhatever"), older);
    assert_eq!(error(b"tidegate recording 2\n"), "the header of the recording is cut");
    assert_eq!(error(b"tidegate recording 2\n0123456789abcdef"), "the header of the recording is damaged");
}

/// Where a recording stops is the disk's affair, and what is told of it then is what is in the file.
#[test]
fn a_recording_that_has_stopped_tells_what_is_in_it() {
    let (mut limits, mut disks) = (0, 0);
    for size in 1024..3000 {
        let limited = RecorderOptions::new().limit(size).delay(Duration::ZERO);
        let full = RecorderOptions::new().delay(Duration::ZERO);
        for (options, room, count) in [(limited, usize::MAX, &mut limits), (full, size as usize, &mut disks)] {
            let recorded = record(fixed_sim(), "10.0.0.1:7", options, &Disk::new(room));
            let report = play(&recorded.bytes, Twist::None).unwrap().0;
            let recording = &recorded.recording;
            assert_eq!(report.fingerprint, recording.fingerprint(), "{size}: {report:?}");
            assert_eq!(report.turns, recording.turns(), "{size}: {report:?}");
            *count += u32::from(recording.stopped().is_some());
        }
    }
    assert!(limits > 1000 && disks > 1000, "{limits} limits, {disks} disks");
}

#[test]
fn at_its_limit_the_recording_stops_and_the_run_goes_on() {
    let options = RecorderOptions::new().limit(1024);
    let header = Header::new().with("program", "room");
    let disk = Disk::new(usize::MAX);
    let recorder = Recorder::new(MioKernel::new().unwrap(), disk.clone(), &header, options).unwrap();
    let (recording, told) = (recorder.recording(), Rc::new(RefCell::new(Vec::new())));
    let telling = Rc::clone(&told);
    let asked = recording.clone();
    let recorder = recorder.on_stop(move |why| {
        assert!(asked.size() <= 1024 && asked.stopped().as_deref() == Some(why));
        telling.borrow_mut().push(why.to_owned());
    });
    let state = room(EventLoop::on(recorder, Room::default()), "127.0.0.1:0").unwrap();
    assert!(state.names.is_empty(), "it came to its end");
    assert!(disk.bytes().len() <= 1024 && disk.bytes().len() > 700, "{}", disk.bytes().len());
    assert_eq!(*told.borrow(), ["the limit of 1024 bytes is reached"]);
    assert_eq!(recording.stopped().unwrap(), told.borrow()[0]);
    let end = play(&disk.bytes(), Twist::None).unwrap().0.end;
    assert_eq!(end, RunEnd::NoMore("the limit of 1024 bytes is reached".to_owned()));
}

#[test]
fn on_a_full_disk_the_recording_stops_and_the_run_goes_on() {
    let at_once = RecorderOptions::new().delay(Duration::ZERO);
    let recorded = record(MioKernel::new().unwrap(), "127.0.0.1:0", at_once, &Disk::new(1000));
    assert!(recorded.room.names.is_empty(), "it came to its end");
    assert!(recorded.recording.stopped().is_some());
    assert_eq!(recorded.bytes.len(), 1000, "the beginning of a block is there");
    let end = play(&recorded.bytes, Twist::None).unwrap().0.end;
    assert_eq!(end, RunEnd::NoMore("it was cut, or its program was killed".to_owned()));
    assert!(Recorder::new(MioKernel::new().unwrap(), Disk::new(10), &Header::new(), RecorderOptions::new()).is_err());
}

#[test]
fn a_loop_that_always_has_work_is_written_in_time() {
    let at_once = RecorderOptions::new().delay(Duration::ZERO);
    let disk = Disk::new(usize::MAX);
    let mut recorder = Recorder::new(MioKernel::new().unwrap(), disk.clone(), &Header::new(), at_once).unwrap();
    recorder.now();
    let (waiting, before) = (recorder.recording().size(), disk.bytes().len() as u64);
    assert!(waiting > before);
    recorder.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
    assert_eq!(disk.bytes().len() as u64, waiting);
}

#[test]
fn a_turn_of_endless_entries_is_damaged() {
    let looks_at_the_clock = [0x50].repeat(1_000_001);
    let bytes = recording_of(&[b"\x07program\x04room", &looks_at_the_clock]);
    let end = play(&bytes, Twist::None).unwrap().0.end;
    assert_eq!(end, RunEnd::Damaged("it is damaged: turn 0 has more than 1000000 entries".to_owned()));
}

#[test]
fn a_run_is_played_up_to_a_turn() {
    let recorded = record_on_loopback();
    let replay = Replay::new(io::Cursor::new(recorded.bytes), ReplayOptions::new().until(5)).unwrap();
    let playback = replay.playback();
    assert!(room(EventLoop::on(replay, Room::default()), "127.0.0.1:0").is_err());
    let report = playback.report();
    assert_eq!((report.turns, report.end), (5, RunEnd::Until));
}

/// An echo whose course does not depend on contents.
fn echo(mut on: EventLoop<u64>) -> Result<(), Error> {
    let server = on.listen("127.0.0.1:0", |socket| {
        let itself = socket.id();
        socket.pipe(itself).unwrap();
    })?;
    let address = on.net.server_address(server).unwrap();
    on.connect(address, |client| {
        client.write(vec![7; 100_000]);
        client.on_data(|client, chunk| {
            *client.state += chunk.len() as u64;
            if *client.state == 100_000 {
                client.end();
                client.net.close_servers();
            }
        });
    })?;
    on.run()
}

#[test]
fn without_contents_lengths_are_enough_for_an_echo() {
    let run = |contents| {
        let disk = Disk::new(usize::MAX);
        let options = RecorderOptions::new().contents(contents);
        let recorder = Recorder::new(MioKernel::new().unwrap(), disk.clone(), &Header::new(), options).unwrap();
        let recording = recorder.recording();
        echo(EventLoop::on(recorder, 0)).unwrap();
        let replay = Replay::new(io::Cursor::new(disk.bytes()), ReplayOptions::new()).unwrap();
        let playback = replay.playback();
        echo(EventLoop::on(replay, 0)).unwrap();
        let report = playback.report();
        assert_eq!((report.end, report.fingerprint), (RunEnd::Ended, recording.fingerprint()));
        recording.size()
    };
    assert!(run(true) > 200_000);
    assert!(run(false) < 5_000);
}

#[test]
fn a_run_on_the_simulated_kernel_is_recorded_and_played() {
    let run = |seed| {
        let sim = Sim::with(seed, Conditions::new().delay(Duration::from_millis(30)).short(200));
        let whole = RecorderOptions::new().delay(None);
        let recorded = record(sim.kernel(), "10.0.0.1:7", whole, &Disk::new(usize::MAX));
        (recorded.bytes, recorded.recording.fingerprint(), sim.fingerprint())
    };
    let (bytes, fingerprint, of_sim) = run(5);
    let report = play(&bytes, Twist::None).unwrap().0;
    assert_eq!((report.end, report.fingerprint), (RunEnd::Ended, fingerprint));
    assert!(report.time > Duration::from_millis(50), "{:?}", report.time);
    assert_eq!(run(5), (bytes, fingerprint, of_sim), "the same seed, the same recording");
    assert_ne!(run(6).2, of_sim);
    // The recorder changes nothing of the run.
    let sim = Sim::with(5, Conditions::new().delay(Duration::from_millis(30)).short(200));
    room(EventLoop::on(sim.kernel(), Room::default()), "10.0.0.1:7").unwrap();
    assert_eq!(sim.fingerprint(), of_sim);
}

#[test]
fn facts_of_the_world_outside_are_given_back() {
    let disk = Disk::new(usize::MAX);
    let recorder =
        Recorder::new(MioKernel::new().unwrap(), disk.clone(), &Header::new(), RecorderOptions::new()).unwrap();
    let recording = recorder.recording();
    recording.fact("home", Some("/home/anna"));
    recording.fact("shell", None);
    drop(EventLoop::on(recorder, ()));
    let playback = Replay::new(io::Cursor::new(disk.bytes()), ReplayOptions::new()).unwrap().playback();
    assert_eq!(playback.fact("home").as_deref(), Some("/home/anna"));
    assert_eq!(playback.fact("home").as_deref(), Some("/home/anna"), "as often as it is asked for");
    assert_eq!((playback.fact("shell"), playback.fact("term")), (None, None));
}

/// Each is found at once, wherever it stands: looked for one by one, these would take 450 million steps.
#[test]
fn very_many_questions_of_a_turn_are_answered_in_any_order() {
    let disk = Disk::new(usize::MAX);
    let recorder =
        Recorder::new(MioKernel::new().unwrap(), disk.clone(), &Header::new(), RecorderOptions::new()).unwrap();
    let recording = recorder.recording();
    const COUNT: usize = 30_000;
    for number in 0..COUNT {
        recording.fact(&format!("fact {number}"), Some("yes"));
    }
    drop(recorder);
    let playback = Replay::new(io::Cursor::new(disk.bytes()), ReplayOptions::new()).unwrap().playback();
    let answers = (0..COUNT).rev().filter(|number| playback.fact(&format!("fact {number}")).is_some()).count();
    assert_eq!(answers, COUNT);
}

/// Whoever makes a block of garbage with the right checksum gets an error, a difference or a shorter run.
#[test]
fn garbage_in_whole_blocks_is_no_panic() {
    let recorded = record_on_loopback();
    let mut random = Random(11);
    for _ in 0..3000 {
        let header: &[u8] = b"\x07program\x04room";
        let mut garbage = recorded.bytes[60..].to_vec();
        let begin = random.below(garbage.len());
        let length = random.below(400.min(garbage.len() - begin));
        garbage = garbage[begin..begin + length].to_vec();
        for _ in 0..random.below(6) {
            let (place, byte) = (random.below(length.max(1)), random.below(256) as u8);
            garbage.splice(place.min(garbage.len())..place.min(garbage.len()), [byte]);
        }
        let end = play(&recording_of(&[header, &garbage]), Twist::None).unwrap().0.end;
        assert!(matches!(end, RunEnd::Differs(_) | RunEnd::NoMore(_) | RunEnd::Damaged(_)), "{end:?}");
    }
}

#[test]
fn at_a_speed_a_run_takes_its_time() {
    let recorded = record_on_loopback();
    let time = play(&recorded.bytes, Twist::None).unwrap().0.time;
    let began = std::time::Instant::now();
    let replay = Replay::new(io::Cursor::new(recorded.bytes), ReplayOptions::new().speed(0.1)).unwrap();
    room(EventLoop::on(replay, Room::default()), "127.0.0.1:0").unwrap();
    assert!(began.elapsed() >= time.mul_f64(9.0), "{:?} of {time:?}", began.elapsed());
}

/// Peers that send at once, and handlers that take a turn's time each: what a turn comes to is decided by the clock.
fn busy(mut on: EventLoop<u32>, counted: bool, work: impl Fn() + Clone + 'static) -> Result<Option<Statistics>, Error> {
    on.net.set_turn_budget(Some(Duration::from_millis(1)))?;
    if counted {
        on.net.keep_statistics();
    }
    on.listen("10.0.0.1:7", move |socket| {
        let work = work.clone();
        socket.on_data(move |socket, chunk| {
            work();
            socket.write(chunk);
            socket.after(Duration::from_millis(3), |socket| socket.end());
        });
    })?;
    for _ in 0..20 {
        on.connect("10.0.0.1:7", |client| {
            client.write("hello");
            client.on_data(|_, _| {});
            client.on_close(|client, _| {
                *client.state += 1;
                if *client.state == 20 {
                    client.net.close_servers();
                }
            });
        })?;
    }
    on.run()?;
    // The ids of another loop are others.
    Ok(on.net.statistics().map(|mut all| {
        all.server_connections.clear();
        all.longest_turn = None;
        all
    }))
}

#[test]
fn a_run_plays_with_statistics_and_without_however_it_was_recorded() {
    for recorded_with in [false, true] {
        let (sim, disk) = (Sim::new(3), Disk::new(usize::MAX));
        let recorder = Recorder::new(sim.kernel(), disk.clone(), &Header::new(), RecorderOptions::new()).unwrap();
        let recording = recorder.recording();
        let work = move || sim.work(Duration::from_micros(400));
        let counted = busy(EventLoop::on(recorder, 0), recorded_with, work).unwrap();
        for played_with in [false, true] {
            let replay = Replay::new(io::Cursor::new(disk.bytes()), ReplayOptions::new()).unwrap();
            let playback = replay.playback();
            let counted_again = busy(EventLoop::on(replay, 0), played_with, || {}).unwrap();
            let report = playback.report();
            if recorded_with && played_with {
                assert_eq!(counted_again, counted, "the figures are those of then");
            }
            assert_eq!(report.end, RunEnd::Ended, "recorded with: {recorded_with}, played with: {played_with}");
            assert_eq!(report.fingerprint, recording.fingerprint());
            assert!(report.turns > 20, "{report:?}");
        }
    }
}

/// A client that says a word of which nobody is to know more than its length; then it says what may be known.
fn says_it(mut on: EventLoop<()>, word: &str, conceal: impl Fn(bool) + 'static, mut between: impl FnMut()) {
    let word = word.to_owned();
    on.connect("10.0.0.1:7", |socket| {
        socket.on_connect(move |socket| {
            conceal(true);
            socket.write(&word);
            conceal(false);
            socket.end_with("what may be known");
        });
    })
    .unwrap();
    for _ in 0..10 {
        between();
        on.turn(Some(Duration::ZERO)).unwrap();
    }
}

fn with_a_secret(word: &str, is_concealed: bool) -> (Vec<u8>, u64) {
    let (disk, sim) = (Disk::new(usize::MAX), Sim::new(1));
    let mut server = EventLoop::on(sim.kernel(), ());
    server.listen("10.0.0.1:7", |socket| socket.on_data(|_, _| {})).unwrap();
    let recorder = Recorder::new(sim.kernel(), disk.clone(), &Header::new(), RecorderOptions::new()).unwrap();
    let (recording, concealing) = (recorder.recording(), recorder.recording());
    let conceal = move |on| concealing.conceal(on && is_concealed);
    says_it(EventLoop::on(recorder, ()), word, conceal, || server.turn(Some(Duration::ZERO)).unwrap());
    (disk.bytes(), recording.fingerprint())
}

#[test]
fn of_what_is_concealed_a_recording_has_the_length_and_any_bytes_of_it_play() {
    let (recorded, fingerprint) = with_a_secret("s3cret", true);
    assert_eq!(with_a_secret("0ther!", true), (recorded.clone(), fingerprint), "nothing depends on it");
    assert_ne!(with_a_secret("s3cret", false).1, with_a_secret("0ther!", false).1);
    assert_ne!(with_a_secret("s3cret", true).1, with_a_secret("s3cre", true).1);
    for (word, is_the_same) in [("******", true), ("s3cret", true), ("*******", false)] {
        let replay = Replay::new(io::Cursor::new(recorded.clone()), ReplayOptions::new()).unwrap();
        let playback = replay.playback();
        let play = || says_it(EventLoop::on(replay, ()), word, |_| {}, || {});
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(play));
        let report = playback.report();
        assert_eq!(played.is_ok() && report.end == RunEnd::Ended, is_the_same, "{word}: {report:?}");
        assert!(!is_the_same || report.fingerprint == fingerprint, "{word}");
    }
}
