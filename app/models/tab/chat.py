"""Try a model: a conversation with it, streamed through the engine, with what it costs."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from textual import on, work
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from app.models.tab.reads import exact, ready_engine
from store.errors import LatheError
from store.models import ModelVersion
from widgets.form_fields import LineField
from widgets.sentence import keyed
from widgets.text import safe_text

if TYPE_CHECKING:
    from app.workbench import Workbench

TAG = "try"
SHOWN_CHARACTERS = 40_000
THINKING_WORDS = {None: "as the model likes", True: "on", False: "off"}
OPTIONS = (
    ("system", "System", "no system prompt"),
    ("temperature", "Temperature", "0 always takes the likeliest word"),
    ("max_tokens", "At most", "tokens of an answer"),
)
_numbers = itertools.count(1)


@dataclass
class Turn:
    """One turn of the conversation; `note` says how an answer ended and what it cost."""

    role: str
    text: str = ""
    thinking: str = ""
    note: str = ""
    failed: bool = False


@dataclass
class Talk:
    """A conversation with one version, kept while the workbench is open."""

    turns: list[Turn] = field(default_factory=list)
    system: str = ""
    temperature: str = "0.7"
    max_tokens: str = "512"
    thinking: bool | None = None

    def messages(self) -> list[dict[str, str]]:
        """What the model is sent: the system prompt, and every question that got an answer, or waits for one.

        Most templates insist that user and assistant take turns, so a question without an answer goes too.
        """
        sent = [{"role": "system", "content": self.system}] if self.system.strip() else []
        for index, turn in enumerate(self.turns):
            answer = self.turns[index + 1] if turn.role == "user" and index + 1 < len(self.turns) else turn
            if turn.text and answer.text and not answer.failed:
                sent.append({"role": turn.role, "content": turn.text})
        return sent


class TurnView(Static):
    """A turn on the screen."""

    DEFAULT_CSS = """
    TurnView { height: auto; padding: 0 1; margin-bottom: 1; }
    TurnView.-user { border-left: outer $accent; }
    TurnView.-assistant { border-left: outer $border-blurred; }
    """

    def __init__(self, turn: Turn) -> None:
        super().__init__("", markup=False, classes=f"-{turn.role}")
        self.turn = turn
        self.draw(False)

    def draw(self, writing: bool) -> None:
        """Draw what the turn holds now; everything in it is foreign text."""
        turn = self.turn
        parts: list[tuple[str, str]] = []
        if turn.thinking:
            parts.append(
                (safe_text(turn.thinking[-SHOWN_CHARACTERS:]).strip() + "\n", "italic $foreground-muted")
            )
        text = turn.text if len(turn.text) <= SHOWN_CHARACTERS else "… " + turn.text[-SHOWN_CHARACTERS:]
        parts.append((safe_text(text), ""))
        if writing:
            parts.append(("▌", "$accent"))
        if turn.note:
            style = "$text-error" if turn.failed else "$foreground-muted"
            parts.append((("\n" if turn.text or turn.thinking else "") + safe_text(turn.note), style))
        self.update(Content.assemble(*parts))


class ChatPane(Vertical):
    """A conversation with one model."""

    DEFAULT_CSS = """
    ChatPane { height: 1fr; }
    ChatPane #chat-state { height: 1; color: $foreground-muted; }
    ChatPane #chat-turns { height: 1fr; padding: 1 0 0 0; }
    ChatPane #chat-options { height: auto; display: none; }
    ChatPane #chat-options.-on { display: block; margin-top: 1; }
    ChatPane .chat-field { height: 1; margin-top: 1; }
    ChatPane .chat-field Static { width: 14; color: $foreground-muted; }
    ChatPane #chat-options .chat-field { margin-top: 0; }
    ChatPane #chat-mark { width: 2; color: $accent; }
    """
    BINDINGS = [
        Binding("escape", "leave", "stop / back", id="try.leave", priority=True),
        Binding("x", "stop", "stop", show=False, id="try.stop"),
        Binding("ctrl+o", "options", "system prompt", id="try.options"),
        Binding("ctrl+t", "thinking", "thinking", id="try.thinking"),
        Binding("ctrl+l", "clear", "clear", id="try.clear"),
        Binding("ctrl+y", "copy_answer", "copy answer", show=False, id="try.copy"),
    ]
    HELP = (
        "Try a model. Type and press **enter**; the answer streams, with the time to its first token and its speed. "
        "**esc** stops an answer, and a second **esc** goes back; the conversation stays. **ctrl+o** opens the system "
        "prompt, temperature and length; **ctrl+t** switches thinking where the template allows it; **ctrl+l** starts "
        "over; **ctrl+y** copies the last answer."
    )

    class Left(Message):
        """The user goes back to the card."""

    def __init__(self) -> None:
        super().__init__(id="chat")
        self.version: ModelVersion | None = None
        self._talks: dict[int, Talk] = {}
        self._request = ""
        self._stopping = False
        self._first: tuple[float, int] | None = None
        """When the first words of the present answer came, and how many tokens they were."""

    @property
    def bench(self) -> Workbench:
        """The application, by its own type."""
        return cast("Workbench", self.app)

    @property
    def talk(self) -> Talk:
        """The conversation with the model that is shown."""
        return self._talks.setdefault(self.version.id if self.version else 0, Talk())

    @property
    def writing(self) -> bool:
        """True while an answer is on its way."""
        return bool(self._request)

    def compose(self) -> Any:
        yield Static("", id="chat-state", markup=False)
        with Vertical(id="chat-options"):
            for name, label, hint in OPTIONS:
                with Horizontal(classes="chat-field"):
                    yield Static(label)
                    yield _field(f"chat-{name}", hint)
        yield VerticalScroll(id="chat-turns", can_focus=True)
        with Horizontal(id="chat-line", classes="chat-field"):
            yield Static("› ", id="chat-mark")
            yield _field("chat-say", "say something")

    # -- which conversation ----------------------------------------------------------------------------------

    async def talk_with(self, version: ModelVersion) -> None:
        """Show the conversation with `version`; an answer that another model is writing is stopped."""
        if self.version is None or version.id != self.version.id:
            self.action_stop()
            self.version = version
            for name, _, _ in OPTIONS:
                self.query_one(f"#chat-{name}", LineField).fill(str(getattr(self.talk, name)))
            await self._show_turns()
        self.version = version
        self.show_state()
        self.query_one("#chat-say").focus()

    async def _show_turns(self) -> None:
        turns = self.query_one("#chat-turns", VerticalScroll)
        await turns.remove_children()
        await turns.mount_all([TurnView(turn) for turn in self.talk.turns])
        turns.scroll_end(animate=False)

    def show_state(self, words: str = "") -> None:
        """The line above the conversation: with whom, and how it stands."""
        if self.version is None:
            return
        if not words:
            words = "writing · `esc` stops" if self.writing else "`enter` sends · `esc` goes back"
        facts = self.version.facts
        thinking = f" · thinking {THINKING_WORDS[self.talk.thinking]}" if facts.get("thinking") else ""
        template = "" if facts.get("chat_template") or self._template() else " · no chat template"
        name = safe_text(self.version.ref, newlines=False)
        state = self.query_one("#chat-state", Static)
        state.update(Content.assemble((name, "bold $accent"), (f"{thinking}{template} · ", ""), keyed(words)))

    def _template(self) -> str:
        settings = self.version.facts.get("settings") if self.version else None
        return str(settings.get("template") or "") if isinstance(settings, dict) else ""

    # -- saying and answering ----------------------------------------------------------------------------------

    @on(Input.Changed)
    def _keep_option(self, event: Input.Changed) -> None:
        event.stop()
        for name, _, _ in OPTIONS:
            if event.input.id == f"chat-{name}":
                setattr(self.talk, name, event.value)

    @on(Input.Submitted)
    async def _send(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id != "chat-say":
            self.query_one("#chat-say").focus()
            return
        text = event.value.strip()
        if not text or self.version is None:
            return
        if self.writing:
            self.show_state("it is still writing · `esc` stops it")
            return
        line = self.query_one("#chat-say", LineField)
        line.fill("")
        asked, answer = Turn("user", text), Turn("assistant")
        self.talk.turns.append(asked)
        request = self._request_body()
        if request is None:
            self.talk.turns.pop()
            line.fill(text)
            return
        self.talk.turns.append(answer)
        turns = self.query_one("#chat-turns", VerticalScroll)
        view = TurnView(answer)
        await turns.mount_all([TurnView(asked), view])
        turns.anchor()
        self._request = str(request["id"])
        self._answer(request, answer, view)

    def _request_body(self) -> dict[str, Any] | None:
        """The request for the engine; None with a word on the state line when an option is no number."""
        talk = self.talk
        try:
            temperature, most = float(talk.temperature or 0), int(talk.max_tokens or 512)
        except ValueError:
            self.show_state("temperature and length are numbers · `ctrl+o` shows them")
            return None
        return {
            "id": f"{TAG}-{next(_numbers)}",
            "model": exact(self.version) if self.version else "",
            "messages": talk.messages(),
            "sampling": {"temperature": temperature, "max_tokens": most},
            "thinking": talk.thinking,
            "template": self._template() or None,
            "priority": "interactive",
            "tag": TAG,
        }

    @work(group="try", exclusive=True)
    async def _answer(self, request: dict[str, Any], turn: Turn, view: TurnView) -> None:
        """Stream one answer into its turn. Trouble becomes a sentence in the conversation."""
        self.show_state("waiting for the model · `esc` stops")
        self._stopping, self._first = False, None
        try:
            await ready_engine(self.bench)
            async for event in self.bench.engine().generate([request], stream=True):
                self._take(event, turn, view)
        except LatheError as error:
            turn.note, turn.failed = str(error), True
        finally:
            self._request = ""
            if view.is_attached:
                view.draw(False)
                self.show_state()

    def _take(self, event: dict[str, Any], turn: Turn, view: TurnView) -> None:
        kind = event["event"]
        if kind == "started":
            self.show_state("reading the prompt · `esc` stops")
        elif kind == "delta":
            turn.text += event.get("text") or ""
            turn.thinking += event.get("thinking") or ""
            view.draw(True)
            self.show_state(f"{self._speed(event)}`esc` stops")
        elif kind == "done":
            turn.text, turn.thinking = event["text"], event.get("thinking") or ""
            turn.note = outcome(event)
        elif kind == "error":
            turn.note, turn.failed = str(event.get("error")), True

    def _speed(self, event: dict[str, Any]) -> str:
        """Tokens a second since the first of them, once there are some to divide."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, int(event.get("tokens") or 0))
        began, tokens = self._first
        if now - began < 0.5:
            return "writing · "
        return f"writing · {(int(event.get('tokens') or 0) - tokens) / (now - began):.0f} tok/s · "

    # -- keys ------------------------------------------------------------------------------------------------

    def action_stop(self) -> None:
        """Ask the engine to stop the answer; what was written stays."""
        if self.writing and not self._stopping:
            self._stopping = True
            self._cancel(self._request)

    @work(group="try-stop")
    async def _cancel(self, request: str) -> None:
        try:
            if not await self.bench.engine().cancel(ids=[request]) and self._request == request:
                self.workers.cancel_group(self, "try")  # the model is still being loaded: leaving is enough
        except LatheError as error:
            self.notify(str(error), severity="error")

    def action_leave(self) -> None:
        if self.writing and not self._stopping:
            self.action_stop()
        else:
            self.post_message(self.Left())

    def action_options(self) -> None:
        options = self.query_one("#chat-options")
        options.toggle_class("-on")
        self.query_one("#chat-system" if options.has_class("-on") else "#chat-say").focus()

    def action_thinking(self) -> None:
        if self.version is not None and not self.version.facts.get("thinking"):
            self.show_state("this model's template has no thinking switch")
            return
        order = (None, True, False)
        self.talk.thinking = order[(order.index(self.talk.thinking) + 1) % 3]
        self.show_state()

    async def action_clear(self) -> None:
        self.action_stop()
        self.talk.turns.clear()
        await self._show_turns()

    def action_copy_answer(self) -> None:
        said = next(
            (turn.text for turn in reversed(self.talk.turns) if turn.role == "assistant" and turn.text), ""
        )
        if said:
            self.bench.copy(said)


def outcome(event: dict[str, Any]) -> str:
    """How an answer ended and what it cost, in one line."""
    times = event.get("timings") or {}
    parts = []
    ends = {
        "length": "cut off at the length that was set",
        "context_overflow": "the conversation no longer fits into the context: clear it (ctrl+l) or load it with more",
        "cancelled": "stopped",
    }
    if event.get("finish_reason") in ends:
        parts.append(ends[event["finish_reason"]])
    parts.append(f"{event.get('prompt_tokens', 0)} + {event.get('completion_tokens', 0)} tokens")
    if event.get("cached_tokens"):
        parts.append(f"{event['cached_tokens']} reused")
    if times.get("tokens_per_second"):
        parts.append(f"{times['tokens_per_second']:.0f} tok/s")
    if times.get("first_token_ms") is not None:
        parts.append(f"first in {times['first_token_ms']:.0f} ms")
    return " · ".join(parts)


def _field(name: str, hint: str) -> LineField:
    field = LineField("", placeholder=hint)
    field.id = name
    return field
