"""What CLIP saw: one vector per segment and one per image, in shards below `embeddings/`.

A shard is a row of records, a record is what one run saw in one image (little endian):

    "FSE1", key 16 bytes, CLIP 8 bytes, N and D as uint32, ids N x int32, (1 + N) x D x float16

The first vector is the image's. The key is the beginning of the SHA-256 of all that follows it; the
journal row of the image names it. Records are written before their rows, so a killed program leaves
at most a torn record at the end, which is cut off, or one that no row names.
"""

import hashlib
import os
import secrets
import struct
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.files import atomic_stream, explained, make_folder, refuse_links, sync_folder
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.journal import Journal
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.layout import EMBEDDINGS

SHARD_BYTES = 64 * 1024**2
CLIP_DIGITS = 16  # of CLIP's hash, hexadecimal

_HEADER = struct.Struct("<4s16s8sII")
_MAGIC = b"FSE1"
_KEY_ENDS = 20  # in the header; what the key covers starts here


@dataclass(frozen=True)
class ImageEmbeddings:
    """What CLIP saw in one image.

    Attributes:
        clip: the first 16 hexadecimal digits of CLIP's hash; vectors of two CLIPs do not compare.
        image: float16 [D], unit length.
        segments: by segment id, float16 [D], unit length; ids without a vector are missing.
    """

    clip: str
    image: NDArray[np.float16]
    segments: Mapping[int, NDArray[np.float16]]

    @classmethod
    def of(
        cls,
        clip_hash: str,
        image: NDArray[np.float16],
        segments: Mapping[int, NDArray[np.float16]],
    ) -> "ImageEmbeddings":
        """Return what the CLIP of this hash (hexadecimal) saw."""
        return cls(short_clip_hash(clip_hash), image, segments)


def short_clip_hash(clip_hash: str) -> str:
    """Return the part of a CLIP's hash that embeddings carry; zeros where it is not known."""
    return clip_hash[:CLIP_DIGITS].ljust(CLIP_DIGITS, "0")


class _Place(NamedTuple):
    """Where a record is."""

    shard: Path
    offset: int
    length: int


class EmbeddingShards:
    """The shards of one run folder. `append` has one caller at a time.

    Args:
        own: append to shards of this worker's own, beside other workers that share the folder.
    """

    def __init__(self, folder: Path, *, own: bool = False) -> None:
        self.folder = folder / EMBEDDINGS
        self._owner = f"-{secrets.token_hex(4)}" if own else ""
        self._file: FileIO | None = None
        self._end = 0
        self._places: dict[str, _Place] | None = None

    def append(self, embeddings: ImageEmbeddings) -> str:
        """Write a record; returns its key for the journal. What a full disk takes half is undone.

        Nothing is forced to the disk before `sync`: a power cut may cost the vectors of images
        whose labels are safe.
        """
        record, key = _encode(embeddings)
        shard = self._open_shard()
        with explained(Path(str(shard.name))):
            try:
                left = memoryview(record)
                while left:
                    left = left[shard.write(left) :]
            except BaseException:
                shard.truncate(self._end)
                raise
        if self._places is not None:
            self._places[key] = _Place(Path(str(shard.name)), self._end, len(record))
        self._end += len(record)
        return key

    def keep(
        self,
        embeddings: ImageEmbeddings | None,
        proposal: PanopticMap,
        fused: PanopticMap,
        last: Entry | None,
    ) -> str | None:
        """Write down what CLIP saw by the ids of the present labels; return its key.

        Args:
            embeddings: by the ids of `proposal`; None: nothing is known, nothing is written.
            last: row of the image before.
        """
        if embeddings is None:
            return None
        if fused is not proposal:
            before = self.read(last.embeddings) if last is not None else None
            embeddings = embeddings_of_fused(embeddings, proposal, fused, before)
        return self.append(embeddings)

    def renumber(self, key: str | None, before: PanopticMap, after: PanopticMap) -> str | None:
        """Write a record again, by the ids that segments have now; return its key.

        Args:
            key: of the record of `before`.
            after: the same labels beside a person's segments, with other ids where these took them.
        """
        seen = self.read(key)
        if seen is None:
            return key
        owned = {segment.id for segment in before.segments if segment.is_owned}
        kept = {id_: vector for id_, vector in seen.segments.items() if id_ in owned}
        return self.append(embeddings_of_fused(seen, before, after, replace(seen, segments=kept)))

    def read(self, key: str | None) -> ImageEmbeddings | None:
        """Return the record of a key; None where there is none, or none that is whole."""
        place = self._index().get(key) if key is not None else None
        if place is None:
            return None
        record = _read_record(place)
        return _decode(record) if record[4:_KEY_ENDS] == _digest(record[_KEY_ENDS:]) else None

    def sync(self) -> None:
        """Force all records to the disk."""
        if self._file is not None:
            with explained(self.folder):
                _sync(self._file)

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def tidy(self, journal: Journal) -> None:
        """Force all to the disk; where later runs left too much, keep only what rows name."""
        self.sync()
        if len(self._index()) > 2 * len(journal.known):
            self._keep_only({entry.embeddings or "" for entry in journal.entries()})

    def _keep_only(self, keys: Collection[str]) -> None:
        self.close()
        old = _shards(self.folder)
        kept = deque(place for key, place in self._index().items() if key in keys)
        number = _number(old[-1]) + 1 if old else 0
        while kept:
            with atomic_stream(_shard(self.folder, number)) as file:
                while kept and file.tell() < SHARD_BYTES:
                    file.write(_read_record(kept.popleft()))
            number += 1
        for shard in old:
            with explained(shard):
                shard.unlink()
        self._places = None

    def _open_shard(self) -> FileIO:
        """Return the shard to write: the last one with its torn end cut off, or a new one."""
        if self._file is not None and self._end < SHARD_BYTES:
            return self._file
        with explained(self.folder):
            make_folder(self.folder)
            if self._file is not None:
                _sync(self._file)
                self.close()
            shards = _shards(self.folder)
            path = shards[-1] if shards else _shard(self.folder, 0, self._owner)
            is_full = path.exists() and path.stat().st_size >= SHARD_BYTES
            if is_full or not path.stem.endswith(self._owner):
                path = _shard(self.folder, _number(path) + 1, self._owner)
            refuse_links(self.folder.parent, f"{EMBEDDINGS}/{path.name}")
            self._file = FileIO(path, "a")
            ends = [place.offset + place.length for _, place in _scan(path)]
            self._end = ends[-1] if ends else 0
            self._file.truncate(self._end)
            sync_folder(self.folder)
        return self._file

    def _index(self) -> dict[str, _Place]:
        if self._places is None:
            self._places = {
                key: place for shard in _shards(self.folder) for key, place in _scan(shard)
            }
        return self._places


