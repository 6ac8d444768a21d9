"""The folder of a sentence-transformers model: the encoder, the mean over its tokens, and an honest README.

The mean is over all real tokens, [CLS] and [SEP] included, as in Reimers and Gurevych (2019, section 3). What such
embeddings are worth before they are fine-tuned is said in docs/export.md and in the README of the folder.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from electra_hf import __version__
from electra_hf.errors import ExportError, UsageError
from electra_hf.models.checkpoint import without_report
from electra_hf.sharing.export.folder import REPORT_NAME, check_output, import_extra, published
from electra_hf.sharing.export.loading import FEATURES, Exportable, load_exportable

TOLERANCE = 1e-5
# Of several lengths, so that most of them are padded when they are encoded together.
_PROBES = ("a", "the cat sat on the mat", "what is computed for a text must not depend on those beside it " * 4)
_README = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
- feature-extraction
---

# {title}

The encoder of `{source}` ({model_type}, {parameters:,} parameters), followed by the mean of its token
embeddings{also}: {dimension} numbers for each text of up to {max_seq_length} tokens.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("PATH_OF_THIS_FOLDER")
embeddings = model.encode(["A first sentence.", "A second one."])
print(model.similarity(embeddings, embeddings))
```

## Not yet a model of similarity

**Nothing in its training has compared texts.** This is a pre-trained encoder in the form that sentence-transformers
fine-tunes. As it is, its cosine similarities rank pairs of sentences poorly:

- The token embeddings of pre-trained encoders share a few directions (they are anisotropic), so that all texts look
  alike: cosines are near to each other and high, whatever is said (Ethayarajh 2019). The mean over BERT's tokens ranks
  pairs worse than the mean of GloVe vectors (Reimers and Gurevych 2019, table 1).
- A model that detects replaced tokens is worse than others at this. Its last layer answers which tokens are wrong,
  not what a text is about. Rep, Dukić and Šnajder (2024) find that the last layer of ELECTRA's discriminator drops
  against the ones before, also after fine-tuning, that leaving out the last layers gains over 8 points of Spearman's
  correlation on the STS Benchmark, and that ELECTRA's generator is on a par with BERT.

So fine-tune it on pairs before it is used for search, clustering or similarity: with a contrastive loss
(`MultipleNegativesRankingLoss` on pairs that belong together; Gao et al. 2021 need no pairs), or with `CoSENTLoss` on
pairs with a score. Try fewer layers (`--num_hidden_layers`) and the generator (`--subfolder generator`) too, and
measure on pairs of your own.
{notes}
## Sources

- K. Ethayarajh (2019): How Contextual are Contextualized Word Representations? EMNLP.
- N. Reimers, I. Gurevych (2019): Sentence-BERT. EMNLP.
- T. Gao, X. Yao, D. Chen (2021): SimCSE. EMNLP.
- I. Rep, D. Dukić, J. Šnajder (2024): Are ELECTRA's Sentence Embeddings Beyond Repair? Findings of EMNLP.
"""
_CONVBERT = """
ConvBERT: transformers' class lets its convolutions see the padding, so that an embedding depends a little on the
longest text of its batch. `batch_size=1` gives those of texts without padding.
"""


@dataclass(frozen=True)
class EmbeddingExport:
    """What export.json says.

    Attributes:
        source: Folder, without the path to it, or Hub id.
        model_type: Family of the encoder.
        parameters: Of the encoder.
        num_hidden_layers: Layers that were kept.
        embedding_dimension: Numbers of an embedding.
        max_seq_length: Tokens; longer texts are cut.
        normalized: Whether embeddings have length 1.
        max_abs_difference: Of the embeddings of the folder, from means by hand.
        tolerance: That was allowed.
        bytes: Size of the folder.
        notes: What a user must know.
        versions: Of the packages that made it.
        format: Of the folder.
    """

    source: str
    model_type: str
    parameters: int
    num_hidden_layers: int
    embedding_dimension: int
    max_seq_length: int
    normalized: bool
    max_abs_difference: float
    tolerance: float
    bytes: int
    notes: list[str]
    versions: dict[str, str]
    format: str = "sentence-transformers"


