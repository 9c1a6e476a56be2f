//! A link whose loop is recorded: nothing of the password is in the recording, and it is played without it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tidegate::kernel::{Header, RecorderOptions, Replay, ReplayOptions, RunEnd};
use tidegate::{EventLoop, Loop};

use super::super::simulated::{self, FakeEngine};
use super::super::{EntryId, EntryRead, Link, Linked, Password, Settings, publish, read_from, start, stop};
use crate::process::outside;

const PASSWORD: &str = "a password that nobody may know";

/// It reads a line of its own, and stops.
struct Node {
    link: Link,
    has_read: bool,
}

impl Linked for Node {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn connected(on: &mut Loop<'_, Self>) {
        read_from(on, EntryId::ZERO);
        publish(on, &[(b"line", b"hello")]);
    }

    fn read(on: &mut Loop<'_, Self>, entries: Vec<EntryRead>, _is_end: bool) {
        if !entries.is_empty() {
            on.state.has_read = true;
            stop(on);
        }
    }

    fn refused(_on: &mut Loop<'_, Self>, why: String) {
        panic!("refused: {why}");
    }

    fn lost(_on: &mut Loop<'_, Self>, why: String) {
        panic!("lost: {why}");
    }
}

fn node(folder: &Path) -> EventLoop<Node> {
    let settings = Settings {
        engine: format!("redis+unix://room@{}/socket", folder.display()).parse().unwrap(),
        password: Password::File(folder.join("password")),
        stream: "tidegate:lobby".to_owned(),
        label: "recorded".to_owned(),
        history: 1000,
        outbox: 1 << 20,
    };
    let mut node = outside::event_loop(Node { link: Link::new(settings), has_read: false }).unwrap();
    start(&mut node.event_loop());
    node
}

#[test]
fn a_recording_has_no_password_and_is_played_without_it() {
    let folder = std::env::temp_dir().join(format!("tidegate-recorded-link-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("password"), PASSWORD).unwrap();
    let file = folder.join("link.rec");
    let mut engine = EventLoop::with_state(FakeEngine::default()).unwrap();
    engine.state.user = Some(("room".to_owned(), PASSWORD.to_owned()));
    simulated::listen(&mut engine, &format!("unix:{}/socket", folder.display()));

    outside::record(&file, &Header::new(), RecorderOptions::new()).unwrap();
    let (mut recorded, mut turns) = (node(&folder), 0);
    while !recorded.state.has_read || recorded.net.sockets() > 0 {
        recorded.turn(Some(Duration::from_millis(5))).unwrap();
        engine.turn(Some(Duration::ZERO)).unwrap();
        turns += 1;
        assert!(turns < 10_000, "{:?}", recorded.state.link.figures());
    }
    drop(recorded);
    outside::end();
    assert_eq!(engine.state.commands[0], format!("AUTH room {PASSWORD}"));

    let bytes = std::fs::read(&file).unwrap();
    for hidden in [PASSWORD, "nobody may", "AUTH"] {
        assert!(!bytes.windows(hidden.len()).any(|part| part == hidden.as_bytes()), "{hidden}");
    }

    std::fs::remove_file(folder.join("password")).unwrap();
    let replay = Replay::new(File::open(&file).unwrap(), ReplayOptions::new()).unwrap();
    let playback = replay.playback();
    outside::play(replay, |_| {});
    let mut played = node(&folder);
    for _ in 0..turns {
        played.turn(None).unwrap_or_else(|error| panic!("{error}: {:?}", playback.report()));
    }
    assert!(played.state.has_read);
    drop(played);
    assert_eq!(playback.report().end, RunEnd::Ended);
    outside::end();
    std::fs::remove_dir_all(&folder).unwrap();
}
