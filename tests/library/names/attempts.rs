//! Several addresses of one name, in a network where some lead nowhere.

use std::time::Duration;

use tidegate::{EventLoop, Socket, SocketOptions};

use super::{has_tools, own_etc, sh, write};
use crate::support::folder::Folder;
use crate::support::isolated::isolated_with_a_network;

#[test]
fn over_an_address_without_an_answer_the_next_one_is_tried() {
    if !has_tools() {
        return;
    }
    isolated_with_a_network("names::attempts::over_an_address_without_an_answer_the_next_one_is_tried", || {
        // What goes to a neighbour with the address of nobody is lost without a word.
        sh("ip link set lo up
            ip link add hole type veth peer name other
            ip link set hole up
            ip link set other up
            ip address add 10.66.0.1/24 dev hole
            ip neighbour add 10.66.0.2 lladdr 02:00:00:00:00:02 dev hole");
        let folder = Folder::new();
        own_etc(&folder);
        write("hosts", "10.66.0.2 two.example\n127.0.0.1 two.example\n");
        let mut event_loop = EventLoop::with_state(Vec::new()).unwrap();
        let server = event_loop.listen("127.0.0.1:0", |socket| socket.end()).unwrap();
        let port = event_loop.net.server_address(server).unwrap().port();
        let began = std::time::Instant::now();
        event_loop
            .connect(format!("two.example:{port}"), move |socket| {
                socket.on_connection_attempt(|socket, address| socket.state.push(address.ip().to_string()));
                socket.on_connect(move |socket| {
                    println!("connected after {:?}", began.elapsed());
                    socket.state.push(format!("connected to {}", socket.remote_address().unwrap().ip()));
                    socket.event_loop().close_all();
                });
            })
            .unwrap();
        event_loop.run().unwrap();
        assert_eq!(event_loop.state, ["10.66.0.2", "127.0.0.1", "connected to 127.0.0.1"]);
        assert!(began.elapsed() >= Duration::from_millis(250));
    });
}

/// The order of RFC 6724 would put these behind the others. They are no wait: `connect(2)` refuses them.
#[test]
fn addresses_without_a_route_or_an_interface_fail_at_once() {
    if !has_tools() {
        return;
    }
    isolated_with_a_network("names::attempts::addresses_without_a_route_or_an_interface_fail_at_once", || {
        sh("ip link set lo up");
        let folder = Folder::new();
        own_etc(&folder);
        write(
            "hosts",
            "fe80::1 link.example\n127.0.0.1 link.example\n2001:db8::1 far.example\n127.0.0.1 far.example\n",
        );
        let mut event_loop = EventLoop::with_state(Vec::<String>::new()).unwrap();
        let server = event_loop.listen("127.0.0.1:0", |socket| socket.end()).unwrap();
        let port = event_loop.net.server_address(server).unwrap().port();
        // Nothing but a failure lets the next one begin: the time of an attempt is longer than a test may take.
        let options = SocketOptions::new().attempt_delay(Duration::from_secs(3600));
        for name in ["link", "far"] {
            let setup = |socket: &mut Socket<'_, Vec<String>>| {
                socket.on_connection_attempt_failed(|socket, error| {
                    socket.state.push(error.address().unwrap().ip().to_string());
                });
                socket.on_connect(|socket| socket.end());
            };
            event_loop.connect_with(format!("{name}.example:{port}"), options.clone(), setup).unwrap();
        }
        event_loop.net.set_server_ref(server, false);
        event_loop.run().unwrap();
        event_loop.state.sort();
        assert_eq!(event_loop.state, ["2001:db8::1", "fe80::1"]);
    });
}
