"""Mixers of synthetic negatives."""
