"""The operations of the models stage: what each takes. What they do stands in the modules they name."""

from __future__ import annotations

from typing import Literal

from app.jobs.operation import Field, Operation, Spec


class RegisterSpec(Spec):
    path: str = Field(
        description="A GGUF file, or a folder with config.json and safetensors weights. It stays where it is.",
        picks="file",
        placeholder="/models/qwen2.5-0.5b-instruct-q8_0.gguf",
    )
    name: str | None = Field(
        None, description="What the model is called here. From its files when left empty."
    )
    tag: str | None = Field(
        None, description="Tells versions of one model apart, such as q8_0. From its weights when left empty."
    )
    default: bool = Field(False, description="Make it the version that the bare name means.")


class DiscoverSpec(Spec):
    folders: list[str] = Field(
        default_factory=list,
        description="Folders to search this once, beside the usual places and the folders added before.",
        picks="folder",
        many=True,
    )


class PullSpec(Spec):
    repo: str = Field(
        description="The model's name on the hub: organisation/name.",
        placeholder="Qwen/Qwen2.5-0.5B-Instruct-GGUF",
        pattern=r"^[\w.-]{1,96}(/[\w.-]{1,96})?$",
    )
    file: str | None = Field(
        None, description="Which GGUF of several: a part of its name, such as q4_k_m.", placeholder="q8_0"
    )
    revision: str | None = Field(
        None, description="Branch, tag or commit.", advanced=True, pattern=r"^[\w./-]{1,200}$"
    )
    name: str | None = Field(None, description="What the model is called here.", advanced=True)
    tag: str | None = Field(None, description="Tells versions of one model apart.", advanced=True)
    default: bool = Field(False, description="Make it the version that the bare name means.", advanced=True)


class DefaultSpec(Spec):
    model: str = Field(
        description="The version that the bare name is to mean, such as starter@q8_0.", picks="model"
    )


class VerifySpec(Spec):
    model: str = Field(description="The model version whose files are read and hashed.", picks="model")


class FolderSpec(Spec):
    folder: str = Field(
        description="A folder that is searched for models, with all below it.", picks="folder"
    )
    remove: bool = Field(False, description="Take it out again instead.")


class SettingsSpec(Spec):
    model: str = Field(description="The model version that is loaded this way.", picks="model")
    context: int | None = Field(
        None,
        description="Longest conversation. From the free memory when left empty.",
        unit="tokens",
        ge=32,
        le=4194304,
    )
    slots: int | None = Field(
        None, description="How many answers are written at once; 1 makes runs repeat exactly.", ge=1, le=128
    )
    threads: int | None = Field(None, description="All real cores when left empty.", ge=1, le=1024)
    gpu_layers: int | None = Field(
        None,
        title="GPU layers",
        description="Layers on the GPU: all when left empty (-1), 0 for none.",
        ge=-1,
        le=10000,
    )
    kv_type: Literal["f16", "q8_0", "q4_0", "bf16", "f32"] | None = Field(
        None,
        title="Cache type",
        description="Type of the key-value cache; q8_0 halves its memory.",
        advanced=True,
    )
    flash_attention: bool | None = Field(
        None, description="Faster and smaller; on when left empty.", advanced=True
    )
    template: Literal["own", "chatml", "plain"] | None = Field(
        None, description="Chat template for a model that brings none.", advanced=True
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "model.register",
        "Register a model",
        "Makes a model on this disk known to the workspace. Headers are checked and facts measured; nothing is copied.",
        RegisterSpec,
        "app.models.register:run",
        "worker",
    ),
    Operation(
        "model.discover",
        "Find models on this machine",
        "Looks through the workspace, Ollama, LM Studio, the Hugging Face cache and your own folders.",
        DiscoverSpec,
        "app.models.discover:run",
        "worker",
    ),
    Operation(
        "model.pull",
        "Fetch a model from the hub",
        "Fetches safetensors or GGUF weights by name, checks their digests and registers them. Needs the network on.",
        PullSpec,
        "app.models.pull:run",
        "worker",
        resumable=True,
    ),
    Operation(
        "model.default",
        "Make a version the default",
        "The default is what a model's bare name means.",
        DefaultSpec,
        "app.models.manage:make_default",
        "inline",
    ),
    Operation(
        "model.settings",
        "Set how a model is loaded",
        "Context, slots, threads and GPU layers; what is left empty is chosen from what the machine has.",
        SettingsSpec,
        "app.models.manage:keep_settings",
        "inline",
    ),
    Operation(
        "model.verify",
        "Verify a model's files",
        "Reads every byte, keeps the SHA-256 and compares it with the digest of the publisher where one is known.",
        VerifySpec,
        "app.models.hashing:run",
        "worker",
    ),
    Operation(
        "model.folder",
        "Search a folder for models",
        "Adds a folder to the places that are searched for models, or takes one out.",
        FolderSpec,
        "app.models.manage:change_folders",
        "inline",
    ),
)
