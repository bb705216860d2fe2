"""List columns to matrices and back; codes; the columns of samples."""

import numpy as np
import pyarrow as pa
import pytest

from curate.manifests.schema import (
    EDGES,
    FLOATS,
    IDS,
    PAIRS,
    REASON_CODE,
    REASONS,
    Reason,
    list_matrix,
    padded_list,
    samples_schema,
)


@pytest.mark.parametrize("shape", [(0, 3), (1, 0), (5, 1), (4, 7)])
def test_a_matrix_goes_there_and_back(shape):
    values = np.arange(np.prod(shape), dtype=np.int64).reshape(shape) - 1
    column = padded_list(values, IDS)
    assert column.type == IDS
    assert column.to_pylist() == values.tolist()
    back = list_matrix(column, shape[1])
    assert back.shape == shape
    assert (back == values).all()


def test_it_takes_slices_and_chunks():
    values = np.random.default_rng(0).random((10, 3)).astype(np.float32)
    column = padded_list(values, FLOATS)
    assert (list_matrix(column.slice(4, 3)) == values[4:7]).all()
    chunked = pa.chunked_array([column.slice(0, 2), column.slice(2, 5), column.slice(7)])
    assert (list_matrix(chunked) == values).all()
    assert list_matrix(pa.chunked_array([], FLOATS), 3).shape == (0, 3)


def test_a_view_that_is_not_contiguous():
    values = np.arange(24, dtype=np.int64).reshape(4, 6)
    assert padded_list(values[:, ::2], IDS).to_pylist() == values[:, ::2].tolist()
    assert padded_list(values.T, IDS).to_pylist() == values.T.tolist()


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError, match="one length"):
        list_matrix(pa.array([[1, 2], [3]], IDS))
    with pytest.raises(ValueError, match="one length 3"):
        list_matrix(pa.array([[1, 2], [3, 4]], IDS), 3)
    with pytest.raises(ValueError, match="one length"):
        list_matrix(pa.array([[1], [2, 3, 4]], IDS))


def test_attributes_become_columns_in_order_of_name():
    found = samples_schema({"time": "time", "camera": "string", "lat": "float"})
    assert found.names[-3:] == ["attr_camera", "attr_lat", "attr_time"]
    kinds = [str(found.field(name).type) for name in found.names[-3:]]
    assert kinds == ["string", "double", "timestamp[us, tz=UTC]"]
    assert not found.field("sample_id").nullable
    assert found.field("caption").nullable


def test_codes_of_reasons_are_their_positions():
    assert REASONS[0] is Reason.TAKEN
    assert Reason.TAKEN == ""
    assert [REASON_CODE[reason] for reason in REASONS] == list(range(len(REASONS)))
    assert len(REASONS) < 256


def test_only_types_that_every_reader_knows():
    for field in [*EDGES, *PAIRS, *samples_schema({"a": "time"})]:
        inner = field.type.value_type if pa.types.is_list(field.type) else field.type
        assert str(inner) in {
            "int64",
            "int32",
            "int8",
            "float",
            "double",
            "string",
            "timestamp[us, tz=UTC]",
        }, field
