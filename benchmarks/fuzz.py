"""Broken bytes for everything that reads a file: each input is read, or refused in a sentence.

    python benchmarks/fuzz.py --minutes 5

Every reader gets sound samples in which bytes are flipped, cut, doubled, exchanged and inserted, and bytes that are
nothing at all. An input is a finding if the reader raises anything but an error of ours, or takes longer than
`--seconds`; it is kept in `--output_dir`. The tests give the same readers a few inputs of the same kind.
"""

import argparse
import bz2
import gzip
import io
import json
import logging
import lzma
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sentencepiece as spm
import zstandard

from electra_hf.corpora.files import LocalFiles
from electra_hf.errors import ElectraHfError
from electra_hf.finetuning.comparison import load_run
from electra_hf.finetuning.tagging.readers.columns import read_columns, read_conllu
from electra_hf.finetuning.tagging.readers.korean import read_klue, read_naver
from electra_hf.finetuning.tasks.tables import Encoding, read_table
from electra_hf.models.objective_files import load_objective
from electra_hf.models.weight_files import read_weights
from electra_hf.parser import ConfigArgumentParser, read_config
from electra_hf.sharing.logs import load_log_history
from electra_hf.tokens.blocks import BlockDataset
from electra_hf.tokens.preparation import prepare_folder
from electra_hf.tokens.shards import PackingSettings
from electra_hf.tokens.tokenizers import load_tokenizer, train_wordpiece
from electra_hf.training import DataArguments, ModelArguments, PretrainingArguments

TEXT = "The river sings\nover 3 small stones.\n\nIt is long; 강은 길다。\n" * 3
_TOKENS = (
    *(
        b"\n",
        b"\r\n",
        b"\0",
        b"\t",
        b'"',
        b"'",
        b"[",
        b"]",
        b"{",
        b"}",
        b"<",
        b">",
        b":",
        b",",
        b"-",
        b"#",
        b"&a",
        b"*a",
    ),
    *(b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"null", b"NaN", b"1e999"),
    *(b"!!int x", b"!!timestamp x", b"!!binary x", b"? ", b"<<: ", b"-" * 40, b"9" * 5000, b"[" * 3000, b"{{" * 200),
    *(b"<page>", b"</page>", b"<text>", b"<doc ", b"</doc>", b"[[File:", b"<ref>", b"<!--", b"{|", b"|}", b"'''"),
)


@dataclass(frozen=True)
class Target:
    """A reader and what it is given.

    Attributes:
        name: Of the file that the bytes are written to; folders may lead to it.
        samples: Sound contents.
        read: Reads the file, to its end.
        folder: Files that lie beside it, copied for each input; None for none.
    """

    name: str
    samples: tuple[bytes, ...]
    read: Callable[[Path], Any]
    folder: Path | None = None


class TooSlow(Exception):
    """An input on which a reader did not come to an end."""


