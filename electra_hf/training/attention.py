"""The attention of a run on a GPU: measured once for its shapes, kept in a table, the same after resuming.

The table is a JSON file in the Hugging Face cache with the times of all candidates (`models.attention`) for each
device, version of torch and shape. Another kernel rounds differently, so a checkpoint keeps what its run computes
with, and a run that is resumed takes that without measuring.
"""

import contextlib
import dataclasses
import json
import logging
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import broadcast_object_list
from huggingface_hub.constants import HF_HOME
from transformers import TrainerCallback, TrainerState
from transformers.trainer_callback import ExportableState

from electra_hf.corpora.storage import publish, to_json
from electra_hf.errors import TrainingError, explain_os_error
from electra_hf.models import PretrainingModel
from electra_hf.models.attention import CANDIDATES, SDPA, AttentionShape, attention, measure_attention
from electra_hf.models.backbones import backbone_of

logger = logging.getLogger(__name__)

AUTO = "auto"

Times = dict[str, float]


def table_file() -> Path:
    """Where the times are kept."""
    return Path(HF_HOME) / "electra_hf" / "attention.json"


def attention_times(shape: AttentionShape, device: torch.device, file: Path) -> Times:
    """Seconds of every candidate that can compute the shape, from the table, or measured and added to it.

    Args:
        shape: One layer's attention.
        device: Where.
        file: The table. One that cannot be read or written is reported and does not stop the run.

    Raises:
        TrainingError: If nothing can compute the shape.
    """
    table, key = _read_table(file), _key(shape, device)
    if key in table:
        return table[key]
    times = measure_attention(shape, device)
    if not times:
        raise TrainingError(
            f"no attention could be computed for {key}: lower --per_device_train_batch_size, or name one with "
            "--attn_implementation"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        publish(file, to_json({**table, key: times}))
    except OSError as error:
        logger.warning("The times of attention are not kept: %s.", explain_os_error(error, file))
    return times


def _read_table(file: Path) -> dict[str, Times]:
    try:
        table = json.loads(file.read_bytes())
        if not all(name in CANDIDATES and seconds > 0 for times in table.values() for name, seconds in times.items()):
            raise ValueError("it names other attentions than this version, or times that are none")
        if not all(table.values()):
            raise ValueError("it holds a shape without times")
    except FileNotFoundError:
        return {}
    except OSError as error:
        logger.warning("The times of attention are measured anew: %s.", explain_os_error(error, file))
        return {}
    except (ValueError, AttributeError, TypeError) as error:
        logger.warning("%s is no table of the times of attention (%s): it is made anew.", file, error)
        return {}
    return table


def _key(shape: AttentionShape, device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    facts = ", ".join(f"{field} {value}" for field, value in dataclasses.asdict(shape).items())
    return f"{name}, torch {torch.__version__}, {facts}"


class RunAttention(TrainerCallback, ExportableState):
    """The attention that a run computes with. As a callback with a state it is kept in `trainer_state.json`.

    Attributes:
        choice: A candidate, or None as long as none was chosen.
    """

    def __init__(self, choice: str | None = None):
        self.choice = choice
        self._undo = contextlib.ExitStack()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"args": {"choice": self.choice}, "attributes": {}}

    def start(
        self,
        model: PretrainingModel,
        shape: AttentionShape,
        device: torch.device,
        state: TrainerState,
        world_size: int,
    ) -> None:
        """Choose, unless the run that is resumed has chosen, and let the encoders compute with it until `stop`.

        The fastest for the main encoder's shape is taken for the generator, too. The first process decides for all.

        Args:
            model: The joint model.
            shape: The main encoder's attention.
            device: This process's.
            state: The Trainer's, from the checkpoint if the run is resumed.
            world_size: Processes.
        """
        self.stop()
        kept = cast(dict[str, Any], state.stateful_callbacks).get(type(self).__name__)
        choice = kept["args"]["choice"] if kept else None
        if choice is not None:
            logger.info("Attention: %s, as this run has chosen before.", choice)
        else:
            choices = [None]
            if state.is_world_process_zero:
                times = attention_times(shape, device, table_file())
                choices = [min(times, key=times.__getitem__)]
                logger.info("Attention: %s", describe_times(times))
            if world_size > 1:
                broadcast_object_list(choices)
            choice = choices[0]
        assert choice is not None
        self.choice = choice
        self._undo.enter_context(attention(choice, model.plain_parts.values()))

    def stop(self) -> None:
        """Compute as before `start`."""
        self._undo.close()


def chooses_attention(model: PretrainingModel, device: torch.device) -> bool:
    """Whether there is something to choose: on CUDA, if nobody named an attention."""
    given = any(half.config._attn_implementation != SDPA for half in model.plain_parts.values())
    return device.type == "cuda" and model.attn_implementation == AUTO and not given


def attention_shape(
    config: Any, *, rows: int, length: int, dtype: torch.dtype, padded: bool, compiled: bool
) -> AttentionShape:
    """The attention of one layer of an encoder.

    Args:
        config: The encoder's.
        rows: Rows of a batch on one device.
        length: Tokens of a row.
        dtype: Of the matrix products.
        padded: Batches carry an attention mask.
        compiled: The step runs under torch.compile.
    """
    return AttentionShape(
        batch=rows,
        heads=config.num_attention_heads,
        head_width=config.hidden_size // config.num_attention_heads,
        length=length,
        dtype=dtype,
        dropout=backbone_of(config).attention_dropout(config),
        padded=padded,
        compiled=compiled,
    )


def describe_times(times: Times) -> str:
    """The fastest, and the others beside it.

    >>> describe_times({"math": 0.0021, "flash": 0.0002, "eager": 0.0009})
    'flash, 0.200 ms a layer, forward and backward (eager 0.900, math 2.100).'
    """
    (best, seconds), *others = sorted(times.items(), key=lambda item: item[1])
    beside = ", ".join(f"{name} {slower * 1e3:.3f}" for name, slower in others)
    return f"{best}, {seconds * 1e3:.3f} ms a layer, forward and backward" + (f" ({beside})." if beside else ".")
