"""Tools for vocabularies: what clashes in one, coarse classes of fine ones, one of several."""
