//! Where an engine is: `redis://[user@]HOST:PORT[/DB]`, or `redis+unix:PATH`.

use tidegate::Endpoint;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineAddress {
    pub at: Endpoint,
    pub user: Option<String>,
    pub database: Option<u32>,
}
