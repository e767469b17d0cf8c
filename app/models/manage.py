"""Small changes to what is registered: the default version, load settings, folders to search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.engine.settings import parse_settings
from app.models.register import summary
from store import models, settings
from store.errors import BadInput, NotFound

if TYPE_CHECKING:
    from app.jobs.context import Context
    from app.models.operations import DefaultSpec, FolderSpec, SettingsSpec

LOAD_FIELDS = ("context", "gpu_layers", "threads", "slots", "kv_type", "flash_attention", "template")


def make_default(spec: DefaultSpec, context: Context) -> dict[str, Any]:
    """Make a version what the model's bare name means."""
    version = models.set_default(context.store, spec.model)
    context.publish("model", version.id, version.ref, version.hash or version.quick_hash)
    return summary(version)


def keep_settings(spec: SettingsSpec, context: Context) -> dict[str, Any]:
    """Keep how a version is loaded from now on; what is left empty is chosen from what the machine has."""
    version = models.model_version(context.store, spec.model)
    wanted = {name: getattr(spec, name) for name in LOAD_FIELDS if getattr(spec, name) is not None}
    if wanted.get("template") == "own":
        del wanted["template"]
    parse_settings(wanted)  # its sentences name the field that is wrong
    trained = version.facts.get("context_length")
    if isinstance(trained, int) and wanted.get("context", 0) > trained:
        context.log(
            f"{version.ref} was trained for {trained} tokens; beyond that its answers get worse.", "warning"
        )
    models.update_facts(context.store, version.id, {"settings": wanted})
    context.publish("model", version.id, version.ref, version.hash or version.quick_hash)
    return {"ref": version.ref, "settings": wanted}


def change_folders(spec: FolderSpec, context: Context) -> dict[str, Any]:
    """Add a folder to those that are searched for models, or take one out. Nothing in it is touched."""
    folder = str(Path(spec.folder).expanduser())
    folders = [str(item) for item in settings.get(context.store, "model_folders")]
    if spec.remove:
        if folder not in folders:
            raise NotFound(
                f"{folder} is not among the folders that are searched. There is: {', '.join(folders) or 'none'}."
            )
        folders.remove(folder)
    else:
        if not Path(folder).is_dir():
            raise BadInput(f"{folder} is not a folder. Name the folder that holds your models.")
        folders = [*folders, folder] if folder not in folders else folders
    settings.set(context.store, "model_folders", folders)
    return {"folders": folders}
