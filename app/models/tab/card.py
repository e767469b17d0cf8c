"""The card of a model: measured facts, real tensor types, memory against context, and what to do next."""

from __future__ import annotations

from typing import Any

from textual.content import Content

from app.models.advice import where_it_runs
from app.models.discover import Found
from app.models.tab.reads import Card, Loaded, parameters
from store.models import ModelVersion
from widgets import units
from widgets.sentence import keyed
from widgets.sparkline import bar
from widgets.text import safe_text

LABEL = 13
MUTED = "$foreground-muted"
FORMATS = {"gguf": "GGUF", "hf": "Hugging Face folder", "adapter": "adapter"}
MOST_TEMPLATE = 20_000
GAP = Content("")


def version_card(card: Card, loaded: Loaded | None, context: int | None, width: int) -> Content:
    """All that is known of a registered version. `context` is what the user chose to look at, None for its own."""
    version, facts = card.version, card.version.facts
    lines = [_head(version), *_title(facts), GAP]
    lines += [_line(label, text, hint) for label, text, hint in _facts(version) if text]
    lines += [GAP, *_histogram(facts, width)]
    if version.format != "adapter":
        lines += [GAP, *_memory(card, context, width), *_running(card, loaded)]
    lines += [GAP, *_files(card)]
    notes = [*facts.get("notes", [])]
    if card.disk != "unchanged":
        notes.insert(0, card.disk)
    for note in notes:
        lines.append(Content.assemble(("! ", "bold $text-warning"), (safe_text(note, newlines=False), "")))
    return Content("\n").join(lines)


def found_card(item: Found) -> Content:
    """What is known of something found and not registered: what it is, or why it cannot be used."""
    text = safe_text(item.name + (f":{item.tag}" if item.tag else ""), newlines=False)
    lines = [
        Content.assemble(
            (text, "bold $accent"), (f"   found in {safe_text(item.source, newlines=False)}", MUTED)
        ),
        Content(""),
    ]
    if item.problem:
        lines.append(Content.assemble(("✗ ", "bold $text-error"), (safe_text(item.problem), "")))
    else:
        about = " · ".join(
            part
            for part in (
                item.architecture,
                f"{parameters(item.parameters)} parameters" if item.parameters else "",
                item.quantisation,
                units.size(item.size_bytes),
            )
            if part
        )
        lines.append(_line("What", f"{FORMATS.get(item.format, item.format)} · {about}"))
    lines.append(_line("Path", item.path))
    if item.also:
        lines.append(_line("Also", ", ".join(item.also)))
    if not item.problem:
        lines += [Content(""), keyed("`i` or `enter` registers it where it lies; nothing is copied.", MUTED)]
    return Content("\n").join(lines)


def template_view(version: ModelVersion) -> Content:
    """The chat template's source as the file brings it, with its hash."""
    source = version.facts.get("chat_template")
    if not source:
        return Content(
            f"{safe_text(version.ref)} brings no chat template. Without one nobody knows how it expects messages: "
            "choose chatml or plain in its settings (e)."
        )
    more = len(source) - MOST_TEMPLATE
    text = safe_text(source[:MOST_TEMPLATE]) + (f"\n… and {more:,} characters more" if more > 0 else "")
    head = f"Chat template · {len(source):,} characters · {version.facts.get('chat_template_hash', '')[:12]}"
    thinking = "knows a thinking switch" if version.facts.get("thinking") else "has no thinking switch"
    return Content.assemble((head, "bold"), (f" · {thinking}\n\n", MUTED), (text, ""))


def _head(version: ModelVersion) -> Content:
    default = ("  ● default", "$accent") if version.is_default else ("", "")
    about = f"   {FORMATS[version.format]} · {units.size(version.size_bytes)} · version {version.number}"
    return Content.assemble((safe_text(version.ref, newlines=False), "bold $accent"), default, (about, MUTED))


def _title(facts: dict[str, Any]) -> list[Content]:
    title = safe_text(facts.get("title") or "", newlines=False)
    return [Content.styled(title, MUTED)] if title else []


