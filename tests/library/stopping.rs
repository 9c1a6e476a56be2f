//! A loop that is shut down while it has files: one that is read does not hold it up.

use std::io::{Write, pipe};
use std::time::{Duration, Instant};

use crate::support::loops::{World, ms, quiet, watch};
use tidegate::{CloseReason, FileOptions, OpenMode};

/// Far more than a test may take. If it passes, somebody was waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn ends_soon(world: &mut World) {
    let begun = Instant::now();
    world.shut_down(PATIENCE);
    world.run_dry();
    assert!(begun.elapsed() < PATIENCE / 2);
    assert_eq!(world.net.sockets(), 0);
}

#[test]
fn a_pipe_whose_writer_stays_is_not_waited_for() {
    for heard in ["heard", "not heard", "discarded", "paused"] {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"the last words").unwrap();
        let mut world = World::new();
        world
            .event_loop()
            .adopt_file(reader, FileOptions::read(), |file| match heard {
                "heard" => watch(file, "F", quiet),
                "discarded" => file.resume(),
                "paused" => {
                    watch(file, "F", quiet);
                    file.pause();
                }
                _ => {}
            })
            .unwrap();
        ends_soon(&mut world);
        if heard == "heard" {
            assert_eq!(world.state.data("F"), b"the last words");
            assert_eq!(world.state.closed("F").reason, CloseReason::Shutdown);
        }
    }
}

#[test]
fn a_pipe_that_is_read_beside_a_connection_is_not_waited_for() {
    let (reader, _writer) = pipe().unwrap();
    let mut world = World::new();
    world.event_loop().adopt_file(reader, FileOptions::read(), |file| watch(file, "F", quiet)).unwrap();
    world.pair(quiet, quiet);
    world.until_saw("C", "connect");
    ends_soon(&mut world);
    assert!(world.state.is_closed("F") && world.state.is_closed("C") && world.state.is_closed("S"));
}

#[test]
fn what_has_arrived_from_a_pipe_goes_into_the_socket_that_it_is_piped_into() {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&[b'x'; 60_000]).unwrap();
    let mut world = World::new();
    world.pair(quiet, quiet);
    world.until(|world| world.state.saw("C", "connect") && world.state.knows("S"));
    let client = world.id("C");
    world.event_loop().adopt_file(reader, FileOptions::read(), |file| file.pipe(client).unwrap()).unwrap();
    ends_soon(&mut world);
    assert_eq!(world.state.data("S"), [b'x'; 60_000]);
}

#[test]
fn a_regular_file_that_is_read_and_never_said_to_be_heard_is_not_waited_for() {
    let mut world = World::new();
    world.event_loop().open(file!(), FileOptions::new(OpenMode::Read), |_| {}).unwrap();
    world.event_loop().open(file!(), FileOptions::new(OpenMode::Read), |file| watch(file, "F", quiet)).unwrap();
    ends_soon(&mut world);
    assert_eq!(world.state.data("F"), std::fs::read(file!()).unwrap(), "a file that is heard is read");
}

/// Bytes without end.
#[test]
fn a_device_that_never_ends_is_read_for_a_second_at_most() {
    let mut world = World::new();
    world.event_loop().open("/dev/zero", FileOptions::read(), |file| file.on_data(|_, _| {})).unwrap();
    let begun = Instant::now();
    world.shut_down(ms(400));
    world.run_dry();
    assert!(begun.elapsed() < Duration::from_secs(5));
}
