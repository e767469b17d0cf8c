"""Writes the starter as a GGUF. Our own converter: upstream's refuses tokenizers that it does not know.

The rules are those of llama.cpp's converter for Llama: query and key rows are permuted from the half-split
to the interleaved rotary layout, vectors stay f32, tied embeddings write no output matrix.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

PRE_TOKENIZER = "smollm"  # Digits(individual) + ByteLevel, see tokenizer.py
TENSORS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    """A Hugging Face Llama tensor's name in a GGUF."""
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, number, rest = name.split(".", 3)
    return f"blk.{number}.{TENSORS[rest.removesuffix('.weight')]}.weight"


def interleave_heads(weight: numpy.ndarray[Any, Any], heads: int) -> numpy.ndarray[Any, Any]:
    """Rows of a query or key matrix in the order that llama.cpp's rotary embedding expects."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_gguf(folder: Path, target: Path, *, chat_template: str, name: str) -> None:
    """The f16 GGUF of the Hugging Face ``folder`` at ``target``."""
    import gguf
    import numpy
    import torch
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_name(name)
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])

    tokens = {index: token for token, index in tokenizer["model"]["vocab"].items()}
    kinds = dict.fromkeys(tokens, gguf.TokenType.NORMAL)
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    for index in range(config["vocab_size"]):
        if index not in tokens:
            tokens[index], kinds[index] = f"[PAD{index}]", gguf.TokenType.UNUSED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list([tokens[index] for index in sorted(tokens)])
    writer.add_token_types([kinds[index] for index in sorted(tokens)])
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(chat_template)

    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    with safe_open(folder / "model.safetensors", framework="pt") as handle:
        for key in sorted(handle.keys()):
            array = handle.get_tensor(key).to(torch.float32).numpy()
            kind = key.split(".")[-2]
            if kind in heads:
                array = interleave_heads(array, heads[kind])
            writer.add_tensor(gguf_name(key), array.astype(numpy.float16) if array.ndim == 2 else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@functools.cache
def _llama_log() -> tuple[list[str], Any]:
    """What llama.cpp says from now on, kept off stderr; the callback must outlive every call into it."""
    import llama_cpp

    said: list[str] = []

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def listen(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
        said.append(text.decode("utf-8", "replace"))
        del said[:-20]

    llama_cpp.llama_log_set(listen, ctypes.c_void_p(0))
    return said, listen


def quantize_q8(source: Path, target: Path) -> None:
    """``source`` as Q8_0 at ``target``, complete or not at all. RuntimeError holds llama.cpp's own words."""
    import llama_cpp

    said, _ = _llama_log()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
    parameters.nthread = 1
    staging = target.with_suffix(".partial")
    code = llama_cpp.llama_model_quantize(
        str(source).encode(), str(staging).encode(), ctypes.byref(parameters)
    )
    if code != 0:
        raise RuntimeError(f"llama.cpp could not quantise {source}: {''.join(said[-3:]).strip()}")
    os.replace(staging, target)
