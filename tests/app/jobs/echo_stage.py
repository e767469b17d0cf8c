"""A stage of the test suite: copied as `app/echo/operations.py` into a house of its own, never part of Lathe.

Its one line in the registry and this file are all there is: everything else has to come from the specs.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any, Literal

from app.jobs.context import Context
from app.jobs.operation import Field, Operation, Spec
from store.errors import BadInput


class Say(Spec):
    text: str = Field(description="What to say.", min_length=1)
    loud: bool = Field(False, description="In capitals.", advanced=True)
    prompt: str | None = Field(None, description="A prompt it is about.", picks="prompt")


class Count(Spec):
    to: int = Field(5, description="The last number.", ge=1, le=100_000)
    hold: str | None = Field(None, description="Wait at each number until this file exists.", picks="file")
    hold_from: int = Field(1, description="The first number to wait at.", advanced=True)


class Crash(Spec):
    how: Literal["error", "foreseen", "memory", "full", "segv", "kill", "exit"] = Field(
        description="Which way."
    )


class Nothing(Spec):
    pass


def say(spec: Say, context: Context) -> dict[str, Any]:
    said = spec.text.upper() if spec.loud else spec.text
    context.log(f"saying {said}")
    if spec.prompt:
        context.used("prompt_version", 7, spec.prompt)
    context.publish("echo", 1, "echo@1", "abc")
    return {"said": said}


def count(spec: Count, context: Context) -> dict[str, Any]:
    """Count up, one metric a number, with a checkpoint behind each."""
    state = context.resume_state or {"reached": 0}
    for number in range(state["reached"] + 1, spec.to + 1):
        context.raise_if_stopped()
        while spec.hold and number >= spec.hold_from and not Path(spec.hold).exists():
            context.raise_if_stopped()
            time.sleep(0.01)
        context.metric("number", number, step=number)
        context.checkpoint({"reached": number})
        context.progress(number, spec.to, note="counting", unit="numbers")
    context.publish("echo", spec.to, f"echo@{spec.to}")
    return {"reached": spec.to, "began_at": state["reached"] + 1, "attempt": context.attempt}


def stubborn(spec: Nothing, context: Context) -> None:
    """Be deaf to SIGTERM, as native code is that never comes back to Python."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    context.log("deaf now")
    while True:
        time.sleep(0.05)


def busy(spec: Nothing, context: Context) -> None:
    """Work without ever asking whether to stop: only being broken into ends it."""
    context.log("busy now")
    while True:
        time.sleep(0.01)


def crash(spec: Crash, context: Context) -> None:
    if spec.how == "error":
        raise ZeroDivisionError("a fault")
    if spec.how == "foreseen":
        raise BadInput("The echo has no walls. Build some.")
    if spec.how == "memory":
        bytearray(1 << 62)
    if spec.how == "full":
        raise OSError(28, "No space left on device")
    if spec.how == "segv":
        faulthandler._sigsegv()  # type: ignore[attr-defined]
    if spec.how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


def look(spec: Nothing, context: Context) -> dict[str, Any]:
    """Say what a worker's world looks like from inside."""
    outcome = "went"
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=0.2)
    except OSError as error:
        outcome = type(error).__name__
    import app
    import store

    return {
        "connection": outcome,
        "environment": sorted(os.environ),
        "niceness": os.nice(0),
        "folder": os.getcwd(),
        "house": [str(Path(module.__file__ or "").parent.parent) for module in (app, store)],
    }


OPERATIONS: tuple[Operation, ...] = (
    Operation("echo.say", "Say something", "Says it back.", Say, say, "inline"),
    Operation("echo.count", "Count", "Counts.", Count, count, "worker", resumable=True),
    Operation("echo.haul", "Count heavily", "Counts.", Count, count, "heavy", resumable=True),
    Operation("echo.stubborn", "Be stubborn", "Never ends.", Nothing, stubborn, "worker"),
    Operation("echo.busy", "Be busy", "Never ends by itself.", Nothing, busy, "worker"),
    Operation("echo.crash", "Crash", "Goes wrong.", Crash, crash, "worker"),
    Operation("echo.look", "Look around", "Looks.", Nothing, look, "worker"),
    Operation(
        "echo.gate",
        "A gate",
        "Says no.",
        Say,
        say,
        "inline",
        exit_code=lambda summary: 100 if summary["said"] == "no" else 0,
    ),
)
