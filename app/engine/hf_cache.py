"""Key-value caches of transformers as plain tensors: one per sequence, or many stacked with padding on the left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from store.errors import LatheError

Pair = tuple[Any, Any]  # keys and values of one layer, each (rows, heads, tokens, width)


@dataclass(frozen=True)
class Cache:
    """The cache of one sequence; no layers at all means that it is empty."""

    layers: tuple[Pair, ...]

    def first(self, length: int) -> Cache:
        """The cache as it was after `length` tokens."""
        return Cache(tuple((keys[:, :, :length], values[:, :, :length]) for keys, values in self.layers))

    @property
    def length(self) -> int:
        return int(self.layers[0][0].shape[2]) if self.layers else 0


@dataclass(frozen=True)
class Stack:
    """Caches of several sequences in one tensor a layer; row i ends in the last column and is `lengths[i]` long."""

    slots: list[int]
    lengths: list[int]
    layers: tuple[Pair, ...]

    @property
    def width(self) -> int:
        return int(self.layers[0][0].shape[2]) if self.layers else 0

    def row(self, slot: int) -> Cache:
        """One sequence's own cache, a view."""
        row = self.slots.index(slot)
        start = self.width - self.lengths[row]
        return Cache(
            tuple(
                (keys[row : row + 1, :, start:], values[row : row + 1, :, start:])
                for keys, values in self.layers
            )
        )

    def without(self, gone: set[int]) -> Stack | None:
        """The stack without some rows, cut to what the longest of the rest needs; None when nobody is left."""
        rows = [row for row, slot in enumerate(self.slots) if slot not in gone]
        if not rows:
            return None
        lengths = [self.lengths[row] for row in rows]
        start = self.width - max(lengths)
        layers = tuple((keys[rows, :, start:], values[rows, :, start:]) for keys, values in self.layers)
        return Stack([self.slots[row] for row in rows], lengths, layers)

    def cache(self) -> Any:
        """The stack as transformers wants it; full layers also for sliding windows, whose mask does the rest."""
        cache = transformers.DynamicCache()
        for layer, (keys, values) in enumerate(self.layers):
            cache.update(keys, values, layer)
        return cache

    def grown(self, cache: Any, layers: int) -> Stack:
        """The stack after a step that gave every row one more token."""
        return Stack(self.slots, [length + 1 for length in self.lengths], layers_of(cache, layers))


def joined(caches: Sequence[Cache], slots: list[int]) -> Stack:
    """Stack the caches of several sequences, padding the shorter ones on the left with zeros."""
    lengths = [cache.length for cache in caches]
    width = max(lengths)
    if not width:
        return Stack(slots, lengths, ())
    pattern = next(cache for cache in caches if cache.length)
    layers = []
    for layer, (keys, _) in enumerate(pattern.layers):
        heads, depth = keys.shape[1], keys.shape[3]
        pair = [keys.new_zeros((len(caches), heads, width, depth)) for _ in range(2)]
        for row, cache in enumerate(caches):
            if cache.length:
                for part in range(2):
                    pair[part][row, :, width - cache.length :] = cache.layers[layer][part][0]
        layers.append((pair[0], pair[1]))
    return Stack(slots, lengths, tuple(layers))


def split_rows(
    cache: Any, layers: int, width: int, starts: Sequence[int], ends: Sequence[int]
) -> list[Cache]:
    """Every row's own cache after a step in which row i went from `starts[i]` to `ends[i]` tokens.

    The first `width` columns held the old tokens, padded on the left; new ones follow, padded on the right. The
    pieces are copies, so that one long row does not keep everybody's padding alive.
    """
    pairs = layers_of(cache, layers)
    found = []
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        columns = slice(width - start, width + end - start)
        found.append(
            Cache(
                tuple(
                    (
                        keys[row : row + 1, :, columns].clone(memory_format=torch.contiguous_format),
                        values[row : row + 1, :, columns].clone(memory_format=torch.contiguous_format),
                    )
                    for keys, values in pairs
                )
            )
        )
    return found


def layers_of(cache: Any, layers: int) -> tuple[Pair, ...]:
    """Keys and values of every layer; a sentence for models that keep something else than keys and values."""
    found = tuple((getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in cache.layers)
    if len(found) != layers or any(keys is None or values is None for keys, values in found):
        raise LatheError(
            "This model keeps a state that is not keys and values, which cannot be batched here. Convert it to GGUF."
        )
    return found
