"""A job in words: its mark, its state, how far and how long still. One owner for the screen's phrases
about jobs."""

from datetime import UTC, datetime

from store.jobs import Job
from widgets import units
from widgets.sparkline import bar

MARKS = {
    "queued": ("·", "$foreground-muted"),
    "running": ("▸", "$accent"),
    "stopping": ("▸", "$text-warning"),
    "done": ("✓", "$text-success"),
    "stopped": ("■", "$foreground-muted"),
    "failed": ("✗", "$text-error"),
}
"""A sign for every state, so that nothing hangs on colour alone."""


def seconds_since(moment: str | None, now: datetime | None = None) -> float:
    """Seconds since a time as the store writes it; 0 where there is none or the clock went back."""
    if not moment:
        return 0.0
    return max(0.0, ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds())


def seconds_left(job: Job) -> float | None:
    """An estimate from what is left and the present rate; None where one of them is not known."""
    if not job.rate or not job.progress_total or job.progress_done is None:
        return None
    return max(0.0, job.progress_total - job.progress_done) / job.rate


def state_words(job: Job) -> str:
    """What state the job is in, with the reason where the state alone does not say it."""
    if job.stop_requested and job.state == "running":
        return "stopping"
    if job.reason and job.reason not in (job.state, "done"):
        return f"{job.state}: {job.reason}"
    return job.state


def took(job: Job) -> str:
    """How long it ran or has been running."""
    if not job.started_at:
        return ""
    if job.ended_at:
        ended, started = datetime.fromisoformat(job.ended_at), datetime.fromisoformat(job.started_at)
        return units.duration(max(0.0, (ended - started).total_seconds()))
    return units.duration(round(seconds_since(job.started_at)))


def progress_words(job: Job, *, width: int = 24) -> str:
    """How far, how fast, how long still: `█████▌ 182 of 320 · 41 cells/s · 3 s left`."""
    if job.progress_done is None:
        return ""
    parts: list[str] = []
    if job.progress_total:
        share = job.progress_done / job.progress_total
        parts.append(
            f"{bar(share, width)} {units.count(job.progress_done)} of {units.count(job.progress_total)}"
            f" {job.progress_unit}".rstrip()
        )
    elif job.progress_done:
        parts.append(f"{units.count(job.progress_done)} {job.progress_unit}".rstrip())
    if job.progress_note:
        parts.append(job.progress_note)
    if job.state in ("running", "stopping"):
        if job.rate:
            parts.append(units.rate(job.rate, job.progress_unit))
        left = seconds_left(job)
        if left is not None:
            parts.append(units.time_left(left))
    return " · ".join(parts)


def short_progress(job: Job) -> str:
    """How far in a list's cell: percent while it runs, how long it took afterwards."""
    if job.state in ("running", "stopping") and job.progress_total:
        left = seconds_left(job)
        share = units.percent((job.progress_done or 0) / job.progress_total)
        return f"{share} · {units.time_left(left)}" if left is not None else share
    return took(job)
