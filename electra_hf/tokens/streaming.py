"""Blocks that are tokenised and packed while they are read, for corpora too large to prepare.

Shuffling is a buffer over what passes by, the division among loader workers is by document, and both are functions of
(seed, pass, worker): the same run sees the same blocks in the same order. Other numbers of workers give other blocks.
What a prepared corpus has and a stream cannot: a length, a shuffle over the whole corpus, and a way to go on in the
middle: a run that is resumed reads everything before again, so it is exact but takes its time.
"""

import os
import random
from collections.abc import Iterable, Iterator
from itertools import count

from torch.utils.data import IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerBase

from electra_hf.corpora.parts import Part
from electra_hf.errors import CorpusError, UsageError
from electra_hf.tokens import shards
from electra_hf.tokens.blocks import Example
from electra_hf.tokens.preparation import Corpus, make_packer
from electra_hf.tokens.sentence_pairs import NO_PAIR
from electra_hf.tokens.shards import PackingSettings

# Packed together: "full" packing pads one block in about two thousand at this size.
GROUP_CHARACTERS = 2**20


class StreamingBlocks(IterableDataset[Example]):
    """The same examples as `BlockDataset`, made on the fly, without an end: pass after pass over the corpus.

    `epoch` is the number of the pass; each has other segments, masks and order. `sample` numbers the blocks of a pass
    as they are made, before shuffling, and is unique across loader workers.

    Attributes:
        max_length: length of a block.
        vocab_size: ids are below this.

    Raises:
        TokenizerError: the tokenizer lacks a special token, or a `tokenizers` backend.
        UsageError: the buffer holds no block.
        CorpusError: while it is read, if a pass gives no block, or pairs are asked for and none has a label.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: PreTrainedTokenizerBase,
        settings: PackingSettings,
        *,
        shuffle_buffer_size: int = 10_000,
        seed: int = 42,
    ) -> None:
        """Stream a corpus; `shuffle_buffer_size` blocks are held back to be shuffled, 1 keeps the order."""
        if shuffle_buffer_size < 1:
            raise UsageError(f"shuffle_buffer_size: {shuffle_buffer_size} is no size; choose 1 to keep the order")
        self.corpus = corpus
        self.packer = make_packer(tokenizer, settings)
        self.max_length = settings.max_seq_length
        self.vocab_size = self.packer.vocab_size
        self.shuffle_buffer_size = shuffle_buffer_size
        self.seed = seed

    def __iter__(self) -> Iterator[Example]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        if info is not None:
            os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the loader's workers are the parallelism
        for epoch in count():
            rng = random.Random(f"{self.seed}/{epoch}/{worker}")
            blocks = labelled = 0
            for example in _shuffled(self._blocks(epoch, worker, workers), self.shuffle_buffer_size, rng):
                blocks += 1
                labelled += example.get("pair_label", 0) != NO_PAIR  # all, if the packing makes no pairs
                yield example
            if not blocks:
                raise CorpusError(
                    f"{self.corpus.name} gives no block for loader worker {worker + 1} of {workers}: add text, or use "
                    "fewer --dataloader_num_workers"
                )
            if not labelled:
                raise CorpusError(
                    f"{self.corpus.name} gives no pair with a label: next sentences need two documents in each "
                    "million characters. Give shorter documents, or use --packing sop"
                )

    def _blocks(self, epoch: int, worker: int, workers: int) -> Iterator[Example]:
        encoder = self.packer.encoder()
        mine = (document for index, document in enumerate(self.corpus.documents()) if index % workers == worker)
        count = 0
        for group in shards.chunks(worker, Part(self.corpus.name, lambda: mine), GROUP_CHARACTERS):
            blocks, _, _ = self.packer.pack(encoder, group.records, self.seed, epoch, worker, group.index)
            labels = blocks.pair_labels
            for index, (row, length, first_length) in enumerate(
                zip(blocks.ids, blocks.lengths.tolist(), blocks.first_lengths.tolist(), strict=True)
            ):
                label = {} if labels is None else {"pair_label": int(labels[index])}
                yield label | {
                    "input_ids": row.copy(),  # a view in the buffer would keep its whole group in memory
                    "length": length,
                    "first_length": first_length,
                    "sample": count * workers + worker,
                    "epoch": epoch,
                }
                count += 1


def _shuffled(examples: Iterable[Example], size: int, rng: random.Random) -> Iterator[Example]:
    """Hold `size` examples back and let a random one go for each that comes."""
    buffer: list[Example] = []
    for example in examples:
        if len(buffer) < size:
            buffer.append(example)
            continue
        chosen = int(rng.random() * size)
        buffer[chosen], example = example, buffer[chosen]
        yield example
    for last in range(len(buffer) - 1, 0, -1):
        chosen = int(rng.random() * (last + 1))
        buffer[last], buffer[chosen] = buffer[chosen], buffer[last]
    yield from buffer
