"""What trained maps hold, and so which decoders may read them.

A loss decides what its maps mean:

- Cross-entropy, KL and JS to a Gaussian ask for a distribution of Gaussian shape: every decoder.
- Cross-entropy to the pixel asks for mass at the right place but for no shape beyond the four
  pixels: no decoder that fits a Gaussian to the neighbourhood of the peak.
- The expectation loss (with the variance regulariser too) and the negative log-likelihood ask
  for a mean only. Two heaps of mass with the right mean are as good as one, so a peak says
  nothing: the expectation alone. The JS regulariser asks for the Gaussian again.
- The marginal cross-entropy asks for the right rows and columns: mass is where it should be,
  its shape is open. The two expectations.
- MSE, L1 and binary cross-entropy leave a background of many small values, which outweighs the
  peak in a softmax: no global expectation.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Kind = Literal["logits", "gaussian", "sigmoid_logits"]
"""What the numbers are: logits of one softmax over all pixels, amplitudes of a Gaussian of peak
1, or logits of one sigmoid per pixel."""

KINDS: tuple[Kind, ...] = get_args(Kind)

Trait = Literal["mean", "mass", "peak", "shape"]
"""What is at the point: the mean of the whole map; a heap of mass; its highest pixel; and a
Gaussian's shape around that."""


class Content(NamedTuple):
    """What maps are after training.

    Attributes:
        kind: what the numbers are.
        traits: what can be relied on.
    """

    kind: Kind
    traits: frozenset[Trait]


def content(kind: Kind, *traits: Trait) -> Content:
    """A `Content` in short.

    >>> content("gaussian", "peak").kind
    'gaussian'
    """
    return Content(kind, frozenset(traits))


GAUSSIAN_SOFTMAX = content("logits", "mean", "mass", "peak", "shape")
PIXEL_SOFTMAX = content("logits", "mean", "mass", "peak")
MARGINAL_SOFTMAX = content("logits", "mean", "mass")
MEAN_SOFTMAX = content("logits", "mean")
GAUSSIAN_MAP = content("gaussian", "mass", "peak", "shape")
GAUSSIAN_SIGMOID = content("sigmoid_logits", "mass", "peak", "shape")
