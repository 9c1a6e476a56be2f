use super::*;

#[track_caller]
fn refused(it: &Inspected, head: &str, status: u16, why: &str) {
    let answer = http::request(&mut http::connect(it.at), head);
    assert_eq!(answer.status, status, "{head}: {answer:?}");
    assert!(answer.body.contains(why) && answer.body.ends_with('\n'), "{head}: {}", answer.body);
    for field in ["nosniff", "Cross-Origin-Resource-Policy: same-origin", "Connection: close", "no-store"] {
        assert!(answer.head.contains(field), "{head}: {}", answer.head);
    }
}

#[test]
fn what_names_people_needs_the_key() {
    let it = Inspected::role("chat", &[]);
    let other = Inspected::role("chat", &[]);
    assert_ne!(it.key, other.key);
    for path in ["/", "/connections", "/events"] {
        for query in [String::new(), "?key=".to_owned(), format!("?key={}", other.key), format!("?key={}x", it.key)] {
            refused(&it, &format!("GET {path}{query} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 403, "This needs the key");
        }
        if path != "/events" {
            assert_eq!(it.asks(path).status, 200, "{path}");
        }
    }
    let bearer = format!("GET /connections HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", it.key);
    assert_eq!(http::request(&mut http::connect(it.at), &bearer).status, 200);
    for open in ["/metrics", "/statistics"] {
        let answer = http::get(it.at, open);
        assert!(answer.status == 200 && !answer.body.contains(&it.key), "{open}");
    }
}

#[test]
fn other_hosts_other_sites_and_other_methods_are_refused() {
    let it = Inspected::role("echo", &[]);
    for host in ["example.org", "127.0.0.1.example.org", "10.0.0.1", "localhost@example.org", ""] {
        refused(&it, &format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n"), 403, "The Host has to be");
    }
    refused(&it, "GET /metrics HTTP/1.1\r\n\r\n", 400, "one Host");
    let site = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n";
    refused(&it, site, 403, "Pages of other sites");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get"] {
        let head = format!("{method} /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        refused(&it, &head, 405, "nothing can be changed");
    }
    refused(&it, "GET /../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, "There are /, /metrics");
}

#[test]
fn the_page_runs_its_own_script_alone() {
    let it = Inspected::role("echo", &[]);
    let (one, two) = (it.asks("/"), it.asks("/"));
    let nonce = |page: &Answer| {
        let (_, nonce) = page.head.split_once("script-src 'nonce-").unwrap();
        let nonce = nonce.split('\'').next().unwrap().to_owned();
        for part in ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'"] {
            assert!(page.head.contains(part), "{}", page.head);
        }
        assert!(page.head.contains("Content-Type: text/html; charset=utf-8"), "{}", page.head);
        nonce
    };
    assert_ne!(nonce(&one), nonce(&two), "each page has its own");
    assert!(!one.body.contains("http://") && !one.body.contains("https://"), "it has no outside parts");
}
