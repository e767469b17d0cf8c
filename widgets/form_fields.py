"""The editors of a form: one line of text, several lines, one of a few choices, a set of named values."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len
from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, TextArea

from widgets.safe_area import SafeTextArea
from widgets.text import safe_text

UNSET = "(default)"


class Edited(Message):
    """What stands in an editor changed."""


class LineField(Input):
    """One line of text, a number, or references by commas. `picks` is the noun that enter chooses from."""

    DEFAULT_CSS = """
    LineField { border: none; height: 1; width: 1fr; padding: 0 1; background: $surface; }
    LineField:focus { border: none; background: $panel; }
    LineField.-invalid, LineField.-invalid:focus { border: none; }
    """

    def __init__(self, value: str, *, placeholder: str = "", picks: str | None = None) -> None:
        super().__init__(safe_text(value, newlines=False), placeholder=placeholder, select_on_focus=False)
        self.picks = picks
        self._given = (safe_text(value, newlines=False), value)

    def validate_value(self, value: str) -> str:
        """A paste may hold anything; what stands in the line is what is shown."""
        return safe_text(value, newlines=False)

    @property
    def text(self) -> str:
        """What was typed; what was given and not touched comes back byte for byte, not as it is shown."""
        shown, given = self._given
        return given if self.value == shown else self.value

    def fill(self, value: str) -> None:
        """Put a value in, as if it had been typed."""
        self._given = (safe_text(value, newlines=False), value)
        self.value = self._given[0]
        self.cursor_position = len(self.value)

    def on_input_changed(self) -> None:
        self.post_message(Edited())


class TextField(SafeTextArea):
    """Several lines of text. Tab leaves the field: a form is walked with it."""

    DEFAULT_CSS = """
    TextField { border: none; height: 5; width: 1fr; padding: 0 1; background: $surface; }
    TextField:focus { border: none; background: $panel; }
    """

    def __init__(self, value: str) -> None:
        super().__init__(value, tab_behavior="focus", soft_wrap=True)

    @property
    def written(self) -> str:
        """What stands in the field, to the letter."""
        return self.text

    def fill(self, value: str) -> None:
        """Put a value in, as if it had been typed."""
        self.text = value

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self.post_message(Edited())


class ChoiceField(Widget, can_focus=True):
    """One of a few values, all of them in sight; left and right choose."""

    DEFAULT_CSS = """
    ChoiceField { height: 1; width: 1fr; padding: 0 1; background: $surface; }
    ChoiceField:focus { background: $panel; }
    """
    BINDINGS = [
        Binding("right,l,space", "choose(1)", "next choice", id="choice.next"),
        Binding("left,h", "choose(-1)", "previous", show=False, id="choice.previous"),
    ]
    HELP = "One of a few values: `left` and `right` choose."
    chosen: reactive[int] = reactive(0)

    def __init__(self, choices: tuple[str, ...], value: str) -> None:
        super().__init__()
        self.choices = choices
        self.set_reactive(ChoiceField.chosen, choices.index(value) if value in choices else 0)

    @property
    def value(self) -> str:
        """The chosen value."""
        return self.choices[self.chosen]

    def fill(self, value: str) -> None:
        """Choose `value` if it is one of the choices."""
        if value in self.choices:
            self.chosen = self.choices.index(value)

    def watch_chosen(self) -> None:
        self.post_message(Edited())

    def action_choose(self, by: int) -> None:
        self.chosen = (self.chosen + by) % len(self.choices)

    def _shown(self) -> list[tuple[str, str]]:
        pieces: list[tuple[str, str]] = []
        for index, choice in enumerate(self.choices):
            on = index == self.chosen
            pieces.append((("● " if on else "○ "), "$accent" if on else "$foreground-disabled"))
            pieces.append((safe_text(choice, newlines=False) + "   ", "bold" if on else "$foreground-muted"))
        return pieces

    def render(self) -> Content:
        pieces = self._shown()
        if sum(cell_len(text) for text, _ in pieces) - 3 > self.size.width:
            place = f"  {self.chosen + 1} of {len(self.choices)}"
            pieces = [("‹ ", "$accent"), (safe_text(self.value, newlines=False), "bold"), (" ›", "$accent")]
            pieces.append((place, "$foreground-disabled"))
        return Content.assemble(*pieces)

    def on_click(self, event: events.Click) -> None:
        at = 1
        for index, choice in enumerate(self.choices):
            at += cell_len(choice) + 5
            if event.x < at:
                self.chosen = index
                return


def lines_of(value: Any) -> str:
    """Named values as lines `name = value`, nested names by dots; what a person edits instead of JSON."""
    if value is None or value == {}:
        return ""
    if not isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    lines: list[str] = []

    def walk(table: Mapping[str, Any], path: str) -> None:
        for name, item in table.items():
            if isinstance(item, Mapping) and item:
                walk(item, f"{path}{name}.")
            else:
                lines.append(f"{path}{name} = {json.dumps(item, ensure_ascii=False)}")

    walk(value, "")
    return "\n".join(lines)


def from_lines(text: str) -> Any:
    """The reverse of `lines_of`. A value that is neither JSON nor TOML is text, so quotes are not needed.

    Raises ValueError with a sentence that names the line.
    """
    bare = text.strip()
    if not bare:
        return {}
    if bare[0] in "[{":
        try:
            return json.loads(bare)
        except ValueError:
            pass  # a first name that begins with a bracket is still read as lines
    result: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"line {number} is not of the form name = value.")
        holder = result
        *parents, last = [part.strip() for part in name.split(".")]
        for parent in parents:
            holder = holder.setdefault(parent, {})
            if not isinstance(holder, dict):
                raise ValueError(f"line {number}: {parent} has a value already, so it cannot have parts.")
        holder[last] = _scalar(value.strip())
    return result


def _scalar(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
