"""From tensors to a panoptic map."""
