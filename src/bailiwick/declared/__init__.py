"""Declared objects: YAML in, checked and compiled values out."""
