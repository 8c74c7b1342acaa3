"""What is built is what works: the wheel, in an environment of its own."""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_wheel_works_in_a_clean_environment(tmp_path: Path) -> None:
    """The wheel brings search spaces, hints and a model, and needs nothing of the checkout."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "environment")
    bin_folder = tmp_path / "environment" / "bin"
    # By the pip that is here; what is imported below is compiled then, and nothing else need be.
    pip = [sys.executable, "-m", "pip", "--python", str(bin_folder / "python")]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-compile", wheel],
        check=True,
        capture_output=True,
    )

    def tuner(*arguments: str) -> str:
        return subprocess.run(
            [bin_folder / "tuner", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert "triton" in tuner("spaces", "list")
    assert "instance_count" in tuner("spaces", "show", "triton")
    assert "dynamic-batching (high)" in tuner("hints", "--server", "triton")
    assert "model encoder, latency budget p99 <= 50 ms" in tuner("plan", "--budget-ms", "50")
    assert not (tmp_path / "studies.db").exists()
