"""Run a command where there is no network but the loopback; say what listens meanwhile, and what is asked for beyond.

`python -m tests.cluster.listeners COMMAND...` in a network namespace of its own; prints one line of JSON.
"""

import fcntl
import json
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

_LISTENS, _LOOPBACK = "0A", ("7F", "00000000000000000000000001000000")
_SET_FLAGS, _UP = 0x8914, 1


def _sockets(kind: str) -> list[tuple[str, str, str]]:
    """Local address, remote address and state of each, as the kernel writes them; the last two bytes are the port."""
    lines = Path("/proc/net", kind).read_text().splitlines()[1:]
    return [(cells[1], cells[2], cells[3]) for cells in map(str.split, lines)]


def _is_loopback(address: str) -> bool:
    host = address.partition(":")[0]
    return host.endswith(_LOOPBACK[0]) if len(host) == 8 else host == _LOOPBACK[1]


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
    listening, beyond = set(), set()
    process = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE)
    while process.poll() is None:
        for local, remote, state in [one for kind in ("tcp", "tcp6", "udp", "udp6") for one in _sockets(kind)]:
            if state == _LISTENS:
                listening.add(local)
            for address in (local, remote):
                if not _is_loopback(address) and set(address.partition(":")[0]) != {"0"}:
                    beyond.add(address)
        time.sleep(0.02)
    everywhere = [address for address in listening if not _is_loopback(address)]
    ports = sorted(int(address.partition(":")[2], 16) for address in listening)
    print(
        json.dumps({"status": process.returncode, "ports": ports, "everywhere": everywhere, "beyond": sorted(beyond)})
    )


if __name__ == "__main__":
    main()
