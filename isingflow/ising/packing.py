import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class PackedSpins:
    words: np.ndarray
    columns: int

    @property
    def shape(self):
        return (*self.words.shape[:2], self.columns)

    def __len__(self):
        return len(self.words)


def unpack(packed):
    bits = np.unpackbits(packed.words.view(np.uint8), axis=-1, count=packed.columns, bitorder="little")
    return 2 * bits.astype(np.int8) - 1
