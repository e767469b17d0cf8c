"""Hugging Face folders through transformers, on the CPU or on CUDA, behind the same interface as llama.cpp.

Sequences that generate form one batch whose cache stays together between steps; who is finished leaves it at once and
who has read its prompt joins it. Rows of different length are padded on the left, so the newest token of every row
lies in the last column; positions are given explicitly, so padding does not move anybody.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
import transformers

from app.engine.backend import Aborted, Chunk
from app.engine.hf_cache import Cache, Stack, joined, split_rows
from app.engine.hf_files import chat_template_of, read_json
from app.engine.hf_pieces import Pieces
from app.engine.settings import LoadSettings, plan_context
from store.errors import BadInput, LatheError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = NDArray[np.float32]

BATCH = 512
PREFIX_SLOTS = 8
INTERACTIVE_SLOTS = 2
# Turn ends of chat models whose generation_config forgets them; they count only where they are one special token.
TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|eot|>")


class TransformersBackend:
    """A causal language model in a folder of safetensors; see `Backend`."""

    def __init__(self, path: Path, settings: LoadSettings, *, free_bytes: int) -> None:
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        torch.set_num_threads(settings.threads)
        cuda = torch.cuda.is_available() and settings.gpu_layers != 0
        self.device = torch.device("cuda" if cuda else "cpu")
        # bf16 is what GPUs are fast at; CPUs mostly emulate it, and float32 is exact for weights of any type.
        self.dtype = torch.bfloat16 if cuda else torch.float32
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        self.model = (
            transformers.AutoModelForCausalLM.from_pretrained(
                path,
                dtype=self.dtype,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                attn_implementation="sdpa" if settings.flash_attention else "eager",
            )
            .to(self.device)
            .eval()
        )
        config = self.model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.layers = int(config.num_hidden_layers)
        per_token = 2 * self.layers * heads * width * self.dtype.itemsize
        trained = getattr(config, "max_position_embeddings", None)
        if cuda:
            free_bytes = int(torch.cuda.mem_get_info()[0])
        plan = plan_context(settings, trained=trained, bytes_per_token=per_token, free_bytes=free_bytes)
        self.context, self.cells, self.slots, self.batch = plan.context, plan.cells, plan.slots, BATCH
        self.extra_slots = 0 if plan.slots == 1 else INTERACTIVE_SLOTS
        self.prefix_slots = 1 if plan.slots == 1 else PREFIX_SLOTS
        self.shares_prefixes = self.abortable = True
        self.vocabulary = int(config.vocab_size)
        self.chat_template = chat_template_of(path)
        self.bos_text = self.tokenizer.bos_token or ""
        self.eos_text = self.tokenizer.eos_token or ""
        self._ends = _end_tokens(path, self.tokenizer, config)
        self._pieces = Pieces(self.tokenizer)
        self._caches: dict[int, Cache] = {}
        self._stack: Stack | None = None
        self._aborted = threading.Event()
        for module in self.model.modules():
            if type(module).__name__.endswith(("DecoderLayer", "Block")):
                module.register_forward_pre_hook(self._check_abort)
        self.facts: Mapping[str, Any] = {
            "backend": "transformers",
            "build": transformers.__version__,
            "device": torch.cuda.get_device_name() if cuda else "cpu",
            "dtype": str(self.dtype).removeprefix("torch."),
            "threads": settings.threads,
            "flash_attention": settings.flash_attention,
            "kv_type": str(self.dtype).removeprefix("torch."),
            "context": self.context,
            "cells": self.cells,
            "slots": self.slots,
            "vocabulary": self.vocabulary,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }

    def tokenize(self, text: str, *, add_special: bool) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=add_special)["input_ids"]
        return found

    def piece(self, token: int) -> bytes:
        return self._pieces.of(token)

    def is_end(self, token: int) -> bool:
        return token in self._ends

    def decode(self, chunks: Sequence[Chunk]) -> Logits:
        """Generating sequences as one batch, prompts as another; rows come back in the order of `chunks`."""
        rows: dict[int, Any] = {}
        generating = [
            chunk for chunk in chunks if len(chunk.tokens) == 1 and chunk.start and chunk.wants_logits
        ]
        reading = [chunk for chunk in chunks if chunk not in generating]
        with torch.inference_mode():
            # Both parts first, then what they leave behind: an abort in between changes nothing.
            stack = self._generate(generating, rows) if generating else self._stack
            caches = self._read(reading, rows) if reading else {}
            if generating:
                self._stack = stack
            self._caches.update(caches)
            wanted = [rows[chunk.slot] for chunk in chunks if chunk.wants_logits]
            if not wanted:
                return np.empty((0, self.vocabulary), np.float32)
            found: Logits = torch.stack(wanted).float().cpu().numpy()
            return found

    def copy(self, source: int, target: int, length: int) -> None:
        # Tensors of a cache are never written to, only replaced, so sharing them is safe and a slice is a view.
        self._caches[target] = self._cache_of(source).first(length)

    def drop(self, slot: int) -> None:
        self._caches.pop(slot, None)
        if self._stack is not None and slot in self._stack.slots:
            self._stack = self._stack.without({slot})

    def clear(self) -> None:
        self._caches.clear()
        self._stack = None

    def abort(self) -> None:
        self._aborted.set()

    def unabort(self) -> None:
        self._aborted.clear()

    def grammar(self, schema: Mapping[str, Any]) -> NoReturn:
        raise BadInput(
            "Output under a JSON schema works with GGUF models only: transformers has no grammar. "
            "Convert the model to GGUF, or leave the schema out and check the answer instead."
        )

    def embed(self, tokens: Sequence[int]) -> list[float]:
        if not 0 < len(tokens) <= self.context:
            raise LatheError(
                f"A text of {len(tokens)} tokens does not fit into the context of {self.context}."
            )
        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], device=self.device)
            hidden = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
            vector = hidden.float().mean(dim=0)
            found: list[float] = (vector / vector.norm().clamp_min(1e-12)).cpu().tolist()
            return found

    def close(self) -> None:
        self.clear()

    def _generate(self, chunks: list[Chunk], rows: dict[int, Any]) -> Stack:
        slots = [chunk.slot for chunk in chunks]
        stack = self._stacked(slots)
        lengths = torch.tensor(stack.lengths, device=self.device)
        ids = torch.tensor([[chunk.tokens[0]] for chunk in chunks], device=self.device)
        width = stack.width + 1
        columns = torch.arange(width, device=self.device)
        mask = (columns >= width - 1 - lengths[:, None]).long()
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=lengths[:, None],
            past_key_values=stack.cache(),
            use_cache=True,
            logits_to_keep=1,
        )
        for row, slot in enumerate(slots):
            rows[slot] = output.logits[row, -1]
        return stack.grown(output.past_key_values, self.layers)

    def _read(self, chunks: list[Chunk], rows: dict[int, Any]) -> dict[int, Cache]:
        """Prompts, or pieces of them: old tokens are padded on the left, new ones on the right.

        What lies to the right of a row's last new token is hidden from it by causality, and cut off afterwards.
        """
        stack = joined([self._cache_of(chunk.slot) for chunk in chunks], [chunk.slot for chunk in chunks])
        counts = [len(chunk.tokens) for chunk in chunks]
        new = max(counts)
        ids = torch.zeros((len(chunks), new), dtype=torch.long)
        for row, chunk in enumerate(chunks):
            ids[row, : counts[row]] = torch.tensor(list(chunk.tokens))
        starts = torch.tensor([chunk.start for chunk in chunks], device=self.device)
        columns = torch.arange(stack.width + new, device=self.device)
        mask = (columns >= stack.width - starts[:, None]).long()
        kept = sorted({count - 1 for count in counts})
        output = self.model(
            input_ids=ids.to(self.device),
            attention_mask=mask,
            position_ids=starts[:, None] + torch.arange(new, device=self.device),
            past_key_values=stack.cache() if stack.width else None,
            use_cache=True,
            logits_to_keep=torch.tensor(kept, device=self.device),
        )
        ends = [chunk.start + count for chunk, count in zip(chunks, counts, strict=True)]
        caches = split_rows(
            output.past_key_values, self.layers, stack.width, [chunk.start for chunk in chunks], ends
        )
        for row, chunk in enumerate(chunks):
            rows[chunk.slot] = output.logits[row, kept.index(counts[row] - 1)]
        return {chunk.slot: caches[row] for row, chunk in enumerate(chunks)}

    def _stacked(self, slots: list[int]) -> Stack:
        """The stack for exactly these rows, in this order, made from the one at hand where that is possible."""
        stack = self._stack
        if stack is not None and stack.slots == slots:
            return stack
        if stack is not None:
            for slot in stack.slots:
                self._caches[slot] = stack.row(slot)
        self._stack = joined([self._caches.pop(slot) for slot in slots], slots)
        return self._stack

    def _cache_of(self, slot: int) -> Cache:
        if self._stack is not None and slot in self._stack.slots:
            return self._stack.row(slot)
        return self._caches.get(slot, Cache(()))

    def _check_abort(self, _module: Any, _arguments: Any) -> None:
        if self._aborted.is_set():
            raise Aborted


def _end_tokens(path: Path, tokenizer: Any, config: Any) -> frozenset[int]:
    """Every token that ends an answer: what the folder's configurations name, and the usual turn ends."""
    found: set[int] = set()
    generation = read_json(path / "generation_config.json").get("eos_token_id")
    for value in (generation, getattr(config, "eos_token_id", None), tokenizer.eos_token_id):
        found.update(value if isinstance(value, list) else [] if value is None else [int(value)])
    special = set(tokenizer.all_special_ids)
    added = tokenizer.get_added_vocab()
    found.update(
        added[text] for text in TURN_ENDS if text in added and added[text] in special | set(added.values())
    )
    return frozenset(found)
