"""Keep the voxels that lie in the brain masks of most runs."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.files import read_table
from gradspec.ica.images import save_image
from gradspec.ica.mask import group_mask

mask = group_mask(snakemake.input.counts, read_table(snakemake.input.sizes), snakemake.params.ica["mask_share"])
save_image(mask, snakemake.output.mask)
