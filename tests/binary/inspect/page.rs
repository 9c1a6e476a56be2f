//! The page in headless Chromium, in light and dark: what it shows is what `/connections` answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::inspector::{Place, inspected_echo, is_table_of_the_server};
use crate::support::{Client, Daemon, free_address, wait_until};

/// Whether the table of the page is that of the server.
fn shows_the_table(browser: &mut Browser, rows: usize) {
    let equal = is_table_of_the_server(rows);
    wait_until("the page shows what /connections answers", || browser.runs(&equal) == true);
}

/// The texts of the page whose colour has a contrast below 4.5 to 1 with what is behind them (WCAG 2.2, 1.4.3).
const TOO_FAINT: &str = "(() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = parts(colour).map(it => it / 255).map(it => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    const colour = getComputedStyle(element).backgroundColor;
    return parts(colour)[3] === 0 && element.parentElement ? ground(element.parentElement) : colour;
  };
  const has_text = element => [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim() !== '');
  return [...document.querySelectorAll('body *')].filter(element => has_text(element) && element.checkVisibility()).flatMap(element => {
    const [one, other] = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => a - b);
    const contrast = (other + 0.05) / (one + 0.05);
    return contrast < 4.5 ? [`${element.tagName} ${element.textContent}: ${contrast}`] : [];
  });
})()";

/// The colour in the middle of the left edge of a cell of the slab.
fn colour_of_cell(browser: &mut Browser, place: usize) -> Value {
    let corner = format!(
        "(() => {{ const [x, y] = corner({place}); return [...document.getElementById('slab').getContext('2d')\
         .getImageData(x + 1, y + 1, 1, 1).data] }})()"
    );
    browser.runs(&corner)
}

