//! What `--help` says before and after the flags. What it says of each flag stands with that flag.

pub(super) const ABOUT_CHAT: &str = "\
Run a chat room that people join with nc, ncat or telnet.

One line is one message: it goes to everybody else in the room. In the room,
/nick NAME changes the name, /who tells who is there, /quit leaves, and /help
lists these. A line from the room itself starts with '* '.

A line has at most 4096 bytes. A longer one is said to nobody, and who sends
three of them has to leave.";

pub(super) const ABOUT_ECHO: &str = "\
Send every byte back to where it came from, in order, and the end too.

A peer that sends without reading is not read until it does: it holds up
itself alone.";

pub(super) const ABOUT_SINK: &str = "\
Read everything and throw it away (RFC 863, discard).

When the peer ends, so does this.";

pub(super) const ABOUT_SOURCE: &str = "\
Send bytes without end, as fast as each peer reads them (RFC 864, chargen).

The byte at place N of a connection is N modulo 251, so that a reader can check
them. What the peer sends is thrown away; it goes on until the peer closes.";

pub(super) const ABOUT_PROXY: &str = "\
Pass each connection on to another server, both ways.

Each direction ends by itself, and who is slow slows the other side and nobody
else. A side that breaks breaks the other: where the server resets a connection
or cannot be reached, the client is reset too, and never takes that for an empty
answer. The log says which client and which server it was.

A connection takes two descriptors, so half as many fit as in the other roles.";

pub(super) const AFTER_HELP: &str = "\
Examples:
  tidegate chat                      a room on 127.0.0.1:8080
  nc 127.0.0.1 8080                  join it, from another terminal

All is set by flags: there is no configuration file.

Try 'tidegate chat --help', or that of another command, for its flags, with
examples, the forms of values, and the exit codes.";

/// What the `--help` of a role ends with. A macro, as only `concat!` joins text before the program runs.
macro_rules! manual {
    ($examples:literal) => {
        concat!(
            $examples,
            "

All is set by flags: there is no configuration file.

Values:
  A DURATION is 0 or has units, from large to small: 500ms, 30s, 5m, 1h30m, 2d.
  The longest is 365d.
  A SIZE is in bytes, or in K, M or G (also KiB, MiB, GiB; 1K is 1024): 65536,
  64KiB, 1M. The largest is 1GiB; 'none' is no limit.

Stopping:
  SIGINT (Ctrl-C), SIGTERM or SIGHUP (the terminal is gone) closes the
  listeners, sends what is queued, and ends each connection when its peer does
  or has been silent for 1 s. A second signal exits at once. Under nohup SIGHUP
  does nothing.

Exit codes:
  0    stopped by a signal, and nothing that was queued was thrown away
  1    cannot start, or stopped with queued bytes thrown away
  2    wrong usage
  129  stopped at once by a second SIGHUP
  130  stopped at once by a second SIGINT
  143  stopped at once by a second SIGTERM"
        )
    };
}

pub(super) const AFTER_CHAT_HELP: &str = manual!(
    "\
Examples:
  tidegate chat                      a room on 127.0.0.1:8080
  nc 127.0.0.1 8080                  join it, from another terminal
  tidegate chat --listen :7000       a room that other machines can join
  tidegate chat --listen 7000 --listen [::1]:7000 --idle-timeout 30m -v
  tidegate chat --listen unix:/run/chat.sock --mode 660 --owner :27
  nc -U /run/chat.sock               join that one"
);

pub(super) const AFTER_ECHO_HELP: &str = manual!(
    "\
Examples:
  tidegate echo                      an echo on 127.0.0.1:8080
  nc 127.0.0.1 8080                  talk to it, from another terminal
  tidegate echo --listen :7000 --max-connections 1000 --idle-timeout 5m"
);

pub(super) const AFTER_SINK_HELP: &str = manual!(
    "\
Examples:
  tidegate sink --listen 7000        a sink on 127.0.0.1:7000
  nc -N 127.0.0.1 7000 < file        send it something"
);

pub(super) const AFTER_SOURCE_HELP: &str = manual!(
    "\
Examples:
  tidegate source --listen 7000      a source on 127.0.0.1:7000
  nc 127.0.0.1 7000 | pv > /dev/null see how fast it is
  tidegate source --bytes 1000000    a million bytes for each connection"
);

pub(super) const AFTER_PROXY_HELP: &str = manual!(
    "\
Examples:
  tidegate proxy --listen :8080 --to 127.0.0.1:3000
  tidegate proxy --listen 5432 --to unix:/run/postgresql/.s.PGSQL.5432
  tidegate proxy --listen unix:/run/web.sock --mode 660 --to localhost:3000"
);

pub(super) const ABOUT_BENCH: &str = "\
Load a server and measure it: how many messages, and how long each takes.

One thread, built on the same loop as the servers. What comes back is checked.
Only measure servers that are yours.";

pub(super) const AFTER_BENCH_HELP: &str = "\
Examples:
  tidegate echo &                    something to measure
  tidegate bench echo                64 connections, a message on each
  tidegate bench echo --rate 10000   as fast as users ask, and not as it answers
  tidegate bench chat :7000 --connections 1000 --json
  tidegate bench request :6379 --send 'PING\\r\\n' --expect '+PONG\\r\\n'

Try 'tidegate bench echo --help' for the flags of each, with the forms of
values.

Exit codes:
  0  measured, and all that was checked was right
  1  cannot connect or cannot write the report, connections were lost, bytes
     were wrong or missing
  2  wrong usage";

pub(super) const BENCH_VALUES: &str = "\
Values:
  A DURATION is 0 or has units, from large to small: 500ms, 30s, 5m, 1h30m, 2d.
  A SIZE is in bytes, or in K, M or G (also KiB, MiB, GiB; 1K is 1024).

SIGINT (Ctrl-C) ends the measurement early and reports it. The exit code is 1 if
connections were lost, or bytes were wrong or missing: see 'tidegate bench
--help'.";
