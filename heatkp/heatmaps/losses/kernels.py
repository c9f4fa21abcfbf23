"""Value and gradient of each loss on a block of maps, see `engine.Kernel`.

Throughout, the window is handled in double precision, the rest of the map in the maps' own:
the former is where terms cancel as training converges, the latter is where the time goes.

Masked pixels, logits of -inf, have probability 0. Where the target is 0 too they add nothing; where
it is not, a divergence from the target is infinite, and its gradient still the formula's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from heatkp.heatmaps.gaussians import DenseWindow, Window
from heatkp.heatmaps.precision import accurate_dtype

Drawn = Window | DenseWindow
HALF_LOG2 = math.log(2) / 2
"""JS gradient by p where g = 0."""
_LOWEST = -1e30
"""Stands for log 0 where it meets a probability of 0, which with -inf would make NaN."""


class _Softmax(NamedTuple):
    """Softmax of maps split at a window, normalised as accurately as the window's values are."""

    pixels: Tensor
    """The window's pixels in the flattened map, (n, h w)."""
    logs: Tensor
    """Their log-probabilities."""
    inner: Tensor
    """Their probabilities."""
    outer: Tensor
    """The probability of all other pixels, (n,)."""


def _times(target: Tensor, other: Tensor) -> Tensor:
    """target * other, and 0 where target is, whatever the other: 0 * -inf would be NaN."""
    return (target * other).masked_fill_(target == 0, 0.0)


