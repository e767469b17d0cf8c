"""A form made from field data: one line a field, errors at the field, the focused field explained below.

It knows nothing of specs or operations: fields come as data (`FieldData`), values go out as a dict by
dotted name,
references are chosen through `PickWanted`, and errors are given to `show_errors`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from textual import events, on
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from widgets.form_fields import UNSET, ChoiceField, Edited, LineField, TextField, from_lines, lines_of
from widgets.sentence import keyed
from widgets.text import safe_text


class FieldData(Protocol):
    """What a form needs to know of a field; `app.jobs.forms.FormField` is one."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def item(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def required(self) -> bool: ...
    @property
    def default(self) -> Any: ...
    @property
    def value(self) -> Any: ...
    @property
    def optional(self) -> bool: ...
    @property
    def minimum(self) -> float | None: ...
    @property
    def maximum(self) -> float | None: ...
    @property
    def choices(self) -> tuple[str, ...]: ...
    @property
    def picks(self) -> str | None: ...
    @property
    def many(self) -> bool: ...
    @property
    def group(self) -> str: ...
    @property
    def advanced(self) -> bool: ...
    @property
    def depends_on(self) -> tuple[str, tuple[str, ...]] | None: ...
    @property
    def unit(self) -> str: ...
    @property
    def multiline(self) -> bool: ...
    @property
    def placeholder(self) -> str: ...


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(f'"{item}"' if "," in str(item) else str(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _bound(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


class FieldRow(Vertical):
    """A title, an editor, and an error below when there is one."""

    DEFAULT_CSS = """
    FieldRow { height: auto; }
    FieldRow > Horizontal { height: auto; }
    FieldRow .title { width: 24; height: 1; padding: 0 1; color: $text-muted; text-overflow: ellipsis; }
    FieldRow.-here .title { color: $accent; text-style: bold; }
    FieldRow .unit { width: auto; max-width: 20; height: 1; padding: 0 1; color: $text-disabled; }
    FieldRow .error { height: auto; color: $text-error; padding: 0 1 0 25; display: none; }
    FieldRow.-wrong .error { display: block; }
    .-narrow FieldRow .title { width: 16; }
    .-narrow FieldRow .error { padding: 0 1 0 17; }
    """

    def __init__(self, field: FieldData) -> None:
        super().__init__()
        self.field = field
        self.editor = self._editor()
        self._error = Static("", markup=False, classes="error")

    def compose(self) -> Any:
        field = self.field
        with Horizontal():
            title = safe_text(field.title, newlines=False)
            mark = [("*", "$accent")] if field.required else []
            yield Static(Content.assemble(title, *mark), classes="title")
            yield self.editor
            if field.picks:
                yield Static(keyed("`enter` chooses"), classes="unit")
            elif field.unit:
                yield Static(Content(safe_text(field.unit, newlines=False)), classes="unit")
        yield self._error

    def _editor(self) -> Widget:
        field, text = self.field, _as_text(self.field.value)
        unset = (UNSET,) if field.optional or (field.default is None and not field.required) else ()
        if field.type == "boolean":
            return ChoiceField((*unset, "no", "yes"), text or UNSET)
        if field.type == "choice":
            return ChoiceField((*unset, *field.choices), text or UNSET)
        if field.type == "json":
            return TextField(lines_of(field.value))
        if field.multiline:
            return TextField(text)
        return LineField(text, placeholder=safe_text(self._hint(), newlines=False), picks=field.picks)

    def _hint(self) -> str:
        field = self.field
        if field.placeholder:
            return field.placeholder
        if field.minimum is not None and field.maximum is not None:
            return f"{_bound(field.minimum)} to {_bound(field.maximum)}"
        if field.minimum is not None:
            return f"at least {_bound(field.minimum)}"
        if field.type == "list":
            return "several, by commas"
        return "" if field.required or field.default is not None else "nothing"

    def read(self) -> Any:
        """What the editor holds, as `validated` takes it; None where the default is meant. Raises
        ValueError."""
        editor = self.editor
        if isinstance(editor, ChoiceField):
            return None if editor.value == UNSET else editor.value
        if isinstance(editor, TextField):
            if self.field.type == "json":
                return from_lines(editor.written) if editor.written.strip() else None
            return editor.written
        return editor.text if isinstance(editor, LineField) else None

    def fill(self, value: Any) -> None:
        """Put a value in, as if it had been typed."""
        editor = self.editor
        if isinstance(editor, TextField) and self.field.type == "json":
            editor.fill(lines_of(value))
        elif isinstance(editor, ChoiceField):
            editor.fill(_as_text(value) or UNSET)
        elif isinstance(editor, TextField | LineField):
            editor.fill(_as_text(value))

    def say(self, error: str | None) -> None:
        """Show an error at this field, or take it away."""
        self.set_class(error is not None, "-wrong")
        self._error.update(Content(safe_text(error or "")))


class Disclosure(Static, can_focus=True):
    """The line that opens and closes the fields most people never need."""

    DEFAULT_CSS = """
    Disclosure { height: 1; padding: 0 1; color: $text-muted; margin-top: 1; }
    Disclosure:focus { color: $accent; text-style: bold; background: $panel; }
    """

    class Toggled(Message):
        """Open or close."""

    def __init__(self, count: int) -> None:
        super().__init__(markup=False)
        self._count = count
        self.open = False
        self._draw()

    def _draw(self) -> None:
        sign = "▾" if self.open else "▸"
        self.update(Content(f"{sign} {self._count} more for people who know what they want"))

    def toggle_open(self) -> None:
        """Open if closed, close if open."""
        self.open = not self.open
        self._draw()
        self.post_message(self.Toggled())

    def on_key(self, event: events.Key) -> None:
        if event.key in ("enter", "space"):
            event.stop()
            self.toggle_open()

    def on_click(self) -> None:
        self.toggle_open()


class SpecForm(VerticalScroll, can_focus=False):
    """All fields of a form, walked with tab and enter. Advanced ones stand behind one line."""

    DEFAULT_CSS = """
    SpecForm { height: auto; max-height: 1fr; scrollbar-size-vertical: 1; }
    SpecForm .group { color: $text-disabled; height: 1; padding: 0 1; margin-top: 1; }
    """
    HELP = (
        "`tab` and `enter` go to the next field, `shift+tab` back; "
        "`enter` on a reference opens a list to choose from."
    )

    class Changed(Message):
        """Some field was edited."""

    class PickWanted(Message):
        """The user wants to choose a reference for a field."""

        def __init__(self, row: FieldRow) -> None:
            super().__init__()
            self.row = row

    class Explained(Message):
        """Another field has the focus."""

        def __init__(self, field: FieldData) -> None:
            super().__init__()
            self.field = field

    def __init__(self, fields: Sequence[FieldData]) -> None:
        super().__init__()
        self.rows = [FieldRow(field) for field in fields]
        advanced = [row for row in self.rows if row.field.advanced]
        self._disclosure = Disclosure(len(advanced)) if advanced else None
        self._groups: list[tuple[Static, list[FieldRow]]] = []
        self.own_errors: dict[str, str] = {}

    def compose(self) -> Any:
        yield from self._grouped([row for row in self.rows if not row.field.advanced])
        if self._disclosure:
            yield self._disclosure
            yield from self._grouped([row for row in self.rows if row.field.advanced])

    def _grouped(self, rows: list[FieldRow]) -> Any:
        names = list(dict.fromkeys(row.field.group for row in rows))
        for name in names:
            members = [row for row in rows if row.field.group == name]
            if name != "main":
                title = Static(Content(safe_text(name, newlines=False)), classes="group")
                self._groups.append((title, members))
                yield title
            yield from members

    def on_mount(self) -> None:
        self._show_what_applies()

    def row(self, name: str) -> FieldRow | None:
        """The row of the field with this dotted name."""
        return next((row for row in self.rows if row.field.name == name), None)

    def values(self) -> dict[str, Any]:
        """What was entered, by dotted name; fields left at their default or hidden are not in it.

        Text that cannot be read as named values is put into `own_errors` instead.
        """
        self.own_errors = {}
        found: dict[str, Any] = {}
        for row in self.rows:
            if not self._applies(row.field):
                continue
            try:
                value = row.read()
            except ValueError as error:
                self.own_errors[row.field.name] = str(error)
                continue
            same = _as_text(value) == _as_text(row.field.default) and row.field.type != "json"
            if (
                value is None
                or same
                or (isinstance(value, str) and not value.strip() and not row.field.default)
            ):
                continue
            found[row.field.name] = value
        return found

    def show_errors(self, errors: Mapping[str, str]) -> None:
        """Put each sentence at its field, open what hides it, and go to the first."""
        everything = {**errors, **self.own_errors}
        first: FieldRow | None = None
        for row in self.rows:
            error = everything.get(row.field.name)
            row.say(error)
            if error and first is None:
                first = row
        if first is not None:
            if first.field.advanced and self._disclosure and not self._disclosure.open:
                self._disclosure.toggle_open()
                self._show_what_applies()
            first.editor.focus()

    def clear_error(self, name: str) -> None:
        """Take the error of one field away: it is being mended."""
        row = self.row(name)
        if row is not None:
            row.say(None)

    def focus_first(self) -> None:
        """Go to the first field that still needs something, else to the first."""
        empty = (row for row in self.rows if row.field.required and not _as_text(row.read()))
        row = next(empty, next(iter(self.rows), None))
        if row is not None:
            row.editor.focus()

    def _applies(self, field: FieldData) -> bool:
        if field.depends_on is None:
            return True
        other = self.row(field.depends_on[0])
        if other is None:
            return True
        try:
            value = _as_text(other.read())
        except ValueError:
            return True
        wanted = tuple({"true": "yes", "false": "no"}.get(text.lower(), text) for text in field.depends_on[1])
        return value in wanted if wanted else value not in ("", "no")

    def _show_what_applies(self) -> None:
        for row in self.rows:
            hidden = row.field.advanced and self._disclosure is not None and not self._disclosure.open
            row.display = self._applies(row.field) and not hidden
        for title, members in self._groups:
            title.display = any(row.display for row in members)

    @on(Edited)
    def _edited(self, event: Edited) -> None:
        event.stop()
        self._show_what_applies()
        self.post_message(self.Changed())

    @on(Disclosure.Toggled)
    def _opened(self, event: Disclosure.Toggled) -> None:
        event.stop()
        self._show_what_applies()

    @on(Input.Submitted)
    def _next_or_pick(self, event: Input.Submitted) -> None:
        event.stop()
        row = next(row for row in self.rows if row.editor is event.input)
        if row.field.picks:
            self.post_message(self.PickWanted(row))
        else:
            self.screen.focus_next()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        row = next((row for row in self.rows if row.editor is event.widget), None)
        for other in self.rows:
            other.set_class(other is row, "-here")
        if row is not None:
            self.post_message(self.Explained(row.field))
