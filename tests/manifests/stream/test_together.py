import pytest
import torch

from curate.manifests.errors import StreamError
from curate.manifests.stream.together import together, write_together


def pictures(count):
    return [torch.full((3, 2, 4), float(n)) for n in range(count)]


def test_images_written_together_are_one_tensor_without_a_copy():
    one, two, three = pictures(3)
    found = write_together(iter([one, None, two, None, three]), 5)
    assert [image is None for image in found] == [False, True, False, True, False]
    whole = together([image for image in found if image is not None])
    assert torch.equal(whole, torch.stack([one, two, three]))
    assert whole.data_ptr() == found[0].data_ptr()
    assert torch.equal(together(found[2:3]), torch.stack([two]))


@pytest.mark.parametrize("order", [[2, 1, 0], [0, 2], [0, 0, 1]])
def test_rows_out_of_order_are_stacked(order):
    found = write_together(iter(pictures(3)), 3)
    wanted = torch.stack([pictures(3)[at] for at in order])
    assert torch.equal(together([found[at] for at in order]), wanted)


def test_other_tensors_are_stacked():
    one = pictures(2)
    assert torch.equal(together(one), torch.stack(one))
    rows = write_together(iter(pictures(2)), 2)
    others = write_together(iter(pictures(2)), 2)
    assert torch.equal(together([rows[0], others[1]]), torch.stack(pictures(2)))
    crops = [image[:, :, ::2] for image in rows]
    assert torch.equal(together(crops), torch.stack(crops))
    turned = torch.stack(pictures(3)).transpose(2, 3)
    assert torch.equal(together([turned[0], turned[1]]), turned[:2])


def test_one_shape_is_asked_for():
    with pytest.raises(StreamError, match=r"\(3, 2, 3\) after \(3, 2, 4\)"):
        write_together(iter([torch.zeros(3, 2, 4), torch.zeros(3, 2, 3)]), 2)
    assert write_together(iter([None, None]), 2) == [None, None]
