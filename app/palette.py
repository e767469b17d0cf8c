"""The command palette: every operation, every key that works now, every theme; one list for looking and
searching."""

import difflib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.content import Content
from textual.screen import Screen

from widgets.cells import pad
from widgets.listing import Column, Row
from widgets.picker import PickerScreen
from widgets.text import safe_text

if TYPE_CHECKING:
    from app.workbench import Workbench


UNTOLD = ("palette", "how-to-quit", "help-always")


class Command(NamedTuple):
    """One thing that can be done here and now."""

    title: str
    detail: str
    key: str
    do: Callable[[], Awaitable[Any] | Any]


def commands(app: "Workbench", screen: Screen[Any]) -> list[Command]:
    """What can be done in this state: keys of the focused widget first, then the workbench's; movement last."""
    found: list[Command] = []
    quiet: list[Command] = []
    seen: set[tuple[str, str]] = set()
    for active in screen.active_bindings.values():
        binding = active.binding
        what = (binding.action, binding.description)
        if not active.enabled or not binding.description or what in seen or binding.id in UNTOLD:
            continue
        seen.add(what)
        if not binding.id or binding.action.startswith("stage_from_anywhere"):
            continue  # what has no id is Textual's own: going to the next widget, copying a selection
        title = binding.description[:1].upper() + binding.description[1:]
        title = f"Go to {title}" if binding.action.startswith("stage(") else title
        told = found if binding.show or active.node is app else quiet
        do = _key_runner(app, binding.action, active.node)
        told.append(Command(title, binding.tooltip, app.get_key_display(binding), do))
    return [
        *found,
        Command("Trash", "what was removed, and the way back", "", app.action_trash),
        Command("Disk use", "what takes how much, and clean-up", "", app.action_disk_use),
        *quiet,
    ]


def theme_commands(app: "Workbench") -> list[Command]:
    """The colours one could change to."""
    return [
        Command(f"Theme {name}", "colours of the screen", "", partial(app.choose_theme, name))
        for name in sorted(app.available_themes)
        if name != app.theme
    ]


def operation_commands(app: "Workbench") -> list[Command]:
    """A form for every operation. Imports the operations' declarations, so read it off the screen's
    thread."""
    from app.jobs.registry import operations

    return [
        Command(operation.title, operation.name, "", partial(app.open_form, name))
        for name, operation in operations().items()
    ]


def _key_runner(app: "Workbench", action: str, node: Any) -> Callable[[], Awaitable[Any]]:
    async def run() -> None:
        await app.run_action(action, node)

    return run


def score(query: str, command: Command) -> float:
    """How well a command answers what was typed; 0 where it does not. Every word has to be found
    somewhere."""
    title, rest = command.title.lower(), f"{command.detail} {command.key}".lower()
    total = 0.0
    for word in query.lower().split():
        if title.startswith(word):
            total += 4
        elif any(part.startswith(word) for part in title.split()):
            total += 3
        elif word in title:
            total += 2
        elif word in rest:
            total += 1
        elif any(difflib.SequenceMatcher(None, word, part).ratio() > 0.75 for part in title.split()):
            total += 0.5
        else:
            return 0.0
    return total


def matching(query: str, known: Sequence[Command]) -> list[tuple[int, Command]]:
    """The commands that answer `query`, best first; all of them, in their order, when nothing is typed."""
    if not query:
        return list(enumerate(known))
    scored = [(score(query, command), index, command) for index, command in enumerate(known)]
    return [
        (index, command)
        for points, index, command in sorted(scored, key=lambda it: (-it[0], it[1]))
        if points
    ]


def open_palette(app: "Workbench") -> None:
    """Bring the palette up over the present screen; what is chosen is done there."""
    known = commands(app, app.screen)
    later: list[Command] = []

    async def load(query: str) -> Sequence[Row]:
        if not later:  # typing cancels a load that has not come back; the next one asks again
            later.extend([*await app.read(operation_commands, app), *theme_commands(app)])
            known.extend(later)
        return [
            Row(
                index,
                (
                    command.title,
                    Content.styled(safe_text(command.detail, newlines=False), "$foreground-muted"),
                    Content.styled(pad(command.key, 12, right=True), "$accent"),
                ),
            )
            for index, command in matching(query, known)
        ]

    def do(chosen: Any) -> None:
        if chosen is not None:
            app.call_later(known[chosen].do)

    columns = [Column("command", 0), Column("", 0, keep=5), Column("key", 12, right=True, keep=8)]
    app.push_screen(PickerScreen("Do", columns, load, empty="No command answers to that."), do)
