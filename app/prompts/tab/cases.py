"""The case editor: a case set as a list, one case as a form; saving makes a new version of the set."""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from app.keys import binding
from app.prompts.tab.ask import NoteScreen
from app.prompts.tab.case_edits import CaseEdits, read_edits, write_edits
from app.prompts.tab.case_form import CaseForm
from app.prompts.tab.shell import shell
from app.prompts.titles import case_title, one_line
from store import datasets
from store.datasets import DatasetVersion
from store.errors import BadInput, NotFound
from store.workspace import Store
from widgets.empty import EmptyState
from widgets.hint_bar import HintBar
from widgets.listing import Column, Listing, Row
from widgets.sentence import keyed
from widgets.text import safe_text

PAGE = 200
KEEP_EVERY = 0.8


class CasesScreen(Screen[str | None]):
    """All cases of one set; gives the reference of a version that was saved, or None."""

    DEFAULT_CSS = """
    CasesScreen > Vertical { height: 1fr; }
    CasesScreen #empty { display: none; }
    CasesScreen.-empty Listing { display: none; }
    CasesScreen.-empty #empty { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        binding("edit", "edit", "edit", room="cases"),
        binding("new", "new", "new case", room="cases"),
        binding("remove", "remove", "remove", room="cases"),
        binding("undo", "put_back", "put back", room="cases"),
        Binding(
            "ctrl+s", "save", "save version", id="cases.save", tooltip="Make a version with these changes"
        ),
        Binding("i", "import", "import", id="cases.import", tooltip="Add cases from a file"),
        binding("filter", "filter", show=False, room="cases"),
        binding("back", "leave", "back", room="cases"),
    ]

    HELP = (
        "The cases of one set. **e** or **enter** edits, **n** adds, **x** takes out, **u** puts back. Changes are "
        "kept as you make them; **ctrl+s** makes a new version of the set, and old comparisons keep the old one."
    )

    def __init__(self, store: Store, ref: str) -> None:
        super().__init__()
        self._store = store
        self._ref = ref
        self._version: DatasetVersion | None = None
        self._edits = CaseEdits(ref.partition("@")[0], 0)
        self._loaded: dict[int, dict[str, Any]] = {}
        self._gone: list[int] = []
        self._words = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel", id="set"):
            yield Listing(
                [
                    Column("", 2),
                    Column("case", 6, right=True),
                    Column("asks", 0),
                    Column("expected", 24, keep=8),
                    Column("checks", 6, right=True, keep=4),
                    Column("tags", 18, keep=3),
                    Column("split", 8, keep=5),
                ]
            )
            yield EmptyState(
                "No cases yet", "`n` types one, `i` imports a file: CSV, JSON or JSON Lines.", id="empty"
            )
        yield HintBar()

    def on_mount(self) -> None:
        self.query_one(Listing).focus()
        self._load()

    @work(exclusive=True, group="load")
    async def _load(self) -> None:
        try:
            version = await shell(self).read(datasets.dataset_version, self._store, self._ref, "cases")
        except NotFound:
            version = None
        self._version = version
        name = version.name if version is not None else self._ref.partition("@")[0]
        number = version.number if version is not None else 0
        self._edits = await shell(self).read(read_edits, self._store, name, number)
        self._loaded = {}
        await self._read_page()

    async def _read_page(self) -> None:
        after = max(self._loaded, default=-1)
        if self._version is not None:
            rows = await shell(self).read(
                datasets.rows, self._store, self._version.id, after=after, limit=PAGE
            )
            self._loaded.update((row.position, row.content) for row in rows)
        self._draw()

    async def on_listing_more_wanted(self) -> None:
        await self._read_page()

    # Drawing

    def _cases(self) -> list[tuple[int, dict[str, Any]]]:
        known = [(key, self._edits.changed.get(key, case)) for key, case in self._loaded.items()]
        known += [(key, self._edits.changed[key]) for key in self._edits.added]
        words = self._words.casefold().split()
        return [(key, case) for key, case in known if all(word in str(case).casefold() for word in words)]

    def _draw(self) -> None:
        total = self._version.rows if self._version is not None else 0
        rows = [self._row(key, case) for key, case in self._cases()]
        self.query_one(Listing).show(rows, more=len(self._loaded) < total)
        self.set_class(not rows and not self._words, "-empty")
        panel = self.query_one("#set", Vertical)
        ref = self._version.ref if self._version is not None else f"{self._edits.name} (new)"
        unsaved = "" if self._edits.empty else f" · {self._edits.summary()}, not in a version yet"
        filtered = f" · with “{self._words}”" if self._words else ""
        panel.border_title = Content(safe_text(f"{ref} · {total:,} cases{filtered}{unsaved}", newlines=False))

    def _row(self, key: int, case: dict[str, Any]) -> Row:
        removed = key in self._edits.removed
        mark = "✗" if removed else "•" if key in self._edits.changed else ""
        expected = case.get("expected")
        return Row(
            key,
            (
                mark,
                str(key + 1) if key >= 0 else "new",
                case_title(case, 200),
                one_line(
                    expected if isinstance(expected, str) else "" if expected is None else str(expected)
                ),
                str(len(case.get("checks") or ()) or ""),
                ", ".join(str(tag) for tag in case.get("tags") or ()),
                "held out" if case.get("split") == "held_out" else "tune",
            ),
            "strike $foreground-muted" if removed else "",
        )

    # Changing

    def _case_at_cursor(self) -> tuple[int, dict[str, Any]] | None:
        key = self.query_one(Listing).key
        return next(((one, case) for one, case in self._cases() if one == key), None)

    def on_listing_opened(self) -> None:
        self.action_edit()

    def action_edit(self) -> None:
        found = self._case_at_cursor()
        if found is not None:
            self._edit(*found)

    def action_new(self) -> None:
        self._edit(self._edits.next_key(), {})

    @work(exclusive=True, group="edit")
    async def _edit(self, key: int, case: dict[str, Any]) -> None:
        title = f"{self._edits.name} · case {key + 1 if key >= 0 else 'new'}"
        edited = await self.app.push_screen_wait(CaseScreen(title, case, self._variables()))
        if edited is None or edited == case:
            return
        self._edits.changed[key] = edited
        await self._keep()
        self.query_one(Listing).select(key)

    def _variables(self) -> Sequence[str]:
        """Names to offer for a new case: those that the set's cases have."""
        meta = self._version.meta.get("variables") if self._version is not None else None
        if isinstance(meta, list) and meta:
            return [str(name) for name in meta]
        first = next(iter(self._loaded.values()), None) or next(iter(self._edits.changed.values()), {})
        return list(first.get("variables") or {"text": ""})

    async def action_remove(self) -> None:
        found = self._case_at_cursor()
        if found is None or found[0] in self._edits.removed:
            return
        self._edits.removed.append(found[0])
        await self._keep()

    async def action_put_back(self) -> None:
        """Put the last removed case back; without one, undo the changes to the case under the cursor."""
        if self._edits.removed:
            self._edits.removed.pop()
        elif (found := self._case_at_cursor()) is not None and found[0] in self._edits.changed:
            del self._edits.changed[found[0]]
        else:
            self.app.notify("There is nothing to put back here.", timeout=2)
            return
        await self._keep()

    async def _keep(self) -> None:
        await asyncio.to_thread(write_edits, self._store, self._edits)
        self._draw()

    @work(exclusive=True, group="ask")
    async def action_filter(self) -> None:
        words = await self.app.push_screen_wait(
            NoteScreen("Show cases with these words", value=self._words, placeholder="empty shows all")
        )
        if words is None:
            return
        self._words = words
        while words and self._version is not None and len(self._loaded) < self._version.rows:
            await self._read_page()
        self._draw()

    # Saving

    @work(exclusive=True, group="save")
    async def action_save(self) -> None:
        if self._edits.empty:
            self.app.notify("Nothing is unsaved.", timeout=2)
            return
        note = await self.app.push_screen_wait(
            NoteScreen(f"Note for the new version of {self._edits.name}", value=self._edits.summary())
        )
        if note is None:
            return
        values = save_values(self._edits, note)
        made = await shell(self).run_operation("cases.save", values)
        if made is None:
            return
        done = CaseEdits(self._edits.name, self._edits.number)
        await asyncio.to_thread(write_edits, self._store, done)
        version = await shell(self).read(datasets.dataset_version, self._store, self._edits.name, "cases")
        self.dismiss(version.ref)

    def action_import(self) -> None:
        values = {"name": self._edits.name, "append": self._version is not None}
        shell(self).open_form("cases.import", values, self._imported)

    def _imported(self, outcome: Any) -> None:
        if outcome is not None:
            self._ref = self._edits.name
            self._load()

    def on_store_changed(self) -> None:
        """An import that ended elsewhere shows up here, as long as nothing is unsaved."""
        if self._edits.empty and self._version is None:
            self._load()

    def action_leave(self) -> None:
        if not self._edits.empty:
            self.app.notify(
                f"Kept: {self._edits.summary()}. ctrl+s in the case editor makes a version.", timeout=4
            )
        self.dismiss(None)


