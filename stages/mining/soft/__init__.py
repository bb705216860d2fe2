"""Miners of soft targets: shares of a teacher's attention."""
