"""The slot values of the support desk: names, products, cities, numbers and dates made from random syllables.

Nothing here is a fixed list of names, because a model of this size memorises any list it can and then
cannot copy a word it has not met. Every value belongs to the seen or the unseen pool by a hash of its
text, so the two pools never share a value and no list has to be kept.
"""

from __future__ import annotations

import datetime
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass

UNSEEN_SHARE = 5  # one value in five is held out


def _words(text: str) -> list[str]:
    return text.split()


ONSETS = _words(
    "b c d f g h j k l m n p r s t v w z b d f g k l m n p r s t v br ch dr fl gr kl pr sh st th tr"
)
VOWELS = _words("a a a e e e i i i o o o u u ai ea ee io ou")
CODAS = ["", "", "", "n", "r", "l", "s", "m", "t", "k", "nd", "rt", "x", "ck", "sh", "ng", "lt", "st"]

COMMON_NAMES = _words(
    "Anna Ben Carla David Elena Frank Grace Henry Ines Jack Karen Leo Maria Nina Oscar Paul Rosa Sam Tina "
    "Victor Wendy Yusuf Zoe Alice Bruno Clara Diego Emma Felix Hannah Ivan Julia Kevin Laura Marco Nora "
    "Olga Peter Ruth Simon Tom Uma Vera Walter Amir Bella Chen Dora Erik Fatima George Helen Isaac Jane"
)
ADJECTIVES = _words(
    "blue red green black white small large wooden steel cotton folding travel garden kitchen desk leather "
    "glass round soft heavy light silver wireless solar electric mini classic winter summer paper"
)
THINGS = _words(
    "lamp kettle chair table mug bottle backpack jacket blanket clock radio speaker keyboard mouse charger "
    "cable phone tablet camera printer heater fan toaster pan knife bowl plate towel pillow mirror shelf "
    "basket umbrella wallet watch scarf glove boot shoe shirt drill hammer torch tent bike helmet scooter "
    "notebook pen puzzle scale mixer grill hose rug curtain headset"
)
CITY_ENDS = ["ton", "burg", "ville", "field", "ford", "ham", "berg", "port", "mouth", "stad", "dale", "wick"]
MONTHS = _words("January February March April May June July August September October November December")
NUMBER_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def is_unseen(value: str) -> bool:
    """Whether a slot value belongs to the held-out pool: the only place that decides it."""
    digest = hashlib.blake2b(value.lower().encode("utf-8"), digest_size=4).digest()
    return int.from_bytes(digest, "big") % UNSEEN_SHARE == 0


@dataclass(frozen=True)
class Date:
    """A calendar day with the spellings that customers use."""

    day: datetime.date

    @property
    def iso(self) -> str:
        return self.day.isoformat()

    @property
    def short(self) -> str:
        """Day and month in words, no year: ``3 May``."""
        return f"{self.day.day} {MONTHS[self.day.month - 1]}"

    @property
    def long(self) -> str:
        return f"{self.short} {self.day.year}"


