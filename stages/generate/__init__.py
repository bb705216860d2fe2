"""Generators of synthetic pictures and the stage that runs them. One generator, one file."""
