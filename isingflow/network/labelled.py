"""Images with labels, in a part to train on and one to test on."""

import dataclasses
from pathlib import Path

import numpy as np

from isingflow.errors import ParameterError
from isingflow.network.image_files import idx
from isingflow.network.inputs import FASHION_MNIST, checked_inputs, normalise
from isingflow.parameters import whole

EVERY = 6
"""Of the digits one of so many is for testing."""


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images of several classes.

    Attributes
    ----------
    images, test_images : numpy.ndarray
        float64 (n, pixels): grey values from 0 on, not constant in any image; read-only.
    labels, test_labels : numpy.ndarray
        int64 (n,): classes from 0 on.
    source : str
        What they are.

    Raises
    ------
    ParameterError
        If shapes do not fit, there are none, grey values are negative or an image is constant, or labels are no whole
        numbers from 0 on.

    Examples
    --------
    >>> data = LabelledImages(np.eye(4), [0, 1, 0, 1], np.eye(4)[:2], [0, 1], "dots")
    >>> data.classes, data.inputs[0].round(2).tolist()
    (2, [1.73, -0.58, -0.58, -0.58])
    """

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    source: str

    def __post_init__(self):
        for images, labels in (("images", "labels"), ("test_images", "test_labels")):
            values = checked_inputs(images, getattr(self, images)).copy()
            if values.min() < 0:
                raise ParameterError(f"grey values must not be negative, {images} has {values.min():g}")
            constant = np.flatnonzero(values.min(axis=1) == values.max(axis=1))
            if constant.size:
                raise ParameterError(f"an image must not be constant, rows {constant.tolist()} of {images} are")
            classes = np.asarray(getattr(self, labels))
            if classes.shape != values.shape[:1] or classes.dtype.kind not in "iu" or classes.min() < 0:
                raise ParameterError(
                    f"{labels} must be whole numbers from 0 on, one for each of {len(values)} images, got "
                    f"{classes.dtype} {classes.shape}"
                )
            for name, array in ((images, values), (labels, classes.astype(np.int64))):
                array.setflags(write=False)
                object.__setattr__(self, name, array)
        if self.images.shape[1] != self.test_images.shape[1]:
            raise ParameterError(
                f"images to test must have as many pixels as others, got {self.test_images.shape[1]} and "
                f"{self.images.shape[1]}"
            )

    @property
    def classes(self) -> int:
        """One more than the largest label."""
        return int(max(self.labels.max(), self.test_labels.max())) + 1

    @property
    def inputs(self) -> np.ndarray:
        """The images as networks are shown them, float64: each centred, of unit norm."""
        return normalise(self.images)

    @property
    def test_inputs(self) -> np.ndarray:
        """The same of those to test on."""
        return normalise(self.test_images)


def labelled_digits() -> LabelledImages:
    """Return handwritten digits, 8 x 8 pixels, from scikit-learn: 1497 to train on, 300, every sixth, to test on.

    Examples
    --------
    >>> data = labelled_digits()
    >>> data.images.shape, data.test_images.shape, data.classes
    ((1497, 64), (300, 64), 10)
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    test = np.arange(len(found.data)) % EVERY == 0
    return LabelledImages(found.data[~test], found.target[~test], found.data[test], found.target[test], "digits")


def labelled_idx(images, labels, test_images, test_labels, *, most=None) -> LabelledImages:
    """Return images from four IDX files, as MNIST and its relatives are published.

    Parameters
    ----------
    images, labels, test_images, test_labels : str or path
        The files, compressed by gzip or not.
    most : int, optional
        Images to train on that are taken, from the first on; all without it.

    Raises
    ------
    ArchiveError
        If a file is not there or cannot be read.
    ParameterError
        If they are no images with labels.
    """
    arrays = [idx(path) for path in (images, labels, test_images, test_labels)]
    if most is not None:
        arrays[:2] = (array[: whole("most", most)] for array in arrays[:2])
    grey = [array.reshape(len(array), -1).astype(np.float64) for array in arrays[::2]]
    return LabelledImages(grey[0], arrays[1], grey[1], arrays[3], Path(images).name)


def labelled_fashion_mnist(*, directory=FASHION_MNIST, most=None) -> LabelledImages:
    """Return Fashion-MNIST, 28 x 28 pixels, from Debian's package dataset-fashion-mnist: 60000 images and 10000.

    Parameters
    ----------
    directory : str or path
        Where its four files are, under the names they were published with.
    most : int, optional
        As for `labelled_idx`.

    Raises
    ------
    ArchiveError
        If a file is not there or cannot be read.
    """
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    found = labelled_idx(*(Path(directory, f"{name}-ubyte.gz") for name in names), most=most)
    return dataclasses.replace(found, source="fashion-mnist")
