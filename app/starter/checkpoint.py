"""The state of a training run as one safetensors file, written so that a kill never leaves half a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def save_state(path: Path, tensors: Mapping[str, torch.Tensor], meta: Mapping[str, Any]) -> None:
    """Write ``tensors`` and JSON ``meta`` to ``path``: complete and durable, or not at all."""
    from safetensors.torch import save_file

    staging = path.with_suffix(".partial")
    plain = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    save_file(plain, staging, metadata={"state": json.dumps(dict(meta))})
    with staging.open("rb") as handle:
        os.fsync(handle.fileno())
    os.replace(staging, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the meta data that ``save_state`` wrote."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as handle:
        meta = json.loads((handle.metadata() or {})["state"])
        return {name: handle.get_tensor(name) for name in handle.keys()}, meta  # noqa: SIM118


def pack_optimizer(
    optimizer: torch.optim.Optimizer, names: Mapping[int, str], prefix: str
) -> dict[str, torch.Tensor]:
    """An optimizer's tensors as ``prefix/parameter/slot``; ``names`` maps ``id(parameter)`` to its name."""
    import torch

    packed: dict[str, torch.Tensor] = {}
    for parameter, slots in optimizer.state.items():
        for slot, value in slots.items():
            tensor = value if isinstance(value, torch.Tensor) else torch.tensor(float(value))
            packed[f"{prefix}/{names[id(parameter)]}/{slot}"] = tensor
    return packed


def unpack_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, torch.nn.Parameter],
    prefix: str,
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Put back what ``pack_optimizer`` took."""
    for key, tensor in tensors.items():
        kind, _, rest = key.partition("/")
        if kind == prefix:
            name, _, slot = rest.rpartition("/")
            optimizer.state[parameters[name]][slot] = tensor
