"""`frozenseg-label doctor`: checks what works on this machine, and says how to repair the rest."""

import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from frozenseg_label.cli.help import HelpfulCommand
from frozenseg_label.cli.json_forms import Findings
from frozenseg_label.cli.options import FilePath, verbosity_options
from frozenseg_label.cli.output import print_json, say
from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.version import __version__

log = logging.getLogger(__name__)

LIBRARIES = ("torchvision", "open_clip_torch", "segment-anything", "timm", "numpy", "pillow")
WORTH_COMPACTING = 10_000_000  # bytes of a journal
SPARE_BYTES = 2 * 1024**3  # below this a run or a fetched checkpoint may fill the disk


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: name of the check.
        works: whether it passed.
        found: what was found, in words.
        remedy: what to do; empty if nothing has to be done.
        needed: True: every command needs it; False: only some commands.
    """

    check: str
    works: bool
    found: str
    remedy: str = ""
    needed: bool = True


@click.command(cls=HelpfulCommand)
@click.argument("run", metavar="[OUT]", required=False, type=FilePath(path_type=Path))
@click.option(
    "--compact",
    is_flag=True,
    help="Leave out of the journal of OUT what nobody needs any longer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@verbosity_options
@click.pass_context
def doctor(ctx: click.Context, run: Path | None, compact: bool, as_json: bool) -> None:
    """Check what works on this machine, and say how to repair the rest.

    With a run folder OUT, look at its journal instead: how much of it is history. The exit code is
    1 if something does not work that every command needs.
    """
    if compact and run is None:
        raise click.UsageError("--compact is for a run folder; name it")
    findings = list(examine()) if run is None else [_journal(run, compact)]
    if as_json:
        print_json(**asdict(Findings(findings)))
    else:
        width = max(len(finding.check) for finding in findings) + 2
        for finding in findings:
            mark = "ok" if finding.works else "NO" if finding.needed else "--"
            say(f"{mark}  {finding.check:{width}}{finding.found}")
            if finding.remedy:
                say(f"    {'':{width}}-> {finding.remedy}")
    ctx.exit(0 if all(finding.works for finding in findings if finding.needed) else 1)


def examine() -> Iterator[Finding]:
    """Check everything that labelling needs; yield the results one by one."""
    checks: dict[str, tuple[Callable[[], Finding], str]] = {
        "torch": (_torch, "install it again: pip install --force-reinstall torch torchvision"),
        "device": (_device, "see --device"),
        "memory": (_memory, ""),
        "libraries": (_libraries, "install it again: pip install frozenseg-label"),
        "vocabularies": (_vocabularies, "install frozenseg-label again"),
        "weights": (_weights, "install frozenseg-label again"),
        "MongoDB": (_mongodb, ""),
        "cache folder": (
            _cache,
            "set FROZENSEG_LABEL_CACHE to a writable folder",
        ),
        "disk": (_disk, ""),
    }
    yield Finding("frozenseg-label", True, __version__)
    yield Finding("Python", True, f"{platform.python_version()} on {platform.platform()}")
    for name, (check, remedy) in checks.items():
        log.debug("checking: %s", name)
        try:
            yield check()
        except (ImportError, OSError, RuntimeError, FrozenSegLabelError) as error:
            yield Finding(name, False, " ".join(f"{error}".split()), remedy)


def _torch() -> Finding:
    import torch

    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    found = f"{torch.__version__} (built for {built_for}), {torch.get_num_threads()} threads"
    return Finding("torch", True, found)


def _device() -> Finding:
    import torch

    from frozenseg_label.inference.predictor_spec import choose_device
    from frozenseg_label.model.precision import uses_bf16

    device = choose_device("auto")
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        found = f"cuda: {torch.cuda.get_device_name()}, {_gib(free)} of {_gib(total)} free"
        slow = not torch.cuda.is_bf16_supported(including_emulation=False)
        return Finding(
            "device", True, found, "it has no bf16: use --precision fp32" if slow else ""
        )
    remedy = ""
    if device.type == "cpu" and shutil.which("nvidia-smi"):
        remedy = "an NVIDIA driver is here, but torch cannot use it: install a torch built for CUDA"
    precision = "bf16" if uses_bf16("auto", device.type) else "fp32"
    return Finding("device", True, f"{device.type}, {precision}", remedy)


def _memory() -> Finding:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Finding("memory", True, f"{_gib(pages * size)} in this machine, {os.cpu_count()} cores")


def _libraries() -> Finding:
    from importlib.metadata import version

    return Finding("libraries", True, ", ".join(f"{name} {version(name)}" for name in LIBRARIES))


def _vocabularies() -> Finding:
    from frozenseg_label.vocabulary_files import shipped_vocabularies

    names = shipped_vocabularies()
    if not names:
        raise FrozenSegLabelError("none came with the package")
    return Finding("vocabularies", True, ", ".join(names))


def _weights() -> Finding:
    from frozenseg_label.checkpoints import named_weights as pretrained
    from frozenseg_label.checkpoints.checkpoint import verify_checkpoint

    nano = pretrained.find_weights("nano")
    verify_checkpoint(nano, pretrained.frozen_folder())
    names = ", ".join(["nano (embedded, all hashes are correct)", *pretrained.added_names()])
    return Finding("weights", True, names)


def _mongodb() -> Finding:
    from frozenseg_label.review.app.database import find_database

    database = find_database()
    found = database.found if database.works else f"{database.found} (only review needs one)"
    return Finding("MongoDB", database.works, found, database.remedy, needed=False)


def _cache() -> Finding:
    from frozenseg_label.checkpoints.named_weights import cache_folder

    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"writable")
    return Finding("cache folder", True, f"{folder}")


def _disk() -> Finding:
    from frozenseg_label.checkpoints.named_weights import cache_folder
    from frozenseg_label.files import free_bytes

    free = {"this folder": free_bytes(Path.cwd()), "the cache": free_bytes(cache_folder())}
    found = ", ".join(f"{_gib(bytes_)} free for {name}" for name, bytes_ in free.items())
    tight = min(free.values()) < SPARE_BYTES
    remedy = "make room before labelling many images" if tight else ""
    return Finding("disk", True, found, remedy)


def _journal(run: Path, compact: bool) -> Finding:
    from frozenseg_label.runs.compact import compact_journal, journal_size

    size = compact_journal(run) if compact else journal_size(run)
    now, needed = f"{size.now / 1e6:.1f} MB", f"{size.needed / 1e6:.1f} MB"
    if compact:
        return Finding("journal", True, f"{now} before, {needed} now")
    is_mostly_history = size.now > WORTH_COMPACTING and size.history > 0.5
    remedy = f"leave it out: frozenseg-label doctor {run} --compact" if is_mostly_history else ""
    return Finding("journal", True, f"{now}, {size.history:.0%} of it history", remedy)


def _gib(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"
