"""Exports a training run: a Hugging Face folder in bf16 and a Q8_0 GGUF, checked against each other."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from app.starter.checkpoint import load_state
from app.starter.corpus import stream_examples
from app.starter.gguf_file import quantize_q8, write_gguf
from app.starter.tokenizer import CHAT_TEMPLATE, END_OF_TEXT, TURN_END, StarterTokenizer, chat_text
from app.starter.train import CHECKPOINT, TOKENIZER, Shape, build_model

HF_FOLDER, GGUF_FILE, TRAINING_FILE = "hf", "starter-q8_0.gguf", "training.json"
MODEL_NAME = "Lathe starter"
CHECK_TEXTS = (
    "Order A-4821 of 3 May costs $12.50.",
    "naïve café, 価格は１２３円です 🙂👍🏽",
    "tabs\tand\n\nnew lines  \n end",
    "''quoted'' don't I'll",
    "<|im_start|>user\nhi<|im_end|>\n",
    "0123456789 9.99 1,000",
    "e\u0301 \u200b \ufeff",
    '{"key": [1, 2, null]}',
)


@dataclass(frozen=True)
class Agreement:
    """How the GGUF compares with torch on held text: tokenization, and the most likely next token."""

    texts: int
    token_mismatches: int
    positions: int
    same_argmax: int


def export_run(run: Path, target: Path) -> None:
    """Write ``target/hf``, ``target/starter-q8_0.gguf`` and the facts of the run from its latest state."""
    import torch

    tensors, meta = load_state(run / CHECKPOINT)
    tokenizer = StarterTokenizer.load(run / TOKENIZER)
    model = build_model(Shape(**meta["shape"]), tokenizer, 0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model/{name}"])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as made:
        staging = Path(made) / HF_FOLDER
        model.generation_config.do_sample = False
        model.generation_config.max_new_tokens = 256
        model.to(torch.bfloat16).save_pretrained(staging)
        (staging / "model.safetensors").chmod(
            0o644
        )  # safetensors makes it private; an installed file is for all
        shutil.copy(run / TOKENIZER, staging / "tokenizer.json")
        (staging / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": END_OF_TEXT,
            "eos_token": TURN_END,
            "pad_token": END_OF_TEXT,
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": model.config.max_position_embeddings,
        }
        (staging / "tokenizer_config.json").write_text(
            json.dumps(settings, indent=2) + "\n", encoding="utf-8"
        )
        half = Path(made) / "starter-f16.gguf"
        write_gguf(staging, half, chat_template=CHAT_TEMPLATE, name=MODEL_NAME)
        quantize_q8(half, target / GGUF_FILE)
        if (target / HF_FOLDER).exists():
            shutil.rmtree(target / HF_FOLDER)
        shutil.move(staging, target / HF_FOLDER)
    facts = meta | {"parameters": sum(p.numel() for p in model.parameters())}
    (target / TRAINING_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def compare_formats(target: Path, examples: int = 60) -> Agreement:
    """Token ids and greedy next tokens of the two exported files over ``examples`` training texts."""
    import llama_cpp
    import numpy
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    hf_tokenizer = AutoTokenizer.from_pretrained(target / HF_FOLDER)
    model = AutoModelForCausalLM.from_pretrained(target / HF_FOLDER, dtype=torch.float32)
    llama = llama_cpp.Llama(str(target / GGUF_FILE), n_ctx=2048, logits_all=True, n_threads=1, verbose=False)
    drawn = [chat_text(e.messages) + e.answer for e in itertools.islice(stream_examples(99), examples)]
    mismatches = positions = same = 0
    for text in [*CHECK_TEXTS, *drawn]:
        ids = hf_tokenizer(text, add_special_tokens=False)["input_ids"]
        mismatches += ids != llama.tokenize(text.encode("utf-8"), add_bos=False, special=True)
        llama.reset()
        llama.eval(ids)
        theirs = numpy.array(llama.scores[: len(ids)]).argmax(-1)
        with torch.no_grad():
            ours = model(torch.tensor([ids])).logits[0].argmax(-1).numpy()
        same += int((theirs == ours).sum())
        positions += len(ids)
    return Agreement(len(CHECK_TEXTS) + len(drawn), mismatches, positions, same)
