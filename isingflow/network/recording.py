"""What the layers of a PyTorch model compute: recorded by hooks, for any model, without touching it.

Needs the extra ``train``. Levels are named layers in the order in which they are called. What a layer gives is called
its pre-activations, what it is shown the activations of the level before: in models that are chains of linear maps and
activation functions that is what the words mean; in others it is what they mean here.
"""

import contextlib
import dataclasses
import functools
import os
import tempfile
from pathlib import Path

import numpy as np

try:
    import torch
except ImportError:
    from isingflow.errors import IsingflowError

    raise IsingflowError(
        "models of PyTorch need the package torch, which is not installed: pip install 'isingflow[train]'"
    ) from None

from torch import nn

from isingflow.errors import ArchiveError, IsingflowError, ParameterError
from isingflow.parameters import choice, whole, within_memory

LINEAR = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd)
"""Modules that are levels without being named: linear maps, whose weights have two axes or more."""

CHANNELS = ("flatten", "positions")


@dataclasses.dataclass(frozen=True, eq=False)
class RecordedLayers:
    """What the layers of a model gave and were shown, for n inputs.

    Attributes
    ----------
    layers : tuple of str
        Names of the levels, in the order of their calls; a layer that is called again is there again, as "name (2)".
    preactivations : tuple of numpy.ndarray
        What each gave: (samples, features) in the model's precision, float32 for bfloat16. Several samples of an input,
        where there are, follow each other. Read-only maps of a file, where there is one.
    shown : tuple of numpy.ndarray
        What each was shown, the same: of level l + 1 the activations of level l.
    channels : {"flatten", "positions"}
        Whether all axes but the first are features, one after the other, or only the channels, and every position is a
        sample.
    inputs : int
        Inputs of the model.
    """

    layers: tuple
    preactivations: tuple
    shown: tuple
    channels: str
    inputs: int


def record_layers(model, inputs, layers=None, *, channels="flatten", batch=256, file=None) -> RecordedLayers:
    """Record what layers of a PyTorch model compute.

    The model is run batch by batch in evaluation mode, so that dropout and the statistics of normalisations stand
    still, and without a graph. Its parameters and buffers, the mode of each of its modules and its hooks are left as
    they were.

    Parameters
    ----------
    model : torch.nn.Module
        With finite parameters, on any device.
    inputs : array_like or torch.Tensor
        (n, ...) as the model takes them; cast to the precision of its parameters where they are floats.
    layers : sequence of str, optional
        Names of modules as in ``model.named_modules()``, whose outputs are tensors; without it all linear maps and
        convolutions that are called.
    channels : {"flatten", "positions"}
        Features of a convolution's output (n, c, ...): all of it, (n, c ...), or the channels, every position a sample,
        (n ..., c). Of linear maps of sequences (n, ..., f) the last axis is that of the channels.
    batch : int
        Inputs at a time, at least 1.
    file : path, optional
        HDF5 file that takes the arrays instead of memory, one below ``preactivations`` and one below ``shown`` for each
        layer; written whole or not at all, and not replaced.

    Returns
    -------
    RecordedLayers

    Raises
    ------
    ParameterError
        If there are no inputs, a parameter or an output is not finite, a name is unknown or the model calls no linear
        maps, an output is no tensor whose first axis is that of the inputs, or the model refuses the inputs.
    ArchiveError
        If the file exists or cannot be written.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    >>> found = record_layers(model, np.ones((10, 3)))
    >>> found.layers, found.preactivations[0].shape, found.shown[1].shape
    (('0', '2'), (10, 5), (10, 5))
    """
    if not isinstance(model, nn.Module):
        raise ParameterError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    channels, batch = choice("channels", channels, CHANNELS), whole("batch", batch)
    check_parameters(model)
    inputs = _tensor(inputs, model)
    modules = _chosen(model, layers)
    with still(model), _Recorder(modules, channels, named=layers is not None) as recorder:
        for start in range(0, len(inputs), batch):
            part = inputs[start : start + batch]
            recorder.calls = []
            called(model, part.clone())  # the first layer may work in place
            recorder.keep(len(inputs), len(part), file)
        return recorder.found(len(inputs))


