"""People in groups that mean nothing, and what networks make of them in a cross-validation."""

import numpy as np

N_PEOPLE, N_FEATURES, N_FOLDS = 60, 28, 5


def learn_random_groups(seed, decay=0):
    """Groups (±1), and the score of everybody from the mean difference of the groups in the other folds.

    The k-th feature has the variance k to the power of `-decay`.
    """
    rng = np.random.default_rng(seed)
    sign = rng.permutation(np.where(np.arange(N_PEOPLE) % 2 == 1, 1.0, -1.0))
    x, fold_of = rng.normal(size=(N_PEOPLE, N_FEATURES)), rng.permutation(N_PEOPLE) % N_FOLDS
    x = x * np.arange(1.0, N_FEATURES + 1) ** (-decay / 2)
    kernel = (x @ x.T) * (fold_of[:, None] != fold_of)
    return sign, kernel @ sign
