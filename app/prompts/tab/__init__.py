"""The screen of the prompts stage: the only part of it that knows Textual."""

from app.prompts.tab.pane import PromptsTab

__all__ = ["PromptsTab"]
