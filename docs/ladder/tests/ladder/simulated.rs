//! Step 13 on a kernel that does not exist: time is a number, and each call gives what the test says.

use std::io;
use std::time::{Duration, Instant};

#[path = "../../src/bin/13b-door.rs"]
#[allow(dead_code)]
mod door;
#[path = "../../src/bin/13-kernel.rs"]
#[allow(dead_code)]
mod kernel;

/// What the server has done, in words.
type Story = Vec<String>;

macro_rules! simulated {
    ($step:ident) => {{
        use $step::{Kernel, LISTENER, Ready, Server, Socket};

        /// Its listener is ready once. The first accept finds no descriptor, the second one does, and then nobody waits.
        struct Simulated {
            story: Story,
            accepts: u32,
            begin: Instant,
            now: Duration,
        }

        impl Kernel for Simulated {
            fn wait(&mut self, at_most: Option<Duration>) -> io::Result<Vec<Ready>> {
                self.story.push(format!("waits: {at_most:?}"));
                if self.story.len() == 1 {
                    return Ok(vec![Ready { key: LISTENER, readable: true, writable: false, broken: false }]);
                }
                self.now += at_most.expect("nothing would ever wake it");
                Ok(Vec::new())
            }

            fn accept(&mut self, _: mio::Token) -> io::Result<Box<dyn Socket>> {
                self.accepts += 1;
                self.story.push(format!("accept {}", self.accepts));
                match self.accepts {
                    1 => Err(rustix::io::Errno::MFILE.into()),
                    _ => Err(rustix::io::Errno::AGAIN.into()),
                }
            }

            fn now(&self) -> Instant {
                self.begin + self.now
            }
        }

        let begin = Instant::now();
        let mut server = Server::on(Simulated { story: Vec::new(), accepts: 0, begin, now: Duration::ZERO });
        let outcome = server.turn().and_then(|()| server.turn());
        (outcome.map_err(|error| error.raw_os_error()), server.kernel.story)
    }};
}

#[test]
fn the_step_before_ends() {
    let (outcome, story) = simulated!(door);
    assert_eq!(outcome, Err(Some(rustix::io::Errno::MFILE.raw_os_error())));
    assert_eq!(story, ["waits: None", "accept 1"]);
}

#[test]
fn this_step_tries_again_without_another_edge() {
    let (outcome, story) = simulated!(kernel);
    assert_eq!(outcome, Ok(()));
    assert_eq!(story, ["waits: None", "accept 1", "waits: Some(100ms)", "accept 2"]);
}
