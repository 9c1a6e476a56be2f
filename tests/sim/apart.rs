//! A server that stands apart (`ServerOptions::apart`): it looks at the loop, and nothing that the loop does depends on it.

use std::time::Duration;

use tidegate::sim::{Conditions, Sim};
use tidegate::{EventLoop, ServerOptions, ShutDownOptions, Socket, SocketId, SocketOptions};

const ROLE: &str = "10.0.0.1:7";
const APART: &str = "10.0.0.1:9000";
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct State {
    text: String,
    closed: Vec<Duration>,
    accepted: Vec<SocketId>,
}

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn note(socket: &mut Socket<'_, State>) {
    let id = socket.id();
    socket.state.accepted.push(id);
    socket.on_text(|socket, text| {
        socket.state.text.push_str(text);
        socket.write(text);
    });
    socket.on_close(|socket, _| {
        let now = socket.net.now();
        socket.state.closed.push(now);
    });
}

/// An echo with a server apart that echoes too.
fn echo(sim: &Sim) -> EventLoop<State> {
    let mut echo = EventLoop::on(sim.kernel(), State::default());
    echo.listen_with(ROLE, ServerOptions::new(), note).unwrap();
    echo.listen_with(APART, ServerOptions::new().apart(true), note).unwrap();
    echo
}

fn client(sim: &Sim, to: &str) -> (EventLoop<State>, SocketId) {
    let mut client = EventLoop::on(sim.kernel(), State::default());
    let id = client.connect_with(to, SocketOptions::new().allow_half_open(to == ROLE), |socket| {
        socket.on_text(|socket, text| socket.state.text.push_str(text));
        socket.on_close(|socket, _| {
            let now = socket.net.now();
            socket.state.closed.push(now);
        });
    });
    (client, id.unwrap())
}

#[test]
fn it_is_not_counted_and_can_be_seen() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    echo.net.keep_statistics();
    let (mut guest, _) = client(&sim, ROLE);
    let (mut observer, _) = client(&sim, APART);
    sim.run(&mut [&mut echo, &mut guest, &mut observer], s(1)).unwrap();
    assert_eq!(echo.state.accepted.len(), 2);
    assert_eq!((echo.net.sockets(), echo.net.socket_ids().count()), (1, 1));
    let all: Vec<_> = echo.net.connections().map(|info| (info.id(), info.is_apart())).collect();
    assert_eq!(all.iter().filter(|(_, apart)| *apart).count(), 1);
    assert!(echo.net.socket_ids().all(|id| all.contains(&(id, false))));
    let statistics = echo.net.statistics().unwrap();
    assert_eq!((statistics.connections["open"], statistics.server_connections.len()), (1, 1));
    assert_eq!(statistics.accepted, 2, "what is counted of the past has all");
    echo.net.check().unwrap();
    echo.net.destroy_all();
    sim.run(&mut [&mut echo, &mut guest, &mut observer], s(2)).unwrap();
    assert_eq!((echo.state.closed.len(), echo.net.connections().count()), (2, 0));
    echo.net.check().unwrap();
}

#[test]
fn it_does_not_keep_the_loop_running() {
    let sim = Sim::new(1);
    let mut echo = EventLoop::on(sim.kernel(), State::default());
    echo.listen_with(APART, ServerOptions::new().apart(true), note).unwrap();
    let (mut observer, _) = client(&sim, APART);
    sim.run(&mut [&mut echo, &mut observer], s(1)).unwrap();
    assert_eq!(echo.net.connections().count(), 1);
    assert!(!echo.net.is_alive());
}

#[test]
fn a_shut_down_can_be_watched_and_does_not_wait_for_it() {
    let sim = Sim::with(1, Conditions::new().buffer(10_000));
    let mut echo = echo(&sim);
    // The guest has not ended its side at the shut down, and does so three seconds later.
    let (mut guest, guest_id) = client(&sim, ROLE);
    guest.after(s(8), move |guest| guest.net.end(guest_id, None));
    let (mut observer, observer_id) = client(&sim, APART);
    observer.after(s(6), move |observer| {
        observer.net.write(observer_id, b"still there?");
    });
    // One that has much to read, and never reads.
    let (mut stuck, stuck_id) = client(&sim, APART);
    stuck.net.pause(stuck_id);
    echo.after(s(4), |echo| {
        for id in echo.state.accepted.clone() {
            if echo.net.connection(id).is_apart() {
                echo.net.write(id, &[b'.'; 100_000]);
            }
        }
    });
    echo.after(s(5), |echo| echo.shut_down_with(ShutDownOptions::new().patience(PATIENCE)));
    sim.run(&mut [&mut echo, &mut guest, &mut observer, &mut stuck], s(7)).unwrap();
    assert!(observer.state.text.ends_with("still there?"), "it is answered while the loop shuts down");
    assert!(echo.event_loop().is_shutting_down());
    let (mut late, _) = client(&sim, APART);
    sim.run(&mut [&mut echo, &mut guest, &mut observer, &mut stuck, &mut late], s(60)).unwrap();
    assert_eq!(echo.state.accepted.len(), 4, "one that came during the shut down was accepted");
    assert_eq!(echo.state.closed.len(), 1, "the guest: those apart have no event");
    let [guest_closed] = echo.state.closed[..] else { unreachable!() };
    assert!(guest_closed >= s(8) && guest_closed < s(9), "{guest_closed:?}");
    for client in [&observer, &late] {
        let [closed] = client.state.closed[..] else { panic!("{:?}", client.state.closed) };
        assert!(closed < s(9), "it waited for nobody apart: {closed:?}");
    }
    let report = echo.event_loop().shut_down_report();
    assert_eq!((report.unsent_bytes, report.unsent_sockets, report.discarded_bytes), (0, 0, 0));
    assert_eq!((echo.net.sockets(), echo.net.connections().count()), (0, 0));
    assert!(!echo.event_loop().is_shutting_down());
    echo.net.check().unwrap();
}

#[test]
fn when_the_patience_is_over_it_is_gone_too() {
    let sim = Sim::new(1);
    let mut echo = echo(&sim);
    let (mut guest, _) = client(&sim, ROLE);
    let (mut observer, _) = client(&sim, APART);
    echo.after(s(5), |echo| echo.shut_down(PATIENCE));
    sim.run(&mut [&mut echo, &mut guest, &mut observer], s(60)).unwrap();
    assert_eq!(echo.net.connections().count(), 0);
    let [closed] = observer.state.closed[..] else { panic!("{:?}", observer.state.closed) };
    assert!(closed >= s(5) + PATIENCE && closed < s(6) + PATIENCE, "{closed:?}");
}