def _facts(version: ModelVersion) -> list[tuple[str, str, str]]:
    """Label, what the model says of itself, and our own hint with keys."""
    facts = version.facts
    adapter = facts.get("adapter")
    if isinstance(adapter, dict):
        rank = f" · rank {adapter['rank']}" if adapter.get("rank") else ""
        alpha = f" · alpha {adapter['alpha']:g}" if isinstance(adapter.get("alpha"), int | float) else ""
        return [
            (
                "Adapter",
                f"{adapter.get('kind', '')}{rank}{alpha} · {parameters(facts.get('parameters') or 0)} parameters",
                "",
            ),
            (
                "Changes",
                ", ".join(map(str, adapter.get("targets") or [])) or f"{adapter.get('tensors', 0)} tensors",
                "",
            ),
            ("Made for", str(adapter.get("base") or "not said"), ""),
            ("Licence", str(facts.get("licence") or "not said"), ""),
        ]
    shape = [str(facts.get("architecture") or "unknown")]
    if facts.get("parameters"):
        shape.append(f"{parameters(facts['parameters'])} parameters")
    if facts.get("layers"):
        shape.append(f"{facts['layers']} layers × {facts.get('embedding_length') or '?'}")
    if facts.get("experts"):
        shape.append(f"{facts['experts']} experts")
    heads = f"{facts['heads']} heads, {facts['kv_heads']} for keys and values" if facts.get("heads") else ""
    context = facts.get("context_length")
    window = (
        f" · sliding window of {units.count(facts['sliding_window'])}" if facts.get("sliding_window") else ""
    )
    return [
        ("Architecture", " · ".join(shape), ""),
        ("Attention", heads, ""),
        ("Context", f"trained for {units.count(context)} tokens{window}" if context else "not said", ""),
        ("Tokenizer", _tokenizer(facts), ""),
        ("Template", *_template(facts)),
        ("Embeddings", "input and output share one matrix" if facts.get("tied_embeddings") else "untied", ""),
        ("Licence", str(facts.get("licence") or "not said"), ""),
    ]


def _tokenizer(facts: dict[str, Any]) -> str:
    parts = [str(facts.get("tokenizer") or "none")]
    if facts.get("vocabulary"):
        parts.append(f"{units.count(facts['vocabulary'])} tokens")
    if facts.get("bos") not in (None, ""):
        adds = facts.get("adds_bos")
        added = "" if adds is None else " (put in front)" if adds else " (not put in front)"
        parts.append(f"BOS {facts['bos']}{added}")
    if facts.get("eos") not in (None, ""):
        parts.append(f"EOS {facts['eos']}")
    return " · ".join(parts)


def _template(facts: dict[str, Any]) -> tuple[str, str]:
    source = facts.get("chat_template")
    if not source:
        return "none", "`e` chooses one"
    thinking = " · thinking can be switched" if facts.get("thinking") else ""
    return (
        f"{facts.get('chat_template_hash', '')[:12]} · {len(source):,} characters{thinking}",
        "`T` shows it",
    )


def _histogram(facts: dict[str, Any], width: int) -> list[Content]:
    """What the tensors really are, by bytes."""
    types = facts.get("types") or []
    total = sum(entry["bytes"] for entry in types) or 1
    head = f"{facts.get('quantisation', '')} · {facts.get('bits_per_weight', 0):g} bits a weight"
    lines = [_line("Weights", head)]
    room = max(8, min(40, width - 48))
    for entry in types[:8]:
        share = entry["bytes"] / total
        lines.append(
            Content.assemble(
                (f"  {safe_text(entry['type'], newlines=False):<9} ", ""),
                (bar(share, room), "$accent"),
                (
                    f" {units.percent(share):>6}  {units.size(entry['bytes']):>9}  "
                    f"{units.quantity(entry['tensors'], 'tensor')}",
                    MUTED,
                ),
            )
        )
    if len(types) > 8:
        lines.append(Content.styled(f"  and {len(types) - 8} types more", MUTED))
    return lines