#[test]
fn what_it_shows_is_what_connections_answers_in_light_and_dark() {
    let Some(mut browser) = Browser::new() else { return };
    let (echo, place) = inspected_echo();
    browser.is_sized(1280, 900);
    browser.prefers("light");
    browser.opens(&place.url());
    browser.sees("figures have come", "latest !== null && history.length > 0");
    assert_eq!(browser.reads("title"), "tidegate echo");
    assert_eq!(browser.reads("count"), "There is none.");
    shows_the_table(&mut browser, 0);

    // Two that speak, and one that does not read.
    let mut clients: [Client; 2] = [echo.join(), echo.join()];
    for client in &mut clients {
        client.says("hello");
        client.hears("hello");
    }
    let mut stuck = TcpStream::connect(echo.address()).unwrap();
    stuck.set_nonblocking(true).unwrap();
    wait_until("the echo is held up by the one that does not read", || {
        while stuck.write(&[b'x'; 65_536]).is_ok() {}
        place.json("/connections?sort=queued&limit=1")["connections"][0]["paused_by"]["by"] == "pipe"
    });
    shows_the_table(&mut browser, 3);
    let held = place.json("/connections?sort=queued&limit=1")["connections"][0].clone();
    browser.sees(
        "who waits for whom",
        "document.querySelector('#rows tr td:nth-child(4) a')?.hash === '#' + table.connections[0].id",
    );

    // Each cell has the colour of its state, and the legend counts them.
    let open = place.json("/connections?sort=id")["connections"][0]["slot"].as_u64().unwrap() as usize;
    for scheme in ["light", "dark"] {
        browser.prefers(scheme);
        let ground = browser.runs("getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground, if scheme == "light" { "rgb(255, 255, 255)" } else { "rgb(19, 21, 24)" });
        assert_eq!(browser.runs(TOO_FAINT), json!([]), "{scheme}");
        let drawn = if scheme == "light" { json!([86, 180, 233, 255]) } else { json!([47, 127, 176, 255]) };
        wait_until("the cell of an open connection", || colour_of_cell(&mut browser, open) == drawn);
        let held_up = held["slot"].as_u64().unwrap() as usize;
        assert_ne!(colour_of_cell(&mut browser, held_up), drawn, "{scheme}");
    }
    browser.sees("the legend", "counted.get('o') === 2 && counted.get('q') === 1 && counted.get('i') >= 1");
    browser.sees(
        "the limit of connections",
        "[...document.querySelectorAll('#limits tr:first-child > *')].map(it => it.innerText.trim())[1] === '3'",
    );

    // On a phone nothing is wider than the screen.
    browser.is_sized(360, 800);
    browser.sees("it fits a phone", "document.documentElement.scrollWidth <= 360 && grid.columns * grid.side <= 360");
    shows_the_table(&mut browser, 3);
    assert_eq!(browser.problems(), Vec::<String>::new());
}

#[test]
fn it_is_driven_by_mouse_and_keys() {
    let Some(mut browser) = Browser::new() else { return };
    let (echo, place) = inspected_echo();
    let mut clients: Vec<Client> = (0..3).map(|_| echo.join()).collect();
    for (client, word) in clients.iter_mut().zip(["one", "seventeen", "five"]) {
        client.says(word);
        client.hears(word);
    }
    browser.is_sized(1280, 900);
    browser.opens(&place.url());
    browser.sees("the table", "table.count === 3 && rows.size === 3");
    let order = |sort: &str| {
        let table = place.json(&format!("/connections?sort={sort}"));
        Value::from_iter(table["connections"].as_array().unwrap().iter().map(|it| it["id"].clone()))
    };
    // By a click, and by the keyboard.
    browser.clicks("document.querySelector('[data-sort=in]')", 3.0, 3.0);
    let by_in = order("in");
    wait_until("sorted by bytes in", || browser.runs("table.connections.map(it => it.id)") == by_in);
    browser.sees("it says so", "document.querySelector('th[aria-sort=descending]').innerText === 'in'");
    browser.runs("document.querySelector('[data-sort=id]').focus()");
    browser.presses(&["Enter"]);
    let by_id = order("id");
    wait_until("sorted by id", || browser.runs("table.connections.map(it => it.id)") == by_id);
    browser.sees("it says so", "document.querySelector('th[aria-sort=ascending]').innerText === 'id'");

    // A connection, by the link in its row.
    let first = by_id[0].as_u64().unwrap();
    browser.clicks("document.querySelector('#rows a')", 3.0, 3.0);
    browser.sees("its details", &format!("document.getElementById('chosen-title').innerText === '#{first}'"));
    let asked = place.json(&format!("/connections?id={first}"))["connections"][0].clone();
    let details = browser.runs(
        "Object.fromEntries([...document.querySelectorAll('#details div')].map(it => [it.children[0].innerText, it.children[1].innerText]))",
    );
    for (name, shown) in
        [("remote", "remote"), ("local", "local"), ("stage", "stage"), ("reading", "reading"), ("flow", "flow")]
    {
        assert_eq!(details[shown], asked[name], "{details}");
    }
    assert_eq!(details.as_object().unwrap().len(), asked.as_object().unwrap().len(), "everything is shown: {details}");

    // Another one, by its cell: the pointer, and the arrow keys.
    let slots: Vec<u64> =
        (0..3).map(|nth| place.json("/connections")["connections"][nth]["slot"].as_u64().unwrap()).collect();
    let corner = browser.runs(&format!("corner({})", slots[1]));
    browser.clicks(
        "document.getElementById('slab')",
        corner[0].as_f64().unwrap() + 3.0,
        corner[1].as_f64().unwrap() + 3.0,
    );
    let second = by_id[1].as_u64().unwrap();
    browser.sees("the second", &format!("document.getElementById('chosen-title').innerText === '#{second}'"));
    browser.runs("document.getElementById('slab').focus()");
    let steps = slots[2] - slots[1];
    browser.presses(&vec!["ArrowRight"; steps as usize]);
    browser.sees(
        "where it is",
        &format!("document.getElementById('cell').innerText.startsWith('place {}: open')", slots[2]),
    );
    browser.presses(&["Enter"]);
    let third = by_id[2].as_u64().unwrap();
    browser.sees("the third", &format!("document.getElementById('chosen-title').innerText === '#{third}'"));

    // When it is over, the page says so and keeps what it was.
    drop(clients);
    browser
        .sees("it is over", "document.getElementById('chosen-note').innerText.startsWith('This connection is over')");
    browser.sees("the table is empty", "document.getElementById('count').innerText === 'There is none.'");
    browser.sees("reasons", "document.getElementById('closes').innerText.includes('peer ended')");
    assert_eq!(browser.problems(), Vec::<String>::new());
}

#[test]
fn a_guest_of_a_room_is_shown_by_name() {
    let Some(mut browser) = Browser::new() else { return };
    let room = Daemon::chat(&["--inspect", "127.0.0.1:0"]);
    let mut anna = room.join();
    anna.says("/nick anna");
    browser.opens(&Place::of(&room).url());
    browser.sees("her name", "document.querySelector('#rows .who')?.innerText.split('\\n')[0] === 'anna'");
    assert_eq!(browser.reads("title"), "tidegate chat");
    assert_eq!(browser.problems(), Vec::<String>::new());
}

#[test]
fn a_label_is_text_and_nothing_else() {
    let Some(mut browser) = Browser::new() else { return };
    let (_echo, place) = inspected_echo();
    browser.opens(&place.url());
    browser.sees("figures have come", "latest !== null && history.length > 0");
    // What a stranger might be called, in the place of what the server answers.
    let label = "<img src=x onerror=alert(1)> \u{202e}gnp";
    // The next answer may come between two calls, so all is looked at in one.
    let shown = browser.runs(&format!(
        "table = {{ count: 1, connections: [{{ ...{}, label: {} }}] }}; showTable(); showChosen(table.connections[0]); \
         [document.querySelectorAll('#rows img, #rows b, #chosen img, #details b').length, document.querySelector('#rows bdi').textContent]",
        json!({
            "id": 7, "slot": 1, "kind": "server", "server": "server #1", "local": "127.0.0.1:1", "remote": "127.0.0.1:2", "user": null,
            "process": null, "state": "open", "stage": "connected", "reading": "open", "writing": "open", "flow": "paused",
            "age_seconds": 1, "idle_seconds": 1, "bytes_in": 1, "bytes_out": 1, "read_ahead": 0, "queued": 0, "unsent": 0,
            "messages_dropped": 0, "bytes_dropped": 0, "high_water_mark": 1, "needs_drain": false, "pipes": [9],
            "paused_by": { "by": "user", "reason": "<b>", "connection": null, "text": "the program (<b>)" },
        }),
        json!(label)
    ));
    assert_eq!(shown, json!([0, "<img src=x onerror=alert(1)> \\u{202e}gnp"]));
    assert_eq!(browser.problems(), Vec::<String>::new());
}

/// The way to the inspector breaks, and is there again; then the role is started anew, with another key.
#[test]
fn it_says_that_the_server_is_gone_and_comes_back_to_it() {
    let Some(mut browser) = Browser::new() else { return };
    let at = free_address().to_string();
    let echo = Daemon::echo(&["--inspect", &at]);
    let place = Place::of(&echo);
    let way = free_address().to_string();
    let begin = || Daemon::role("proxy", &["--listen", &way, "--to", &at]);
    let mut proxy = begin();
    browser.opens(&place.url().replace(&at, &way));
    browser.sees("figures have come", "history.length > 0 && document.getElementById('state').hidden");
    proxy.is_killed();
    browser.sees("it is gone", "document.getElementById('state').innerText.includes('is gone')");
    assert!(
        browser.reads("state").contains("The figures below are the last ones. Trying again"),
        "{}",
        browser.reads("state")
    );
    proxy = begin();
    browser.sees("it is back", "document.getElementById('state').hidden");
    drop(echo);
    let echo = Daemon::echo(&["--inspect", &at]);
    browser
        .sees("the key is another one", "document.getElementById('state').innerText.startsWith('The server refuses')");
    browser.opens(&Place::of(&echo).url().replace(&at, &way));
    browser.sees("figures have come", "history.length > 0 && document.getElementById('state').hidden");
    drop(proxy);
}

/// A page that somebody visits, of another site: `localhost` and 127.0.0.1 are two sites. It tries all ways that a page has.
#[test]
fn a_page_of_another_site_learns_nothing() {
    let Some(mut browser) = Browser::new() else { return };
    let (_echo, place) = inspected_echo();
    let (at, key) = (place.address, place.key.as_str());
    let other = Site::with(format!(
        "<!doctype html><title>other</title><body><script>
         const learned = [];
         const tried = [];
         const attempt = (what, promise) => tried.push(promise.then(found => learned.push(what + ': ' + found), () => {{}}));
         for (const path of ['/metrics', '/statistics', '/connections?key={key}', '/events?key={key}', '/?key={key}']) {{
           attempt('fetch ' + path, fetch('http://{at}' + path).then(answer => answer.text()));
           attempt('opaque ' + path, fetch('http://{at}' + path, {{ mode: 'no-cors' }}).then(answer => answer.type));
         }}
         attempt('headers', fetch('http://{at}/connections', {{ headers: {{ Authorization: 'Bearer {key}' }} }}).then(answer => answer.text()));
         attempt('post', fetch('http://{at}/connections', {{ method: 'POST', body: 'x', mode: 'no-cors' }}).then(answer => answer.type));
         const element = (name, properties) => new Promise((loaded, failed) => {{
           const it = Object.assign(document.createElement(name), properties);
           [it.onload, it.onerror] = [loaded, failed];
           document.body.append(it);
         }});
         attempt('image', element('img', {{ src: 'http://{at}/metrics' }}).then(() => 'loaded'));
         attempt('script', element('script', {{ src: 'http://{at}/metrics' }}).then(() => 'loaded'));
         const frame = document.body.appendChild(Object.assign(document.createElement('iframe'), {{ name: 'frame', src: 'http://{at}/?key={key}' }}));
         const form = document.body.appendChild(Object.assign(document.createElement('form'), {{ action: 'http://{at}/metrics', target: 'inner', method: 'post' }}));
         document.body.append(Object.assign(document.createElement('iframe'), {{ name: 'inner' }}));
         form.submit();
         </script>"
    ));
    browser.opens(&format!("http://localhost:{}/", other.address.port()));
    browser.sees("all attempts are over", "tried.length === 14");
    browser.runs("Promise.all(tried).then(() => new Promise(done => setTimeout(done, 300)))");
    assert_eq!(browser.runs("learned"), json!([]));
    assert_eq!(
        browser
            .runs("(() => { try { return frame.contentDocument?.body?.innerText ?? null } catch { return null } })()"),
        Value::Null
    );
    // Every one that reached the inspector was refused.
    let answers = browser.events("Network.responseReceivedExtraInfo");
    let to_inspector = browser.events("Network.requestWillBeSent");
    let ids: Vec<&Value> = to_inspector
        .iter()
        .filter(|sent| sent["request"]["url"].as_str().unwrap().starts_with(&format!("http://{at}/")))
        .map(|sent| &sent["requestId"])
        .collect();
    assert!(ids.len() >= 14, "{ids:?}");
    let statuses: Vec<u64> = answers
        .iter()
        .filter(|it| ids.contains(&&it["requestId"]))
        .map(|it| it["statusCode"].as_u64().unwrap())
        .collect();
    assert!(statuses.len() >= 10, "{statuses:?} of {}", ids.len());
    // The one with a body for its body.
    assert!(statuses.iter().all(|status| [400, 403].contains(status)), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 400).count() <= 1, "{statuses:?}");
    // And it goes on.
    assert_eq!(place.json("/statistics")["role"], "echo");
}

/// A web server with one page.
struct Site {
    address: SocketAddr,
    over: std::sync::Arc<AtomicBool>,
}

impl Site {
    fn with(page: String) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = std::sync::Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let mut head = [0; 4096];
                if stream.read(&mut head).unwrap_or(0) > 0 {
                    let length = page.len();
                    let _ = stream.write_all(
                        format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}")
                            .as_bytes(),
                    );
                }
            }
        });
        Site { address, over }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}
