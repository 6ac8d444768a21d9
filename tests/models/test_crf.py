"""The CRF against the enumeration of all sequences, and against pytorch-crf where there are too many."""

import itertools
import re

import pytest
import torch

from electra_hf.errors import UsageError
from electra_hf.models.crf import AllowedTransitions, LinearChainCRF, allowed_transitions

IOB2 = ["O", "B-A", "I-A", "B-B", "I-B"]
BIOES = ["O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"]
# Places of 6 with a tag: all, padding on the right, on the left, on both sides, holes, a single one.
MASKS = torch.tensor(
    [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 1, 1],
        [0, 1, 1, 1, 0, 0],
        [1, 0, 0, 1, 0, 1],
        [0, 0, 1, 0, 0, 0],
    ]
).bool()


def make_crf(
    tags: int, seed: int = 0, allowed: AllowedTransitions | None = None, dtype=torch.float64
) -> LinearChainCRF:
    generator = torch.Generator().manual_seed(seed)
    crf = LinearChainCRF(tags, allowed)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    return crf.to(dtype)


def random_case(batch: int, length: int, tags: int, seed: int = 0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    emissions = 2 * torch.randn(batch, length, tags, generator=generator, dtype=torch.float64)
    return emissions.to(dtype), torch.randint(0, tags, (batch, length), generator=generator)


def enumerate_sequences(crf: LinearChainCRF, emissions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All sequences of one row (sequences, length), and their scores; forbidden ones at -inf."""
    length, tags = emissions.shape
    paths = torch.tensor(list(itertools.product(range(tags), repeat=length)))
    scores = crf.start_transitions[paths[:, 0]] + crf.end_transitions[paths[:, -1]]
    forbidden = crf.forbidden_start[paths[:, 0]] | crf.forbidden_end[paths[:, -1]]
    for place in range(length):
        scores = scores + emissions[place, paths[:, place]]
    for before, after in itertools.pairwise(range(length)):
        scores = scores + crf.transitions[paths[:, before], paths[:, after]]
        forbidden = forbidden | crf.forbidden_transitions[paths[:, before], paths[:, after]]
    return paths, scores.detach().masked_fill(forbidden, -torch.inf)


@pytest.mark.parametrize("tags", [1, 2, 4])
def test_likelihood_equals_enumeration_wherever_the_mask_is(tags):
    crf = make_crf(tags, seed=tags)
    emissions, gold = random_case(len(MASKS), 6, tags)
    found = crf.log_likelihood(emissions, gold.masked_fill(~MASKS, -100))
    torch.testing.assert_close(crf.log_likelihood(emissions, gold, MASKS), found, rtol=0, atol=0)
    for row, mask in enumerate(MASKS):
        paths, scores = enumerate_sequences(crf, emissions[row, mask])
        own = scores[(paths == gold[row, mask]).all(1)]
        torch.testing.assert_close(found[row], (own - scores.logsumexp(0)).squeeze(), atol=1e-10, rtol=0)


@pytest.mark.parametrize(("labels", "scheme"), [(IOB2, "plain"), (IOB2, "IOB2"), (["O", *BIOES[1:5]], "BIOES")])
def test_viterbi_and_marginals_equal_enumeration(labels, scheme):
    crf = make_crf(len(labels), 3, allowed_transitions(labels, scheme))
    emissions, _ = random_case(len(MASKS), 6, len(labels), seed=1)
    best, posteriors = crf.viterbi(emissions, MASKS), crf.marginals(emissions, MASKS)
    assert best.dtype == torch.int64
    assert torch.equal(best == -100, ~MASKS)
    assert not posteriors[~MASKS].any()
    for row, mask in enumerate(MASKS):
        paths, scores = enumerate_sequences(crf, emissions[row, mask])
        assert torch.equal(best[row, mask], paths[scores.argmax()])
        one_hot = torch.nn.functional.one_hot(paths, len(labels)).double()
        expected = torch.einsum("p,plt->lt", scores.softmax(0), one_hot)
        torch.testing.assert_close(posteriors[row, mask], expected, atol=1e-10, rtol=0)


def test_equals_pytorch_crf_on_larger_cases():
    torchcrf = pytest.importorskip("torchcrf")
    for tags, length, seed in ((9, 50, 0), (27, 33, 1)):
        own, other = make_crf(tags, seed), torchcrf.CRF(tags, batch_first=True).double()
        other.load_state_dict(own.state_dict())
        emissions, gold = random_case(8, length, tags, seed)
        emissions.requires_grad_()
        lengths = torch.randint(1, length + 1, (8,), generator=torch.Generator().manual_seed(seed))
        mask = torch.arange(length) < lengths[:, None]
        found = own.log_likelihood(emissions, gold.masked_fill(~mask, -100))
        expected = other(emissions, gold, mask=mask, reduction="none")
        torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)
        weights = torch.linspace(-1, 2, 8, dtype=torch.float64)
        names = [name for name, _ in own.named_parameters()]
        ours = torch.autograd.grad((weights * found).sum(), [emissions, *own.parameters()])
        theirs = torch.autograd.grad((weights * expected).sum(), [emissions, *map(other.get_parameter, names)])
        for one, two in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, two, atol=1e-8, rtol=0)
        paths = own.viterbi(emissions, mask)
        assert [row[row >= 0].tolist() for row in paths] == other.decode(emissions, mask=mask)
        # In fp32 as good, and the likelihood of a long row to 1e-5 of it.
        single = make_crf(tags, seed, dtype=torch.float32)
        likelihood = single.log_likelihood(emissions.float(), gold.masked_fill(~mask, -100))
        torch.testing.assert_close(likelihood.double(), expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(single.viterbi(emissions.float(), mask), paths)


def test_gradients_are_those_of_finite_differences():
    crf = make_crf(3)
    emissions, gold = random_case(len(MASKS), 6, 3)
    gold = gold.masked_fill(~MASKS, -100)
    gold[1] = -100  # a row without tags

    def likelihood(emissions, *values):
        parameters = dict(zip((f"crf.{name}" for name, _ in crf.named_parameters()), values, strict=True))
        return torch.func.functional_call(_Likelihood(crf), parameters, (emissions, gold))

    inputs = (emissions, *crf.parameters())
    assert torch.autograd.gradcheck(likelihood, tuple(tensor.detach().clone().requires_grad_() for tensor in inputs))


class _Likelihood(torch.nn.Module):
    def __init__(self, crf):
        super().__init__()
        self.crf = crf

    def forward(self, emissions, gold):
        return self.crf.log_likelihood(emissions, gold)


def test_operators_are_sound():
    """Shapes, types and aliases are what torch was told, so that it may compile around them."""
    emissions, _ = random_case(3, 5, 4)
    crf = make_crf(4)
    lengths = torch.tensor([5, 2, 0])
    start, end, transitions = (parameter.detach() for parameter in crf.parameters())
    operators, inputs = torch.ops.electra_hf, (emissions, lengths, start, transitions, end)
    sums = operators.crf_scan(*inputs)
    for operator, values in (
        (operators.crf_scan, inputs),
        (operators.crf_viterbi, inputs),
        (operators.crf_scan_backward, (torch.rand(3).double(), *sums, emissions, lengths, transitions)),
    ):
        torch.library.opcheck(operator.default, values, test_utils=("test_schema", "test_faketensor"))


def test_a_second_derivative_is_refused_rather_than_wrong():
    crf = make_crf(3)
    emissions, gold = random_case(2, 4, 3)
    emissions.requires_grad_()
    (gradient,) = torch.autograd.grad(crf.log_likelihood(emissions, gold).sum(), emissions, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        gradient.square().sum().backward()


@pytest.mark.parametrize("rubbish", [1e4, float("nan"), float("inf")])
def test_padding_anywhere_changes_nothing(rubbish):
    crf = make_crf(4)
    emissions, gold = random_case(3, 5, 4)
    emissions.requires_grad_()
    expected = crf.log_likelihood(emissions, gold)
    expected_gradient = torch.autograd.grad(expected.sum(), [emissions, *crf.parameters()])
    for places in ([0, 1, 2, 3, 4], [3, 4, 5, 6, 7], [0, 2, 3, 6, 8]):
        wide = torch.full((3, 9, 4), rubbish, dtype=torch.float64)
        wide[:, places] = emissions.detach()
        wide.requires_grad_()
        tags = torch.full((3, 9), -100)
        tags[:, places] = gold
        found = crf.log_likelihood(wide, tags)
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
        gradient, *others = torch.autograd.grad(found.sum(), [wide, *crf.parameters()])
        assert torch.isfinite(gradient).all()
        for one, two in zip([gradient[:, places], *others], expected_gradient, strict=True):
            torch.testing.assert_close(one, two, atol=1e-12, rtol=0)
        mask = tags != -100
        assert torch.equal(crf.viterbi(wide, mask)[:, places], crf.viterbi(emissions))
        torch.testing.assert_close(crf.marginals(wide, mask)[:, places], crf.marginals(emissions))


def test_a_row_without_tags_counts_for_nothing():
    crf = make_crf(3)
    emissions, gold = random_case(2, 4, 3)
    emissions.requires_grad_()
    gold[0] = -100
    found = crf.log_likelihood(emissions, gold)
    assert found[0] == 0
    gradients = torch.autograd.grad(found.sum(), [emissions, *crf.parameters()])
    alone = torch.autograd.grad(crf.log_likelihood(emissions[1:], gold[1:]).sum(), [emissions, *crf.parameters()])
    for one, two in zip(gradients, alone, strict=True):
        torch.testing.assert_close(one, two, atol=1e-12, rtol=0)
    mask = gold != -100
    assert (crf.viterbi(emissions, mask)[0] == -100).all()
    assert not crf.marginals(emissions, mask)[0].any()


def test_starts_as_a_softmax():
    emissions, gold = random_case(3, 7, 5)
    expected = -torch.nn.functional.cross_entropy(emissions.mT, gold, reduction="none").sum(1)
    crf = LinearChainCRF(5).double()
    torch.testing.assert_close(crf.log_likelihood(emissions, gold), expected)
    torch.testing.assert_close(crf.marginals(emissions), emissions.softmax(-1))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_computes_in_fp32_inside_autocast(half):
    crf = make_crf(5, dtype=torch.float32)
    emissions, gold = random_case(2, 40, 5)
    emissions = emissions.to(half).requires_grad_()
    with torch.autocast("cpu", dtype=half):
        found, posteriors = crf.log_likelihood(emissions, gold), crf.marginals(emissions)
        found.sum().backward()
    assert found.dtype == posteriors.dtype == torch.float32
    assert emissions.grad is not None
    assert emissions.grad.dtype == half
    exact = make_crf(5)
    exact.load_state_dict(crf.state_dict())
    torch.testing.assert_close(found.double(), exact.log_likelihood(emissions.double(), gold), atol=1e-4, rtol=1e-6)
    # Parameters in half precision are only stored so.
    assert make_crf(5, dtype=half).log_likelihood(emissions, gold).dtype == torch.float32


def test_compiles_as_a_whole():
    crf = make_crf(5, allowed=allowed_transitions(IOB2, "IOB2"), dtype=torch.float32)

    def run(emissions, gold):
        mask = gold != -100
        return crf.log_likelihood(emissions, gold), crf.viterbi(emissions, mask), crf.marginals(emissions, mask)

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    emissions, gold = random_case(len(MASKS), 6, 5, dtype=torch.float32)
    emissions.requires_grad_()
    gold = gold.masked_fill(~MASKS, -100)
    ours, eager = compiled(emissions, gold), run(emissions, gold)
    for one, two in zip(ours, eager, strict=True):
        torch.testing.assert_close(one, two)
    gradients = [torch.autograd.grad(out[0].sum(), [emissions, *crf.parameters()]) for out in (ours, eager)]
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)


def test_posteriors_without_gradients():
    crf = make_crf(4)
    emissions, _ = random_case(2, 5, 4)
    expected = crf.marginals(emissions)
    with torch.inference_mode():
        torch.testing.assert_close(crf.marginals(emissions), expected)
        torch.testing.assert_close(crf.log_likelihood(emissions, torch.zeros(2, 5, dtype=torch.int64)).shape, (2,))


@pytest.mark.parametrize(
    ("labels", "scheme", "valid"),
    [
        (IOB2, "IOB2", r"(O |B-(\w) (I-\2 )*)*"),
        (BIOES, "BIOES", r"(O |S-\w |B-(\w) (I-\2 )*E-\2 )*"),
    ],
)
@pytest.mark.parametrize("size", [1.0, 100.0, 1e6])
def test_viterbi_never_violates_the_constraints(labels, scheme, valid, size):
    crf = make_crf(len(labels), 1, allowed_transitions(labels, scheme), dtype=torch.float32)
    free = make_crf(len(labels), 1, dtype=torch.float32)
    emissions, _ = random_case(40, 12, len(labels), seed=2, dtype=torch.float32)
    mask = torch.rand(40, 12, generator=torch.Generator().manual_seed(0)) < 0.8

    def is_valid(path):
        return re.fullmatch(valid, "".join(f"{labels[tag]} " for tag in path[path >= 0].tolist())) is not None

    assert not all(map(is_valid, free.viterbi(size * emissions, mask)))
    assert all(map(is_valid, crf.viterbi(size * emissions, mask)))
    posteriors = crf.marginals(size * emissions, mask)
    torch.testing.assert_close(posteriors.sum(-1), mask.float())


def test_gold_tags_may_break_the_constraints():
    """A window that begins inside an entity has a likelihood like any other."""
    constrained = make_crf(5, allowed=allowed_transitions(IOB2, "IOB2"))
    emissions, _ = random_case(1, 3, 5)
    gold = torch.tensor([[2, 2, 4]])
    expected = make_crf(5).log_likelihood(emissions, gold)
    assert torch.isfinite(expected).all()
    assert torch.equal(constrained.log_likelihood(emissions, gold), expected)


def test_rules_of_the_schemes():
    allowed = allowed_transitions(BIOES, "BIOES")
    follow = {
        label: [BIOES[tag] for tag in row.nonzero().flatten()]
        for label, row in zip(BIOES, allowed.transitions, strict=True)
    }
    fresh = ["O", "B-A", "S-A", "B-B", "S-B"]
    assert follow == {
        "O": fresh, "B-A": ["I-A", "E-A"], "I-A": ["I-A", "E-A"], "E-A": fresh, "S-A": fresh,
        "B-B": ["I-B", "E-B"], "I-B": ["I-B", "E-B"], "E-B": fresh, "S-B": fresh,
    }  # fmt: skip
    assert [BIOES[tag] for tag in allowed.start.nonzero().flatten()] == fresh
    assert [BIOES[tag] for tag in allowed.end.nonzero().flatten()] == ["O", "E-A", "S-A", "E-B", "S-B"]
    assert all(tensor.all() for tensor in allowed_transitions(["NOUN", "I-", "x"], "plain"))


@pytest.mark.parametrize(
    ("labels", "scheme", "message"),
    [
        (
            ["O", "B-A", "E-A"],
            "IOB2",
            "'E-A' does not fit the scheme IOB2, whose tags are O, B-TYPE, I-TYPE",
        ),
        (["O", "PER"], "IOB2", "the label 'PER' does not fit"),
        (["O", "B-"], "BIOES", "the label 'B-' does not fit"),
        (["B-A", "I-A", "E-A"], "BIOES", "is O missing"),
        (["O"], "IOB1", "unknown tag scheme 'IOB1'"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, scheme, message):
    with pytest.raises(UsageError, match=message):
        allowed_transitions(labels, scheme)
