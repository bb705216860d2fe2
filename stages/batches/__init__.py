"""Composes batches of the whole corpus ahead of training: who meets whom (contract §5, plans)."""
