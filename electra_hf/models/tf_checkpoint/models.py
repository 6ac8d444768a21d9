"""The imported halves as models, and the folder that pre-training and fine-tuning go on from."""

from pathlib import Path
from typing import Any, cast

from safetensors.torch import save_file

from electra_hf.models.backbones import EncoderWithDetectionHead, backbone_of
from electra_hf.models.configuration import MaskedLanguageModelingConfig
from electra_hf.models.masked_language_modeling import EncoderForMaskedLanguageModeling
from electra_hf.models.objective_files import EXTRA_WEIGHTS_NAME
from electra_hf.models.replaced_token_detection import ElectraForReplacedTokenDetection, ReplacedTokenDetectionConfig
from electra_hf.models.tf_checkpoint.electra import Half, ImportedElectra


def save_imported(found: ImportedElectra, folder: Path) -> None:
    """Write a folder as pre-training does: the discriminator at the root, the generator in `generator/`.

    A masked language model alone is at the root. A discriminator alone has no `objective.json`.

    Args:
        found: From `import_electra`.
        folder: Made if needed.
    """
    if found.discriminator is None:
        generator = _build_generator(cast(Half, found.generator))
        config = MaskedLanguageModelingConfig(
            masked_lm_config=generator.config, pad_token_id=generator.config.pad_token_id
        )
        EncoderForMaskedLanguageModeling(config, masked_lm=generator).save_pretrained(folder)
    elif found.generator is None:
        _save_discriminator(_build_discriminator(found.discriminator), folder)
    else:
        generator, discriminator = _build_generator(found.generator), _build_discriminator(found.discriminator)
        config = ReplacedTokenDetectionConfig(
            generator_config=generator.config,
            discriminator_config=discriminator.config,
            embedding_sharing="all" if found.embeddings_shared else "none",
            pad_token_id=discriminator.config.pad_token_id,
        )
        model = ElectraForReplacedTokenDetection(config, generator=generator, discriminator=discriminator)
        model.save_pretrained(folder)


def _build_generator(half: Half) -> Any:
    model = backbone_of(half.config).make_masked_lm(half.config)
    model.load_state_dict(half.weights)
    return model


def _build_discriminator(half: Half) -> Any:
    model = backbone_of(half.config).make_discriminator(half.config)
    weights = half.weights
    if isinstance(model, EncoderWithDetectionHead):
        prefix = f"{model.encoder.base_model_prefix}."
        weights = {
            f"encoder.{name.removeprefix(prefix)}" if name.startswith(prefix) else name: weight
            for name, weight in weights.items()
        }
    model.load_state_dict(weights)
    return model


def _save_discriminator(model: Any, folder: Path) -> None:
    if not isinstance(model, EncoderWithDetectionHead):
        model.save_pretrained(folder)
        return
    model.encoder.save_pretrained(folder)
    # Where the joint model, with a fresh generator, will look for the head.
    part = ElectraForReplacedTokenDetection.main_part
    head = model.discriminator_predictions.state_dict(prefix=f"{part}.discriminator_predictions.")
    save_file(head, folder / EXTRA_WEIGHTS_NAME, metadata={"format": "pt"})
