"""What is known of one token of a corrupted text. Apart from `detection`, so that showing records loads no models."""

from dataclasses import dataclass

# A token is suspected from here on: the discriminator gives "replaced" the better odds.
SUSPECTED = 0.5


@dataclass(frozen=True)
class TokenRecord:
    """One token of a text after corruption, and what the discriminator thinks of it."""

    piece: str  # as the vocabulary writes it
    original: str
    replaced: bool
    suspicion: float  # probability of "replaced", 0..1
    gap: bool  # whether the source has white space before this token
