"""Members of one key in a tar, the same bytes each time."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping


def add_members(tar: tarfile.TarFile, key: str, members: Mapping[str, bytes]) -> None:
    """Add the members of one key by extension, in the order of their names, with time 0."""
    for ending, data in sorted(members.items()):
        info = tarfile.TarInfo(f"{key}.{ending}")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
