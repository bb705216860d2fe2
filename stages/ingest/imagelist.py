"""The images of a folder, and which of them a table means by a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ...manifests import listing
from ...manifests.errors import DataError
from ...manifests.images import EXTENSIONS
from ...manifests.listing import FoundFile
from ...manifests.refused import Refused
from ...manifests.schema import RejectCode
from .names import extension, stem

KNOWN_PICTURES = EXTENSIONS | {"heic", "heif", "jp2", "jxl", "psd", "svg", "ppm", "tga", "ico"}
"""Endings of files that count as inputs; those that cannot be read become rejects."""

NAME_COLUMNS = tuple(
    "file_name filename filepath image image_path image_name path file name".split()
)
"""Columns that may name an image; the first that a table has is taken."""

SPLIT_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test"})
"""Top folders that are taken for splits where nothing else names one."""


@dataclass(frozen=True)
class ImageList:
    """A listed folder.

    Attributes:
        root: the folder.
        images: path -> image file, sorted by path.
        others: path -> every other file.
        refused: links that lead out of the folder, linked folders, pipes and devices.
        taken: paths that a table has named so far.
    """

    root: str
    images: Mapping[str, FoundFile]
    others: Mapping[str, FoundFile]
    refused: list[FoundFile] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, root: str) -> ImageList:
        """List a folder.

        Raises:
            DataError: there is no such folder.
        """
        images: dict[str, FoundFile] = {}
        others: dict[str, FoundFile] = {}
        refused: list[FoundFile] = []
        for file in listing.files_below(root):
            if file.unsafe:
                refused.append(file)
            elif extension(file.path) in KNOWN_PICTURES:
                images[file.path] = file
            else:
                others[file.path] = file
        return cls(listing.absolute(root), images, others, refused)

    def check(self) -> None:
        """Refuse a folder without images.

        Raises:
            DataError: no image file is in it.
        """
        if not self.images and not self.refused:
            raise DataError(f"{self.root}: no image file is in this folder or below it.")

    @cached_property
    def _links(self) -> set[str]:
        return {file.path for file in self.refused}

    def unnamed(self) -> tuple[list[FoundFile], list[FoundFile]]:
        """Return the images, and the refused links, that no table has named."""
        images = [file for path, file in self.images.items() if path not in self.taken]
        return images, [file for file in self.refused if file.path not in self.taken]

    @cached_property
    def _by_name(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for path in self.images:
            name = path.rpartition("/")[2]
            for short in {name, stem(name), stem(path)}:
                found[short] = None if short in found else path
        return found

    def find(self, name: str) -> str:
        """Return the path of the image that a table means.

        A name is a path below the root, or, where only one image fits, its last step, with or
        without extension.

        Raises:
            Refused: MISSING_FILE or UNSAFE_PATH.
        """
        try:
            return self.exact(name)
        except Refused as refused:
            found = self._by_name.get(name)
            if found is not None:
                return found
            if refused.code == RejectCode.MISSING_FILE and name in self._by_name:
                message = f"{refused.message}: several images fit"
                raise Refused(RejectCode.MISSING_FILE, message) from refused
            raise

    def exact(self, path: str) -> str:
        """Return the path of the image at a path below the root.

        Raises:
            Refused: MISSING_FILE or UNSAFE_PATH.
        """
        steps = path.replace("\\", "/").split("/")
        clean = "/".join(step for step in steps if step not in ("", "."))
        if steps[0] == "" or ".." in steps:
            raise Refused(RejectCode.UNSAFE_PATH, f"{path!r} leads out of {self.root}")
        if clean in self.images:
            return clean
        if clean in self._links:
            self.taken.add(clean)
            raise Refused(RejectCode.UNSAFE_PATH, f"{path!r} leads out of {self.root} by a link")
        raise Refused(RejectCode.MISSING_FILE, f"no image {path!r} in {self.root}")


def split_of(path: str) -> str:
    """Return the split that a path's top folder names, or ""."""
    top, slash, _ = path.partition("/")
    return top if slash and top.lower() in SPLIT_FOLDERS else ""
