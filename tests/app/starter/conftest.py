"""A small tokenizer and a small trained run, made once for all tests of the starter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.starter.tokenizer import StarterTokenizer, train_tokenizer
from app.starter.train import Recipe, Run, Shape

TINY_SHAPE = Shape(layers=2, hidden=256, ffn=256, heads=4, kv_heads=2, positions=512)
TINY_RECIPE = Recipe(tokens=10_000_000, rows=2, length=128, warmup_steps=2, compiled=False)


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer(1, examples=1500).save(str(path))
    return path


@pytest.fixture(scope="session")
def tokenizer(tokenizer_file: Path) -> StarterTokenizer:
    return StarterTokenizer.load(tokenizer_file)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tokenizer_file: Path) -> Path:
    """The folder of a two-layer run of 30 steps."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copy(tokenizer_file, folder / "tokenizer.json")
    Run(folder, TINY_RECIPE, TINY_SHAPE).train(lambda progress: None, max_steps=30)
    return folder
