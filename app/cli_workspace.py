"""Commands about a workspace as a whole, and what every command's arguments have in common."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from app.cli import DONE, say
from app.cli_open import opened, root_of
from app.jobs import offline
from store.errors import BadInput, NotFound
from store.workspace import DATABASE, find_workspace


class Parser(argparse.ArgumentParser):
    """argparse whose complaint is one line that names the way out, with the exit status of bad input."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"lathe {command}", description=description, allow_abbrev=False)

    def error(self, message: str) -> None:  # type: ignore[override] # argparse exits here, we raise
        raise BadInput(f"{message}. `{self.prog} --help` shows what there is.")


def with_workspace(parser: argparse.ArgumentParser) -> None:
    """Add `--workspace` to a command."""
    parser.add_argument(
        "--workspace",
        "-w",
        metavar="W",
        help="folder of the workspace (default: the nearest .lathe upward, else your user data folder)",
    )


def demo(arguments: list[str]) -> int:
    """`lathe demo [WORKSPACE]`: everything that is needed to compare prompts at once."""
    parser = Parser("demo", "Make the demo workspace: a model, two prompts with versions, two case sets.")
    parser.add_argument("workspace", nargs="?", help="its folder (default: as for every command)")
    parser.add_argument("--workspace", "-w", dest="named", metavar="W", help=argparse.SUPPRESS)
    parser.add_argument("--quiet", action="store_true", help="say nothing unless something is wrong")
    given = parser.parse_args(arguments)
    from app.starter.demo import make_demo

    workspace = given.workspace or given.named
    root = Path(workspace).expanduser().absolute() if workspace else find_workspace(Path.cwd())
    if root.exists() and not root.is_dir():
        raise BadInput(f"{root} is a file, and a workspace is a folder. Name another one.")
    offline.install(False, root)
    make_demo(root)
    if not given.quiet:
        say(
            f"The demo workspace is at {root}. Open it with `lathe {workspace or ''}`".replace(" `", " `")
            + "."
        )
    return DONE


def set_setting(arguments: list[str]) -> int:
    """`lathe set KEY VALUE`: a setting of the workspace; `on`, `off`, numbers and JSON are read as such."""
    parser = Parser("set", "Set a setting of the workspace, for example: lathe set network on")
    parser.add_argument("key", help="`lathe show settings` lists those that are set")
    parser.add_argument("value", help="on, off, a number, a text, or JSON")
    with_workspace(parser)
    given = parser.parse_args(arguments)
    from store import settings

    value = setting_value(given.value)
    if given.key == "network" and not isinstance(value, bool):
        raise BadInput("The setting network is on or off.")
    with opened(root_of(given.workspace)) as store:
        settings.set(store, given.key, value)
        if given.key == "network":
            say(
                "The network is on for this workspace. Every connection is written down."
                if value
                else "The network is off for this workspace."
            )
    return DONE


def setting_value(text: str) -> object:
    """What a person means by `text`: on and off, JSON, or the text itself."""
    words = {"on": True, "yes": True, "off": False, "no": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value


def backup(arguments: list[str]) -> int:
    """`lathe backup FILE`: the whole workspace in one file, also while it is in use."""
    parser = Parser("backup", "Write the whole workspace into one file, also while it is in use.")
    parser.add_argument("file", help="the file to write; an existing one is not overwritten")
    with_workspace(parser)
    given = parser.parse_args(arguments)
    from store.backup import backup as write_backup

    file = Path(given.file).expanduser().absolute()
    if file.exists():
        raise BadInput(f"{file} exists already. Name another file, or remove that one first.")
    with opened(root_of(given.workspace)) as store:
        write_backup(store, file)
    sys.stdout.write(f"{file}\n")
    return DONE


def restore(arguments: list[str]) -> int:
    """`lathe restore FILE [WORKSPACE]`: a workspace from a backup, beside whatever is there."""
    parser = Parser("restore", "Make a workspace from a backup. An existing workspace is never overwritten.")
    parser.add_argument("file", help="a file that `lathe backup` wrote")
    parser.add_argument("workspace", nargs="?", help="folder of the new workspace")
    parser.add_argument("--workspace", "-w", dest="named", metavar="W", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    from store.backup import restore as read_backup

    workspace = given.workspace or given.named
    root = Path(workspace).expanduser().absolute() if workspace else find_workspace(Path.cwd())
    file = Path(given.file).expanduser().absolute()
    if not file.is_file():
        raise NotFound(f"There is no backup at {file}.")
    if (root / DATABASE).exists():
        raise BadInput(
            f"There is a workspace at {root} already. Name another folder: lathe restore FILE FOLDER."
        )
    read_backup(file, root)
    sys.stdout.write(f"{root}\n")
    return DONE
