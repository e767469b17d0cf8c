"""One case as a form: what is asked, what is expected, the checks, tags and its side of the split."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Checkbox, Static

from app.prompts.tab.check_text import KINDS, text_value, value_text, variable_text, variable_value
from app.prompts.tab.prompt_form import Block
from store.errors import BadInput
from widgets.form_fields import ChoiceField, LineField
from widgets.safe_area import SafeTextArea
from widgets.sentence import keyed
from widgets.text import safe_text

SPLITS = ("tune", "held_out")


class VariableRow(Vertical):
    """A variable: its name and its value; a value that is not text is edited as JSON."""

    DEFAULT_CSS = """
    VariableRow { height: auto; margin-bottom: 1; }
    VariableRow > Static { color: $text-muted; height: 1; }
    VariableRow > TextArea { height: auto; min-height: 2; max-height: 14; }
    """

    def __init__(self, name: str, value: Any, *, fresh: bool = False) -> None:
        super().__init__()
        self.variable = name
        self.original = value
        self.fresh = fresh
        self.name_field = LineField(name, placeholder="name of the variable")
        self.area = SafeTextArea(variable_text(value) if value is not None else "", tab_behavior="focus")

    def compose(self) -> ComposeResult:
        if self.fresh:
            yield self.name_field
        else:
            kind = "" if self.original is None or isinstance(self.original, str) else " · JSON"
            yield Static(Content(safe_text(self.variable + kind, newlines=False)))
        yield self.area


class CheckRow(Horizontal):
    """A check: its kind, its value as text, whether it must not hold, and whether case counts."""

    DEFAULT_CSS = """
    CheckRow { height: auto; margin-bottom: 1; }
    CheckRow ChoiceField { width: 26; }
    CheckRow LineField { width: 1fr; margin: 0 1; }
    CheckRow Checkbox { border: none; background: transparent; width: auto; margin-right: 1; }
    CheckRow .weight { width: 8; }
    """

    def __init__(self, check: Mapping[str, Any]) -> None:
        super().__init__()
        kind = str(check.get("kind", "equals"))
        self.given = dict(check)
        self.kind = ChoiceField(tuple(name for name, _ in KINDS), kind)
        self.value = LineField(value_text(kind, check.get("value")), placeholder="empty: the expected answer")
        self.negated = Checkbox("not", bool(check.get("not")))
        self.folded = Checkbox("any case", bool(check.get("fold_case")))
        weight = check.get("weight", 1)
        self.weight = LineField("" if weight == 1 else f"{weight:g}", placeholder="weight 1")
        self.weight.add_class("weight")

    def compose(self) -> ComposeResult:
        yield self.kind
        yield self.value
        yield self.negated
        yield self.folded
        yield self.weight

    def on_edited(self) -> None:
        hints = dict(KINDS)
        self.value.placeholder = hints[self.kind.value] + (
            " (empty: expected)" if hints[self.kind.value] else ""
        )

    def data(self) -> dict[str, Any]:
        """The check as the store keeps it. Raises BadInput with a sentence."""
        kind = self.kind.value
        unchanged = kind == self.given.get("kind") and self.value.text == value_text(
            kind, self.given.get("value")
        )
        value = self.given.get("value") if unchanged else text_value(kind, self.value.text)
        check: dict[str, Any] = {"kind": kind}
        if value is not None:
            check["value"] = value
        if self.negated.value:
            check["not"] = True
        if self.folded.value:
            check["fold_case"] = True
        weight = self.weight.text.strip()
        if weight:
            try:
                check["weight"] = float(weight)
            except ValueError:
                raise BadInput(f"The weight of a check is a number, not {weight!r}.") from None
        return check


class CaseForm(VerticalScroll, can_focus=False):
    """Edits one case; `case()` gives it back."""

    DEFAULT_CSS = """
    CaseForm { padding: 0 1; height: 1fr; }
    CaseForm .heading { color: $accent; text-style: bold; height: 1; margin-top: 1; }
    CaseForm .hint { color: $text-muted; height: auto; }
    CaseForm #expected { height: auto; min-height: 2; max-height: 12; }
    CaseForm #variables, CaseForm #turns, CaseForm #checks { height: auto; }
    CaseForm .row { height: 1; margin-bottom: 1; }
    CaseForm .row > Static { width: 12; color: $text-muted; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+n", "add_variable", "variable", id="case.add-variable", tooltip="Add a variable"),
        Binding("alt+m", "add_message", "turn", id="case.add-turn", tooltip="Add a turn of a conversation"),
        Binding("alt+c", "add_check", "check", id="case.add-check", tooltip="Add a check"),
        Binding(
            "alt+x", "remove", "remove", id="case.remove-part", tooltip="Remove the part with the cursor"
        ),
    ]

    class Edited(Message):
        """Something in the form changed."""

    def __init__(self, case: Mapping[str, Any], variables: Sequence[str] = ()) -> None:
        super().__init__()
        self._given = dict(case)
        self._names = list(variables)

    def compose(self) -> ComposeResult:
        given = self._given
        values = dict(given.get("variables") or {})
        yield Static("Variables", classes="heading")
        with Vertical(id="variables"):
            for name in [*self._names, *(name for name in values if name not in self._names)]:
                yield VariableRow(name, values.get(name))
        yield Static("Conversation so far", id="turns-heading", classes="heading")
        with Vertical(id="turns"):
            for message in given.get("messages") or []:
                yield Block(str(message.get("role", "user")), str(message.get("content", "")))
        yield Static("Expected answer", classes="heading")
        expected = given.get("expected")
        yield SafeTextArea(
            variable_text(expected) if expected is not None else "", id="expected", tab_behavior="focus"
        )
        yield Static("Checks", classes="heading")
        yield Static(
            keyed("Without a check of its own the set's checks count, else: equals expected."), classes="hint"
        )
        with Vertical(id="checks"):
            for check in given.get("checks") or []:
                yield CheckRow(check)
        yield Static("About it", classes="heading")
        fields: tuple[tuple[str, Widget], ...] = (
            ("name", LineField(str(given.get("name") or ""), placeholder="optional")),
            ("tags", LineField(", ".join(given.get("tags") or []), placeholder="by commas")),
            ("split", ChoiceField(SPLITS, str(given.get("split") or "tune"))),
        )
        for label, field in fields:
            with Horizontal(classes="row", id=f"row-{label}"):
                yield Static(label)
                yield field

    def on_mount(self) -> None:
        self._say_turns()
        areas = self.query(SafeTextArea)
        areas.first().focus()

    def _say_turns(self) -> None:
        self.query_one("#turns-heading").display = bool(self.query_one("#turns").children)

    def case(self) -> dict[str, Any]:
        """The edited case. Raises BadInput with a sentence for what cannot be read."""
        case = dict(self._given)
        case["variables"] = self._variables()
        turns = [
            {"role": block.role, "content": block.area.text}
            for block in self.query_one("#turns").query(Block)
        ]
        case.pop("messages", None)
        if turns:
            case["messages"] = turns
        expected = self.query_one("#expected", SafeTextArea).text
        original = self._given.get("expected")
        case["expected"] = (
            None if not expected.strip() else self._read("the expected answer", expected, original)
        )
        case["checks"] = [row.data() for row in self.query(CheckRow)]
        tags = self.query_one("#row-tags LineField", LineField).text.replace(";", ",").split(",")
        case["name"] = self.query_one("#row-name LineField", LineField).text.strip() or None
        case["tags"] = [tag.strip() for tag in tags if tag.strip()]
        case["split"] = self.query_one("#row-split ChoiceField", ChoiceField).value
        return {key: value for key, value in case.items() if value is not None or key == "expected"}

    def _variables(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for row in self.query(VariableRow):
            name = (row.name_field.text if row.fresh else row.variable).strip()
            if not name and not row.area.text:
                continue
            if not name:
                raise BadInput("A variable needs a name.")
            if name in values:
                raise BadInput(f"There are two variables called {name}.")
            values[name] = self._read(f"the variable {name}", row.area.text, row.original)
        return values

    @staticmethod
    def _read(what: str, text: str, original: Any) -> Any:
        try:
            return variable_value(text, original)
        except BadInput as error:
            raise BadInput(f"{what[:1].upper()}{what[1:]} cannot be read. {error}") from None

    async def action_add_variable(self) -> None:
        row = VariableRow("", None, fresh=True)
        await self.query_one("#variables").mount(row)
        row.name_field.focus()

    async def action_add_message(self) -> None:
        room = self.query_one("#turns")
        blocks = list(room.query(Block))
        block = Block("assistant" if blocks and blocks[-1].role == "user" else "user", "")
        await room.mount(block)
        block.area.focus()
        self._say_turns()

    async def action_add_check(self) -> None:
        row = CheckRow({"kind": "contains"})
        await self.query_one("#checks").mount(row)
        row.kind.focus()
        self.post_message(self.Edited())

    async def action_remove(self) -> None:
        focused = self.screen.focused
        if focused is None:
            return
        for node in focused.ancestors_with_self:
            if isinstance(node, VariableRow | CheckRow | Block):
                self.query_one("#expected", SafeTextArea).focus()
                await node.remove()
                self._say_turns()
                self.post_message(self.Edited())
                return

    def on_edited(self) -> None:
        self.post_message(self.Edited())

    def on_text_area_changed(self) -> None:
        self.post_message(self.Edited())

    def on_checkbox_changed(self) -> None:
        self.post_message(self.Edited())
