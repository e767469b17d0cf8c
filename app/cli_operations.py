"""`lathe operations`: what can be done, and the fields of each thing, all read from the specs."""

from __future__ import annotations

import json
import sys
from typing import Any

from app.cli import DONE
from app.cli_workspace import Parser
from app.jobs import registry
from app.jobs.forms import FormField, form_fields
from app.jobs.operation import Operation
from widgets.text import safe_text


def operations(arguments: list[str]) -> int:
    """List the operations, or one with its fields; `--json` gives the JSON schema of its spec."""
    parser = Parser("operations", "List the operations; one with its fields.")
    parser.add_argument("operation", nargs="?", help="show this one with its fields")
    parser.add_argument("--json", action="store_true", help="as JSON; of one operation, its JSON schema")
    given = parser.parse_args(arguments)
    if given.operation is not None:
        operation = registry.operation(given.operation)
        sys.stdout.write(
            f"{json.dumps(schema(operation), indent=2)}\n" if given.json else described(operation)
        )
    elif given.json:
        known = [facts(operation) for operation in registry.operations().values()]
        sys.stdout.write(f"{json.dumps(known, indent=2)}\n")
    else:
        known_names = registry.operations()
        width = max((len(name) for name in known_names), default=0)
        for name, operation in known_names.items():
            sys.stdout.write(f"{name:<{width}}  {safe_text(operation.title)}\n")
    return DONE


def facts(operation: Operation) -> dict[str, Any]:
    """What there is to say of an operation beside its fields."""
    return {
        "name": operation.name,
        "title": operation.title,
        "description": operation.description,
        "kind": operation.kind,
        "stage": registry.stage_of(operation.name),
        "resumable": operation.resumable,
    }


def schema(operation: Operation) -> dict[str, Any]:
    """The JSON schema of the spec, with the operation's own facts beside it."""
    return operation.spec.model_json_schema() | {"operation": facts(operation)}


def described(operation: Operation) -> str:
    """The operation and its fields for a person: required ones first, advanced ones last."""
    fields = form_fields(operation.spec)
    lines = [f"{operation.name} · {operation.title}", "", operation.description, ""]
    for field in sorted(fields, key=lambda field: (field.advanced, not field.required)):
        lines.append(f"  {field.name}  ({', '.join(_about(field))})")
        lines.append(f"      {field.description}")
    if not fields:
        lines.append("  It has no fields.")
    lines += ["", f"lathe run {operation.name} {_example(fields)}".rstrip()]
    return safe_text("\n".join(lines)) + "\n"


def _about(field: FormField) -> list[str]:
    kind = f"list of {field.item}" if field.type == "list" else field.type
    about = [" | ".join(field.choices) if field.type == "choice" else kind]
    if field.unit:
        about.append(field.unit)
    if field.minimum is not None or field.maximum is not None:
        low = f"{field.minimum:g}" if field.minimum is not None else ""
        high = f"{field.maximum:g}" if field.maximum is not None else ""
        about.append(f"{low}…{high}")
    if field.required:
        about.append("needed")
    elif field.default not in (None, "", [], {}):
        about.append(f"default {_as_word(field.default)}")
    if field.advanced:
        about.append("advanced")
    return about


def _as_word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _example(fields: list[FormField]) -> str:
    return " ".join(f"{field.name}=…" for field in fields if field.required)
