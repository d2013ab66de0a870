"""Which files are pictures that Pillow reads, by suffix, and what becomes one of the others."""

from functools import cache

from PIL import Image

# Registered with Pillow, but no still pictures: films, drawings that need another program, and
# containers that Pillow only recognises.
NOT_STILL = {"BUFR", "EPS", "FLI", "GRIB", "HDF5", "MPEG", "WMF"}

_TELEPHONES = (".heic", ".heif", ".avif")
_CAMERAS = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2")
_MAPS = (".ecw", ".sid", ".vrt")
_MICROSCOPES = (".czi", ".lif", ".nd2", ".vsi", ".oir")
_GDAL = "`gdal_translate -of PNG -ot Byte -scale -b 1 -b 2 -b 3 IN OUT.png` (GDAL)"

# Suffixes of pictures that Pillow does not read, and what to convert them to.
UNREADABLE = (
    dict.fromkeys(_TELEPHONES + _CAMERAS, "JPEG or PNG")
    | dict.fromkeys(_MAPS, f"PNG, by {_GDAL}")
    | dict.fromkeys(_MICROSCOPES, "PNG, by `bfconvert IN OUT.png` (Bio-Formats)")
    | {".dcm": "PNG, by `dcm2img IN OUT.png` (DCMTK)"}
)


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes, in lower case, of the still image formats that Pillow reads."""
    registered = Image.registered_extensions()  # loads Pillow's plugins
    readable = (set(Image.OPEN) | {"MPO"}) - NOT_STILL  # MPO is opened by way of JPEG
    return frozenset(suffix for suffix, kind in registered.items() if kind in readable)


def geo_remedy(suffix: str) -> str:
    """Return what else to do with a file that Pillow cannot read: a TIFF may be a map's bands."""
    return f"; a GeoTIFF becomes a PNG by {_GDAL}" if suffix.lower() in (".tif", ".tiff") else ""
