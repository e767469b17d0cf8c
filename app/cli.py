"""The command line: the same workbench without a screen. stdout is data, stderr is narration.

Exit status: 0 done, 1 failed, 2 bad input or usage, 100 a gate was not met, 130 stopped. This module only
reads the
command and hands over; nothing is imported before the command that needs it is known.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from store.errors import Ambiguous, BadInput, LatheError, NotFound
from widgets.text import safe_text

DONE, FAILED, USAGE, STOPPED = 0, 1, 2, 130

HELP = """\
usage: lathe [WORKSPACE]                    open the workbench
       lathe demo [WORKSPACE]               make the demo workspace: a model, prompts and cases to compare
       lathe run OPERATION [key=value …]    run an operation, here or beside an open workbench
       lathe operations [OPERATION]         list the operations; one with its fields
       lathe show NOUN [REF]                prompts, cases, datasets, models, jobs, evaluations, generations,
                                            labels, lineage, settings, trash
       lathe jobs [list|stop|resume|attach JOB]
                                            the queue
       lathe set KEY VALUE                  a setting of the workspace (network on|off, …)
       lathe doctor                         machine, devices, libraries, store, network attempts seen
       lathe backup FILE                    the whole workspace in one file
       lathe restore FILE [WORKSPACE]       a workspace from a backup, never over an existing one

Every command takes --workspace W (default: the nearest .lathe folder upward, else your user data folder)
and explains itself with --help. stdout is data, stderr is narration; --json makes the data JSON.
Exit status: 0 done, 1 failed, 2 bad input, 100 a gate was not met, 130 stopped.
"""

COMMANDS = {
    "demo": "app.cli_workspace:demo",
    "run": "app.cli_run:run",
    "operations": "app.cli_operations:operations",
    "show": "app.cli_show:show",
    "jobs": "app.cli_run:jobs",
    "set": "app.cli_workspace:set_setting",
    "doctor": "app.cli_doctor:doctor",
    "backup": "app.cli_workspace:backup",
    "restore": "app.cli_workspace:restore",
}
"""Where each command lives, as text: naming a command costs no import."""


def main(arguments: list[str]) -> int:
    """Run one command; the answer is the exit status. Nothing but data goes to stdout."""
    os.umask(0o077)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _dispatch([_as_typed(word) for word in arguments])
        sys.stdout.flush()
    except (BadInput, NotFound, Ambiguous) as error:
        return _refused(arguments, error, USAGE)
    except LatheError as error:
        return _refused(arguments, error, FAILED)
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:
        # The reader has seen enough (`| head`); Python would complain once more while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if os.environ.get("LATHE_DEBUG"):
            raise
        return _refused(arguments, _fault(error), FAILED)
    return status


def _refused(arguments: list[str], error: Exception | str, status: int) -> int:
    """The sentence on stderr, and with --json the same as an object: whoever reads stdout always gets JSON."""
    if "--json" in arguments:
        import json

        reason = "bad input" if status == USAGE else "failed"
        sys.stdout.write(json.dumps({"state": "failed", "reason": reason, "error": str(error)}) + "\n")
        sys.stdout.flush()
    return complain(error, status)


def _as_typed(word: str) -> str:
    """An argument as UTF-8, also where the locale says otherwise (LC_ALL=C over SSH); other bytes stay as
    they are.
    """
    try:
        return os.fsencode(word).decode("utf-8")
    except UnicodeError:
        return word


def _fault(error: Exception) -> str:
    """Put the traceback of a mistake of ours into a file, and say where; a person gets a sentence."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="lathe-", suffix=".log", encoding="utf-8", delete=False
    ) as file:
        traceback.print_exception(error, file=file)
    return (
        f"Lathe has a fault: {type(error).__name__}: {error}. What was saved is safe; what happened stands in "
        f"{file.name}."
    )


def complain(error: object, status: int) -> int:
    """Say on stderr what is wrong, and answer the exit status to end with."""
    say(f"lathe: {error}")
    return status


def say(text: str) -> None:
    """One piece of narration, made safe for the terminal."""
    print(safe_text(text), file=sys.stderr, flush=True)


def _dispatch(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help", "help"):
        sys.stdout.write(HELP)
        return DONE
    if first in ("-V", "--version"):
        from importlib.metadata import version

        sys.stdout.write(f"lathe {version('lathe-llm')}\n")
        return DONE
    if first in COMMANDS:
        module, _, name = COMMANDS[first].partition(":")
        command: Callable[[list[str]], int] = getattr(importlib.import_module(module), name)
        return command(arguments[1:])
    if first.startswith("-"):
        raise BadInput(f"There is no option {first}. `lathe --help` shows what there is.")
    if len(arguments) > 1:
        raise BadInput(_no_such_command(first))
    return _workbench(first or None)


def _no_such_command(word: str) -> str:
    import difflib

    near = difflib.get_close_matches(word, COMMANDS, n=1)
    hint = f"Did you mean `lathe {near[0]}`?" if near else "`lathe --help` shows what there is."
    return f"There is no command {word}. {hint}"


def _workbench(workspace: str | None) -> int:
    """Open the workbench, if there is a terminal to open it on."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say(
            "lathe: the workbench needs a terminal; without one use `lathe run OPERATION key=value …` "
            "(`lathe operations` lists them)."
        )
        return USAGE
    from app.cli_open import root_of

    if workspace and "/" not in workspace and not Path(workspace).exists():
        import difflib

        near = difflib.get_close_matches(workspace, COMMANDS, n=1, cutoff=0.7)
        if near:
            raise BadInput(
                f"There is no command or workspace {workspace}. Did you mean `lathe {near[0]}`? "
                f"(`lathe ./{workspace}` makes a workspace of that name.)"
            )
    import gc

    # Importing makes a hundred thousand objects that live to the end: looking for garbage among them is 15 % of the
    # launch. The workbench switches the collector on again after its first paint.
    gc.disable()
    from app.jobs import offline
    from app.workbench import run

    root = root_of(workspace, create=True)
    offline.install(False, root)
    return run(root)