def _memory(card: Card, context: int | None, width: int) -> list[Content]:
    """Need against what is free, at the chosen context and at every other."""
    advice = card.advice
    lines = [_line("Memory", "")]
    if advice.problem:
        lines = [
            Content.assemble(
                (f"{'Memory':<{LABEL}}", MUTED), ("✗ ", "bold $text-error"), safe_text(advice.problem)
            )
        ]
    else:
        mark = ("✓ fits", "bold $text-success") if advice.fits else ("! does not fit", "bold $text-warning")
        how = "measured" if advice.measured else "estimated"
        said = (
            f"{units.size(advice.needed)} {how} at {units.count(advice.context)} tokens × "
            f"{units.quantity(advice.slots, 'slot')}, {units.size(advice.free)} free  "
        )
        lines = [Content.assemble((f"{'Memory':<{LABEL}}", MUTED), said, mark)]
    chosen = context or advice.context
    largest = max((step.needed for step in card.steps), default=0)
    scale = max(largest, min(advice.free, largest * 2)) or 1
    room = max(8, min(40, width - 48))
    nearest = min((step.context for step in card.steps), key=lambda item: abs(item - chosen), default=0)
    for step in card.steps:
        here = step.context == nearest
        style = "$text-success" if step.fits else "$text-warning"
        lines.append(
            Content.assemble(
                ("▸" if here else " ", "bold $accent"),
                (f"{units.count(step.context):>9} ", "bold" if here else MUTED),
                (bar(step.needed / scale, room), style if here else f"{style} 50%"),
                (f" {units.size(step.needed):>9}", "" if here else MUTED),
                (" !" if not step.fits else "", "bold $text-warning"),
            )
        )
    return lines


def _running(card: Card, loaded: Loaded | None) -> list[Content]:
    settings = card.advice.settings
    own = bool(card.version.facts.get("settings"))
    lines = [
        _line(
            "Loads",
            f"{where_it_runs(settings, card.there)} · {'as you set it' if own else 'chosen for you'}",
            "`e` sets it",
        )
    ]
    if loaded is None:
        lines.append(_line("Loaded", "no", "`l` loads it, `c` tries it"))
    else:
        speed = (
            f" · {units.rate(loaded.tokens_per_second, 'token')} of late" if loaded.tokens_per_second else ""
        )
        said = f"{loaded.state}, holds {units.size(loaded.rss_bytes)}{speed}"
        lines.append(_line("Loaded", said, "`l` unloads it"))
    return lines


def _files(card: Card) -> list[Content]:
    version, facts = card.version, card.version.facts
    verified = f"SHA-256 {version.hash[:16]}…" if version.hash else "not read whole yet"
    if version.hash and facts.get("published"):
        verified += " · as published"
    state = "unchanged since it was registered" if card.disk == "unchanged" else "see below"
    hint = "" if version.hash else "`v` verifies"
    lines = [_line("On disk", f"{state} · {verified}", hint), _line("Path", version.path)]
    if facts.get("parts"):
        lines.append(_line("Files", f"{len(facts['parts'])} parts: {facts['parts'][0]} …"))
    origin = facts.get("origin")
    if isinstance(origin, dict):
        place = str(origin.get("ollama") or origin.get("repo") or "")
        where = "Ollama" if origin.get("ollama") else "the hub"
        revision = str(origin.get("revision") or "")[:12]
        lines.append(_line("From", f"{where}: {place}" + (f" · revision {revision}" if revision else "")))
    if card.adapters:
        lines.append(_line("Adapters", ", ".join(item.ref for item in card.adapters)))
    return lines


def _line(label: str, text: str, hint: str = "") -> Content:
    """A label with its value, which may be foreign, and a hint of our own with keys between backticks."""
    value = safe_text(text, newlines=False)
    line = Content.assemble((f"{label:<{LABEL}}", MUTED), (value, ""))
    return line if not hint else Content("").join([line, Content(" · "), keyed(hint)])