def mutate(rng: random.Random, samples: tuple[bytes, ...]) -> bytes:
    """One of the samples with a few changes, or bytes that are nothing.

    Args:
        rng: Decides everything.
        samples: Sound contents.
    """
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(200))
    data = bytearray(rng.choice(samples))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 8, 64, 1024)))
        match rng.randrange(6):
            case 0:
                data[at:end] = b""
            case 1:
                data[at:at] = data[at:end] * rng.choice((1, 2, 50))
            case 2:
                data[at:at] = rng.choice(_TOKENS)
            case 3:
                data[at:end] = rng.randbytes(end - at)
            case 4:
                other = rng.choice(samples)
                data[at:end] = other[rng.randrange(len(other) + 1) :][: end - at]
            case _ if rng.random() < 0.3:
                del data[at:]
    return bytes(data)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` in the main thread when the time is over."""

    def stop(*_: Any) -> None:
        raise TooSlow(f"not done after {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempt(target: Target, data: bytes, seconds: float = 60) -> str:
    """Give a reader some bytes.

    Returns:
        `read` or `refused`.

    Raises:
        Exception: What the reader should not have raised; `TooSlow` if it did not end.
    """
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        if target.folder is not None:
            shutil.copytree(target.folder, root, dirs_exist_ok=True)
        file = root / target.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        try:
            with time_limit(seconds):
                target.read(file)
        except ElectraHfError as error:
            if not str(error).strip():
                raise AssertionError(f"{type(error).__name__} without a message") from error
            return "refused"
        return "read"


def _documents(path: Path) -> None:
    for _ in LocalFiles([str(path)]).documents():
        pass


def _table(kind: str) -> Callable[[Path], Any]:
    return lambda path: read_table(path, kind, Encoding())


def _options(path: Path) -> None:
    types = (ModelArguments, DataArguments, PretrainingArguments)
    ConfigArgumentParser(types).parse(["--config", str(path), "--output_dir", "out", "--use_cpu"])


def _parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": TEXT.split("\n"), "label": list(range(len(TEXT.split("\n"))))}), stream)
    return stream.getvalue()


def _sentencepiece(model_type: str) -> bytes:
    stream = io.BytesIO()
    sentences = iter(TEXT.replace("\n", " ").split(".") * 9)
    spm.SentencePieceTrainer.train(
        sentence_iterator=sentences,
        model_writer=stream,
        vocab_size=64,
        hard_vocab_limit=False,
        model_type=model_type,
        minloglevel=2,
    )
    return stream.getvalue()


def targets(folder: Path) -> dict[str, Target]:
    """Every reader.

    Args:
        folder: An empty one, for the sound files that some inputs lie beside.
    """
    text = TEXT.encode()
    rows = "".join(json.dumps({"text": line, "label": "a"}) + "\n" for line in TEXT.split("\n")).encode()
    array = b"[" + b", ".join(rows.splitlines()) + b"]"
    table = b"text,label\n" + b"".join(b'"%s",a\n' % line for line in text.split(b"\n") if line)
    tsv = table.replace(b",", b"\t").replace(b'"', b"")
    dump = (
        b"<mediawiki><siteinfo><namespaces></namespaces></siteinfo><page><title>River</title><ns>0</ns><revision>"
        b"<text>'''River''' is [[water|wet]]{{cite|a=1}}.<ref>x</ref>\n== Long ==\n* [[File:a.png|b]]\n{|\n|x\n|}"
        b"</text></revision></page></mediawiki>\n"
    )
    extracted = b'<doc id="1" url="u" title="River">\nRiver\n\nIt is () [[long|wet]] &lt;br&gt;.\n</doc>\n'
    aozora = (
        "題\n\n-----------------------\n【テキスト中に現れる記号について】\n"
        "-----------------------\n丹塗《にぬり》の※［＃「てへん＋丑」、第4水準2-12-93］\n\n底本：「青空文庫」\n"
    )
    conll = b"-DOCSTART- O\n\nw1 B-PER\nw2 I-PER\n\n# c\nw3 O\nw4 O\n\n"
    conllu = b"# t\n1\tw\tw\tNOUN\t_\t_\t0\troot\t_\tSpaceAfter=No\n1-2\tx\t_\t_\t_\t_\t_\t_\t_\t_\n\n"
    klue = "## a\t<강:LC>은\n강\tB-LC\n은\tO\n\n## b\tx\nx\tO\n".encode()
    naver = "강은 길다\tLOC_B -\n물\t-\n".encode()
    yaml = b"learning_rate: 5e-4\ntrain_file: [a.txt, b.txt]\nconfig_overrides: {hidden_size: 64}\nseed: &s 1\n"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = "\n".join([*special, *"abcdefghij"]).encode()

    tokenizer = train_wordpiece([TEXT] * 3, 100, max_length=16, show_progress=False)
    tokenizer.save_pretrained(folder / "tokenizer")
    (folder / "text.txt").write_bytes(text * 20)
    corpus = LocalFiles([str(folder / "text.txt")])
    prepare_folder(corpus, tokenizer, folder / "blocks", PackingSettings(max_seq_length=16), progress=False)
    (folder / "empty").mkdir()

    def sample(name: str) -> tuple[bytes, ...]:
        return ((folder / name).read_bytes(),)

    state = b'{"log_history": [{"step": 1, "loss": 2.5}], "global_step": 1}'
    objective = b'{"sampler": "gumbel", "temperature": 1.0, "embedding_sharing": "all"}'
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(8)
    return {
        "configuration": Target("c.yaml", (yaml,), read_config),
        "options": Target("c.yaml", (yaml,), _options),
        "text": Target("t.txt", (text,), _documents),
        "gzip": Target("t.txt.gz", (gzip.compress(text),), _documents),
        "bzip2": Target("t.txt.bz2", (bz2.compress(text),), _documents),
        "xz": Target("t.txt.xz", (lzma.compress(text),), _documents),
        "zstandard": Target("t.txt.zst", (zstandard.compress(text),), _documents),
        "JSON Lines": Target("t.jsonl", (rows,), _documents),
        "JSON array": Target("t.json", (array, rows), _documents),
        "CSV": Target("t.csv", (table,), _documents),
        "TSV": Target("t.tsv", (tsv,), _documents),
        "Parquet": Target("t.parquet", (_parquet(),), _documents),
        "dump": Target("t.xml", (dump * 3,), _documents),
        "WikiExtractor": Target("wiki_00", (extracted * 3,), _documents),
        "Aozora": Target("t.txt", (aozora.encode(),), _documents),
        "CSV table": Target("t.csv", (table,), _table(".csv")),
        "TSV table": Target("t.tsv", (tsv,), _table(".tsv")),
        "JSON Lines table": Target("t.jsonl", (rows,), _table(".jsonl")),
        "JSON table": Target("t.json", (array,), _table(".json")),
        "Parquet table": Target("t.parquet", (_parquet(),), _table(".parquet")),
        "CoNLL": Target("t.txt", (conll,), lambda path: read_columns(path, Encoding())),
        "CoNLL-U": Target("t.conllu", (conllu,), lambda path: read_conllu(path, Encoding())),
        "KLUE": Target("t.tsv", (klue,), lambda path: read_klue(path, Encoding())),
        "Naver": Target("t.tsv", (naver,), lambda path: read_naver(path, Encoding())),
        "SentencePiece": Target("t.model", (_sentencepiece("unigram"), _sentencepiece("bpe")), load_tokenizer),
        "vocabulary": Target("vocab.txt", (vocabulary,), lambda path: load_tokenizer(path, lowercase=True)),
        "tokenizer": Target(
            "tokenizer.json",
            sample("tokenizer/tokenizer.json"),
            lambda path: load_tokenizer(path.parent),
            folder / "tokenizer",
        ),
        "manifest": Target(
            "manifest.json",
            sample("blocks/manifest.json"),
            lambda path: BlockDataset(path.parent)[0],
            folder / "blocks",
        ),
        "trainer state": Target("trainer_state.json", (state,), lambda path: load_log_history(path.parent)),
        "objective": Target("objective.json", (objective,), lambda path: load_objective(str(path.parent))),
        "weights": Target("model.safetensors", (weights,), lambda path: read_weights(path.parent)),
        "scores": Target(
            "eval_results.json", (b'{"task": "sst2", "seeds": [1]}',), lambda path: load_run(path.parent)
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=60, help="time limit of an input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="names of readers")
    parser.add_argument("--output_dir", type=Path, default=Path("fuzz"), help="for inputs that are findings")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rng = random.Random(options.seed)
    outcomes: Counter[tuple[str, str]] = Counter()
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as place:
        readers = targets(Path(place))
        names = options.only or list(readers)
        end = time.monotonic() + 60 * options.minutes
        while time.monotonic() < end:
            name = names[sum(outcomes.values()) % len(names)]
            data = mutate(rng, readers[name].samples)
            try:
                outcome = attempt(readers[name], data, options.seconds)
            except Exception as error:
                outcome = "FOUND"
                place_of = traceback.extract_tb(error.__traceback__)[-1]
                line = f"{Path(place_of.filename).name}:{place_of.lineno}"
                key = f"{name}: {type(error).__name__}: {str(error)[:80]} ({line})"
                if key not in found:
                    options.output_dir.mkdir(parents=True, exist_ok=True)
                    file = options.output_dir / f"{len(found)}-{readers[name].name}"
                    file.write_bytes(data)
                    print(f"{key}: {file}", flush=True)
                    traceback.print_exception(error, limit=-6)
                found[key] = found.get(key, 0) + 1
            outcomes[name, outcome] += 1
    for name in names:
        print(f"{name:<20}" + "  ".join(f"{outcomes[name, kind]:>7,} {kind}" for kind in ("read", "refused", "FOUND")))
    print(f"{sum(outcomes.values()):,} inputs, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
