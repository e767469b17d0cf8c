"""Tickets for the demo in words that the generator does not use: what a real customer may write.

The starter gets a good part of them wrong, which is the point: no prompt should look perfect on 120 cases.
"""

from __future__ import annotations

OWN_WORDS: tuple[tuple[str, str], ...] = (
    ("Your invoice lists a gift wrap that I never asked for. Take it off, please.", "billing"),
    ("It has been nine days and my doorstep is still empty.", "delivery"),
    ("These shoes pinch. I want to hand them back.", "returns"),
    ("Since this morning the lamp flickers and then goes dark.", "technical"),
    ("The page tells me that my user name is already taken, but it is mine.", "account"),
    ("My bank statement shows your shop three times this week. I only bought one thing.", "billing"),
    ("The van drove past my house twice without stopping. When will you try again?", "delivery"),
    ("It looks different from the photo, so I would rather not keep it.", "returns"),
    ("The remote will not pair with the speaker, whatever I press.", "technical"),
    ("I never get the mail with the link to choose a new password.", "account"),
    ("Could the receipt be made out to my firm instead of me?", "billing"),
    ("The box went to the wrong floor and the neighbours do not have it.", "delivery"),
    ("How many days do I have to send something back?", "returns"),
    ("Sparks flew out of the kettle when I plugged it in.", "technical"),
    ("Please stop sending me your newsletter.", "account"),
    ("I had a ten percent coupon, and the full price was taken anyway.", "billing"),
    ("I am away next week, so please bring the parcel later.", "delivery"),
    ("The gift was the wrong size for my sister. Can she get a bigger one?", "returns"),
    ("What size of screw goes into the back panel?", "technical"),
    ("My surname changed after the wedding. Can you put the new one into my profile?", "account"),
    ("We were promised no extra costs, yet six euros were added to the sum.", "billing"),
    ("Is there any way to see where my package is right now?", "delivery"),
    ("Where do I drop off an item that I no longer want?", "returns"),
    ("After the last update the watch keeps losing the time.", "technical"),
    ("Someone signed in from another country with my details.", "account"),
)
OWN_WORDS_TWO_TOPICS: tuple[tuple[str, str], ...] = (
    ("My login is back, great. What I do not get is the extra 4 EUR on the statement.", "billing"),
    ("The money for the old jacket came, thanks. The new one is stuck at the depot, though.", "delivery"),
    ("My parcel is here at last. Sadly I picked the wrong colour and would like to trade it.", "returns"),
    ("My password is fine again. The camera, however, shows only grey pictures.", "technical"),
    ("The bill is right now, thank you. Can you merge my old and my new login?", "account"),
)
