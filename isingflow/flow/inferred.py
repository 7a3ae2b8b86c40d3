"""The flow in the space of couplings, as decimated configurations themselves tell it."""

import math

import numpy as np

from isingflow.diagram import InferredFlow
from isingflow.errors import ParameterError
from isingflow.ising.inference import infer_couplings
from isingflow.ising.packing import turned_up
from isingflow.ising.sampling import sample_square
from isingflow.parameters import PHASES, choice, decimation_steps, whole
from isingflow.parameters import coupling as checked_coupling

EVEN = ("nearest", "diagonal", "plaquette")

SMALLEST = 4
"""Side of the torus that has to be left, in its own lattice constants."""


def inferred_flow(coupling, *, side=256, samples=1000, steps=7, phase="symmetric", rng, workers=None) -> InferredFlow:
    """Infer the couplings of sampled configurations, level by level of their decimation.

    The couplings of level 0 are found again, and after one step the exact ones. Further on the true law has couplings
    of every kind, and those inferred are the most likely ones of their terms: `missing` tells how much of the law of a
    spin given its environment they do not give. The terms are nearest, diagonal and plaquette.

    Parameters
    ----------
    coupling : float
        Nearest-neighbour ``K`` of level 0, dimensionless.
    side : int
        Side of the torus, divisible by ``2**ceil(steps/2)`` and at least ``4 * 2**(steps/2)``.
    samples : int
        Configurations, at least 20.
    steps : int
        Levels after level 0, at least 1.
    phase : {"symmetric", "up"}
        The configurations as they are, as many up as down, and no field; or each turned so that its magnetization is
        not negative, the ordered phase that is up, with a field among the terms.
    rng : numpy.random.Generator or int
        Generator, advanced by the call, or a seed.
    workers : int, optional
        Threads, as for `isingflow.ising.sampling.sample_square`; the numbers do not depend on it.

    Returns
    -------
    InferredFlow

    Raises
    ------
    ParameterError
        If an argument is out of range or a level determines no couplings.

    Notes
    -----
    In the ordered phase the symmetric law is an even mixture of two, and which of them a configuration is from can be
    told only far from a spin: no law of short range is like that, however often it is decimated. The flow of one phase
    ends with spins that are independent in a field, ``artanh m``.

    Examples
    --------
    >>> flow = inferred_flow(0.3, side=32, samples=200, steps=2, rng=1)
    >>> flow.couplings[:2].round(2).tolist()
    [[0.3, 0.0, 0.0], [0.15, 0.07, -0.01]]
    """
    coupling, phase = checked_coupling("coupling", coupling), choice("phase", phase, PHASES)
    side = whole("side", side, low=SMALLEST)
    steps = decimation_steps(whole("steps", steps), side)
    left = side / 2 ** (steps / 2)
    if left < SMALLEST:
        raise ParameterError(
            f"{steps} decimation steps leave a torus of side {left:.4g}, and couplings need one of {SMALLEST}; at most "
            f"{math.floor(2 * math.log2(side / SMALLEST))} steps do with side {side}"
        )
    terms = EVEN if phase == "symmetric" else (*EVEN, "field")
    packed = sample_square(
        coupling, side=side, samples=whole("samples", samples, low=20), rng=rng, workers=workers
    ).packed
    if phase == "up":
        packed = turned_up(packed)
    found = [infer_couplings(packed, terms=terms, level=level, workers=workers) for level in range(steps + 1)]
    return InferredFlow(
        coupling=coupling,
        side=packed.columns,
        samples=len(packed),
        phase=phase,
        terms=terms,
        levels=np.arange(steps + 1),
        couplings=[one.values for one in found],
        couplings_error=[one.errors for one in found],
        log_likelihood=[one.log_likelihood for one in found],
        missing=[one.missing for one in found],
        missing_error=[one.missing_error for one in found],
        flags=tuple(sorted({flag for one in found for flag in one.flags})),
    )
