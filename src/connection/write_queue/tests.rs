//! The write queue, without a kernel.

use super::*;

fn contents(queue: &WriteQueue, segments: &Segments) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 64];
    let count = queue.gather(usize::MAX, segments, &mut slices);
    slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
}

fn broadcast(queue: &mut WriteQueue, segments: &mut Segments, message: &[u8]) {
    let message = segments.append(message);
    queue.push_shared(message, segments);
}

fn dropped(queue: &mut WriteQueue, keep: usize, segments: &mut Segments) -> Option<usize> {
    queue.drop_oldest(keep, segments).map(|evicted| evicted.bytes)
}

#[test]
fn small_writes_become_one_buffer() {
    let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
    queue.push(b"a", 1, &mut segments);
    queue.push(b"bc", 2, &mut segments);
    assert_eq!(queue.pieces.len(), 1);
    assert_eq!(contents(&queue, &segments), b"abc");
}

#[test]
fn ranges_that_touch_are_one() {
    let (mut everybody, mut segments) = (WriteQueue::default(), Segments::default());
    let mut speaker = WriteQueue::default();
    for message in [b"one;", b"two;", b"six;"] {
        let place = segments.append(message);
        everybody.push_shared(place, &mut segments);
        if message != b"two;" {
            speaker.push_shared(place, &mut segments);
        }
    }
    assert_eq!((everybody.pieces.capacity(), everybody.newest.map(Span::len)), (0, Some(12)));
    assert_eq!(contents(&speaker, &segments), b"one;six;");
}

#[test]
fn what_waits_for_the_flush_is_not_copied_when_another_segment_begins() {
    let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
    // Another queue holds the first segment, so that it is not filled from its beginning again.
    let mut other = WriteQueue::default();
    broadcast(&mut other, &mut segments, &[b'-'; 3000]);
    broadcast(&mut queue, &mut segments, b"one");
    segments.seal();
    broadcast(&mut queue, &mut segments, b"two");
    broadcast(&mut queue, &mut segments, b"three");
    assert_eq!((queue.pieces.len(), queue.owned.unsent, queue.fresh.len()), (0, 0, 1));
    assert_eq!(queue.check(false, &segments), Ok(()));
    assert_eq!(contents(&queue, &segments), b"onetwothree");
    queue.sent(2, &mut segments);
    assert_eq!(contents(&queue, &segments), b"etwothree");
    queue.settle(&mut segments);
    assert_eq!((queue.fresh.capacity(), contents(&queue, &segments)), (0, b"etwothree".to_vec()));
    assert_eq!(queue.check(true, &segments), Ok(()));
    segments.seal();
    broadcast(&mut queue, &mut segments, b"four");
    segments.seal();
    broadcast(&mut queue, &mut segments, b"five");
    queue.sent(11, &mut segments);
    assert_eq!((contents(&queue, &segments), queue.fresh.len()), (b"urfive".to_vec(), 1));
    queue.sent(4, &mut segments);
    assert_eq!((contents(&queue, &segments), queue.fresh.len()), (b"ve".to_vec(), 0));
    queue.clear(&mut segments);
    assert_eq!(queue.check(true, &segments), Ok(()));
}

#[test]
fn a_segment_lives_as_long_as_somebody_holds_it() {
    let (mut slow, mut segments) = (WriteQueue::default(), Segments::default());
    let mut fast = WriteQueue::default();
    let hello = segments.append(b"hello");
    slow.push_shared(hello, &mut segments);
    fast.push_shared(hello, &mut segments);
    fast.sent(5, &mut segments);
    slow.sent(2, &mut segments);
    segments.seal();
    broadcast(&mut fast, &mut segments, b" world");
    assert_eq!(contents(&slow, &segments), b"llo");
    assert_eq!(contents(&fast, &segments), b" world");
    slow.clear(&mut segments);
    fast.clear(&mut segments);
    segments.seal();
    assert!(segments.len() <= 1, "only the one that is being filled is left");
}

#[test]
fn only_whole_messages_are_dropped() {
    let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
    for message in [&b"one;"[..], b"two;", b"three;"] {
        broadcast(&mut queue, &mut segments, message);
    }
    queue.sent(2, &mut segments);
    assert_eq!(dropped(&mut queue, 0, &mut segments), Some(4), "`one;` is partly sent and stays");
    assert_eq!(contents(&queue, &segments), b"e;three;");
    queue.push(b"own", 7, &mut segments);
    assert_eq!(dropped(&mut queue, 0, &mut segments), Some(6));
    assert_eq!(dropped(&mut queue, 0, &mut segments), Some(3));
    assert_eq!(dropped(&mut queue, 0, &mut segments), None);
    assert_eq!(contents(&queue, &segments), b"e;");
    assert_eq!(queue.unsent(), 2);
}

#[test]
fn each_write_of_a_buffer_is_a_message_with_its_number() {
    let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
    queue.push(b"one", 3, &mut segments);
    broadcast(&mut queue, &mut segments, b"all");
    queue.push(b"five", 4, &mut segments);
    queue.push(b"nine", 9, &mut segments);
    let evicted = |bytes, write| Some(Evicted { bytes, write });
    assert_eq!(queue.pieces.len(), 2, "9 does not follow 4");
    assert_eq!(queue.drop_newest(0, &mut segments), evicted(4, Some(9)));
    assert_eq!(queue.drop_oldest(3, &mut segments), evicted(3, None));
    assert_eq!(queue.drop_oldest(0, &mut segments), evicted(3, Some(3)));
    assert_eq!(contents(&queue, &segments), b"five");
    assert_eq!(queue.drop_newest(0, &mut segments), evicted(4, Some(4)));
    assert_eq!(queue.drop_newest(0, &mut segments), None);
}

