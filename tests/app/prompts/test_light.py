"""What the screen needs before its first paint costs it no library."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "transformers",
    "llama_cpp",
    "datasets",
    "deepeval",
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "jsonschema",
    "yaml",
    "httpx",
    "regex",
}


def loaded_by(module: str) -> set[str]:
    """The top-level modules that importing `module` brings with it."""
    code = f"import sys, {module}; print(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "name", ["titles", "statistics", "subjects", "report", "words", "version_diff", "binomial"]
)
def test_labels_figures_and_differences_import_neither_pydantic_nor_jinja(name: str) -> None:
    assert not ({"pydantic", "jinja2"} | HEAVY) & loaded_by(f"app.prompts.{name}")


@pytest.mark.parametrize("name", ["operations", "plan", "compare", "builders", "promptfoo", "export"])
def test_no_module_imports_a_heavy_library_at_its_top(name: str) -> None:
    assert not HEAVY & loaded_by(f"app.prompts.{name}")
