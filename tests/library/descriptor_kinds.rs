//! What can be adopted as a file on Linux: each kind of descriptor, as it was made, so that its calls would block. None of
//! them holds the loop up, its readiness is noticed, and nothing changes for others who have it.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::support::folder::Folder;
use crate::support::loops::{World, ms, quiet, watch};
use crate::support::terminal::{open_terminal, pseudo_terminal};
use tidegate::{ErrorKind as TheKind, FileOptions};

/// A call that blocks is a failure, not a test that never ends.
#[track_caller]
fn in_time(test: impl FnOnce() + Send + 'static) {
    let test = thread::spawn(test);
    let end = Instant::now() + Duration::from_secs(20);
    while !test.is_finished() {
        assert!(Instant::now() < end, "the loop is held up");
        thread::sleep(ms(1));
    }
    if let Err(panic) = test.join() {
        std::panic::resume_unwind(panic);
    }
}

fn blocks(descriptor: impl AsFd) -> bool {
    !fcntl_getfl(descriptor).unwrap().contains(OFlags::NONBLOCK)
}

/// Adopts it and reads it; another owner has it as well.
fn read(world: &mut World, descriptor: impl AsFd) {
    let ours = descriptor.as_fd().try_clone_to_owned().unwrap();
    world.event_loop().adopt_file(ours, FileOptions::read(), |file| watch(file, "file", quiet)).unwrap();
    // It has nothing yet.
    world.turn_for(ms(10));
    assert_eq!(world.state.of("file"), [] as [&str; 0]);
    assert!(world.net.is_alive());
    assert!(blocks(descriptor), "nothing changes for others");
}

/// Adopts it and writes it; another owner has it as well.
fn write(world: &mut World, descriptor: impl AsFd) {
    let ours = descriptor.as_fd().try_clone_to_owned().unwrap();
    world.event_loop().adopt_file(ours, FileOptions::write(), |file| watch(file, "file", quiet)).unwrap();
    assert!(blocks(descriptor), "nothing changes for others");
}

fn number(world: &World) -> Vec<u64> {
    world.state.data("file").chunks(8).map(|it| u64::from_ne_bytes(it.try_into().unwrap())).collect()
}

// ---- what has no name in the file system ------------------------------------------------------------------------------

#[test]
fn an_eventfd_is_read_each_time_it_is_written() {
    in_time(|| {
        let counter = eventfd(0, EventfdFlags::empty()).unwrap();
        let mut world = World::new();
        read(&mut world, &counter);
        for (n, value) in [5_u64, 1, 700].into_iter().enumerate() {
            rustix::io::write(&counter, &value.to_ne_bytes()).unwrap();
            world.until(|world| number(world).len() == n + 1);
        }
        assert_eq!(number(&world), [5, 1, 700]);
    });
}

#[test]
fn an_eventfd_that_is_a_semaphore_gives_one_after_the_other() {
    in_time(|| {
        let counter = eventfd(0, EventfdFlags::SEMAPHORE).unwrap();
        let mut world = World::new();
        read(&mut world, &counter);
        rustix::io::write(&counter, &3_u64.to_ne_bytes()).unwrap();
        world.until(|world| number(world) == [1, 1, 1]);
    });
}

/// Its counter holds at most 2^64 - 2. A number that does not fit waits, and what does not fit is not told by poll(2).
#[test]
fn an_eventfd_that_is_full_takes_a_number_when_somebody_has_read_it() {
    in_time(|| {
        let counter = eventfd(0, EventfdFlags::empty()).unwrap();
        let taken = || {
            let mut number = [0; 8];
            rustix::io::read(&counter, &mut number).unwrap();
            u64::from_ne_bytes(number)
        };
        let mut world = World::new();
        write(&mut world, &counter);
        for number in [u64::MAX - 3, 1, 1, 2, 3] {
            world.of("file").write(number.to_ne_bytes());
        }
        world.turn_for(ms(10));
        assert_eq!(world.of("file").bytes_written(), 8 * 3, "the fourth does not fit");
        assert_eq!(taken(), u64::MAX - 1);
        world.until(|world| world.net.connection(world.state.id("file")).bytes_written() == 8 * 5);
        assert_eq!(taken(), 2 + 3);
        world.of("file").write(u64::MAX.to_ne_bytes());
        world.until_closed(&["file"]);
        assert_eq!(world.state.of("file"), ["error EINVAL", "close(true)"]);
    });
}

