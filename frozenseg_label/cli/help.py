"""What `--help` shows: options in groups, and two examples of each command that does something."""

from collections.abc import Mapping, Sequence

import click

COMPLETION = """\b
Tab completes names of vocabularies, weights and recipes after one of:
  bash  eval "$(_FROZENSEG_LABEL_COMPLETE=bash_source frozenseg-label)"
  zsh   eval "$(_FROZENSEG_LABEL_COMPLETE=zsh_source frozenseg-label)"
  fish  _FROZENSEG_LABEL_COMPLETE=fish_source frozenseg-label | source
"""

MESSAGES = ("json", "quiet", "verbose", "log-file", "help")  # of all commands; the last group

# command -> heading -> options. Options that are in no group come under "Other options".
GROUPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "annotate": {
        "Which images": ("from-list", "null", "limit", "max-pixels"),
        "Which words": ("vocab", "classes"),
        "How they are labelled": (
            *("weights", "memory", "semantic", "sam-masks", "min-score"),
            *("tile", "overlap", "device", "precision", "batch-size"),
        ),
        "What is written": (
            *("output", "format", "keep-proposals", "update", "checksum", "max-failure-rate"),
            "dry-run",
        ),
        "Many machines": ("shard", "merge", "engine", "ray-address", "ray-actors", "ray-gpus"),
    },
    "calibrate": {
        "Accepting": ("accept", "undo"),
        "What is written": ("vocab-out", "precision", "picture"),
    },
    "demo": {"Images": ("count", "seed", "style", "with-truth")},
    "evaluate": {
        "What is compared": (*("reviewed", "class-map", "truth-format", "ignore-index", "images"),),
        "Quality gates": ("min-pq", "min-miou", "group"),
        "Page": ("html", "worst"),
    },
    "export": {
        "Format": ("to", "output", "stuff", "grey", "strict"),
        "What is read": ("images", "pngs"),
        "What is chosen": ("only", "min-score", "split", "keep-folders"),
        "Pictures": ("pictures",),
    },
    "import": {
        "What is read": ("from", "pngs", "exported", "class-map", "trust-states", "on-top"),
        "What becomes of the run": ("in-review", "overwrite"),
    },
    "relabel": {
        "Which words": ("vocab", "classes", "memory"),
        "Trying words": ("try", "image", "output"),
        "How they are labelled": (
            *("weights", "memory", "semantic", "sam-masks", "min-score", "device"),
        ),
    },
    "review": {
        "Instead of the App": ("save", "queue", "html", "search", "limit"),
        "Who reviews what": ("user", "part"),
        "App": ("port", "address", "remote", "yes-expose-files"),
    },
    "train": {
        "What is learnt": ("vocab", "images", "class-map", "trust-states"),
        "How it is learnt": ("recipe", "set", "max-steps", "weights", "device"),
        "What must not be forgotten": ("probe", "max-forgetting"),
        "What is written": ("output", "cache-folder", "resume"),
    },
}

EXAMPLES: Mapping[str, Sequence[str]] = {
    "annotate": (
        'frozenseg-label annotate photos --classes "cat, dog, sky:stuff" -o labels',
        "frozenseg-label annotate photos --vocab kitchen.yaml -o out --format overlay",
    ),
    "calibrate": (
        "frozenseg-label calibrate labels --picture reliability.png",
        "frozenseg-label calibrate labels --accept 0.98",
    ),
    "demo": (
        "frozenseg-label demo pictures",
        "frozenseg-label demo pictures --count 20 --style unseen --with-truth truth",
    ),
    "doctor": (
        "frozenseg-label doctor",
        "frozenseg-label doctor --json",
    ),
    "evaluate": (
        "frozenseg-label evaluate labels truth --min-pq 40 --json",
        "frozenseg-label evaluate labels --reviewed --html report",
    ),
    "export": (
        "frozenseg-label export labels --to yolo-seg -o yolo --split 80/10/10",
        "frozenseg-label export labels --to cvat -o for-cvat --only reviewed",
    ),
    "import": (
        "frozenseg-label import labels --from cvat annotations.xml",
        "frozenseg-label import labels corrected.json --class-map names.yaml",
    ),
    "relabel": (
        "frozenseg-label relabel labels --vocab kitchen.yaml",
        "frozenseg-label relabel labels --memory labels",
        'frozenseg-label relabel labels --try "cat, dog" --image photo.jpg -o tried.jpg',
    ),
    "review": (
        "frozenseg-label review labels",
        "frozenseg-label review labels --html page",
    ),
    "schema": (
        "frozenseg-label schema annotate",
        "frozenseg-label schema evaluate --reviewed",
    ),
    "train": (
        "frozenseg-label train labels -o training",
        "frozenseg-label train labels -o training --recipe head_only --max-steps 200",
    ),
    "vocab list": (
        "frozenseg-label vocab list",
        "frozenseg-label vocab list --json",
    ),
    "vocab show": (
        "frozenseg-label vocab show coco-panoptic-133",
        "frozenseg-label vocab show kitchen.yaml --weights convnext-large",
    ),
    "vocab check": (
        "frozenseg-label vocab check kitchen.yaml",
        "frozenseg-label vocab check kitchen.yaml --weights convnext-large --json",
    ),
    "vocab init": (
        "frozenseg-label vocab init kitchen.yaml",
        "frozenseg-label vocab init street.yml",
    ),
    "weights list": (
        "frozenseg-label weights list",
        "frozenseg-label weights list --json",
    ),
    "weights show": (
        "frozenseg-label weights show nano",
        "frozenseg-label weights show training/best.safetensors --json",
    ),
    "weights fetch": (
        "frozenseg-label weights fetch convnext-large",
        "frozenseg-label weights fetch convnext-large --offline",
    ),
    "weights add": (
        "frozenseg-label weights add training/best.safetensors kitchen",
        "frozenseg-label weights add best.safetensors kitchen-2",
    ),
    "weights convert": (
        "frozenseg-label weights convert frozenseg_convnext_large.pth",
        "frozenseg-label weights convert frozenseg_rn50x64.pth -o mine.safetensors",
    ),
    "weights verify": (
        "frozenseg-label weights verify nano",
        "frozenseg-label weights verify training/best.safetensors",
    ),
}


def long_name(option: click.Parameter) -> str:
    """Return the name of an option without its dashes."""
    return max(option.opts, key=len).lstrip("-")


class HelpfulCommand(click.Command):
    """A command whose help shows groups of options and examples."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        records = {
            long_name(option): record
            for option in self.get_params(ctx)
            if isinstance(option, click.Option)
            and (record := option.get_help_record(ctx)) is not None
        }
        groups = GROUPS.get(_path(ctx), {})
        placed = {name for names in (*groups.values(), MESSAGES) for name in names}
        rest = tuple(name for name in records if name not in placed)
        named = {**groups, "Other options" if groups else "Options": rest, "Messages": MESSAGES}
        for heading, names in named.items():
            if rows := [records[name] for name in names if name in records]:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are typed, and what else the command says at its end."""
        if examples := EXAMPLES.get(_path(ctx)):
            with formatter.section("Examples"):
                for line in examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)


class HelpfulGroup(click.Group):
    """A group of such commands."""

    command_class = HelpfulCommand


def _path(ctx: click.Context) -> str:
    """Return the names of a command and its groups, without the program's."""
    return " ".join(ctx.command_path.split()[1:])
