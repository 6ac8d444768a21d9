"""Draw the pictures of docs/how_electra_works.md: `python docs/_site/pictures.py` writes them into docs/images/.

They are 400 units wide, so that their words can be read on a phone. On the site they take the colours of the page
(assets/site.css), elsewhere light or dark ones, as the reader's system prefers.
"""

from html import escape
from pathlib import Path

WIDTH = 400
IMAGES = Path(__file__).parents[1] / "images"
# Okabe and Ito: told apart by people of any colour vision. No picture says anything by colour alone.
BLUE, ORANGE, GREEN, SKY, GREY = "#0072B2", "#E69F00", "#009E73", "#56B4E9", "#8A8A8A"
# Scoped by the class, because on the site a picture is part of the page.
_LIGHT = {
    "ink": "fill:#1f1f1f",
    "soft": "fill:#5a5a5a",
    "line": "stroke:#5a5a5a;fill:none",
    "box": "fill:#f3f3f3;stroke:#c0c0c0",
}
_DARK = {
    "ink": "fill:#eeeeee",
    "soft": "fill:#b8b8b8",
    "line": "stroke:#b8b8b8;fill:none",
    "box": "fill:#2b2f38;stroke:#5a5f6a",
}


def _rules(looks: dict[str, str]) -> str:
    return "".join(f".electra .{kind}{{{look}}}" for kind, look in looks.items())


_STYLE = (
    f".electra text{{font-family:sans-serif;font-size:14px}}{_rules(_LIGHT)}"
    f"@media (prefers-color-scheme:dark){{{_rules(_DARK)}}}"
)


def text(x: float, y: float, words: str, kind: str = "ink", anchor: str = "start", size: int = 14) -> str:
    style = f' style="font-size:{size}px"' if size != 14 else ""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, colour: str = "") -> str:
    look = f'fill="{colour}"' if colour else 'class="box"'
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4" {look}/>'


def arrow(y: float, to: float, x: float = WIDTH / 2) -> str:
    return f'<path class="line" stroke-width="1.5" d="M{x:g} {y:g}V{to:g}m-4 -6l4 6l4 -6"/>'  # a line and its head


def picture(title: str, height: float, *shapes: str) -> str:
    body = "\n".join(shapes)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="electra" viewBox="0 0 {WIDTH} {height:g}"'
    size = f'width="{WIDTH}" height="{height:g}"'
    return f"{head} {size}>\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n{body}\n</svg>\n"


def tokens(y: float, words: list[str], marked: dict[int, str]) -> list[str]:
    """A row of six tokens; marked ones have a coloured bar below them."""
    step = WIDTH / len(words)
    shapes = []
    for index, word in enumerate(words):
        shapes.append(box(index * step + 2, y, step - 4, 30))
        shapes.append(text(index * step + step / 2, y + 20, word, anchor="middle", size=13))
        if index in marked:
            shapes.append(box(index * step + 2, y + 27, step - 4, 5, marked[index]))
    return shapes


def step() -> str:
    """One training step, from the text to both losses."""
    masked = {1: ORANGE, 5: ORANGE}
    return picture(
        "One step: text, masked text, generator, corrupted text, discriminator",
        520,
        text(0, 16, "text"),
        *tokens(24, ["rain", "fell", "on", "the", "old", "harbour"], {}),
        arrow(58, 84),
        text(WIDTH / 2 + 10, 76, "15 % of the tokens are chosen", "soft", size=13),
        *tokens(90, ["rain", "[MASK]", "on", "the", "old", "[MASK]"], masked),
        arrow(126, 150),
        box(100, 152, 200, 52),
        text(200, 174, "generator", anchor="middle"),
        text(200, 193, "small masked language model", "soft", "middle", 13),
        arrow(204, 232),
        text(WIDTH / 2 + 10, 224, "a sample for each [MASK]", "soft", size=13),
        *tokens(238, ["rain", "fell", "on", "the", "old", "castle"], masked),
        arrow(274, 298),
        box(70, 300, 260, 52),
        text(200, 322, "discriminator", anchor="middle"),
        text(200, 341, "the encoder you keep", "soft", "middle", 13),
        arrow(352, 380),
        text(WIDTH / 2 + 10, 372, "which ones were swapped?", "soft", size=13),
        *tokens(386, ["kept", "kept", "kept", "kept", "kept", "swapped"], {5: BLUE}),
        text(0, 446, "“fell” was guessed right: it counts as kept.", "soft", size=13),
        text(0, 476, "generator’s loss: what stood at the 15 %"),
        text(0, 500, "discriminator’s loss: every token, weight 50"),
    )


