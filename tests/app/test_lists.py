"""Trash, disk use, search and settings: what is removed comes back, what is searched is found, what is set stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from app.workbench import Workbench
from store import prompts, settings, trash
from store.workspace import Store
from widgets.confirm import ConfirmScreen
from widgets.listing import Listing
from widgets.reading import ReadingScreen


async def until(pilot: Pilot[Any], predicate: Callable[[], Any]) -> None:
    """Let the application run until `predicate` holds."""
    for _ in range(2000):
        if predicate():
            return
        await pilot.pause(0.01)
    raise AssertionError("did not come true")


@pytest.fixture
def filled(workspace: Store) -> Store:
    """Two prompts, one of them with a word of its own."""
    for name, word in (("hello", "aardvark [/b]"), ("reply", "zebra")):
        prompts.save_version(workspace, name, {"messages": [{"role": "user", "content": f"Say {word}."}]})
    return workspace


def listing(app: Workbench) -> Listing:
    """The list of the present screen."""
    return app.screen.query_one(Listing)


async def test_what_is_in_the_trash_comes_back_with_u(filled: Store) -> None:
    thing = prompts.list_prompts(filled)[0]
    trash.trash(filled, "prompt", thing.id)
    app = Workbench(filled)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        app.action_trash()
        await until(pilot, lambda: len(app.screen.query(Listing)) and len(listing(app).rows) == 1)
        await pilot.press("u")
        await until(pilot, lambda: app.screen.has_class("-empty"))
        assert {prompt.name for prompt in prompts.list_prompts(filled)} == {"hello", "reply"}


async def test_emptying_the_trash_asks_and_enter_means_no(filled: Store) -> None:
    trash.trash(filled, "prompt", prompts.list_prompts(filled)[0].id)
    app = Workbench(filled)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        app.action_trash()
        await until(pilot, lambda: len(app.screen.query(Listing)) and len(listing(app).rows) == 1)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("enter")
        assert len(trash.trashed(filled)) == 1
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: not trash.trashed(filled))


async def test_disk_use_says_what_takes_room(filled: Store) -> None:
    app = Workbench(filled)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        app.action_disk_use()
        await until(pilot, lambda: len(app.screen.query(Listing)) and len(listing(app).rows) > 2)
        about = app.screen.query_one("#disk-about", Static)
        await until(pilot, lambda: "in all in" in str(about.render()))
        await pilot.press("c")
        await until(pilot, lambda: any("removed" in note.message for note in app._notifications))


async def test_search_finds_words_and_reads_the_whole_text(filled: Store) -> None:
    app = Workbench(filled)
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await pilot.press("f4", *"aardvark")
        await until(pilot, lambda: len(listing(app).rows) == 1)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ReadingScreen))
        assert "Say aardvark [/b]." in str(app.screen.query("Static").first().render())
        await pilot.press("y")
        assert "Say aardvark [/b]." in app.clipboard
        await pilot.press("escape")
        app.screen.query_one(Input).value = 'nothing " like OR this AND *'
        await until(pilot, lambda: len(listing(app).rows) == 0)
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


async def test_the_network_is_switched_on_only_after_a_warning(workspace: Store) -> None:
    app = Workbench(workspace)
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await pilot.press("f9")
        await until(pilot, lambda: listing(app).key == ("network", ""))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("escape")
        assert settings.get(workspace, "network") is False
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: settings.get(workspace, "network") is True)
        await until(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
        await pilot.press("enter")
        await until(pilot, lambda: settings.get(workspace, "network") is False)


async def test_a_model_folder_is_added_by_keyboard_and_removed(workspace: Store, tmp_path: Path) -> None:
    folder = tmp_path / "more [models]"
    folder.mkdir()
    app = Workbench(workspace)
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await pilot.press("f9")
        await until(pilot, lambda: listing(app).key == ("network", ""))
        await pilot.press("n")
        await until(pilot, lambda: app.screen.query(Input))
        app.screen.query_one(Input).value = str(folder)
        await pilot.press("enter", "ctrl+t")
        await until(pilot, lambda: settings.get(workspace, "model_folders") == [str(folder)])
        await until(pilot, lambda: any(row.key == ("folder", str(folder)) for row in listing(app).rows))
        listing(app).select(("folder", str(folder)))
        await pilot.press("x")
        assert settings.get(workspace, "model_folders") == []
