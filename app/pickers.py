"""What can be chosen for a reference, by noun: the only place that turns a noun into a list to pick from."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.screen import ModalScreen

from store import datasets, evaluations, jobs, models, prompts
from store.workspace import Store
from widgets import units
from widgets.file_picker import FilePicker
from widgets.listing import Column, Row
from widgets.picker import PickerScreen
from widgets.text import safe_text

if TYPE_CHECKING:
    from app.workbench import Workbench

MOST = 500
Read = Callable[[Store, str], Sequence[Row]]


def _quiet(text: str) -> Content:
    return Content.styled(safe_text(text, newlines=False), "$foreground-muted")


def _prompts(store: Store, text: str) -> Sequence[Row]:
    return [
        Row(prompt.name, (prompt.name, _quiet(units.quantity(prompt.versions, "version"))))
        for prompt in prompts.list_prompts(store, limit=MOST, filter=text)
    ]


def _versions_of(store: Store, name: str, text: str) -> Sequence[Row]:
    """Versions of one prompt, chosen by number."""
    return [
        Row(str(version.number), (f"@{version.number}", _quiet(" ".join((*version.labels, version.note)))))
        for version in reversed(prompts.prompt_versions(store, name))
        if text in f"{version.number} {version.note} {' '.join(version.labels)}"
    ]


def _prompt_versions(store: Store, text: str) -> Sequence[Row]:
    name, _, selector = text.partition("@")
    return [
        Row(version.ref, (version.ref, _quiet(" ".join((*version.labels, version.note)))))
        for prompt in prompts.list_prompts(store, limit=50, filter=name)
        for version in reversed(prompts.prompt_versions(store, prompt.name))
        if selector in str(version.number) or selector in version.labels
    ]


def _datasets(role: str | None) -> Read:
    def read(store: Store, text: str) -> Sequence[Row]:
        return [
            Row(dataset.name, (dataset.name, _quiet(units.quantity(dataset.rows, "row"))))
            for dataset in datasets.list_datasets(store, role=role, limit=MOST, filter=text)
        ]

    return read


def _models(store: Store, text: str) -> Sequence[Row]:
    rows = []
    for model in models.list_models(store, limit=MOST, filter=text):
        for version in models.model_versions(store, model.name):
            what = f"{version.format} · {units.size(version.size_bytes)}"
            rows.append(
                Row(version.ref, (version.ref, _quiet(what + (" · default" if version.is_default else ""))))
            )
    return rows


def _evaluations(store: Store, text: str) -> Sequence[Row]:
    return [
        Row(
            str(evaluation.id),
            (f"{evaluation.id}  {safe_text(evaluation.name)}", _quiet(evaluation.created_at[:16])),
        )
        for evaluation in evaluations.list_evaluations(store, limit=MOST)
        if text.lower() in f"{evaluation.id} {evaluation.name}".lower()
    ]


def _jobs(store: Store, text: str) -> Sequence[Row]:
    return [
        Row(str(job.id), (f"{job.id}  {safe_text(job.title or job.operation)}", _quiet(job.state)))
        for job in jobs.list_jobs(store, limit=MOST)
        if text.lower() in f"{job.id} {job.title} {job.operation}".lower()
    ]


READS: dict[str, tuple[str, Read]] = {
    "prompt": ("prompt", _prompts),
    "prompt_version": ("prompt version", _prompt_versions),
    "cases": ("case set", _datasets("cases")),
    "dataset": ("dataset", _datasets(None)),
    "model": ("model", _models),
    "evaluation": ("comparison", _evaluations),
    "job": ("job", _jobs),
}


def picker(
    app: "Workbench", noun: str, *, many: bool = False, title: str = "", within: str = ""
) -> ModalScreen[Any]:
    """A screen that chooses one or `many` of `noun`; `within` names the prompt whose versions are meant."""
    if noun in ("file", "folder"):
        return FilePicker(Path.cwd(), folders=noun == "folder", title=title)
    name, read = READS[noun]
    if noun == "prompt_version" and within:

        def read(store: Store, text: str) -> Sequence[Row]:
            return _versions_of(store, within, text)

    async def load(text: str) -> Sequence[Row]:
        return await app.read(read, app.store, text)

    columns = [Column(name, 0), Column("", 0, keep=5)]
    return PickerScreen(title or f"Choose a {name}", columns, load, many=many, empty=f"No {name} here yet.")
