"""The lines of the left pane: prompts as trees of versions, case sets, past comparisons."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from app.prompts.tab.selection import Selection
from store.prompts import Prompt, PromptVersion
from widgets.version_tree import Node, OutlineItem, tree_guides


@dataclass(frozen=True)
class CaseSet:
    """One version of a case set as the list shows it."""

    ref: str
    rows: int


@dataclass(frozen=True)
class Past:
    """One comparison as the list shows it."""

    id: int
    title: str
    note: str
    live: bool = False


@dataclass(frozen=True)
class Shelf:
    """Everything the left pane lists. `versions` has the versions of the prompts that are unfolded."""

    prompts: Sequence[Prompt] = ()
    versions: Mapping[str, Sequence[PromptVersion]] | None = None
    drafts: Collection[str] = ()
    cases: Sequence[CaseSet] = ()
    past: Sequence[Past] = ()
    more_prompts: bool = False


def lines(shelf: Shelf, selection: Selection, shown: int | None) -> list[OutlineItem]:
    """The pane from top to bottom. Keys are tuples whose first part says what the line is.

    `shown` is the comparison in the matrix.
    """
    items: list[OutlineItem] = []
    unfolded = shelf.versions or {}
    for prompt in shelf.prompts:
        is_open = prompt.name in unfolded
        count = str(prompt.versions) if not is_open else ""
        sign = "▾" if is_open else "▸"
        items.append(
            OutlineItem(
                ("prompt", prompt.name),
                f"{sign} {prompt.name}",
                note=count,
                strong=prompt.name == selection.prompt,
            )
        )
        if is_open:
            items += _versions(prompt, unfolded[prompt.name], prompt.name in shelf.drafts, selection)
    if not shelf.prompts:
        items.append(OutlineItem(("new", "prompt"), "n writes a prompt", quiet=True))
    if shelf.more_prompts:
        items.append(OutlineItem(("more", "prompts"), "more …", quiet=True))
    items += [OutlineItem(None, ""), OutlineItem(None, "Cases")]
    for case_set in shelf.cases:
        items.append(
            OutlineItem(
                ("cases", case_set.ref),
                case_set.ref,
                note=f"{case_set.rows:,}",
                marked=case_set.ref == selection.cases,
            )
        )
    if not shelf.cases:
        items.append(OutlineItem(("new", "cases"), "i imports, c types", quiet=True))
    if shelf.past:
        items += [OutlineItem(None, ""), OutlineItem(None, "Comparisons")]
        for past in shelf.past:
            items.append(
                OutlineItem(
                    ("past", past.id),
                    past.title,
                    note="◌" if past.live else past.note,
                    strong=past.id == shown,
                    quiet=past.id != shown,
                )
            )
    return items


def _versions(
    prompt: Prompt, versions: Sequence[PromptVersion], has_draft: bool, selection: Selection
) -> list[OutlineItem]:
    chosen = selection.prompt == prompt.name
    by_id = {version.id: version for version in versions}
    items = []
    for key, guides in tree_guides([Node(version.id, version.parent_id) for version in versions]):
        version = by_id[int(str(key))]
        labels = ", ".join(label for label in version.labels)
        items.append(
            OutlineItem(
                ("version", prompt.name, version.number),
                f"@{version.number} {version.note}".rstrip(),
                guides=guides,
                note=f"{labels} ●" if labels else "",
                marked=chosen and version.number in selection.versions,
            )
        )
    if has_draft:
        items.append(
            OutlineItem(("draft", prompt.name), "draft •", guides="", marked=chosen and selection.draft)
        )
    return items
