"""The jobs screen (f2): every job of the workspace, live, with its log, its curve and its exact command."""

from typing import TYPE_CHECKING, Any, cast

from textual import on, work
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from app.job_view import JobView
from app.job_words import MARKS, seconds_since, short_progress
from app.keys import binding
from app.panes import StoreChanged
from store import jobs
from store.errors import LatheError
from store.workspace import Store
from widgets import units
from widgets.empty import EmptyState
from widgets.filter import FilterLine
from widgets.hint_bar import HintBar
from widgets.listing import Column, Listing, Row
from widgets.log_view import LogView
from widgets.reading import ReadingScreen
from widgets.text import safe_text

if TYPE_CHECKING:
    from app.workbench import Workbench

PAGE = 200


def job_row(job: jobs.Job) -> Row:
    """A job as a line of the list."""
    mark, style = MARKS[job.state]
    # A title is "Operation: what it works on"; in a narrow list the second part tells jobs apart, so it goes first.
    operation, _, things = safe_text(job.title or job.operation, newlines=False).partition(": ")
    name = Content.assemble(things, ("  " + operation, "$foreground-muted")) if things else Content(operation)
    age = units.ago(seconds_since(job.created_at))
    return Row(
        job.id,
        (
            Content.styled(str(job.id), "$foreground-disabled"),
            Content.assemble((f"{mark} ", style), name),
            short_progress(job),
            Content.styled(age, "$foreground-muted"),
        ),
    )


