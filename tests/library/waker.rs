//! A loop that other threads wake: what arrives, how often, and what it waits for.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use tidegate::{Event, EventLoop, Waker};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_waker_may_go_to_other_threads() {
    fn may<T: Send + Sync + Clone + 'static>() {}
    may::<Waker>();
}

#[test]
fn a_loop_waits_for_its_workers_and_ends_when_they_are_gone() {
    let mut event_loop = EventLoop::with_state(Vec::new()).unwrap();
    let (sender, results) = mpsc::channel();
    event_loop.on_wake(move |event_loop| event_loop.state.extend(results.try_iter()));
    let waker = event_loop.waker().unwrap();
    let workers: Vec<_> = (0..3)
        .map(|number| {
            let (waker, sender) = (waker.clone(), sender.clone());
            thread::spawn(move || {
                thread::sleep(ms(20 * number));
                sender.send(number).unwrap();
                waker.wake().unwrap();
                // The last one goes while the loop sleeps, and nothing else would end that.
                thread::sleep(ms(20));
            })
        })
        .collect();
    drop(waker);
    event_loop.run().unwrap();
    assert_eq!(event_loop.state, [0, 1, 2]);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

#[test]
fn no_wake_is_lost_however_close_it_comes_to_the_end() {
    for _ in 0..500 {
        let mut event_loop = EventLoop::with_state(0).unwrap();
        let (sender, results) = mpsc::channel();
        event_loop.on_wake(move |event_loop| *event_loop.state += results.try_iter().count());
        let waker = event_loop.waker().unwrap();
        let worker = thread::spawn(move || {
            for _ in 0..10 {
                sender.send(()).unwrap();
                waker.wake().unwrap();
            }
        });
        event_loop.run().unwrap();
        worker.join().unwrap();
        assert_eq!(event_loop.state, 10);
    }
}

#[test]
fn wakes_before_a_turn_are_one_event() {
    let mut event_loop = EventLoop::with_state(0).unwrap();
    event_loop.on_wake(|event_loop| *event_loop.state += 1);
    let waker = event_loop.waker().unwrap();
    let other = event_loop.waker().unwrap();
    for _ in 0..1000 {
        waker.wake().unwrap();
        other.wake().unwrap();
    }
    for _ in 0..3 {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(event_loop.state, 1);
    waker.wake().unwrap();
    event_loop.turn(Some(ms(10_000))).unwrap();
    assert_eq!(event_loop.state, 2);
}

#[test]
fn a_handler_that_wakes_its_own_loop_runs_again_in_the_next_turn() {
    let mut event_loop = EventLoop::with_state(0).unwrap();
    let waker = event_loop.waker().unwrap();
    event_loop.on_wake(move |event_loop| {
        *event_loop.state += 1;
        waker.wake().unwrap();
    });
    event_loop.waker().unwrap().wake().unwrap();
    for turn in 1..=5 {
        event_loop.turn(Some(ms(10_000))).unwrap();
        assert_eq!(event_loop.state, turn);
    }
    // Its own waker would keep it running for ever.
    event_loop.after(ms(1), |event_loop| event_loop.stop());
    event_loop.run().unwrap();
}

#[test]
fn a_loop_with_a_waker_can_be_shut_down() {
    let mut event_loop = EventLoop::with_state(None).unwrap();
    event_loop.state = Some(event_loop.waker().unwrap());
    event_loop.listen("127.0.0.1:0", |socket| socket.end()).unwrap();
    event_loop.next_tick(|event_loop| event_loop.shut_down(ms(10_000)));
    let begun = Instant::now();
    event_loop.run().unwrap();
    assert!(begun.elapsed() < ms(5000), "for nothing");
    assert!(event_loop.state.is_some());
}

#[test]
fn a_wake_that_comes_too_late_does_nothing() {
    let mut event_loop = EventLoop::new().unwrap();
    let waker = event_loop.waker().unwrap();
    drop(event_loop);
    for _ in 0..2 {
        waker.wake().unwrap();
        waker.clone().wake().unwrap();
    }
}

#[test]
fn a_wake_is_an_event_of_a_net_and_ends_the_wait_of_an_outer_loop() {
    let mut net = EventLoop::new().unwrap().net;
    let waker = net.waker().unwrap();
    let readable = |net: &tidegate::Net| {
        let fd = net.poll_fd().unwrap();
        let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    };
    let events = |net: &mut tidegate::Net| {
        let mut wakes = 0;
        while let Some(event) = net.next_event(Some(Duration::ZERO)).unwrap() {
            assert!(matches!(event, Event::Wake));
            wakes += 1;
        }
        wakes
    };
    assert!(!readable(&net) && events(&mut net) == 0);
    waker.wake().unwrap();
    assert!(readable(&net));
    assert_eq!(events(&mut net), 1);
    assert!(!readable(&net));
    assert!(net.is_alive());
    drop(waker);
    assert!(!net.is_alive());
}

/// Four threads and a handler that puts each result where they can see it: nobody waits for a wake that was swallowed.
#[test]
fn many_threads_wake_a_busy_loop() {
    const EACH: u64 = 2_000;
    let mut event_loop = EventLoop::with_state(0).unwrap();
    let (sender, results) = mpsc::channel();
    let seen = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&seen);
    event_loop.on_wake(move |event_loop| {
        *event_loop.state += results.try_iter().sum::<u64>();
        shown.store(*event_loop.state, Ordering::SeqCst);
    });
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (waker, sender, seen) = (event_loop.waker().unwrap(), sender.clone(), Arc::clone(&seen));
            thread::spawn(move || {
                for _ in 0..EACH {
                    let before = seen.load(Ordering::SeqCst);
                    sender.send(1).unwrap();
                    waker.wake().unwrap();
                    while seen.load(Ordering::SeqCst) <= before {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    event_loop.run().unwrap();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(event_loop.state, 4 * EACH);
}