def _probabilities(maps: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax of each map into `out`; log of the sum of exp(Z), in two parts (n, 1).

    The highest pixel's exponential is 1, so its probability is one over the sum of the others
    relative to it: the sum comes without another pass of exponentials.
    """
    flat, probability = maps.flatten(1), out.flatten(1)
    torch.softmax(flat, 1, out=probability)
    largest = flat.amax(1, keepdim=True).to(accurate_dtype(maps))
    return largest, -probability.amax(1, keepdim=True).to(accurate_dtype(maps)).log()


def _softmax(maps: Tensor, out: Tensor, window: Drawn) -> _Softmax:
    """Softmax of each map into `out`, with zeros in place of the window.

    The sum over a map in single precision is off by some 1e-7, which would swamp a divergence
    near convergence. The window's probabilities are computed in double precision instead, and
    what they and the rest, in single precision but small by then, sum to sets the scale.
    """
    largest, log_sum = _probabilities(maps, out)
    index = window.index()
    logs = maps.flatten(1).gather(1, index).to(accurate_dtype(maps)) - largest - log_sum
    inner = logs.exp()
    probability = out.flatten(1).scatter_(1, index, 0.0)
    outer = probability.sum(1).to(accurate_dtype(maps))
    total = (inner.sum(1) + outer)[:, None]
    return _Softmax(index, logs - total.log(), inner / total, outer / total[:, 0])


def kl_kernel(maps: Tensor, out: Tensor, window: Drawn) -> Tensor:
    """KL(g || p) for p = softmax(Z), gradient p - g."""
    index, logs, inner, _ = _softmax(maps, out, window)
    target = window.target()
    out.flatten(1).scatter_(1, index, (inner - target).to(out.dtype))
    return -window.entropy() - _times(target, logs).sum(1)


class JensenShannon(NamedTuple):
    """JS(p, g) of maps and what its gradient needs."""

    value: Tensor
    """(n,)."""
    mean: Tensor
    """Mean of log(p / m) / 2 under p, (n,)."""
    slope: Tensor
    """log(p / m) / 2 in the window, (n, h w)."""
    probability: Tensor
    """p in the window, (n, h w)."""
    pixels: Tensor
    """The window's pixels in the flattened map, (n, h w)."""


def jensen_shannon(maps: Tensor, out: Tensor, window: Drawn) -> JensenShannon:
    """JS(p, g) = (KL(p || m) + KL(g || m)) / 2 with m = (p + g) / 2; p outside of the window
    into `out`.

    There g = 0, m = p / 2 and a pixel's term is p log(2) / 2: as separable as the others. The
    gradient by p is log(p / m) / 2.
    """
    pixels, logs, inner, outer = _softmax(maps, out, window)
    logs.clamp_(min=_LOWEST)
    target = window.target()
    middle = torch.logaddexp(logs, target.log()) - math.log(2)
    slope = (logs - middle) / 2
    mean = (inner * slope).sum(1) + outer * HALF_LOG2
    other = (-window.entropy() - (target * middle).sum(1)) / 2
    return JensenShannon(mean + other, mean, slope, inner, pixels)


def js_kernel(maps: Tensor, out: Tensor, window: Drawn) -> Tensor:
    """JS(p, g), gradient p (log(p / m) / 2 - mean of the same)."""
    value, mean, slope, inner, pixels = jensen_shannon(maps, out, window)
    flat = out.flatten(1).mul_((HALF_LOG2 - mean).to(out.dtype)[:, None])
    flat.scatter_(1, pixels, (inner * (slope - mean[:, None])).to(out.dtype))
    return value


def marginal_kernel(maps: Tensor, out: Tensor, window: Drawn) -> Tensor:
    """Half of KL(g_x || p_x) + KL(g_y || p_y) for the marginals p_x, p_y of p = softmax(Z).

    With C_j the logsumexp of column j and R_i of row i, log p_x = C - LSE and log p_y = R - LSE;
    only columns and rows of the window count. Gradient p - g_x(j) exp(Z - C_j) / 2
    - g_y(i) exp(Z - R_i) / 2.
    """
    largest, log_sum = _probabilities(maps, out)
    height, width = window.size
    marginals = out.sum(2), out.sum(1)
    values = []
    for axis, start, factor in ((1, window.top, window.rows), (2, window.left, window.columns)):
        lines = start[:, None] + torch.arange(factor.shape[1], device=start.device)
        other = 3 - axis
        index = lines.unsqueeze(other).expand((-1, -1, width) if axis == 1 else (-1, height, -1))
        strip = maps.gather(axis, index).to(accurate_dtype(maps)) - largest[:, :, None]
        sums = strip.logsumexp(other, keepdim=True)
        strip.sub_(sums.clamp(min=_LOWEST)).exp_()  # fractions of 0 in a line that is all masked
        share = strip.mul_(factor.unsqueeze(other) / 2).to(out.dtype)
        logs = sums.squeeze(other) - log_sum
        outer = marginals[axis - 1].scatter(1, lines, 0.0).sum(1, keepdim=True)
        total = logs.exp().sum(1, keepdim=True) + outer
        if axis == 1:  # as in _softmax: the scale from what is most accurate
            out.div_(total.to(out.dtype)[:, :, None])
        out.scatter_(axis, index, out.gather(axis, index).sub_(share))
        terms = torch.special.xlogy(factor, factor) - _times(factor, logs - total.log())
        values.append(terms.sum(1))
    return (values[0] + values[1]) / 2


def squared_kernel(maps: Tensor, out: Tensor, window: Drawn) -> Tensor:
    """Half of |Z - u|^2, gradient Z - u; the difference is taken first, so nothing cancels."""
    out.copy_(maps)
    difference = out.flatten(1)
    index, target = window.index(), window.target()
    inner = maps.flatten(1).gather(1, index).to(target.dtype) - target
    difference.scatter_(1, index, inner.to(out.dtype))
    return difference.square().sum(1).to(target.dtype) / 2


def absolute_kernel(maps: Tensor, out: Tensor, window: Drawn) -> Tensor:
    """Sum of |Z - u|, gradient its sign."""
    flat, sign = maps.flatten(1), out.flatten(1)
    pixels, target = window.index(), window.target()
    inner = flat.gather(1, pixels).to(target.dtype) - target
    outer = flat.abs().scatter_(1, pixels, 0.0).sum(1)
    torch.sign(flat, out=sign)
    sign.scatter_(1, pixels, inner.sign().to(out.dtype))
    return inner.abs().sum(1) + outer


def bernoulli_kernel(maps: Tensor, out: Tensor, window: Drawn) -> Tensor:
    """Sum of softplus(Z) - u Z, gradient sigmoid(Z) - u."""
    flat, probability = maps.flatten(1), out.flatten(1)
    index, target = window.index(), window.target()
    inner = flat.gather(1, index).to(target.dtype)
    terms = F.softplus(inner, threshold=40) - _times(target, inner)
    outer = F.softplus(flat, threshold=40).scatter_(1, index, 0.0).sum(1)
    torch.sigmoid(flat, out=probability)
    probability.scatter_(1, index, (inner.sigmoid() - target).to(out.dtype))
    return terms.sum(1) + outer
