//! The names after `--listen`. Each is looked up once, before the role begins.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use tidegate::{Endpoint, Error, EventLoop, HostName};

/// Where each name is listened on.
pub type Addresses = BTreeMap<HostName, IpAddr>;

/// A look-up that is under way.
#[derive(Default)]
struct UnderWay {
    addresses: RefCell<Vec<IpAddr>>,
    error: RefCell<Option<Error>>,
    is_over: Cell<bool>,
}

/// Looks all of these names up, at the same time, and turns the loop until that is done.
///
/// # Errors
/// The first name that has no address, with the reason.
pub fn look_up<S: 'static>(
    event_loop: &mut EventLoop<S>,
    names: impl IntoIterator<Item = HostName>,
) -> Result<Addresses, String> {
    let cannot = |name: &HostName, why: &str| format!("cannot listen on {name}: {why}");
    let mut under_way = Vec::new();
    for name in names {
        let begun = begin(event_loop, name).map_err(|error| cannot(&name, &error.to_string()))?;
        under_way.push((name, begun));
    }
    let mut addresses = Addresses::new();
    for (name, look_up) in under_way {
        while !look_up.is_over.get() {
            event_loop.turn(None).map_err(|error| error.to_string())?;
        }
        let address = first(&look_up.addresses.borrow());
        let error = look_up.error.borrow().as_ref().map(Error::to_string);
        let why = error.unwrap_or_else(|| "it was stopped before the name was looked up".to_owned());
        let address = address.ok_or_else(|| cannot(&name, &why))?;
        log::info!("{name} is {address}");
        addresses.insert(name, address);
    }
    Ok(addresses)
}

/// A connect has the name looked up, and ends before an address is tried.
fn begin<S: 'static>(event_loop: &mut EventLoop<S>, name: HostName) -> Result<Rc<UnderWay>, Error> {
    let begun = Rc::new(UnderWay::default());
    let [found, failed, over] = std::array::from_fn(|_| Rc::clone(&begun));
    event_loop.connect(Endpoint::Name(name, 1), move |socket| {
        socket.on_lookup(move |_, lookup| found.addresses.borrow_mut().extend(lookup.outcome.as_ref().ok()));
        socket.on_connection_attempt(|socket, _| socket.destroy());
        socket.on_error(move |_, error| *failed.error.borrow_mut() = Some(error.clone()));
        socket.on_close(move |_, _| over.is_over.set(true));
    })?;
    Ok(begun)
}

/// As the library chooses for a server: the first one that is not link-local, or the first.
fn first(addresses: &[IpAddr]) -> Option<IpAddr> {
    let is_link_local = |ip: &&IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    addresses.iter().find(|ip| !is_link_local(ip)).or(addresses.first()).copied()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use tidegate::sim::Sim;

    fn look_up_in(hosts: &str, names: &[&str]) -> Result<Vec<String>, String> {
        let sim = Sim::new(1);
        sim.put_file("/etc/hosts", hosts);
        let mut event_loop = EventLoop::on(sim.kernel(), ());
        let addresses = look_up(&mut event_loop, names.iter().map(|name| name.parse().expect("a name")));
        assert_eq!(event_loop.net.sockets(), 0);
        drop(event_loop);
        assert_eq!(sim.descriptors(), 0, "no address is connected to");
        Ok(addresses?.values().map(IpAddr::to_string).collect())
    }

    fn ok(addresses: &[&str]) -> Result<Vec<String>, String> {
        Ok(addresses.iter().map(|address| (*address).to_owned()).collect())
    }

    #[test]
    fn each_name_has_its_first_address() {
        let hosts =
            "10.0.0.7 a.example\n10.0.0.8 b.example\n10.0.0.9 b.example\nfe80::1 c.example\nfd00::1 c.example\n";
        assert_eq!(look_up_in(hosts, &["a.example", "b.example"]), ok(&["10.0.0.7", "10.0.0.8"]));
        assert_eq!(look_up_in(hosts, &["c.example"]), ok(&["fd00::1"]));
        assert_eq!(look_up_in("", &["x.localhost"]), ok(&["127.0.0.1"]));
        assert_eq!(look_up_in("", &[]), ok(&[]));
    }

    #[test]
    fn one_that_has_none_is_an_error_with_the_name() {
        let error = look_up_in("10.0.0.7 a.example", &["a.example", "b.example"]).expect_err("it has no address");
        assert!(error.starts_with("cannot listen on b.example: getaddrinfo EAI_AGAIN b.example"), "{error}");
    }
}