def save_values(edits: CaseEdits, note: str) -> dict[str, Any]:
    """The values of `cases.save` for these changes; its numbers count from 1."""
    values: dict[str, Any] = {
        "name": edits.name,
        "rows": [edits.changed[key] for key in edits.added],
        "replace": {
            str(key + 1): case for key, case in edits.changed.items() if key >= 0 and key not in edits.removed
        },
        "remove": [key + 1 for key in edits.removed if key >= 0],
        "note": note,
    }
    if edits.number:
        values["parent"] = f"{edits.name}@{edits.number}"
    return values


class CaseScreen(Screen[dict[str, Any] | None]):
    """One case as a form; esc takes what is typed, because nothing typed is ever lost."""

    DEFAULT_CSS = """
    CaseScreen #state { height: auto; max-height: 3; padding: 0 1; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "take", "done", id="case.take", tooltip="Take these changes"),
        Binding("ctrl+d", "discard", "throw away", id="case.discard", tooltip="Leave the case as it was"),
        binding("back", "take", "done", show=False, room="case"),
    ]

    HELP = (
        "One case. A check without a value compares with the expected answer. **alt+c** adds a check, **alt+n** a "
        "variable, **alt+m** a turn of a conversation, **alt+x** removes the part with the cursor."
    )

    def __init__(self, title: str, case: dict[str, Any], variables: Sequence[str]) -> None:
        super().__init__()
        self._title_text = title
        self._case = case
        self._variables = variables

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = Content(safe_text(self._title_text, newlines=False))
            yield CaseForm(self._case, self._variables)
            yield Static(keyed("`ctrl+s` or `esc` takes it, `ctrl+d` leaves the case as it was"), id="state")
        yield HintBar()

    @work(exclusive=True, group="take")
    async def action_take(self) -> None:
        """Check what was typed; a problem is said in place and nothing is lost."""
        try:
            case = self.query_one(CaseForm).case()
            if case == {**_EMPTY, **self._case} or (
                not any(case.get("variables", {}).values()) and not self._case
            ):
                self.dismiss(None)
                return
            self.dismiss(await asyncio.to_thread(_checked, case))
        except BadInput as error:
            text = f"{safe_text(error)} ctrl+d leaves the case as it was."
            self.query_one("#state", Static).update(Content.styled(text, "$text-warning"))

    def action_discard(self) -> None:
        self.dismiss(None)


_EMPTY: dict[str, Any] = {"expected": None, "checks": [], "tags": [], "split": "tune"}


def _checked(case: dict[str, Any]) -> dict[str, Any]:
    """The case as the store keeps it. Imports pydantic, so from a thread. Raises BadInput."""
    from app.prompts.cases import case_data, parse_case

    return case_data(parse_case(case))
