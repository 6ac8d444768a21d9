"""A linear-chain conditional random field over the tags of a sequence (Lafferty et al., 2001; Lample et al., 2016).

A sequence of tags y scores `start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_(t-1), y_t] + end[y_n]`, and its
probability is the exponential of that over the sum Z of all sequences.

* Places without a tag (padding on any side, the later sub-words of a word) are skipped as if they were not there: the
  others move to the front of their row, with static shapes, before anything is computed.
* Z and all posteriors come from one scan over the length, in which half of a doubled batch runs forward and the other
  half backward. The gradient of log Z is the posteriors, so it is written out and not recorded step by step. The scan,
  its gradient and Viterbi are operators of torch: `torch.compile` takes each as one node and does not unroll the
  length. The gradient has no derivative of its own; torch refuses to make one.
* Everything is computed in fp32 at least and in log space. Sums of probabilities by matrix products are faster, but
  lose a tag for good that one place makes very unlikely.
* Constraints (a sequence of IOB2 tags does not start with `I-PER`) hold in decoding and not in training. A document
  that is cut into windows has windows that begin or end inside an entity: their gold tags would have probability 0 and
  an infinite loss.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from electra_hf.errors import UsageError

# How the tags of an entity are written; `plain` tags know no entities.
TagScheme = Literal["IOB2", "BIOES", "plain"]

_IGNORED = -100
_OUTSIDE = "O"
_PREFIXES = {"IOB2": "BI", "BIOES": "BIES"}


class AllowedTransitions(NamedTuple):
    """What may stand where in a valid sequence of tags.

    Attributes:
        start: (tags,) bool: may be the first.
        transitions: (tags, tags) bool: [i, j], j may follow i.
        end: (tags,) bool: may be the last.
    """

    start: Tensor
    transitions: Tensor
    end: Tensor


def allowed_transitions(labels: Sequence[str], scheme: str) -> AllowedTransitions:
    """The constraints of a tag scheme.

    Args:
        labels: Names in the order of the numbers: `O`, `B-PER`, `I-PER` and so on; anything if the scheme is `plain`.
        scheme: `IOB2`: `I-X` only after `B-X` or `I-X`. `BIOES`: after `B-X` and `I-X` come `I-X` or `E-X` and nothing
            else; `S-X` is an entity by itself. `plain`: everything goes.

    Returns:
        Tensors on the CPU.

    Raises:
        UsageError: If the scheme is unknown, a label does not fit it, or a sequence of one tag could not be valid.

    >>> allowed = allowed_transitions(["O", "B-PER", "I-PER"], "IOB2")
    >>> allowed.start.tolist()
    [True, True, False]
    >>> allowed.transitions.tolist()
    [[True, True, False], [True, True, True], [True, True, True]]
    """
    tags = len(labels)
    if scheme == "plain":
        return AllowedTransitions(*(torch.ones(shape, dtype=torch.bool) for shape in ((tags,), (tags, tags), (tags,))))
    if scheme not in _PREFIXES:
        raise UsageError(f"unknown tag scheme {scheme!r}: it is one of {', '.join(_PREFIXES)}, plain")
    parsed = [_parse(label, scheme) for label in labels]
    start = [prefix not in "IE" for prefix, _ in parsed]
    end = [scheme == "IOB2" or prefix not in "BI" for prefix, _ in parsed]
    transitions = [[_may_follow(before, after, scheme) for after in parsed] for before in parsed]
    # Such a tag can also be repeated, so with one there is a valid sequence of every length.
    if not any(may_start and may_end for may_start, may_end in zip(start, end, strict=True)):
        raise UsageError(f"no tag of {', '.join(labels)} can stand alone in the scheme {scheme}: is O missing?")
    return AllowedTransitions(torch.tensor(start), torch.tensor(transitions), torch.tensor(end))


def _parse(label: str, scheme: str) -> tuple[str, str]:
    """Prefix and type of a label; O has no type."""
    if label == _OUTSIDE:
        return _OUTSIDE, ""
    prefix, _, entity = label.partition("-")
    if len(prefix) != 1 or prefix not in _PREFIXES[scheme] or not entity:
        known = ", ".join(f"{letter}-TYPE" for letter in _PREFIXES[scheme])
        raise UsageError(f"the label {label!r} does not fit the scheme {scheme}, whose tags are {_OUTSIDE}, {known}")
    return prefix, entity


def _may_follow(before: tuple[str, str], after: tuple[str, str], scheme: str) -> bool:
    goes_on, same = after[0] in "IE", before[1] == after[1]
    if scheme == "IOB2":
        return not goes_on or same
    is_open = before[0] in "BI"
    return is_open == goes_on and (same or not goes_on)


class LinearChainCRF(nn.Module):
    """Scores of tags that stand first, last, and after one another.

    They start at zero: the likelihood is then that of a softmax at each place, so a classifier begins as it would
    without, and no random number is drawn.

    Args:
        num_tags: Number of tags.
        allowed: Constraints of decoding; None allows everything.

    Attributes:
        start_transitions: (tags,).
        end_transitions: (tags,).
        transitions: (tags, tags): [i, j], from i to j.
    """

    forbidden_start: Tensor
    forbidden_transitions: Tensor
    forbidden_end: Tensor

    def __init__(self, num_tags: int, allowed: AllowedTransitions | None = None):
        super().__init__()
        self.start_transitions = nn.Parameter(torch.zeros(num_tags))
        self.end_transitions = nn.Parameter(torch.zeros(num_tags))
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))
        if allowed is None:
            allowed = allowed_transitions([""] * num_tags, "plain")
        for name, may in allowed._asdict().items():
            self.register_buffer(f"forbidden_{name}", ~may.to(self.transitions.device), persistent=False)

    def extra_repr(self) -> str:
        """Shown by `print`."""
        return f"{len(self.start_transitions)}, forbidden={int(self.forbidden_transitions.sum())}"

    def log_likelihood(self, emissions: Tensor, tags: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log-probability of the gold tags of each row, without constraints.

        Args:
            emissions: (batch, length, tags) scores of a classifier, in any floating type. They must be finite where
                there is a tag.
            tags: (batch, length) int64, -100 where there is none.
            mask: (batch, length) bool: False where a tag is not to be counted either.

        Returns:
            (batch,) in fp32, or fp64 if the emissions are; 0 for a row without tags.
        """
        tagged = tags != _IGNORED
        if mask is not None:
            tagged = tagged & mask.bool()
        with torch.autocast(emissions.device.type, enabled=False):
            scores = _to_front(emissions, tagged)
            start, transitions, end = self._parameters_in(scores.emissions.dtype)
            gold = tags.gather(1, scores.order).masked_fill(~scores.valid, 0)
            log_z = _scan(scores.emissions, scores.lengths, start, transitions, end)[0]
            # (batch, length) what each place adds to the score of the gold tags.
            steps = scores.emissions.gather(2, gold.unsqueeze(2)).squeeze(2)
            arrivals = torch.cat([start[gold[:, :1]], transitions[gold[:, :-1], gold[:, 1:]]], 1)
            score = (steps + arrivals).masked_fill(~scores.valid, 0).sum(1)
            last = gold.gather(1, (scores.lengths - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
            return (score + end[last] - log_z).masked_fill(scores.lengths == 0, 0)

    @torch.no_grad()
    def viterbi(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """The most probable sequence of tags that the constraints allow.

        Args:
            emissions: (batch, length, tags), as for `log_likelihood`.
            mask: (batch, length) bool: the places that carry a tag; all by default.

        Returns:
            (batch, length) int64, -100 where the mask is False.
        """
        scores = _to_front(emissions, _all_if_none(mask, emissions))
        path = _viterbi(scores.emissions, scores.lengths, *self.constrained(scores.emissions.dtype))
        path = path.masked_fill(~scores.valid, _IGNORED)
        return torch.empty_like(path).scatter(1, scores.order, path)

    @torch.no_grad()
    def marginals(self, emissions: Tensor, mask: Tensor | None = None) -> Tensor:
        """Posterior probability of each tag at each place, over all sequences that the constraints allow.

        Args:
            emissions: (batch, length, tags), as for `log_likelihood`.
            mask: (batch, length) bool: the places that carry a tag; all by default.

        Returns:
            (batch, length, tags) in fp32, or fp64 if the emissions are. They add up to 1 at each place, and are 0
            where the mask is False. No gradient goes through them.
        """
        scores = _to_front(emissions, _all_if_none(mask, emissions))
        start, transitions, end = self.constrained(scores.emissions.dtype)
        _, before, after = _scan(scores.emissions, scores.lengths, start, transitions, end)
        # Equal to dividing by Z, and adds up to 1 whatever was rounded on a long way.
        posteriors = (before + scores.emissions + after).softmax(-1).masked_fill(~scores.valid.unsqueeze(2), 0)
        return torch.empty_like(posteriors).scatter(1, scores.order.unsqueeze(2).expand_as(posteriors), posteriors)

    def _parameters_in(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        return self.start_transitions.to(dtype), self.transitions.to(dtype), self.end_transitions.to(dtype)

    def constrained(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """What decoding adds up: start (tags,), transitions (tags, tags) and end (tags,), -inf where forbidden."""
        start, transitions, end = self._parameters_in(dtype)
        return (
            start.masked_fill(self.forbidden_start, -torch.inf),
            transitions.masked_fill(self.forbidden_transitions, -torch.inf),
            end.masked_fill(self.forbidden_end, -torch.inf),
        )


class _Front(NamedTuple):
    """Rows whose tagged places have moved to the front, in their order."""

    emissions: Tensor  # (batch, length, tags)
    order: Tensor  # (batch, length) where each place was
    valid: Tensor  # (batch, length) bool
    lengths: Tensor  # (batch,) tagged places


def _to_front(emissions: Tensor, tagged: Tensor) -> _Front:
    emissions = emissions.to(torch.promote_types(emissions.dtype, torch.float32))
    # What stands in the other places may be anything, also NaN. Log-probabilities give each sequence of tags the same
    # probability as raw scores, and keep sums over a long row so small that fp32 is enough for them.
    emissions = emissions.masked_fill(~tagged.unsqueeze(2), 0).log_softmax(-1)
    order = torch.argsort((~tagged).to(torch.uint8), dim=1, stable=True)
    lengths = tagged.sum(1)
    valid = torch.arange(tagged.shape[1], device=tagged.device) < lengths.unsqueeze(1)
    return _Front(emissions.gather(1, order.unsqueeze(2).expand_as(emissions)), order, valid, lengths)


def _all_if_none(mask: Tensor | None, emissions: Tensor) -> Tensor:
    return emissions.new_ones(emissions.shape[:2], dtype=torch.bool) if mask is None else mask.bool()


# Operators. Everything is in one floating type; rows are filled from the front. The type hints are read by torch.


@torch.library.custom_op("electra_hf::crf_scan", mutates_args=())
def _scan(
    emissions: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over all sequences: log Z (batch,), and (batch, length, tags) of what comes before and after each tag."""
    # The second half reads its rows from their last place to the first.
    mirrored = _mirror(emissions, lengths)
    steps = torch.stack([emissions, mirrored])
    moves = torch.stack([transitions, transitions.T]).unsqueeze(1)
    arrival = torch.stack([start, end]).unsqueeze(1).expand_as(steps[:, :, 0])
    arrivals = [arrival]
    for place in range(1, emissions.shape[1]):
        arrival = ((arrival + steps[:, :, place - 1]).unsqueeze(-1) + moves).logsumexp(-2)
        arrivals.append(arrival)
    before, mirrored_after = torch.stack(arrivals, 2)
    after = _mirror(mirrored_after, lengths)
    log_z = (before[:, 0] + emissions[:, 0] + after[:, 0]).logsumexp(-1)
    return log_z, before.contiguous(), after


def _mirror(rows: Tensor, lengths: Tensor) -> Tensor:
    """(batch, length, tags) with the first `lengths` places of each row turned round; the rest is of no meaning."""
    places = lengths.unsqueeze(1) - 1 - torch.arange(rows.shape[1], device=rows.device)
    return rows.gather(1, places.clamp(min=0).unsqueeze(2).expand_as(rows))


@_scan.register_fake
def _(
    emissions: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return emissions.new_empty(len(emissions)), torch.empty_like(emissions), torch.empty_like(emissions)


@torch.library.custom_op("electra_hf::crf_scan_backward", mutates_args=())
def _scan_backward(
    gradient: Tensor,
    log_z: Tensor,
    before: Tensor,
    after: Tensor,
    emissions: Tensor,
    lengths: Tensor,
    transitions: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of emissions, start, transitions and end from that of log Z (batch,)."""
    log_z = log_z[:, None, None]
    valid = torch.arange(emissions.shape[1], device=lengths.device) < lengths.unsqueeze(1)
    forward, backward = before + emissions, emissions + after
    single = (before + backward - log_z).exp().masked_fill(~valid.unsqueeze(2), 0) * gradient[:, None, None]
    backward = backward.masked_fill(~valid.unsqueeze(2), -torch.inf)
    # One place after the other: all at once would need length times the memory.
    pairs = torch.zeros_like(transitions)
    for place in range(1, emissions.shape[1]):
        pair = (forward[:, place - 1].unsqueeze(2) + transitions + backward[:, place].unsqueeze(1) - log_z).exp()
        pairs += torch.tensordot(gradient, pair, 1)
    last = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, emissions.shape[2])
    return single, single[:, 0].sum(0), pairs, single.gather(1, last).sum((0, 1))


@_scan_backward.register_fake
def _(
    gradient: Tensor,
    log_z: Tensor,
    before: Tensor,
    after: Tensor,
    emissions: Tensor,
    lengths: Tensor,
    transitions: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    tags = transitions.new_empty(len(transitions))
    return torch.empty_like(emissions), tags, torch.empty_like(transitions), torch.empty_like(tags)


def _save_for_backward(ctx, inputs, output) -> None:
    emissions, lengths, _, transitions, _ = inputs
    ctx.save_for_backward(*output, emissions, lengths, transitions)


def _backward(ctx, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None, Tensor, Tensor, Tensor]:
    emissions, start, transitions, end = _scan_backward(gradient, *ctx.saved_tensors)
    return emissions, None, start, transitions, end


_scan.register_autograd(_backward, setup_context=_save_for_backward)


@torch.library.custom_op("electra_hf::crf_viterbi", mutates_args=())
def _viterbi(emissions: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """(batch, length) int64 the best tags; of no meaning after the end of a row."""
    score = start + emissions[:, 0]
    stay = torch.arange(len(start), device=emissions.device)
    pointers = []
    for place in range(1, emissions.shape[1]):
        best, pointer = (score.unsqueeze(2) + transitions).max(1)
        inside = (place < lengths).unsqueeze(1)
        score = torch.where(inside, best + emissions[:, place], score)
        pointers.append(torch.where(inside, pointer, stay))
    tag = (score + end).argmax(1, keepdim=True)
    path = [tag]
    for pointer in reversed(pointers):
        tag = pointer.gather(1, tag)
        path.append(tag)
    return torch.cat(path[::-1], 1)


@_viterbi.register_fake
def _(emissions: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    return emissions.new_empty(emissions.shape[:2], dtype=torch.int64)
