"""A real terminal for tests: the program in a pty, its bytes kept, its screen read back through pyte."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyte

KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "f1": "\x1bOP",
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "f4": "\x1bOS",
    "f5": "\x1b[15~",
    "f9": "\x1b[20~",
    "ctrl+p": "\x10",
    "ctrl+q": "\x11",
    "ctrl+r": "\x12",
}
# pyte 0.8 prints what it does not know of private sequences (`CSI > 1 u`, `CSI = 0 ; 1 u`, `CSI ? 2026 $ p`).
_UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[<=>][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p")


class Terminal:
    """One program in a pty of its own. `output` is every byte it wrote."""

    def __init__(
        self, argv: list[str], *, size: tuple[int, int] = (80, 24), env: dict[str, str] | None = None
    ) -> None:
        self.output = bytearray()
        self._shown = 0
        width, height = size
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            # pytest-xdist sets both, and they would win over the terminal's own size.
            inherited = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
            full = inherited | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | (env or {})
            try:
                os.execvpe(argv[0], argv, full)  # noqa: S606
            finally:
                os._exit(127)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.status: int | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.status is None and not self._ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)

    def pump(self, seconds: float = 0.02) -> bool:
        """Take in what the program wrote, waiting at most `seconds` for the first byte; True if there was
        any."""
        found = False
        while select.select([self.master], [], [], 0 if found else seconds)[0]:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:
                break
            if not data:
                break
            found = True
            self.output += data
        return found

    @property
    def lines(self) -> list[str]:
        """The screen as a person sees it."""
        fresh = bytes(self.output[self._shown :])
        cut = fresh.rfind(b"\x1b", max(0, len(fresh) - 32))  # a sequence that is not whole yet waits
        if cut >= 0 and not re.match(rb"\x1b(\[[0-9;?<=>]*[a-zA-Z~$]|[^\[])", fresh[cut:]):
            fresh = fresh[:cut]
        self._shown += len(fresh)
        self._stream.feed(_UNKNOWN_TO_PYTE.sub(b"", fresh))
        return list(self._screen.display)

    @property
    def text(self) -> str:
        """All lines of the screen."""
        return "\n".join(self.lines)

    @property
    def title(self) -> str:
        """What the program made of the terminal's title."""
        return str(self._screen.title)

    def press(self, *keys: str) -> None:
        """Send keys by name, or text as it is."""
        for key in keys:
            os.write(self.master, KEYS.get(key, key).encode())
            if key == "escape":
                # Only silence tells a lone ESC from the start of an alt key: the program waits for it too.
                until = time.monotonic() + 0.15
                while time.monotonic() < until:
                    self.pump(0.05)

    def wait_for(self, what: str | Callable[[str], bool], timeout: float = 60.0) -> str:
        """Read until the text is on the screen (or the predicate holds for it); AssertionError shows the
        screen."""
        deadline = time.monotonic() + timeout
        while True:
            self.pump()
            text = self.text
            if what(text) if callable(what) else what in text:
                return text
            if time.monotonic() > deadline or (self._ended() and not self.pump(0)):
                raise AssertionError(
                    f"waited for {what!r}; the screen is:\n{text}\nexit status {self.status}"
                )

    def resize(self, width: int, height: int) -> None:
        """Change the window's size, as a person dragging its corner does."""
        _ = self.lines
        self._screen.resize(height, width)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def _ended(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def wait_for_exit(self, timeout: float = 60.0) -> int:
        """Read on until the program has ended; its exit status."""
        deadline = time.monotonic() + timeout
        while not self._ended():
            self.pump()
            if time.monotonic() > deadline:
                raise AssertionError(f"did not end; the screen is:\n{self.text}")
        self.pump(0)
        return self.status if self.status is not None else -1


def workbench(
    root: Path, *, size: tuple[int, int] = (120, 36), env: dict[str, str] | None = None
) -> Terminal:
    """The real workbench on a workspace."""
    return Terminal([sys.executable, "-P", "-m", "app", str(root)], size=size, env=env)
