"""Load on a server: answers lost or wrong, the peak rate, latency at half of it, and memory over time.

Starts `kbs serve` on a SavedModel that takes `text`, or loads a server that
runs already (`--url`; the stock one as well). Every answer is compared with
what the server said to the same text alone, before the load.

    python benchmarks/serving.py out --requests 10000 --clients 256 --soak 600
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

#: Lengths in words of the texts; real messages are short, some are long.
WORDS = (2, 4, 6, 8, 10, 12, 15, 20, 30, 60)
VOCABULARY = [
    "where",
    "is",
    "my",
    "order",
    "late",
    "parcel",
    "please",
    "cancel",
    "the",
    "refund",
    "address",
    "not",
    "a",
]


def main():
    options = parse_options()
    server, url, pid = (None, options.url, options.pid) if options.url else start_server(options)
    try:
        report = asyncio.run(measure(options, url, pid))
    finally:
        if server:
            server.terminate()
            code = server.wait(60)
    if server:
        report["exit_code"] = code
    print(json.dumps(report, indent=1))
    return 1 if report["lost"] or report["wrong"] else 0


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", help="what to serve, as kbs serve takes it")
    parser.add_argument("--url", help="http://HOST:PORT/v1/models/NAME of a running server")
    parser.add_argument("--pid", type=int, help="its process, for the memory")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=256, help="connections at a time")
    parser.add_argument("--seconds", type=float, default=30, help="at half the peak rate")
    parser.add_argument("--soak", type=float, default=0, help="seconds more at that rate, for the memory")
    parser.add_argument("--rows", type=int, default=1, help="texts of a request")
    parser.add_argument("--serve", nargs="*", default=[], metavar="OPTION", help="options of kbs serve, without dashes")
    options = parser.parse_args()
    if bool(options.directory) == bool(options.url):
        parser.error("give a directory or a --url")
    return options


def start_server(options):
    launch = "import sys; from keras_bert_suite.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", launch, "serve", options.directory, "--builtin", "--json"]
    command += ["--port", "0", "--grpc-port", "0", *(f"--{option}" for option in options.serve)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = server.stdout.readline()
    if not line:
        sys.exit("the server did not start")
    (found,) = json.loads(line)["models"].values()
    return server, found["url"], server.pid


async def measure(options, url, pid):
    texts = make_texts()
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        load = Load(session, f"{url}:predict", texts, options.rows)
        await load.learn_answers()
        memory = [resident_mb(pid)]
        peak = await load.closed_loop(options.requests, options.clients)
        memory.append(resident_mb(pid))
        rate = peak / 2
        half = await load.open_loop(rate, options.seconds)
        report = {
            "requests": load.sent,
            "ok": load.ok,
            "wrong": load.wrong,
            "lost": load.lost,
            "faults": load.faults,
            "peak_per_second": round(peak, 1),
            "half_rate": round(rate, 1),
            "p50_ms": round(percentile(half, 50) * 1000, 2),
            "p99_ms": round(percentile(half, 99) * 1000, 2),
        }
        report["p99_over_p50"] = round(report["p99_ms"] / report["p50_ms"], 2)
        end = time.monotonic() + options.soak
        while time.monotonic() < end:
            await load.open_loop(rate, min(30, end - time.monotonic()))
            memory.append(resident_mb(pid))
        report.update(requests=load.sent, ok=load.ok, wrong=load.wrong, lost=load.lost, resident_mb=memory)
    return report


class Load:
    """Sends texts and keeps count."""

    def __init__(self, session, url, texts, rows):
        self.session, self.url, self.rows = session, url, rows
        self.bodies = [texts[start : start + rows] for start in range(len(texts) - rows + 1)]
        self.answers = {}
        self.sent = self.ok = self.wrong = self.lost = 0
        self.faults = {}

    async def learn_answers(self):
        for index in range(len(self.bodies)):
            self.answers[index] = await self.ask(index)

    async def ask(self, index):
        async with self.session.post(self.url, json={"instances": self.bodies[index]}) as response:
            body = await response.json(content_type=None)
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {body}")
            return body["predictions"]

    async def one(self, index):
        """Send one request; return its time in seconds."""
        start = time.perf_counter()
        self.sent += 1
        try:
            answer = await self.ask(index)
        except Exception as error:  # whatever keeps an answer from coming is a loss
            self.lost += 1
            kind = f"{type(error).__name__}: {error}"[:120]
            self.faults[kind] = self.faults.get(kind, 0) + 1
            return time.perf_counter() - start
        if same(answer, self.answers[index]):
            self.ok += 1
        else:
            self.wrong += 1
        return time.perf_counter() - start

    async def closed_loop(self, requests, clients):
        """Let each client send as soon as it has its answer; return the rate."""
        order = iter(random.Random(0).choices(range(len(self.bodies)), k=requests))

        async def client():
            for index in order:
                await self.one(index)

        start = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        return requests / (time.perf_counter() - start)

    async def open_loop(self, rate, seconds):
        """Send at random moments, whether answers have come or not; return the times of all requests."""
        source, tasks = random.Random(1), []
        moment, end = time.perf_counter(), time.perf_counter() + seconds
        while moment < end:
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            tasks.append(asyncio.ensure_future(self.one(source.randrange(len(self.bodies)))))
            moment += source.expovariate(rate)
        return await asyncio.gather(*tasks)


def same(answer, expected):
    """Compare answers: names exactly, numbers to 1e-4, since rows of other requests change the rounding."""
    if isinstance(expected, dict):
        return answer.keys() == expected.keys() and all(same(answer[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(answer) == len(expected) and all(map(same, answer, expected))
    return abs(answer - expected) < 1e-4 if isinstance(expected, float) else answer == expected


def make_texts(count=200):
    source = random.Random(0)
    return [" ".join(source.choices(VOCABULARY, k=source.choice(WORDS))) for _ in range(count)]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


def resident_mb(pid):
    """Return the resident memory of a process, or `None` where the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    sys.exit(main())
