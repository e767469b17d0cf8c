"""The user's own editor on a text: the screen steps aside and comes back."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported


def editor_command(environment: dict[str, str]) -> list[str]:
    """The words that start the user's editor: $VISUAL, $EDITOR, else the first of nano and vi that is
    here."""
    chosen = environment.get("VISUAL") or environment.get("EDITOR")
    if chosen:
        return shlex.split(chosen)
    return [next((name for name in ("nano", "vi", "vim") if shutil.which(name)), "vi")]


def edit(app: App[Any], text: str, suffix: str) -> str | None:
    """Let the editor change `text`. None when it could not be started or ended with an error; a toast
    says why.

    The file lies in a folder of its own, readable by the user only. After an error it stays and is named.
    """
    command = editor_command(dict(os.environ))
    folder = Path(tempfile.mkdtemp(prefix="lathe-edit-"))
    file = folder / f"text{suffix}"
    file.write_text(text, encoding="utf-8", errors="replace")
    try:
        with app.suspend():
            status = subprocess.run([*command, str(file)], check=False).returncode
        changed = file.read_text(encoding="utf-8", errors="replace")
    except SuspendNotSupported:
        app.notify("The editor needs a terminal, and this one cannot be lent.", severity="warning")
        status, changed = 0, None
    except OSError as error:
        app.notify(
            f"The editor {command[0]} cannot be started: {error.strerror}. Set EDITOR to one you have.",
            severity="error",
            timeout=10,
        )
        status, changed = 0, None
    if status:
        app.notify(
            f"{command[0]} ended with status {status}. Your text stands in {file}.", severity="warning"
        )
        return None
    shutil.rmtree(folder, ignore_errors=True)
    return changed
