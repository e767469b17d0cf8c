"""The bytes of single tokens of a Hugging Face tokenizer, so that text can be put together while it streams.

`tokenizer.decode` works on whole texts: of a token alone it loses leading spaces and halves of characters.
"""

from __future__ import annotations

import json
import re
from typing import Any

BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Pieces:
    """Bytes per token id; special tokens have none."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = set(tokenizer.all_special_ids)
        self._added = {number: text for text, number in tokenizer.get_added_vocab().items()}
        backend = getattr(tokenizer, "backend_tokenizer", None)
        decoder = json.loads(backend.to_str()).get("decoder") if backend is not None else None
        self._bytes = byte_alphabet() if "ByteLevel" in json.dumps(decoder) else None
        self._known: dict[int, bytes] = {}

    def of(self, token: int) -> bytes:
        found = self._known.get(token)
        if found is None:
            found = self._known[token] = self._read(token)
        return found

    def _read(self, token: int) -> bytes:
        if token in self._special:
            return b""
        if token in self._added:
            return str(self._added[token]).encode("utf-8")
        text = self._tokenizer.convert_ids_to_tokens(token)
        if text is None:  # a row of the embedding that no token uses
            return b""
        if self._bytes is not None:
            if all(char in self._bytes for char in text):
                return bytes(self._bytes[char] for char in text)
            return str(text).encode("utf-8")
        byte = BYTE.fullmatch(text)
        return bytes([int(byte[1], 16)]) if byte else str(text).replace("\u2581", " ").encode("utf-8")


def byte_alphabet() -> dict[str, int]:
    """The printable character that stands for each byte in byte-level BPE (Radford et al. 2019)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}