def export_embeddings(
    name: str,
    output_dir: Path,
    *,
    subfolder: str = "",
    max_seq_length: int | None = None,
    num_hidden_layers: int | None = None,
    normalize: bool = False,
    overwrite: bool = False,
) -> EmbeddingExport:
    """Write the folder, load it, compare its embeddings with means by hand, and only then let it appear.

    Args:
        name: Folder or Hub id.
        output_dir: The folder to write.
        subfolder: Where in the folder the model is, such as `generator`.
        max_seq_length: Tokens, after which a text is cut; default: what model and tokenizer take.
        num_hidden_layers: Keep the first layers only; default: all.
        normalize: Divide embeddings by their length.
        overwrite: Replace an earlier export.

    Raises:
        UsageError: If an option does not fit the model, the extra is missing, or the folder holds something.
        CheckpointError: If there is no whole encoder.
        ExportError: If the embeddings are not those means.
    """
    check_output(output_dir, name, overwrite=overwrite)
    (library,) = import_extra("sentence_transformers")
    kept = {} if num_hidden_layers is None else {"num_hidden_layers": num_hidden_layers}
    if num_hidden_layers is not None:
        _check_layers(name, subfolder, num_hidden_layers)
    source = load_exportable(name, task=FEATURES, subfolder=subfolder, **kept)
    longest = source.max_length
    if max_seq_length is not None and not 2 < max_seq_length <= longest:
        raise UsageError(f"--max_seq_length {max_seq_length}: {source.name} takes 3 to {longest} tokens")
    notes = [note for note in source.notes if source.config.model_type != "convbert"]
    if source.config.model_type == "convbert":
        notes.append(" ".join(_CONVBERT.split()))
    with published(output_dir) as folder:
        model = _assemble(source, max_seq_length or longest, normalize)
        model.save(str(folder), create_model_card=False)
        loaded = library.SentenceTransformer(str(folder), device="cpu")
        difference = _largest_difference(source, loaded, max_seq_length or longest, normalize)
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{source.name}: the embeddings of the folder differ from means over its tokens by {difference:.1e}, "
                f"and {TOLERANCE:.0e} is allowed. Nothing was written; please report it with the version of "
                "sentence-transformers"
            )
        result = EmbeddingExport(
            source=source.public_name,
            model_type=source.config.model_type,
            parameters=source.parameters,
            num_hidden_layers=source.config.num_hidden_layers,
            embedding_dimension=source.config.hidden_size,
            max_seq_length=max_seq_length or longest,
            normalized=normalize,
            max_abs_difference=difference,
            tolerance=TOLERANCE,
            bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            notes=notes,
            versions={
                "electra_hf": __version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "sentence_transformers": library.__version__,
            },
        )
        _write_texts(folder, result, output_dir.name)
    return result


def _check_layers(name: str, subfolder: str, layers: int) -> None:
    from transformers import PreTrainedConfig

    there = PreTrainedConfig.get_config_dict(name, subfolder=subfolder)[0].get("num_hidden_layers", layers)
    if not 1 <= layers <= there:
        raise UsageError(f"--num_hidden_layers {layers}: the model has {there}")


def _assemble(source: Exportable, max_seq_length: int, normalize: bool) -> Any:
    """The modules of sentence-transformers, which read an encoder from a folder."""
    library, modules = import_extra("sentence_transformers", "sentence_transformers.sentence_transformer.modules")
    with tempfile.TemporaryDirectory() as folder:
        source.model.save_pretrained(folder)
        source.tokenizer.save_pretrained(folder)
        with without_report():
            encoder = modules.Transformer(folder, max_seq_length=max_seq_length)
    if pooler := dict(encoder.model.named_children()).get("pooler"):
        # Left out of the source; sentence-transformers draws one, which no embedding depends on.
        for parameter in pooler.parameters():
            torch.nn.init.zeros_(parameter)
    chain = [encoder, modules.Pooling(source.config.hidden_size, pooling_mode="mean")]
    return library.SentenceTransformer(modules=[*chain, *([modules.Normalize()] if normalize else [])], device="cpu")


def mean_embeddings(source: Exportable, texts: Sequence[str], max_length: int) -> np.ndarray:
    """(texts, hidden) fp32: the mean over the real tokens of each text, one text at a time and so without padding."""
    rows = []
    for text in texts:
        encoded = source.tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
        inputs = {name: encoded[name] for name in source.input_names if name in encoded}
        with torch.inference_mode():
            rows.append(source.model(**inputs).last_hidden_state[0].mean(0).numpy())
    return np.stack(rows)


def _largest_difference(source: Exportable, loaded: Any, max_length: int, normalize: bool) -> float:
    expected = mean_embeddings(source, _PROBES, max_length)
    if normalize:
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    return float(np.abs(loaded.encode(list(_PROBES), show_progress_bar=False) - expected).max())


def _write_texts(folder: Path, result: EmbeddingExport, title: str) -> None:
    readme = _README.format(
        title=title,
        source=result.source,
        model_type=result.model_type,
        parameters=result.parameters,
        also=", divided by its length" if result.normalized else "",
        dimension=result.embedding_dimension,
        max_seq_length=result.max_seq_length,
        notes=_CONVBERT if result.model_type == "convbert" else "",
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")
    text = json.dumps(asdict(result), indent=2, ensure_ascii=False)
    (folder / REPORT_NAME).write_text(text + "\n", encoding="utf-8")
