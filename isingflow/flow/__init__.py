"""Lattice or network joined with the estimator: level curves; and the phase diagram of networks."""

from isingflow.flow.chain import chain_flow
from isingflow.flow.layers import activation_entropy, layer_flow
from isingflow.flow.models import model_flow
from isingflow.flow.network import mean_field_flow, network_flow
from isingflow.flow.phases import phase_diagram
from isingflow.flow.published import published_curve, published_flow
from isingflow.flow.square import square_flow

__all__ = [
    "activation_entropy",
    "chain_flow",
    "layer_flow",
    "mean_field_flow",
    "model_flow",
    "network_flow",
    "phase_diagram",
    "published_curve",
    "published_flow",
    "square_flow",
]
