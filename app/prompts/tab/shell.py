"""What the tab asks of the workbench around it, in one typed place."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from textual.dom import DOMNode

from store.workspace import Store

Answer = TypeVar("Answer")


class Shell(Protocol):
    """The verbs of the application that this stage uses."""

    store: Store
    root: Path

    async def read(self, function: Callable[..., Answer], *arguments: Any, **named: Any) -> Answer: ...

    async def run_operation(self, name: str, values: Mapping[str, Any]) -> Any: ...

    def open_form(
        self,
        operation: str,
        values: Mapping[str, Any] | None = None,
        then: Callable[[Any], None] | None = None,
    ) -> None: ...

    async def pick(self, noun: str, *, many: bool = False, title: str = "") -> Any: ...

    async def confirm(self, question: str, *, yes: str = "yes", no: str = "no") -> bool: ...

    def copy(self, text: str) -> None: ...

    def open_in_editor(self, text: str, suffix: str = ".txt") -> str | None: ...

    def engine(self) -> Any: ...


def shell(node: DOMNode) -> Shell:
    """The application as the shell it is."""
    return cast(Shell, node.app)
