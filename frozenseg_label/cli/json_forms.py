"""What `--json` prints, command by command, and the JSON Schema of each.

Most commands print the result of their Python function; its dataclass is the only description.
A new command with `--json` needs a line in FORMS.
"""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import (
    TYPE_CHECKING,
    Any,
    NotRequired,  # pydantic wants these before Python 3.12
)

from typing_extensions import TypedDict

from frozenseg_label.cli.output import SCHEMA_VERSION

if TYPE_CHECKING:
    from frozenseg_label.annotation.try_words import TriedClass
    from frozenseg_label.checkpoints.named_weights import NamedWeights
    from frozenseg_label.cli.doctor import Finding
    from frozenseg_label.vocabulary_files import VocabularyCounts

DRAFT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class Findings:
    """What `doctor` found, check by check."""

    findings: "list[Finding]"


@dataclass(frozen=True)
class VocabularyList:
    """The shipped vocabularies."""

    vocabularies: "list[VocabularyCounts]"


@dataclass(frozen=True)
class WeightsList:
    """All weights that have a name."""

    weights: "list[NamedWeights]"


# A class in `vocab show`. `seen`: the weights' training had masks of it. What is not required is
# there only where the vocabulary says it.
ShownClass = TypedDict(
    "ShownClass",
    {
        "id": int,
        "name": str,
        "synonyms": list[str],
        "kind": str,
        "seen": bool,
        "min_score": NotRequired[float],
        "not": NotRequired[list[str]],
        "templates": NotRequired[list[str]],
        "supercategory": NotRequired[str],
        "made_from": NotRequired[list[str]],
    },
)


class ShownVocabulary(TypedDict):
    """The classes of a vocabulary, and words of the background."""

    name: str
    weights: str
    classes: list[ShownClass]
    background: list[str]


class Doubt(TypedDict):
    """Something doubtful in a vocabulary, and what to write instead."""

    kind: str
    classes: list[str]
    message: str
    suggestion: str


class CheckedRun(TypedDict):
    """The run folder of a check; `unlabelled`: share of the pixels, 0..1."""

    images: int
    unlabelled: float


class CheckedVocabulary(TypedDict):
    """What is doubtful in a vocabulary.

    `shared_names`: names of several classes -> those classes. `unknown_words`: class -> words that
    the text encoder does not know. `likely_stuff`: things that are stuff in most published lists.
    `unseen`: classes without masks in the weights' training. `findings`: all that is doubtful.
    """

    name: str
    weights: str
    classes: int
    shared_names: dict[str, list[str]]
    unknown_words: dict[str, list[str]]
    likely_stuff: list[str]
    unseen: list[str]
    findings: list[Doubt]
    run: CheckedRun | None


class TriedImage(TypedDict):
    """What words would get on one image; `unlabelled`: share of its pixels that none gets, 0..1."""

    image: str
    unlabelled: float
    seconds: float
    encoding_seconds: float
    classes: "list[TriedClass]"
    picture: str | None


class ShownFile(TypedDict):
    """A file of weights; `fingerprint` is a hash of all that decides its labels."""

    file: str
    bytes: int
    fingerprint: str


@dataclass(frozen=True)
class Form:
    """Where the types of one form are, each as `module:name` below the package.

    Attributes:
        types: whose fields together are the object that is printed.
        named: types that these name, and that their modules import only for type checkers.
    """

    types: tuple[str, ...]
    named: tuple[str, ...] = ()


_HERE = "cli.json_forms"
_CLASSES = "label_sets.class_report:ClassReport"
FORMS = {  # command, with the option that it needs -> its form
    "annotate": Form(("annotation.annotate_summary:AnnotateSummary",)),
    "calibrate": Form(("review.calibration.report:CalibrationReport",)),
    "calibrate --undo": Form(("review.calibration.report:Withdrawal",)),
    "doctor": Form((f"{_HERE}:Findings",), ("cli.doctor:Finding",)),
    "evaluate": Form(("evaluation.evaluation_report:EvaluationReport",)),
    "evaluate --reviewed": Form(("evaluation.evaluation_report:ReviewedReport",)),
    "export": Form(("exchange.export_labels:ExportSummary",), ("exchange.export_losses:Fact",)),
    "import": Form(("exchange.import_labels:ImportSummary",), (_CLASSES,)),
    "relabel": Form(("annotation.relabel:RelabelSummary",)),
    "relabel --try": Form((f"{_HERE}:TriedImage",), ("annotation.try_words:TriedClass",)),
    "review --save": Form(("review.app.save_corrections:SaveReport",)),
    "train": Form(("training.train:TrainSummary",), ("training.loop.report:TableRow", _CLASSES)),
    "vocab check": Form((f"{_HERE}:CheckedVocabulary",)),
    "vocab list": Form((f"{_HERE}:VocabularyList",), ("vocabulary_files:VocabularyCounts",)),
    "vocab show": Form((f"{_HERE}:ShownVocabulary",)),
    "weights list": Form((f"{_HERE}:WeightsList",), ("checkpoints.named_weights:NamedWeights",)),
    "weights show": Form((f"{_HERE}:ShownFile", "checkpoints.header:CheckpointInfo")),
}


def schema_of(command: str) -> dict[str, Any]:
    """Return the JSON Schema of what a command prints.

    Args:
        command: a key of FORMS.
    """
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class AllRequired(GenerateJsonSchema):
        """Fields with defaults are printed, too."""

        def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ANN401 - as there
            of_dict = field["type"] == "typed-dict-field"
            return super().field_is_required(field, total) if of_dict else True

    form = FORMS[command]
    named = {name.rpartition(":")[2]: _type(name) for name in form.named}
    schema: dict[str, Any] = {
        "$schema": DRAFT,
        "title": f"frozenseg-label {command} --json",
        "type": "object",
        "properties": {"schema_version": {"const": SCHEMA_VERSION}},
        "required": ["schema_version"],
        "$defs": {},
    }
    for name in form.types:
        adapter = TypeAdapter(_type(name))
        adapter.rebuild(force=True, raise_errors=True, _types_namespace=named or None)
        part = adapter.json_schema(mode="serialization", schema_generator=AllRequired)
        schema.setdefault("description", part.get("description", ""))
        schema["properties"] |= part["properties"]
        schema["required"] += part["required"]
        schema["$defs"] |= part.get("$defs", {})
    return schema


def _type(name: str) -> Any:  # noqa: ANN401 - any type
    return resolve_name(f"frozenseg_label.{name}")
