"""`make bench`: runs every benchmark of this folder, or those named, and prints its ratios.

Each `bench_*.py` has `main() -> None`, which prints lines `name: value (what it is measured against)`. A figure is
a ratio between interleaved runs on this machine; run it on an otherwise idle one.
"""

from __future__ import annotations

import importlib
import platform
import sys
import time
from pathlib import Path

import psutil


def main() -> int:
    """Run the benchmarks named on the command line (`compare`, `screen`, …), or all of them."""
    here = Path(__file__).parent
    names = sys.argv[1:] or sorted(path.stem.removeprefix("bench_") for path in here.glob("bench_*.py"))
    busy = psutil.cpu_percent(interval=1.0)
    print(
        f"{platform.machine()}, {psutil.cpu_count(logical=False)} cores, {busy:.0f} % busy before the start"
    )
    if busy > 20:
        print("The machine is not idle: ratios of interleaved runs hold roughly, absolute figures do not.")
    for name in names:
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        importlib.import_module(f"tests.bench.bench_{name}").main()
        print(f"   ({time.monotonic() - started:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
