//! The flags that every role has, as they are in force now. SIGHUP may put others in their place while the role runs, so each is
//! asked for when it is used, and none is kept.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

use log::LevelFilter;

use crate::cli::DaemonOptions;

/// One for a role. A clone is the same.
#[derive(Clone)]
pub struct InForce(Rc<Flags>);

struct Flags {
    options: RefCell<DaemonOptions>,
    /// What the log says unless SIGUSR2 asks for more.
    usual_level: Cell<LevelFilter>,
}

impl InForce {
    pub fn new(options: &DaemonOptions) -> Self {
        let options = RefCell::new(options.clone());
        InForce(Rc::new(Flags { options, usual_level: Cell::new(log::max_level()) }))
    }

    /// To be given back before a handler of the role runs.
    pub fn get(&self) -> Ref<'_, DaemonOptions> {
        self.0.options.borrow()
    }

    pub fn put(&self, options: DaemonOptions) {
        self.0.options.replace(options);
    }

    pub fn usual_level(&self) -> LevelFilter {
        self.0.usual_level.get()
    }

    /// From now on the log is at this level, whatever SIGUSR2 has made of it.
    pub fn set_usual_level(&self, level: LevelFilter) {
        self.0.usual_level.set(level);
        log::set_max_level(level);
    }
}
