"""JSON lines over a socket between the engine and a model's process. Never pickle: the child read foreign weights."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

MAX_LINE = 256 * 1024 * 1024
READ_SIZE = 1 << 16


class Line:
    """One end of the connection; `send` may be called from any thread, `receive` from one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; blocks when the other side does not read."""
        data = encode(message)
        with self._lock:
            self._connection.sendall(data)

    def receive(self) -> Iterator[dict[str, Any]]:
        """Messages until the other side closes."""
        buffer = bytearray()
        while data := self._connection.recv(READ_SIZE):
            searched = len(buffer)
            buffer += data
            while (end := buffer.find(b"\n", searched)) >= 0:
                yield json.loads(bytes(buffer[:end]))
                del buffer[: end + 1]
                searched = 0
            if len(buffer) > MAX_LINE:
                raise ValueError(f"a message of more than {MAX_LINE} bytes")


def encode(message: dict[str, Any]) -> bytes:
    """A message as one line of UTF-8 JSON."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
