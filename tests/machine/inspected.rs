//! The page of an inspector with 15,000 connections under load, in a real browser.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Resource, getrlimit};

use crate::support::alone::alone;
use crate::support::browser::Browser;
use crate::support::inspector::{IN_WORDS, SHOWN, inspected_echo, is_table_of_the_server};
use crate::support::many::{connect, raise_descriptor_limit};
use crate::support::wait_until;

/// As many as this process may have, and the server: each has a descriptor in both.
fn crowd() -> usize {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    15_000.min(usize::try_from(most).unwrap_or(usize::MAX) - 1000)
}

#[test]
fn it_shows_fifteen_thousand_connections_under_load() {
    let _alone = alone();
    raise_descriptor_limit();
    let Some(mut browser) = Browser::new() else { return };
    let (echo, place) = inspected_echo();
    let mut clients: Vec<TcpStream> = (0..crowd()).map(|number| connect(echo.address(), number)).collect();
    let count = clients.len();
    let (loading, over) = clients.split_at_mut(500);
    let over_now = AtomicBool::new(false);
    browser.is_sized(1280, 900);
    browser.prefers("dark");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut heard = [0; 1000];
            while !over_now.load(Ordering::Relaxed) {
                for client in loading.iter_mut() {
                    client.write_all(&heard).unwrap();
                }
                for client in loading.iter_mut() {
                    client.read_exact(&mut heard).unwrap();
                }
            }
        });
        browser.opens(&place.url());
        browser.sees("all of them", &format!("table.count === {count} && rows.size === 100 && history.length >= 2"));
        browser.sees("it works", "history.at(-1).utilisation > 0.05 && history.at(-1).in > 10000");
        // Whatever changes meanwhile, what is shown is one answer of the server.
        browser.runs("document.querySelector('[data-sort=in]').click()");
        let is_one_answer = format!("JSON.stringify({SHOWN}) === JSON.stringify(table.connections.map({IN_WORDS}))");
        for _ in 0..5 {
            assert_eq!(browser.runs(&is_one_answer), true);
        }
        browser.sees("those that speak", "table.connections.every(it => it.bytes_in > 0)");
        // The slab has a cell for each of them, and fits the page.
        browser.sees(
            "a cell for each",
            &format!("[...counted].filter(([letter]) => 'oqprwx'.includes(letter)).reduce((sum, [, n]) => sum + n, 0) === {count}"),
        );
        assert_eq!(browser.runs("document.documentElement.scrollWidth <= 1280"), true);
        let took =
            "(() => { const began = performance.now(); show(); showTable(); return performance.now() - began })()";
        let (event, whole) = (browser.runs(took), browser.runs(&format!("drawn = '', {took}")));
        println!("{count} connections: an event is shown in {event} ms, with all cells anew in {whole} ms");
        over_now.store(true, Ordering::Relaxed);
    });
    let equal = is_table_of_the_server(100);
    wait_until("the page shows what /connections answers", || browser.runs(&equal) == true);
    // One out of the middle, by its cell.
    let middle = place.json("/connections?sort=id")["connections"][count / 2].clone();
    browser.prefers("light");
    let corner = browser.runs(&format!("corner({})", middle["slot"]));
    let [x, y] = [0, 1].map(|place| corner[place].as_f64().unwrap() + 1.5);
    browser.clicks("document.getElementById('slab')", x, y);
    browser.sees("it", &format!("document.getElementById('chosen-title').innerText === '#{}'", middle["id"]));
    browser.is_sized(360, 800);
    browser.sees("it fits a phone", "document.documentElement.scrollWidth <= 360 && grid.columns * grid.side <= 360");
    assert_eq!(browser.problems(), Vec::<String>::new());
    assert_eq!(over.len(), count - 500);
}
