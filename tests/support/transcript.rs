//! What a child process writes into a pipe.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use super::PATIENCE;

/// Everything that comes out of a pipe, as far as it has come. A thread of the test's reads it.
#[derive(Clone)]
pub struct Transcript(Arc<(Mutex<Text>, Condvar)>);

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    is_whole: bool,
}

impl Transcript {
    pub fn nothing() -> Transcript {
        Transcript(Arc::new((Mutex::new(Text { bytes: Vec::new(), is_whole: true }), Condvar::new())))
    }

    pub fn of(mut source: impl Read + Send + 'static) -> Transcript {
        let transcript = Transcript(Arc::default());
        let ours = transcript.clone();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                let count = source.read(&mut piece).unwrap_or(0);
                let (text, changed) = &*ours.0;
                let mut text = text.lock().unwrap();
                text.bytes.extend(&piece[..count]);
                text.is_whole = count == 0;
                changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        transcript
    }

    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().bytes).into_owned()
    }

    /// Waits for the end of the pipe.
    pub fn whole(&self) -> String {
        let (text, changed) = &*self.0;
        let text = text.lock().unwrap();
        let (text, _) = changed.wait_timeout_while(text, PATIENCE, |text| !text.is_whole).unwrap();
        String::from_utf8_lossy(&text.bytes).into_owned()
    }

    /// Waits until `find` finds what it looks for; nothing when the pipe ends first, or the patience.
    pub fn wait_for<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let (text, changed) = &*self.0;
        let mut text = text.lock().unwrap();
        loop {
            let found = find(&String::from_utf8_lossy(&text.bytes));
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || text.is_whole || left.is_zero() {
                return found;
            }
            text = changed.wait_timeout(text, left).unwrap().0;
        }
    }
}
