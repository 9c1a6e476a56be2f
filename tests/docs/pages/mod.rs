//! The commands of the pages are run, and their output is what the pages show.
//!
//! Each block of a page, and each command in its sentences, has a line in [`block`] or in [`RULES`]. One that has none
//! fails, and so does a line that nothing needs any more. Commands are typed as they are written, but for what
//! [`reader::INSTEAD`] says and for the ports.

#![cfg(target_os = "linux")]
mod page;
mod reader;
mod shown;

use std::path::Path;

use crate::project::read;
use page::{Block, Part, is_command, is_executable, parts};
use reader::{INSTEAD, Reader, has};

/// How a command is checked.
enum Rule {
    /// It is typed. With `&` it goes on in the background.
    Typed,
    /// It is typed, and goes on as a server until the page is read.
    Serves,
    /// It is typed, and this server is there: a role of the daemon, or `lines`, which answers as strangers do.
    Against(&'static str),
    /// CI does it: `.ci/run` or `.ci/smoke` has this line.
    Ci(&'static str),
    /// Another test does it, and this stands in its file.
    Elsewhere(&'static str, &'static str),
    /// It cannot be run here, for this reason; a file has what it names.
    Named(&'static str, &'static str, &'static str),
}
use Rule::{Against, Ci, Elsewhere, Named, Serves, Typed};

const ALL_TESTS: &str = "step env TIDEGATE_STRACE=required TIDEGATE_TOOLS=required cargo test --locked";
const PROGRAMS: [&str; 5] = ["binary", "docs", "library", "machine", "sim"];
const ALL_BENCHES: &str = "step cargo bench --locked --bench logic --bench loops --bench scale -- --test";
const ALL_DOCS: &str = "step env RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items";
const NIGHTLY: &str = "it needs nightly Rust and minutes";
const BOOTED: &str = "it needs a machine that systemd has started";
const MEASURES: &str = "it measures for a minute, on a fixed port";
const LINKED: &str = "it takes minutes, and .ci/targets links the like of it";
const PREFIX: &str = "it is put before a command of one's own";

const RULES: &[(&str, Rule)] = &[
    // README.md, CONTRIBUTING.md
    ("cargo run --release -- chat", Serves),
    ("cargo install --locked --path .", Ci("cargo install --locked --quiet --path . --root \"$work\"")),
    ("tidegate chat", Serves),
    ("cargo doc --open", Ci(ALL_DOCS)),
    ("tidegate chat --listen unix:/run/chat.sock --mode 660 --owner :27", Serves),
    ("nc -U /run/chat.sock", Typed),
    ("ncat --chat", Named("another program is compared", "README.md", "| a room for `nc`, out of the box |")),
    ("cargo bench", Ci(ALL_BENCHES)),
    ("cargo test --no-default-features", Ci("step cargo test --locked --no-default-features --lib --test library")),
    (".ci/ladder", Ci("step .ci/ladder")),
    (".ci/html", Ci("step .ci/html")),
    (".ci/run", Named("it runs this test", ".ci/run", "cargo test")),
    // docs/bench.md
    ("tidegate bench request :6379 --send 'PING\\r\\n' --expect '+PONG\\r\\n' --depth 16", Against("lines")),
    ("tidegate bench request :6379 --send 'GET key\\r\\n' --expect '$\\*\\r\\n\\*\\r\\n'", Against("lines")),
    ("tidegate bench request :11211 --send 'get key\\r\\n' --expect '\\*END\\r\\n'", Against("lines")),
    (
        "tidegate bench request :80 --send 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' \
         --expect 'HTTP/1.1 200 OK\\r\\n\\*\\r\\n\\r\\nhello' --rate 1000",
        Against("lines"),
    ),
    ("tidegate bench request :7 --send 'hello\\n' --expect '\\*\\n'", Against("lines")),
    ("tidegate bench echo :7000 --depth 16", Against("echo")),
    ("tidegate bench echo :7000 -c 1", Against("echo")),
    ("tidegate bench echo :7000 -n 100000", Against("echo")),
    ("tidegate bench echo :7000 --rate 20000 --plot echo.svg", Against("echo")),
    ("tidegate bench churn unix:/run/echo.sock", Against("echo")),
    ("tidegate bench sink :7001", Against("sink")),
    ("tidegate bench idle :7000 -c 10000 --duration 1m", Against("echo")),
    ("tidegate bench chat :7000 -c 1000 --rate 100 --json | jq .latency_us.p99", Against("chat")),
    ("taskset -c 0", Named(PREFIX, "docs/bench.md", "Give client and server a core each")),
    ("taskset -c 1", Named(PREFIX, "docs/bench.md", "Give client and server a core each")),
    // docs/benchmarks.md
    ("tidegate echo --listen 7000 -q &", Serves),
    ("tidegate bench echo 7000 --connections 1 --size 65536 --duration 5s &", Typed),
    ("tidegate bench echo 7000 --connections 1000 --size 64 --rate 10000 --duration 4s", Typed),
    ("cargo build --release", Ci("cargo build --locked --release --quiet")),
    ("cargo bench --bench logic", Ci(ALL_BENCHES)),
    ("cargo bench --bench loops", Ci(ALL_BENCHES)),
    ("cargo bench --bench scale", Ci(ALL_BENCHES)),
    ("redis-benchmark -t ping_mbulk -p 8080", Against("echo")),
    ("iperf -c 127.0.0.1 -p 8080", Against("sink")),
    ("strace -c", Named(PREFIX, "docs/benchmarks.md", "system calls are counted by")),
    // docs/configuration.md
    ("tidegate check /run/room.toml", Typed),
    ("tidegate chat --config /run/room.toml --print-config", Typed),
    ("tidegate run FILE", Elsewhere("tests/binary/configuration.rs", "fn run_takes_the_role_from_the_file()")),
    ("systemctl reload", Named(BOOTED, "docs/configuration.md", "SIGHUP has a role read it again")),
    ("systemctl reload tidegate-hub", Named(BOOTED, "docs/systemd.md", "sends SIGHUP, and the")),
    // docs/conformance.md
    // In real time all of them want the machine for themselves.
    (
        "cargo run --release --example scenario -- FILE...",
        Elsewhere("tests/machine/conformance.rs", "fn every_scenario_gives_nodes_trace()"),
    ),
    ("cargo run --release --example scenario -- --sim FILE...", Typed),
    // docs/connection.md, docs/turn.md
    ("docs/pictures/render", Elsewhere("tests/docs/pages/mod.rs", "fn the_pictures_can_be_rendered")),
    // docs/explain.md
    ("tidegate chat --explain", Serves),
    ("tidegate replay docs/explained/echo.rec --explain", Typed),
    ("tidegate replay docs/explained/stuck-reader.rec --explain", Typed),
    ("tidegate replay /run/chat.rec --explain=#5", Typed),
    // docs/fuzzing.md
    ("cargo test --lib properties", Typed),
    ("cargo install cargo-fuzz", Named(NIGHTLY, "tests/fuzz/Cargo.toml", "cargo-fuzz = true")),
    (
        "cargo +nightly fuzz run --fuzz-dir tests/fuzz connection -- -max_total_time=300",
        Named(NIGHTLY, "tests/fuzz/Cargo.toml", "name = \"connection\""),
    ),
    (
        "cargo +nightly fuzz run --fuzz-dir tests/fuzz connection tests/fuzz/artifacts/connection/crash-...",
        Named(NIGHTLY, "tests/fuzz/Cargo.toml", "name = \"connection\""),
    ),
    ("PROPTEST_RNG_SEED=7 PROPTEST_CASES=100000 cargo test --lib properties", Typed),
    // docs/installing.md
    (
        "cargo install --locked --version 3.8.0 --no-default-features cargo-deb",
        Elsewhere(".ci/package", "\ncargo_deb=3.8.0\n"),
    ),
    ("packaging/deb", Elsewhere(".ci/package", "packaging/deb --output")),
    (
        "apt install ./target/debian/tidegate_0.1.0-1_amd64.deb",
        Elsewhere(".ci/package", "dpkg --install /root/tidegate.deb"),
    ),
    (
        "tidegate check /etc/tidegate/tidegate.toml",
        Elsewhere(".ci/package", "chroot \"$root\" tidegate check /etc/tidegate/tidegate.toml"),
    ),
    ("systemctl enable --now tidegate-chat", Elsewhere(".ci/package", "sed -n 's/^ExecStart=//p'")),
    ("systemctl enable --now tidegate@NAME", Elsewhere(".ci/package", "sed -n 's/^ExecStart=//p'")),
    ("systemctl reload tidegate-chat", Named(BOOTED, "packaging/systemd/tidegate-chat.service", "ExecReload=")),
    (".ci/package", Ci("step .ci/package")),
    (".ci/container", Ci("step .ci/container")),
    ("tidegate man ~/.local/share/man/man1", Elsewhere("tests/binary/manual.rs", "[\"man\", ")),
    (
        "tidegate completions bash | tee ~/.local/share/bash-completion/completions/tidegate",
        Elsewhere("tests/binary/manual.rs", "fn each_shell_completes_each_command_and_flag()"),
    ),
    ("rustup target add x86_64-unknown-linux-musl", Elsewhere(".ci/targets", "rustup target add \"$target\"")),
    (
        "podman build -f packaging/container/Containerfile -t tidegate target/x86_64-unknown-linux-musl/release",
        Elsewhere(".ci/container", "said COPY"),
    ),
    ("podman run -p 7000:7000 tidegate", Elsewhere(".ci/container", "said ENTRYPOINT")),
    (".ci/weight", Ci("step .ci/weight")),
    (
        "benches/ready.py 50 tidegate chat --listen 127.0.0.1:0",
        Named("it measures time", "benches/ready.py", "benches/ready.py STARTS PROGRAM"),
    ),
    // docs/names.md
    ("cargo bench --bench names", Named("it measures time", "benches/names.rs", "`cargo bench --bench names`")),
    // docs/platforms.md
    (".ci/targets", Ci("step .ci/targets")),
    (
        "rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl",
        Elsewhere(".ci/targets", "rustup target add \"$target\""),
    ),
    ("export CARGO_PROFILE_RELEASE_STRIP=true", Named(LINKED, ".ci/targets", "RUSTFLAGS='-D warnings'")),
    (
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld cargo build --release --target x86_64-unknown-linux-musl",
        Elsewhere(
            ".ci/targets",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld cargo build --locked --target",
        ),
    ),
    (
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld cargo build --release --target aarch64-unknown-linux-musl",
        Named(LINKED, ".ci/targets", "aarch64-unknown-linux-musl"),
    ),
    // docs/programs.md
    ("cargo run --example greeting", Elsewhere("tests/docs/programs.rs", "\"greeting\"")),
    ("nc localhost 8080", Elsewhere("tests/docs/programs_page.rs", "[\"nc\", \"localhost\", \"8080\"]")),
    ("cargo run --example answering", Elsewhere("tests/docs/programs.rs", "\"answering\"")),
    ("cargo run --example client", Elsewhere("tests/docs/programs.rs", "\"client\"")),
    ("cargo run --example new-socket", Elsewhere("tests/docs/programs.rs", "\"new-socket\"")),
    ("cargo run --example keep-alive", Elsewhere("tests/docs/programs.rs", "\"keep-alive\"")),
    ("cargo run --example vanished-peer", Elsewhere("tests/docs/programs.rs", "\"vanished-peer\"")),
    ("cargo run -- chat", Serves),
    // docs/reliability.md
    ("SEED=17 cargo test --test sim simulation -- --nocapture", Typed),
    ("ulimit -n 64", Elsewhere("tests/machine/load.rs", "ulimit -n 64")),
    ("tests/broken/run", Ci("step tests/broken/run")),
    (
        "benches/amplification.py 50 now='tidegate chat --listen 127.0.0.1:7400 --flood none' ...",
        Named(MEASURES, "benches/amplification.py", "benches/amplification.py GUESTS NAME=COMMAND..."),
    ),
    ("MEGABYTES=1024 cargo test --release --test machine gigabyte -- --nocapture", Typed),
    ("SEEDS=1000000 FROM=2000 TURNS=500 cargo test --test sim simulation -- --nocapture", Typed),
    ("strace -e inject=...", Elsewhere("tests/support/strace.rs", "inject={injection}")),
    // docs/hub.md
    ("ncat --broker", Named("another program is compared", "docs/hub.md", "## Beside ncat and ser2net")),
    (
        "docs/examples/fan-out.py",
        Named(MEASURES, "docs/examples/fan-out.py", "docs/examples/fan-out.py [LINES [PROGRAM...]]"),
    ),
    ("docs/examples/frames.py", Named(MEASURES, "docs/examples/frames.py", "docs/examples/frames.py [FRAMES]")),
    // docs/recording.md, README.md
    ("tidegate chat --record /run/chat.rec", Serves),
    ("tidegate replay /run/chat.rec", Typed),
    ("tidegate replay /run/chat.rec -v", Typed),
    ("tidegate replay /run/chat.rec --until 12", Typed),
    ("tidegate replay /run/chat.rec --explain", Typed),
    ("RUNS=100 cargo test --test binary recording", Typed),
    ("SEED=17 RECORD=/run/seed cargo test --test sim simulation -- --nocapture", Typed),
    ("SEED=17 PLAY=/run/seed cargo test --test sim simulation -- --nocapture", Typed),
    ("tidegate bench echo -c 1 -n 200000", Named(MEASURES, "docs/recording.md", "an echo of 64 bytes, one client")),
    ("tidegate bench chat -c 9 --senders 1", Named(MEASURES, "docs/recording.md", "in a room of ten")),
    // docs/systemd.md
    (
        "systemd-socket-activate --listen 127.0.0.1:7000 tidegate chat --listen systemd",
        Elsewhere("tests/binary/systemd.rs", "fn the_room_serves_and_stops_as_the_units_say"),
    ),
    ("nc 127.0.0.1 7000", Elsewhere("tests/binary/systemd.rs", "fn the_room_serves_and_stops_as_the_units_say")),
    ("systemctl kill -s USR1 tidegate-chat", Named(BOOTED, "docs/systemd.md", "writes the table of connections")),
    ("systemctl reload tidegate-hub", Named(BOOTED, "packaging/systemd/tidegate-hub.service", "ExecReload=")),
    (
        "systemctl enable --now tidegate@room",
        Elsewhere("tests/binary/systemd.rs", "fn the_instance_unit_runs_the_role_of_its_file()"),
    ),
    ("systemctl status", Named(BOOTED, "docs/systemd.md", "shows how many connections there are")),
    ("systemctl stop", Named(BOOTED, "docs/systemd.md", "sends SIGTERM")),
    ("systemd-analyze verify", Named(BOOTED, "docs/systemd.md", "finds errors in a unit")),
    ("systemd-analyze security tidegate-chat", Named(BOOTED, "docs/systemd.md", "what the unit may still")),
];

/// The rule for a command. Two forms need none: tests that CI runs among all, and in a sentence a role of the daemon.
fn rule(command: &str) -> Option<&'static Rule> {
    RULES.iter().find(|(text, _)| *text == command).map(|(_, rule)| rule)
}

/// `.ci/run` or `.ci/smoke` has exactly this line.
fn is_in_ci(line: &str) -> bool {
    [".ci/run", ".ci/smoke"].iter().any(|script| read(script).lines().any(|it| it.trim() == line))
}

/// `cargo test --test sim torture -- --nocapture`: CI runs it among all tests, if that program has such a module.
fn is_a_test_of_ci(command: &str) -> bool {
    let (settings, words) = command.split_once("cargo test").unwrap_or((command, "none"));
    let settings_are_cis = settings.split_whitespace().all(|it| ALL_TESTS.contains(it));
    let words = words.split(" -- ").next().unwrap_or_default().replace(" --release", "");
    let is_there = match words.split_whitespace().collect::<Vec<_>>()[..] {
        [] => true,
        ["--test", program] => PROGRAMS.contains(&program),
        ["--test", program, module] => {
            PROGRAMS.contains(&program) && read(&format!("tests/{program}/main.rs")).contains(&format!("mod {module};"))
        }
        ["--bin", program, module] => {
            let folder = format!("src/bin/{program}/{}", module.replace("::", "/"));
            Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("mod.rs").exists()
        }
        _ => false,
    };
    settings_are_cis && is_there && is_in_ci(ALL_TESTS)
}

/// `tidegate proxy --to ADDR`, as it is written: the program knows that role, these flags and their values.
fn is_known(command: &str) -> bool {
    let words = command.split(" | ").next().unwrap_or_default().trim_end_matches(" &").replace("ADDR", "127.0.0.1:1");
    words.starts_with("tidegate ") && Reader::new().run(&format!("{words} --help")).status.success()
}

/// Where a command stands.
#[derive(Clone, Copy, PartialEq)]
enum In {
    /// To be typed.
    Block,
    /// To be spoken of: a role may be named there without a rule.
    Sentence,
}

/// Checks a command by its rule.
#[track_caller]
fn play(reader: &mut Reader, page: &str, command: &str, place: In) {
    if command.starts_with("tidegate ") {
        assert!(is_known(command), "{page}: this program does not know {command}");
    }
    let program = command.split(' ').find(|word| !word.contains('=')).unwrap_or_default();
    let is_here = |program| ["cargo", "tidegate"].contains(&program) || has(program, command);
    let is_name = place == In::Sentence && program == "tidegate" && command.split(' ').count() == 2;
    match rule(command).filter(|_| !is_name) {
        Some(Serves) => reader.serves(command),
        Some(Typed) if command.ends_with(" &") => reader.types_aside(command),
        Some(Typed) if is_here(program) => drop(reader.types(command)),
        Some(Against(role)) => {
            let pipe = command.split(" | ").nth(1).and_then(|it| it.split(' ').next());
            if is_here(program) && pipe.is_none_or(is_here) {
                reader.starts(role, command);
                reader.types(command);
            }
        }
        Some(Typed) => {} // and it was said that the program is missing
        Some(Ci(line)) => {
            assert!(is_in_ci(line), "{page}: CI has no line {line:?} any more, so nothing runs {command}");
            if let Some(name) = command.strip_prefix("cargo bench --bench ") {
                assert!(read("Cargo.toml").contains(&format!("[[bench]]\nname = \"{name}\"")), "{page}: {command}");
            }
        }
        Some(Elsewhere(file, text)) => assert!(read(file).contains(text), "{page}: {file} has no {text}: {command}"),
        Some(Named(why, file, text)) => {
            assert!(read(file).contains(text), "{page}: {command} is not run, since {why}, and {file} has no {text}");
        }
        None => {
            let is_spoken_of = place == In::Sentence && program == "tidegate";
            assert!(is_spoken_of || is_a_test_of_ci(command), "{page}: no rule for the command {command}");
        }
    }
}

/// Checks the `nth` block of its language on this page.
fn block(reader: &mut Reader, page: &str, block: &Block, nth: usize) {
    let text = block.text.as_str();
    match (page, block.language.as_str(), nth) {
        // Each of them has to do what it is there for, and not only to be known.
        ("docs/hub.md", "sh", _) => {
            let recipes = read("tests/binary/hub/recipes.rs");
            for command in block.commands() {
                assert!(recipes.contains(&format!("\"{command}\"")), "{page}: no test follows the recipe {command}");
            }
        }
        ("docs/hub.md", "text", _) => {} // a drawing, and figures
        ("docs/machines.md", "sh", _) => {
            let typed = read("tests/binary/machines/mod.rs");
            for command in block.commands() {
                assert!(typed.contains(&format!("{command:?}")), "{page}: no test types {command}");
            }
        }
        ("docs/machines.md", "text", 0) => {} // a drawing
        ("docs/machines.md", "text", _) => {
            let rules = text.trim().split_once(">PASSWORD ").unwrap().1;
            assert!(read("tests/support/engine.rs").contains(&format!("{rules:?}")), "{page}: no test has these rules");
        }
        ("docs/connect.md", "sh", _) => {
            let typed = read("tests/binary/connect.rs");
            for command in block.commands() {
                assert!(typed.contains(&format!("({command:?}, ")), "{page}: no test types {command}");
            }
        }
        ("docs/inspect.md", "sh", 2) => {} // from another machine, by ssh
        ("docs/inspect.md", "sh", _) => {
            let typed = read("tests/binary/inspect/typed.rs");
            for command in block.commands() {
                let command = format!("{command:?}");
                assert!(typed.contains(&command), "{page}: no test types {command}");
            }
        }
        ("docs/inspect.md", "yaml", nth) => {
            let file = ["prometheus.yml", "alerts.yml"][nth];
            assert_eq!(text, read(&format!("docs/examples/prometheus/{file}")), "{page} shows another {file}");
        }
        ("docs/inspect.md", "text", 0) | ("README.md", "text", 1) => shown::an_inspection(text),
        (_, "sh", _) => block.commands().iter().for_each(|command| play(reader, page, command, In::Block)),
        ("docs/programs.md", "js" | "rust" | "text", _) => shown::program(text, &block.language),
        (_, "rust,no_run", _) => {
            let doctest = format!("#[doc = include_str!(\"../{page}\")]");
            assert!(read("src/lib.rs").contains(&doctest), "{page}: its Rust is no doctest");
        }
        ("README.md", "toml", 0) => shown::a_dependency(reader, text),
        ("README.md", "text", 0) => shown::a_room(text),
        ("docs/architecture.md", "text", 0) => {} // who owns what: a drawing
        ("docs/bench.md", "text", 0) => shown::a_measurement(reader, text),
        ("docs/configuration.md", "toml", 0) => drop(reader.put("room.toml", text)),
        ("docs/conformance.md", "text", 0) => shown::how_many_are_equal(reader, text),
        ("docs/conformance.md", "json", 0) => shown::a_scenario(reader, text, &shown::second_json(page)),
        ("docs/conformance.md", "json", 1) => {} // the trace of the first
        ("docs/explain.md", "text", nth) => shown::an_explanation(reader, text, nth),
        ("docs/names.md", "text", _) => assert!(read("tests/library/names/mod.rs").contains("docs/names.md")),
        ("docs/node.md", "js", 0) => shown::a_sketch(reader, text),
        ("docs/recording.md", "text", 0) => shown::a_replay(reader, text),
        ("docs/reliability.md", "text", 0) => shown::a_trace(reader, text),
        ("docs/systemd.md", "ini", _) => assert!(read("tests/binary/systemd.rs").contains("docs/systemd.md")),
        ("docs/systemd.md", "text", 0) => {} // as root, on a machine that systemd has started
        (_, language, _) => panic!("{page}:{}: no rule for this block {language:?}", block.line),
    }
}

/// Goes through a page as its reader does.
fn go_through(page: &str) {
    let mut reader = Reader::new();
    let mut before: Vec<String> = Vec::new();
    for part in parts(&read(page)) {
        match part {
            Part::Span(span) if is_command(&span) => play(&mut reader, page, &span, In::Sentence),
            Part::Span(span) if span.starts_with("--") => shown::a_flag(page, &span),
            Part::Span(_) => {}
            Part::Block(part) => {
                let nth = before.iter().filter(|language| **language == part.language).count();
                block(&mut reader, page, &part, nth);
                before.push(part.language);
            }
        }
    }
    reader.goes();
}

macro_rules! pages {
    ($($name:ident $page:literal)*) => {
        const PAGES: &[&str] = &[$($page),*];
        $(#[test] fn $name() { go_through($page) })*
    };
}

pages! {
    changelog "CHANGELOG.md"
    contributing "CONTRIBUTING.md"
    readme "README.md"
    docs "docs/README.md"
    architecture "docs/architecture.md"
    bench "docs/bench.md"
    benchmarks "docs/benchmarks.md"
    configuration "docs/configuration.md"
    conformance "docs/conformance.md"
    connect "docs/connect.md"
    connection "docs/connection.md"
    decision_1 "docs/decisions/0001-accepts-among-the-reads.md"
    decision_2 "docs/decisions/0002-a-late-loop-catches-up-in-order.md"
    decision_3 "docs/decisions/0003-reset-in-the-turn-of-an-end.md"
    decision_4 "docs/decisions/0004-segments-are-counted-by-hand.md"
    decision_5 "docs/decisions/0005-a-terminal-as-stderr-is-reopened.md"
    decision_6 "docs/decisions/0006-files.md"
    decision_7 "docs/decisions/0007-what-eventloop-has-itself.md"
    decision_8 "docs/decisions/0008-a-waker-keeps-its-loop-running.md"
    decision_9 "docs/decisions/0009-a-connection-reaches-no-other.md"
    decision_10 "docs/decisions/0010-timers-are-a-sorted-map.md"
    decision_11 "docs/decisions/0011-an-id-carries-the-number-of-its-loop.md"
    decision_12 "docs/decisions/0012-the-place-of-a-handler-has-no-generation.md"
    decision_13 "docs/decisions/0013-what-is-adopted-never-blocks.md"
    decision_14 "docs/decisions/0014-a-small-part-of-a-segment-is-copied.md"
    decision_15 "docs/decisions/0015-who-holds-the-most-is-known-to-an-eighth.md"
    decision_16 "docs/decisions/0016-a-peer-that-is-gone.md"
    decision_17 "docs/decisions/0017-a-stop-is-for-the-next-run.md"
    decision_18 "docs/decisions/0018-a-connection-leaves-nothing-to-the-next-one.md"
    decision_19 "docs/decisions/0019-the-turn-has-a-budget-of-time.md"
    decision_20 "docs/decisions/0020-the-room-reads-what-people-type.md"
    decision_21 "docs/decisions/0021-who-pays-in-a-room.md"
    decision_22 "docs/decisions/0022-effects-are-compared-and-questions-are-not.md"
    decision_23 "docs/decisions/0023-the-trace-is-told-by-a-kernel-and-by-notes.md"
    decision_24 "docs/decisions/0024-one-ring-and-a-cursor-for-each-consumer.md"
    decision_25 "docs/decisions/0025-statistics-count-before-the-call.md"
    decision_26 "docs/decisions/0026-who-looks-at-a-loop-stands-apart.md"
    decision_27 "docs/decisions/0027-a-reload-changes-words.md"
    decision_28 "docs/decisions/0028-names-are-part-of-the-loop.md"
    decision_29 "docs/decisions/0029-a-line-is-told-when-it-comes-back.md"
    decisions "docs/decisions/README.md"
    explain "docs/explain.md"
    fuzzing "docs/fuzzing.md"
    glossary "docs/glossary.md"
    hub "docs/hub.md"
    inspect "docs/inspect.md"
    installing "docs/installing.md"
    machines "docs/machines.md"
    names "docs/names.md"
    node "docs/node.md"
    platforms "docs/platforms.md"
    programs "docs/programs.md"
    recording "docs/recording.md"
    reliability "docs/reliability.md"
    systemd "docs/systemd.md"
    turn "docs/turn.md"
}

#[test]
fn all_pages_are_gone_through() {
    assert_eq!(page::all(), PAGES);
}

#[test]
fn each_rule_is_needed() {
    let mut commands: Vec<String> = Vec::new();
    for part in PAGES.iter().flat_map(|page| parts(&read(page))) {
        match part {
            Part::Span(span) => commands.push(span),
            Part::Block(block) => commands.extend(block.commands()),
        }
    }
    for (command, _) in RULES {
        assert!(commands.iter().any(|it| it == command), "no page has {command}");
    }
    for (written, _) in INSTEAD {
        assert!(commands.iter().any(|it| format!("{it} ").contains(written)), "no page has {written:?}");
    }
}

#[test]
fn the_readme_names_the_rust_version_and_the_features_of_the_manifest() {
    let (readme, manifest) = (read("README.md"), read("Cargo.toml"));
    let version = manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(readme.contains(&format!("Rust {version} ")), "it does not name Rust {version}");
    let features = manifest.split("[features]\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let names = features.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let names: Vec<&str> = names.filter(|name| *name != "default").collect();
    assert_eq!(names, ["cli", "names", "signals"]);
    for name in names {
        assert!(readme.contains(&format!("\n| `{name}` |")), "its table has no feature {name}");
    }
}

#[test]
fn a_command_without_a_rule_fails() {
    let no_such_test = [
        "cargo test --test nothing",
        "cargo test --test sim nothing",
        "cargo test --bin tidegate daemon::nothing",
        "SEED=1 cargo test",
    ];
    for command in ["tidegate chat --no-such-flag", "tidegate knit"].into_iter().chain(no_such_test) {
        assert!(rule(command).is_none() && !is_a_test_of_ci(command) && !is_known(command), "{command}");
    }
    let unknown = Block { line: 1, language: String::new(), text: "x\n".to_owned() };
    assert!(std::panic::catch_unwind(|| block(&mut Reader::new(), "README.md", &unknown, 0)).is_err());
    assert!(!is_in_ci("step cargo test"));
}

/// On a copy, as the pictures of the pages are not to change.
#[test]
fn the_pictures_can_be_rendered() {
    assert!(is_executable("docs/pictures/render"));
    if !has("dot", "docs/pictures/render") {
        return;
    }
    let reader = Reader::new();
    let copy = |name: &str| reader.put(name, &read(&format!("docs/pictures/{name}")));
    let script = copy("render");
    copy("turn.dot");
    copy("connection.dot");
    let output = reader.run(&format!("bash {script}"));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "connection.svg\nturn.svg\n");
    let svg = std::fs::read_to_string(Path::new(&script).with_file_name("turn.svg")).unwrap();
    assert!(svg.contains("prefers-color-scheme: dark"), "{svg}");
}
