"""Images a second out of a slow store: which gap, how many requests, ranges or whole shards.

    python benchmarks/remote.py [--images 20000] [--size 24000] [--first-byte-ms 25] [--mb-s 90]

A server on this machine answers each range after a first-byte latency, at the bandwidth of one
connection. Batches of 1536 images are read, not decoded, at random and from few places, as a
corpus in the order of its clusters has them. Printed: images a wall-clock second, requests an
image, and bytes that came for each byte that was wanted.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from curate.manifests import ImageStore, Pairset
from curate.manifests.stream.payloads import Payloads

BATCH, SHARD, ROUNDS = 1536, 2000, 2


class Slow(BaseHTTPRequestHandler):
    """Serves ranges of zeros, late and slowly."""

    protocol_version = "HTTP/1.1"
    latency_s, rate, length = 0.0, 1.0, 0
    requests, sent = 0, 0
    lock = threading.Lock()

    def do_HEAD(self) -> None:
        """Say how long a shard is."""
        self._headers(200, self.length)

    def do_GET(self) -> None:
        """Send a range."""
        low, high = self.headers["Range"].removeprefix("bytes=").split("-")
        size = min(int(high) + 1, self.length) - int(low)
        with Slow.lock:
            Slow.requests += 1
            Slow.sent += size
        time.sleep(self.latency_s)
        self._headers(206, size)
        for start in range(0, size, 1 << 18):
            piece = min(1 << 18, size - start)
            time.sleep(piece / self.rate)
            self.wfile.write(bytes(piece))

    def _headers(self, status: int, size: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
        del format, args


def batches(kind: str, images: int) -> list[np.ndarray]:
    """Return the sample ids of some batches: evenly at random, or runs of 48 with holes."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(ROUNDS):
        if kind == "random":
            found.append(np.sort(rng.choice(images, BATCH, replace=False)))
            continue
        starts = rng.choice(images // 64, BATCH // 48, replace=False) * 64
        runs = [start + np.sort(rng.choice(64, 48, replace=False)) for start in starts]
        found.append(np.sort(np.concatenate(runs)))
    return found


def measure(pairset: Pairset, store: ImageStore, asked: argparse.Namespace, kind: str) -> str:
    """Read some batches; return a row of the table."""
    shards = tuple(f"images/{n}.tar" for n in range(asked.images // SHARD))
    source = Payloads(pairset, shards, store)
    Slow.requests = Slow.sent = 0
    many = wanted = 0
    begun = time.monotonic()
    for ids in batches(kind, asked.images):
        size = np.full(len(ids), asked.size)
        reading = source.start(ids // SHARD, ids % SHARD * (asked.size + 1024), size)
        wanted += sum(len(reading.get(at)) for at in range(len(ids)))
        many += len(ids)
        reading.close()
    took = time.monotonic() - begun
    return f"{many / took:,.0f} | {Slow.requests / many:.3f} | {Slow.sent / wanted:.2f}"


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=24_000)
    parser.add_argument("--first-byte-ms", type=float, default=25)
    parser.add_argument("--mb-s", type=float, default=90)
    asked = parser.parse_args()
    Slow.latency_s, Slow.rate = asked.first_byte_ms / 1e3, asked.mb_s * 1e6
    Slow.length = SHARD * (asked.size + 1024)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    print("| batches | gap | requests at once | images/s | requests an image | amplification |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        manifest = {"images": [], "corpus": {"fingerprint": "none"}}
        pairset = Pairset(Path(folder), manifest)
        for kind in ("random", "clusters"):
            for requests, gap in [(8, 0), (32, 0), (32, 64 << 10), (32, 256 << 10),
                                  (32, 1 << 20), (64, 256 << 10)]:  # fmt: skip
                store = ImageStore(base=base, gap=gap, requests=requests)
                row = measure(pairset, store, asked, kind)
                print(f"| {kind} | {gap >> 10} kB | {requests} | {row} |", flush=True)


if __name__ == "__main__":
    main()
