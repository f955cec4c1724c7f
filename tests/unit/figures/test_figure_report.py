"""The last touch to Snakemake's report."""

import pytest

from gradspec.errors import ConfigError
from gradspec.figures.report import finish_report


def test_a_page_that_snakemake_did_not_write_is_refused(tmp_path):
    page = tmp_path / "report.html"
    page.write_text("<html><title>Something else</title></html>")
    with pytest.raises(ConfigError, match="not a report as Snakemake 9 writes it"):
        finish_report(page)
    assert page.read_text() == "<html><title>Something else</title></html>"


def test_policy_and_script_are_put_in_once(tmp_path):
    page = tmp_path / "report.html"
    page.write_text("<head><title>Snakemake Report</title></head><body><pre>text</pre></body>\n</html>")
    finish_report(page)
    text = page.read_text()
    assert text.index("Content-Security-Policy") < text.index("</head>")
    assert text.rstrip().endswith("</script>\n</body>\n</html>")
    with pytest.raises(ConfigError):
        finish_report(page)
