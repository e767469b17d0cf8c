"""Copying drills: repeat a line of random things, or give the word after another word."""

from __future__ import annotations

from app.starter.families.base import Item, Plan, instruct
from app.starter.wordings import Words
from app.starter.world import World


def random_line(world: World) -> list[str]:
    """Two to ten random words, names, numbers and codes, all different."""
    makers = [
        World.word,
        World.word,
        World.brand,
        World.order,
        World.first_name,
        World.number,
        World.amount,
        World.email,
    ]
    things = [world.rng.choice(makers)(world) for _ in range(world.rng.randint(2, 10))]
    return list(dict.fromkeys(word for thing in things for word in thing.split()))


class Repeat:
    name = "repeat"
    copies = True

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        ask = words.ask("repeat").format(it=words.part("it_line"))
        return Plan(instruct(words, ask), world.rng.choice(["text", "line"]), "copy")

    def item(self, world: World, plan: Plan) -> Item:
        line = " ".join(random_line(world))
        return Item(line, {"line": line})

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        return str(item.facts["line"])


class After:
    name = "after"
    copies = True

    def plan(self, world: World, words: Words, tier: str | None = None) -> Plan:
        word = world.word()
        ask = words.ask("after").format(it=words.part("it_line"), word=word)
        tail = words.part("value_only") if world.rng.random() < 0.4 else ""
        return Plan(
            instruct(words, ask, tail), world.rng.choice(["text", "line"]), "word", data={"word": word}
        )

    def item(self, world: World, plan: Plan) -> Item:
        word = str(plan.data["word"])
        line = [other for other in random_line(world) if other != word]
        place = world.rng.randrange(len(line))
        return Item(" ".join([*line[:place], word, *line[place:]]), {"next": line[place]})

    def answer(self, plan: Plan, item: Item, shots: bool) -> str:
        return str(item.facts["next"])
