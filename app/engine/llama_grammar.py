"""JSON-schema output on llama.cpp: the schema becomes a grammar, the grammar says which tokens may come next."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np

from store.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = NDArray[np.float32]

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class LlamaGrammar:
    """The state of one answer under a JSON schema; BadInput when the schema cannot be turned into a grammar."""

    def __init__(self, schema: Mapping[str, Any], vocab: Any, vocabulary: int) -> None:
        from llama_cpp.llama_grammar import json_schema_to_gbnf

        try:
            text = json_schema_to_gbnf(json.dumps(schema))
        except Exception as error:
            # The converter raises whatever its assertions and look-ups raise; all of it is about the schema.
            raise BadInput(f"The JSON schema cannot be turned into a grammar: {error}.") from error
        self._sampler = llama_cpp.llama_sampler_init_grammar(vocab, text.encode(), b"root")
        if not self._sampler:
            raise BadInput("The JSON schema was turned into a grammar that llama.cpp does not accept.")
        self._all = np.zeros(vocabulary, CANDIDATE)
        self._one = np.zeros(1, CANDIDATE)

    def allows(self, token: int) -> bool:
        self._one[0] = (token, 0.0, 0.0)
        self._apply(self._one)
        return bool(np.isfinite(self._one["logit"][0]))

    def mask(self, logits: Logits) -> Logits:
        self._all["id"] = np.arange(len(logits), dtype=np.int32)
        self._all["logit"] = logits
        self._apply(self._all)
        masked = np.full(len(logits), -np.inf, np.float32)
        masked[self._all["id"]] = self._all["logit"]
        return masked

    def accept(self, token: int) -> None:
        llama_cpp.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        if self._sampler:
            llama_cpp.llama_sampler_free(self._sampler)
            self._sampler = None

    def _apply(self, candidates: NDArray[Any]) -> None:
        array = llama_cpp.llama_token_data_array(
            data=ctypes.cast(candidates.ctypes.data, ctypes.POINTER(llama_cpp.llama_token_data)),
            size=len(candidates),
            selected=-1,
            sorted=False,
        )
        llama_cpp.llama_sampler_apply(self._sampler, ctypes.byref(array))
