"""How fast the screen is: launch against an empty ten-tab Textual app, and a key press to what it changes.

Both in a real terminal (a pty of 160×48), each measure interleaved with its yardstick in one run.
"""

from __future__ import annotations

import compileall
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.app.terminal import Terminal, workbench

SIZE = (160, 48)
LAUNCHES = 7
KEYS = 60
SETTLED_SECONDS = 0.6
LONGEST_LAUNCH = 30.0

TEN_TABS = """
from textual.app import App
from textual.widgets import TabbedContent, TabPane

class TenTabs(App):
    def compose(self):
        with TabbedContent():
            for number in range(10):
                yield TabPane(f"Stage {number}")

TenTabs().run()
"""

TABLE = """
from textual.app import App
from textual.widgets import DataTable

class Table(App):
    def compose(self):
        yield DataTable(cursor_type="row")

    def on_mount(self):
        table = self.query_one(DataTable)
        table.add_columns(*"abcdef")
        table.add_rows([[f"cell {row} {column}" for column in range(6)] for row in range(200)])

Table().run()
"""


def launch(terminal: Terminal, landmark: bytes) -> tuple[float, int]:
    """Seconds until `landmark` is painted, and the process's peak memory in KiB once it has settled."""
    started = time.perf_counter()
    while landmark not in terminal.output:
        terminal.pump()
        if time.perf_counter() - started > LONGEST_LAUNCH:
            raise RuntimeError(f"{landmark!r} was not painted in {LONGEST_LAUNCH:.0f} s")
    seconds = time.perf_counter() - started
    settle(terminal)
    status = Path(f"/proc/{terminal.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return seconds, int(found.group(1)) if found else 0


def settle(terminal: Terminal, most_seconds: float = 5.0) -> None:
    """Read on until the program has been quiet for a moment."""
    deadline = time.perf_counter() + most_seconds
    while terminal.pump(SETTLED_SECONDS) and time.perf_counter() < deadline:
        continue


def bare(code: str) -> Terminal:
    """A Textual app of a few lines, started the same way as ours."""
    return Terminal([sys.executable, "-P", "-c", code], size=SIZE)


def cursor_colour(terminal: Terminal) -> bytes:
    """The background with which this program paints the row under its cursor, learnt from a few key
    presses."""
    seen: Counter[bytes] = Counter()
    for key in ("down", "down", "up", "down", "up"):
        settle(terminal, 1.5)
        before = len(terminal.output)
        terminal.press(key)
        settle(terminal, 1.5)
        seen.update(set(re.findall(rb"48;2;\d+;\d+;\d+", bytes(terminal.output[before:]))))
    background = Counter(re.findall(rb"48;2;\d+;\d+;\d+", bytes(terminal.output))).most_common(1)[0][0]
    del seen[background]
    if not seen:
        raise RuntimeError("a key press changed no colour: nothing has the focus")
    return seen.most_common(1)[0][0]


def key_times(terminal: Terminal, colour: bytes) -> list[float]:
    """Milliseconds from writing an arrow key to the repaint of the row that the cursor reaches."""
    times: list[float] = []
    for number in range(KEYS):
        before = len(terminal.output)
        started = time.perf_counter()
        terminal.press("down" if number % 2 == 0 else "up")
        while colour not in terminal.output[before:]:
            terminal.pump(0.005)
            if time.perf_counter() - started > 2.0:
                break
        times.append((time.perf_counter() - started) * 1000)
        pause = time.perf_counter() + 0.07 + 0.013 * (number % 7)  # not in step with anything that ticks
        while time.perf_counter() < pause:
            terminal.pump(0.01)
    return times


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 stay under."""
    return statistics.quantiles(values, n=20)[-1]


def demo(root: Path) -> bool:
    """Make the demo workspace; False where this checkout has no starter model."""
    made = subprocess.run(
        [sys.executable, "-P", "-m", "app", "demo", str(root)], capture_output=True, text=True
    )
    if made.returncode:
        print(f"no demo workspace: {made.stderr.strip().splitlines()[-1:]}")
    return made.returncode == 0


def bench_launch(root: Path) -> None:
    """Launch and peak memory, interleaved."""
    ours: list[tuple[float, int]] = []
    theirs: list[tuple[float, int]] = []
    for number in range(LAUNCHES + 1):
        with workbench(root, size=SIZE) as terminal:
            mine = launch(terminal, b"route-ticket")
        with bare(TEN_TABS) as terminal:
            other = launch(terminal, b"Stage 9")
        if number:  # the first round warms the page cache
            ours.append(mine)
            theirs.append(other)
    fast, bare_fast = (statistics.median(seconds for seconds, _ in runs) for runs in (ours, theirs))
    large, bare_large = (statistics.median(peak for _, peak in runs) for runs in (ours, theirs))
    times = f"{fast * 1000:.0f} ms against {bare_fast * 1000:.0f} ms"
    print(f"launch to full paint: {fast / bare_fast:.2f}x ({times} of an empty ten-tab app; at most 1.7x)")
    peaks = f"{large / 1024:.0f} MiB against {bare_large / 1024:.0f} MiB"
    print(f"peak memory: {large / bare_large:.2f}x ({peaks}; at most 1.7x)")


def bench_keys(root: Path, *, busy: bool) -> None:
    """A key press to the screen change, ours and a bare table's, in turn."""
    with workbench(root, size=SIZE) as ours, bare(TABLE) as theirs:
        launch(ours, b"route-ticket")
        launch(theirs, b"cell 40")
        colour, bare_colour = cursor_colour(ours), cursor_colour(theirs)
        job = _start_comparison(root) if busy else None
        mine: list[float] = []
        other: list[float] = []
        for _ in range(2):
            mine += key_times(ours, colour)
            other += key_times(theirs, bare_colour)
        if job is not None:
            job.terminate()
            job.wait()
        state = "while a comparison runs" if busy else "idle"
        figures = f"p95 {p95(mine):.1f} ms, median {statistics.median(mine):.1f} ms"
        print(f"key to screen, {state}: {figures} (at most 30 ms; a bare table {p95(other):.1f} ms)")


def _start_comparison(root: Path) -> subprocess.Popen[bytes]:
    """A comparison that outlasts the measurement; returns once its first cells are finished."""
    words = ["prompt=route-ticket", "versions=1,2,3", "cases=tickets", "model=starter"]
    words += ["repeats=20", "sampling.temperature=1"]
    command = [sys.executable, "-P", "-m", "app", "run", "prompt.compare", "--workspace", str(root), *words]
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if job.stderr is not None:
        job.stderr.readline()
    return job


def main() -> None:
    """Print (b) launch and memory, and (c) key to screen, idle and busy."""
    # As on a user's machine, where Python keeps what it compiled; here PYTHONDONTWRITEBYTECODE may forbid it.
    for package in ("app", "store", "widgets"):
        compileall.compile_dir(Path(__file__).parents[2] / package, quiet=1)
    with tempfile.TemporaryDirectory(prefix="lathe-bench-") as folder:
        root = Path(folder) / "workspace"
        if not demo(root):
            return
        bench_launch(root)
        bench_keys(root, busy=False)
        bench_keys(root, busy=True)
