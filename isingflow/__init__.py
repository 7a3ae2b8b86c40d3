"""Relative entropy along the renormalization group and through deep networks.

The public names are imported when they are first used, so that ``import isingflow`` is quick.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "kl_divergence": "isingflow.divergence.estimate",
    "KLEstimate": "isingflow.divergence.estimate",
    "jensen_shannon": "isingflow.divergence.information",
    "entropy": "isingflow.divergence.information",
    "mutual_information": "isingflow.divergence.information",
    "BoltzmannSamples": "isingflow.divergence.boltzmann",
    "Counts": "isingflow.divergence.discrete",
    "Moments": "isingflow.divergence.gaussian",
    "Gaussian": "isingflow.divergence.laws",
    "Categorical": "isingflow.divergence.laws",
    "LevelCurve": "isingflow.curve",
    "ScaleLine": "isingflow.curve",
    "PhaseDiagram": "isingflow.diagram",
    "NetworkParameters": "isingflow.parameters",
    "chain_flow": "isingflow.flow",
    "square_flow": "isingflow.flow",
    "network_flow": "isingflow.flow",
    "mean_field_flow": "isingflow.flow",
    "layer_flow": "isingflow.flow",
    "model_flow": "isingflow.flow",
    "activation_entropy": "isingflow.flow",
    "phase_diagram": "isingflow.flow",
    "published_flow": "isingflow.flow",
    "compare": "isingflow.study",
    "Study": "isingflow.study_file",
    "run": "isingflow.running",
    "collect": "isingflow.running",
    "open_archive": "isingflow.archive",
    "read_archive": "isingflow.archive",
    "IsingflowError": "isingflow.errors",
    "ParameterError": "isingflow.errors",
    "ArchiveError": "isingflow.errors",
    "ConvergenceError": "isingflow.errors",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'isingflow' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    return getattr(home, "read" if name in ("open_archive", "read_archive") else name)


def __dir__():
    return __all__
