"""The kinds of trouble a caller can act on. The text of each is a sentence for the user."""


class LatheError(Exception):
    """What happened, to what, and what to do next: one sentence, shown as it is."""


class BadInput(LatheError):
    """Something the user gave cannot be used."""


class NotFound(LatheError):
    """A reference names nothing; the sentence says what there is."""


class Ambiguous(LatheError):
    """A reference names more than one thing."""


class StoreBroken(LatheError):
    """The workspace's database cannot be read or written."""


class NewerSchema(StoreBroken):
    """The workspace was written by a newer Lathe."""
