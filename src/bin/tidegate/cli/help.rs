//! What `--help` prints before and after the flags. What it prints for a flag is the comment of that flag.

pub(super) const ABOUT_CHAT: &str = "\
Run a chat room that people join with nc, ncat or telnet.

Each line is a message, which goes to everybody else in the room. Four commands
can be typed in the room: /nick NAME changes the name, /who lists who is there,
/quit leaves, and /help lists the commands. //text says a line that begins with
a slash. A line from the room itself begins with '* '.

A line ends with LF, CR LF, CR NUL or CR. It has at most 4096 bytes. A longer
line is not passed on, and a guest who sends three of them is disconnected.
Backspace takes away a character. A line without anything visible is ignored.

A name has letters, digits, _ and -, at most 32, and not only _ and -. Names
that look alike are the same: no matter the case, _ and -, l or 1, O or 0.
Reserved are server, system, admin, root, operator, moderator, announce and
tidegate, and guest with a number for the guest of that number.

The others are told of a guest when it says something, or after 200 ms. So a
health check that connects and closes disturbs nobody. A client whose first line
is a request of HTTP is told that this is a chat, and disconnected; so is one
that begins with SSH, TLS or the PROXY protocol.";

pub(super) const ABOUT_ECHO: &str = "\
Send every byte back to the client that sent it, in order. When the client ends
its side, the echo ends too.

While a client does not read, the echo does not read from it either. Other
clients do not wait.";

pub(super) const ABOUT_SINK: &str = "\
Read everything and discard it (RFC 863, discard).

When the client ends its side, the sink ends too.";

pub(super) const ABOUT_SOURCE: &str = "\
Send bytes without end, as fast as each client reads them (RFC 864, chargen).

The byte at position N of a connection is N modulo 251, so that a reader can
check them. What the client sends is discarded. The source sends until the
client closes the connection.";

pub(super) const ABOUT_PROXY: &str = "\
Pass each connection on to another server, in both directions.

Each direction ends by itself. A slow side slows the other side of the same
connection and nothing else. If one side is reset, the other is reset too. If
the server cannot be reached, or there is no place for the client, the client is
reset, so that it cannot take that for an empty answer; so are both sides that
have not ended when --idle-timeout or --drain-timeout is over. The log names the
client and the server. A server on a Unix socket that is busy is tried again
until --connect-timeout is over.

Urgent data (MSG_OOB) is passed on in its place among the other bytes, and is
not urgent any more.

A connection takes two descriptors, so there can be half as many as in the other
roles.";

pub(super) const ABOUT_HUB: &str = "\
Pass on what each source says to all consumers, frame by frame. A consumer that
is slow or stuck harms nobody else.

Without --in and --out it listens on 127.0.0.1:8080, and what one says there all
others hear, as with 'ncat --broker'. With --in or --out, --listen has no
default.

A frame is a line, unless --frames says otherwise. It is passed on whole and
byte for byte, and never mixed with another one. All consumers share one queue
of --queue bytes. A consumer that falls further behind misses some frames, or is
disconnected, or makes the sources wait: see --slow. The log says how much was
lost, and with --gap-line the consumer reads it where it was.

What consumers on --out say is discarded, unless there is --two-way. When every
input is standard input or a file, and all of them have ended, the hub ends its
consumers after the last frame and exits.";

pub(super) const AFTER_HELP: &str = "\
Examples:
  tidegate chat                      a room on 127.0.0.1:8080
  nc 127.0.0.1 8080                  join it, from another terminal

Flags may also stand in a file: --config FILE.

Try 'tidegate chat --help', or that of another command, for its flags, with
examples, the forms of values, and the exit codes.";