#[test]
fn a_timerfd_is_read_each_time_it_comes() {
    in_time(|| {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::empty()).unwrap();
        let mut world = World::new();
        read(&mut world, &timer);
        let span = Timespec { tv_sec: 0, tv_nsec: 3_000_000 };
        let times = Itimerspec { it_interval: span, it_value: span };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times).unwrap();
        world.until(|world| number(world).len() >= 3);
        assert!(number(&world).iter().all(|expirations| *expirations > 0));
    });
}

#[test]
fn inotify_tells_of_each_change() {
    in_time(|| {
        let folder = Folder::new();
        let changes = inotify::init(inotify::CreateFlags::empty()).unwrap();
        inotify::add_watch(&changes, folder.itself(), inotify::WatchFlags::CREATE).unwrap();
        let mut world = World::new();
        read(&mut world, &changes);
        for name in ["first", "second"] {
            File::create(folder.path(name)).unwrap();
            world.until(|world| world.state.data("file").windows(name.len()).any(|it| it == name.as_bytes()));
        }
    });
}

#[test]
fn a_signalfd_tells_of_each_signal() {
    use nix::sys::signal::{SigSet, Signal, raise};
    use nix::sys::signalfd::SignalFd;

    in_time(|| {
        let mask = SigSet::from_iter([Signal::SIGUSR2]);
        mask.thread_block().unwrap();
        let signals = SignalFd::new(&mask).unwrap();
        let mut world = World::new();
        read(&mut world, &signals);
        for n in 1..=2 {
            raise(Signal::SIGUSR2).unwrap();
            world.until(|world| world.state.data("file").len() == 128 * n);
        }
    });
}

/// There is nothing to read of it, ever; poll(2) says when the process has ended, and the read that it is an error.
#[test]
fn a_pidfd_is_an_error_and_holds_nothing_up() {
    in_time(|| {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        let mut world = World::new();
        read(&mut world, &process);
        child.kill().unwrap();
        world.until_closed(&["file"]);
        assert_eq!(world.state.of("file"), ["error EINVAL", "close(true)"]);
        child.wait().unwrap();
    });
}

/// Else a pipe would be opened again for the other direction, or wait for ever.
#[test]
fn a_descriptor_that_is_not_open_for_its_direction_is_an_error() {
    in_time(|| {
        let (reader, writer) = std::io::pipe().unwrap();
        let folder = Folder::new();
        let mut world = World::new();
        let mut refuse = |descriptor: OwnedFd, options: FileOptions, why: &str| {
            let error = world.event_loop().adopt_file(descriptor, options, |_| panic!("there is no file")).unwrap_err();
            assert_eq!(error.kind(), TheKind::InvalidArgument);
            assert!(error.to_string().contains(why), "{error}");
        };
        refuse(reader.into(), FileOptions::write(), "not open for writing");
        refuse(writer.into(), FileOptions::read(), "not open for reading");
        refuse(File::create(folder.path("new")).unwrap().into(), FileOptions::read(), "not open for reading");
        refuse(File::open(folder.path("new")).unwrap().into(), FileOptions::append(), "not open for writing");
        assert_eq!(world.net.sockets(), 0);
    });
}

// ---- sockets ----------------------------------------------------------------------------------------------------------

#[test]
fn a_socket_is_read_and_written_as_a_file() {
    in_time(|| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut world = World::new();
        read(&mut world, &ours);
        for what in ["one", "two"] {
            theirs.write_all(what.as_bytes()).unwrap();
            world.until(|world| world.state.data("file").ends_with(what.as_bytes()));
        }
        drop(theirs);
        world.until_closed(&["file"]);
        assert_eq!(world.state.of("file"), ["data onetwo", "end", "close(false)"]);

        // More than it takes, and nobody reads.
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut world = World::new();
        write(&mut world, &ours);
        drop(ours);
        world.of("file").write(vec![b'x'; 4 << 20]);
        world.turn_for(ms(10));
        assert!(world.of("file").bytes_written() < 4 << 20);
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            all.len()
        });
        world.of("file").end();
        world.until_closed(&["file"]);
        assert_eq!(reader.join().unwrap(), 4 << 20);
    });
}

