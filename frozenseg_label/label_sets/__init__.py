"""One reader for any set of labels: run folders, COCO panoptic, class PNGs."""
