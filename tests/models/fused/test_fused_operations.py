"""Each operation against PyTorch's own, and the noise against what it must be."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from electra_hf.models.fused import TorchOperations
from electra_hf.models.fused.noise import Dropout

NONE = Dropout(0.0, 0)
# bfloat16 keeps 8 bits: results are compared with float32 ones on the same rounded input.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2e-2}
DTYPES = [torch.float32, torch.bfloat16]


def make(*shape: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def close(found: torch.Tensor, expected: torch.Tensor | None, dtype: torch.dtype, scale: float = 1.0) -> None:
    assert expected is not None
    tolerance = TOLERANCE[dtype] * scale
    torch.testing.assert_close(found.float(), expected.float(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("residual", [True, False])
def test_add_norm_and_its_gradients(operations, dtype, residual):
    rows, columns = 7, 48
    x, skip, dy = (make(rows, columns, dtype=dtype, seed=seed) for seed in range(3))
    bias, gamma, beta = (make(columns, dtype=torch.float32, seed=seed) for seed in range(3, 6))
    y, saved = operations.add_norm(
        x, bias if residual else None, skip if residual else None, gamma, beta, 1e-5, NONE, NONE
    )
    found = operations.add_norm_backward(dy, saved, gamma, NONE, NONE)

    leaves = [value.float().requires_grad_() for value in (skip, x, gamma, beta, bias)]
    a, b, g, c, d = leaves
    total = a + (b + d) if residual else b
    expected = F.layer_norm(total, (columns,), g, c, 1e-5)
    expected.backward(dy.float())
    close(y, expected.detach(), dtype)
    if residual:
        close(found[0], a.grad, dtype)
        close(found[4], d.grad, dtype, scale=4)
    close(found[1], b.grad, dtype)
    close(found[2], g.grad, dtype, scale=4)
    close(found[3], c.grad, dtype, scale=4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_and_its_gradients(operations, dtype):
    x, dy, bias = 3 * make(9, 40, dtype=dtype), make(9, 40, dtype=dtype, seed=1), make(40, dtype=torch.float32)
    a, b = x.float().requires_grad_(), bias.clone().requires_grad_()
    expected = F.gelu(a + b)
    expected.backward(dy.float())
    close(operations.gelu(x, bias), expected.detach(), dtype)
    dx, again, dbias = operations.gelu_backward(dy.clone(), x, bias)
    close(dx, a.grad, dtype)
    close(again, expected.detach(), dtype)
    close(dbias, b.grad, dtype, scale=4)


def test_gelu_where_values_are_extreme(operations):
    x = torch.tensor([[-200.0, -20.0, -6.0, -0.0, 1e-6, 6.0, 20.0, 1e30]])
    found = operations.gelu(x, torch.zeros(8))
    torch.testing.assert_close(found, F.gelu(x), atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("padded", [True, False])
def test_softmax_and_its_gradients(operations, dtype, padded):
    batch, heads, length = 2, 3, 20
    scores = 4 * make(batch, heads, length, length, dtype=dtype)
    dy = make(batch, heads, length, length, dtype=dtype, seed=1)
    bias = None
    if padded:
        bias = torch.zeros(batch, length)
        bias[1, 12:] = -torch.inf
    leaf = scores.float().requires_grad_()
    expected = (leaf * 0.25 + (0 if bias is None else bias[:, None, None])).softmax(-1)
    expected.backward(dy.float())
    found, saved = operations.softmax(scores.clone(), bias, 0.25, NONE)
    close(found, expected.detach(), dtype)
    if padded:
        assert not found[1, :, :, 12:].any()
    gradient, again = operations.softmax_backward(dy.clone(), saved, 0.25, NONE)
    close(gradient, leaf.grad, dtype)
    close(again, expected.detach(), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_heads_are_split_and_merged(operations, dtype):
    batch, length, parts, heads, width = 2, 5, 3, 4, 8
    x, bias = (
        make(batch * length, parts * heads * width, dtype=dtype),
        make(parts * heads * width, dtype=torch.float32),
    )
    split = operations.split_heads(x, None, batch, parts, heads)
    assert torch.equal(split, x.view(batch, length, parts, heads, width).permute(2, 0, 3, 1, 4))
    shifted = operations.split_heads(x, bias, batch, parts, heads)
    close(shifted, (x.float() + bias).view(batch, length, parts, heads, width).permute(2, 0, 3, 1, 4), dtype)
    merged, sums = operations.merge_heads_and_sum(split)
    assert torch.equal(merged, x) and torch.equal(operations.merge_heads(split), x)
    close(sums, x.float().sum(0), torch.float32, scale=4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_and_its_gradient(operations, dtype):
    rows, vocabulary = 11, 301
    logits, weights = 3 * make(rows, vocabulary, dtype=dtype), torch.rand(rows)
    targets = torch.randint(0, vocabulary, (rows,), generator=torch.Generator().manual_seed(0))
    weights[3] = 0.0
    bias = make(vocabulary, dtype=torch.float32, seed=1)
    leaf = (logits.float() + bias).requires_grad_()
    targets[0] = leaf[0].argmax()
    expected = F.cross_entropy(leaf, targets, reduction="none")
    (wanted,) = torch.autograd.grad((expected * weights).sum(), leaf)
    gradient = logits.clone()
    nll, _, correct, sums = operations.cross_entropy(gradient, bias, targets, weights, None, 1.0, 5, 0)
    torch.testing.assert_close(nll, expected.detach(), atol=1e-5, rtol=1e-5)
    close(gradient, wanted, dtype)
    close(sums, wanted.sum(0), torch.float32, scale=4)
    assert torch.equal(correct, leaf.argmax(-1) == targets)
    assert not gradient[3].any()


def test_the_first_of_equal_logits_is_the_most_likely(operations):
    logits = torch.zeros(3, 9)
    logits[:, [2, 5]] = 1.0
    *_, correct, _ = operations.cross_entropy(
        logits, torch.zeros(9), torch.tensor([2, 5, 7]), torch.ones(3), None, 1.0, 1, 0
    )
    assert correct.tolist() == [True, False, False]


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("disallow", [True, False])
def test_samples_follow_the_distribution(operations, temperature, disallow):
    """chi-squared against softmax(logits / temperature), the disallowed token left out."""
    rows, vocabulary = 60_000, 12
    row = make(vocabulary, dtype=torch.float32, seed=3)
    logits, targets = row.expand(rows, -1).contiguous(), torch.full((rows,), int(row.argmax()))
    _, sampled, _, _ = operations.cross_entropy(
        logits, torch.zeros(vocabulary), targets, torch.zeros(rows), targets if disallow else None, temperature, 77, 0
    )
    if disallow:
        row = row.index_fill(0, targets[:1], -torch.inf)
    expected = (row / temperature).softmax(-1) * rows
    counts = torch.bincount(sampled, minlength=vocabulary).float()
    allowed = expected > 0
    assert counts[~allowed].sum() == 0
    assert stats.chisquare(counts[allowed], expected[allowed] * (rows / expected[allowed].sum())).pvalue > 1e-4


@pytest.mark.parametrize("disallow", [True, False])
def test_a_low_temperature_takes_the_most_likely_token(operations, disallow):
    logits = make(5, 50, dtype=torch.float32)
    best = logits.argmax(-1)
    _, sampled, _, _ = operations.cross_entropy(
        logits.clone(), torch.zeros(50), best, torch.zeros(5), best if disallow else None, 1e-6, 1, 0
    )
    order = logits.argsort(-1, descending=True)
    assert torch.equal(sampled, order[:, 1] if disallow else order[:, 0])


def test_a_nan_stays_a_nan(operations):
    """A broken step must be seen in the loss, not sampled away."""
    for dtype in DTYPES:
        x = make(2, 32, dtype=dtype)
        x[1, 3] = torch.nan
        assert operations.gelu(x, torch.zeros(32))[1, 3].isnan()
        y, _ = operations.add_norm(x, None, None, torch.ones(32), torch.zeros(32), 1e-5, NONE, NONE)
        assert y[1].isnan().all() and not y[0].isnan().any()
        nll, *_ = operations.cross_entropy(x, torch.zeros(32), torch.tensor([0, 0]), torch.ones(2), None, 1.0, 1, 0)
        assert nll[1].isnan() and not nll[0].isnan()


def factors(operations, rows: int, columns: int, dropout: Dropout) -> torch.Tensor:
    """What an operation multiplies each element with."""
    ones, zeros = torch.ones(rows, columns), torch.zeros(rows, columns)
    bias, gamma = torch.zeros(columns), torch.ones(columns)
    _, (total, *_) = operations.add_norm(ones, bias, zeros, gamma, bias, 1e-5, dropout, NONE)
    return total


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_dropout_has_the_right_share_without_a_pattern(operations, probability):
    rows, columns = 400, 512
    found = factors(operations, rows, columns, Dropout(probability, 11))
    kept = found > 0
    torch.testing.assert_close(found[kept], torch.full_like(found[kept], 1 / (1 - probability)))
    values = kept.double() - (1 - probability)
    deviation = math.sqrt(probability * (1 - probability))
    total = values.sum() / (deviation * math.sqrt(values.numel()))
    assert abs(total) < 4
    # Neighbours in a row, in a column, and at distances that a weak hash would show.
    for shift in [(0, 1), (1, 0), (0, 2), (0, 16), (0, 256), (1, 1), (2, 0), (64, 0)]:
        product = values[shift[0] :, shift[1] :] * values[: rows - shift[0], : columns - shift[1]]
        assert abs(product.sum() / (deviation**2 * math.sqrt(product.numel()))) < 4.5, shift
    # Sums over rows and over columns spread as binomial ones do.
    for dimension, count in ((1, rows), (0, columns)):
        spread = (values.sum(dimension) / (deviation * math.sqrt(values.numel() / count))).square().sum()
        assert 1e-5 < stats.chi2.cdf(spread, count) < 1 - 1e-5


def test_dropout_is_a_function_of_its_seed(operations):
    first = factors(operations, 40, 64, Dropout(0.3, 1))
    assert torch.equal(first, factors(operations, 40, 64, Dropout(0.3, 1)))
    other = factors(operations, 40, 64, Dropout(0.3, 2))
    agreement = ((first > 0) == (other > 0)).double().mean()
    assert abs(agreement - 0.58) < 0.05  # 0.7 * 0.7 + 0.3 * 0.3


def test_dropped_probabilities_are_scaled_and_their_gradient_knows_the_mask(operations):
    scores = torch.zeros(2, 2, 16, 16)
    dropout = Dropout(0.25, 9)
    dropped, saved = operations.softmax(scores.clone(), None, 1.0, dropout)
    mask = dropped > 0
    torch.testing.assert_close(dropped[mask], torch.full_like(dropped[mask], 1 / 16 / 0.75))
    dy, leaf = torch.randn(2, 2, 16, 16), scores.clone().requires_grad_()
    (leaf.softmax(-1) * mask / 0.75).backward(dy)
    gradient, again = operations.softmax_backward(dy.clone(), saved, 1.0, dropout)
    torch.testing.assert_close(gradient, leaf.grad, atol=1e-6, rtol=1e-5)
    assert torch.equal(again, dropped)


def test_sums_do_not_depend_on_the_number_of_threads(operations):
    """To the last bit: a run may go on with other threads (accelerate launches with one)."""
    if isinstance(operations, TorchOperations):
        pytest.skip("PyTorch's own sums are divided by threads")
    x, dy, bias = (make(*shape, dtype=torch.float32) for shape in ((300, 48), (300, 48), (48,)))
    targets, weights = torch.arange(300) % 48, torch.ones(300)
    results = []
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            _, saved = operations.add_norm(x, bias, dy, bias, bias, 1e-5, Dropout(0.1, 3), NONE)
            results.append(operations.add_norm_backward(dy, saved, bias, Dropout(0.1, 3), NONE))
            results[-1] += operations.gelu_backward(dy.clone(), x, bias)
            results[-1] += operations.cross_entropy(x.clone(), bias, targets, weights, None, 1.0, 5, 0)
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(results[0], other, strict=True))