class World:
    """A source of slot values from one of the two pools; draws come from ``rng`` alone."""

    def __init__(self, rng: random.Random, unseen: bool = False) -> None:
        self.rng = rng
        self.unseen = unseen

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _draw(self, make: Callable[[], str]) -> str:
        while True:
            value = make()
            if is_unseen(value) == self.unseen:
                return value

    def syllables(self, low: int = 2, high: int = 3) -> str:
        """A pronounceable lower-case word that means nothing."""
        rng = self.rng
        parts = [rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(rng.randint(low, high))]
        if rng.random() < 0.25:
            parts[0] = rng.choice("aeiou") + rng.choice("nrlmst")
        return "".join(parts) + rng.choice(CODAS)

    def word(self) -> str:
        return self._draw(self.syllables)

    def _first(self) -> str:
        return self.rng.choice(COMMON_NAMES) if self.chance(0.2) else self.syllables(1, 3).capitalize()

    def first_name(self) -> str:
        return self._draw(self._first)

    def name(self) -> str:
        """A first name, half of the time with a last name."""
        first = self.first_name()
        return (
            f"{first} {self._draw(lambda: self.syllables(1, 3).capitalize())}" if self.chance(0.5) else first
        )

    def brand(self) -> str:
        return self._draw(lambda: self.syllables(1, 3).capitalize())

    def _product(self) -> str:
        rng = self.rng
        kind = rng.random()
        if kind < 0.35:
            return f"{rng.choice(ADJECTIVES)} {rng.choice(THINGS)}"
        if kind < 0.75:
            return f"{self.syllables(1, 3).capitalize()} {rng.choice(THINGS)}"
        if kind < 0.88:
            return f"{self.syllables(2, 3).capitalize()} {rng.randint(2, 99) * 10}"
        return f"{rng.choice(ADJECTIVES)} {self.syllables(1, 2)}"

    def product(self) -> str:
        return self._draw(self._product)

    def products(self, count: int) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            candidate = self.product()
            if not any(candidate in other or other in candidate for other in found):
                found.append(candidate)
        return found

    def _city(self) -> str:
        rng = self.rng
        name = self.syllables(1, 2).capitalize()
        kind = rng.random()
        if kind < 0.45:
            return name + rng.choice(CITY_ENDS)
        if kind < 0.6:
            return f"{rng.choice(['Port', 'New', 'San', 'Lake', 'Old', 'Upper'])} {name}"
        return self.syllables(2, 3).capitalize()

    def city(self) -> str:
        return self._draw(self._city)

    def number(self, low: int = 3, high: int = 6) -> str:
        """Random digits without a leading zero."""
        digits = self.rng.randint(low, high)
        return self._draw(lambda: str(self.rng.randint(10 ** (digits - 1), 10**digits - 1)))

    def order(self) -> str:
        rng = self.rng
        kind = rng.random()
        if kind < 0.5:
            return self.number(4, 7)
        if kind < 0.75:
            letter = rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ")
            return self._draw(lambda: f"{letter}-{rng.randint(100, 99999)}")
        if kind < 0.9:
            return self._draw(lambda: f"ORD-{rng.randint(1000, 99999)}")
        letters = rng.choice("ABCDEFGHKLMNPRST") + rng.choice("ABCDEFGHKLMNPRST")
        return self._draw(lambda: f"{letters}{rng.randint(100, 9999)}")

    def amount(self) -> str:
        rng = self.rng
        whole = rng.randint(2, 480)
        cents = rng.choice(["", "", ".50", ".90", ".99", f".{rng.randint(10, 99)}"])
        return f"${whole}{cents}" if rng.random() < 0.5 else f"{whole}{cents} EUR"

    def date(self) -> Date:
        first = datetime.date(2019, 1, 1)
        while True:
            day = first + datetime.timedelta(days=self.rng.randrange(365 * 12))
            if is_unseen(day.isoformat()) == self.unseen:
                return Date(day)

    def email(self) -> str:
        return self._draw(
            lambda: (
                f"{self.syllables(1, 2)}{self.rng.choice(['', '.', '_'])}{self.syllables(1, 2)}@"
                f"{self.syllables(1, 2)}.{self.rng.choice(['com', 'net', 'org', 'shop', 'example'])}"
            )
        )

    def phone(self) -> str:
        rng = self.rng
        return self._draw(lambda: f"{rng.randint(100, 999)}-{rng.randint(1000, 9999)}")

    def quantity(self) -> int:
        return self.rng.choice([1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 24])


def add_typos(text: str, rng: random.Random, count: int) -> str:
    """``text`` with ``count`` letters swapped or dropped inside plain lower-case words.

    Capitalised words and anything with a digit are left alone. For texts whose answer copies nothing.
    """
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha() and word.islower()]
    for place in rng.sample(places, min(count, len(places))):
        word = words[place]
        at = rng.randrange(1, len(word) - 1)
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        words[place] = swapped if rng.random() < 0.5 and swapped != word else word[:at] + word[at + 1 :]
    return " ".join(words)