/// The end of the `--help` of a role. A macro, because only `concat!` joins text at compile time.
macro_rules! manual {
    ($examples:literal) => {
        manual!(
            $examples,
            "\
  SIGTERM, SIGINT (Ctrl-C) or SIGQUIT stops the server. It closes the listeners,
  serves what has arrived, sends what is queued, and ends each connection. A
  connection closes when the peer closes it, or when the peer has sent nothing
  for 1 s."
        )
    };
    ($examples:literal, $stop:literal) => {
        concat!(
            $examples,
            "

Flags may also stand in a file: --config FILE.

Values:
  A DURATION is 0, or numbers with units, from large to small: 500ms, 30s, 5m,
  1h30m, 2d. The longest is 365d.
  A SIZE is in bytes, or in K, M or G (also KiB, MiB, GiB; 1K is 1024): 65536,
  64KiB, 1M. The largest is 1GiB; 'none' is no limit.

Stopping:
",
            $stop,
            "
  After --drain-timeout it closes what is still open. A second signal exits at
  once, with exit code 128 and its number.

  SIGHUP (the terminal is closed) stops it too. In a session of its own without
  a terminal, such as a service has, SIGHUP and SIGQUIT do nothing. SIGHUP,
  SIGINT and SIGQUIT do nothing if they were ignored when it was started, as
  nohup does, or a shell for commands in the background.

  With --config or --log-file SIGHUP does not stop it. The file is read again:
  what can change changes at once, connections stay where the new flags let
  them, and a file with a mistake changes nothing. The log file is opened anew.

Signals for the operator:
  SIGUSR1 writes the table of connections to the log: how many there are, and
  the 50 with most queued. SIGUSR2 makes the log say more (-v), and less again.

Exit codes:
  0    stopped by a signal, and everything that was queued was delivered
  1    cannot start, or stopped and discarded queued bytes
  2    wrong usage
  129  stopped at once by a second SIGHUP
  130  stopped at once by a second SIGINT
  131  stopped at once by a second SIGQUIT
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

pub(super) const AFTER_HUB_HELP: &str = manual!(
    "\
Examples:
  tidegate hub --listen :10110       everybody hears what the others send
  tidegate hub --in 192.168.1.7:30003 --out :10110 --backlog last
  tidegate hub --in listen::4000 --out :7000 --gap-line '# {frames} lost'
  tail -F app.log | tidegate hub --in - --out :7000 --out unix:/run/feed.sock
  tidegate hub --in tty:/dev/ttyUSB0,115200 --out 7000 --two-way
  nc 127.0.0.1 7000                  a consumer, from another terminal",
    "\
  SIGTERM, SIGINT (Ctrl-C) or SIGQUIT stops the hub. It closes the listeners,
  passes on what has arrived, sends what is queued, and ends each connection.
  With --out file:PATH, SIGHUP opens the file anew and does not stop it."
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
  tidegate proxy --listen unix:/run/web.sock --mode 660 --to localhost:3000",
    "\
  SIGTERM, SIGINT (Ctrl-C) or SIGQUIT stops the proxy. It closes the listeners.
  Connections go on until the client or the server ends them."
);

pub(super) const ABOUT_CONNECT: &str = "\
Connect standard input and output with a server, as netcat does.

When standard input ends, the server is told so, and can still answer. When the
server ends, what standard input has at hand is still sent, and the program
ends; --half-open has it send all of standard input first. A side that is slow
is waited for, in bounded memory.

When a file is moved and stderr is a terminal, there is a progress bar.";

pub(super) const AFTER_CONNECT_HELP: &str = "\
Examples:
  tidegate connect 7000              talk to a server on this machine
  tidegate connect 192.0.2.7:7000 < file
  tidegate connect 192.0.2.7 7000 > file
  printf 'GET / HTTP/1.0\\n\\n' | tidegate connect --crlf 192.0.2.7:80
  tidegate connect unix:/run/chat.sock

A DURATION is 0, or numbers with units, from large to small: 500ms, 30s, 5m,
1h30m, 2d.

A file that cannot be sent whole, because a signal or a time-out ends the
program, ends with a reset: the server cannot take it for the whole.

Exit codes:
  0    both directions have ended in order
  1    standard input cannot be read
  2    wrong usage
  3    there was no connection: refused, unreachable, or not in time
  4    the connection was lost: reset, or ended before all was sent
  5    no byte came or went for --idle-timeout
  6    standard output cannot be written, because the disk is full for example
  129  SIGHUP; 130 SIGINT (Ctrl-C), 131 SIGQUIT, 143 SIGTERM
  141  nobody reads standard output any more";

pub(super) const ABOUT_RUN: &str = "\
Run the role of a configuration file.

The file is TOML and has one table, with the name of a role. Its keys are the
names of the role's flags, and its values are what would be typed:

  [chat]
  listen = [\"127.0.0.1:7000\", \"unix:/run/room.sock\"]
  max-connections = 100
  echo = true

'tidegate chat --config FILE' runs the same, and takes flags that are typed as
well.";

pub(super) const ABOUT_CHECK: &str = "\
Look for mistakes in a configuration file.

Each table is looked at as if its role were run with it. The exit code is 0 if
there is no mistake. Else it is 2, and the first mistake is told with its line
and column. Addresses are not tried.";

pub(super) const ABOUT_MAN: &str = "\
Write the manual: a page for the program, and one for each of its commands.

  tidegate man /usr/local/share/man/man1
  man tidegate-chat

What a page says is what '--help' says.";

pub(super) const ABOUT_COMPLETIONS: &str = "\
Print a script that has a shell complete the words of this program.

  tidegate completions bash > /etc/bash_completion.d/tidegate
  tidegate completions zsh > /usr/share/zsh/site-functions/_tidegate
  tidegate completions fish > ~/.config/fish/completions/tidegate.fish";

pub(super) const ABOUT_REPLAY: &str = "\
Play a run that a role has recorded with --record.

The role runs again, as fast as it goes. It gets from the recording whatever it
got then: what peers sent, the time, errors, signals. It touches no socket and
no file. What it does is compared with what it did then, and the first
difference is named. At the end there is a fingerprint: two builds with the same
one did the same.

A recording that was cut, because the process was killed or the disk was full,
is played as far as it goes.";

pub(super) const AFTER_REPLAY_HELP: &str = "\
Examples:
  tidegate echo --record echo.rec    record a run; Ctrl-C ends it
  tidegate replay echo.rec           play it
  tidegate replay echo.rec -v        with the log of then
  tidegate replay echo.rec --until 12 --speed 1

Exit codes:
  0  it was the run of then, as far as it was played
  1  the file cannot be played, or the run is another one
  2  wrong usage";

pub(super) const ABOUT_INSPECT: &str = "\
Show what a role does that was started with --inspect: how busy its loop is, its
limits, and its connections, with who waits for whom.

In a terminal it is drawn anew each second; Ctrl-C ends it. The role goes on as
if nobody looked: nothing can be changed, and what peers say is not shown.";

pub(super) const AFTER_INSPECT_HELP: &str = "\
Examples:
  tidegate echo --inspect 9000       its log shows the address with the key
  tidegate inspect 'http://127.0.0.1:9000/?key=...'
  tidegate inspect 9000 --once       the figures, which need no key
  tidegate inspect unix:/run/echo-inspect.sock --sort idle
  tidegate inspect 9000 --json | jq .statistics.figures.queued_bytes

Exit codes:
  0  shown, or interrupted
  1  nobody listens there, it is no inspector, or the key is wrong
  2  wrong usage";

pub(super) const ABOUT_BENCH: &str = "\
Load a server and measure it: how many messages, and how long each one takes.

It runs in one thread, on the same event loop as the servers, and checks what
comes back. Only measure servers that are yours.";

pub(super) const AFTER_BENCH_HELP: &str = "\
Examples:
  tidegate echo &                    something to measure
  tidegate bench echo                64 connections, one message on each
  tidegate bench echo -n 100000      a number of messages
  tidegate bench echo --rate 10000   at a fixed rate, whatever the server does
  tidegate bench chat :7000 --connections 1000 --json
  tidegate bench request :6379 --send 'PING\\r\\n' --expect '+PONG\\r\\n'

Try 'tidegate bench echo --help' for the flags of a workload, with the forms of
values.

Exit codes:
  0  measured, and everything that was checked was correct
  1  cannot connect, cannot write the report, some connections were lost, some
     bytes were wrong or missing, or a chat limits how fast a guest may send
  2  wrong usage";

pub(super) const BENCH_VALUES: &str = "\
Values:
  A DURATION is 0, or numbers with units, from large to small: 500ms, 30s, 5m,
  1h30m, 2d.
  A SIZE is in bytes, or in K, M or G (also KiB, MiB, GiB; 1K is 1024).

SIGINT (Ctrl-C) ends the measurement early and reports it. The exit code is 1 if
connections were lost, or bytes were wrong or missing: see 'tidegate bench
--help'.";

/// The connections of a chat, beside its senders.
pub(super) const RECEIVERS: &str = "Connections that receive only, from 1 to what descriptors allow";
