#!/usr/bin/env python3
"""How long a role takes from its start to its READY=1, which it says when it listens.

benches/ready.py STARTS PROGRAM [ARGUMENT...]
"""
import os
import socket
import subprocess
import sys
import tempfile
import time

starts, command = int(sys.argv[1]), sys.argv[2:]
took = []
with tempfile.TemporaryDirectory() as folder:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(folder + "/notify")
    for _ in range(starts):
        begin = time.monotonic()
        role = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": folder + "/notify"}, stderr=subprocess.DEVNULL)
        while not manager.recv(4096).startswith(b"READY=1"):
            pass
        took.append((time.monotonic() - begin) * 1000)
        role.terminate()
        if role.wait() != 0:
            sys.exit(f"it stopped with exit code {role.returncode}")
took.sort()
print(f"ms from the start to READY=1, {starts} starts: median {took[starts // 2]:.1f}, longest {took[-1]:.1f}")
