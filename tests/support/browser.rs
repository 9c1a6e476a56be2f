//! Chromium without a window, driven over a pipe by the DevTools protocol: one JSON object for each message, with a NUL after it.
//!
//! No driver program and no port are needed. It has a profile of its own, talks to nobody but the addresses it is told, and is killed by
//! its own process id when it goes out of scope.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;
use super::folder::Folder;

/// What Debian calls it.
const PROGRAMS: [&str; 2] = ["chromium-headless-shell", "chromium"];

const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "about:blank",
];

pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    /// Its profile.
    _folder: Folder,
    /// Of its one page.
    session: String,
    last: u64,
    /// What came without being asked for.
    events: Vec<Value>,
}

impl Browser {
    /// None if there is none here, unless `TIDEGATE_TOOLS` is `required`.
    pub fn new() -> Option<Browser> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_here = |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
        let Some(program) = PROGRAMS.iter().find(is_here) else {
            assert!(std::env::var_os("TIDEGATE_TOOLS").is_none_or(|how| how != "required"), "no {PROGRAMS:?}");
            println!("NOT RUN, since there is no chromium here");
            return None;
        };
        let folder = Folder::new();
        // It reads on descriptor 3 and writes on descriptor 4.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#, program]);
        command.arg(format!("--user-data-dir={}", folder.itself().display())).args(FLAGS);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (sender, from) = channel();
        thread::spawn(move || {
            loop {
                let mut message = Vec::new();
                if output.read_until(0, &mut message).unwrap_or(0) == 0 {
                    return;
                }
                message.pop();
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        let session = String::new();
        let mut browser = Browser { child, to, from, _folder: folder, session, last: 0, events: Vec::new() };
        let targets = browser.tells("Target.getTargets", json!({}));
        let page = targets["targetInfos"].as_array().unwrap().iter().find(|target| target["type"] == "page").unwrap();
        let to_page = json!({ "targetId": page["targetId"], "flatten": true });
        let session = browser.tells("Target.attachToTarget", to_page)["sessionId"].as_str().unwrap().to_owned();
        browser.session = session;
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.tells(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Calls a method of the protocol: its answer.
    #[track_caller]
    pub fn tells(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        let deadline = Instant::now() + 3 * PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = self.from.recv_timeout(left).unwrap_or_else(|_| panic!("no answer to {method}"));
            if answer["id"] == self.last {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    /// Opens an address, and returns when it is loaded.
    #[track_caller]
    pub fn opens(&mut self, url: &str) {
        let opened = self.tells("Page.navigate", json!({ "url": url }));
        assert!(opened.get("errorText").is_none(), "{url}: {opened}");
        self.sees("the page is loaded", "document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Evaluates an expression on the page, and waits for it if it is a promise.
    #[track_caller]
    pub fn runs(&mut self, expression: &str) -> Value {
        let asked =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let answer = self.tells("Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"].get("value").cloned().unwrap_or_default()
    }

    /// Waits until an expression is true on the page.
    #[track_caller]
    pub fn sees(&mut self, what: &str, expression: &str) {
        let deadline = Instant::now() + 2 * PATIENCE;
        while self.runs(&format!("Boolean({expression})")) != true {
            if Instant::now() > deadline {
                let text = self.runs("document.body.innerText");
                panic!("not seen: {what} ({expression}); the page: {text}; problems: {:?}", self.problems());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The text of the element with this id.
    #[track_caller]
    pub fn reads(&mut self, id: &str) -> String {
        self.runs(&format!("document.getElementById('{id}').innerText")).as_str().unwrap_or_default().to_owned()
    }

    /// Presses keys, one after the other: `Tab`, `Enter`, `ArrowRight`.
    #[track_caller]
    pub fn presses(&mut self, keys: &[&str]) {
        for key in keys {
            let code = match *key {
                "Tab" => 9,
                "Enter" => 13,
                "ArrowLeft" => 37,
                "ArrowUp" => 38,
                "ArrowRight" => 39,
                "ArrowDown" => 40,
                _ => panic!("which key is {key}?"),
            };
            let text = if *key == "Enter" { "\r" } else { "" };
            for kind in ["keyDown", "keyUp"] {
                let event =
                    json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
                self.tells("Input.dispatchKeyEvent", event);
            }
        }
    }

    /// Clicks into an element, at this place from its upper left corner.
    #[track_caller]
    pub fn clicks(&mut self, element: &str, x: f64, y: f64) {
        let corner = self.runs(&format!(
            "{{ const e = {element}; e.scrollIntoView({{ block: 'center' }}); const r = e.getBoundingClientRect(); [r.x, r.y] }}"
        ));
        let [x, y] = [(0, x), (1, y)].map(|(place, offset)| corner[place].as_f64().unwrap() + offset);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.tells("Input.dispatchMouseEvent", event);
        }
    }

    /// `light` or `dark`.
    pub fn prefers(&mut self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.tells("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    pub fn is_sized(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.tells("Emulation.setDeviceMetricsOverride", size);
    }

    /// Exceptions of the page, and what the browser complains of: a policy that was not kept, for example.
    pub fn problems(&self) -> Vec<String> {
        let is_one = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
            _ => false,
        };
        self.events.iter().filter(is_one).map(Value::to_string).collect()
    }

    /// What came without being asked for so far, of this kind.
    pub fn events(&mut self, method: &str) -> Vec<Value> {
        self.events.extend(self.from.try_iter());
        self.events.iter().filter(|event| event["method"] == method).map(|event| event["params"].clone()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
