//! Some errors of a write come with a signal that ends a process: EFBIG with SIGXFSZ, EPIPE of a pipe with SIGPIPE. Here the
//! error is all, unless the program has a handler for the signal.

use std::fs::File;
use std::path::Path;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::folder::Folder;
use crate::support::isolated::isolated;
use crate::support::loops::{World, ms, quiet, watch};
use crate::support::process::status_text;
use tidegate::FileOptions;

const LIMIT: u64 = 40 << 10;

fn limit_files() {
    setrlimit(Resource::Fsize, Rlimit { current: Some(LIMIT), maximum: Some(LIMIT) }).unwrap();
}

/// A file to which more is written than it may have.
fn overflow(world: &mut World, name: &str, open: impl FnOnce(&mut World)) {
    open(world);
    world.of(name).write_then(vec![b'x'; 100_000], move |file, written| {
        let told = written.map_err(|error| error.code());
        let name = file.net.connection(file.id()).bytes_written();
        file.state.note("callback", format!("{told:?} {name}"));
    });
    world.of(name).end();
    world.until_closed(&[name]);
    assert_eq!(world.state.of(name), ["error EFBIG", "close(true)"]);
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

#[test]
fn a_file_that_may_not_grow_is_an_error_of_that_file() {
    isolated("file_signals::a_file_that_may_not_grow_is_an_error_of_that_file", || {
        limit_files();
        let folder = Folder::new();
        let mask = status_text("thread-self", "SigBlk");
        let mut world = World::new();
        let path = folder.path("new");
        overflow(&mut world, "new", |world| _ = world.file("new", &path, FileOptions::write()));
        assert_eq!(world.state.of("callback"), [format!("Err(\"EFBIG\") {LIMIT}")]);
        assert_eq!(length(&path), LIMIT);

        // At its end already.
        overflow(&mut world, "append", |world| _ = world.file("append", &path, FileOptions::append()));
        assert_eq!(world.state.of("callback")[1], "Err(\"EFBIG\") 0");

        // What somebody else has opened, in one mode and the other.
        for (name, append) in [("adopted", false), ("adopted to append", true)] {
            let file = File::options().append(append).write(true).create(true).open(folder.path(name)).unwrap();
            overflow(&mut world, name, |world| {
                world.event_loop().adopt_file(file, FileOptions::write(), |file| watch(file, name, quiet)).unwrap();
            });
            assert_eq!(length(&folder.path(name)), LIMIT);
        }

        // Gathered.
        world.file("corked", folder.path("corked"), FileOptions::write());
        world.of("corked").cork();
        for _ in 0..3 {
            world.of("corked").write(vec![b'x'; 30_000]);
        }
        world.of("corked").uncork();
        world.until_closed(&["corked"]);
        assert_eq!(world.state.of("corked"), ["error EFBIG", "close(true)"]);

        world.after(ms(1), |event_loop| event_loop.state.note("others", "are served"));
        world.until(|world| world.state.saw("others", "are served"));
        assert_eq!(status_text("thread-self", "SigBlk"), mask, "what this thread blocks is as it was");
    });
}

/// Whoever listens to the signal hears it, and has the error as well.
#[cfg(feature = "signals")]
#[test]
fn a_program_that_listens_to_the_signal_hears_it() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    isolated("file_signals::a_program_that_listens_to_the_signal_hears_it", || {
        limit_files();
        let folder = Folder::new();
        // A handler of the program's own.
        let own = Arc::new(AtomicUsize::new(0));
        signal_hook::flag::register_usize(25, Arc::clone(&own), 1).unwrap();
        let mut world = World::new();
        overflow(&mut world, "one", |world| _ = world.file("one", folder.path("one"), FileOptions::write()));
        assert_eq!(own.swap(0, Ordering::SeqCst), 1);

        // The loop's.
        for number in [25, 13] {
            world.on_signal(number, move |it| it.state.note("signal", number.to_string())).unwrap();
        }
        overflow(&mut world, "two", |world| _ = world.file("two", folder.path("two"), FileOptions::write()));
        world.until(|world| world.state.of("signal") == ["25"]);
        assert_eq!(own.load(Ordering::SeqCst), 1);

        let (reader, writer) = std::io::pipe().unwrap();
        world.event_loop().adopt_file(writer, FileOptions::write(), |file| watch(file, "pipe", quiet)).unwrap();
        drop(reader);
        world.of("pipe").write("x");
        world.until_closed(&["pipe"]);
        assert_eq!(world.state.of("pipe"), ["error EPIPE", "close(true)"]);
        world.until(|world| world.state.of("signal") == ["25", "13"]);
    });
}

/// A loop that has listened, and was dropped: the default is back, and that is no reason to die of a full file.
#[cfg(feature = "signals")]
#[test]
fn a_loop_that_has_listened_to_the_signal_leaves_no_danger_behind() {
    isolated("file_signals::a_loop_that_has_listened_to_the_signal_leaves_no_danger_behind", || {
        limit_files();
        let folder = Folder::new();
        let mut world = World::new();
        world.on_signal(25, |_| {}).unwrap();
        world.off_signal(25);
        overflow(&mut world, "file", |world| _ = world.file("file", folder.path("file"), FileOptions::write()));
    });
}
