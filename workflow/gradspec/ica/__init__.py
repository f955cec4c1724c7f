"""Group independent component analysis, participants' own maps and time courses, and connectivity between them.

`images` reads and checks (`volumes` fast), `reduction` is principal component analysis of participants and group,
`reduced` keeps its results on disk and `batches` parts large cohorts; `decomposition` is the independent component
analysis on the sums of `moments`, `stability` compares its starts, `halves` halves of the participants, `order` numbers
of components; `group` ties these into `GroupICA`.
`runs` finds the cohort's runs, `backprojection` goes back to each of them with the estimators of `participant`,
`timecourses` and `connectivity` go on from there, `matching` and `labels` give names.
Methods and their sources stand in the modules.
"""
