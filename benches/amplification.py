#!/usr/bin/env python3
"""What 64 KiB from one guest cost a room: the bytes that all guests receive for it, and the processor's time of the server.

    benches/amplification.py GUESTS NAME=COMMAND...

Each command is a server on 127.0.0.1:7400 that stays in the foreground. One whose name begins with "irc" is spoken to as an IRC
server. Linux only: the time is that of /proc/PID/schedstat.
"""

import select
import socket
import subprocess
import sys
import time

PORT = 7400
SIZE = 65536
LINES = {
    "one byte": b"a\n",
    "39 bytes": b"b" * 39 + b"\n",
    "4,000 bytes": b"z" * 4000 + b"\n",
    "empty": b"\n",
    "/who": b"/who\n",
    "telnet commands": b"\xff\xfd\x18\xff\xfb\x1f",
}


class Readers:
    """Guests that read all that they are sent."""

    def __init__(self):
        self.poll, self.sockets = select.epoll(), {}

    def add(self, guest):
        guest.setblocking(False)
        self.poll.register(guest.fileno(), select.EPOLLIN)
        self.sockets[guest.fileno()] = guest

    def remove(self, guest):
        self.poll.unregister(guest.fileno())
        guest.close()

    def read(self, quiet):
        """How many bytes come until nothing has come for so long."""
        count, last = 0, time.time()
        while time.time() - last < quiet:
            for descriptor, _ in self.poll.poll(min(quiet, 0.05)):
                try:
                    chunk = self.sockets[descriptor].recv(1 << 20)
                except OSError:
                    continue
                if chunk:
                    count, last = count + len(chunk), time.time()
        return count


def join(is_irc, number):
    guest = socket.create_connection(("127.0.0.1", PORT))
    if is_irc:
        guest.sendall(b"NICK n%d\r\nUSER n%d 0 * :x\r\nJOIN #r\r\n" % (number, number))
    return guest


def said(is_irc, line):
    if not is_irc:
        return line * (SIZE // len(line))
    if line == LINES["/who"]:
        line = b"NAMES #r\r\n"
    else:
        line = b"PRIVMSG #r :" + line[:400].replace(b"\n", b"") + b"\r\n"
    return line * (SIZE // len(line))


def measure(name, command, guests):
    is_irc = name.startswith("irc")
    server = subprocess.Popen(command.split(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1.5)
        readers = Readers()
        for number in range(guests):
            readers.add(join(is_irc, number))
        for number, (kind, line) in enumerate(LINES.items()):
            if is_irc and kind in ("empty", "telnet commands"):
                continue
            speaker = join(is_irc, guests + number)
            readers.add(speaker)
            readers.read(1)
            before, sent, received, end = used(server), 0, 0, time.time() + 10
            data = said(is_irc, line)
            while sent < len(data) and time.time() < end:
                try:
                    sent += speaker.send(data[sent:])
                except BlockingIOError:
                    received += readers.read(0.001)
            received += readers.read(1)
            spent = (used(server) - before) / 1e6
            print(f"{name:12} {kind:16} in {sent:6} out {received:9} x{received / sent:6.1f} {spent:7.1f} ms", flush=True)
            readers.remove(speaker)
    finally:
        server.terminate()
        server.wait()


def used(server):
    with open(f"/proc/{server.pid}/schedstat") as file:
        return int(file.read().split()[0])


for argument in sys.argv[2:]:
    measure(*argument.split("=", 1), int(sys.argv[1]))
