"""What the page's script reads of the labels over a picture."""

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from frozenseg_label.pages.report_image import encode_places


def decoded(data: bytes, dtype: np.dtype[np.unsignedinteger], width: int) -> NDArray[np.generic]:
    """What the page's script makes of the bytes."""
    rows = np.frombuffer(zlib.decompress(data), dtype).reshape(-1, width)
    return np.bitwise_xor.accumulate(rows, axis=0)


@given(
    st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=2, max_side=9))
    )
)
def test_what_is_encoded_comes_back(places: NDArray[np.unsignedinteger]) -> None:
    found = decoded(encode_places(places), places.dtype, places.shape[1])
    assert found.tolist() == places.tolist()
