"""Which workspace a command is about, and opening it. Without argparse: the workbench's launch passes here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli import say
from app.jobs import offline
from app.jobs.keeper import tend
from store.errors import BadInput, NotFound
from store.workspace import DATABASE, Store, find_workspace, open_store


def root_of(given: str | None, *, create: bool = False) -> Path:
    """The folder of the workspace that is meant; NotFound unless it exists or `create` says that it may
    be new."""
    if given is None:
        root = find_workspace(Path.cwd())
    else:
        root = Path(given).expanduser().absolute()
        if not (root / DATABASE).exists() and (root / ".lathe" / DATABASE).exists():
            root = root / ".lathe"
    if (root / DATABASE).exists():
        return root
    if root.exists() and not root.is_dir():
        raise BadInput(f"{root} is a file, and a workspace is a folder. Name another one.")
    if not create:
        shown = given or root
        raise NotFound(
            f"There is no workspace at {shown}. `lathe demo {shown}` makes one to try things in, "
            f"`lathe {shown}` an empty one."
        )
    say(f"A new workspace at {root}.")
    return root


@contextmanager
def opened(root: Path, *, create: bool = False) -> Iterator[Store]:
    """The store of a workspace, with its waiting jobs looked after and network attempts written down in
    it."""
    store = open_store(root, create=create)
    try:
        offline.install(False, root)
        tend(store)
        yield store
    finally:
        store.close()