def check_parameters(model) -> None:
    """Raise `ParameterError` if a parameter of a model is not there yet or not finite."""
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ParameterError(f"the model's {name} has no shape yet: call the model once before")
        if not torch.isfinite(parameter).all():
            raise ParameterError(f"the model's parameters must be finite, {name} is not: was the training diverging?")


def called(model, inputs):
    """Return what a model gives, or raise `ParameterError` with its own words if it raises anything."""
    try:
        return model(inputs)
    except (IsingflowError, MemoryError):
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ParameterError(f"the model refuses inputs of shape {tuple(inputs.shape)}: {reason}") from error


def _tensor(inputs, model):
    """Return inputs as a tensor on the model's device, floats in its precision."""
    if not isinstance(inputs, torch.Tensor):
        try:
            array = np.asarray(inputs)
        except ValueError as error:
            raise ParameterError(f"inputs must be an array of numbers or a tensor: {error}") from error
        if array.dtype.kind not in "fiub":
            raise ParameterError(f"inputs must be an array of numbers or a tensor, got {array.dtype}")
        inputs = torch.from_numpy(np.array(array))
    if inputs.ndim < 2 or not len(inputs):
        raise ParameterError(f"inputs must be (n, ...) with n at least 1, got shape {tuple(inputs.shape)}")
    like = next((one for one in model.parameters() if one.is_floating_point()), None)
    if like is not None:
        inputs = inputs.to(like.device, like.dtype if inputs.is_floating_point() else inputs.dtype)
    if inputs.is_floating_point() and not torch.isfinite(inputs).all():
        raise ParameterError("inputs must be finite, got NaN or infinite ones")
    return inputs


def _chosen(model, layers):
    """Return the modules that are levels by name."""
    named = {name: module for name, module in model.named_modules() if name}
    if layers is None:
        found = {name: module for name, module in named.items() if isinstance(module, LINEAR)}
        if not found and isinstance(model, LINEAR):
            raise ParameterError("the model is a single layer without a name: wrap it, torch.nn.Sequential(layer)")
        if not found:
            raise ParameterError(f"the model has no linear maps: name its layers, of {', '.join(named) or 'none'}")
        return found
    if isinstance(layers, str) or not layers:
        raise ParameterError(f"layers must be a list of names of modules, got {layers!r}")
    return {choice("layers", name, named): named[name] for name in layers}


