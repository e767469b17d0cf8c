"""Registers an exported run in a workspace: the folder as `bf16`, the GGUF as `q8_0` and default."""

from __future__ import annotations

from pathlib import Path

from app.models.examine import examine
from app.models.register import register
from app.starter.export import GGUF_FILE, HF_FOLDER
from store.models import ModelVersion
from store.workspace import Store


def register_starter(store: Store, folder: Path, name: str, *, job_id: int) -> list[ModelVersion]:
    """Both files in ``folder`` as versions of the model ``name``."""
    return [
        register(store, examine(folder / HF_FOLDER), name=name, tag="bf16", job_id=job_id),
        register(store, examine(folder / GGUF_FILE), name=name, tag="q8_0", default=True, job_id=job_id),
    ]
