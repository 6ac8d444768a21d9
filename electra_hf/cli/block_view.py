"""`electra-hf prepare --inspect`: blocks of a prepared folder, for a person to read."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text
from transformers import PreTrainedTokenizerBase

from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.inspection import BlockToken, block_tokens, evenly_spread, masked_block_tokens
from electra_hf.tokens.masking import DataCollatorForReplacedTokenDetection


def show_blocks(
    blocks: BlockDataset, tokenizer: PreTrainedTokenizerBase, console: Console, *, count: int, seed: int
) -> None:
    """Print `count` blocks from all over the folder, the last one a second time as it is masked with this seed."""
    examples = evenly_spread(blocks, count)
    collator = DataCollatorForReplacedTokenDetection(tokenizer=tokenizer, seed=seed)
    console.print(_legend(), end="\n\n")
    for example in examples:
        label = f", pair label {example['pair_label']}" if "pair_label" in example else ""
        title = f"Block {example['sample']}, {example['length']} of {blocks.max_length} tokens{label}"
        console.print(title, style="bold")
        console.print(render_block(block_tokens(example, tokenizer)), end="\n\n")
    example = examples[-1]
    console.print(f"Block {example['sample']}, masked", style="bold")
    console.print(render_block(masked_block_tokens(example, tokenizer, collator)), end="\n\n")


def _legend() -> Text:
    return Text.assemble(
        ("[CLS]", "dim"), " special   first segment   ", ("second segment", "cyan"), "   ", ("[UNK]", "bold red"),
        " unknown   ", ("‹token→[MASK]›", "bold yellow"), " masked position",
    )  # fmt: skip


def render_block(tokens: Sequence[BlockToken]) -> Text:
    """The pieces of a block, a space between two of them; a masked position reads ‹token→what the generator sees›."""
    text = Text()
    for token in tokens:
        style = "dim" if token.special else "bold red" if token.unknown else "cyan" if token.segment else ""
        if token.masked_by is None:
            text.append(token.piece, style=style)
        else:
            text.append(f"‹{token.piece}→{token.masked_by}›", style="bold yellow")
        text.append(" ")
    return text
