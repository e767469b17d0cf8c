"""The operations of the models stage: what each takes. What they do stands in the modules they name."""

from __future__ import annotations

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


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "model.register",
        "Register a model",
        "Makes a model on this disk known to the workspace. Headers are checked and facts measured; nothing is copied.",
        RegisterSpec,
        "app.models.register:run",
        "worker",
    ),
)
