//! What a party plays on: the simulated network, and chance. Both may be recorded with the party's loop, and played again.
//!
//! The loop's calls are recorded by its kernel. What the party draws and when its time is are facts of the same recording. So a
//! run that is played needs no network: it is that of the recording, and nobody is on the stage's own.

use std::fs::File;
use std::io::BufReader;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate::EventLoop;
use tidegate::kernel::{Header, Playback, Recorder, RecorderOptions, Recording, Replay, ReplayOptions};
use tidegate::sim::{Sim, Turning};

/// The network and chance of one party. A clone is the same.
#[derive(Clone)]
pub struct Stage {
    sim: Sim,
    told: Told,
}

#[derive(Clone)]
enum Told {
    Live,
    Recorded(Recording),
    Played(Playback),
}

/// Where the loops of a seed are recorded, or come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Records {
    None,
    /// Recorded to the files of this name, with the number of the loop behind it.
    To(PathBuf),
    From(PathBuf),
}

impl Records {
    /// The file of the loop with this number.
    pub fn file(path: &Path, number: usize) -> PathBuf {
        path.with_extension(format!("{number}.rec"))
    }
}

/// What happens on the stage of a run that is played happens to nobody.
impl Deref for Stage {
    type Target = Sim;

    fn deref(&self) -> &Sim {
        &self.sim
    }
}

/// What makes the loop of one party, once, on the kernel of its stage.
pub enum Kernel {
    Live,
    Recorded(Recorder<tidegate::sim::SimKernel>),
    Played(Replay),
}

impl Stage {
    /// The stage of the loop with this number, and its kernel.
    pub fn new(sim: &Sim, records: &Records, number: usize) -> (Stage, Kernel) {
        let (told, kernel) = match records {
            Records::None => (Told::Live, Kernel::Live),
            Records::To(path) => {
                let file = File::create(Records::file(path, number)).expect("the recording can be made");
                let header = Header::new().with("program", "simulation").with("loop", number.to_string());
                // It is a machine of the simulation, and its wait is not to end early.
                let options = RecorderOptions::new().delay(None).limit(None);
                let recorder =
                    Recorder::new(sim.kernel(), file, &header, options).expect("the recording can be written");
                (Told::Recorded(recorder.recording()), Kernel::Recorded(recorder))
            }
            Records::From(path) => {
                let file = File::open(Records::file(path, number)).expect("the recording is there");
                let replay = Replay::new(BufReader::new(file), ReplayOptions::new()).expect("it is a recording");
                (Told::Played(replay.playback()), Kernel::Played(replay))
            }
        };
        (Stage { sim: sim.clone(), told }, kernel)
    }

    pub fn event_loop<S>(&self, kernel: Kernel, state: S) -> EventLoop<S> {
        match kernel {
            Kernel::Live => EventLoop::on(self.sim.kernel(), state),
            Kernel::Recorded(recorder) => EventLoop::on(recorder, state),
            Kernel::Played(replay) => EventLoop::on(replay, state),
        }
    }

    /// What has become of a run that is played.
    pub fn playback(&self) -> Option<&Playback> {
        match &self.told {
            Told::Played(playback) => Some(playback),
            _ => None,
        }
    }

    pub fn random(&self, bound: u64) -> u64 {
        self.fact("random", || self.sim.random(bound))
    }

    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.fact("now", || self.sim.now().as_nanos() as u64))
    }

    fn fact(&self, name: &str, live: impl FnOnce() -> u64) -> u64 {
        match &self.told {
            Told::Live => live(),
            Told::Recorded(recording) => {
                let number = live();
                recording.fact(name, Some(&number.to_string()));
                number
            }
            Told::Played(playback) => playback.fact(name).and_then(|number| number.parse().ok()).unwrap_or(0),
        }
    }

    /// One turn.
    pub fn turn<S>(&self, event_loop: &mut EventLoop<S>, most: Duration) {
        let turned = event_loop.turn(Some(most));
        self.goes_on();
        turned.expect("a simulated kernel can wait");
    }

    /// That a run which is played is over is not seen in the middle of it.
    #[track_caller]
    pub fn goes_on(&self) {
        if let Some(playback) = self.playback() {
            assert!(!playback.is_over(), "the run that is played is over: {}", playback.report().end);
        }
    }

    /// Has all loops turn until then. Which loop has turned is a fact of this stage.
    pub fn run(&self, loops: &mut [&mut dyn Turning], until: Duration) -> Result<(), tidegate::Error> {
        const OVER: u64 = u64::MAX;

        if self.playback().is_some() {
            loop {
                self.goes_on();
                match self.fact("turns", || OVER) {
                    OVER => return Ok(()),
                    number => {
                        loops[number as usize].turn_now()?;
                        // `Sim::run` asks too, and that is a look at the clock.
                        loops[number as usize].next_deadline();
                    }
                }
            }
        }
        let mut noted: Vec<Noted<'_, '_>> = loops
            .iter_mut()
            .enumerate()
            .map(|(number, turning)| Noted { stage: self, number: number as u64, turning: *turning })
            .collect();
        let mut turning: Vec<&mut dyn Turning> = noted.iter_mut().map(|it| it as &mut dyn Turning).collect();
        self.sim.run(&mut turning, until)?;
        self.fact("turns", || OVER);
        Ok(())
    }
}

/// A loop whose turns are noted.
struct Noted<'s, 'l> {
    stage: &'s Stage,
    number: u64,
    turning: &'l mut dyn Turning,
}

impl Turning for Noted<'_, '_> {
    fn turn_now(&mut self) -> Result<(), tidegate::Error> {
        self.stage.fact("turns", || self.number);
        self.turning.turn_now()
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.turning.next_deadline()
    }
}
