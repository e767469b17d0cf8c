"""The workbench on a workspace with a finished comparison, and waiting inside a pilot."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from app.prompts.tab import PromptsTab
from app.workbench import Workbench
from store.workspace import Store
from tests.prompts_workspace import make_cases, make_comparison, make_model, make_prompt
from widgets.top_bar import TopBar

Open = Callable[..., AbstractAsyncContextManager["Desk"]]


class Desk:
    """A running workbench under a pilot, with the Prompts tab in front."""

    def __init__(self, app: Workbench, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def tab(self) -> PromptsTab:
        body = self.app.tabs.body
        assert isinstance(body, PromptsTab)
        return body

    async def press(self, *keys: str) -> None:
        """Press keys one by one, letting the screen settle after each."""
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Type a text into whatever has the focus."""
        await self.pilot.press(*("space" if char == " " else char for char in text))
        await self.pilot.pause()

    async def until(self, true: Callable[[], object], what: str = "", seconds: float = 20.0) -> None:
        """Let the application run until `true()` holds."""
        for _ in range(int(seconds / 0.02)):
            if true():
                return
            await self.pilot.pause(0.02)
        raise AssertionError(f"never came: {what or 'what the test waits for'}\n{self.text()}")

    def text(self) -> str:
        """What the screen shows, as lines of text."""
        screen = self.app.screen
        width, height = screen.size
        lines = screen._compositor.render_strips()
        return "\n".join(strip.text for strip in lines[:height]) if width else ""


@pytest.fixture
def open_desk() -> Open:
    """`async with open_desk(store, size=(160, 48)) as desk:` opens the workbench until the first screen is read."""

    @asynccontextmanager
    async def opened(store: Store, size: tuple[int, int] = (160, 48)) -> AsyncIterator[Desk]:
        app = Workbench(store)
        async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
            desk = Desk(app, pilot)
            await desk.until(lambda: desk.tab.selection_read, "the first read")
            await desk.until(lambda: app.query_one(TopBar).status, "the top line")
            yield desk
            # The session ends here: what looks at the machine must not find a screen that is half gone.
            app.workers.cancel_all()
            with suppress(WorkerCancelled):
                await app.workers.wait_for_complete()

    return opened


@pytest.fixture
def compared(workspace: Store) -> Store:
    """Prompt `route-ticket` in three versions, `tickets@1` with 80 cases, and their finished comparison."""
    make_prompt(workspace)
    cases = make_cases(workspace)
    make_comparison(workspace, cases=cases, model=make_model(workspace))
    return workspace
