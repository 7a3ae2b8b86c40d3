"""Level curves of PyTorch models: of anybody's own network, trained or not."""

import numpy as np

from isingflow.curve import LevelCurve
from isingflow.divergence.gaussian import Moments
from isingflow.errors import ParameterError
from isingflow.flow.layers import SMALLEST_SAMPLE
from isingflow.flow.network import BLOCKS, FEWEST, series
from isingflow.parameters import choice, whole

LAWS = ("neurons", "inputs")
BETWEEN = 4
"""Models from which on errors are those between models; the jackknife's fewest blocks."""


def model_flow(
    model, inputs, *, law="neurons", layers=None, neurons=1, label="", parameters=None, control="networks", **recording
) -> LevelCurve:
    """Follow inputs through the layers of a PyTorch model.

    Of which variables the law of a level is, `law` says:

    - "neurons": the m pre-activations that one neuron has for m inputs; neurons of the level, and models if there are
      several, are the sample. For networks whose neurons are alike, as they are when their weights are drawn. Errors
      are between models from four on. Of fewer they are over neurons, with the levels before as they are: another
      network of the same law may differ by several of them, in the ordered phase above all.
    - "inputs": the pre-activations of the first few neurons of the level for one input; the inputs are the sample. For
      one model.

    Levels are compared as normal laws, with means and full covariances as they were found.

    Parameters
    ----------
    model : torch.nn.Module or sequence of them
        Several of one architecture are one sample of neurons.
    inputs : array_like or torch.Tensor
        (m, ...): as many as are compared jointly ("neurons"), linearly independent, or at least 100 ("inputs").
    law : {"neurons", "inputs"}
        As above.
    layers : sequence of str, optional
        Levels, as for `isingflow.network.recording.record_layers`: without it all linear maps and convolutions that
        have enough neurons. The first one named is level 0.
    neurons : int
        Of a window ("inputs"), at most as many as the narrowest level has.
    label : str
        Appended to the name of the quantity, for instance "trained".
    parameters : mapping, optional
        Names and values that the curve records, beside the number of networks and of inputs.
    control : str
        Which of them drives the curve through a family.
    **recording
        ``channels`` and ``batch`` of `isingflow.network.recording.record_layers`.

    Returns
    -------
    LevelCurve
        In nats per neuron or window, with jackknifed errors over models, neurons or inputs. No reference.

    Raises
    ------
    ParameterError
        If a level has too few neurons for an error (20 in all models, "neurons"), there are too few inputs, the inputs
        are linearly dependent, or as for `record_layers`.
    IsingflowError
        If torch is not installed.

    Examples
    --------
    >>> from isingflow.network.training import GaussianMLP
    >>> from isingflow.parameters import NetworkParameters
    >>> network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=3, width=200)
    >>> curve = model_flow(GaussianMLP(network, 2, seed=1), [[1.0, -1.0]])
    >>> curve.quantity, curve.parameters["ensemble"], len(curve.levels)
    ('one input, model', 'neurons', 4)
    """
    from isingflow.network.recording import record_layers

    law = choice("law", law, LAWS)
    models = list(model) if isinstance(model, (list, tuple)) else [model]
    if not models:
        raise ParameterError("at least one model is needed, got an empty list")
    if law == "inputs" and len(models) > 1:
        raise ParameterError(f"the law over inputs is one of one model, got {len(models)}")
    recorded = [record_layers(one, inputs, layers, **recording) for one in models]
    if any(one.layers != recorded[0].layers for one in recorded):
        raise ParameterError("models of one sample must have the same layers")
    count = recorded[0].inputs
    take = _over_neurons if law == "neurons" else _over_inputs
    names, levels, options = take(recorded, layers is None, neurons)
    if len(levels) < 2:
        raise ParameterError(f"a curve needs two levels or more, got {', '.join(names) or 'none'} with enough neurons")
    found = series(levels, **options)
    what = {1: "one input", 2: "two inputs"}.get(count, f"{count} inputs")
    if law == "inputs":
        what = "one neuron" if neurons == 1 else f"window of {neurons} neurons"
    every = np.arange(len(levels))
    return LevelCurve(
        system="network",
        quantity=", ".join(filter(None, (what, "model", "over inputs" * (law == "inputs"), label))),
        per="neuron" if law == "neurons" else "window",
        control=control,
        parameters={**(parameters or {}), "networks": len(models), "inputs": count, "ensemble": law},
        levels=every,
        level_name="layers",
        length=every,
        estimator="gaussian",
        samples=count if law == "inputs" else min(int(one.counts.sum()) for one in levels),
        **found,
    )


def _over_neurons(recorded, all_layers, _):
    """Moments of the neurons of every level, in blocks; levels that are too narrow are left out if none were named."""
    blocks = -(-BLOCKS // len(recorded)) if len(recorded) < BETWEEN else 1
    names, levels = [], []
    for number, name in enumerate(recorded[0].layers):
        columns = [one.preactivations[number].astype(np.float64) for one in recorded]
        inputs, width = columns[0].shape
        narrow = width < max(blocks, -(-FEWEST // len(recorded)))
        if inputs != recorded[0].inputs or narrow:
            if all_layers:
                continue
            raise ParameterError(
                f"the layer {name!r} has {width} neurons for each of {inputs} samples: a law over neurons needs "
                f"{blocks} or more, and one sample for each input"
            )
        names.append(name)
        levels.append(_moments(columns, blocks))
    return names, levels, {"blocks": min(BLOCKS, blocks * len(recorded))}


def _moments(columns, blocks):
    """Of the first input and the differences from it, which keep their digits: a record for each block of neurons."""
    parts = []
    for z in columns:
        y = np.vstack([z[:1], z[1:] - z[0]]).T
        parts += np.array_split(y, blocks)
    sums = np.array([part.sum(axis=0) for part in parts])
    return Moments(np.array([len(part) for part in parts]), sums, np.array([part.T @ part for part in parts]))


def _over_inputs(recorded, all_layers, neurons):
    """Windows of neurons of every level: (samples, neurons)."""
    (one,) = recorded
    if one.inputs < SMALLEST_SAMPLE:
        raise ParameterError(f"at least {SMALLEST_SAMPLE} inputs are needed to tell an error, got {one.inputs}")
    neurons = whole("neurons", neurons)
    names, levels = [], []
    for name, values in zip(one.layers, one.preactivations, strict=True):
        if values.shape[1] < neurons:
            if all_layers:
                continue
            raise ParameterError(
                f"the layer {name!r} has {values.shape[1]} neurons, fewer than the window of {neurons}"
            )
        if levels and len(values) != len(levels[0]):
            raise ParameterError(f"the layer {name!r} has other samples than the first: compare layers of one shape")
        names.append(name)
        levels.append(np.asarray(values[:, :neurons], dtype=np.float64))
    return names, levels, {"blocks": BLOCKS}
