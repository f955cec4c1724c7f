"""Preprocessing: raw images to denoised images in template space, with confounds and quality control.

`participant` puts the nipype workflows of `anatomical` and `functional` together; their steps are the `interfaces`,
thin shells over the plain functions of the other modules. `denoised` comes after.
"""

import os

# nipype asks its maker about newer versions at import; a job on a cluster node should not.
os.environ.setdefault("NO_ET", "1")
os.environ.setdefault("NIPYPE_NO_ET", "1")

SPACE = "MNI152NLin2009aSym"
"""Label of the template that nilearn ships (ICBM 2009a, non-linear, symmetric)."""
