#!/usr/bin/env python3
"""What a frame costs a hub with 0, 1 and 100 consumers, all of which read: CPU time for each, and the time for all.

    docs/examples/frames.py [FRAMES]      1000000

A producer sends lines of 71 bytes as fast as they are taken (`--slow pause`). `tidegate` is found in PATH, or by TIDEGATE.
"""

import os
import select
import socket
import subprocess
import sys
import time

TIDEGATE = os.environ.get("TIDEGATE", "tidegate")
LINE = b"x" * 70 + b"\n"


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


def cpu(process):
    """Seconds of CPU that the process has used so far."""
    with open(f"/proc/{process.pid}/stat") as stat:
        user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def read_all(consumers, frames):
    """In a process of its own, until each consumer has heard all."""
    poll, by_number = select.poll(), {consumer.fileno(): consumer for consumer in consumers}
    for consumer in consumers:
        poll.register(consumer, select.POLLIN)
    left, buffer = len(consumers) * frames * len(LINE), bytearray(1 << 18)
    while left > 0:
        for number, _ in poll.poll():
            left -= by_number[number].recv_into(buffer)
    os._exit(0)


def measure(count, frames):
    producers, consumers = free_port(), free_port()
    command = [TIDEGATE, "hub", "-q", "--in", f"listen:{producers}", "--out", str(consumers)]
    hub = subprocess.Popen(command + ["--slow", "pause", "--max-per-address", "none"])
    try:
        producer, readers = connect(producers), [connect(consumers) for _ in range(count)]
        child = os.fork()
        if child == 0:
            read_all(readers, frames)
        time.sleep(0.3)
        used, began = cpu(hub), time.time()
        for _ in range(frames // 1000):
            producer.sendall(LINE * 1000)
        producer.shutdown(socket.SHUT_WR)
        producer.recv(1)  # the hub has read all
        os.waitpid(child, 0)
        took = time.time() - began
        print(f"{count:4} consumers: {(cpu(hub) - used) * 1e9 / frames:6.0f} ns of CPU a frame, {took:.2f} s", flush=True)
    finally:
        hub.terminate()
        hub.wait()


def main():
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for count in (0, 1, 100):
        measure(count, frames)


main()
