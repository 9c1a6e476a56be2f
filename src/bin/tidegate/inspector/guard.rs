//! Who may ask for what. On an address of this machine any process and any page in a browser can reach the inspector: so a
//! page of another site is refused, and what names people needs the key. On a Unix socket the mode of the file is the key.

use std::fmt;

use super::refusal::Refusal;
use super::request::{Method, Request};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Page,
    Metrics,
    Statistics,
    Connections,
    Events,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Route::Page),
            "/metrics" => Some(Route::Metrics),
            "/statistics" => Some(Route::Statistics),
            "/connections" => Some(Route::Connections),
            "/events" => Some(Route::Events),
            _ => None,
        }
    }

    /// Figures name nobody.
    fn names_people(self) -> bool {
        !matches!(self, Route::Metrics | Route::Statistics)
    }
}

/// A new one for each run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl Key {
    pub fn of(random: [u8; 16]) -> Self {
        Key(random)
    }

    /// Takes as long whatever is wrong with the text.
    fn is(self, text: &str) -> bool {
        let key = self.to_string();
        let differences = key.bytes().zip(text.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
        differences == 0 && key.len() == text.len()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a request is for, if it may be.
pub fn admit(request: &Request, key: Option<Key>) -> Result<Route, Refusal> {
    if !request.is_for_this_machine() {
        return Err(Refusal::HOST);
    }
    if request.fetch_site.eq_ignore_ascii_case("cross-site") {
        return Err(Refusal::CROSS_SITE);
    }
    if request.method == Method::Other {
        return Err(Refusal::METHOD);
    }
    let route = Route::of(&request.path).ok_or(Refusal::NOT_FOUND)?;
    let mut given = [request.asks("key"), request.bearer.as_deref()].into_iter().flatten();
    match key.filter(|_| route.names_people()) {
        Some(key) if !given.any(|given| key.is(given)) => Err(Refusal::KEY),
        _ => Ok(route),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([0xab; 16]);
    const TEXT: &str = "abababababababababababababababab";

    fn request(path: &str) -> Request {
        Request { path: path.to_owned(), host: "localhost".to_owned(), ..Request::default() }
    }

    #[test]
    fn figures_are_open_and_the_rest_needs_the_key() {
        for (path, route) in [("/metrics", Route::Metrics), ("/statistics", Route::Statistics)] {
            assert_eq!(admit(&request(path), Some(KEY)), Ok(route));
        }
        for (path, route) in [("/", Route::Page), ("/connections", Route::Connections), ("/events", Route::Events)] {
            assert_eq!(admit(&request(path), Some(KEY)), Err(Refusal::KEY));
            assert_eq!(admit(&request(path), None), Ok(route), "on a Unix socket");
            let with = |query: &str| admit(&Request { query: query.to_owned(), ..request(path) }, Some(KEY));
            assert_eq!(with(&format!("key={TEXT}")), Ok(route));
            assert_eq!(with(&format!("sort=id&key={TEXT}")), Ok(route));
            for wrong in ["key=", "key=ab", &format!("key={TEXT}a"), &format!("key={}", &TEXT[1..]), "k=1"] {
                assert_eq!(with(wrong), Err(Refusal::KEY), "{wrong}");
            }
            let bearer = Request { bearer: Some(TEXT.to_owned()), ..request(path) };
            assert_eq!(admit(&bearer, Some(KEY)), Ok(route));
            let both = Request { query: "key=old".to_owned(), ..bearer };
            assert_eq!(admit(&both, Some(KEY)), Ok(route), "one of them is right");
        }
        assert_eq!(KEY.to_string(), TEXT);
    }

    #[test]
    fn other_sites_other_hosts_and_other_methods_get_nothing() {
        for key in [None, Some(KEY)] {
            let site = Request { fetch_site: "Cross-Site".to_owned(), ..request("/metrics") };
            assert_eq!(admit(&site, key), Err(Refusal::CROSS_SITE));
            let host = Request { host: "example.org".to_owned(), ..request("/metrics") };
            assert_eq!(admit(&host, key), Err(Refusal::HOST));
            let method = Request { method: Method::Other, ..request("/metrics") };
            assert_eq!(admit(&method, key), Err(Refusal::METHOD));
            assert_eq!(admit(&request("/other"), key), Err(Refusal::NOT_FOUND));
            assert_eq!(admit(&request("//metrics"), key), Err(Refusal::NOT_FOUND));
        }
    }
}