def embeddings_of_fused(
    embeddings: ImageEmbeddings,
    proposal: PanopticMap,
    fused: PanopticMap,
    before: ImageEmbeddings | None,
) -> ImageEmbeddings:
    """Return the vectors by the ids of a map that has a person's segments beside proposed ones.

    A person's segments keep the vectors that they had, if the same CLIP saw them.

    Args:
        embeddings: by the ids of `proposal`.
        before: of the labels before.
    """
    ids, first = np.unique(fused.ids, return_index=True)
    asked = dict(zip(ids.tolist(), proposal.ids.ravel()[first].tolist(), strict=True))
    kept = before.segments if before is not None and before.clip == embeddings.clip else {}
    vectors = {}
    for segment in fused.segments:
        owned = segment.is_owned
        vector = kept.get(segment.id) if owned else embeddings.segments.get(asked[segment.id])
        if vector is not None:
            vectors[segment.id] = vector
    return replace(embeddings, segments=vectors)


def _encode(embeddings: ImageEmbeddings) -> tuple[bytes, str]:
    ids = np.array(list(embeddings.segments), "<i4")  # [N]
    rows = [embeddings.image, *embeddings.segments.values()]
    vectors = np.stack(rows).astype("<f2")  # [1 + N, D]
    clip = bytes.fromhex(embeddings.clip)
    header = _HEADER.pack(_MAGIC, b"", clip, len(ids), vectors.shape[1])
    content = header[_KEY_ENDS:] + ids.tobytes() + vectors.tobytes()
    key = _digest(content)
    return _MAGIC + key + content, key.hex()


def _decode(record: bytes) -> ImageEmbeddings:
    _, _, clip, number, size = _HEADER.unpack_from(record)
    ids = np.frombuffer(record, "<i4", number, _HEADER.size)
    vectors = np.frombuffer(record, "<f2", offset=_HEADER.size + 4 * number).reshape(-1, size)
    rows = vectors.astype(np.float16)
    return ImageEmbeddings(clip.hex(), rows[0], dict(zip(ids.tolist(), rows[1:], strict=True)))


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:16]


def _scan(shard: Path) -> Iterator[tuple[str, _Place]]:
    """Yield keys and places of a shard's records, up to one that is torn."""
    offset, size = 0, shard.stat().st_size
    with shard.open("rb") as file:
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            magic, key, _, number, width = _HEADER.unpack(header)
            length = _HEADER.size + 4 * number + 2 * (1 + number) * width
            if magic != _MAGIC or offset + length > size:
                return
            yield key.hex(), _Place(shard, offset, length)
            offset += length
            file.seek(offset)


def _read_record(place: _Place) -> bytes:
    with place.shard.open("rb") as file:
        file.seek(place.offset)
        return file.read(place.length)


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.bin"))


def _shard(folder: Path, number: int, owner: str = "") -> Path:
    return folder / f"{number:05d}{owner}.bin"


def _number(shard: Path) -> int:
    return int(shard.stem.partition("-")[0])


def _sync(file: FileIO) -> None:
    os.fsync(file.fileno())
