"""The energy of a training, estimated by codecarbon from the power of processors, memory and GPUs; nothing is sent.

A process for each machine measures all of that machine, whoever uses it. What was measured is in the checkpoints, so
that a run which was interrupted knows its whole energy.
"""

import logging
from typing import Any

from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerState, TrainingArguments

from electra_hf.errors import UsageError

# Only the energy is used where no country is known, and codecarbon asks for one.
_ANY_COUNTRY = "USA"


def check_energy(country: str | None) -> None:
    """Refuse what cannot be measured, before a run begins.

    Args:
        country: Three letters, or None.

    Raises:
        UsageError: If codecarbon is not installed, or knows no such country.
    """
    try:
        from codecarbon.input import DataSource
    except ImportError as error:
        raise UsageError(
            '--track_energy needs codecarbon: pip install "electra_hf[energy]", or leave the option out'
        ) from error
    if country is not None and country not in DataSource().get_global_energy_mix_data():
        raise UsageError(
            f"--energy_country {country}: no country that codecarbon knows; give three letters, such as KOR or FRA"
        )


class EnergyCallback(TrainerCallback):
    """Measures while a run trains.

    Args:
        country: Three letters, for the CO2 of its electricity; None measures the energy only.

    Attributes:
        kwh: Kilowatt hours of all machines, once the training has ended.
        co2_kg: Kilograms of CO2-equivalent, likewise; None without a country.
    """

    def __init__(self, country: str | None):
        self.country = country
        self.kwh: float = 0.0
        self.co2_kg: float | None = None
        self._sums = [0.0, 0.0]  # of this machine
        self._tracker: Any = None

    def on_train_begin(self, args: TrainingArguments, *_: Any, **__: Any) -> None:
        if args.local_process_index == 0:
            from codecarbon import OfflineEmissionsTracker

            logging.getLogger("codecarbon").setLevel(logging.ERROR)
            self._tracker = OfflineEmissionsTracker(
                country_iso_code=self.country or _ANY_COUNTRY,
                save_to_file=False,
                log_level="error",
                allow_multiple_runs=True,
            )
            self._tracker.start_task()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        self._read()
        if self._tracker is not None:
            self._tracker.stop()
            self._tracker = None
        machines = gather_object([tuple(self._sums)])
        self.kwh = sum(kwh for kwh, _ in machines)
        self.co2_kg = sum(co2 for _, co2 in machines) if self.country else None

    def _read(self) -> None:
        if self._tracker is not None:
            measured = self._tracker.stop_task()
            self._sums[0] += measured.energy_consumed
            self._sums[1] += measured.emissions

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        self._read()
        if self._tracker is not None:
            self._tracker.start_task()
        return {"kwh": self._sums[0], "co2_kg": self._sums[1]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._sums = [float(state["kwh"]), float(state["co2_kg"])]
