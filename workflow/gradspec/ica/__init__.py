"""Group independent component analysis, participants' own maps and time courses, and connectivity between them.

`images` reads and checks, `reduction` is principal component analysis of participants and group, `decomposition` is
the independent component analysis, `stability` compares its random starts, `group` ties these into `GroupICA`;
`template` and `template_file` take components of other people instead. `runs` finds the cohort's runs, `backprojection`
goes back to each of them by one of the `methods`: `participant` (dual regression), `empirical_bayes`,
`back_reconstruction`, `gig_ica`. `timecourses`, `connectivity` and `dynamic_connectivity` go on from there, `artefacts`
marks what is no network, `matching` and `labels` give names; `gift` joins after GIFT.

Conventions: components of a group come in the order of the variance that they explain, the active side of a map is
positive; those of a template keep its order and sign. Whatever is estimated of a participant has the order and sign of
the maps that it was estimated from. Methods and their sources stand in the modules.
"""
