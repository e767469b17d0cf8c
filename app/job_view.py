"""One job in full: what, how far, how fast, how long still, how to stop it; its curve, its inputs and
outputs, its log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from textual import work
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from app.job_words import MARKS, progress_words, state_words, took
from store import jobs
from store.workspace import Store
from widgets.line_chart import LineChart, Point
from widgets.log_view import LogView
from widgets.sentence import keyed
from widgets.text import safe_text

if TYPE_CHECKING:
    from app.workbench import Workbench

LOG_PAGE = 500
POINTS_PAGE = 5000
MOST_POINTS = 4000
"""Points kept of one curve; beyond it every second one goes, which no screen is wide enough to show."""


class JobNews(NamedTuple):
    """What is new about a job since the last look."""

    job: jobs.Job
    edges: Sequence[tuple[str, str]]
    """Direction (in or out) and reference."""
    lines: Sequence[str]
    last_event: int
    points: Sequence[jobs.Metric]


def look_at_job(store: Store, job_id: int, after: int, after_metric: int) -> JobNews:
    """Read a job, its log after event `after`, its points after `after_metric`, and its lineage."""
    job = jobs.job(store, job_id)
    lines: list[str] = []
    for event in jobs.events(store, job_id, after=after, limit=LOG_PAGE):
        after = event.id
        if event.kind == "log":
            level = str(event.payload.get("level", "info"))
            text = str(event.payload.get("text", ""))
            lines.append(text if level == "info" else f"{level}: {text}")
    points = jobs.metrics(store, job_id, after=after_metric, limit=POINTS_PAGE)
    edges = [
        # An evaluation's reference is its number, which says nothing without its noun.
        (edge.direction, f"{edge.noun} {edge.ref}" if edge.ref.isdecimal() else edge.ref)
        for edge in jobs.lineage_of_job(store, job_id)
    ]
    return JobNews(job, edges, lines, after, points)


class JobView(Vertical):
    """Shows one job and keeps up with it."""

    DEFAULT_CSS = """
    JobView { width: 1fr; height: 1fr; padding: 0 1; }
    JobView Static { height: auto; }
    JobView #job-head { max-height: 4; }
    JobView #job-progress { color: $accent; }
    JobView #job-facts { color: $text-muted; margin-bottom: 1; max-height: 8; }
    JobView LineChart { display: none; margin-bottom: 1; }
    JobView.-curve LineChart { display: block; }
    JobView LogView { min-height: 4; }
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._job_id: int | None = None
        self._after = 0
        self._after_metric = 0
        self._curve = 0
        self._curves: dict[str, list[Point]] = {}
        self.job: jobs.Job | None = None

    def compose(self) -> Any:
        yield Static("", markup=False, id="job-head")
        yield Static("", markup=False, id="job-progress")
        yield Static("", markup=False, id="job-facts")
        yield LineChart()
        yield LogView()

    def show_job(self, job_id: int | None) -> None:
        """Show another job, or none."""
        if job_id == self._job_id:
            return
        self._job_id, self._curve, self.job = job_id, 0, None
        self._after, self._after_metric, self._curves = 0, 0, {}
        self.query_one(LogView).clear()
        self.set_class(False, "-curve")
        for name in ("#job-head", "#job-progress", "#job-facts"):
            self.query_one(name, Static).update("")
        self.look()

    @work(exclusive=True, group="job-view")
    async def look(self) -> None:
        """Read what is new and draw it; a long log comes page by page."""
        while (job_id := self._job_id) is not None:
            bench = cast("Workbench", self.app)
            news = await bench.read(look_at_job, self._store, job_id, self._after, self._after_metric)
            if job_id != self._job_id:
                return
            more = news.last_event > self._after or bool(news.points)
            self._after = news.last_event
            self._take_points(news.points)
            self._draw(news)
            if not more:
                return

    def _take_points(self, points: Sequence[jobs.Metric]) -> None:
        for metric in points:
            self._after_metric = metric.id
            curve = self._curves.setdefault(metric.name, [])
            curve.append((metric.step if metric.step is not None else float(len(curve)), metric.value))
            if len(curve) > MOST_POINTS:
                del curve[1:-1:2]

    def _draw(self, news: JobNews) -> None:
        job = self.job = news.job
        mark, style = MARKS[job.state]
        length = took(job)
        title = safe_text(job.title or job.operation, newlines=False)
        state = safe_text(state_words(job), newlines=False)
        head = Content.assemble((title, "bold"), "\n", (f"{mark} {state}", style))
        if length:
            head = head.append(Content.styled(f" · {length}", "$foreground-muted"))
        self.query_one("#job-head", Static).update(head)
        progress = progress_words(job, width=20)
        line = Content(safe_text(progress, newlines=False))
        if job.state in ("running", "queued"):
            line = line.append(keyed(" · `x` stops" if progress else "`x` stops", "$foreground-muted"))
        shown = self.query_one("#job-progress", Static)
        shown.display = bool(line.plain)
        shown.update(line)
        self.query_one("#job-facts", Static).update(self._facts(job, news.edges))
        self.query_one(LogView).add(news.lines)
        self._draw_curve()

    def _facts(self, job: jobs.Job, edges: Sequence[tuple[str, str]]) -> Content:
        lines: list[Content] = []
        if job.error:
            lines.append(Content.styled(safe_text(job.error), "$text-error"))
        for title, direction in (("from", "in"), ("made", "out")):
            refs = [safe_text(ref, newlines=False) for way, ref in edges if way == direction]
            if refs:
                rest = f" and {len(refs) - 6} more" if len(refs) > 6 else ""
                lines.append(
                    Content.assemble((f"{title}  ", "$foreground-disabled"), ", ".join(refs[:6]) + rest)
                )
        if job.attempt > 1:
            lines.append(Content(f"attempt {job.attempt}"))
        return Content("\n").join(lines)

    def _draw_curve(self) -> None:
        names = list(self._curves)
        self.set_class(bool(names), "-curve")
        if names:
            name = names[self._curve % len(names)]
            place = f" ({self._curve % len(names) + 1} of {len(names)}, m: next)" if len(names) > 1 else ""
            self.query_one(LineChart).show(name + place, self._curves[name])

    def next_curve(self) -> None:
        """Show the job's next metric."""
        self._curve += 1
        self._draw_curve()
