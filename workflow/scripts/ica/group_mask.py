"""Keep the voxels that lie in the brain masks of most runs."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table
from gradspec.ica.images import group_mask, save_image
from gradspec.ica.runs import find_runs

settings = snakemake.params.ica
runs = find_runs(read_table(snakemake.input.participants)["participant_id"], snakemake.input.denoised)
mask = group_mask([run.mask for run in runs], settings["mask_share"], resample=settings["grids"] == "resample")
save_image(mask, snakemake.output.mask)
