use std::io::Write;
use std::net::TcpListener;

use serde_json::{Value, json};

use super::*;
use crate::support::folder::{Folder, mode_of};
use crate::support::{self, Client, wait_until};

#[test]
fn the_table_has_each_connection_with_what_is_known_of_it() {
    let it = Inspected::role("chat", &[]);
    let [mut anna, _bob] = it.role.guests();
    anna.says("/nick anna");
    anna.hears("* guest1 is now anna");
    let table = it.asks("/connections").json();
    assert_eq!((&table["count"], &table["shown"]), (&json!(2), &json!(2)));
    let rows = table["connections"].as_array().unwrap();
    let row = rows.iter().find(|row| row["label"] == "anna").unwrap();
    let local = it.role.address().to_string();
    assert_eq!((&row["remote"], &row["local"]), (&json!(anna.local_address().to_string()), &json!(local)));
    assert_eq!((&row["kind"], &row["state"], &row["flow"]), (&json!("server"), &json!("open"), &json!("flowing")));
    assert_eq!(
        (&row["reading"], &row["writing"], &row["stage"]),
        (&json!("open"), &json!("open"), &json!("connected"))
    );
    assert_eq!((&row["bytes_in"], &row["queued"]), (&json!("/nick anna\n".len()), &json!(0)));
    assert_eq!((&row["paused_by"], &row["pipes"]), (&Value::Null, &json!([])));
    // A row alone, by its number and by its place in the slab.
    for query in [format!("id={}", row["id"]), format!("slot={}", row["slot"])] {
        let alone = it.asks(&format!("/connections?{query}")).json();
        assert_eq!(alone["connections"][0]["label"], "anna", "{query}");
        assert_eq!((&alone["shown"], &alone["count"]), (&json!(1), &json!(2)));
    }
    assert_eq!(it.asks("/connections?id=4000000000").json()["connections"], json!([]));
}

