"""What a form promises a stranger at the keyboard."""

from dataclasses import dataclass
from typing import Any

from textual.app import App, ComposeResult

from widgets.form import SpecForm
from widgets.form_fields import ChoiceField, LineField, TextField, from_lines, lines_of


@dataclass(frozen=True)
class Field:
    """A field as the form wants it."""

    name: str
    type: str = "text"
    item: str = "text"
    title: str = ""
    description: str = ""
    required: bool = False
    default: Any = None
    value: Any = None
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    picks: str | None = None
    many: bool = False
    group: str = "main"
    advanced: bool = False
    depends_on: tuple[str, tuple[str, ...]] | None = None
    unit: str = ""
    multiline: bool = False
    placeholder: str = ""


FIELDS = [
    Field("prompt", title="Prompt", required=True, picks="prompt"),
    Field("versions", "list", title="Versions", picks="prompt_version", many=True, default=[]),
    Field("split", "choice", title="Split", choices=("all", "tune", "held_out"), default="all", value="all"),
    Field("repeats", "integer", title="Repeats", default=1, value=1, minimum=1),
    Field("seed", "integer", title="Seed", depends_on=("repeats", ("2", "3")), optional=True),
    Field("variables", "json", title="Variables", advanced=True, default={}, value={}),
    Field("quick", "boolean", title="Quick", advanced=True, default=False, value=False),
]


class FormApp(App[None]):
    """A form and what it told."""

    def __init__(self, fields: list[Field]) -> None:
        super().__init__()
        self.fields = fields
        self.picks: list[str] = []

    def compose(self) -> ComposeResult:
        yield SpecForm(self.fields)

    def on_mount(self) -> None:
        self.form.focus_first()

    def on_spec_form_pick_wanted(self, event: SpecForm.PickWanted) -> None:
        self.picks.append(event.row.field.name)
        event.row.fill("route-ticket")

    @property
    def form(self) -> SpecForm:
        return self.query_one(SpecForm)


async def test_a_form_is_filled_by_keyboard_alone() -> None:
    app = FormApp(FIELDS)
    async with app.run_test(size=(90, 30)) as pilot:
        await pilot.press("enter")
        assert app.picks == ["prompt"]
        await pilot.press("tab", *"1,2", "tab", "right", "right", "tab", "backspace", "3", "enter", *"42")
        assert app.form.values() == {
            "prompt": "route-ticket",
            "versions": "1,2",
            "split": "held_out",
            "repeats": "3",
            "seed": "42",
        }


async def test_a_field_that_does_not_apply_is_hidden_and_not_sent() -> None:
    app = FormApp(FIELDS)
    async with app.run_test(size=(90, 30)) as pilot:
        seed = app.form.row("seed")
        repeats = app.form.row("repeats")
        assert seed is not None and repeats is not None
        assert not seed.display
        repeats.fill(2)
        await pilot.pause()
        assert seed.display
        seed.fill(7)
        repeats.fill(1)
        await pilot.pause()
        assert not seed.display
        assert app.form.values() == {}


async def test_an_error_stands_at_its_field_and_opens_what_hides_it() -> None:
    app = FormApp(FIELDS)
    async with app.run_test(size=(90, 30)) as pilot:
        quick = app.form.row("quick")
        assert quick is not None and not quick.display
        app.form.show_errors({"quick": "Must be yes or no."})
        await pilot.pause()
        assert quick.display and quick.has_class("-wrong")
        assert app.focused is quick.editor
        app.form.show_errors({})
        assert not quick.has_class("-wrong")


async def test_named_values_need_no_json() -> None:
    app = FormApp(FIELDS)
    async with app.run_test(size=(90, 30)) as pilot:
        variables = app.form.row("variables")
        assert variables is not None and isinstance(variables.editor, TextField)
        variables.editor.text = "shop = Blue Door\nlimits.days = 14\nurgent = true"
        await pilot.pause()
        expected = {"shop": "Blue Door", "limits": {"days": 14}, "urgent": True}
        assert app.form.values()["variables"] == expected
        variables.editor.text = "just words"
        assert "variables" not in app.form.values()
        assert "line 1" in app.form.own_errors["variables"]


async def test_hostile_values_are_shown_as_text_and_come_back_unchanged() -> None:
    evil = "a\x1b]52;c;aGk=\x1b\\[/b]\u202e"
    app = FormApp(
        [Field("name", title=evil, description=evil, value=evil), Field("note", value=evil, multiline=True)]
    )
    async with app.run_test(size=(90, 30)) as pilot:
        name = app.form.row("name")
        assert name is not None and isinstance(name.editor, LineField)
        assert "\x1b" not in name.editor.value
        assert app.form.values() == {"name": evil, "note": evil}
        await pilot.press("end", "x")
        assert app.form.values()["name"].endswith("⟨U+202E⟩x")


async def test_an_optional_choice_can_be_left_at_its_default() -> None:
    app = FormApp([Field("thinking", "boolean", optional=True)])
    async with app.run_test(size=(90, 30)) as pilot:
        row = app.form.row("thinking")
        assert row is not None and isinstance(row.editor, ChoiceField)
        assert app.form.values() == {}
        await pilot.press("right", "right")
        assert app.form.values() == {"thinking": "yes"}


def test_lines_and_values_are_each_others_reverse() -> None:
    value = {"a": {"b": 1, "c": [1, "x"]}, "d": "text = with sign", "e": None, "f": 1.5}
    assert from_lines(lines_of(value)) == value
    assert from_lines("") == {}
    assert from_lines('[{"kind": "equals"}]') == [{"kind": "equals"}]
