"""What a job takes where that depends on the data; every amount is multiplied by the attempt."""

# An image in template space in memory, relative to the file it was made from: raw images are compressed integers on a
# coarser grid (33 volumes of 64 × 64 make 20 times as much at 2 mm), derivatives are compressed only.
inflation = 20 if has_raw_images else 4

# Steps that the spectra of a fold hold.
recorded_steps = (
    len(subjects)
    * training["epochs"]
    // (training["batch_size"] * training["record_every"])
)
runs_per_model = training["folds"] * training["repeats"]


def sizes_in_mb(wildcards):
    """Sizes of a participant's files; a simulated cohort has none yet."""
    return [
        os.path.getsize(file) / 1e6 for file in cohort.files.get(wildcards.subject, [])
    ]


def with_image(base, images):
    """`base`, and room for so many times the participant's largest image in template space."""

    def amount(wildcards, attempt):
        largest = max(sizes_in_mb(wildcards), default=0)
        return round((base + images * inflation * largest) * attempt)

    return amount


def with_files(base, each_mb):
    """`base`, and more for every MB of all files of the participant."""

    def amount(wildcards, attempt):
        return round((base + each_mb * sum(sizes_in_mb(wildcards))) * attempt)

    return amount


def with_participants(base, each):
    """`base`, and more for every participant of the cohort."""

    def amount(wildcards, attempt):
        return round((base + each * len(subjects)) * attempt)

    return amount


def with_folds(base, each_fold, each):
    """`base`, and more for every fold of a job, itself more for every participant."""

    def amount(wildcards, attempt):
        n_folds = len(get_job_folds(wildcards))
        return round((base + (each_fold + each * len(subjects)) * n_folds) * attempt)

    return amount


def with_steps(base, each):
    """`base`, and more for every step that the folds of a model record."""

    def amount(wildcards, attempt):
        return round((base + each * recorded_steps * runs_per_model) * attempt)

    return amount
