"""The screen of the models stage: the only part of it that knows Textual."""

from app.models.tab.pane import ModelsTab

__all__ = ["ModelsTab"]
