import io
import tarfile

import numpy as np
import pytest

from curate.stages.ingest.tarwalk import LINK, TarStream, TornTar


def packed(format: int) -> bytes:
    stream = io.BytesIO()
    rng = np.random.default_rng(0)
    with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
        folder = tarfile.TarInfo("dir")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for number, name in enumerate(
            ["a.jpg", "dir/ü.png", "n" * 180 + ".txt", "empty.txt", "z.jpg"]
        ):
            data = rng.bytes(0 if name == "empty.txt" else 300 * number + 1)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return stream.getvalue()


def read_all(stream: TarStream) -> list[bytes]:
    return [stream.payload(member) for member in stream.members() if member.size != LINK]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_and_places_are_those_of_the_standard_library(format: int) -> None:
    data = packed(format)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [(m.name, m.offset_data, m.size) for m in tar.getmembers() if m.isreg()]
    stream = TarStream(io.BytesIO(data))
    found, payloads = [], []
    for member in stream.members():
        if member.size != LINK:
            found.append((member.name, member.offset, member.size))
            payloads.append(stream.payload(member))
    assert found == expected
    for (_, offset, size), payload in zip(found, payloads, strict=True):
        assert payload == data[offset : offset + size]


def test_members_may_be_passed_over_unread() -> None:
    stream = TarStream(io.BytesIO(packed(tarfile.GNU_FORMAT)))
    assert [m.name for m in stream.members()][-2:] == ["z.jpg", "link.jpg"]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_cut_at_any_block_is_said_to_be_torn(format: int) -> None:
    data = packed(format)
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    for size in range(0, end + 1, 256):
        stream = TarStream(io.BytesIO(data[:size]))
        with pytest.raises(TornTar):
            read_all(stream)


def test_a_damaged_header_is_an_error_where_tarfile_would_just_stop() -> None:
    data = bytearray(packed(tarfile.GNU_FORMAT))
    data[data.rindex(b"z.jpg")] ^= 1
    with tarfile.open(fileobj=io.BytesIO(bytes(data))) as tar:
        assert "link.jpg" not in tar.getnames()
    with pytest.raises(TornTar, match="damaged header"):
        list(TarStream(io.BytesIO(bytes(data))).members())


def test_a_header_says_what_the_reader_never_holds() -> None:
    class Watched(io.BytesIO):
        longest = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.longest = max(self.longest, size or 0)
            return super().read(size)

    watched = Watched(packed(tarfile.GNU_FORMAT))
    list(TarStream(watched).members())
    assert watched.longest <= 1024
