"""Clusters of the corpus: k-means of a space, or of places on the globe, in nested levels."""
