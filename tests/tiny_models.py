"""Tiny random-weight models made on the spot: the same weights as a Hugging Face folder and as a GGUF file.

They answer nonsense, but they tokenise, template, decode and stop like real ones, load in milliseconds and
weigh under a megabyte. Both makers are deterministic: the same arguments give the same weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false -%}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}"
    "{%- endif -%}{%- endif -%}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CORPUS = [
    "The parcel arrived late and the box was open. I would like a refund, please.",
    "Where is my order? I paid on Monday and nobody has answered my ticket 4711 yet.",
    "Route this ticket to one of: billing, shipping, returns, technical. Answer with one word.",
    "user assistant system question answer yes no positive negative neutral",
    "Kannst du mir helfen? Das Gerät geht nicht an. Größe, Straße, Café, naïve, 東京, 🙂.",
]


def tiny_tokenizer(vocab_size: int = 512) -> Any:
    """A byte-level BPE `tokenizers.Tokenizer` with ChatML's special tokens, trained on a few sentences."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    return tokenizer


def tiny_hf(
    folder: Path,
    *,
    template: bool | str = True,
    seed: int = 0,
    layers: int = 2,
    hidden: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    ffn: int = 128,
    context: int = 512,
    vocab: int = 512,
) -> Path:
    """Write a Llama-shaped Hugging Face folder (config, tokenizer, safetensors) and return it."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": hidden // heads,
        "max_position_embeddings": context,
        "vocab_size": vocab,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "bos_token_id": 0,
        "eos_token_id": 2,
        "dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    tokens = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "model_max_length": context,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens), encoding="utf-8")
    source = CHATML if template is True else template
    if source:
        (folder / "chat_template.jinja").write_text(source, encoding="utf-8")
    save_file(
        _weights(seed, layers, hidden, heads, kv_heads, ffn, vocab),
        str(folder / "model.safetensors"),
        metadata={"format": "pt"},
    )
    return folder


def tiny_gguf(
    folder: Path,
    *,
    template: bool | str = True,
    name: str = "tiny",
    seed: int = 0,
    layers: int = 2,
    hidden: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    ffn: int = 128,
    context: int = 512,
    vocab: int = 512,
    quantised: bool = False,
    residual: float = 1.0,
) -> Path:
    """Write a GGUF file with the same weights as `tiny_hf` (f32, or Q8_0 matrices) and return its path.

    `residual` scales what every layer adds. Below 1 it keeps a deep random model from being chaotic: at 1, thirty
    layers blow the rounding of the first up to another answer, which no trained model does.
    """
    import gguf

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(name)
    writer.add_context_length(context)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(vocab)
    writer.add_file_type(7 if quantised else 0)
    _add_tokenizer(writer, vocab)
    source = CHATML if template is True else template
    if source:
        writer.add_chat_template(source)
    for key, array in _weights(seed, layers, hidden, heads, kv_heads, ffn, vocab, residual).items():
        tensor = _unpermuted(key, array, heads, kv_heads)
        if quantised and tensor.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(_gguf_name(key), gguf.quants.quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(_gguf_name(key), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _weights(
    seed: int,
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    ffn: int,
    vocab: int,
    residual: float = 1.0,
) -> dict[str, np.ndarray]:
    """Random float32 weights under their Hugging Face names; wide enough not to tie."""
    random = np.random.default_rng(seed)
    kv = hidden // heads * kv_heads

    def matrix(rows: int, columns: int, scale: float = 1.6) -> np.ndarray:
        return (random.standard_normal((rows, columns)) * scale / np.sqrt(columns)).astype(np.float32)

    weights = {"model.embed_tokens.weight": matrix(vocab, hidden, 8.0)}
    for index in range(layers):
        block = f"model.layers.{index}."
        weights |= {
            block + "input_layernorm.weight": np.ones(hidden, np.float32),
            block + "post_attention_layernorm.weight": np.ones(hidden, np.float32),
            block + "self_attn.q_proj.weight": matrix(hidden, hidden),
            block + "self_attn.k_proj.weight": matrix(kv, hidden),
            block + "self_attn.v_proj.weight": matrix(kv, hidden),
            block + "self_attn.o_proj.weight": matrix(hidden, hidden, 1.6 * residual),
            block + "mlp.gate_proj.weight": matrix(ffn, hidden),
            block + "mlp.up_proj.weight": matrix(ffn, hidden),
            block + "mlp.down_proj.weight": matrix(hidden, ffn, 1.6 * residual),
        }
    weights["model.norm.weight"] = np.ones(hidden, np.float32)
    return weights


def _unpermuted(key: str, array: np.ndarray, heads: int, kv_heads: int) -> np.ndarray:
    """llama.cpp rotates neighbouring pairs, Hugging Face rotates halves: query and key rows change places."""
    count = {"q_proj": heads, "k_proj": kv_heads}.get(key.split(".")[-2])
    if count is None:
        return array
    rows, columns = array.shape
    pairs = array.reshape(count, 2, rows // count // 2, columns).swapaxes(1, 2)
    return np.ascontiguousarray(pairs.reshape(rows, columns))


def _gguf_name(key: str) -> str:
    top = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if key in top:
        return top[key]
    _, _, index, *rest = key.split(".")
    part = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "q_proj": "attn_q",
        "k_proj": "attn_k",
        "v_proj": "attn_v",
        "o_proj": "attn_output",
        "gate_proj": "ffn_gate",
        "up_proj": "ffn_up",
        "down_proj": "ffn_down",
    }[rest[-2]]
    return f"blk.{index}.{part}.weight"


def _add_tokenizer(writer: Any, vocab: int) -> None:
    import gguf

    content = json.loads(tiny_tokenizer().to_str())
    pieces = sorted(content["model"]["vocab"].items(), key=lambda item: item[1])
    tokens = [piece for piece, _ in pieces]
    kinds = [gguf.TokenType.CONTROL if piece in SPECIAL else gguf.TokenType.NORMAL for piece in tokens]
    while len(tokens) < vocab:
        tokens.append(f"[PAD{len(tokens)}]")
        kinds.append(gguf.TokenType.UNUSED)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in content["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
