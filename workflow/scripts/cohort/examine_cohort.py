"""Read the data of every participant and write down what was found."""

from gradspec.job import start

start(snakemake.log[0], snakemake.threads)

from gradspec.cohort.examine import examine_cohort
from gradspec.cohort.findings import write_findings

write_findings(examine_cohort(snakemake.params.config), snakemake.output.findings)
