"""ANTs' programs under nipype's stock interfaces, with the parameters of this workflow."""

import os
from typing import Any

from nipype.interfaces.ants import Atropos, N4BiasFieldCorrection, Registration

_SYN: dict[str, dict[str, Any]] = {
    "fast": {"metric": "Mattes", "metric_option": 32, "shrink": [4, 2], "smoothing": [2.0, 1.0], "steps": [40, 20]},
    "precise": {
        "metric": "CC",
        "metric_option": 3,
        "shrink": [4, 2, 1],
        "smoothing": [2.0, 1.0, 0.0],
        "steps": [60, 40, 15],
    },
}


def correct_bias(shrink_factor: int) -> Any:
    """N4 on a coarser grid (Tustison et al. 2010, IEEE Transactions on Medical Imaging 29, 1310)."""
    return N4BiasFieldCorrection(
        dimension=3,
        shrink_factor=shrink_factor,
        n_iterations=[30, 30, 20],
        convergence_threshold=1e-4,
        bspline_fitting_distance=200.0,
        output_image="corrected.nii",
        num_threads=_threads(),
    )


def register_to_template(normalization: str, seed: int) -> Any:
    """Affine on mutual information, then SyN (Avants et al. 2008, Medical Image Analysis 12, 26).

    Parameters
    ----------
    normalization : {"affine", "fast", "precise"}
        Without SyN, with SyN on mutual information at low resolution, or with SyN on cross-correlation.
    seed : int
        Seed of the sample of voxels.
    """
    stages: dict[str, list[Any]] = {
        "transforms": ["Affine"],
        "transform_parameters": [(0.1,)],
        "metric": ["Mattes"],
        "metric_weight": [1.0],
        "radius_or_number_of_bins": [32],
        "sampling_strategy": ["Regular"],
        "sampling_percentage": [0.25],
        "number_of_iterations": [[50, 20]],
        "convergence_threshold": [1e-6],
        "convergence_window_size": [10],
        "shrink_factors": [[6, 3]],
        "smoothing_sigmas": [[3.0, 1.5]],
        "sigma_units": ["vox"],
    }
    if normalization != "affine":
        syn = _SYN[normalization]
        second = {
            "transforms": "SyN",
            "transform_parameters": (0.2, 3.0, 0.0),
            "metric": syn["metric"],
            "metric_weight": 1.0,
            "radius_or_number_of_bins": syn["metric_option"],
            "sampling_strategy": None,
            "sampling_percentage": None,
            "number_of_iterations": syn["steps"],
            "convergence_threshold": 1e-6,
            "convergence_window_size": 10,
            "shrink_factors": syn["shrink"],
            "smoothing_sigmas": syn["smoothing"],
            "sigma_units": "vox",
        }
        stages = {name: [*values, second[name]] for name, values in stages.items()}
    return Registration(
        dimension=3,
        float=True,
        interpolation="Linear",
        initial_moving_transform_com=1,
        use_histogram_matching=True,
        winsorize_lower_quantile=0.005,
        winsorize_upper_quantile=0.995,
        write_composite_transform=True,
        collapse_output_transforms=True,
        output_transform_prefix="normalization_",
        random_seed=seed % 2**31 or 1,  # 0 means the clock to ANTs
        num_threads=_threads(),
        **stages,
    )


def segment_tissues() -> Any:
    """Three classes by Atropos, started by k-means (Avants et al. 2011, Neuroinformatics 9, 381)."""
    return Atropos(
        dimension=3,
        initialization="KMeans",
        number_of_tissue_classes=3,
        mrf_smoothing_factor=0.1,
        mrf_radius=[1, 1, 1],
        n_iterations=5,
        convergence_threshold=1e-4,
        posterior_formulation="Socrates",
        use_mixture_model_proportions=True,
        likelihood_model="Gaussian",
        use_random_seed=False,
        out_classified_image_name="classes.nii",
        num_threads=_threads(),
    )


def _threads() -> int:
    return int(os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1"))
