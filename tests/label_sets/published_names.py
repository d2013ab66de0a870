"""Names as published sets write them, where they are not those of our vocabularies, by id."""

from dataclasses import replace

from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary

# panopticapi, panoptic_coco_categories.json
COCO_PANOPTIC = {
    55: "orange", 75: "remote", 87: "scissors", 112: "door-stuff", 118: "floor-wood",
    130: "light", 133: "mirror-stuff", 138: "net", 171: "wall-brick", 175: "wall-stone",
    176: "wall-tile", 177: "wall-wood", 178: "water-other", 180: "window-blind",
    181: "window-other", 184: "tree-merged", 185: "fence-merged", 186: "ceiling-merged",
    187: "sky-other-merged", 188: "cabinet-merged", 189: "table-merged",
    190: "floor-other-merged", 191: "pavement-merged", 192: "mountain-merged",
    193: "grass-merged", 194: "dirt-merged", 195: "paper-merged", 196: "food-other-merged",
    197: "building-other-merged", 198: "rock-merged", 199: "wall-other-merged",
    200: "rug-merged",
}  # fmt: skip

# Mask2Former, prepare_ade20k_pan_seg.py
ADE20K = {
    6: "road, route", 8: "window ", 11: "sidewalk, pavement", 13: "earth, ground",
    16: "mountain, mount", 22: "painting, picture", 25: "house", 34: "rock, stone",
    35: "wardrobe, closet, press", 37: "tub", 38: "rail", 40: "base, pedestal, stand",
    42: "column, pillar", 43: "signboard, sign", 44: "chest of drawers, chest, bureau, dresser",
    50: "refrigerator, icebox", 51: "grandstand, covered stand",
    55: "case, display case, showcase, vitrine", 56: "pool table, billiard table, snooker table",
    58: "screen door, screen", 59: "stairway, staircase", 61: "bridge, span", 63: "blind, screen",
    65: "toilet, can, commode, crapper, pot, potty, stool, throne", 72: "palm, palm tree",
    79: "hovel, hut, hutch, shack, shanty", 82: "light", 86: "awning, sunshade, sunblind",
    87: "street lamp", 89: "tv", 90: "plane", 92: "clothes", 94: "land, ground, soil",
    95: "bannister, banister, balustrade, balusters, handrail",
    96: "escalator, moving staircase, moving stairway", 97: "ottoman, pouf, pouffe, puff, hassock",
    99: "buffet, counter, sideboard", 100: "poster, posting, placard, notice, bill, card",
    105: "conveyer belt, conveyor belt, conveyer, conveyor, transporter",
    107: "washer, automatic washer, washing machine", 108: "plaything, toy", 109: "pool",
    111: "barrel, cask", 112: "basket, handbasket", 113: "falls", 116: "minibike, motorbike",
    120: "food, solid food", 121: "step, stair", 122: "tank, storage tank", 125: "pot",
    130: "screen", 131: "blanket, cover", 133: "hood, exhaust hood", 138: "trash can", 139: "fan",
    147: "glass, drinking glass",
}  # fmt: skip


def published(name: str, names: dict[int, str]) -> Vocabulary:
    """Return the classes of a published set: ids, kinds and colours are those of ours."""
    ours = read_vocabulary(name)
    rows = (replace(c, name=names.get(c.id, c.name), synonyms=()) for c in ours.categories)
    return Vocabulary("published", tuple(rows))
