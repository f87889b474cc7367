"""What several tests of figures need."""

import pytest
from matplotlib.text import Text


@pytest.fixture
def texts(monkeypatch):
    """Collects every text drawn, as the SVG holds outlines and not words; a layout pass draws each one twice."""
    drawn = []
    draw = Text.draw

    def draw_and_note(text, *args):
        if not any(text is known for known in drawn):
            drawn.append(text)
        draw(text, *args)

    monkeypatch.setattr(Text, "draw", draw_and_note)
    return lambda: [text.get_text() for text in drawn]
