"""One shard of a prepared corpus: a run of records -> documents -> token ids -> blocks -> files.

A shard is a pure function of its records, of the settings, and of its place: the part of the corpus and its number
there. It can therefore be made in any process and in any order, and comes out as the same bytes. Its sidecar
`shard-00000-00000.json` is written last: where it stands and agrees with the files, the shard is whole. This module
needs neither torch nor transformers, so that workers are small.
"""

import hashlib
import io
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from electra_hf.corpora import storage
from electra_hf.corpora.parts import Converter, Part, SkippedRecord, as_it_is, documents_of
from electra_hf.corpora.remote import explain_failure, network_errors
from electra_hf.errors import PreparationError, UsageError
from electra_hf.tokens.encoding import LineEncoder, encode_documents
from electra_hf.tokens.packing import (
    MAX_BLOCK_LENGTH,
    MIN_BLOCK_LENGTH,
    Overflow,
    PackedBlocks,
    SpecialIds,
    pack_electra,
    pack_full,
)
from electra_hf.tokens.sentence_pairs import PAIR_PACKINGS, Truncation, count_pairs, pack_pairs
from electra_hf.tokens.statistics import TextStatistics

FORMAT = "electra_hf prepared corpus"
SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
SETTINGS = "settings.json"
OVERWRITE = "--overwrite_output_dir (in a run: --overwrite_cache)"  # for messages
NAMED_SKIPPED_RECORDS = 20  # in each sidecar
ARRAYS = ("blocks", "lengths", "first_lengths")
LABELS = "pair_labels"  # a fourth array of packings with pairs


@dataclass(frozen=True)
class PackingSettings:
    """How documents become blocks.

    Attributes:
        packing: "electra" for the two-segment examples of google-research/electra, "full" to fill every block, "nsp"
            and "sop" for the labelled pairs of BERT and ALBERT.
        max_seq_length: length of a block, special tokens included.
        single_segment_probability: share of "electra" examples with one segment.
        short_probability: share of examples with a shorter target; not of "full".
        overflow: what becomes of text that does not fit an example: "carry" it on, or "drop" it as the papers did.
        seed: of the random choices.
        truncation: which segment of a pair is cut: "longest_first" or "second_first".
    """

    packing: Literal["electra", "full", "nsp", "sop"] = "electra"
    max_seq_length: int = 128
    single_segment_probability: float = 0.1
    short_probability: float = 0.05
    overflow: Overflow = "carry"
    seed: int = 42
    truncation: Truncation = "longest_first"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("packing", self.packing, ("electra", "full", *PAIR_PACKINGS)),
            ("overflow", self.overflow, ("carry", "drop")),
            ("truncation", self.truncation, ("longest_first", "second_first")),
        ):
            if value not in known:
                raise UsageError(f"{name}: {value!r} is unknown; choose {' or '.join(known)}")
        if not MIN_BLOCK_LENGTH <= self.max_seq_length <= MAX_BLOCK_LENGTH:
            raise UsageError(
                f"max_seq_length: {self.max_seq_length} is out of range; "
                f"choose {MIN_BLOCK_LENGTH} to {MAX_BLOCK_LENGTH}"
            )
        for name in ("single_segment_probability", "short_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name}: {getattr(self, name)} is no probability; choose 0 to 1")

    def identity(self) -> dict[str, Any]:
        """The settings that decide the blocks: "full" packing knows no segments and no chance."""
        settings = asdict(self)
        if self.packing == "full":
            return {name: settings[name] for name in ("packing", "max_seq_length")}
        del settings["single_segment_probability" if self.packing in PAIR_PACKINGS else "truncation"]
        return settings


@dataclass
class ShardCounts:
    """What went into a shard and what came out."""

    documents: int = 0
    documents_below_3_tokens: int = 0
    characters: int = 0
    bytes: int = 0  # of the documents in UTF-8
    skipped_records: int = 0
    tokens: int = 0  # of the text, without special tokens
    unknown_tokens: int = 0
    blocks: int = 0
    block_tokens: int = 0  # real tokens of the blocks, with special tokens
    full_blocks: int = 0  # without padding

    def __add__(self, other: "ShardCounts") -> "ShardCounts":
        mine, theirs = asdict(self), asdict(other)
        return ShardCounts(**{name: mine[name] + theirs[name] for name in mine})


