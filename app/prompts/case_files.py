"""Reading other people's case files: CSV, JSON and JSON Lines, as a stream, with every bad row named by its
line."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from app.prompts.cases import HELD_OUT_SHARE, Case, parse_case, split_tags
from app.prompts.json_text import NotJson, read_json
from app.prompts.promptfoo_checks import NotMapped, checks_from_text, read_test
from store.errors import BadInput

Format = Literal["csv", "json", "jsonl"]
MAX_JSON_BYTES = 512_000_000
SHOWN_ERRORS = 20
_DELIMITERS = ",;\t|"
_LIST_KEYS = ("cases", "tests", "rows", "data", "examples")


@dataclass
class Reading:
    """What a file turned out to hold; filled while its cases are streamed."""

    format: Format = "csv"
    rows: int = 0
    rejected: list[tuple[int, str]] = field(default_factory=list)
    """(line number, reason) of the first rejected rows."""
    rejected_count: int = 0
    unit: str = "line"
    """What the numbers in `rejected` count: `line`, or `item` of a JSON list."""
    variables: dict[str, int] = field(default_factory=dict)
    """Variable → how many cases have it, in the order of appearance."""
    not_imported: dict[str, str] = field(default_factory=dict)
    """Column or key → why it was left out."""
    checks: list[Any] = field(default_factory=list)
    """Default checks that the file itself declares."""

    def reject(self, line: int, reason: str) -> None:
        """Note a row that cannot be used."""
        self.rejected_count += 1
        if len(self.rejected) < 1000:
            self.rejected.append((line, reason))

    def sentence(self) -> str:
        """The rejected rows in words, the first of them by line; empty when there are none."""
        if not self.rejected_count:
            return ""
        named = "; ".join(f"{self.unit} {line}: {reason}" for line, reason in self.rejected[:SHOWN_ERRORS])
        more = self.rejected_count - min(self.rejected_count, SHOWN_ERRORS)
        return named + (f"; and {more:,} more" if more else "")


@dataclass(frozen=True)
class ReadOptions:
    """How to read a case file; everything has a default that fits most files."""

    format: Format | None = None
    expected: str = "expected"
    """The column or key that holds the expected answer."""
    tags: str = "tags"
    delimiter: str | None = None
    encoding: str | None = None
    held_out: float = HELD_OUT_SHARE
    limit: int | None = None


def read_cases(path: Path, options: ReadOptions, reading: Reading) -> Iterator[Case]:
    """Stream the usable cases of a file; `reading` learns about the others.

    Raises BadInput, as a sentence with the line, when the file as a whole cannot be read or holds no case.
    """
    _refuse_odd_files(path)
    reading.format = options.format or _format_of(path)
    reader: Callable[[Path, ReadOptions, Reading], Iterator[Case]]
    reader = {"csv": _read_csv, "json": _read_json_file, "jsonl": _read_jsonl}[reading.format]
    try:
        for case in reader(path, options, reading):
            reading.rows += 1
            for name in case.variables:
                reading.variables[name] = reading.variables.get(name, 0) + 1
            yield case
            if options.limit is not None and reading.rows >= options.limit:
                return
    except UnicodeDecodeError as error:
        line = _line_of_bad_byte(path, options.encoding or "utf-8")
        raise BadInput(
            f"{path.name} is not {options.encoding or 'UTF-8'} text (line {line}: {error.reason}). Save it "
            f"as UTF-8, "
            "or name its encoding, such as encoding=cp1252."
        ) from None
    except LookupError:
        raise BadInput(f"There is no text encoding named {options.encoding}. Try utf-8 or cp1252.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from None
    if not reading.rows and not reading.rejected_count:
        raise BadInput(
            f"{path.name} holds no cases: it is empty, or has only a header. Add at least one row."
        )


def _refuse_odd_files(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise BadInput(f"There is no file {path}. Check the path.") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}.") from None
    if stat.S_ISDIR(status.st_mode):
        raise BadInput(f"{path} is a folder. Name one CSV, JSON or JSONL file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise BadInput(
            f"{path} is not an ordinary file, so it is not read. Copy its content into a file first."
        )
    if status.st_size == 0:
        raise BadInput(f"{path.name} is empty. A CSV needs a header and a row; JSON needs a list of objects.")


def _format_of(path: Path) -> Format:
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    if suffix in (".csv", ".tsv", ".txt"):
        return "csv"
    with path.open("rb") as file:
        start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if suffix == ".json":
        # Many files named .json hold one object per line.
        first, _, rest = start.partition(b"\n")
        return (
            "jsonl" if first.startswith(b"{") and first.rstrip().endswith(b"}") and rest.strip() else "json"
        )
    return "json" if start[:1] == b"[" else "jsonl" if start[:1] == b"{" else "csv"


def _open(path: Path, encoding: str | None) -> TextIO:
    if encoding is None:
        with path.open("rb") as file:
            mark = file.read(2)
        encoding = "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return path.open(encoding=encoding, newline="")


def _line_of_bad_byte(path: Path, encoding: str) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(encoding)
            except UnicodeError:
                return number
    return 1


# --- CSV
# ----------------------------------------------------------------------------------------------------------


def _read_csv(path: Path, options: ReadOptions, reading: Reading) -> Iterator[Case]:
    csv.field_size_limit(4_000_000)
    with _open(path, options.encoding) as file:
        sample = file.read(65_536)
        file.seek(0)
        delimiter = options.delimiter or ("\t" if path.suffix.lower() == ".tsv" else _delimiter_of(sample))
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next((row for row in reader if any(cell.strip() for cell in row)), [])
        except csv.Error as error:
            raise BadInput(f"{path.name} has a header that cannot be read (line 1: {error}).") from None
        columns = [name.strip() for name in header]
        _check_header(path, columns, options, reading)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end of data" in str(error):
                    reading.reject(
                        line, "a quote opened in this row is never closed, so the rest of the file is lost"
                    )
                    return
                reading.reject(line, f"the row is not CSV: {error}")
                continue
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                reading.reject(line, f"the row has {len(cells)} cells, the header {len(columns)}")
                continue
            try:
                yield _case_of_cells(columns, cells, options, reading)
            except BadInput as problem:
                reading.reject(line, str(problem))


def _delimiter_of(sample: str) -> str:
    """The delimiter under which the most rows agree on their number of cells; a comma when nothing does."""
    best, best_score = ",", 0
    for delimiter in _DELIMITERS:
        widths: list[int] = []
        try:
            for row in csv.reader(io.StringIO(sample), delimiter=delimiter):
                widths.append(len(row))
                if len(widths) == 50:
                    break
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        score = sum(width == widths[0] for width in widths) * 100 + widths[0]
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _check_header(path: Path, columns: list[str], options: ReadOptions, reading: Reading) -> None:
    if not columns:
        raise BadInput(f"{path.name} holds no cases: it is empty. Add a header and a row.")
    unnamed = [number for number, name in enumerate(columns, 1) if not name]
    if unnamed:
        raise BadInput(f"Column {unnamed[0]} of {path.name} has no name in the header (line 1). Name it.")
    twice = next((name for number, name in enumerate(columns) if name in columns[:number]), None)
    if twice is not None:
        raise BadInput(f"{path.name} has two columns named {twice!r} (line 1). Rename one of them.")
    if options.expected != "expected" and options.expected not in columns:
        raise BadInput(f"{path.name} has no column {options.expected!r}. It has: {', '.join(columns[:20])}.")
    for name in columns:
        if name.startswith("__") and not name.startswith("__expected") and name != "__description":
            reading.not_imported[name] = "a promptfoo column that has no meaning here"


def _case_of_cells(columns: list[str], cells: list[str], options: ReadOptions, reading: Reading) -> Case:
    row: dict[str, Any] = {"variables": {}}
    checks: list[Any] = []
    for name, cell in zip(columns, cells, strict=True):
        if name == options.expected:
            row["expected"] = cell if cell != "" else None
        elif name == options.tags:
            row["tags"] = split_tags(cell)
        elif name.startswith("__expected"):
            if cell.strip():
                try:
                    checks += checks_from_text(cell)
                except NotMapped as problem:
                    reading.not_imported[name] = str(problem)
        elif name in ("split", "name", "__description"):
            if cell.strip():
                row["name" if name == "__description" else name] = cell.strip()
        elif name == "checks":
            if cell.strip():
                try:
                    found = read_json(cell)
                except NotJson as problem:
                    raise BadInput(f"the checks are not JSON ({problem})") from None
                checks += found if isinstance(found, list) else [found]
        elif not name.startswith("__"):
            row["variables"][name] = cell
    if checks:
        row["checks"] = checks
    return parse_case(row, held_out=options.held_out)


# --- JSON
# ---------------------------------------------------------------------------------------------------------


def _read_jsonl(path: Path, options: ReadOptions, reading: Reading) -> Iterator[Case]:
    with _open(path, options.encoding) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = read_json(line.rstrip("\r\n"), unique_keys=True)
            except NotJson as problem:
                reading.reject(number, f"the line is not JSON: {_without_line(str(problem))}")
                continue
            try:
                yield _case_of_value(value, options, reading)
            except BadInput as problem:
                reading.reject(number, str(problem))


def _read_json_file(path: Path, options: ReadOptions, reading: Reading) -> Iterator[Case]:
    reading.unit = "item"
    if path.stat().st_size > MAX_JSON_BYTES:
        raise BadInput(
            f"{path.name} is larger than {MAX_JSON_BYTES // 1_000_000} MB. Save it as JSON Lines instead."
        )
    with _open(path, options.encoding) as file:
        text = file.read()
    try:
        value = read_json(text, limit=MAX_JSON_BYTES, unique_keys=True)
    except NotJson as problem:
        raise BadInput(f"{path.name} is not JSON: {problem}. Correct it there.") from None
    if isinstance(value, dict):
        key = next((key for key in _LIST_KEYS if isinstance(value.get(key), list)), None)
        if key is None:
            value = [value]
        else:
            declared = value.get("checks")
            reading.checks = declared if isinstance(declared, list) else []
            for name in value:
                if name not in (key, "checks"):
                    reading.not_imported[str(name)] = (
                        f"only {key!r} and 'checks' are read from the file's top level"
                    )
            value = value[key]
    if not isinstance(value, list):
        raise BadInput(f"{path.name} holds {type(value).__name__}, not a list of cases.")
    for number, item in enumerate(value, 1):
        try:
            yield _case_of_value(item, options, reading)
        except BadInput as problem:
            reading.reject(number, str(problem))


def _case_of_value(value: Any, options: ReadOptions, reading: Reading) -> Case:
    if isinstance(value, dict) and ("assert" in value or ("vars" in value and "variables" not in value)):
        return read_test(value, reading.not_imported, held_out=options.held_out)
    if isinstance(value, dict) and options.tags != "tags" and options.tags in value:
        value = {**value, "tags": value[options.tags]}
        del value[options.tags]
    return parse_case(value, held_out=options.held_out, expected_key=options.expected)


def _without_line(problem: str) -> str:
    return problem.replace("line 1, column", "column")
