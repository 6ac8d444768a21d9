"""The demo in the browser, on this machine or as a Space of the Hub.

No statistics are sent and no fonts or scripts are fetched from elsewhere by this code: the page works offline.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Read by gradio when it is imported; Blocks has an argument for its own part only.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from gradio.themes import Default

from .filling import MASK, TextProblem, fill
from .loading import Models
from .page import STYLE, filled_html, judged_html, problem_html
from .records import SUSPECTED
from .tokens import MASK_PROBABILITY, Corruption, encode, is_byte_level, judged_text, suspicions, swap, usable_length

EXAMPLES = ("The chef cooked the meal in a small kitchen near the river.", "The capital of France is Paris.")
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
_MONO_FONTS = ["ui-monospace", "Consolas", "monospace"]


def build(models: Models, examples: Sequence[str] = EXAMPLES, *, title: str | None = None) -> gr.Blocks:
    """The page for a model; what the model cannot do has no tab.

    Args:
        models: From `load_models`.
        examples: Sentences to begin with, at least one.
        title: Its heading; default: from the model's name.
    """
    title = title or f"Try {Path(models.name).resolve().name if Path(models.name).is_dir() else models.name}"
    with gr.Blocks(analytics_enabled=False, title=title) as page:
        gr.Markdown(f"# {title}")
        with gr.Tabs():
            if models.discriminator is not None and models.generator is not None:
                _swap_tab(models, examples)
            if models.discriminator is not None and not models.masked_only:
                _judge_tab(models, examples)
            if models.generator is not None:
                _fill_tab(models, examples)
    return page


def launch(models: Models, examples: Sequence[str] = EXAMPLES, *, title: str | None = None, **options: Any) -> None:
    """Serve the page until Ctrl-C.

    Args:
        models: From `load_models`.
        examples: Sentences to begin with.
        title: The heading.
        options: For gradio's `launch`, such as `server_name` and `server_port`.
    """
    theme = Default(font=_FONTS, font_mono=_MONO_FONTS)
    page = build(models, examples or EXAMPLES, title=title)
    page.launch(theme=theme, css=STYLE, footer_links=[], ssr_mode=False, **options)


def _swap_tab(models: Models, examples: Sequence[str]) -> None:
    def show(text: str, percent: float, temperature: float, threshold: float, seed: float) -> str:
        corrupted = swap(
            _encode(text, models),
            models.generator,  # type: ignore[arg-type]
            models.tokenizer,
            mask_probability=percent / 100,
            temperature=temperature,
            seed=int(seed),
        )
        return _judged(corrupted, models, threshold)

    with gr.Tab("Swap"):
        gr.Markdown(
            "The generator masks some tokens and puts its own guesses in their place; the discriminator says of "
            "every token how likely it is to be one of them."
        )
        text = gr.Textbox(label="Text", value=examples[0], lines=3)
        with gr.Row():
            percent = gr.Slider(1, 60, 100 * MASK_PROBABILITY, step=1, label="Masked tokens (%)")
            # Near 0 the likeliest word is always taken; pre-training has 1, or 2 in some recipes.
            highest = max(3.0, models.temperature)
            temperature = gr.Slider(0.1, highest, models.temperature, step=0.1, label="Temperature")
            threshold = _threshold()
            seed = gr.Number(0, label="Seed", precision=0, minimum=0)
        button = gr.Button("Swap and detect", variant="primary")
        result = gr.HTML(elem_id="swap-result")
        inputs = [text, percent, temperature, threshold, seed]
        gr.on([button.click, text.submit], show, inputs, result, show_progress="minimal", api_name="swap_and_detect")
        _examples(examples, text)


def _judge_tab(models: Models, examples: Sequence[str]) -> None:
    with gr.Tab("Judge"):
        gr.Markdown("Nothing is swapped here: write a sentence with an odd word in it and see whether it is noticed.")
        text = gr.Textbox(label="Text", value=examples[0], lines=3)
        threshold = _threshold()
        button = gr.Button("Judge", variant="primary")
        result = gr.HTML(elem_id="judge-result")

        def show(text: str, threshold: float) -> str:
            return _judged(_encode(text, models), models, threshold)

        gr.on([button.click, text.submit], show, [text, threshold], result, show_progress="minimal", api_name="judge")
        _examples(examples, text)


def _fill_tab(models: Models, examples: Sequence[str]) -> None:
    masked = [with_mask(example) for example in examples]
    with gr.Tab("Fill"):
        gr.Markdown(f"Write {MASK} in the place of one or more words; each is filled as if the others were left open.")
        text = gr.Textbox(label="Text", value=masked[0], lines=3)
        top_k = gr.Slider(1, 20, 5, step=1, label="Candidates for each mask (number)")
        button = gr.Button("Fill", variant="primary")
        result = gr.HTML(elem_id="fill-result")

        def show(text: str, top_k: float) -> str:
            try:
                return filled_html(fill(text, models.tokenizer, models.generator, int(top_k)))
            except TextProblem as problem:
                return problem_html(f"This text cannot be filled: {problem}.")

        gr.on([button.click, text.submit], show, [text, top_k], result, show_progress="minimal", api_name="fill")
        _examples(masked, text)


def _examples(examples: Sequence[str], text: gr.Textbox) -> None:
    if len(examples) > 1:
        gr.Examples([[example] for example in examples], text, label="Examples")


def _encode(text: str, models: Models) -> Corruption:
    return encode(text, models.tokenizer, usable_length(models.discriminator.config, models.tokenizer))


def _threshold() -> gr.Slider:
    return gr.Slider(1, 99, 100 * SUSPECTED, step=1, label="Suspect from (%)")


def _judged(text: Corruption, models: Models, percent: float) -> str:
    judged = judged_text(
        text, suspicions(text, models.discriminator), models.tokenizer, masked_only=models.masked_only
    )
    return judged_html(judged, threshold=percent / 100, byte_level=is_byte_level(models.tokenizer))


def with_mask(text: str) -> str:
    """A text with a mask in the place of its last word but one, or of its only one.

    >>> with_mask("The capital of France is Paris.")
    'The capital of France [MASK] Paris.'
    """
    words = text.split()
    place = max(len(words) - 2, 0)
    return " ".join([*words[:place], MASK, *words[place + 1 :]])
