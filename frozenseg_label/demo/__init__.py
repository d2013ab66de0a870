"""Demonstration images of the nano world."""
