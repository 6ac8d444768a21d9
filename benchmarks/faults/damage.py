"""Damage every file of a checkpoint in turn, and see that it is noticed before it is used."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from electra_hf.errors import CheckpointError
from electra_hf.training.checkpoints import MANIFEST_NAME, resolve_resume


def damages(path: Path, rng: random.Random) -> Iterator[tuple[str, bytes | None]]:
    """Kinds of damage to a file, and what it holds then; None: it is gone.

    A bit is flipped in the first, the middle and the last byte and in five others, and in every byte of a manifest.
    """
    data = path.read_bytes()
    size = len(data)
    yield "removed", None
    if size:
        yield "emptied", b""
        yield "truncated", data[: size // 2]
        yield "truncated", data[:-1]
    places = range(size) if path.name == MANIFEST_NAME else {0, size // 2, size - 1, *rng.choices(range(size), k=5)}
    for place in places if size else ():
        yield "bit flipped", data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def damage_everything(newest: Path, former: Path) -> tuple[Counter[str], list[str]]:
    """Damage a checkpoint in every way, one at a time, and try to resume from it.

    Args:
        newest: The newest checkpoint of a run; it is as it was afterwards.
        former: The one before, which is whole.

    Returns:
        How often each kind of damage was noticed both ways: by name, and with `auto`, which must keep it aside and
        take the former one; and a sentence for each that was not.
    """
    rng = random.Random(0)
    noticed: Counter[str] = Counter()
    missed: list[str] = []
    aside = newest.with_name(f"_damaged-{newest.name}")
    for path in sorted(path for path in newest.rglob("*") if path.is_file()):
        name, whole = path.relative_to(newest).as_posix(), path.read_bytes()
        for kind, data in damages(path, rng):
            path.unlink() if data is None else path.write_bytes(data)
            try:
                resolve_resume(str(newest), newest.parent)
                missed.append(f"{name} {kind}: it was taken for whole")
            except CheckpointError as error:
                if Path(name).name not in str(error):
                    missed.append(f"{name} {kind}: the message does not name it: {error}")
            found = resolve_resume("auto", newest.parent)
            if found == former and aside.is_dir():
                noticed[kind] += 1
                aside.rename(newest)
            else:
                missed.append(f"{name} {kind}: auto took {found}")
            path.write_bytes(whole)
    if resolve_resume("auto", newest.parent) != newest:
        missed.append("the checkpoint is not as it was before")
    return noticed, missed
