//! What is told: the summary, the plot, the exit code.

use super::*;

#[test]
fn a_signal_ends_it_early_with_what_was_measured() {
    let echoed = Arc::new(AtomicU64::new(0));
    let sum = Arc::clone(&echoed);
    let server = serve(move |stream, _| {
        echo(stream, |bytes, _| {
            sum.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            true
        });
    });
    let words = ["bench", "echo", &server, "--connections", "2", "--warmup", "0", "--duration", "1h", "--json"];
    let bench = Daemon::launch(&words);
    wait_until("a thousand messages", || echoed.load(Ordering::SeqCst) >= 64_000);
    bench.signal(Signal::INT);
    let done = finish(bench);
    done.is_good();
    assert_eq!(done.report["interrupted"], true);
}

#[test]
fn the_summary_goes_to_stdout_and_nothing_to_stderr() {
    let server = Daemon::echo(&[]);
    let address = server.address().to_string();
    let mut bench = Daemon::launch(&["bench", "echo", &address, "--duration", "200ms", "--warmup", "1ms"]);
    bench.exits_with(0);
    let output = bench.whole_output();
    let first = format!("echo on {address}: 64 connections, 64 bytes, 1 in flight on each\n");
    assert!(output.starts_with(&first), "{output}");
    for word in ["  messages ", "/s\n", "  latency ", "50 %  ", "75 %  ", "95 %  ", "  this client "] {
        assert!(output.contains(word), "no {word} in\n{output}");
    }
    assert!(!output.contains("PROBLEM"), "{output}");
    assert_eq!(bench.log(), "");
}

#[test]
fn a_plot_is_an_svg() {
    let server = Daemon::echo(&[]);
    let address = server.address().to_string();
    let folder = Folder::new();
    let path = folder.path("echo.svg");
    bench("echo", &address, &["--plot", path.to_str().unwrap()]).is_good();
    let svg = std::fs::read_to_string(&path).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
    let title = format!("tidegate bench echo on {address}");
    let parameters = "64 connections, 64 bytes, 1 in flight on each; ";
    for part in
        ["latency by percentile", "messages per second", "prefers-color-scheme: dark", "<polyline", &title, parameters]
    {
        assert!(svg.contains(part), "no {part} in\n{svg}");
    }
}

#[test]
fn a_plot_that_cannot_be_written_is_an_error_before_anything_is_measured() {
    let untouched = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = untouched.local_addr().unwrap().to_string();
    let nowhere = "/there/is/no/such/folder.svg";
    let mut bench = Daemon::launch(&["bench", "echo", &address, "--duration", "1h", "--plot", nowhere]);
    bench.exits_with(1);
    assert!(bench.log().contains(&format!("cannot write {nowhere}")), "{}", bench.log());
    untouched.set_nonblocking(true).unwrap();
    assert_eq!(untouched.accept().unwrap_err().kind(), ErrorKind::WouldBlock);

    // A run that does not begin leaves no file, and does not change a file that is there.
    let path = std::env::temp_dir().join(format!("tidegate-bench-none-{}.svg", std::process::id()));
    let nobody = free_address().to_string();
    let fails = || Daemon::launch(&["bench", "echo", &nobody, "--plot", path.to_str().unwrap()]).exits_with(1);
    fails();
    assert!(!path.exists());
    std::fs::write(&path, "another's").unwrap();
    fails();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another's");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_plot_into_what_is_no_regular_file_is_refused_before_the_load() {
    use std::os::unix::fs::symlink;

    let untouched = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = untouched.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let path = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    let mkfifo = std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap();
    assert!(mkfifo.success());
    symlink("nothing.svg", path("dangling")).unwrap();
    symlink("fifo", path("to-fifo")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    for (plot, why) in [
        (path("fifo"), "it is a FIFO or a pipe, and no regular file"),
        (path("to-fifo"), "it is a FIFO or a pipe, and no regular file"),
        (path("socket"), "it is a socket"),
        (path("dangling"), "it is a link to a file that does not exist"),
        (folder.itself().to_str().unwrap().to_owned(), "it is a directory"),
        ("/dev/full".to_owned(), "it is a device"),
        ("/dev/stdout".to_owned(), "it is a FIFO or a pipe"),
    ] {
        let mut bench = Daemon::launch(&["bench", "echo", &address, "--duration", "1h", "--plot", &plot]);
        bench.exits_with(1);
        assert!(bench.log().contains(&format!("cannot write {plot}: {why}")), "{}", bench.log());
    }
    untouched.set_nonblocking(true).unwrap();
    assert_eq!(untouched.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(!folder.path("nothing.svg").exists());
    assert!(folder.path("dangling").is_symlink());
}

#[test]
fn a_plot_into_the_file_of_the_report_follows_it() {
    let server = Daemon::echo(&[]);
    let address = server.address().to_string();
    let folder = Folder::new();
    let report = folder.path("report");
    for plot in ["/dev/stdout", report.to_str().unwrap()] {
        let mut command = support::program();
        command.args(["bench", "echo", &address, "--duration", "200ms", "--warmup", "0", "--plot", plot]);
        command.stdout(std::fs::File::create(&report).unwrap());
        assert!(command.status().unwrap().success());
        let text = std::fs::read_to_string(&report).unwrap();
        assert!(text.starts_with("echo on ") && text.contains("  latency ") && text.contains("<svg"), "{text}");
        assert!(text.trim_end().ends_with("</svg>"));
    }
}

#[test]
fn a_plot_replaces_the_file_to_which_a_link_leads() {
    let server = Daemon::echo(&[]);
    let address = server.address().to_string();
    let folder = Folder::new();
    let (file, link) = (folder.path("file.svg"), folder.path("link.svg"));
    std::fs::write(&file, "x".repeat(1 << 20)).unwrap();
    std::os::unix::fs::symlink("file.svg", &link).unwrap();
    bench("echo", &address, &["--plot", link.to_str().unwrap()]).is_good();
    assert!(link.is_symlink());
    assert!(std::fs::read_to_string(&file).unwrap().trim_end().ends_with("</svg>"));
}

#[test]
fn a_usage_error_exits_with_2() {
    let wrong: [(&[&str], &str); 6] = [
        (&["bench", "knit"], "unrecognized subcommand"),
        (&["bench", "echo", "127.0.0.1"], "it has no port"),
        (&["bench", "echo", "--duration", "0"], "nothing to measure"),
        (&["bench", "source", "--rate", "1"], "unexpected argument"),
        (&["bench", "request", "--send", r"\q", "--expect", "x"], "the escapes are"),
        (&["bench", "echo", "--size", "1G", "--depth", "2"], "more than 1GiB"),
    ];
    for (words, message) in wrong {
        let mut bench = Daemon::launch(words);
        bench.exits_with(2);
        assert!(bench.log().contains(message), "{words:?}: {}", bench.log());
        assert_eq!(bench.whole_output(), "");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn there_is_one_thread() {
    let server = Daemon::echo(&[]);
    let address: SocketAddr = server.address();
    let bench = Daemon::launch(&["bench", "echo", &address.to_string(), "--duration", "1h"]);
    wait_until("64 connections", || tcp_sockets(bench.pid(), TcpState::Established) == 64);
    assert_eq!(bench.status("Threads"), 1);
}
