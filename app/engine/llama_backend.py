"""llama.cpp through its low-level batch API: many sequences in one unified key-value cache.

Figures and traps behind the choices here: flash attention is faster and uses less memory; a unified cache makes
copying a prefix free (the cells are shared); logits are a view that dies with the next decode.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np

from app.engine.backend import Aborted, Chunk, OutOfCells
from app.engine.llama_grammar import LlamaGrammar
from app.engine.settings import LoadSettings, plan_context
from store.errors import LatheError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = NDArray[np.float32]

KV_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q5_0": 6, "q8_0": 8, "bf16": 30}
BATCH = 512
PREFIX_SLOTS = 8
INTERACTIVE_SLOTS = 2

# Why a load failed is only ever said in the log, so the last lines are kept.
_log: deque[str] = deque(maxlen=200)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _note_log(_level: int, text: bytes, _data: object) -> None:
    _log.append(text.decode("utf-8", "replace"))


class LlamaBackend:
    """A GGUF model and its context; see `Backend`."""

    def __init__(
        self, path: Path, settings: LoadSettings, *, free_bytes: int, cache_bytes_per_token: int
    ) -> None:
        llama_cpp.llama_log_set(_note_log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.gpu_layers = _gpu_layers(settings)
        self.model = self._load(path)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.vocabulary = int(llama_cpp.llama_vocab_n_tokens(self.vocab))
        plan = plan_context(
            settings,
            trained=int(llama_cpp.llama_model_n_ctx_train(self.model)),
            bytes_per_token=cache_bytes_per_token,
            free_bytes=free_bytes,
        )
        self.context, self.cells, self.slots, self.batch = plan.context, plan.cells, plan.slots, BATCH
        self.extra_slots = 0 if plan.slots == 1 else INTERACTIVE_SLOTS
        self.prefix_slots = 1 if plan.slots == 1 else PREFIX_SLOTS
        self.shares_prefixes = not (
            llama_cpp.llama_model_is_recurrent(self.model) or llama_cpp.llama_model_is_hybrid(self.model)
        )
        self.threads = settings.threads
        # llama.cpp asks the callback on the CPU alone, and a recurrent state cannot be taken back to before a step.
        self.abortable = not self.gpu_layers and self.shares_prefixes
        self._abort_flag = ctypes.create_string_buffer(b"0")
        self.ctx = self._new_context(settings)
        self.memory = llama_cpp.llama_get_memory(self.ctx)
        self._make_batch()
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}
        template = llama_cpp.llama_model_chat_template(self.model, None)
        self.chat_template = template.decode("utf-8", "replace") if template else None
        self.bos_text = self._token_text(llama_cpp.llama_vocab_bos(self.vocab))
        self.eos_text = self._token_text(llama_cpp.llama_vocab_eos(self.vocab))
        self._settings = settings
        self._embedder: Any = None
        self.facts: Mapping[str, Any] = {
            "backend": "llama_cpp",
            "build": llama_cpp.__version__,
            "device": "gpu" if self.gpu_layers else "cpu",
            "gpu_layers": self.gpu_layers,
            "threads": self.threads,
            "flash_attention": settings.flash_attention,
            "kv_type": settings.kv_type,
            "context": self.context,
            "cells": self.cells,
            "slots": self.slots,
            "vocabulary": self.vocabulary,
            "parameters": int(llama_cpp.llama_model_n_params(self.model)),
        }

    def _load(self, path: Path) -> Any:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = self.gpu_layers
        _log.clear()
        model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not model:
            raise LatheError(f"llama.cpp could not load {path.name}: {_last_words()}")
        return model

    def _context_params(self, settings: LoadSettings) -> Any:
        params = llama_cpp.llama_context_default_params()
        params.n_batch = params.n_ubatch = BATCH
        params.n_threads = params.n_threads_batch = self.threads
        params.flash_attn_type = 1 if settings.flash_attention else 0
        params.type_k = params.type_v = KV_TYPES[settings.kv_type]
        params.kv_unified = True
        params.swa_full = True  # a sliding window's cache could not be shared by copying
        params.no_perf = True
        # The callback is asked hundreds of times per decode and a Python one would take the GIL each time. libc's
        # atoi has the right shape: it reads our flag, "0" or "1", and its answer is the bool that ggml wants.
        params.abort_callback = ctypes.cast(ctypes.CDLL(None).atoi, llama_cpp.ggml_abort_callback)
        params.abort_callback_data = ctypes.cast(self._abort_flag, ctypes.c_void_p)
        return params

    def _new_context(self, settings: LoadSettings) -> Any:
        params = self._context_params(settings)
        params.n_ctx = self.cells
        params.n_seq_max = self.slots + self.extra_slots + self.prefix_slots
        _log.clear()
        ctx = llama_cpp.llama_init_from_model(self.model, params)
        if not ctx:
            raise LatheError(f"llama.cpp could not make a context of {self.cells} tokens: {_last_words()}")
        return ctx

    def _make_batch(self) -> None:
        """One batch whose arrays are numpy's: filling slices costs microseconds, `llama_batch_add` loops do not."""
        self._token = np.zeros(BATCH, np.int32)
        self._position = np.zeros(BATCH, np.int32)
        self._count = np.ones(BATCH, np.int32)
        self._sequence = np.zeros(BATCH, np.int32)
        self._wanted = np.zeros(BATCH, np.int8)
        self._pointers = self._sequence.ctypes.data + 4 * np.arange(BATCH, dtype=np.uint64)
        batch = llama_cpp.llama_batch()
        for name, array in (
            ("token", self._token),
            ("pos", self._position),
            ("n_seq_id", self._count),
            ("seq_id", self._pointers),
            ("logits", self._wanted),
        ):
            kind = dict(llama_cpp.llama_batch._fields_)[name]
            setattr(batch, name, ctypes.cast(array.ctypes.data, kind))
        self._batch = batch

    def tokenize(self, text: str, *, add_special: bool) -> list[int]:
        """Token ids; special tokens written out in `text` count as such, as chat templates need it."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        found = (ctypes.c_int32 * room)()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), found, room, add_special, True)
        if count < 0:
            raise LatheError(f"llama.cpp could not split a text of {len(text)} characters into tokens.")
        return found[:count]

    def piece(self, token: int) -> bytes:
        """The bytes of one token; control tokens have none."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self._read_piece(token, special=False)
        return found

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, 64, 0, special)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, -length, 0, special)
        return buffer.raw[: max(length, 0)]

    def _token_text(self, token: int) -> str:
        return self._read_piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def is_end(self, token: int) -> bool:
        found = self._ends.get(token)
        if found is None:
            found = self._ends[token] = bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))
        return found

    def decode(self, chunks: Sequence[Chunk]) -> Logits:
        at = outputs = 0
        self._wanted[:] = 0
        for chunk in chunks:
            count = len(chunk.tokens)
            end = at + count
            self._token[at:end] = chunk.tokens
            self._position[at:end] = np.arange(chunk.start, chunk.start + count, dtype=np.int32)
            self._sequence[at:end] = chunk.slot
            if chunk.wants_logits:
                self._wanted[end - 1] = 1
                outputs += 1
            at = end
        self._batch.n_tokens = at
        result = llama_cpp.llama_decode(self.ctx, self._batch)
        if result == 2:
            self._abort_flag[0] = b"0"
            raise Aborted
        if result == 1:
            raise OutOfCells(f"The key-value cache of {self.cells} tokens has no room for {at} more.")
        if result != 0:
            raise LatheError(
                f"llama.cpp could not compute a batch of {at} tokens (code {result}): {_last_words()}"
            )
        if not outputs:
            return np.empty((0, self.vocabulary), np.float32)
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits(self.ctx), (outputs, self.vocabulary))

    def copy(self, source: int, target: int, length: int) -> None:
        llama_cpp.llama_memory_seq_cp(self.memory, source, target, 0, length)

    def drop(self, slot: int) -> None:
        llama_cpp.llama_memory_seq_rm(self.memory, slot, -1, -1)

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self.memory, True)

    def abort(self) -> None:
        self._abort_flag[0] = b"1"

    def unabort(self) -> None:
        """Take an abort back that came too late to cut anything short."""
        self._abort_flag[0] = b"0"

    def grammar(self, schema: Mapping[str, Any]) -> LlamaGrammar:
        return LlamaGrammar(schema, self.vocab, self.vocabulary)

    def embed(self, tokens: Sequence[int]) -> list[float]:
        """The mean of the last layer over `tokens`, scaled to length 1; made in a context of its own."""
        if self._embedder is None:
            params = self._context_params(self._settings)
            params.n_ctx = params.n_batch = params.n_ubatch = self.context
            params.n_seq_max = 1
            params.embeddings = True
            params.pooling_type = 1
            self._embedder = llama_cpp.llama_init_from_model(self.model, params)
            if not self._embedder:
                raise LatheError(f"This model cannot make embeddings: {_last_words()}")
        if not 0 < len(tokens) <= self.context:
            raise LatheError(
                f"A text of {len(tokens)} tokens does not fit into the context of {self.context}."
            )
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._embedder), True)
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        if llama_cpp.llama_decode(self._embedder, llama_cpp.llama_batch_get_one(array, len(tokens))) != 0:
            raise LatheError(f"llama.cpp could not embed a text of {len(tokens)} tokens: {_last_words()}")
        width = int(llama_cpp.llama_model_n_embd(self.model))
        vector = np.ctypeslib.as_array(llama_cpp.llama_get_embeddings_seq(self._embedder, 0), (width,))
        length = float(np.linalg.norm(vector)) or 1.0
        return [float(value) for value in vector / length]

    def close(self) -> None:
        for ctx in (self._embedder, self.ctx):
            if ctx:
                llama_cpp.llama_free(ctx)
        llama_cpp.llama_model_free(self.model)


def _gpu_layers(settings: LoadSettings) -> int:
    """All layers where llama.cpp was built with a GPU (-1 means all), none elsewhere, unless the user said."""
    if not llama_cpp.llama_supports_gpu_offload():
        return 0
    return -1 if settings.gpu_layers is None else settings.gpu_layers


def _last_words() -> str:
    """The last lines of llama.cpp's log that say something."""
    lines = [line.strip() for line in "".join(_log).splitlines() if line.strip(" .\n")]
    errors = [line for line in lines if "error" in line.lower() or "fail" in line.lower()] or lines
    return "; ".join(errors[-2:])[:400] or "it gave no reason"
