"""The border between text that was not typed in our code and the screen.

Textual and Rich hand ESC, C1 and bidi controls to the terminal from every widget (a model token can write the
user's clipboard), so model output, dataset cells, file names, metadata and errors pass through `safe_text`
before they reach a widget, stderr or a log line. Standard library only: every room may import this module.
"""

import re

# What Python's `re` can spell without a Unicode database: marks that stack on one letter.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u06d6-\u06dc\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_MOST_MARKS = 8

# C0 without tab and newline, DEL, C1, soft hyphen, bidi and invisible formatting, line and paragraph
# separators, surrogates, byte order mark, interlinear annotation, non-characters, tags and the supplementary
# variation selectors (both carry hidden text). ZWJ, ZWNJ and the emoji selectors stay: writing needs them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
    f"|[{_MARKS}]{{{_MOST_MARKS + 1},}}"
)


def _visible(match: re.Match[str]) -> str:
    found = match.group()
    if len(found) > 1:
        return f"{found[:_MOST_MARKS]}⟨+{len(found) - _MOST_MARKS} marks⟩"
    code = ord(found)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"⟨U+{code:04X}⟩"


def safe_text(text: object, *, newlines: bool = True) -> str:
    """Return `text` with everything that could drive or deceive a terminal replaced by visible signs.

    The only function that decides what is safe to show. ESC becomes `␛`, other C0 codes and DEL their control
    pictures; C1, bidi controls, tags, invisible formatting and lone surrogates become `⟨U+202E⟩`; more than
    eight combining marks in a row are counted instead of stacked. Newlines and tabs stay; with
    `newlines=False` (table cells, titles) a newline is shown as `↵` and a tab as a space. Windows line ends
    count as newlines.
    Markup is not escaped here: widgets take the result as `Content(...)` or with `markup=False`.
    Never raises; anything that is not text is shown as `str()` gives it.
    """
    if not isinstance(text, str):
        text = str(text)
    if (
        text.isascii() and text.isprintable()
    ):  # two C loops: clean text costs under a microsecond per kilobyte
        return text
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    text = _UNSAFE.sub(_visible, text)
    if not newlines:
        text = text.replace("\n", "↵").replace("\t", " ")
    return text
