"""Training: the partition into folds, and networks trained fold by fold under the eyes of the recorder."""
