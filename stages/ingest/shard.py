"""A tar of images that plain webdataset reads, written while samples stream by.

The same samples give the same bytes: ustar headers without times, owners or anything else that
two machines would not share.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from .base import RawSample
from .names import tar_name


class ShardWriter:
    """Writes samples as members NAME.jpg, NAME.txt (the first caption) and NAME.json.

    The file is begun with the first sample, so a slice without images leaves no file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._at = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        if kind is None:
            self._file.write(bytes(tarfile.RECORDSIZE - self._at % tarfile.RECORDSIZE))
        self._file.close()

    @property
    def begun(self) -> bool:
        """Whether a sample was written."""
        return self._file is not None

    def add(self, sample: RawSample, ext: str, facts: Mapping[str, Any]) -> tuple[int, int]:
        """Write one sample.

        Args:
            sample: with its data.
            ext: extension of the image, from its bytes.
            facts: what else goes into NAME.json.

        Returns:
            offset and size of the image's bytes in the tar.
        """
        name = tar_name(sample.key)
        data = sample.data or b""
        place = self._member(f"{name}.{ext}", data), len(data)
        if sample.captions:
            self._member(f"{name}.txt", sample.captions[0].encode())
        about = {
            **sample.attributes,
            **facts,
            "key": sample.key,
            "captions": list(sample.captions),
            "labels": list(sample.labels),
            "split": sample.split,
            "uid": sample.uid,
        }
        kept = {key: value for key, value in about.items() if value not in (None, "", [])}
        text = json.dumps(kept, sort_keys=True, ensure_ascii=False, allow_nan=False)
        self._member(f"{name}.json", text.encode())
        return place

    def _member(self, name: str, data: bytes) -> int:
        if self._file is None:
            self._file = self.path.open("wb")
        info = tarfile.TarInfo(name)
        info.size = len(data)
        header = info.tobuf(tarfile.USTAR_FORMAT)
        padding = -len(data) % tarfile.BLOCKSIZE
        self._file.write(header)
        self._file.write(data)
        self._file.write(bytes(padding))
        start = self._at + len(header)
        self._at = start + len(data) + padding
        return start
