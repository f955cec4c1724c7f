"""Count the brain masks that each voxel lies in."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.runs import read_runs
from gradspec.files import write_table
from gradspec.ica.images import save_image
from gradspec.ica.mask import SIZE_COLUMNS, count_masks

runs = read_runs(snakemake.input.runs)
counts, sizes = count_masks([run.mask for run in runs], resample=snakemake.params.ica["grids"] == "resample")
save_image(counts, snakemake.output.counts)
write_table(sizes, snakemake.output.sizes, SIZE_COLUMNS)
