"""The list on the left: registered models with their versions, then what was found and is not registered."""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding

from app.models.advice import Machine, advise
from app.models.discover import Found
from app.models.tab.reads import Loaded, Models
from store.errors import LatheError
from store.models import ModelVersion
from widgets import units
from widgets.version_tree import Node, Outline, OutlineItem, tree_guides


class Shelf(Outline, inherit_bindings=False):
    """The models of this workspace and of this machine."""

    BINDINGS = [
        Binding("up,k", "move(-1)", "up", show=False, id="models-list.up"),
        Binding("down,j", "move(1)", "down", show=False, id="models-list.down"),
        Binding("pageup", "move(-10)", "page up", show=False, id="models-list.page-up"),
        Binding("pagedown", "move(10)", "page down", show=False, id="models-list.page-down"),
        Binding("home,g", "edge(-1)", "first", show=False, id="models-list.first"),
        Binding("end,G", "edge(1)", "last", show=False, id="models-list.last"),
        Binding("enter", "choose", "open", id="models-list.open"),
    ]


def shelf_items(
    models: Models, loaded: Mapping[int, Loaded], there: Machine | None, wanted: str = ""
) -> list[OutlineItem]:
    """The lines of the list; `wanted` keeps what has that text in its name, tag or source."""
    needle = wanted.lower()
    items: list[OutlineItem] = []
    by_name: dict[str, list[ModelVersion]] = {}
    for version in models.versions:
        if needle in f"{version.name}@{version.tag} {version.format}".lower():
            by_name.setdefault(version.name, []).append(version)
    for name, versions in by_name.items():
        items += _model(name, versions, loaded, there)
    found = [item for item in models.found if needle in f"{item.name}:{item.tag} {item.source}".lower()]
    if found:
        if items:
            items.append(OutlineItem(None, ""))
        items.append(OutlineItem(None, "On this machine"))
    source = ""
    for item in sorted(
        found, key=lambda item: (bool(item.problem), item.source, item.name.lower(), item.tag)
    ):
        heading = "refused" if item.problem else item.source
        if heading != source:
            source = heading
            items.append(OutlineItem(None, f"  {heading}"))
        items.append(_found(item))
    return items


def fit_mark(version: ModelVersion, there: Machine | None, held: int = 0) -> str:
    """✓ when it fits into the memory that is free, ! when it does not; empty for what cannot be loaded alone."""
    if there is None or version.format == "adapter":
        return ""
    try:
        return "✓" if advise(version, there, held=held).fits else "!"
    except LatheError:
        return "!"


def _model(
    name: str, versions: list[ModelVersion], loaded: Mapping[int, Loaded], there: Machine | None
) -> list[OutlineItem]:
    held = sum(item.rss_bytes for item in loaded.values())
    lines: list[OutlineItem] = []
    if len(versions) == 1:
        return [
            _version(versions[0], f"{name}@{versions[0].tag or versions[0].number}", "", loaded, there, held)
        ]
    lines.append(OutlineItem(None, name))
    known = {version.id: version for version in versions}
    nodes = [
        Node(version.id, version.parent_id if version.parent_id in known else None) for version in versions
    ]
    ends = tree_guides(nodes)
    for index, (key, guides) in enumerate(ends):
        version = known[int(str(key))]
        joint = guides or ("└ " if index == len(ends) - 1 else "├ ")
        lines.append(_version(version, version.tag or f"@{version.number}", joint, loaded, there, held))
    return lines


def _version(
    version: ModelVersion,
    text: str,
    guides: str,
    loaded: Mapping[int, Loaded],
    there: Machine | None,
    held: int,
) -> OutlineItem:
    marks = " ●" if version.is_default else ""
    marks += " ▶" if version.id in loaded else ""
    kind = {"gguf": "gguf", "hf": "hf", "adapter": "lora"}[version.format]
    note = " ".join(
        part for part in (kind, units.size(version.size_bytes), fit_mark(version, there, held)) if part
    )
    return OutlineItem(("version", version.id), text + marks, guides, note, strong=version.is_default)


def _found(item: Found) -> OutlineItem:
    text = item.name + (f":{item.tag}" if item.tag else "")
    note = "✗" if item.problem else units.size(item.size_bytes)
    return OutlineItem(("found", item.key), text, "  ", note, quiet=bool(item.problem))
