"""How the workbench looks: one house theme, dark and light, with a single accent; Textual's own themes
beside it."""

from textual.theme import Theme

HOUSE_DARK = Theme(
    name="lathe-dark",
    primary="#d9a05b",
    secondary="#7f8ea3",
    accent="#e0a458",
    warning="#d9925b",
    error="#e0686f",
    success="#86b87a",
    foreground="#d6d9df",
    background="#14161a",
    surface="#191c21",
    panel="#23272e",
    dark=True,
    variables={
        "border": "#5a4a33",
        "border-blurred": "#2d323a",
        "block-cursor-background": "#3a3226",
        "block-cursor-foreground": "#f3ead9",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#23272e",
        "input-selection-background": "#e0a458 30%",
        "input-cursor-background": "#e0a458",
        "scrollbar": "#2d323a",
        "scrollbar-hover": "#454c57",
        "scrollbar-active": "#e0a458",
        "scrollbar-background": "#14161a",
        "scrollbar-background-hover": "#14161a",
        "scrollbar-background-active": "#14161a",
        "scrollbar-corner-color": "#14161a",
    },
)

HOUSE_LIGHT = Theme(
    name="lathe-light",
    primary="#8f5a14",
    secondary="#5b6877",
    accent="#94590c",
    warning="#a85413",
    error="#b3363f",
    success="#3f7a36",
    foreground="#26292e",
    background="#fbf9f5",
    surface="#f5f2ec",
    panel="#eae5db",
    dark=False,
    variables={
        "border": "#c9a878",
        "border-blurred": "#d9d3c7",
        "block-cursor-background": "#f0dfc2",
        "block-cursor-foreground": "#26292e",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#eae5db",
        "input-selection-background": "#94590c 25%",
        "input-cursor-background": "#94590c",
        "scrollbar": "#d9d3c7",
        "scrollbar-hover": "#bdb5a5",
        "scrollbar-active": "#94590c",
        "scrollbar-background": "#fbf9f5",
        "scrollbar-background-hover": "#fbf9f5",
        "scrollbar-background-active": "#fbf9f5",
        "scrollbar-corner-color": "#fbf9f5",
    },
)

HOUSE_THEMES = (HOUSE_DARK, HOUSE_LIGHT)
DEFAULT_THEME = HOUSE_DARK.name