def loss() -> str:
    """What the total loss is made of at three times of a run."""
    rows = [
        ("first step", "ln 30,522 + 50 × ln 2", 10.33, 50 * 0.693),
        ("early plateau", "our 30 minutes of CPU, step 330", 6.47, 50 * 0.401),
        ("late", "published, a Spanish ConvBERT-base", 1.705, 50 * 0.159),
    ]
    scale = 330 / 45
    shapes = [
        box(0, 4, 12, 12, ORANGE),
        text(18, 15, "generator × 1"),
        box(150, 4, 12, 12, BLUE),
        text(168, 15, "discriminator × 50"),
    ]
    for index, (name, source, generator, detection) in enumerate(rows):
        y = 52 + 76 * index
        shapes += [
            text(0, y, name),
            text(0, y + 17, source, "soft", size=13),
            box(0, y + 24, generator * scale, 20, ORANGE),
            box(generator * scale, y + 24, detection * scale, 20, BLUE),
            text((generator + detection) * scale + 8, y + 39, f"{generator + detection:.1f}"),
        ]
    return picture("The total loss: 45 at the first step, 26.5 on the early plateau, 9.7 late", 268, *shapes)


def signal() -> str:
    """How many tokens teach in a step, and what that was worth in the paper."""
    shapes = []
    for row, (name, taught, colour) in enumerate(
        [("BERT learns from 15 %", {3, 9, 16}, ORANGE), ("ELECTRA learns from every token", set(range(20)), BLUE)]
    ):
        y = 16 + 66 * row
        shapes.append(text(0, y, name))
        shapes += [box(20 * i + 1, y + 10, 18, 22, colour if i in taught else "") for i in range(20)]
    scores = [
        ("mlm (BERT)", 82.2),
        ("replace_mlm: no [MASK] seen", 82.4),
        ("electra_15: swaps, 15 % only", 82.4),
        ("all_tokens_mlm: all tokens", 84.3),
        ("rtd (ELECTRA)", 85.0),
    ]
    shapes.append(text(0, 158, "GLUE dev, base size (paper, table 5)"))
    for index, (name, score) in enumerate(scores):
        y = 172 + 44 * index
        # From 80 points on, said below.
        shapes += [
            text(0, y + 12, name, "soft", size=13),
            box(0, y + 18, (score - 80) * 62, 16, BLUE if "rtd" in name else GREY),
            text((score - 80) * 62 + 8, y + 31, f"{score:.1f}"),
        ]
    shapes.append(text(0, 408, "bars begin at 80 points", "soft", size=12))
    return picture(
        "BERT learns from 15 % of the tokens, ELECTRA from all; GLUE scores from 82.2 to 85.0", 414, *shapes
    )


def time() -> str:
    """Where the second of a training step on two CPU cores goes."""
    parts = [
        ("products of layers and vocabulary", 0.71, BLUE),
        ("attention", 0.08, SKY),
        ("what lies between the products", 0.14, ORANGE),
        ("optimiser and clipping", 0.02, GREEN),
        ("the rest, mostly Python", 0.05, GREY),
    ]
    shapes, x = [], 0.0
    for _, seconds, colour in parts:
        shapes.append(f'<rect x="{x:g}" y="4" width="{seconds * WIDTH:g}" height="26" fill="{colour}"/>')
        x += seconds * WIDTH
    for index, (name, seconds, colour) in enumerate(parts):
        y = 44 + 24 * index
        shapes += [
            box(0, y, 12, 12, colour),
            text(20, y + 11, name),
            text(WIDTH, y + 11, f"{seconds:.2f} s", anchor="end"),
        ]
    return picture("A step of one second: .71 s are products of layers and vocabulary", 166, *shapes)


PICTURES = {"how_step": step, "how_loss": loss, "how_signal": signal, "how_time": time}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (IMAGES / f"{name}.svg").write_text(draw(), encoding="utf-8")
