"""Muon for the matrices of the encoders and AdamW for everything else, as one optimiser.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) replaces the momentum of a weight matrix by the nearest
matrix whose singular values are all about 1, found by five Newton-Schulz iterations. Embeddings, output layers,
LayerNorms and biases are not maps from hidden to hidden states and stay with Adam.

The rule is `torch.optim.Muon` with the step size of Liu et al. 2025 (arXiv 2502.16982, section 2.2): 0.2 x sqrt(the
longer side), so that an update is as large as AdamW's and both can share a learning rate and a weight decay. What is
ours is that matrices of one shape are orthogonalised together: ELECTRA-small has 148 of them in 10 shapes, and a
GPU would spend more time on starting the small kernels of one matrix after the other than on the rest of the step.
Left out: orthogonalising in shards. Every process does all matrices, which costs 62 GFLOP a step for ELECTRA-small.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Muon, Optimizer

from electra_hf.errors import UsageError
from electra_hf.training.optimization import AdamWPaper
from electra_hf.training.training_arguments import cpu_has_bf16

# Linear layers that map to the vocabulary or to one score instead of to a hidden state.
_OUTPUT_LAYERS = ("generator_lm_head", "decoder", "dense_prediction", "seq_relationship")


def hidden_matrices(model: nn.Module) -> list[str]:
    """Names of the weights for Muon: of every linear layer that is neither an output layer nor tied to an embedding.

    In ELECTRA these are the six matrices of each encoder layer, the projection of the embeddings, and the dense layer
    of each head.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.weight.requires_grad
        if id(module.weight) not in embeddings and not name.endswith(_OUTPUT_LAYERS)
    ]


def orthogonalize(
    matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float, dtype: torch.dtype
) -> Tensor:
    """Newton-Schulz: matrices with the same singular vectors and singular values of about 1 (0.7 to 1.2).

    Args:
        matrices: (matrices, rows, columns), any scale.
        coefficients: a, b, c of the iteration X <- (a + b XX' + c (XX')^2) X.
        steps: iterations.
        eps: smallest norm that is divided by.
        dtype: of the arithmetic; bf16 is precise enough.

    Returns:
        (matrices, rows, columns) of that dtype.
    """
    a, b, c = coefficients
    tall = matrices.size(-2) > matrices.size(-1)
    x = matrices.to(dtype)
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=eps)  # the largest singular value is at most 1 now
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x


class BatchedMuon(Muon):
    """`torch.optim.Muon`, arguments and state included, that orthogonalises matrices of one shape together.

    On a processor without bf16 instructions the iteration runs in fp32, because bf16 would be emulated.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; see `torch.optim.Optimizer.step`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_kind: dict[Any, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_kind[matrix.shape, matrix.device, matrix.dtype].append(matrix)
            for matrices in by_kind.values():
                self._update(matrices, group)
        return loss

    def _update(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        """Update matrices of one shape, (rows, columns) each."""
        for matrix in matrices:
            if "momentum_buffer" not in self.state[matrix]:
                self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        buffers = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        lerp_, lerp = torch._foreach_lerp_, torch._foreach_lerp  # pyright: ignore[reportPrivateImportUsage]
        lerp_(buffers, gradients, 1 - group["momentum"])
        directions = lerp(gradients, buffers, group["momentum"]) if group["nesterov"] else buffers
        exact = matrices[0].device.type == "cpu" and not cpu_has_bf16()
        orthogonal = orthogonalize(
            torch.stack(list(directions)),
            group["ns_coefficients"],
            group["ns_steps"],
            group["eps"],
            torch.float32 if exact else torch.bfloat16,
        )
        rows, columns = matrices[0].shape
        matched = group["adjust_lr_fn"] == "match_rms_adamw"
        scale = 0.2 * max(rows, columns) ** 0.5 if matched else max(1, rows / columns) ** 0.5
        updates = list(orthogonal.to(matrices[0].dtype).unbind())
        mul_, add_ = torch._foreach_mul_, torch._foreach_add_  # pyright: ignore[reportPrivateImportUsage]
        mul_(matrices, 1 - group["lr"] * group["weight_decay"])
        add_(matrices, updates, alpha=-group["lr"] * scale)


class MuonWithAdamW(Optimizer):
    """Muon for matrices and the paper's AdamW for other parameters, in one optimiser with one state.

    The other parameters get the paper's variant of Adam, so that `muon` differs from `adamw_paper` in the matrices
    alone. A learning rate schedule scales the rates of both. A group that is added later belongs to Muon if it has
    `ns_steps`, as Muon's own group does.

    Args:
        matrices: Parameters for Muon, two-dimensional.
        others: Parameters or groups for AdamW.
        lr: Peak learning rate of AdamW.
        muon_lr: Peak learning rate of Muon; None takes `lr`.
        momentum: Decay of Muon's momentum (Nesterov's).
        betas: Decay of AdamW's moments.
        eps: Of AdamW.
        weight_decay: Decoupled, for the matrices, and for groups that do not say otherwise.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        others: Iterable[Any],
        *,
        lr: float = 5e-4,
        muon_lr: float | None = None,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ):
        self._adamw = AdamWPaper(others, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)
        self._muon = BatchedMuon(
            matrices,
            lr=lr if muon_lr is None else muon_lr,
            weight_decay=weight_decay,
            momentum=momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        # The very groups of both, with the defaults of each; AdamW's first, because the first one's rate is logged.
        super().__init__([*self._adamw.param_groups, *self._muon.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update of both kinds; see `torch.optim.Optimizer.step`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # Loading a state replaces groups and state, so they are handed out anew each time.
        self._muon.param_groups = [group for group in self.param_groups if "ns_steps" in group]
        self._adamw.param_groups = [group for group in self.param_groups if "ns_steps" not in group]
        for part in (self._muon, self._adamw):
            part.state = self.state
            part.step()
        return loss


def muon_for_model(model: nn.Module, decayed: Iterable[str], *, weight_decay: float, **kwargs: Any) -> MuonWithAdamW:
    """The optimiser of a model: matrices to Muon, the rest to AdamW with and without weight decay.

    Args:
        model: Its parameters are divided by `hidden_matrices`.
        decayed: Names of the parameters with weight decay.
        weight_decay: Of those.
        kwargs: Other arguments of `MuonWithAdamW`.

    Raises:
        UsageError: If the model has no matrix for Muon.
    """
    matrices = set(hidden_matrices(model))
    if not matrices:
        raise UsageError(f"--optim muon: {type(model).__name__} has no linear layer to update: use adamw_paper")
    decayed = set(decayed)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    others = {name: parameter for name, parameter in trained.items() if name not in matrices}
    groups = [
        {"params": [p for name, p in others.items() if name in decayed], "weight_decay": weight_decay},
        {"params": [p for name, p in others.items() if name not in decayed], "weight_decay": 0.0},
    ]
    return MuonWithAdamW(
        [parameter for name, parameter in trained.items() if name in matrices],
        [group for group in groups if group["params"]],
        weight_decay=weight_decay,
        **kwargs,
    )
