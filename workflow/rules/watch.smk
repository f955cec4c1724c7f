"""What is seen of a run: the page that follows it, and at its end the report. Neither may fail a run that did not."""

from pathlib import Path

from gradspec.figures.report import finish_report
from gradspec.files import atomic_path
from gradspec.places import ROOT
from gradspec.watch.run import Watch
from gradspec.watch.tally import Job
from snakemake.logging import logger

watches = []  # of this run: one, or none


def get_asked_minutes(job):
    """Run time that a job asks for; that of an hour where it cannot be told yet."""
    try:
        return float(job.resources["runtime"])
    except Exception:
        return 60.0


def follow_run():
    """Start to follow the jobs that will run, where that is possible."""
    try:
        order = {step.name: place for place, step in enumerate(workflow.rules)}
        jobs = sorted(workflow.dag.needrun_jobs(), key=lambda job: order[job.rule.name])
        watch = Watch(
            config["results"],
            {
                job.jobid: Job(
                    Path(str(job.rule.snakefile)).stem,
                    job.rule.name,
                    get_asked_minutes(job),
                )
                for job in jobs
                if job.output
            },
            quiet=bool(workflow.output_settings.quiet),
        )
        watch.start()
        logger.addHandler(watch)
        watches.append(watch)
    except Exception as error:
        logger.warning(f"The run goes on, but no page follows it: {error!r}")


def end_watch(outcome):
    """Have the last page written, of a run that is "done" or "failed"."""
    for watch in watches:
        logger.removeHandler(watch)
        watch.end(outcome)


def write_report():
    """Write report.html of a run that was asked for everything; where that fails, `make report` says why."""
    from snakemake.report import auto_report
    from snakemake.report.html_reporter import ReportSettings
    from snakemake.settings.types import GlobalReportSettings
    from snakemake_interface_report_plugins.registry import ReportPluginRegistry

    if not any(job.rule.name == "all" for job in workflow.dag.jobs):
        return
    level = logger.level
    logger.setLevel("ERROR")  # it tells of every file that it adds
    try:
        with atomic_path(f"{config['results']}/report.html") as partial:
            style = ROOT / "workflow" / "report" / "report.css"
            workflow.async_run(
                auto_report(
                    workflow.dag,
                    ReportPluginRegistry().get_plugin("html"),
                    ReportSettings(path=partial, stylesheet_path=style),
                    GlobalReportSettings(),
                )
            )
            finish_report(partial)
    except Exception as error:
        logger.error(f"The results are whole, but no report was written: {error!r}")
    finally:
        logger.setLevel(level)
