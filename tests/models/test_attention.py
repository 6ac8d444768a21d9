"""Which attention: measured, put in place, and the form of the padding mask that it takes."""

import pytest
import torch
from torch.nn.attention import SDPBackend

from electra_hf.models.attention import (
    CANDIDATES,
    KERNELS,
    AttentionShape,
    attention,
    attention_bias,
    measure_attention,
)

CPU = torch.device("cpu")


def shape(**changes) -> AttentionShape:
    facts = {"dtype": torch.float32, "dropout": 0.0, "padded": False, "compiled": False, **changes}
    return AttentionShape(batch=2, heads=2, head_width=8, length=16, **facts)


def sdpa_takes(masked: bool) -> SDPBackend:
    """What SDPA computes with at the moment."""
    query = torch.zeros(2, 2, 16, 8)
    mask = torch.ones(2, 1, 1, 16, dtype=torch.bool).expand(2, 1, 16, 16) if masked else None
    return SDPBackend(torch.ops.aten._fused_sdp_choice(query, query, query, mask))


def test_every_candidate_that_a_cpu_has_is_timed():
    times = measure_attention(shape(), CPU)
    assert list(times) == ["flash", "math", "eager"]  # a CPU has no other kernels
    assert all(seconds > 0 for seconds in times.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("padded", [True, False])
def test_what_a_shape_rules_out_is_left_out(dtype, padded):
    times = measure_attention(shape(dtype=dtype, padded=padded, dropout=0.1), CPU)
    assert list(times) == ["math", "eager"]  # flash attention on a CPU drops nothing


def test_the_timed_call_computes_attention_with_its_gradients():
    results = {}

    def timer(call, device):
        torch.manual_seed(1)
        results[len(results)] = call()
        return 1.0

    torch.manual_seed(0)
    names = list(measure_attention(shape(padded=True), CPU, timer=timer))
    assert names == ["flash", "math", "eager"]
    for gradients in results.values():
        assert [tuple(gradient.shape) for gradient in gradients] == [(2, 16, 2, 8)] * 3
        assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)
        assert not gradients[2][:, 12:].any(), "padding gets no gradient"


def test_a_candidate_that_fails_is_left_out_and_others_are_timed():
    def timer(call, device):
        timer.calls += 1
        if timer.calls == 1:
            raise torch.OutOfMemoryError("no memory")
        if timer.calls == 3:
            raise RuntimeError("No available kernel. Aborting execution.")
        return float(timer.calls)

    timer.calls = 0
    times = measure_attention(shape(), CPU, timer=timer)
    assert times == {name: number for number, name in enumerate(CANDIDATES, 1) if number not in (1, 3)}


def test_other_errors_are_not_hidden():
    def timer(call, device):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure_attention(shape(), CPU, timer=timer)


def test_measuring_draws_nothing_from_the_generator_and_leaves_the_kernels_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    before = sdpa_takes(masked=False), torch.compiler.config.cache_key_tag
    measure_attention(shape(dropout=0.1), CPU)
    assert torch.equal(torch.rand(3), expected)
    assert (sdpa_takes(masked=False), torch.compiler.config.cache_key_tag) == before


@pytest.mark.parametrize("name", ["flash", "math"])
def test_a_kernel_is_in_force_within_the_block_and_then_the_former_one(make_model, name):
    halves = (model := make_model()).generator, model.discriminator
    before = [sdpa_takes(masked) for masked in (False, True)]
    with attention(name, halves):
        assert [sdpa_takes(masked) for masked in (False, True)] == [KERNELS[name]] * 2
        assert [half.config._attn_implementation for half in halves] == ["sdpa", "sdpa"]
    assert [sdpa_takes(masked) for masked in (False, True)] == before


def test_shapes_without_the_kernel_fall_back(make_model):
    with attention("cudnn", [make_model().generator]):
        assert sdpa_takes(masked=False) == SDPBackend.MATH


def test_graphs_of_different_kernels_are_cached_apart(make_model):
    tags = [torch.compiler.config.cache_key_tag]
    for name in ("flash", "math"):
        with attention(name, [make_model().generator]):
            tags.append(torch.compiler.config.cache_key_tag)
    assert len(set(tags)) == 3
    assert torch.compiler.config.cache_key_tag == tags[0]


def test_eager_attention_is_set_on_all_layers_and_taken_back_after_an_error(make_model):
    halves = (model := make_model()).generator, model.discriminator
    with pytest.raises(KeyError), attention("eager", halves):
        layers = [module for half in halves for module in half.modules() if hasattr(module, "attention_head_size")]
        assert len(layers) == 4
        assert {layer.config._attn_implementation for layer in layers} == {"eager"}
        raise KeyError
    assert {half.config._attn_implementation for half in halves} == {"sdpa"}


def test_all_candidates_compute_the_same(make_model, make_batch):
    model, batch = make_model(temperature=1e-6), make_batch()
    model.implementation = "plain"
    losses = []
    for name in ("flash", "math", "eager"):
        with attention(name, (model.generator, model.discriminator)):
            losses.append(model(**batch).loss)
    torch.testing.assert_close(losses[1:], losses[:1] * 2)


def test_an_unknown_attention_is_refused(make_model):
    with pytest.raises(ValueError, match="flash, efficient, cudnn, math, eager"), attention("fast", [make_model()]):
        pass


def test_the_padding_mask_takes_the_form_of_the_attention(make_model, discriminator_config):
    encoder = make_model().discriminator
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    assert attention_bias(encoder, None) is None
    visible = attention_bias(encoder, mask)
    assert visible is not None and visible.dtype == torch.bool
    assert visible.tolist() == [[[[True, True, True]]], [[[True, False, False]]]]
    encoder.set_attn_implementation("eager")
    bias = attention_bias(encoder, mask)
    assert bias is not None and bias.dtype == torch.float32
    assert torch.equal(bias == 0, visible) and (bias[~visible] < -1e38).all()
    encoder.config._attn_implementation = "flex_attention"
    assert attention_bias(encoder, mask) is mask
