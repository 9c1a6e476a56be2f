//! How sockets connect to names if their options do not say: Node's `setDefaultAutoSelectFamily` and its kin.

use std::time::Duration;

use super::Net;
use super::conn::dial::long_enough;
use super::options::check_time;
use crate::base::error::Error;
use crate::connection::race::ConnectAttempts;

impl Net {
    /// How the addresses of a name are tried if [`SocketOptions::attempts`](field@crate::SocketOptions::attempts) does not say.
    #[doc(alias = "getDefaultAutoSelectFamily")]
    pub fn default_attempts(&self) -> ConnectAttempts {
        self.connect_defaults.attempts
    }

    /// Sets [`Net::default_attempts`] for the sockets that are made from now on.
    #[doc(alias = "setDefaultAutoSelectFamily")]
    pub fn set_default_attempts(&mut self, attempts: ConnectAttempts) {
        self.connect_defaults.attempts = attempts;
    }

    /// How long an address of a name may take if [`SocketOptions::attempt_delay`](field@crate::SocketOptions::attempt_delay) does not say.
    #[doc(alias = "getDefaultAutoSelectFamilyAttemptTimeout")]
    pub fn default_attempt_delay(&self) -> Duration {
        self.connect_defaults.delay
    }

    /// Sets [`Net::default_attempt_delay`] for the sockets that are made from now on. Less than 10 ms is 10 ms, as in Node.
    ///
    /// # Errors
    /// A time that is not from 1 ms to 2^31 - 1 ms.
    #[doc(alias = "setDefaultAutoSelectFamilyAttemptTimeout")]
    pub fn set_default_attempt_delay(&mut self, delay: Duration) -> Result<(), Error> {
        check_time("attempt delay", Some(delay))?;
        self.connect_defaults.delay = long_enough(delay);
        Ok(())
    }
}