#[test]
fn a_datagram_socket_is_read_as_a_file() {
    in_time(|| {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let mut world = World::new();
        read(&mut world, &ours);
        theirs.send(b"one").unwrap();
        theirs.send(b"two").unwrap();
        world.until(|world| world.state.data("file") == b"onetwo");

        let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut world = World::new();
        read(&mut world, &ours);
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"hello", ours.local_addr().unwrap()).unwrap();
        world.until(|world| world.state.data("file") == b"hello");
    });
}

#[test]
fn a_listener_is_no_file() {
    in_time(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut world = World::new();
        world.event_loop().adopt_file(listener, FileOptions::read(), |file| watch(file, "file", quiet)).unwrap();
        world.until_closed(&["file"]);
        assert_eq!(world.state.of("file"), ["error ENOTCONN", "close(true)"]);
    });
}

// ---- devices and terminals --------------------------------------------------------------------------------------------

#[test]
fn devices_that_never_wait_are_always_ready() {
    in_time(|| {
        let mut world = World::new();
        for (name, bytes) in [("/dev/zero", 300_000), ("/dev/urandom", 300_000)] {
            let device: OwnedFd = File::open(name).unwrap().into();
            let id =
                world.event_loop().adopt_file(device, FileOptions::read(), |file| watch(file, name, quiet)).unwrap();
            world.until(|world| world.state.data(name).len() > bytes);
            world.net.destroy(id);
        }
        let null: OwnedFd = File::options().write(true).open("/dev/null").unwrap().into();
        let before = world.net.counters().turns;
        world.event_loop().adopt_file(null, FileOptions::write(), |file| watch(file, "null", quiet)).unwrap();
        world.of("null").write(vec![0; 1 << 20]);
        world.of("null").end();
        world.until_closed(&["null"]);
        assert_eq!(world.state.closed("null").unsent, 0);
        assert!(world.net.counters().turns - before < 40, "64 KiB a turn");
    });
}

/// Opened again, it would be the master of another terminal. When the last one at the terminal has gone, Linux says EIO.
#[test]
fn the_master_of_a_pseudo_terminal_is_the_one_of_its_terminal() {
    in_time(|| {
        let (master, name) = pseudo_terminal();
        let (stdin, stdout) = (open_terminal(&name), open_terminal(&name));
        let mut world = World::new();
        read(&mut world, &master);
        let mut child = Command::new("sh")
            .args(["-c", "echo hello; read line; echo \"heard $line\""])
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::from(stdout))
            .spawn()
            .unwrap();
        world.until(|world| world.state.data("file") == b"hello\r\n");

        world
            .event_loop()
            .adopt_file(master, FileOptions::write(), |file| {
                watch(file, "keyboard", quiet);
                file.write("you\n");
            })
            .unwrap();
        world.until_closed(&["file"]);
        assert_eq!(world.state.data("file"), b"hello\r\nyou\r\nheard you\r\n", "with the echo of the terminal");
        assert_eq!(world.state.of("file")[1..], ["error EIO", "close(true)"]);
        child.wait().unwrap();
    });
}

/// Who types more than the other side reads waits, and holds nobody up.
#[test]
fn a_master_that_is_full_waits_for_the_terminal() {
    in_time(|| {
        let (master, name) = pseudo_terminal();
        let mut terminal = open_terminal(&name);
        assert!(terminal.is_terminal());
        let mut world = World::new();
        write(&mut world, &master);
        let lines = "1234567\n".repeat(1 << 17);
        world.of("file").write(&lines);
        world.turn_for(ms(30));
        let written = world.of("file").bytes_written();
        assert!(written < lines.len() as u64, "{written}");
        // A read gives a line.
        let mut line = [0; 4096];
        for n in 0.. {
            if world.of("file").bytes_written() > written {
                break;
            }
            assert!(n < 1 << 17, "all was read, and it has not gone on");
            assert_eq!(terminal.read(&mut line).unwrap(), 8);
            world.turn(Some(ms(0))).unwrap();
        }
    });
}

