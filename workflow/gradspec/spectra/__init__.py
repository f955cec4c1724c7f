"""Spectra: the file of singular values, the folds of a model merged, and features of every spectrum."""
