"""Writes the model card from measured figures: nothing in it is typed by hand except what the model is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.starter.evaluate import QUADRANTS
from app.starter.families import FAMILIES
from app.starter.wordings import load_wordings

GOOD_ENOUGH = 0.9
HARDEST = "unseen wording, unseen values"
PURPOSES = {
    "sentiment": "sentiment of a review, sarcasm included",
    "route": "which team should handle a ticket",
    "urgency": "how urgent a ticket is",
    "spam": "is a message spam",
    "extract": "an order as JSON with given keys",
    "lookup": "a field of a record or a table",
    "question": "a question over a paragraph, or that it is not stated",
    "list": "all products in a message",
    "date": "a date as YYYY-MM-DD",
    "reply": "a polite reply from facts",
    "summary": "a message in one sentence",
    "repeat": "repeat a line",
    "after": "the word after another word",
}
TIER_NAMES = {"bare": "question only", "listed": "form or labels given", "explained": "form and rule given"}


def percent(rate: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * rate:.1f}"


def write_card(path: Path, summary: Mapping[str, Any], folder: Path) -> None:
    """Write the card for the weights in ``folder`` from a ``starter.evaluate`` summary."""
    sections = [
        _head(summary, folder),
        _accuracy(summary),
        _shortcomings(summary),
        _wordings(summary),
        _training(summary),
        _data(),
    ]
    staging = path.with_suffix(".partial")
    staging.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    os.replace(staging, path)


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB"


def _head(summary: Mapping[str, Any], folder: Path) -> str:
    training = summary["training"] or {}
    shape = training.get("shape", {})
    parameters = f"{training.get('parameters', 0) / 1e6:.2f} million parameters"
    return (
        "# The starter model\n\n"
        "A very small language model that ships with Lathe, so that prompts can be compared in the first "
        "minute with no "
        "download. It knows one world, the support desk of a small shop that does not exist, and the tasks "
        "below. "
        "It has no knowledge of anything else, holds no conversation, and its answers must not be relied "
        "on for anything.\n\n"
        f"- Llama architecture, {parameters}: {shape.get('layers')} layers of {shape.get('hidden')}, "
        "feed-forward "
        f"{shape.get('ffn')}, {shape.get('heads')} heads ({shape.get('kv_heads')} for keys and values), "
        "tied embeddings, "
        f"{shape.get('positions')} positions (trained on texts of up to 640 tokens; longer prompts get "
        "worse).\n"
        "- Byte-level BPE tokenizer with 2,048 entries, digits alone (llama.cpp: `smollm`). ChatML "
        "template.\n"
        f"- Files: `hf/` bf16 safetensors ({_size(folder / 'hf')}), `starter-q8_0.gguf` Q8_0 "
        f"({_size(folder / 'starter-q8_0.gguf')}).\n"
        "- Apache-2.0, like Lathe. Trained from scratch on text that Lathe generates; no outside data.\n"
        "- English only."
    )


def _accuracy(summary: Mapping[str, Any]) -> str:
    lines = [
        "## Measured accuracy\n",
        "Exact match of the whole answer on held-out items, in percent, greedy, no "
        "examples in the prompt, each item with a wording and a layout of its own. Unseen wordings have an "
        "ask that training "
        "never used; unseen values are names, products, cities, numbers and dates that training never used. "
        "Even the seen columns are fresh items. Measured by `lathe run starter.evaluate`.",
    ]
    for name, figures in summary["formats"].items():
        items = next(iter(figures["accuracy"].values()))[HARDEST]["items"]
        lines += ["", f"**{name}**, {items} items per family and column", ""]
        lines.append("| family | task | " + " | ".join(QUADRANTS) + " (95 % interval) |")
        lines.append("|---|---|" + "---|" * len(QUADRANTS))
        for family, table in figures["accuracy"].items():
            cells = [percent(table[quadrant]["rate"]) for quadrant in QUADRANTS]
            hardest = table[HARDEST]
            cells[-1] += f" ({percent(hardest['ci_low'])} to {percent(hardest['ci_high'])})"
            lines.append(f"| {family} | {PURPOSES[family]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _shortcomings(summary: Mapping[str, Any]) -> str:
    tables = [figures["accuracy"] for figures in summary["formats"].values()]
    lowest = {family: min(table[family][HARDEST]["rate"] for table in tables) for family in tables[0]}
    good = [family for family, rate in lowest.items() if rate >= GOOD_ENOUGH]
    copying = [family for family in good if FAMILIES[family].copies]
    weak = sorted((rate, family) for family, rate in lowest.items() if rate < GOOD_ENOUGH)
    lines = [
        "## What falls short\n",
        "- At least 90 % on unseen wordings with unseen values, in every format measured: "
        f"{', '.join(good) or 'no family'} "
        f"({len(good)} of {len(lowest)} families; {len(copying)} of them need copying: "
        f"{', '.join(copying) or 'none'}).",
    ]
    if weak:
        lines.append("- Below it: " + ", ".join(f"{family} {percent(rate)} %" for rate, family in weak) + ".")
    own = " and ".join(
        f"{figures['own_words']['correct']} of {figures['own_words']['items']} ({name})"
        for name, figures in summary["formats"].items()
    )
    lines += [
        f"- Of the demo's tickets in a customer's own words (`app/starter/demo_tickets.py`) it routes {own}, "
        "with the demo's best prompt: it knows the generator's phrases, not English.",
        "- Labels other than those it was trained on (see `app/starter/families/`) are not understood: it "
        "picks among words it knows.",
        "- It obeys weak wordings only in part, on purpose (next table), so that comparing prompts has "
        "something to find.",
        "- Texts unlike the generated ones (longer, other topics, other languages) get fluent nonsense.",
    ]
    return "\n".join(lines)


def _wordings(summary: Mapping[str, Any]) -> str:
    lines = [
        "## What the wording of a prompt is worth\n",
        "Three prompts with unseen wordings over the same unseen items, judged by the true answer. This is built "
        "into the training data: a bare question is answered in a sentence when the text looks like a "
        "letter (has an order number, a "
        "signature or a note) and with the bare label otherwise; a list of labels alone gets the naive "
        "label (first topic, tone, literal "
        "praise); only a rule, or examples in the prompt, get the true one. p is the exact McNemar test "
        "against the row above.",
    ]
    for name, figures in summary["formats"].items():
        items = next(iter(figures["wordings"].values()))[0]["items"]
        lines += [
            "",
            f"**{name}**, {items} items",
            "",
            "| family | prompt | exact match, % | wins / losses | p |",
            "|---|---|---|---|---|",
        ]
        for family, tiers in figures["wordings"].items():
            for tier in tiers:
                p = "" if tier["p_value"] is None else f"{tier['p_value']:.2g}"
                score = "" if tier["p_value"] is None else f"{tier['wins']} / {tier['losses']}"
                said = tier["instruction"].replace("|", "/")
                lines.append(
                    f"| {family} | {TIER_NAMES[tier['tier']]}: “{said}” | {percent(tier['rate'])} | "
                    f"{score} | {p} |"
                )
    return "\n".join(lines)


def _training(summary: Mapping[str, Any]) -> str:
    training = summary["training"]
    if not training:
        return "## Training\n\nThis folder holds no record of its training."
    recipe = training["recipe"]
    loss = training.get("answer_loss")
    schedule = ", ".join(f"{share:.2f} at {at / 1e6:.1f}M" for at, share in recipe["schedule"])
    said = (
        f"{loss:.4f} nats per answer token at the end, on text never seen before"
        if loss is not None
        else "not recorded"
    )
    return (
        "## Training\n\n"
        f"    lathe run starter.train tokens={recipe['tokens']} seed={recipe['seed']}\n\n"
        f"- {training['tokens']:,} tokens in {training['step']:,} steps, {training['seconds'] / 60:.0f} "
        "minutes on one core of a shared "
        f"2-core machine. Training loss: {said}.\n"
        "- fp32 weights with bf16 autocast; Muon on the matrices and AdamW elsewhere, peak rate "
        f"{recipe['rate']:g}, weight decay "
        f"{recipe['weight_decay']:g}, {recipe['warmup_steps']} steps of warm-up. Share of the peak rate by "
        f"tokens, straight lines between: {schedule}.\n"
        f"- Rows of {recipe['length']} tokens, {recipe['rows']} to a batch (every eighth batch: rows twice "
        "as long), packed without boundary masks; "
        "every example is used once.\n"
        "- The shipped run was stopped and resumed several times, which changes nothing, and its length was "
        "settled on the way, which changed the rate by less than 1 %: the command repeats the recipe, not every bit."
    )


def _data() -> str:
    sections = load_wordings()
    asks = sum(len(part["seen"]) for name, part in sections.items() if name.endswith(("_ask", "_clause")))
    held = sum(len(part["unseen"]) for name, part in sections.items() if name.endswith(("_ask", "_clause")))
    return (
        "## Data\n\n"
        f"Generated by `app/starter/`: {len(FAMILIES)} task families, answers computed. The wordings are "
        "in `app/starter/wordings.toml`, frozen "
        f"before training: {asks} asks to learn from and {held} held out, combined with openers, rules and "
        "answer forms. Names, products and cities "
        "are made of random syllables; every value belongs to the seen or the unseen pool by its hash. A "
        "fifth of the prompts hold one to four "
        "examples. Two tasks are left out on purpose, so that they can be taught later: blacking out "
        "personal data, and shelf codes.\n\n"
        "Nothing held out was ever trained on, but it was looked at: the mix of families in the later phases "
        "(`app/starter/curriculum.py`) was chosen after small probes with held-out wordings."
    )