#[test]
fn what_must_stay_is_not_dropped() {
    let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
    for message in [&b"one;"[..], b"two;", b"three;"] {
        broadcast(&mut queue, &mut segments, message);
    }
    assert_eq!(dropped(&mut queue, 6, &mut segments), Some(6), "`two;` begins before byte 6");
    assert_eq!(contents(&queue, &segments), b"one;two;");
}

/// What a queue of so many unsent bytes keeps alive, segments included.
fn alive(queue: &WriteQueue, segments: &Segments) -> usize {
    assert_eq!(queue.check(true, segments), Ok(()));
    queue.held() + segments.held()
}

/// Each turn fills a segment with `others` bytes and one message for this queue.
fn turns(count: usize, message: &[u8], others: usize) -> (WriteQueue, Segments) {
    let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
    for _ in 0..count {
        segments.append(&vec![b'o'; others / 2]);
        broadcast(&mut queue, &mut segments, message);
        segments.append(&vec![b'o'; others / 2]);
        queue.settle(&mut segments);
        segments.seal();
    }
    (queue, segments)
}

#[test]
fn a_few_bytes_of_each_turn_do_not_keep_what_others_were_sent() {
    for length in [1, 11, 63, 64, 1000] {
        let (queue, segments) = turns(1000, &vec![b'x'; length], 200_000);
        let alive = alive(&queue, &segments).saturating_sub(256 * 1024 * 9 / 8);
        assert!(alive <= 1000 * length * 2 + SLACK, "{alive} bytes for {length} of each turn");
    }
}

#[test]
fn what_is_most_of_its_segment_stays_shared() {
    let mut segments = Segments::default();
    let mut queues: Vec<_> = (0..100).map(|_| WriteQueue::default()).collect();
    for _ in 0..100 {
        let message = segments.append(&[b'x'; 1000]);
        queues.iter_mut().for_each(|queue| queue.push_shared(message, &mut segments));
        queues.iter_mut().for_each(|queue| queue.settle(&mut segments));
        segments.seal();
    }
    let own: usize = queues.iter().map(WriteQueue::held).sum();
    assert!(own + segments.held() < 100 * 1000 * 6, "{own} and {}", segments.held());
}

#[test]
fn small_messages_after_shared_ones_do_not_cost_the_sharing() {
    const QUEUES: usize = 100;

    let mut segments = Segments::default();
    let mut queues: Vec<_> = (0..QUEUES).map(|_| WriteQueue::default()).collect();
    for (count, length) in [(1000, 1008), (3000, 11)] {
        for _ in 0..count {
            let message = segments.append(&vec![b'x'; length]);
            queues.iter_mut().for_each(|queue| queue.push_shared(message, &mut segments));
            queues.iter_mut().for_each(|queue| queue.settle(&mut segments));
            segments.seal();
        }
    }
    let own: usize = queues.iter().map(WriteQueue::held).sum();
    assert!(queues.iter().all(|queue| queue.check(true, &segments).is_ok()));
    let most = 3000 * 11 * 5 / 2 + 1000 * 2 * size_of::<Piece>() + 2 * SLACK;
    assert!(own <= QUEUES * most, "{} bytes for each queue, where {most} are allowed", own / QUEUES);
    assert!(segments.held() <= 1000 * 1008 * 3, "{}", segments.held());
}

#[test]
fn a_segment_that_is_kept_grows_no_more() {
    let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
    broadcast(&mut queue, &mut segments, &[b'x'; 1000]);
    queue.settle(&mut segments);
    for _ in 0..100 {
        segments.append(&[b'o'; 1000]);
    }
    assert_eq!(segments.len(), 2);
    assert!(queue.check(true, &segments).is_ok());
}

#[test]
fn the_rest_of_a_long_range_does_not_keep_its_segment() {
    let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
    broadcast(&mut queue, &mut segments, &[b'x'; 200_000]);
    queue.settle(&mut segments);
    queue.sent(199_000, &mut segments);
    assert_eq!(segments.len(), 0);
    assert!(alive(&queue, &segments) <= 2 * 1000 + SLACK);
}

#[test]
fn the_rest_of_a_long_write_does_not_keep_its_buffer() {
    let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
    queue.push(&[b'x'; 1_000_000], 1, &mut segments);
    queue.push(b"small", 2, &mut segments);
    for _ in 0..999 {
        queue.sent(1000, &mut segments);
        assert!(alive(&queue, &segments) <= queue.unsent() * 5 / 2 + SLACK);
    }
    assert_eq!(queue.drop_newest(1000, &mut segments), Some(Evicted { bytes: 5, write: Some(2) }));
}

#[test]
fn small_messages_of_all_kinds_take_two_and_a_half_times_their_bytes_at_most() {
    for length in [1, 2, 11, 30, 64, 100, 1100] {
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        let message = vec![b'x'; length];
        for number in 0..1000 {
            broadcast(&mut queue, &mut segments, &message);
            queue.push(&message[..1], 2 * number, &mut segments);
            queue.push(&message, 2 * number + 1, &mut segments);
            queue.settle(&mut segments);
            segments.seal();
        }
        let alive = alive(&queue, &segments);
        assert!(alive <= queue.unsent() * 5 / 2 + 2 * SLACK, "{alive} for {} bytes of {length}", queue.unsent());
    }
}
