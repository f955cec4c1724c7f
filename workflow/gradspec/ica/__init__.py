"""Group independent component analysis, participants' own maps and time courses, and connectivity between them.

`images` reads and checks, `reduction` is principal component analysis of participants and group, `decomposition` is
the independent component analysis, `stability` compares its random starts, `group` ties these into `GroupICA`;
`runs` finds the cohort's runs, `backprojection` goes back to each of them with the estimators of `participant`,
`timecourses` and `connectivity` go on from there, `matching` and `labels` give names.
Methods and their sources stand in the modules.
"""
