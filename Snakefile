"""gradspec: `snakemake --cores N` runs the whole workflow, from the cohort to the figures."""

from snakemake.utils import min_version

min_version("9.27")


# The demo, unless --configfile named a configuration: two are never mixed.
if "cohort" not in config:

    configfile: "config/config.yaml"


module main:
    snakefile:
        "workflow/Snakefile"
    config:
        config


use rule * from main


# A module's own are not called.
onstart:
    main.onstart()


onsuccess:
    main.onsuccess()


onerror:
    main.onerror()
