//! What a hub does, in one line of the log: `in: dial 192.0.2.7:30003; out: listen 0.0.0.0:10110`.

use tidegate::{Net, ServerId};

use super::client::Role;
use crate::cli::{HubOptions, Input, Output};

pub fn start_line(net: &Net, options: &HubOptions, servers: &[(ServerId, Role)]) -> String {
    let listeners = |role: Role| {
        let of_role = servers.iter().filter(move |(_, of)| *of == role);
        of_role.filter_map(|(server, _)| Some(format!("listen {}", net.server_endpoint(*server)?))).collect::<Vec<_>>()
    };
    let inputs = options.inputs.iter().filter_map(|input| match input {
        Input::Listen(_) => None,
        Input::Dial(to) => Some(format!("dial {to}")),
        Input::Stdin => Some("standard input".to_owned()),
        Input::File(path) => Some(format!("file {}", path.display())),
        Input::Tty(tty) => Some(format!("tty {}", tty.path.display())),
    });
    let outputs = options.outputs.iter().filter_map(|output| match output {
        Output::Listen(_) => None,
        Output::Dial(to) => Some(format!("dial {to}")),
        Output::Stdout => Some("standard output".to_owned()),
        Output::File(path) => Some(format!("file {}", path.display())),
    });
    let parts = [
        ("in and out", listeners(Role::Members)),
        ("in", inputs.chain(listeners(Role::Producers)).collect()),
        ("out", outputs.chain(listeners(Role::Consumers)).collect()),
    ];
    let parts = parts.into_iter().filter(|(_, places)| !places.is_empty());
    parts.map(|(name, places)| format!("{name}: {}", places.join(", "))).collect::<Vec<_>>().join("; ")
}