#[test]
fn it_can_be_sorted_and_cut_and_a_wrong_word_is_told() {
    let it = Inspected::role("echo", &[]);
    let mut clients: Vec<_> = (0..5).map(|_| it.role.join()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let bytes = vec![b'x'; 100 * (number * 7 % 5 + 1)];
        client.sends(&bytes);
        client.receives(&bytes);
    }
    let column = |query: &str, column: &str| -> Vec<u64> {
        let table = it.asks(&format!("/connections?{query}")).json();
        table["connections"].as_array().unwrap().iter().map(|row| row[column].as_u64().unwrap()).collect()
    };
    assert_eq!(column("sort=in", "bytes_in"), [500, 400, 300, 200, 100]);
    assert_eq!(column("sort=out&limit=2", "bytes_out"), [500, 400]);
    assert_eq!(column("limit=0", "id").len(), 0);
    let ids = column("", "id");
    assert!(ids.is_sorted() && ids.len() == 5, "{ids:?}");
    for wrong in ["sort=size", "limit=few", "color=red", "sort"] {
        let answer = it.asks(&format!("/connections?{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.body.contains("sort=id|queued|in|out"), "{}", answer.body);
    }
}

#[test]
fn it_says_who_waits_for_whom() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let it = Inspected::role("proxy", &["--to", &target.local_addr().unwrap().to_string()]);
    let mut client = it.role.join();
    let (_stuck, _) = target.accept().unwrap();
    client.sends_until_paused(&[b'x'; 65_536], 64 << 20);
    wait_until("the pause", || {
        let table = it.asks("/connections?sort=queued").json();
        let rows = table["connections"].as_array().unwrap();
        let (target, client) = (&rows[0], &rows[1]);
        client["paused_by"]["by"] == "pipe"
            && client["paused_by"]["connection"] == target["id"]
            && client["pipes"] == json!([target["id"]])
            && target["unsent"].as_u64() > Some(0)
            && target["kind"] == "client"
    });
    let text = http::request(
        &mut http::connect(it.at),
        &format!("GET /connections?key={} HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n", it.key),
    );
    assert!(text.head.contains("Content-Type: text/plain"), "{}", text.head);
    assert!(text.body.contains("; paused by a pipe into #") && text.body.ends_with("2 of 2 shown\n"), "{}", text.body);
    let cells = first_event(&it)["cells"].clone();
    let mut cells: Vec<_> = cells.as_str().unwrap().chars().filter(|cell| *cell != '.').collect();
    cells.sort_unstable();
    cells.dedup(); // those that have asked before may not have closed yet
    assert_eq!(cells, ['i', 'p', 'q']);
}

fn first_event(it: &Inspected) -> Value {
    let mut stream = http::connect(it.at);
    write!(stream, "GET /events?key={} HTTP/1.1\r\nHost: localhost\r\n\r\n", it.key).unwrap();
    let head = http::read_until(&mut stream, "\r\n\r\n");
    assert!(head.contains("Content-Type: text/event-stream"), "{head}");
    let event = http::read_until(&mut stream, "\n\n");
    let (_, data) = event.split_once("data: ").unwrap();
    serde_json::from_str(data).unwrap()
}

#[test]
fn events_come_again_and_again_and_have_the_figures() {
    let it = Inspected::role("echo", &[]);
    let _clients: Vec<_> = (0..3).map(|_| it.role.join()).collect();
    wait_until("all are there", || it.metrics().metric("tidegate_connections{state=\"open\"}") == 3.0);
    let mut stream = http::connect(it.at);
    write!(stream, "GET /events?key={} HTTP/1.1\r\nHost: localhost\r\n\r\n", it.key).unwrap();
    http::read_until(&mut stream, "\r\n\r\n");
    let mut turns = 0;
    for _ in 0..3 {
        let event = http::read_until(&mut stream, "\n\n");
        let event: Value = serde_json::from_str(event.split_once("data: ").unwrap().1).unwrap();
        assert_eq!((&event["figures"]["connections"]["open"], &event["role"]), (&json!(3), &json!("echo")));
        let now = event["figures"]["turns_total"].as_u64().unwrap();
        assert!(now > turns);
        turns = now;
    }
}

#[test]
fn figures_are_the_same_in_both_formats_and_name_the_role() {
    let it = Inspected::role("echo", &["--max-connections", "7", "--memory", "1MiB"]);
    let mut client = it.role.join();
    client.sends(b"hello");
    client.receives(b"hello");
    let metrics = it.metrics();
    assert!(metrics.head.contains("Content-Type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert_eq!(metrics.metric("tidegate_build_info{version=\"0.1.0\",role=\"echo\"}"), 1.0);
    assert_eq!(metrics.metric("tidegate_connections{state=\"open\"}"), 1.0, "the inspector's own is not among them");
    assert_eq!(metrics.metric("tidegate_server_connections{server=\"server #2\"}"), 1.0);
    assert_eq!(metrics.metric("tidegate_limit{name=\"connections\"}"), 7.0);
    assert_eq!(metrics.metric("tidegate_limit_used{name=\"connections\"}"), 1.0);
    assert_eq!(metrics.metric("tidegate_limit{name=\"memory_bytes\"}"), 1_048_576.0);
    assert_eq!(metrics.metric("tidegate_limit_used{name=\"inspector_connections\"}"), 1.0);
    for process in ["process_open_fds", "process_resident_memory_bytes", "process_cpu_seconds_total"] {
        assert!(metrics.metric(process) > 0.0, "{process}");
    }
    let statistics = http::get(it.at, "/statistics").json();
    assert_eq!((&statistics["role"], &statistics["program"]), (&json!("echo"), &json!("tidegate")));
    let flags = statistics["flags"].as_array().unwrap();
    assert!(flags.iter().any(|flag| flag == "--max-connections"), "{flags:?}");
    assert_eq!(statistics["servers"][0]["address"], it.role.address().to_string());
    assert_eq!(statistics["limits"][0], json!({"name": "connections", "used": 1, "allowed": 7}));
    // What both formats have of a figure that nobody changes meanwhile.
    assert_eq!(statistics["figures"]["connections"]["open"], 1);
    let names: Vec<_> = metrics.body.lines().filter_map(|line| line.strip_prefix("# TYPE tidegate_")).collect();
    for name in statistics["figures"].as_object().unwrap().keys() {
        assert!(names.iter().any(|line| line.split(' ').next() == Some(name)), "{name} is in /statistics alone");
    }
    assert!(statistics["longest_turn"]["seconds"].as_f64() > Some(0.0), "{statistics}");
}

#[test]
fn a_connection_stays_for_another_request_and_requests_may_come_at_once() {
    let it = Inspected::role("echo", &[]);
    let mut stream = http::connect(it.at);
    for _ in 0..3 {
        let answer = http::request(&mut stream, "GET /statistics HTTP/1.1\r\nHost: [::1]:9000\r\n\r\n");
        assert_eq!(answer.status, 200);
    }
    let head = http::request(&mut stream, "HEAD /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert!(head.status == 200 && head.head.contains("Content-Length: "), "{head:?}");
    let table = format!("GET /connections?key={} HTTP/1.1\r\nHost: localhost\r\n\r\n", it.key);
    stream.write_all(table.repeat(20).as_bytes()).unwrap();
    for _ in 0..20 {
        assert_eq!(http::answer(&mut stream, true).json()["count"], 0);
    }
    let last = http::request(&mut stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(last.status, 200);
    assert_eq!(std::io::Read::read(&mut stream, &mut [0]).unwrap(), 0);
    // HTTP/1.0: the end of the connection is the end of the body. And the client may have ended its side.
    let mut old = http::connect(it.at);
    write!(old, "GET /connections?key={} HTTP/1.0\r\nHost: localhost\r\n\r\n", it.key).unwrap();
    old.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(http::answer(&mut old, true).json()["count"], 0);
}

#[test]
fn a_table_of_many_pieces_comes_whole() {
    let it = Inspected::role("echo", &[]);
    let clients: Vec<_> = (0..400).map(|_| std::net::TcpStream::connect(it.role.address()).unwrap()).collect();
    wait_until("all are there", || it.metrics().metric("tidegate_connections{state=\"open\"}") == 400.0);
    let table = it.asks("/connections").json();
    let rows = table["connections"].as_array().unwrap();
    assert_eq!((rows.len(), &table["count"]), (400, &json!(400)));
    let mut remotes: Vec<_> = rows.iter().map(|row| row["remote"].as_str().unwrap().to_owned()).collect();
    let mut expected: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap().to_string()).collect();
    remotes.sort_unstable();
    expected.sort_unstable();
    assert_eq!(remotes, expected);
}

#[test]
fn a_unix_socket_needs_no_key_and_tells_the_user_of_a_peer() {
    use std::os::unix::net::UnixStream;

    let folder = Folder::new();
    let (inspector, role) = (folder.path("inspect.sock"), folder.path("role.sock"));
    let [at_inspector, at_role] = [&inspector, &role].map(|path| format!("unix:{}", path.display()));
    let mut echo = Daemon::launch(&["echo", "--listen", &at_role, "--inspect", &at_inspector, "--mode", "666"]);
    echo.logs("its start", |line| line.contains("listening on unix:"));
    assert!(echo.log().contains(&format!("inspect: {at_inspector}")), "{}", echo.log());
    let modes = [&inspector, &role].map(|path| mode_of(path));
    assert_eq!(modes, [0o600, 0o666]);
    let _peer = UnixStream::connect(&role).unwrap();
    let mut stream = UnixStream::connect(&inspector).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    wait_until("the peer", || {
        let table = http::request(&mut stream, "GET /connections HTTP/1.1\r\nHost: localhost\r\n\r\n").json();
        let row = &table["connections"][0];
        let (user, process) = (rustix::process::getuid().as_raw(), std::process::id());
        row["user"] == user && row["process"] == process && row["remote"].is_null()
    });
    echo.signal(support::Signal::TERM);
    echo.exits_with(0);
    assert!(!inspector.exists() && !role.exists(), "the files of both are gone");
}

#[test]
fn each_role_and_the_load_generator_can_be_looked_at() {
    let echo = Inspected::role("echo", &[]);
    let to = echo.role.address().to_string();
    let proxied: &[&str] = &["--to", &to];
    for (role, flags) in [("chat", &[][..]), ("sink", &[]), ("source", &[]), ("hub", &[]), ("proxy", proxied)] {
        let it = Inspected::role(role, flags);
        let _client = Client::connect(it.role.address());
        wait_until("its connection", || it.asks("/connections").json()["count"].as_u64() >= Some(1));
        assert_eq!(http::get(it.at, "/statistics").json()["role"], role);
    }
    let words = ["bench", "echo", &to, "--inspect", "127.0.0.1:0", "--connections", "5", "--duration", "1h"];
    let bench = Inspected::of(Daemon::launch(&words));
    wait_until("its connections", || {
        let table = bench.asks("/connections").json();
        table["connections"].as_array().unwrap().iter().filter(|row| row["kind"] == "client").count() == 5
    });
    assert_eq!(http::get(bench.at, "/statistics").json()["role"], "bench echo");
    bench.role.signal(support::Signal::INT);
    let mut bench = bench.role;
    bench.exits(); // with 1 if nothing was measured yet
}

#[test]
fn one_that_ends_its_side_after_it_has_asked_gets_all_of_its_answers() {
    let it = Inspected::role("echo", &[]);
    let _clients: Vec<_> = (0..400).map(|_| std::net::TcpStream::connect(it.role.address()).unwrap()).collect();
    wait_until("all are there", || it.metrics().metric("tidegate_connections{state=\"open\"}") == 400.0);
    for (version, requests) in [("1.1", 1), ("1.1", 3), ("1.0", 1)] {
        let mut stream = http::connect(it.at);
        let request = format!("GET /connections?key={} HTTP/{version}\r\nHost: localhost\r\n\r\n", it.key);
        stream.write_all(request.repeat(requests).as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        for _ in 0..requests {
            assert_eq!(http::answer(&mut stream, true).json()["connections"].as_array().unwrap().len(), 400);
        }
        assert_eq!(std::io::Read::read(&mut stream, &mut [0]).unwrap(), 0);
    }
}

#[test]
fn what_stands_in_a_configuration_file_is_not_shown() {
    let folder = Folder::new();
    let file = folder.path("t.toml");
    std::fs::write(&file, "[echo]\nblock = [\"192.0.2.77\"]\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let words = ["echo", "--config", file.to_str().unwrap(), "--inspect", "127.0.0.1:0"];
    let it = Inspected::of(Daemon::launch(&words));
    let (metrics, statistics) = (it.metrics(), http::get(it.at, "/statistics"));
    assert!(!metrics.body.contains("192.0.2.77") && !statistics.body.contains("192.0.2.77"));
    let flags = [words[1], words[2], words[3], words[4]];
    assert_eq!(statistics.json()["flags"], json!(flags), "as the list of processes has them");
}

#[test]
fn a_refusal_of_head_has_no_body_and_a_target_may_be_whole() {
    let it = Inspected::role("echo", &[]);
    let mut stream = http::connect(it.at);
    stream.write_all(b"HEAD /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 ") && text.ends_with("\r\n\r\n"), "{text}");
    let whole = format!("GET http://{}/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", it.at);
    assert_eq!(http::request(&mut http::connect(it.at), &whole).status, 200);
    let other = "GET http://example.org/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(http::request(&mut http::connect(it.at), other).status, 403);
}
