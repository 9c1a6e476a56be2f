//! What is true of a connection between two turns. The walk of the whole net (`net/check.rs`) asks for it.

use super::Connection;

impl Connection {
    /// Whether its numbers agree with each other, and with the bytes that are there.
    pub fn check(&self, most_in_one_read: usize) -> Result<(), String> {
        self.outgoing().check(self.is_destroyed())?;
        if self.is_pending() && self.is_connected() {
            return Err("a write still waits for the connection that is there".to_owned());
        }
        if self.is_finished() && self.unsent_in_current() > 0 && !self.is_destroyed() {
            return Err("it has finished with a write under way".to_owned());
        }
        let bound = self.high_water_mark().max(1) - 1 + most_in_one_read;
        if self.read_ahead() > bound {
            return Err(format!("{} bytes are read ahead, the bound is {bound}", self.read_ahead()));
        }
        self.read_ahead.check()?;
        if self.is_destroyed() && self.is_armed() {
            return Err("it is destroyed and reads on".to_owned());
        }
        Ok(())
    }
}
