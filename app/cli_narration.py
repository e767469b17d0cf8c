"""What a run says on stderr while it lasts: a progress bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import json
import re
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from app.cli import say
from widgets.text import safe_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from store.jobs import Job

LINE_EVERY_SECONDS = 5.0

# What JSON lets through and a terminal does not take well: DEL, C1, bidi controls, separators, surrogates.
_UNSAFE = re.compile(
    "[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)


def as_json(value: Any) -> str:
    """`value` as JSON for stdout: readable text stays readable, what could drive a terminal is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8", "surrogatepass")
    except (UnicodeEncodeError, LookupError):
        return json.dumps(value, indent=2) + "\n"  # a terminal of another alphabet still gets whole JSON
    return _UNSAFE.sub(lambda match: json.dumps(match.group())[1:-1], text) + "\n"


class Narration:
    """Tells the events of one job. As a context manager it leaves the terminal as it found it."""

    def __init__(self) -> None:
        self._fancy = sys.stderr.isatty()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._said_at = time.monotonic()
        self._said: str = ""

    def __enter__(self) -> Narration:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, event: dict[str, Any]) -> None:
        """Tell one event as `app.jobs.runner.wait` hands it on."""
        if event["kind"] == "log":
            self._line(
                f"{event['level']}: {event['text']}" if event["level"] != "info" else str(event["text"])
            )
        elif event["kind"] == "job":
            self._progress(event["job"])

    def _progress(self, job: Job) -> None:
        if job.state not in ("running", "stopping") or job.progress_done is None:
            return
        if self._fancy:
            self._draw(job)
            return
        line = progress_line(job)
        if line != self._said and time.monotonic() - self._said_at >= LINE_EVERY_SECONDS:
            self._said, self._said_at = line, time.monotonic()
            say(line)

    def _line(self, text: str) -> None:
        if self._bar is None:
            say(text)
        else:
            self._bar.console.print(safe_text(text), markup=False, highlight=False)

    def _draw(self, job: Job) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                BarColumn(),
                TextColumn("{task.description}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        if self._task is not None:
            self._bar.update(
                self._task,
                completed=job.progress_done,
                total=job.progress_total,
                description=safe_text(progress_line(job), newlines=False),
            )


def progress_line(job: Job) -> str:
    """How far, how fast and how long still: `182 of 320 · 41/s · 3 s left · scoring`."""
    done = job.progress_done or 0
    parts = [f"{done:g} of {job.progress_total:g}" if job.progress_total else f"{done:g}"]
    if job.rate:
        parts.append(f"{job.rate:.3g}/s")
        if job.progress_total and job.progress_total > done:
            parts.append(f"{_duration((job.progress_total - done) / job.rate)} left")
    if job.progress_note:
        parts.append(job.progress_note)
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
