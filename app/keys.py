"""The one key table: what a key means everywhere, and the file with which a user changes it.

Every binding of the workbench has an id; `$XDG_CONFIG_HOME/lathe/keys.toml` maps ids to other keys.
Tabs take the
keys for what they share (filter, new, run …) from `binding`, so that one action has one key in every room.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from textual.binding import Binding, BindingType

from app.stages import STAGES


class Key(NamedTuple):
    """One row of the table. `keys` are alternatives; terminals send ctrl+h, i, j and m for other keys:
    never those."""

    keys: str
    text: str
    group: str


EVERYWHERE: dict[str, Key] = {
    "help": Key("question_mark", "help", "workbench"),
    "jobs": Key("f2", "jobs", "workbench"),
    "jump": Key("f3", "jump", "workbench"),
    "search": Key("f4", "search", "workbench"),
    "palette": Key("ctrl+p", "palette", "workbench"),
    "settings": Key("f9", "settings", "workbench"),
    "quit": Key("ctrl+q", "quit", "workbench"),
    "open": Key("enter", "open", "lists"),
    "back": Key("escape", "back", "lists"),
    "filter": Key("slash", "filter", "lists"),
    "new": Key("n", "new", "lists"),
    "edit": Key("e", "edit", "lists"),
    "remove": Key("x", "stop or remove", "lists"),
    "run": Key("r", "run", "lists"),
    "undo": Key("u", "undo", "lists"),
    "copy": Key("y", "copy", "lists"),
    "export": Key("E", "export", "lists"),
    "mark": Key("space", "mark", "lists"),
    "label": Key("t", "label", "lists"),
    "next-found": Key("right_square_bracket", "next", "lists"),
    "previous-found": Key("left_square_bracket", "previous", "lists"),
}
"""What keys mean everywhere no text is being typed."""


def binding(
    name: str,
    action: str,
    text: str | None = None,
    *,
    show: bool = True,
    priority: bool = False,
    room: str = "",
) -> Binding:
    """A binding for `action` on the key that `name` has everywhere. `room` makes the id one of its own:
    `jobs.remove`."""
    key = EVERYWHERE[name]
    return Binding(
        key.keys,
        action,
        text or key.text,
        show=show,
        priority=priority,
        id=f"{room}.{name}" if room else name,
    )


def stage_bindings() -> Iterable[Binding]:
    """Digits where no text is being typed, alt+digit always."""
    for stage in STAGES:
        if stage.tab and stage.digit:
            yield Binding(
                stage.digit, f"stage('{stage.id}')", stage.title, show=False, id=f"stage-{stage.id}"
            )
            yield Binding(
                f"alt+{stage.digit}",
                f"stage_from_anywhere('{stage.id}')",
                stage.title,
                show=False,
                priority=True,
                id=f"stage-{stage.id}-always",
            )


APP_BINDINGS: list[BindingType] = [
    binding("help", "help", priority=False),
    Binding("f1", "help", "help", show=False, priority=True, id="help-always"),
    binding("jobs", "jobs", priority=True),
    binding("jump", "jump", show=False, priority=True),
    binding("search", "search", show=False, priority=True),
    binding("settings", "settings", show=False, priority=True),
    binding("palette", "palette", priority=True),
    binding("quit", "quit", priority=True),
    Binding("ctrl+c", "tell_how_to_quit", "how to quit", show=False, id="how-to-quit"),
    *stage_bindings(),
]


def config_folder() -> Path:
    """Where a user's own settings for every workspace live; made only when something is written."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "lathe"


def read_keymap(file: Path) -> tuple[dict[str, str], list[str]]:
    """The user's keys by binding id, and a sentence for every line that cannot be used.

    The file is TOML: `jobs = "f5"`, several keys by commas. A missing file is an empty map.
    """
    import tomllib  # a few milliseconds that only people with a keymap file pay

    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return {}, [f"The keymap {file} cannot be read: {error}. The usual keys stay."]
    keymap: dict[str, str] = {}
    problems: list[str] = []
    reserved = {"ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m"}
    for name, keys in _flat(table):
        if not isinstance(keys, str) or not keys.strip():
            problems.append(f'keys.toml: "{name}" needs a key in quotes, such as "f5"; the usual key stays.')
        elif clash := reserved & {key.strip() for key in keys.split(",")}:
            problems.append(
                f"keys.toml: terminals send {sorted(clash)[0]} for another key; choose one more for {name}."
            )
        else:
            keymap[name] = keys
    return keymap, problems


def _flat(table: Mapping[str, object], path: str = "") -> Iterable[tuple[str, object]]:
    """Names with dots are tables to TOML: `prompts.run = "f5"` is one binding all the same."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield path + name, value
