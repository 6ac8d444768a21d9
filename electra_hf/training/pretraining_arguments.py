"""How an encoder is pre-trained: the paper's values, and what exact masks, losses and orders of the data need."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from transformers import SchedulerType
from transformers.trainer_utils import HubStrategy

from electra_hf.errors import UsageError
from electra_hf.ranges import Range, check_ranges
from electra_hf.training.energy import check_energy
from electra_hf.training.training_arguments import ADAMW_PAPER, MUON, ElectraTrainingArguments

MUON_MOMENTUM = 0.95
JOINT, DECOUPLED = "joint", "decoupled"
# More than any time is long enough for.
_UNBOUNDED_STEPS = 1_000_000_000


@dataclass
class PretrainingArguments(ElectraTrainingArguments):
    """The options of pre-training: the paper's values, and what exact masks and losses need.

    Raises:
        UsageError: As `ElectraTrainingArguments`, and for impossible warm-ups.
    """

    own_optimizers: ClassVar[tuple[str, ...]] = (ADAMW_PAPER, MUON)

    do_train: bool = field(default=True, metadata={"help": "Train."})
    learning_rate: float = field(default=5e-4, metadata={"help": "Peak learning rate (small 5e-4, base, large 2e-4)."})
    weight_decay: float = field(default=0.01, metadata={"help": "Not applied to LayerNorm and biases."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Steps, or a fraction of all steps if below 1."})
    logging_steps: float = field(default=100, metadata={"help": "Steps between two lines of metrics."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "Must stay off: masks need every field."})
    dataloader_drop_last: bool = field(
        default=True, metadata={"help": "Must stay on: what is left of an epoch is part of others."}
    )
    torch_compile: bool | None = field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=None,
        metadata={
            "help": "Compile the training step: true or false. Default: on NVIDIA and AMD GPUs; on a CPU it takes "
            "minutes for a few per cent.",
            "nargs": "?",
            "const": True,
        },
    )
    schedule_minutes: float | None = field(
        default=None,
        metadata={
            "help": "Train for so many minutes, over all resumes, evaluation and saving not counted: learning rate, "
            "warm-up and decay (paper_linear, wsd, trapezoid) follow the time instead of the steps. --max_steps, if "
            "given, is an upper bound."
        },
    )
    hub_strategy: HubStrategy | str = field(
        default="every_save",
        metadata={
            "help": "With --push_to_hub: end (the finished model), every_save (each checkpoint too, as it comes), "
            "all_checkpoints (each also stays, as the revision step-N)."
        },
    )
    hub_generator_model_id: str | None = field(
        default=None,
        metadata={"help": "Repository for the generator; default: the folder generator/ beside the encoder."},
    )
    track_energy: bool = field(
        default=False,
        metadata={"help": "Estimate the energy of the training with codecarbon (extra `energy`), for the model card."},
    )
    energy_country: str | None = field(
        default=None,
        metadata={"help": "Where it takes place, in three letters (KOR, FRA ...): gives the CO2 of that energy."},
    )
    muon_learning_rate: float | None = field(
        default=None,
        metadata={"help": "Peak learning rate of the matrices with --optim muon; default: --learning_rate."},
    )
    muon_momentum: float | None = field(
        default=None, metadata={"help": f"Momentum of the matrices with --optim muon ({MUON_MOMENTUM})."}
    )
    generator_learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Peak learning rate of the generator, to which shared embeddings belong, under the same schedule; "
            "default: --learning_rate."
        },
    )
    optimization: str = field(
        default=JOINT,
        metadata={
            "help": "joint: --max_grad_norm clips all gradients by their common norm (the paper). decoupled: those of "
            "the generator, with shared embeddings, and those of the discriminator apart (DeBERTa-v3).",
            "choices": [JOINT, DECOUPLED],
        },
    )
    batch_size_warmup_steps: float = field(
        default=0, metadata={"help": "Steps with smaller batches, or a fraction of all steps if below 1; 0: none."}
    )
    batch_size_warmup_start: int | None = field(
        default=None,
        metadata={"help": "Rows per device at the beginning; doubled until --per_device_train_batch_size is reached."},
    )
    length_warmup_steps: float = field(
        default=0,
        metadata={"help": "Steps with blocks cut into shorter rows, or a fraction of all steps if below 1; 0: none."},
    )
    length_warmup_start: int | None = field(
        default=None, metadata={"help": "Length of the rows at the beginning; doubled until --max_seq_length."}
    )
    max_skipped_steps: int = field(
        default=10,
        metadata={
            "help": "Steps in a row that may be skipped because their loss or gradient is NaN or infinite; one more "
            "stops the run."
        },
    )
    spike_threshold: float | None = field(
        default=None,
        metadata={
            "help": "Go back to the last checkpoint, and leave out the data since then, if a logged loss is above "
            "this many times the median of the last ten (1.5, for instance). Default: never."
        },
    )
    max_rollbacks: int = field(
        default=3, metadata={"help": "Rollbacks of --spike_threshold in a run; one more spike stops it."}
    )
    num_text_samples: int = field(
        default=4,
        metadata={
            "help": "Held-out sentences that are looked at again and again in the course of the run: what the "
            "generator swaps in them, and what the discriminator suspects (text_samples.jsonl). 0: none."
        },
    )
    text_samples_steps: int | None = field(
        default=None,
        metadata={"help": "Steps between two looks at them. Default: at 0, 10, 20, 50, 100, 200, 500, ... steps."},
    )

    def __post_init__(self):
        if self.torch_compile is None and self.torch_compile_backend is None and self.torch_compile_mode is None:
            self.torch_compile = self.do_train and compiles_by_default(self.device_type)
            if self.torch_compile and self.tf32 is None and not self.bf16:
                # TrainingArguments would lower the precision of fp32 as well, which nobody asked for.
                self.tf32 = False
        super().__post_init__()
        for option in ("muon_learning_rate", "muon_momentum"):
            if getattr(self, option) is not None and self.optim != MUON:
                raise UsageError(f"--{option} has no effect on --optim {self.optim}: leave it out, or use muon")
        if self.optim == MUON and self.muon_momentum is None:
            self.muon_momentum = MUON_MOMENTUM
        if self.muon_learning_rate is not None and not 0 < self.muon_learning_rate < math.inf:
            raise UsageError(f"--muon_learning_rate is {self.muon_learning_rate}; give a rate above 0")
        if self.muon_momentum is not None and not 0 <= self.muon_momentum < 1:
            raise UsageError(f"--muon_momentum is {self.muon_momentum}; give a fraction from 0 up to, but not, 1")
        self._check_generator()
        self._check_energy()
        self._check_warmups()
        self._check_health()
        self._check_schedule_in_time()
        check_ranges(self, {"num_text_samples": Range(0), "text_samples_steps": Range(1)})
        if not self.dataloader_drop_last:
            raise UsageError(
                "--dataloader_drop_last must stay on: every step has whole batches, and the blocks that one epoch "
                "leaves out are not those of the next, which is shuffled anew"
            )
        if not self.dataloader_in_order:
            raise UsageError(
                "--dataloader_in_order must stay on: batches that overtake each other are another run each time"
            )
        if str(self.resume_from_checkpoint or "false").strip().lower() == "false":
            self.resume_from_checkpoint = None  # a string would count as a wish to go on
        if self.data_seed is None:
            # The order of the data must not follow the per-process seeds of dropout and sampling.
            self.data_seed = self.seed

    @property
    def warms_up_batches(self) -> bool:
        """Whether the first batches are smaller, or their rows shorter, than the others."""
        return self.batch_size_warmup_steps > 0 or self.length_warmup_steps > 0

    def _check_generator(self) -> None:
        check_ranges(self, {"generator_learning_rate": Range(0, without="low")})
        if self.generator_learning_rate is not None and not self.learning_rate:
            raise UsageError("--generator_learning_rate needs a --learning_rate above 0")
        if self.optimization not in (JOINT, DECOUPLED):
            raise UsageError(f"--optimization {self.optimization}: choose {JOINT} or {DECOUPLED}")
        if self.optimization == DECOUPLED and not self.max_grad_norm:
            raise UsageError("--optimization decoupled has no effect on --max_grad_norm 0, which does not clip")

    def _check_energy(self) -> None:
        if self.energy_country is not None and not self.track_energy:
            raise UsageError("--energy_country has no effect without --track_energy: give both or none")
        if self.track_energy:
            check_energy(self.energy_country)

    def _check_health(self) -> None:
        for option in ("max_skipped_steps", "max_rollbacks"):
            if getattr(self, option) < 0:
                raise UsageError(f"--{option} is {getattr(self, option)}; give 0 or more")
        if self.spike_threshold is not None and not 1 < self.spike_threshold < math.inf:
            raise UsageError(f"--spike_threshold is {self.spike_threshold}; give a factor above 1, such as 1.5")

    def _check_warmups(self) -> None:
        for kind in ("batch_size", "length"):
            steps, start = getattr(self, f"{kind}_warmup_steps"), getattr(self, f"{kind}_warmup_start")
            if not 0 <= steps < math.inf or (steps > 1 and steps != int(steps)):
                raise UsageError(f"--{kind}_warmup_steps {steps}: give a number of steps, or a fraction below 1")
            if (steps > 0) != (start is not None):
                raise UsageError(f"--{kind}_warmup_steps and --{kind}_warmup_start need each other: give both or none")
            if start is not None and start < 1:
                raise UsageError(f"--{kind}_warmup_start {start}: give a size of at least 1")

    def _check_schedule_in_time(self) -> None:
        if self.schedule_minutes is None:
            return
        check_ranges(self, {"schedule_minutes": Range(0, without="low")})
        if self.lr_scheduler_type not in self.own_schedules:
            name = SchedulerType(self.lr_scheduler_type).value
            raise UsageError(
                f"--schedule_minutes needs a schedule that is a function of time: --lr_scheduler_type {name} is none; "
                f"use {', '.join(self.own_schedules)}"
            )
        if self.milestones:
            raise UsageError(
                "--keep_milestones are shares of all steps, and with --schedule_minutes nobody knows how many there "
                "will be: leave it out"
            )
        if self.warmup_steps >= 1:
            raise UsageError(
                f"--warmup_steps {self.warmup_steps:g}: with --schedule_minutes give a fraction of the time below 1"
            )
        fractions = ("logging_steps", "eval_steps", "save_steps", "batch_size_warmup_steps", "length_warmup_steps")
        for option in fractions:
            if 0 < (getattr(self, option) or 0) < 1:
                raise UsageError(
                    f"--{option} {getattr(self, option)}: give a number of steps, since with --schedule_minutes "
                    "nobody knows how many there will be"
                )
        if self.max_steps <= 0:
            self.max_steps = _UNBOUNDED_STEPS


def compiles_by_default(device_type: str) -> bool:
    """Whether compiling the training step pays on such a device; a GPU of AMD is called cuda, too."""
    return device_type == "cuda"