@dataclass(frozen=True)
class Packer:
    """Everything that a worker needs to turn documents into blocks; travels between processes as plain values.

    Attributes:
        tokenizer: the serialised `tokenizers` backend.
        special_ids: the ids that the packers add.
        unknown_id: id of [UNK], or -1.
        vocab_size: decides the type of the ids.
        settings: how to pack.
    """

    tokenizer: str = field(repr=False)
    special_ids: SpecialIds
    unknown_id: int
    vocab_size: int
    settings: PackingSettings

    def encoder(self) -> LineEncoder:
        """A private tokenizer; making one takes a moment, and each process needs one."""
        return LineEncoder(self.tokenizer)

    def pack(
        self, encoder: LineEncoder, documents: Iterable[str], *key: int
    ) -> tuple[PackedBlocks, ShardCounts, TextStatistics]:
        """Encode and pack documents; the settings' seed and `key` decide the random choices."""
        counts = ShardCounts()
        statistics = TextStatistics(encoder.backend, self.unknown_id)
        texts = _counted_characters(documents, counts)
        encoded = self._counted(encode_documents(encoder, texts, statistics.add_line), counts, statistics)
        settings = self.settings
        if settings.packing == "full":
            blocks = pack_full(encoded, settings.max_seq_length, self.special_ids, vocab_size=self.vocab_size)
        else:
            # A string seed goes through SHA-512: neighbouring shards are unrelated, and no Python version differs.
            rng = random.Random("/".join(map(str, (settings.seed, *key))))
            common: dict[str, Any] = {
                "vocab_size": self.vocab_size,
                "short_probability": settings.short_probability,
                "overflow": settings.overflow,
            }
            text = encoded, settings.max_seq_length, rng, self.special_ids
            if settings.packing == "electra":
                single = settings.single_segment_probability
                blocks = pack_electra(*text, single_segment_probability=single, **common)
            else:
                blocks = pack_pairs(*text, packing=settings.packing, truncation=settings.truncation, **common)
        counts.blocks = len(blocks)
        counts.block_tokens = int(blocks.lengths.sum(dtype=np.int64))
        counts.full_blocks = int((blocks.lengths == settings.max_seq_length).sum())
        return blocks, counts, statistics

    def _counted(
        self, documents: Iterable[list[list[int]]], counts: ShardCounts, statistics: TextStatistics
    ) -> Iterator[list[list[int]]]:
        for document in documents:
            tokens = sum(map(len, document))
            statistics.add_document(tokens)
            counts.documents += 1
            counts.documents_below_3_tokens += tokens < 3
            counts.tokens += tokens
            counts.unknown_tokens += sum(line.count(self.unknown_id) for line in document)
            yield document


def _counted_characters(documents: Iterable[str], counts: ShardCounts) -> Iterator[str]:
    for document in documents:
        counts.characters += len(document)
        counts.bytes += len(document.encode("utf-8", "surrogatepass"))
        yield document


@dataclass(frozen=True)
class Chunk:
    """The records of one shard, and how they become documents; travels between processes.

    Attributes:
        part: which part of the corpus they are from.
        index: the how-manieth chunk of the part they are.
        first_record: the number of the first one in its part.
        records: as the part reads them.
        convert: the part's converter.
    """

    part: int
    index: int
    first_record: int
    records: list[str]
    convert: Converter = as_it_is

    @property
    def name(self) -> str:
        return chunk_name(self.part, self.index)

    def documents(self, skipped: list[str]) -> Iterator[str]:
        """The documents; messages about the records that had to be left out are added to `skipped`."""
        for record in self.records:
            try:
                yield from documents_of(record, self.convert)
            except SkippedRecord as reason:
                skipped.append(str(reason))

    def source(self) -> dict[str, Any]:
        """What the sidecar remembers of the records: their range and their SHA-256."""
        digest = hashlib.sha256()
        for record in self.records:
            digest.update(record.encode("utf-8", "surrogatepass") + b"\0")
        return {"first_record": self.first_record, "records": len(self.records), "sha256": digest.hexdigest()}


