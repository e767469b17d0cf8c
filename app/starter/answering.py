"""Greedy answers to many prompts: from the GGUF through llama.cpp, from the folder through torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from app.starter.prompting import Message
from app.starter.tokenizer import StarterTokenizer

ANSWER_TOKENS = 200
CONTEXT = 2048
BATCH = 160

Report = Callable[[int], None]


def answer_with_gguf(
    path: Path, prompts: Sequence[Sequence[Message]], report: Report = lambda done: None
) -> list[str]:
    """One greedy answer per prompt, through llama.cpp with the template and the tokenizer in the file."""
    import llama_cpp
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    llama = llama_cpp.Llama(str(path), n_ctx=CONTEXT, n_threads=1, n_threads_batch=1, verbose=False)
    template = Jinja2ChatFormatter(
        template=llama.metadata["tokenizer.chat_template"], eos_token="", bos_token=""
    )
    answers = []
    for number, messages in enumerate(prompts):
        ids = llama.tokenize(
            template(messages=list(messages)).prompt.encode("utf-8"), add_bos=False, special=True
        )
        made: list[int] = []
        for token in llama.generate(ids, temp=0.0, repeat_penalty=1.0):
            if token == llama.token_eos() or len(made) >= ANSWER_TOKENS:
                break
            made.append(token)
        answers.append(llama.detokenize(made).decode("utf-8", "replace"))
        report(number + 1)
    return answers


def answer_with_folder(
    folder: Path, prompts: Sequence[Sequence[Message]], report: Report = lambda done: None
) -> list[str]:
    """One greedy answer per prompt, through transformers, in batches of prompts of like length."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = StarterTokenizer.load(folder / "tokenizer.json")
    pad = json.loads((folder / "config.json").read_text(encoding="utf-8"))["pad_token_id"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    encoded = [tokenizer.encode_prompt(messages) for messages in prompts]
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    answers = [""] * len(encoded)
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        longest = max(len(encoded[index]) for index in chosen)
        rows = [[pad] * (longest - len(encoded[index])) + encoded[index] for index in chosen]
        ids = torch.tensor(rows)
        mask = torch.tensor([[0] * (longest - len(encoded[i])) + [1] * len(encoded[i]) for i in chosen])
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=ANSWER_TOKENS,
                eos_token_id=tokenizer.turn_end,
                pad_token_id=pad,
            )
        for index, row in zip(chosen, made[:, longest:].tolist(), strict=True):
            end = row.index(tokenizer.turn_end) if tokenizer.turn_end in row else len(row)
            answers[index] = tokenizer.decode(row[:end])
        report(start + len(chosen))
    return answers