/// The terminal itself is opened again; what is stopped there holds nobody up.
#[test]
fn a_terminal_that_is_full_waits_for_its_master() {
    in_time(|| {
        let (master, name) = pseudo_terminal();
        let terminal = open_terminal(&name);
        let mut world = World::new();
        write(&mut world, &terminal);
        world.of("file").write(vec![b'x'; 1 << 20]);
        world.turn_for(ms(10));
        let written = world.of("file").bytes_written();
        assert!(written < 1 << 20);
        // Linux wakes the terminal when little is left to be read at once, so one read may not be enough.
        let mut master = File::from(master);
        let (mut piece, mut taken) = ([0; 4096], 0);
        while world.of("file").bytes_written() == written {
            taken += master.read(&mut piece).unwrap() as u64;
            assert!(taken < written, "all was read, and it goes on with nothing");
            world.turn_for(ms(1));
        }

        let mut world = World::new();
        read(&mut world, &terminal);
        master.write_all(b"typed\n").unwrap();
        world.until(|world| world.state.data("file") == b"typed\n");
    });
}

/// A pipe whose other end is gone cannot be opened again.
#[test]
fn a_pipe_that_nobody_reads_is_an_error_and_one_that_nobody_writes_has_ended() {
    in_time(|| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut world = World::new();
        write(&mut world, &writer);
        world.of("file").write("x");
        world.until_closed(&["file"]);
        assert_eq!(world.state.of("file"), ["error EPIPE", "close(true)"]);

        let (mut reader, writer) = std::io::pipe().unwrap();
        drop(writer);
        assert_eq!(reader.read(&mut [0]).map_err(|error| error.kind() == ErrorKind::WouldBlock).unwrap(), 0);
        let mut world = World::new();
        world.event_loop().adopt_file(reader, FileOptions::read(), |file| watch(file, "file", quiet)).unwrap();
        world.until_closed(&["file"]);
        assert_eq!(world.state.of("file"), ["end", "close(false)"]);
    });
}

// ---- both directions by one descriptor ---------------------------------------------------------------------------------

#[test]
fn a_terminal_is_read_and_written_by_one_descriptor_until_its_master_goes() {
    in_time(|| {
        let (master, name) = pseudo_terminal();
        let mut master = File::from(master);
        let mut world = World::new();
        let id = world.file("terminal", &name, FileOptions::read_write());
        world.of("terminal").resume();
        master.write_all(b"a line\n").unwrap();
        world.until(|world| world.state.data("terminal") == b"a line\n");
        world.of("terminal").write("an answer\n");
        let mut heard = Vec::new();
        while !heard.ends_with(b"an answer\r\n") {
            world.turn_for(ms(1));
            let mut byte = [0];
            master.read_exact(&mut byte).unwrap();
            heard.push(byte[0]);
        }
        assert!(world.net.connection(id).is_file());
        drop(master);
        world.until(|world| world.state.saw("terminal", "end") || world.state.is_closed("terminal"));
        world.of("terminal").destroy();
        world.until_closed(&["terminal"]);
        assert_eq!(world.net.sockets(), 0);
    });
}

#[test]
fn a_fifo_that_is_held_open_has_no_end_between_two_writers() {
    in_time(|| {
        let folder = Folder::new();
        let path = folder.path("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let mut world = World::new();
        world.file("fifo", &path, FileOptions::read_write());
        world.of("fifo").resume();
        for said in ["one", "two"] {
            std::fs::write(&path, said).unwrap();
            world.until(|world| world.state.data("fifo").ends_with(said.as_bytes()));
            world.turn_for(ms(10));
        }
        assert_eq!(world.state.data("fifo"), b"onetwo");
        assert!(!world.state.saw("fifo", "end") && !world.state.is_closed("fifo"));
        assert!(world.net.is_alive());
    });
}

#[test]
fn a_loop_that_shuts_down_writes_what_is_queued_for_a_terminal_and_does_not_wait_for_its_end() {
    in_time(|| {
        let (master, name) = pseudo_terminal();
        let mut world = World::new();
        world.file("terminal", &name, FileOptions::read_write());
        world.of("terminal").resume();
        world.of("terminal").write("the last word");
        let began = Instant::now();
        world.shut_down(Duration::from_secs(15));
        world.run().unwrap();
        assert!(began.elapsed() < Duration::from_secs(10), "it waited for an end that never comes");
        let mut heard = [0; 13];
        File::from(master).read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"the last word");
    });
}
