"""How heavy is the page, how long until it can answer, and how long does a picture take? In a headless Chromium.

    python benchmarks/page.py checkpoints/fruits-small

Makes the page (which wants npm), serves it on the loopback, and prints: bytes as they are and gzipped, the time from
opening to a model that is ready (a new browser; the same page again, without a server), and the median time of a
picture, from file to answer, over the drawn pictures and over one of 12 megapixels.
"""

import argparse
import functools
import gzip
import http.server
import statistics
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image

from fruitcnn.browser.site import write_site
from fruitcnn.checkpoint import ONNX
from fruitcnn.export.source import OnnxSource
from tests.chromium import Page

SAMPLE = Path(__file__).parent.parent / "dataset/sample"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def open_page(page: Page, address: str) -> float:
    start = time.perf_counter()
    page.open(address)
    page.wait("document.documentElement.dataset.model === 'ready'")
    return time.perf_counter() - start


def seconds_each(page: Page, files: list[Path]) -> float:
    times = []
    for file in files:
        start = time.perf_counter()
        page.choose("#files", [file])
        page.wait("document.documentElement.dataset.open === '0'")
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, large = Path(name) / "page", Path(name) / "large.jpg"
        folder.mkdir()
        write_site(OnnxSource(options.checkpoint / ONNX), folder)
        total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        packed = sum(len(gzip.compress(file.read_bytes())) for file in folder.rglob("*") if file.is_file())
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Page() as page:
            first = open_page(page, f"http://127.0.0.1:{server.server_port}/")
            page.wait("navigator.serviceWorker.controller !== null")
            server.shutdown()
            server.server_close()
            again = open_page(page, f"http://127.0.0.1:{server.server_port}/")
            small = sorted(SAMPLE.glob("*/*_00?.jpg"))
            with Image.open(small[0]) as image:
                image.resize((4000, 3000), Image.Resampling.BICUBIC).save(large, quality=85)
            seconds_each(page, small[:3])
            each, large_one = seconds_each(page, small), seconds_each(page, [large] * 3)
    print("| model | MB | gzipped | first opening | again, offline | a small picture | 12 megapixels |")
    print("|---|---|---|---|---|---|---|")
    sizes = f"{total / 1e6:.1f} | {packed / 1e6:.1f}"
    times = f"{first:.1f} s | {again:.1f} s | {1e3 * each:.0f} ms | {1e3 * large_one:.0f} ms"
    print(f"| {options.checkpoint.name} | {sizes} | {times} |")


if __name__ == "__main__":
    main()
