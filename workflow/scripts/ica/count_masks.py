"""Count the brain masks that each voxel lies in."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table, write_table
from gradspec.ica.images import save_image
from gradspec.ica.mask import SIZE_COLUMNS, count_masks
from gradspec.ica.runs import find_runs

runs = find_runs(read_table(snakemake.input.participants)["participant_id"], snakemake.input.denoised)
counts, sizes = count_masks([run.mask for run in runs], resample=snakemake.params.ica["grids"] == "resample")
save_image(counts, snakemake.output.counts)
write_table(sizes, snakemake.output.sizes, SIZE_COLUMNS)
