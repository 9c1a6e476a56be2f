//! Signals: who hears them, which there are, and what they do when nobody listens any more.

use tidegate::sim::Sim;
use tidegate::{ErrorKind, EventLoop};

#[test]
fn a_simulated_loop_that_listens_no_more_hears_nothing() {
    let sim = Sim::new(1);
    let mut event_loop = EventLoop::on(sim.kernel(), 0);
    event_loop.on_signal(10, |event_loop| *event_loop.state += 1).unwrap();
    sim.raise(10);
    event_loop.turn(None).unwrap();
    assert_eq!(event_loop.state, 1);
    sim.raise(10);
    event_loop.off_signal(10);
    sim.raise(10);
    event_loop.turn(Some(std::time::Duration::ZERO)).unwrap();
    assert_eq!(event_loop.state, 1);
    for number in [0, -1, 9, 19, 65, 128] {
        assert_eq!(event_loop.on_signal(number, |_| {}).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}

#[cfg(not(feature = "signals"))]
#[test]
fn without_the_feature_the_error_says_so() {
    let mut event_loop = EventLoop::new().unwrap();
    for number in [15, 0, 9, 128] {
        let error = event_loop.on_signal(number, |_| {}).unwrap_err();
        assert!(error.to_string().contains("built without the feature `signals`"), "{error}");
    }
    event_loop.off_signal(15);
}

#[cfg(feature = "signals")]
mod of_the_machine {
    use std::os::unix::process::ExitStatusExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};
    use signal_hook::low_level::raise;

    use crate::support::isolated::{end_of, isolated};
    use crate::support::loops::{World, ms};
    use tidegate::{ErrorKind, Event, EventLoop, Loop, Net};

    const USR1: i32 = 10;
    const USR2: i32 = 12;
    const PIPE: i32 = 13;
    const TERM: i32 = 15;

    fn counting() -> EventLoop<usize> {
        EventLoop::with_state(0).unwrap()
    }

    fn count(event_loop: &mut Loop<'_, usize>) {
        *event_loop.state += 1;
    }

    fn turn(event_loop: &mut EventLoop<usize>) -> usize {
        for _ in 0..3 {
            event_loop.turn(Some(ms(1))).unwrap();
        }
        event_loop.state
    }

    /// The name of a test here, for the process of its own.
    macro_rules! name {
        ($name:literal) => {
            concat!("signals::of_the_machine::", $name)
        };
    }

    #[test]
    fn a_signal_is_an_event_that_keeps_nothing_running_and_its_handler_can_be_replaced() {
        let mut world = World::new();
        world
            .on_signal(Signal::USR1.as_raw(), |on| {
                on.state.note("signal", "first");
                on.on_signal(Signal::USR1.as_raw(), |on| on.state.note("signal", "second")).unwrap();
            })
            .unwrap();
        assert!(!world.net.is_alive());
        for n in 1..=3 {
            kill_process(getpid(), Signal::USR1).unwrap();
            world.until(|world| world.state.of("signal").len() == n);
        }
        assert_eq!(world.state.of("signal"), ["first", "second", "second"]);
    }

    // ---- numbers -----------------------------------------------------------------------------------------------------

    #[test]
    fn a_number_that_no_signal_has_is_an_error_and_so_is_a_signal_that_cannot_be_caught() {
        let mut event_loop = counting();
        // 32 and 33 are the C library's own.
        for number in [0, -1, 32, 33, 65, 100, 127, 128, 129, 255, 256, 1000, i32::MAX, i32::MIN] {
            let error = event_loop.on_signal(number, count).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{number}");
            assert_eq!(error.to_string(), format!("there is no signal {number}"));
            event_loop.off_signal(number);
        }
        for number in [4, 8, 9, 11, 19] {
            let error = event_loop.on_signal(number, count).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{number}");
            assert_eq!(error.to_string(), format!("signal {number} cannot be caught"));
        }
        assert_eq!(turn(&mut event_loop), 0);
    }

    #[test]
    fn every_other_signal_is_heard() {
        isolated(name!("every_other_signal_is_heard"), || {
            let mut event_loop = counting();
            let numbers = (1..=31).chain(35..=64).filter(|number| ![4, 8, 9, 11, 19].contains(number));
            for (heard, number) in (1..).zip(numbers) {
                event_loop.on_signal(number, count).unwrap();
                raise(number).unwrap();
                assert_eq!(turn(&mut event_loop), heard, "signal {number}");
            }
        });
    }

    // ---- when nobody listens any more --------------------------------------------------------------------------------

    /// A loop that has listened to a signal is dropped, and the signal comes.
    fn listened_to(number: i32) {
        let mut event_loop = counting();
        event_loop.on_signal(number, count).unwrap();
        raise(number).unwrap();
        assert_eq!(turn(&mut event_loop), 1);
        drop(event_loop);
        raise(number).unwrap();
    }

    #[test]
    fn behind_its_loop_a_signal_ends_the_process() {
        if let Some(end) = end_of(name!("behind_its_loop_a_signal_ends_the_process"), || listened_to(TERM)) {
            assert_eq!(end.signal(), Some(TERM));
        }
    }

    /// By default these do not end a process, or this process had said that it ignores them: Rust does so with SIGPIPE.
    #[test]
    fn behind_its_loop_a_signal_that_was_ignored_is_ignored() {
        isolated(name!("behind_its_loop_a_signal_that_was_ignored_is_ignored"), || {
            for number in [PIPE, 17, 18, 23, 28] {
                listened_to(number);
            }
        });
    }

    /// One that signal-hook does not know by name.
    #[test]
    fn behind_its_loop_a_realtime_signal_ends_the_process() {
        if let Some(end) = end_of(name!("behind_its_loop_a_realtime_signal_ends_the_process"), || listened_to(40)) {
            assert_eq!(end.code(), Some(128 + 40));
        }
    }

    #[test]
    fn a_signal_that_is_listened_to_no_more_ends_the_process() {
        let end = end_of(name!("a_signal_that_is_listened_to_no_more_ends_the_process"), || {
            let mut event_loop = counting();
            event_loop
                .on_signal(TERM, |event_loop| {
                    *event_loop.state += 1;
                    event_loop.off_signal(TERM);
                })
                .unwrap();
            event_loop.on_signal(USR1, count).unwrap();
            raise(TERM).unwrap();
            assert_eq!(turn(&mut event_loop), 1);
            raise(USR1).unwrap();
            assert_eq!(turn(&mut event_loop), 2, "the others stay");
            event_loop.on_signal(TERM, count).unwrap();
            raise(TERM).unwrap();
            assert_eq!(turn(&mut event_loop), 3, "and it can be listened to again");
            event_loop.off_signal(TERM);
            event_loop.off_signal(TERM);
            raise(TERM).unwrap();
        });
        if let Some(end) = end {
            assert_eq!(end.signal(), Some(TERM));
        }
    }

    #[test]
    fn a_signal_ends_the_process_when_the_last_loop_listens_no_more() {
        let end = end_of(name!("a_signal_ends_the_process_when_the_last_loop_listens_no_more"), || {
            let (mut one, mut other) = (counting(), counting());
            one.on_signal(USR2, count).unwrap();
            other.on_signal(USR2, count).unwrap();
            raise(USR2).unwrap();
            assert_eq!((turn(&mut one), turn(&mut other)), (1, 1));
            drop(one);
            raise(USR2).unwrap();
            assert_eq!(turn(&mut other), 2);
            let mut third = counting();
            third.on_signal(USR2, count).unwrap();
            drop(other);
            raise(USR2).unwrap();
            assert_eq!(turn(&mut third), 1);
            third.off_signal(USR2);
            raise(USR2).unwrap();
        });
        if let Some(end) = end {
            assert_eq!(end.signal(), Some(USR2));
        }
    }

    #[test]
    fn loops_of_two_threads_hear_one_signal_each() {
        isolated(name!("loops_of_two_threads_hear_one_signal_each"), || {
            let listening = Arc::new(AtomicUsize::new(0));
            let loops: Vec<_> = (0..2)
                .map(|_| {
                    let listening = Arc::clone(&listening);
                    thread::spawn(move || {
                        let mut event_loop = counting();
                        event_loop
                            .on_signal(TERM, |event_loop| {
                                *event_loop.state += 1;
                                event_loop.stop();
                            })
                            .unwrap();
                        event_loop.after(Duration::from_secs(10), |_| {});
                        listening.fetch_add(1, Ordering::SeqCst);
                        event_loop.run().unwrap();
                        event_loop.state
                    })
                })
                .collect();
            while listening.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            kill_process(getpid(), Signal::TERM).unwrap();
            let heard: Vec<_> = loops.into_iter().map(|it| it.join().unwrap()).collect();
            assert_eq!(heard, [1, 1]);
        });
    }

    /// The handler of the process runs on the main thread, which waits for the one of the test. So it has woken the loop before
    /// it is done, and the loop may be gone by then.
    #[test]
    fn a_signal_that_a_loop_has_heard_does_nothing_else_when_the_loop_is_dropped_at_once() {
        isolated(name!("a_signal_that_a_loop_has_heard_does_nothing_else_when_the_loop_is_dropped_at_once"), || {
            for _ in 0..3000 {
                let mut event_loop = counting();
                event_loop.on_signal(USR1, count).unwrap();
                kill_process(getpid(), Signal::USR1).unwrap();
                while event_loop.state == 0 {
                    event_loop.turn(Some(ms(100))).unwrap();
                }
                assert_eq!(event_loop.state, 1);
            }
        });
    }

    /// A handler of the program's own, that was there first, is called while a loop listens and afterwards.
    #[test]
    fn the_programs_own_handler_stays() {
        isolated(name!("the_programs_own_handler_stays"), || {
            let own = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(TERM, Arc::clone(&own)).unwrap();
            let mut event_loop = counting();
            event_loop.on_signal(TERM, count).unwrap();
            raise(TERM).unwrap();
            assert_eq!(turn(&mut event_loop), 1);
            assert!(own.swap(false, Ordering::SeqCst));
            drop(event_loop);
            raise(TERM).unwrap();
            assert!(own.load(Ordering::SeqCst), "and nothing else happens");
        });
    }

    /// One that has arrived before is not heard any more, and has no effect.
    #[test]
    fn a_signal_that_has_arrived_is_not_heard_behind_off_signal() {
        isolated(name!("a_signal_that_has_arrived_is_not_heard_behind_off_signal"), || {
            let mut event_loop = counting();
            for number in [USR1, USR2] {
                event_loop
                    .on_signal(number, |event_loop| {
                        *event_loop.state += 1;
                        event_loop.off_signal(USR1);
                        event_loop.off_signal(USR2);
                    })
                    .unwrap();
                raise(number).unwrap();
            }
            assert_eq!(turn(&mut event_loop), 1, "both had arrived, and the first took the second back");
            event_loop.on_signal(USR1, count).unwrap();
            assert_eq!(turn(&mut event_loop), 1);
            raise(USR1).unwrap();
            assert_eq!(turn(&mut event_loop), 2);
        });
    }

    #[test]
    fn a_net_alone_listens_and_listens_no_more() {
        let end = end_of(name!("a_net_alone_listens_and_listens_no_more"), || {
            let mut net = Net::new(tidegate::kernel::MioKernel::new().unwrap());
            net.watch_signal(USR1).unwrap();
            net.watch_signal(USR1).unwrap();
            raise(USR1).unwrap();
            let mut heard = 0;
            for _ in 0..3 {
                while let Some(event) = net.next_event(Some(ms(1))).unwrap() {
                    assert!(matches!(event, Event::Signal(USR1)));
                    heard += 1;
                }
            }
            assert_eq!(heard, 1);
            net.unwatch_signal(USR1);
            raise(USR1).unwrap();
        });
        if let Some(end) = end {
            assert_eq!(end.signal(), Some(USR1));
        }
    }

    /// A loop that listens takes two descriptors, whatever the number of signals, and gives them back.
    #[test]
    fn signals_leave_no_descriptor_behind() {
        isolated(name!("signals_leave_no_descriptor_behind"), || {
            let before = crate::support::process::descriptors("self");
            for _ in 0..3 {
                let mut event_loop = counting();
                let empty = crate::support::process::descriptors("self");
                for signal in [USR1, USR1, Signal::USR2.as_raw(), Signal::WINCH.as_raw()] {
                    event_loop.on_signal(signal, count).unwrap();
                    assert_eq!(crate::support::process::descriptors("self"), empty + 2);
                }
                event_loop.off_signal(USR1);
                assert_eq!(crate::support::process::descriptors("self"), empty + 2);
            }
            assert_eq!(crate::support::process::descriptors("self"), before);
        });
    }
}
