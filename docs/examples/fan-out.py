#!/usr/bin/env python3
"""One to many, with a consumer that never reads: how many lines does the other one hear, how fast, and what does it cost?

    docs/examples/fan-out.py [LINES [PROGRAM...]]      200000, and: hub hub-tty broker ser2net

It starts each program on a free port of 127.0.0.1, connects two consumers, of which one never reads, and sends numbered lines as
fast as they are taken: by a connection to `tidegate hub` and `ncat --broker`, by a pseudo-terminal to `tidegate hub` and `ser2net`.
A program that has passed on nothing for five seconds is given up. `tidegate` is found in PATH, or by TIDEGATE; ncat and ser2net are
packages of Debian by these names. One that is not installed is left out.
"""

import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty

TIDEGATE = os.environ.get("TIDEGATE", "tidegate")
GIVE_UP = 5.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port):
    end = time.time() + 5
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            if time.time() > end:
                raise
            time.sleep(0.02)


def terminal():
    """A pseudo-terminal that changes no byte: its master, and its name."""
    master, slave = pty.openpty()
    tty.setraw(slave, termios.TCSANOW)
    return master, slave, os.ttyname(slave)


def hub(folder):
    port, entry = free_port(), free_port()
    command = [TIDEGATE, "hub", "-q", "--in", f"listen:{entry}", "--out", str(port)]
    return command, port, lambda: Sender(connect(entry))


def hub_tty(folder):
    port = free_port()
    master, slave, name = terminal()
    return [TIDEGATE, "hub", "-q", "--in", f"tty:{name}", "--out", str(port)], port, lambda: Sender(master, slave)


def broker(folder):
    port = free_port()
    return ["ncat", "--broker", "-l", "127.0.0.1", str(port)], port, lambda: Sender(connect(port))


def ser2net(folder):
    port = free_port()
    master, slave, name = terminal()
    config = os.path.join(folder, "ser2net.yaml")
    with open(config, "w") as file:
        file.write(
            "%YAML 1.1\n---\nconnection: &con\n"
            f"  accepter: tcp,127.0.0.1,{port}\n"
            f"  connector: serialdev,{name},115200n81,local\n"
            "  options:\n    max-connections: 9\n    kickolduser: false\n"
        )
    return ["ser2net", "-n", "-u", "-c", config], port, lambda: Sender(master, slave)


PROGRAMS = {"hub": hub, "hub-tty": hub_tty, "broker": broker, "ser2net": ser2net}


class Sender:
    """Sends on a thread of its own: a program that takes no more must not hold up the measurement."""

    def __init__(self, to, keep=None):
        self.to = to if isinstance(to, int) else to.fileno()
        self.keep = (to, keep)

    def sends(self, data):
        def run():
            rest = memoryview(data)
            while rest:
                try:
                    select.select([], [self.to], [])
                    rest = rest[os.write(self.to, rest[:65536]):]
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()


def memory(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))


def cpu(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name, lines):
    with tempfile.TemporaryDirectory() as folder:
        command, port, sender = PROGRAMS[name](folder)
        if not shutil.which(command[0]):
            return print(f"{name:8}  {command[0]} is not installed")
        program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        try:
            stuck = connect(port)
            good = connect(port)
            source = sender()
            time.sleep(0.5)
            data = b"".join(b"%09d %s\n" % (number, b"x" * 60) for number in range(lines))
            before = cpu(program.pid)
            began = last = time.time()
            source.sends(data)
            heard, chunks = 0, []
            while heard < lines and time.time() - last < GIVE_UP:
                if not select.select([good], [], [], 0.1)[0]:
                    continue
                chunk = good.recv(1 << 16)
                if not chunk:
                    break
                last = time.time()
                chunks.append(chunk)
                heard += chunk.count(b"\n")
            took = last - began
            is_whole = data.startswith(b"".join(chunks))
            what = f"{heard:7} of {lines} lines" + ("" if is_whole else ", with gaps")
            print(
                f"{name:8}  {what}, {took:6.2f} s, {memory(program.pid) / 1024:6.1f} MiB at most, "
                f"{cpu(program.pid) - before:5.2f} s of CPU",
                flush=True,
            )
            stuck.close()
        finally:
            program.terminate()
            try:
                program.wait(3)
            except subprocess.TimeoutExpired:
                program.kill()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    lines = int(arguments[0]) if arguments else 200_000
    for name in arguments[1:] or PROGRAMS:
        measure(name, lines)
