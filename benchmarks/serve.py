"""What does a picture over HTTP cost, beside `Identifier.identify` in one's own program, and how long does it take?

CPU seconds a request of the server's processes, asked by as many clients as there are cores, against those of
`identify` on the same bytes in as many threads; both in turn. Then more clients than the server has places: how long
the answered ones waited, and how many were sent away. Answers are compared first. The clients share the cores.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compare import show_ratio

from fruitcnn.identify.identifier import Identifier

BAR = 1.35
_TICKS = os.sysconf("SC_CLK_TCK")


def start(model: str, workers: int) -> tuple[subprocess.Popen[bytes], int]:
    """A server, and its port."""
    words = [sys.executable, "-m", "fruitcnn", "serve", model, "--port", "0", "--workers", str(workers)]
    server = subprocess.Popen(words, stderr=subprocess.PIPE)
    assert server.stderr is not None
    line = server.stderr.readline().decode()
    threading.Thread(target=lambda: [None for _ in server.stderr or ()], daemon=True).start()
    return server, int(line.partition("//")[2].partition(" ")[0].rpartition(":")[2])


def cpu_seconds(process: int) -> float:
    """Of a process and its children, those that have ended left out."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return (int(fields[11]) + int(fields[12])) / _TICKS + sum(map(cpu_seconds, map(int, children)))


def ask(port: int, pictures: list[bytes], seconds: float, clients: int) -> tuple[list[float], int]:
    """Ask with so many clients for so long; seconds of each answer, and how many requests were sent away."""
    taken: list[float] = []
    refused = []
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        turn = number
        while time.monotonic() < end:
            begin = time.perf_counter()
            connection.request("POST", "/identify", pictures[turn % len(pictures)])
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                taken.append(time.perf_counter() - begin)
            else:
                refused.append(answer.status)
                time.sleep(0.1)
            turn += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refused) <= {429}, set(refused)
    return taken, len(refused)


def check_same(port: int, identifier: Identifier, pictures: list[bytes]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for picture in pictures:
        connection.request("POST", "/identify", picture)
        theirs = json.loads(connection.getresponse().read())
        assert theirs == identifier.identify(picture).to_dict() | {"file": "-"}, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="fruits")
    parser.add_argument("--pictures", type=Path, default=Path("dataset/sample"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(arguments.pictures.rglob("*.jpg"))[:60]]
    identifier = Identifier.load(arguments.model, threads=1)
    server, port = start(arguments.model, arguments.workers)
    try:
        check_same(port, identifier, pictures)
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            before = cpu_seconds(server.pid)
            taken, _ = ask(port, pictures, arguments.seconds, len(os.sched_getaffinity(0)))
            ours.append((cpu_seconds(server.pid) - before) / len(taken))
            begin = time.process_time()
            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
                deque(pool.map(identifier.identify, pictures * 3), 0)
            theirs.append((time.process_time() - begin) / len(pictures * 3))
        ms = [[1000 * one for one in values] for values in (ours, theirs)]
        show_ratio(("serve, CPU a request", "Identifier.identify"), *ms, unit="ms", bar=f"at most {BAR}")
        for clients in (1, 16, 200):
            taken, refused = ask(port, pictures, arguments.seconds, clients)
            shown = statistics.quantiles([1000 * one for one in taken], n=100)
            waited = f"p50 {shown[49]:.0f} ms, p99 {shown[98]:.0f} ms"
            print(f"{clients:>3} clients: {len(taken) / arguments.seconds:.0f}/s, {waited}, {refused} sent away")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