def chunks(part_index: int, part: Part, characters: int) -> Iterator[Chunk]:
    """Gather consecutive records of a part until they hold this many characters."""
    index = seen = held = 0
    gathered: list[str] = []
    for record in part.records():
        gathered.append(record)
        held += len(record)
        if held >= characters:
            yield Chunk(part_index, index, seen, gathered, part.convert)
            index, seen, held, gathered = index + 1, seen + len(gathered), 0, []
    if gathered:
        yield Chunk(part_index, index, seen, gathered, part.convert)


def array_kinds(packing: Mapping[str, Any]) -> tuple[str, ...]:
    """The arrays of a shard, from the packing in the settings of a prepared folder."""
    return (*ARRAYS, LABELS) if packing.get("packing") in PAIR_PACKINGS else ARRAYS


def chunk_name(part: int, index: int) -> str:
    return f"{part:05d}-{index:05d}"


def array_name(kind: str, chunk: str) -> str:
    return f"{kind}-{chunk}.npy"


def sidecar_name(chunk: str) -> str:
    return f"shard-{chunk}.json"


def part_name(part: int) -> str:
    return f"part-{part:05d}.json"


def make_shard(packer: Packer, encoder: LineEncoder, chunk: Chunk, folder: Path, fingerprint: str) -> ShardCounts:
    """Convert, encode and pack the records of a shard and publish its files, the sidecar last.

    Args:
        packer: the settings of the work.
        encoder: `packer.encoder()`, made once per process.
        chunk: the records.
        folder: where the files go.
        fingerprint: of the settings of the prepared folder, kept in the sidecar.

    Raises:
        PreparationError: the files cannot be written.
    """
    skipped: list[str] = []
    blocks, counts, statistics = packer.pack(encoder, chunk.documents(skipped), chunk.part, chunk.index)
    counts.skipped_records = len(skipped)
    arrays = {}
    kinds = array_kinds(packer.settings.identity())
    for kind, values in zip(kinds, blocks.columns(), strict=True):
        content = io.BytesIO()
        np.save(content, values, allow_pickle=False)
        arrays[array_name(kind, chunk.name)] = content.getvalue()
    files = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in arrays.items()}
    sidecar = {
        "fingerprint": fingerprint,
        "source": chunk.source(),
        "counts": asdict(counts),
        "statistics": statistics.to_dict(),
        "skipped": skipped[:NAMED_SKIPPED_RECORDS],
        "files": files,
    }
    if blocks.pair_labels is not None:
        sidecar["pairs"] = count_pairs(blocks.pair_labels)
    path = folder / sidecar_name(chunk.name)
    try:
        # A sidecar of other contents must not vouch for a mixture of old and new files. An equal one is left: it may
        # belong to another run that prepares the same corpus in the same folder, and that replaces equal by equal.
        if storage.read_json(path) != sidecar:
            path.unlink(missing_ok=True)
        for name, data in arrays.items():
            storage.publish(folder / name, data)
        storage.publish(path, storage.to_json(sidecar))
    except (OSError, *network_errors()) as error:
        raise PreparationError(
            f"{explain_failure(error, folder)}. Finished shards are kept: run the same command again to go on"
        ) from error
    return counts


_tools: tuple[Packer, LineEncoder] | None = None  # of a worker process, made once


def start_worker(packer: Packer) -> None:
    """Make a process ready for `work`."""
    global _tools
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    _tools = packer, packer.encoder()


def work(chunk: Chunk, folder: Path, fingerprint: str) -> ShardCounts:
    """`make_shard` with the worker's own packer and tokenizer."""
    assert _tools is not None
    return make_shard(*_tools, chunk, folder, fingerprint)
