"""The job of labelling image folders."""
