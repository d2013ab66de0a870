"""`panoptic.json` says what the rows of the journal say, whichever way they are read."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from frozenseg_label.formats.coco_panoptic import segment_row
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]


def documents(out: Path) -> tuple[Any, Any]:
    """The JSON, and what it should say by rows that are read with all checks."""
    document = json.loads((out / "panoptic.json").read_text())
    with RunFolder.read(out) as run:
        expected = []
        for number, entry in enumerate(run.entries(), start=1):
            if (labels := entry.labels) is not None:
                row: dict[str, Any] = {"image_id": number, "file_name": labels.file}
                row |= {"state": labels.state}
                infos = [segment_row(s) for s in labels.current.segments(run.vocabulary)]
                row["segments_info"] = json.loads(json.dumps(infos))
                expected.append(row | ({"note": labels.note} if labels.note else {}))
    return document, expected


def test_it_says_what_rows_say_that_are_read_with_all_checks(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    panoptic = make_map([[4, 4, 9, 0]], {4: (1, "proposed"), 9: (3, "accepted")})
    crowd, sky = panoptic.segments
    odd = (replace(crowd, is_crowd=True, note="two of them", score=None), sky)
    strange = make_image(b"caf\xe9.jpg".decode(errors="surrogateescape"))
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        run.fail(make_image("torn.jpg"), "torn")
        run.commit(make_image("a.jpg"), panoptic)
        run.correct(
            make_image("b.jpg"), replace(panoptic, segments=odd), state="reviewed", note="dark"
        )
        run.commit(strange, panoptic)
        totals = run.finish().totals
    document, expected = documents(tmp_path / "out")
    assert document["annotations"] == expected
    assert [image["id"] for image in document["images"]] == [2, 3, 4]
    assert {type(i["iscrowd"]) for row in expected for i in row["segments_info"]} == {int}
    assert (totals.images, totals.failed, totals.segments) == (3, 1, 6)
    assert totals.classes["cat"].model_dump() == {"images": 3, "segments": 3, "pixels": 6}


def test_words_that_have_other_ids_now_are_told_by_their_names(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    out = tmp_path / "out"
    panoptic = make_map([[4, 4, 9, 0]], {4: (1, "proposed"), 9: (3, "proposed")})
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(make_image("a.jpg"), panoptic)
        words = run.vocabulary
        run.finish()
    moved = replace(words, categories=tuple(replace(c, id=c.id + 10) for c in words.categories))
    with RunFolder.open_or_create(out, make_manifest(vocabulary=moved), update=True) as run:
        totals = run.finish().totals
    document, expected = documents(out)
    assert document["annotations"] == expected
    assert [i["category_id"] for i in expected[0]["segments_info"]] == [11, 13]
    assert totals.segments == 2