class JobsScreen(Screen[None]):
    """A list of jobs and, beside or below it, the one under the cursor."""

    DEFAULT_CSS = """
    JobsScreen #jobs-title { dock: top; height: 1; padding: 0 1; color: $text-muted; }
    JobsScreen #jobs-body { height: 1fr; }
    JobsScreen #jobs-list { width: 1fr; height: 1fr; }
    JobsScreen #jobs-one { width: 1fr; height: 1fr; }
    JobsScreen EmptyState { display: none; }
    JobsScreen.-empty #jobs-body { display: none; }
    JobsScreen.-empty EmptyState { display: block; }
    JobsScreen.-narrow #jobs-body { layout: vertical; }
    JobsScreen.-narrow #jobs-list { width: 1fr; height: 2fr; }
    JobsScreen.-narrow #jobs-one { width: 1fr; height: 3fr; }
    """
    BINDINGS = [
        binding("remove", "stop", "stop", room="jobs"),
        Binding("r", "resume", "resume", id="jobs.resume"),
        Binding("c", "show_command", "command", id="jobs.command"),
        Binding("m", "next_curve", "next curve", show=False, id="jobs.curve"),
        Binding("a", "again", "edit and run again", id="jobs.again"),
        binding("copy", "copy_command", "copy command", show=False, room="jobs"),
        binding("filter", "filter", room="jobs"),
        binding("back", "leave", "back", room="jobs"),
        Binding("f2", "leave", "back", show=False, priority=True, id="jobs.leave"),
    ]
    HELP = (
        "Every job of this workspace, whoever started it: **x** stops the one under the cursor, **r** carries"
        " on one that ended early, **c** shows the command that does the same without a screen, **a** opens "
        "its form again, **enter** goes to the log. Jobs go on when the workbench is closed."
    )

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store
        self._filter = ""

    @property
    def bench(self) -> "Workbench":
        """The application, by its own type."""
        return cast("Workbench", self.app)

    def compose(self) -> Any:
        yield Static(Content.styled("Jobs", "bold $accent"), id="jobs-title")
        yield FilterLine()
        with Horizontal(id="jobs-body"):
            with Vertical(id="jobs-list", classes="panel"):
                yield Listing(
                    [
                        Column("job", 4, right=True, keep=6),
                        Column("what"),
                        Column("", 15, right=True, keep=8),
                        Column("", 10, right=True, keep=4),
                    ],
                    header=False,
                )
            with Vertical(id="jobs-one", classes="panel"):
                yield JobView(self._store)
        yield EmptyState(
            "No jobs yet",
            "Whatever takes longer than a key press stands here.",
            "`ctrl+p` shows what can be started.",
        )
        yield HintBar(("help", "palette", "quit", "jobs.back"))

    def on_mount(self) -> None:
        self.query_one(Listing).focus()
        self.refill()
        self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        """Times go on while nothing is written."""
        if any(isinstance(row.key, int) for row in self.query_one(Listing).rows):
            self.refill()

    def on_store_changed(self, _: StoreChanged) -> None:
        self.refill()
        self.query_one(JobView).look()

    @work(exclusive=True, group="jobs-list")
    async def refill(self) -> None:
        """Read the newest page of jobs and draw it."""
        found = await self.bench.read(jobs.list_jobs, self._store, limit=PAGE)
        words = self._filter.lower().split()
        shown = [
            job
            for job in found
            if all(
                word in f"{job.id} {job.title} {job.operation} {job.state} {job.reason}".lower()
                for word in words
            )
        ]
        self.set_class(not found, "-empty")
        self.query_one(Listing).show((job_row(job) for job in shown), more=len(found) == PAGE)
        live = sum(job.state in ("running", "stopping") for job in found)
        waiting = sum(job.state == "queued" for job in found)
        title = Content.assemble(
            ("Jobs", "bold $accent"), (f"  {live} running · {waiting} queued", "$foreground-muted")
        )
        if words:
            title = title.append(Content.styled(f" · filtered by {safe_text(self._filter)}", "$accent"))
        self.query_one("#jobs-title", Static).update(title)

    @work(group="jobs-more")
    async def on_listing_more_wanted(self, event: Listing.MoreWanted) -> None:
        rows = event.listing.rows
        if self._filter or not rows:
            return
        before = rows[-1].key
        older = await self.bench.read(jobs.list_jobs, self._store, limit=PAGE, before=before)
        event.listing.extend((job_row(job) for job in older), more=len(older) == PAGE)

    @on(Listing.Moved)
    def _show_job(self, event: Listing.Moved) -> None:
        self.query_one(JobView).show_job(event.key if isinstance(event.key, int) else None)

    @on(Listing.Opened)
    def _go_to_log(self) -> None:
        self.query_one(LogView).focus()

    # -- keys ---------------------------------------------------------------------------------------------

    @property
    def job(self) -> jobs.Job | None:
        """The job under the cursor."""
        return self.query_one(JobView).job

    @work(group="jobs-do")
    async def action_stop(self) -> None:
        from app.jobs import runner

        if self.job is not None:
            await self._try(runner.stop, self.job.id)

    @work(group="jobs-do")
    async def action_resume(self) -> None:
        from app.jobs import runner

        if self.job is not None:
            await self._try(runner.resume, self.job.id)

    async def _try(self, what: Any, job_id: int) -> None:
        try:
            await self.bench.read(what, self._store, job_id)
        except LatheError as error:
            self.app.notify(str(error), severity="warning")
        self.refill()
        self.query_one(JobView).look()

    def _command(self) -> tuple[str, str] | None:
        """The command line of the job under the cursor, and its recipe."""
        if self.job is None:
            return None
        from app.form_screen import command_line
        from app.jobs import registry
        from app.jobs.values import to_toml, validated

        operation = registry.operation(self.job.operation)
        recipe = to_toml(validated(operation.spec, self.job.spec))
        return command_line(self.job.operation, _told(self.job, operation), self.bench.root), recipe

    def action_show_command(self) -> None:
        command = self._command()
        if command is not None:
            self.app.push_screen(
                ReadingScreen(
                    "The same without a screen",
                    f"{command[0]}\n\nor as a recipe:\n\n{command[1]}",
                    copied=command[0],
                )
            )

    def action_copy_command(self) -> None:
        command = self._command()
        if command is not None:
            self.bench.copy(command[0])

    def action_again(self) -> None:
        if self.job is not None:
            self.bench.open_form(self.job.operation, self.job.spec)

    def action_next_curve(self) -> None:
        self.query_one(JobView).next_curve()

    def action_filter(self) -> None:
        self.query_one(FilterLine).start()

    @on(FilterLine.Filtered)
    def _filtered(self, event: FilterLine.Filtered) -> None:
        self._filter = event.text
        self.refill()

    @on(FilterLine.Left)
    def _filter_left(self) -> None:
        self.query_one(Listing).focus()

    def action_leave(self) -> None:
        if isinstance(self.focused, LogView):
            self.query_one(Listing).focus()
        else:
            self.dismiss(None)


def _told(job: jobs.Job, operation: Any) -> dict[str, Any]:
    """The job's values by dotted name, without those that are defaults anyway."""
    from app.jobs.fields import leaves

    told: dict[str, Any] = {}
    for leaf in leaves(operation.spec):
        here: Any = job.spec
        for part in leaf.path.split("."):
            here = here.get(part) if isinstance(here, dict) else None
        if here is not None and here != leaf.default():
            told[leaf.path] = here
    return told
