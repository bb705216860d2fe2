"""Selectors, what they see, and the stages that run one. One technique, one file."""
