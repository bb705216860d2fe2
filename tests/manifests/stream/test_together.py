import pytest
import torch

from curate.manifests.errors import StreamError
from curate.manifests.stream.together import Buffers, together, write_together


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


def test_memory_is_taken_again_once_nobody_holds_a_batch_in_it():
    buffers, image = Buffers(most=2), torch.zeros(3, 4, 4)
    first = buffers.take(image, 10)
    place = first.data_ptr()
    first[:] = 7
    pairs = {
        "rows": first[2:4],
        "list": [first[0]],
        "numpy": first.numpy()[1:],
        "batch": together([first[0], first[1]]),
    }
    del first
    for name in list(pairs):
        assert buffers.take(image, 10).data_ptr() != place, name
        assert all(float(held[0].max()) == 7 for held in pairs.values())
        del pairs[name]
    assert buffers.take(image, 10).data_ptr() == place
    assert buffers.take(image, 11).data_ptr() == place  # an eighth more was taken
    assert buffers.take(image, 10).shape == (10, 3, 4, 4)


def test_few_buffers_are_kept_and_too_small_ones_go():
    buffers, image = Buffers(most=2), torch.zeros(3, 8, 8)
    held = [buffers.take(image, 4) for _ in range(5)]
    for number, batch in enumerate(held):
        batch[:] = number
    assert [float(batch.mean()) for batch in held] == [0, 1, 2, 3, 4]
    places = {batch.data_ptr() for batch in held[-2:]}
    del held, batch
    assert buffers.take(image, 4).data_ptr() in places
    large = buffers.take(image, 400)
    assert large.data_ptr() not in places
    place = large.data_ptr()
    del large
    assert buffers.take(image, 4).data_ptr() == place  # the small ones were let go


def test_an_image_of_another_type_has_its_own():
    whole = Buffers().take(torch.zeros(3, 2, 2, dtype=torch.float64), 2)
    assert (whole.dtype, whole.shape) == (torch.float64, (2, 3, 2, 2))
