"""Label files: COCO panoptic, which is the form on disk, and what is made from it."""
