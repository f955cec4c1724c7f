"""A real Slurm on this machine: controller, node and authentication in a folder of their own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import CLUSTERS

DAEMONS = ("munged", "slurmctld", "slurmd")
PROGRAMS = ("sbatch", "srun", "squeue", "scancel", "scontrol")

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=2,sched_min_interval=200000
MinJobAge=3600
ReturnToService=2
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
# A job that takes more memory than it asked for is killed, as cgroups do it on a cluster.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=16000 Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""


class Slurm:
    """A Slurm of one node that is running.

    Attributes
    ----------
    folder : Path
        Where its configuration, its state and its logs lie.
    variables : dict of str to str
        What the environment of its users has beside that of the tests.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The plugin of Snakemake takes SLURM_CONF away from `srun` within a job, so that `srun` here brings its own.
        programs = folder / "bin"
        programs.mkdir()
        (programs / "srun").write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        (programs / "srun").chmod(0o755)
        self.variables = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        }

    def start(self) -> None:
        """Start the daemons and wait for the node."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        (self.folder / "slurm.conf").write_text(
            SLURM_CONF.format(
                host=socket.gethostname().partition(".")[0],
                folder=self.folder,
                controller_port=free_port(),
                node_port=free_port(),
            )
        )
        # Devices that every Linux has stand in for two GPUs.
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        (self.folder / "cgroup.conf").write_text("ConstrainCores=no\n")
        self.run(
            "munged",
            "--force",
            *(
                f"--{option}={self.folder / name}"
                for option, name in [
                    ("key-file", "munge.key"),
                    ("socket", "munge.socket"),
                    ("pid-file", "munged.pid"),
                    ("log-file", "munged.log"),
                    ("seed-file", "munge.seed"),
                ]
            ),
        )
        self.run("slurmctld", "-c")
        self.run("slurmd")
        self.wait(lambda: "idle" in self.run("sinfo", "--noheader", "--format=%t"), "the node is not ready", 60)

    def stop(self) -> None:
        """Cancel what is left and end the daemons."""
        self.run("scancel", "--user=root")
        for name in reversed(DAEMONS):
            pid_file = self.folder / f"{name}.pid"
            if pid_file.is_file():
                os.kill(int(pid_file.read_text()), signal.SIGTERM)

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of Slurm and return what it prints."""
        path = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
        assert path is not None
        done = subprocess.run([path, *arguments], env={**os.environ, **self.variables}, capture_output=True, text=True)
        assert done.returncode == 0, f"{program} {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self, *states: str) -> list[dict[str, str]]:
        """Give the jobs in these states, or all that there have been: id, state, memory, CPUs, minutes, comment."""
        fields = {"id": "%i", "state": "%T", "memory": "%m", "cpus": "%C", "time": "%l", "gres": "%b", "comment": "%k"}
        lines = self.run(
            "squeue",
            "--noheader",
            "--array",
            f"--states={','.join(states) or 'all'}",
            f"--format={'|'.join(fields.values())}",
        ).splitlines()
        return [dict(zip(fields, line.split("|"), strict=True)) for line in lines]

    @staticmethod
    def wait(condition: Callable[[], bool], otherwise: str, seconds: float) -> None:
        """Wait until a condition holds; fail with a sentence where it does not in time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{otherwise} after {seconds:.0f} s"
            time.sleep(0.5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Start Slurm for the tests of this folder, or skip them with the reason."""
    search = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    if missing := [name for name in (*DAEMONS, *PROGRAMS) if shutil.which(name, path=search) is None]:
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}): apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("only root can start the daemons of Slurm")
    if not CLUSTERS.is_dir():
        pytest.skip(f"no executor plugins in {CLUSTERS}: run `make test`")
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
