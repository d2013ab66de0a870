"""Opens whatever labels a path names: which form they have is seen from what is there."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from frozenseg_label.errors import FormatError
from frozenseg_label.files import read_regular
from frozenseg_label.formats.class_png import CLASSES_FILE, classes_path, read_class_png_folder
from frozenseg_label.formats.shapes import OnTop
from frozenseg_label.formats.voc import CLASSES as VOC_FOLDER
from frozenseg_label.label_sets.foreign_sets import ON_TOP, open_foreign
from frozenseg_label.label_sets.label_set import (
    Form,
    LabelSet,
    open_class_pngs,
    open_coco_panoptic,
    open_run,
)
from frozenseg_label.runs.layout import MANIFEST, PANOPTIC_JSON
from frozenseg_label.runs.run_reader import RunReader

_CHUNK = 1 << 20  # bytes
_LOOKED_AT = 20  # JSON files in a folder, until one of labelme's is found


@contextmanager
def open_label_set(
    path: Path,
    pictures: Path | None = None,
    pngs: Path | None = None,
    *,
    like: LabelSet | None = None,
    trust_states: bool = False,
    on_top: OnTop = ON_TOP,
) -> Iterator[LabelSet]:
    """Yield the labels of a run folder, or of a file or folder in another tool's form.

    FormatError: it is in no form that can be read, or may be in several.

    Args:
        path: of the folder or file.
        pictures: folder of the pictures; None: where the labels say, or beside them.
        pngs: folder of the PNGs of a COCO panoptic JSON; None: the one named like the JSON, as COCO
            has it, else the JSON's own, as detectron2 has it.
        like: the set that predictions belong to; from COCO panoptic, it tells the images and
            categories of a JSON that has only annotations.
        trust_states: as of `open_coco_panoptic`.
        on_top: which of two shapes has the pixels that both claim.
    """
    form, place = form_of(path)
    if form == "run":
        with RunReader.read(place) as run:
            yield open_run(run, pictures)
    else:
        yield open_form(
            form, place, pictures, pngs, like=like, trust_states=trust_states, on_top=on_top
        )


def open_form(
    form: Form,
    path: Path,
    pictures: Path | None = None,
    pngs: Path | None = None,
    *,
    like: LabelSet | None = None,
    trust_states: bool = False,
    on_top: OnTop = ON_TOP,
) -> LabelSet:
    """Return labels in a form that is known, and that is no run folder.

    Args:
        path: of the file or folder that the form's reader wants.
        pictures: as of `open_label_set`, as are all others.
    """
    if form == "coco-panoptic":
        return open_coco_panoptic(path, pictures, pngs, like=like, trust_states=trust_states)
    if form == "class-png":
        return open_class_pngs(read_class_png_folder(path), pictures)
    return open_foreign(form, path, pictures, on_top)


def form_of(path: Path, form: Form | None = None) -> tuple[Form, Path]:
    """Return the form of the labels that a path names, and the file or folder for its reader.

    Args:
        form: where it is known; then only the file or folder is looked for.
    """
    if form is None and (path / MANIFEST).is_file():
        return "run", path
    found = list(_candidates(path)) if path.is_dir() else []
    if path.is_file():
        kind = _form_of_file(path)
        if kind is None and path.suffix.lower() == ".json":
            kind = "coco-panoptic"  # whose reader says what it lacks
        found = [(kind, path)] if kind is not None else []
    if form is not None:
        places = [place for kind, place in found if kind == form]
        if len(places) == 1 or (not places and path.is_file()):
            return form, next(iter(places), path)
        what = "are several" if places else "is nothing"
        raise FormatError(f"{path}: there {what} in the form {form}; name the file or the folder")
    if len(found) == 1:
        return found[0]
    if found:
        may_be = ", ".join(f"{place} ({kind})" for kind, place in found)
        raise FormatError(f"{path}: may be any of {may_be}; name one of these")
    refuse_absent([path])
    what = "has none of these" if path.is_dir() else "is none"
    raise FormatError(
        f"{path} {what}: a run folder ({MANIFEST}), a COCO JSON, a folder with a {PANOPTIC_JSON}, "
        f"a folder of class PNGs ({CLASSES_FILE}), labels of CVAT (XML), Label Studio (JSON), "
        f"labelme (folder), VOC ({VOC_FOLDER}) or YOLO (data.yaml); name one of them"
    )


def refuse_absent(paths: Iterable[Path]) -> None:
    """Raise FormatError that names the paths at which there is nothing."""
    if absent := [f"{path}" for path in paths if not path.exists()]:
        raise FormatError(f"{', '.join(absent)}: there is no such file or folder; check the path")


def _candidates(folder: Path) -> Iterator[tuple[Form, Path]]:
    """Yield the forms that the labels in a folder may have, and what their readers want."""
    if (folder / PANOPTIC_JSON).is_file():
        yield "coco-panoptic", folder
        return
    if (folder / VOC_FOLDER).is_dir():
        yield "voc", folder
    if (folder / "data.yaml").is_file():
        yield "yolo-seg", folder / "data.yaml"
    if (folder / CLASSES_FILE).is_file() and (folder / "class-png").is_dir():
        yield "class-png", folder / "class-png"  # an export; pictures may be beside it
    elif classes_path(folder) is not None:
        yield "class-png", folder
    coco = folder.glob("annotations/*.json")  # where datumaro and COCO itself have them
    for file in sorted([*folder.glob("*.json"), *coco, *folder.glob("*.xml")]):
        kind = _form_of_file(file) if file.name != CLASSES_FILE else None
        if kind not in (None, "labelme"):
            yield kind, file
    for file, _ in zip(folder.rglob("*.json"), range(_LOOKED_AT), strict=False):
        if _form_of_file(file) == "labelme":
            yield "labelme", folder
            return


def _form_of_file(path: Path) -> Form | None:
    """Return the form of a file, from the names in it; None: it is none of ours."""
    suffix = path.suffix.lower()
    if suffix == ".xml":
        head = read_regular(path, FormatError, most=_CHUNK)
        return "cvat" if b"<annotations" in head else None
    if suffix in (".yaml", ".yml"):
        return "yolo-seg"
    if suffix != ".json":
        return None
    if read_regular(path, FormatError, most=64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return "label-studio"
    said = _named_in(path)
    if b'"segments_info"' in said or (said >= {b'"annotations"'} and b'"segmentation"' not in said):
        return "coco-panoptic"
    if b'"annotations"' in said:
        return "coco-instances"
    return "labelme" if b'"imagePath"' in said else None


_KEYS = (b'"segments_info"', b'"annotations"', b'"segmentation"', b'"imagePath"')


def _named_in(path: Path) -> set[bytes]:
    """Return which of the telling keys are in a file, until it is clear what it is."""
    found: set[bytes] = set()
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found |= {key for key in _KEYS if key in rest + chunk}
            if found & {b'"segments_info"', b'"segmentation"', b'"imagePath"'}:
                break
            rest = chunk[-max(map(len, _KEYS)) :]
    return found
