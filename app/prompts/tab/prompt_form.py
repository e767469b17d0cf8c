"""The content of a prompt version as a form: messages, examples, sampling, and how answers are read."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Checkbox, Static

from store.errors import BadInput
from widgets.form_fields import ChoiceField, LineField
from widgets.safe_area import SafeTextArea
from widgets.sentence import keyed

ROLES = ("system", "user", "assistant")

SAMPLING: tuple[tuple[str, str, type, str], ...] = (
    ("max_tokens", "max tokens", int, "256"),
    ("temperature", "temperature", float, "0"),
    ("top_k", "top k", int, "40"),
    ("top_p", "top p", float, "0.95"),
    ("min_p", "min p", float, "0.05"),
    ("repeat_penalty", "repeat penalty", float, "1"),
    ("seed", "seed", int, "0"),
)
NORMALISE = (
    ("trim", "trim white space"),
    ("case", "ignore case"),
    ("punctuation", "ignore punctuation"),
    ("first_line", "first line only"),
)
THINKING: tuple[tuple[str, bool | None], ...] = (("as the model does", None), ("on", True), ("off", False))


class Block(Vertical):
    """One message, or one side of an example: a line that says whose it is, and its text."""

    DEFAULT_CSS = """
    Block { height: auto; margin-bottom: 1; }
    Block > Static { color: $text-muted; height: 1; }
    Block:focus-within > Static { color: $accent; text-style: bold; }
    Block > TextArea { height: auto; min-height: 2; max-height: 20; }
    """

    def __init__(self, role: str, text: str, *, example: bool = False) -> None:
        super().__init__()
        self.role = role
        self.example = example
        self.original = text
        self.source: str | None = None
        """Hash of the case an example was made from."""
        self.area = SafeTextArea(text, soft_wrap=True, show_line_numbers=False, tab_behavior="focus")

    def compose(self) -> ComposeResult:
        yield Static(Content(self.caption))
        yield self.area

    @property
    def caption(self) -> str:
        return f"example · {self.role}" if self.example else self.role

    def become(self, role: str) -> None:
        """Give the message to another speaker."""
        self.role = role
        self.query_one(Static).update(Content(self.caption))


class Field(Horizontal):
    """A label and a short input."""

    DEFAULT_CSS = """
    Field { height: 1; width: 30; }
    Field > Static { width: 16; color: $text-muted; }
    Field > LineField { width: 12; }
    """

    def __init__(self, name: str, label: str, value: str, placeholder: str) -> None:
        super().__init__()
        self.field_name = name
        self.label = label
        self.input = LineField(value, placeholder=placeholder)

    def compose(self) -> ComposeResult:
        yield Static(Content(self.label))
        yield self.input


class PromptForm(VerticalScroll, can_focus=False):
    """Edits one prompt content; `content()` gives it back, unknown keys untouched."""

    DEFAULT_CSS = """
    PromptForm { padding: 0 1; height: 1fr; }
    PromptForm .heading { color: $accent; text-style: bold; height: 1; margin-top: 1; }
    PromptForm .grid { layout: grid; grid-size: 3; grid-columns: 30; grid-rows: 1; height: auto; }
    PromptForm .switches { height: auto; }
    PromptForm .switches Checkbox { border: none; background: transparent; width: auto; margin-right: 2; }
    PromptForm #messages, PromptForm #examples { height: auto; }
    PromptForm .small { height: auto; min-height: 2; max-height: 12; }
    PromptForm .hint { color: $text-muted; height: auto; }
    PromptForm.-slim .grid { grid-size: 2; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+n", "add_message", "message", id="editor.add-message", tooltip="Add a message below"),
        Binding("alt+m", "add_example", "example", id="editor.add-example", tooltip="Add a few-shot example"),
        Binding(
            "alt+r",
            "next_role",
            "role",
            show=False,
            id="editor.role",
            tooltip="Give the message to the next speaker",
        ),
        Binding(
            "alt+x",
            "remove",
            "remove",
            show=False,
            id="editor.remove",
            tooltip="Remove this message or example",
        ),
        Binding(
            "alt+u",
            "put_back",
            "put back",
            show=False,
            id="editor.put-back",
            tooltip="Put back what was removed",
        ),
        Binding("alt+up", "shift(-1)", "Up", show=False, id="editor.shift-up", tooltip="Move the message up"),
        Binding("alt+down", "shift(1)", "Down", show=False, id="editor.shift-down", tooltip="Move it down"),
    ]

    class Edited(Message):
        """Something in the form changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, PromptForm.Edited)

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__()
        self._given = dict(content)
        self._removed: list[tuple[int, list[Block]]] = []

    # What is on screen

    def compose(self) -> ComposeResult:
        given = self._given
        with Vertical(id="messages"):
            for message in given.get("messages") or [{"role": "user", "content": ""}]:
                yield Block(str(message.get("role", "user")), str(message.get("content", "")))
        with Vertical(id="examples"):
            for example in given.get("few_shot") or []:
                yield from self._example_blocks(example)
        yield Static("", id="shape", classes="hint")
        yield Static("Sampling", classes="heading")
        sampling = given.get("sampling") or {}
        with Vertical(classes="grid"):
            for name, label, _, default in SAMPLING:
                yield Field(name, label, _short(sampling.get(name)), default)
        yield Static(keyed("Stop texts, one per line"), classes="hint")
        yield SafeTextArea(
            "\n".join(sampling.get("stop") or ()), id="stop", classes="small", tab_behavior="focus"
        )
        yield Static("How answers are read before they are checked", classes="heading")
        normalise = given.get("normalise") or {}
        with Horizontal(classes="switches"):
            for name, label in NORMALISE:
                yield Checkbox(label, bool(normalise.get(name, name == "trim")), id=f"normalise-{name}")
        yield Static(
            "Pattern: its last match is the answer (its first group, when it has one)", classes="hint"
        )
        yield SafeTextArea(
            str(normalise.get("pattern") or ""), id="pattern", classes="small", tab_behavior="focus"
        )
        yield Static("Output", classes="heading")
        yield Static("JSON schema the answer must follow; empty for free text", classes="hint")
        yield SafeTextArea(
            _pretty(given.get("json_schema")), id="schema", classes="small", tab_behavior="focus"
        )
        yield Static("Thinking, where the model can switch it", classes="hint")
        labels = tuple(label for label, _ in THINKING)
        chosen = next(label for label, value in THINKING if value is given.get("thinking"))
        yield ChoiceField(labels, chosen)
        yield Static("Notes", classes="heading")
        yield SafeTextArea(str(given.get("notes") or ""), id="notes", classes="small", tab_behavior="focus")

    def on_resize(self) -> None:
        self.set_class(self.size.width < 94, "-slim")

    def on_mount(self) -> None:
        self._say_shape()
        self.query_one("#messages").query(SafeTextArea).last().focus()

    @staticmethod
    def _example_blocks(example: Mapping[str, Any]) -> Iterator[Block]:
        for role in ("user", "assistant"):
            block = Block(role, str(example.get(role, "")), example=True)
            block.source = example.get("source") if role == "user" else None
            yield block

    def _say_shape(self) -> None:
        examples = len(self.query_one("#examples").query(Block)) // 2
        said = f"{examples} few-shot examples stand before the last message. " if examples else ""
        self.query_one("#shape", Static).update(
            keyed(
                said
                + "`alt+n` adds a message, `alt+m` an example, `alt+r` changes the speaker, `alt+x` removes."
            )
        )

    # What it says

    def content(self) -> dict[str, Any]:
        """The edited content. Raises BadInput with a sentence for what cannot be read (a number, the schema)."""
        result = dict(self._given)
        blocks = list(self.query_one("#messages").query(Block))
        result["messages"] = [{"role": block.role, "content": block.area.text} for block in blocks]
        result["few_shot"] = self._examples()
        result["sampling"] = {**(self._given.get("sampling") or {}), **self._sampling()}
        pattern = self.query_one("#pattern", SafeTextArea).text
        result["normalise"] = {
            **{name: self.query_one(f"#normalise-{name}", Checkbox).value for name, _ in NORMALISE},
            "pattern": pattern or None,
        }
        result["json_schema"] = _schema(self.query_one("#schema", SafeTextArea).text)
        result["thinking"] = dict(THINKING)[self.query_one(ChoiceField).value]
        result["notes"] = self.query_one("#notes", SafeTextArea).text
        return result

    def _examples(self) -> list[dict[str, Any]]:
        blocks = list(self.query_one("#examples").query(Block))
        examples = []
        for user, assistant in zip(blocks[::2], blocks[1::2], strict=True):
            example: dict[str, Any] = {"user": user.area.text, "assistant": assistant.area.text}
            # An example that was edited is no longer the case it came from.
            if user.source is not None and user.area.text == user.original:
                example["source"] = user.source
            examples.append(example)
        return examples

    def _sampling(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {}
        kinds = {name: (label, kind, default) for name, label, kind, default in SAMPLING}
        for field in self.query(Field):
            label, kind, default = kinds[field.field_name]
            text = field.input.text.strip() or default
            try:
                numbers[field.field_name] = kind(text)
            except ValueError:
                what = "a whole number" if kind is int else "a number"
                raise BadInput(f"{label} must be {what}, not {text!r}.") from None
        stop = self.query_one("#stop", SafeTextArea).text
        numbers["stop"] = [line for line in stop.split("\n") if line]
        return numbers

    # Changing its shape

    @property
    def _block(self) -> Block | None:
        focused = self.screen.focused
        if focused is None:
            return None
        return next((node for node in focused.ancestors_with_self if isinstance(node, Block)), None)

    async def action_add_message(self) -> None:
        """A new message below the one with the focus, spoken by whoever answers it."""
        block = self._block
        room = self.query_one("#messages")
        after = block if block is not None and not block.example else None
        role = "assistant" if after is not None and after.role == "user" else "user"
        new = Block(role, "")
        await room.mount(new, after=after)
        new.area.focus()
        self._changed()

    async def action_add_example(self) -> None:
        blocks = list(self._example_blocks({}))
        await self.query_one("#examples").mount(*blocks)
        blocks[0].area.focus()
        self._changed()

    def action_next_role(self) -> None:
        block = self._block
        if block is not None and not block.example:
            block.become(ROLES[(ROLES.index(block.role) + 1) % len(ROLES)])
            self._changed()

    async def action_remove(self) -> None:
        """Take the message or the whole example out; `alt+u` puts it back."""
        block = self._block
        if block is None or block.parent is None:
            return
        siblings = [node for node in block.parent.children if isinstance(node, Block)]
        if not block.example and len(siblings) == 1:
            self.app.notify("A prompt needs at least one message.")
            return
        at = siblings.index(block)
        gone = siblings[at - at % 2 : at - at % 2 + 2] if block.example else [block]
        start = siblings.index(gone[0])
        fresh = [self._copy_of(one) for one in gone]
        self._removed.append((start, fresh))
        rest = [one for one in siblings if one not in gone]
        if rest:
            rest[min(start, len(rest) - 1)].area.focus()
        for one in gone:
            await one.remove()
        self._changed()

    @staticmethod
    def _copy_of(block: Block) -> Block:
        copy = Block(block.role, block.area.text, example=block.example)
        copy.source, copy.original = block.source, block.original
        return copy

    async def action_put_back(self) -> None:
        if not self._removed:
            self.app.notify("Nothing was removed.")
            return
        start, blocks = self._removed.pop()
        room: Widget = self.query_one("#examples" if blocks[0].example else "#messages")
        before = list(room.children)[start] if start < len(room.children) else None
        await room.mount(*blocks, before=before)
        blocks[0].area.focus()
        self._changed()

    def action_shift(self, step: int) -> None:
        block = self._block
        if block is None or block.example or block.parent is None:
            return
        room = block.parent
        siblings = list(room.children)
        target = siblings.index(block) + step
        if isinstance(room, Widget) and 0 <= target < len(siblings):
            if step < 0:
                room.move_child(block, before=target)
            else:
                room.move_child(block, after=target)
            self._changed()

    def _changed(self) -> None:
        self._say_shape()
        self.post_message(self.Edited())

    def on_text_area_changed(self) -> None:
        self.post_message(self.Edited())

    def on_edited(self) -> None:
        self.post_message(self.Edited())

    def on_checkbox_changed(self) -> None:
        self.post_message(self.Edited())


def _short(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _pretty(schema: object) -> str:
    import json

    return "" if schema is None else json.dumps(schema, ensure_ascii=False, indent=2)


def _schema(text: str) -> dict[str, Any] | None:
    import json

    if not text.strip():
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadInput(f"The JSON schema is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise BadInput("The JSON schema must be an object in braces.")
    return found
