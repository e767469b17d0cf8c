"""The task families of the starter model: one file each, listed here once."""

from __future__ import annotations

from app.starter.families.base import BARE, EXPLAINED, LISTED, Family, Item, Plan
from app.starter.families.date import IsoDate
from app.starter.families.drill import After, Repeat
from app.starter.families.extract import Extract
from app.starter.families.listing import Listing
from app.starter.families.lookup import Lookup
from app.starter.families.question import Question
from app.starter.families.reply import Reply
from app.starter.families.route import Route
from app.starter.families.sentiment import Sentiment
from app.starter.families.spam import Spam
from app.starter.families.summary import Summary
from app.starter.families.urgency import Urgency

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Sentiment(),
        Route(),
        Urgency(),
        Spam(),
        Extract(),
        Lookup(),
        Question(),
        Listing(),
        IsoDate(),
        Reply(),
        Summary(),
        Repeat(),
        After(),
    )
}

__all__ = ["BARE", "EXPLAINED", "FAMILIES", "LISTED", "Family", "Item", "Plan"]