@contextlib.contextmanager
def still(model):
    """Run in evaluation mode and without a graph; every module gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


class _Recorder:
    """Hooks that collect what modules are shown and give, and where it is kept."""

    def __init__(self, modules, channels, *, named):
        self.modules, self.channels, self.named = modules, channels, named
        self.begun, self.calls, self.names, self.arrays, self.start, self.file = [], [], None, None, 0, None

    def __enter__(self):
        self.handles = []
        for name, module in self.modules.items():
            before, after = functools.partial(self._before, name), functools.partial(self._after, name)
            self.handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            self.handles.append(module.register_forward_hook(after))
        return self

    def __exit__(self, kind, error, traceback):
        for handle in self.handles:
            handle.remove()
        if self.file is not None and kind is not None:
            self.file.discard()

    def _before(self, name, module, positional, by_name):
        """Keep what a layer is shown, before it is called: it may work in place."""
        tensors = [one for one in (*positional, *by_name.values()) if isinstance(one, torch.Tensor)]
        if not tensors:
            raise ParameterError(f"the layer {name!r} takes no tensor: name others")
        self.begun.append((name, self._samples(name, tensors[0])))

    def _after(self, name, module, positional, given):
        if not isinstance(given, torch.Tensor):
            raise ParameterError(f"the layer {name!r} gives no tensor, but {type(given).__name__}: name others")
        began, shown = self.begun.pop()
        while began != name:  # those in between have raised something, which the model minds
            began, shown = self.begun.pop()
        again = sum(one == name for one, *_ in self.calls)
        self.calls.append((name, f"{name} ({again + 1})" if again else name, self._samples(name, given), shown))

    def _samples(self, name, values):
        """Samples and features, as an array of its own."""
        if values.ndim < 2:
            raise ParameterError(f"the layer {name!r} has values of shape {tuple(values.shape)}, without samples")
        if not torch.isfinite(values).all():
            raise ParameterError(f"the layer {name!r} gives or is shown values that are not finite")
        if self.channels == "positions" and values.ndim > 2:
            is_convolution = isinstance(self.modules[name], nn.modules.conv._ConvNd)
            values = (values.movedim(1, -1) if is_convolution else values).flatten(0, -2)
        else:
            values = values.flatten(1)
        values = values.detach().to("cpu", copy=True)
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()

    def keep(self, inputs, part, file):
        """Put a batch where it belongs; the first one tells how much room is needed."""
        names = tuple(name for _, name, *_ in self.calls)
        if self.names is None:
            missing = [name for name in self.modules if name not in names]
            if missing and (self.named or not names):
                raise ParameterError(f"the model never calls the layer(s) {', '.join(missing)}: leave them out")
            self.names = names
            self._make_room(inputs, part, file)
        if names != self.names:
            raise ParameterError("the model calls other layers for other inputs: record them one kind at a time")
        for (_, name, *both), rooms in zip(self.calls, self.arrays, strict=True):
            for values, room in zip(both, rooms, strict=True):
                each = len(room) // inputs
                if values.shape != (each * part, room.shape[1]):
                    raise ParameterError(
                        f"the layer {name!r} must be shown and give as much for every input, got {values.shape} for a "
                        f"batch of {part}"
                    )
                room[self.start * each : (self.start + part) * each] = values
        self.start += part

    def _make_room(self, inputs, part, file):
        for _, name, *both in self.calls:
            for values in both:
                if len(values) % part or not values.size:
                    raise ParameterError(
                        f"the first axis of what the layer {name!r} is shown and gives must be that of the inputs, got "
                        f"{values.shape} for a batch of {part}"
                    )
        shapes = [[(len(one) // part * inputs, one.shape[1], one.dtype) for one in both] for _, _, *both in self.calls]
        if file is not None:
            self.file = _File(file, self.names, shapes)
            self.arrays = self.file.arrays
            return
        size = sum(samples * features * dtype.itemsize for both in shapes for samples, features, dtype in both)
        within_memory(
            f"{len(shapes)} layers of {inputs} inputs", size, advice="pass file=, and they are streamed to it"
        )
        self.arrays = [[np.empty((samples, features), dtype) for samples, features, dtype in both] for both in shapes]

    def found(self, inputs):
        arrays = self.arrays if self.file is None else self.file.finished()
        return RecordedLayers(self.names, *map(tuple, zip(*arrays, strict=True)), self.channels, inputs)


class _File:
    """An HDF5 file of plain arrays, which are read as maps of it."""

    def __init__(self, path, names, shapes):
        import h5py

        self.path, self.names = Path(path), names
        if self.path.exists():
            raise ArchiveError(f"{self.path} exists: choose another name")
        try:
            handle, self.temporary = tempfile.mkstemp(prefix=".isingflow-", suffix=".tmp", dir=self.path.parent)
            os.close(handle)
        except OSError as error:
            raise ArchiveError(f"cannot write {self.path}: {error.strerror}") from error
        self.hdf5 = h5py.File(self.temporary, "w")
        self.arrays = [
            [self._dataset(kind, name, *shape) for kind, shape in zip(("preactivations", "shown"), both, strict=True)]
            for name, both in zip(names, shapes, strict=True)
        ]

    def _dataset(self, kind, name, samples, features, dtype):
        return self.hdf5.create_dataset(f"{kind}/{name}", (samples, features), dtype)

    def discard(self):
        self.hdf5.close()
        Path(self.temporary).unlink(missing_ok=True)

    def finished(self):
        places = [[(one.id.get_offset(), one.shape, one.dtype) for one in both] for both in self.arrays]
        self.hdf5.close()
        os.replace(self.temporary, self.path)
        return [[np.memmap(self.path, dtype, "r", offset, shape) for offset, shape, dtype in both] for both in places]
