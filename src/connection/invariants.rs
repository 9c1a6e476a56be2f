//! What is true of a connection between two turns. The net's walk (`net/invariants.rs`) asks for it.

use super::{Connection, Stage, Unit, Writing};

impl Connection {
    /// Whether its numbers agree with each other, and with the bytes that are there.
    pub fn check(&self, most_in_one_read: usize) -> Result<(), String> {
        self.queue().check()?;
        let unsent = if self.is_destroyed() { 0 } else { self.unsent_in_unit() + self.outgoing().waiting.bytes };
        if self.queue().unsent() != unsent {
            return Err(format!("{unsent} bytes are counted as unsent, {} are queued", self.queue().unsent()));
        }
        if let Unit::InFlight { length, unsent } = self.outgoing().unit
            && unsent > length
        {
            return Err(format!("{unsent} of {length} bytes in flight are unsent"));
        }
        if matches!(self.outgoing().unit, Unit::Parked(_)) && self.stage == Stage::Connected {
            return Err("a write still waits for the connection that is there".to_owned());
        }
        if self.outgoing().waiting.bytes > 0 && self.outgoing().waiting.writes == 0 {
            return Err(format!("{} bytes wait that nobody wrote", self.outgoing().waiting.bytes));
        }
        let bound = self.high_water_mark().max(1) - 1 + most_in_one_read;
        if self.read_ahead() > bound {
            return Err(format!("{} bytes are read ahead, the bound is {bound}", self.read_ahead()));
        }
        if self.is_destroyed() && self.armed {
            return Err("it is destroyed and reads on".to_owned());
        }
        if matches!(self.writing, Writing::Shut | Writing::Finished)
            && self.outgoing().unit != Unit::None
            && !self.is_destroyed()
        {
            return Err("it has finished with a write under way".to_owned());
        }
        Ok(())
    }
}
