"""Parameters: what is refused and in which words; canonical text and key."""

import dataclasses
import math

import numpy as np
import pytest

from isingflow.errors import ParameterError
from isingflow.parameters import (
    ChainParameters,
    EnsembleParameters,
    NetworkParameters,
    SquareParameters,
    canonical,
    choice,
    coupling,
    decimation_steps,
    finite,
    key,
    whole,
    within_memory,
)

NETWORK = {"weight_variance": 1.5, "bias_variance": 0.05, "depth": 2, "width": 8}
LAW = NetworkParameters(**NETWORK)


def test_canonical_text_and_key_stand_where_they_stood():
    assert canonical(SquareParameters(coupling=0.3)) == (
        '{"SquareParameters":{"algorithm":"auto","coupling":0.3,"samples":1000,"side":256,"steps":8}}'
    )
    assert key(SquareParameters(coupling=0.3)) == "57b2f02c5cf77e6094531e399747f3c80c0d19c631b8fd9bd297ecde777c0e18"
    assert canonical(EnsembleParameters(network=LAW, networks=20)) == (
        '{"EnsembleParameters":{"ensemble":"conditional","followed":[1,2],"label":"","network":{"NetworkParameters":'
        '{"activation":"tanh","bias_variance":0.05,"depth":2,"weight_variance":1.5,"width":8}},"networks":20,'
        '"source":"digits"}}'
    )


def test_records_are_values():
    one, other = SquareParameters(coupling=np.float64(0.5)), SquareParameters(coupling=0.5, side=np.int64(256))
    assert one == other
    assert hash(one) == hash(other)
    assert key(one) == key(other)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.side = 8


@pytest.mark.parametrize(
    ("record", "arguments", "message"),
    [
        (ChainParameters, {"coupling": math.nan}, "coupling must be finite, got nan"),
        (ChainParameters, {"coupling": math.inf}, "coupling must be finite, got inf"),
        (ChainParameters, {"coupling": 0}, "coupling must be greater than 0, got 0"),
        (ChainParameters, {"coupling": -0.4}, "coupling must be greater than 0, got -0.4"),
        (ChainParameters, {"coupling": 101}, r"coupling must lie in \(0, 100\], got 101"),
        (ChainParameters, {"coupling": "0.4"}, "coupling must be a real number, got '0.4'"),
        (ChainParameters, {"coupling": True}, "coupling must be a real number, got True"),
        (ChainParameters, {"coupling": None}, "coupling must be a real number, got None"),
        (ChainParameters, {"coupling": 1j}, "coupling must be a real number, got 1j"),
        (ChainParameters, {"coupling": 1, "field": math.nan}, "field must be finite"),
        (ChainParameters, {"coupling": 1, "field": -101}, r"field must lie in \[-100, 100\], got -101"),
        (ChainParameters, {"coupling": 1, "factor": 1}, "factor must be between 2 and 1099511627776, got 1"),
        (ChainParameters, {"coupling": 1, "steps": 0}, "steps must be between 1 and 60, got 0"),
        (ChainParameters, {"coupling": 1, "sites": 0}, "sites must be between 1 and 1099511627776, got 0"),
        (ChainParameters, {"coupling": 1, "sites": -8}, "sites must be between 1 and 1099511627776, got -8"),
        (ChainParameters, {"coupling": 1, "sites": 64.0}, "sites must be a whole number, got 64.0"),
        (ChainParameters, {"coupling": 1, "samples": 19}, "samples must be at least 20, got 19"),
        (ChainParameters, {"coupling": 1, "window": 1}, "window must be between 2 and 12, got 1"),
        (ChainParameters, {"coupling": 1, "window": 13}, "window must be between 2 and 12, got 13"),
        (
            ChainParameters,
            {"coupling": 1, "sites": 96, "steps": 6},
            "6 decimations by 2 need a number of sites divisible by 64, got sites=96",
        ),
        (ChainParameters, {"coupling": 1, "sites": 2, "steps": 1}, "decimated once by 2, needs 8 sites, got sites=2"),
        (SquareParameters, {"coupling": 0}, "coupling must be greater than 0"),
        (SquareParameters, {"coupling": 1, "side": 3}, "side must be between 4 and 1099511627776, got 3"),
        (SquareParameters, {"coupling": 1, "samples": 0}, "samples must be at least 20, got 0"),
        (SquareParameters, {"coupling": 1, "steps": 0}, "steps must be between 1 and 60"),
        (SquareParameters, {"coupling": 1, "algorithm": "wolf"}, "'wolff', got 'wolf'"),
        (
            SquareParameters,
            {"coupling": 1, "side": 12, "steps": 5},
            "5 decimation steps need a side divisible by 8, got side=12; this side admits at most 4",
        ),
        (NetworkParameters, NETWORK | {"weight_variance": 0}, "weight_variance must be greater than 0, got 0"),
        (NetworkParameters, NETWORK | {"weight_variance": math.nan}, "weight_variance must be finite"),
        (NetworkParameters, NETWORK | {"bias_variance": -1}, r"bias_variance must lie in \[0, 1e\+12\], got -1"),
        (NetworkParameters, NETWORK | {"depth": 0}, "depth must be between 1 and 1000000, got 0"),
        (NetworkParameters, NETWORK | {"width": -1}, "width must be at least 1, got -1"),
        (NetworkParameters, NETWORK | {"activation": "tanhh"}, "got 'tanhh'; did you mean 'tanh'"),
        (EnsembleParameters, {"network": LAW, "networks": 19}, "networks must be at least 20, got 19"),
        (EnsembleParameters, {"network": LAW, "networks": 20, "ensemble": "weight"}, "did you mean 'weights'"),
        (EnsembleParameters, {"network": LAW, "networks": 20, "source": "xyz"}, "source must be one of .* got 'xyz'$"),
        (EnsembleParameters, {"network": LAW, "networks": 20, "followed": (3,)}, "between 1 and 2, got 3"),
    ],
)
def test_refusals(record, arguments, message):
    with pytest.raises(ParameterError, match=message):
        record(**arguments)


@pytest.mark.parametrize(("steps", "side"), [(0, 1), (1, 2), (2, 2), (3, 4), (4, 4), (8, 16), (8, 48), (16, 256)])
def test_sides_that_can_be_decimated_that_often(steps, side):
    assert decimation_steps(steps, side) == steps
    if side % 3:
        with pytest.raises(ParameterError, match=f"at most {2 * int(math.log2(side))}"):
            decimation_steps(2 * int(math.log2(side)) + 1, side)


def test_checks_return_python_numbers():
    assert type(finite("x", np.float32(0.5))) is float
    assert type(whole("x", np.int8(5))) is int
    assert coupling("x", -100) == -100.0
    assert choice("x", "a", iter(["a", "b"])) == "a"


def test_memory():
    within_memory("few numbers", 8)
    with pytest.raises(ParameterError, match=r"many numbers need 1073741824.0 GiB of memory, this machine has "):
        within_memory("many numbers", 2**60)
