"""The Models tab under a pilot: found and registered, facts, filter, hostile names, any size, and a real chat."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from app.models.discover import FOUND_SETTING, Found, discover
from app.models.examine import examine
from app.models.register import register
from app.models.search import Search
from app.models.tab import ModelsTab
from app.models.tab.chat import ChatPane, Talk, Turn, TurnView
from app.models.tab.shelf import Shelf
from app.workbench import Workbench
from store import models, settings
from store.workspace import Store, now
from tests.app.models.layouts import ollama, tiny_gguf, tiny_hf
from widgets.filter import FilterLine
from widgets.text import safe_text

HOSTILE = "x\x1b]52;c;aGk=\x1b\\[/b][@click=app.quit]y\u202etxt\x9b31m"


class Bench:
    """A running workbench with the Models tab in front."""

    def __init__(self, app: Workbench, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def tab(self) -> ModelsTab:
        body = self.app.tabs.body
        assert isinstance(body, ModelsTab)
        return body

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def type(self, text: str) -> None:
        await self.pilot.press(*("space" if char == " " else char for char in text))
        await self.pilot.pause()

    async def until(self, true: Callable[[], object], what: str, seconds: float = 40.0) -> None:
        for _ in range(int(seconds / 0.02)):
            if true():
                return
            await self.pilot.pause(0.02)
        raise AssertionError(f"never came: {what}\n{self.text()}")

    def text(self) -> str:
        """What stands on the screen."""
        screen = self.app.screen
        return "\n".join(strip.text for strip in screen._compositor.render_strips()[: screen.size.height])

    async def sees(self, *words: str) -> None:
        for word in words:
            await self.until(lambda word=word: word in self.text(), word)


Open = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def open_models() -> Open:
    @asynccontextmanager
    async def opened(store: Store, size: tuple[int, int] = (160, 48)) -> AsyncIterator[Bench]:
        app = Workbench(store)
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            await pilot.press("3")
            bench = Bench(app, pilot)
            await bench.until(
                lambda: isinstance(app.tabs.body, ModelsTab) and bench.tab.ready, "the first read"
            )
            yield bench

    return opened


def searched(store: Store, *found: Found, notes: tuple[str, ...] = ()) -> None:
    """As if a search had just found this."""
    settings.set(
        store, FOUND_SETTING, {"at": now(), "models": [asdict(item) for item in found], "notes": list(notes)}
    )


@pytest.fixture
def stocked(workspace: Store, made_gguf: Path, tmp_path: Path) -> Store:
    """A workspace with `tiny` in two versions, the GGUF being the default, and a search that is over."""
    register(workspace, examine(made_gguf), name="tiny", default=True)
    register(workspace, examine(tiny_hf(tmp_path / "hf")), name="tiny")
    searched(workspace)
    return workspace


async def test_the_card_shows_measured_facts_and_memory_at_a_context(
    stocked: Store, open_models: Open
) -> None:
    async with open_models(stocked) as bench:
        await bench.sees(
            "tiny@q8_0", "● default", "Q8_0", "15 tensors", "2 layers × 64", "512 tokens", "✓ fits"
        )
        await bench.sees("unchanged since it was registered", "f32")


async def test_the_first_visit_searches_and_one_key_registers_what_it_found(
    workspace: Store, open_models: Open, home: Path, made_gguf: Path
) -> None:
    ollama(home / ".ollama" / "models", weights=made_gguf)
    async with open_models(workspace) as bench:
        await bench.sees("On this machine", "llama3.2:1b")
        await bench.until(lambda: isinstance(bench.tab.chosen, Found), "the cursor on what was found")
        await bench.press("enter")
        await bench.sees("llama3.2@1b")
        await bench.until(
            lambda: bench.tab.version and bench.tab.version.name == "llama3.2",
            "the cursor on what was registered",
        )
    assert models.model_version(workspace, "llama3.2").facts["origin"]["ollama"] == "llama3.2:1b"


async def test_an_empty_tab_names_the_next_keys(workspace: Store, open_models: Open) -> None:
    searched(workspace)
    async with open_models(workspace) as bench:
        await bench.sees("No models yet", "names a GGUF file", "fetches one by name")


async def test_what_was_refused_is_listed_with_its_reason(
    workspace: Store, open_models: Open, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "evil.gguf").write_bytes(b"\x80\x02}q\x00." + b"\0" * 4096)
    searched(workspace, *discover(tmp_path, [str(tmp_path / "mine")], Search(lambda: None)))
    async with open_models(workspace) as bench:
        await bench.sees("refused", "evil.gguf", "Reading a pickle runs")
        await bench.press("i")
        assert models.list_models(workspace) == []


async def test_the_filter_narrows_the_list_and_esc_takes_it_away(
    stocked: Store, open_models: Open, tmp_path: Path
) -> None:
    register(stocked, examine(tiny_gguf(tmp_path, name="Other", seed=4)))
    async with open_models(stocked) as bench:
        await bench.sees("Other@f32")
        await bench.press("slash")
        await bench.type("oth")
        await bench.until(lambda: "q8_0" not in bench.text().split("╮")[0] and bench.tab.version, "only one")
        await bench.until(
            lambda: bench.tab.version and bench.tab.version.name == "Other", "Other under the cursor"
        )
        await bench.press("escape")
        await bench.sees("q8_0", "Other@f32")
        assert not bench.tab.query_one(FilterLine).has_class("-on")


async def test_moving_and_context_keys_change_the_card(stocked: Store, open_models: Open) -> None:
    async with open_models(stocked) as bench:
        await bench.sees("tiny@q8_0")
        await bench.press("j")
        await bench.sees("tiny@f32", "Hugging Face folder")
        await bench.press("left")
        await bench.sees("at 512 tokens")
        await bench.press("T")
        await bench.sees("Chat template ·", "knows a thinking switch", "<|im_start|>")
        await bench.press("escape")
        await bench.sees("Architecture")
        await bench.press("t")
        await bench.until(lambda: models.model_version(stocked, "tiny").tag == "f32", "the new default")


async def test_forgetting_asks_and_comes_back(stocked: Store, open_models: Open) -> None:
    async with open_models(stocked) as bench:
        await bench.sees("tiny@q8_0")
        await bench.press("x")
        await bench.sees("Forget tiny with its 2 versions?")
        await bench.press("y")
        await bench.until(lambda: not models.list_models(stocked), "the model in the trash")
        await bench.press("u")
        await bench.until(lambda: models.list_models(stocked), "the model back")


@pytest.mark.parametrize("size", [(160, 48), (80, 24), (40, 12), (20, 5)])
async def test_hostile_names_and_templates_stay_text_at_any_size(
    workspace: Store, open_models: Open, tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tiny_gguf(tmp_path, name="plain", template="{{ messages }}" + HOSTILE)
    evil = tmp_path / f"{HOSTILE.replace('/', '_')}.gguf"
    shutil.copy(path, evil)
    version = register(workspace, examine(evil))
    models.update_facts(
        workspace,
        version.id,
        {"title": HOSTILE, "licence": HOSTILE, "tokenizer": HOSTILE, "notes": [HOSTILE]},
    )
    searched(
        workspace,
        Found(str(tmp_path / HOSTILE), HOSTILE, HOSTILE, HOSTILE, problem=HOSTILE, also=(HOSTILE,)),
        notes=(HOSTILE,),
    )
    async with open_models(workspace, size=size) as bench:
        await bench.until(lambda: bench.tab.version is not None, "the version")
        for keys in (
            ("T",),
            ("T",),
            ("enter",),
            ("escape",),
            ("c",),
            ("escape",),
            ("G",),
            ("enter",),
            ("escape",),
        ):
            await bench.press(*keys)
            shown = bench.text()
            assert not set(shown) & set("\x1b\x9b\x07\u202e")
        if size[0] == 160:
            await bench.press("g")
            await bench.sees(safe_text(HOSTILE, newlines=False)[:20])


async def test_a_small_screen_shows_list_and_card_in_turn(stocked: Store, open_models: Open) -> None:
    async with open_models(stocked, size=(80, 24)) as bench:
        await bench.sees("q8_0")
        assert "Architecture" not in bench.text()
        await bench.press("enter")
        await bench.sees("Architecture")
        await bench.press("escape")
        await bench.until(lambda: "Architecture" not in bench.text(), "the list again")


async def test_a_conversation_streams_and_stays_and_memory_comes_back(
    stocked: Store, open_models: Open
) -> None:
    async with open_models(stocked) as bench:
        await bench.sees("tiny@q8_0")
        await bench.press("c")
        chat = bench.tab.query_one(ChatPane)
        chat.talk.max_tokens = "12"
        await bench.type("hello")
        await bench.press("enter")
        await bench.until(lambda: chat.talk.turns and "tokens" in chat.talk.turns[-1].note, "the answer")
        answer = chat.talk.turns[-1]
        assert not answer.failed
        assert "tok/s" in answer.note
        assert "first in" in answer.note
        await bench.sees("hello", "first in")
        await bench.press("ctrl+t")
        await bench.sees("thinking on")
        await bench.press("escape")
        await bench.until(
            lambda: bench.tab.version and bench.tab.version.id in bench.tab._loaded, "it is loaded"
        )
        await bench.press("c")
        await bench.sees("hello")
        await bench.press("escape", "l")
        await bench.until(lambda: not bench.tab._loaded, "it is unloaded")
        await bench.sees("given back")


async def test_esc_stops_an_answer_and_keeps_what_was_written(
    workspace: Store, open_models: Open, tmp_path: Path
) -> None:
    register(
        workspace, examine(tiny_gguf(tmp_path, name="slow", layers=12, hidden=256, ffn=1024, context=4096))
    )
    searched(workspace)
    async with open_models(workspace) as bench:
        await bench.sees("slow")
        await bench.press("c")
        chat = bench.tab.query_one(ChatPane)
        chat.talk.max_tokens, chat.talk.temperature = "4000", "2"
        await bench.type("go")
        await bench.press("enter")
        await bench.until(lambda: chat.talk.turns and chat.talk.turns[-1].text, "the first words")
        await bench.press("escape")
        await bench.until(lambda: not chat.writing, "the end", seconds=5)
        assert "stopped" in chat.talk.turns[-1].note
        assert chat.talk.turns[-1].text
        await bench.press("ctrl+l")
        assert not chat.query(TurnView)


async def test_a_model_that_cannot_be_loaded_says_so_in_the_conversation(
    stocked: Store, open_models: Open, made_gguf: Path, tmp_path: Path
) -> None:
    gone = tiny_gguf(tmp_path, name="gone", seed=9)
    register(stocked, examine(gone), name="gone")
    gone.unlink()
    async with open_models(stocked) as bench:
        await bench.sees("gone@f32", "Gone:")
        await bench.press("c")
        await bench.type("hi")
        await bench.press("enter")
        chat = bench.tab.query_one(ChatPane)
        await bench.until(lambda: chat.talk.turns and chat.talk.turns[-1].failed, "the sentence")
        await bench.sees("is gone from disk")
        assert chat.talk.messages() == []


async def test_a_hostile_answer_is_shown_as_text(stocked: Store, open_models: Open) -> None:
    async with open_models(stocked) as bench:
        await bench.sees("tiny@q8_0")
        version = bench.tab.version
        assert version is not None
        chat = bench.tab.query_one(ChatPane)
        chat._talks[version.id] = Talk([Turn("user", HOSTILE), Turn("assistant", HOSTILE, HOSTILE, HOSTILE)])
        await bench.press("c")
        await bench.sees("␛]52;c;aGk=", "[/b][@click=app.quit]y", "⟨U+202E⟩")
        assert not set(bench.text()) & set("\x1b\x9b\x07\u202e")


def test_only_answered_questions_are_sent_again() -> None:
    talk = Talk(
        [Turn("user", "one"), Turn("assistant", "1"), Turn("user", "two"), Turn("assistant", failed=True)]
    )
    talk.turns += [Turn("user", "three"), Turn("assistant", ""), Turn("user", "four")]
    talk.system = "Count."
    assert [message["content"] for message in talk.messages()] == ["Count.", "one", "1", "four"]


async def test_options_of_the_conversation_are_kept_and_checked(stocked: Store, open_models: Open) -> None:
    async with open_models(stocked) as bench:
        await bench.sees("tiny@q8_0")
        await bench.press("c", "ctrl+o")
        await bench.type("Be brief.")
        chat = bench.tab.query_one(ChatPane)
        assert chat.talk.system == "Be brief."
        chat.query_one("#chat-temperature", Input).value = "warm"
        await bench.press("enter")
        await bench.type("hi")
        await bench.press("enter")
        await bench.sees("temperature and length are numbers")
        assert chat.talk.turns == []
        assert chat.query_one("#chat-say", Input).value == "hi"


async def test_the_list_has_the_focus_and_the_digit_brings_it_back(stocked: Store, open_models: Open) -> None:
    async with open_models(stocked) as bench:
        assert isinstance(bench.app.screen.focused, Shelf)
        await bench.press("4", "3")
        await bench.until(lambda: isinstance(bench.app.screen.focused, Shelf), "the focus")
