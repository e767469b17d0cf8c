"""Draws the README's picture from the real app: `python docs/screenshot.py WORKSPACE docs/matrix.svg`.

The workspace is one on which `lathe demo` and a comparison have run.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from app.workbench import Workbench
from store.workspace import open_store


async def draw(root: Path, target: Path) -> None:
    """Open the workbench on `root`, let it paint, and save what it shows."""
    store = open_store(root)
    app = Workbench(store)
    async with app.run_test(size=(140, 40)) as pilot:
        for _ in range(40):
            await pilot.pause(0.1)
        await pilot.press("]")
        await pilot.pause(0.5)
        target.write_text(app.export_screenshot(title="Lathe"), encoding="utf-8")
    store.close()


if __name__ == "__main__":
    asyncio.run(draw(Path(sys.argv[1]), Path(sys.argv[2])))
