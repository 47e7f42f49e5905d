"""Fail unless the JUnit report named on the command line has browser tests, none skipped."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

report = Path(sys.argv[1])
if not report.is_file():
    sys.exit("pytest wrote no report")
cases = [
    case
    for case in ET.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it
    if case.get("classname", "").startswith("tests.browser")
]
skipped = [case.get("name") for case in cases if case.find("skipped") is not None]
print(f"browser tests: {len(cases)}, skipped: {len(skipped)}")  # noqa: T201 - a script says it
if not cases or skipped:
    sys.exit(f"browser tests did not run: {', '.join(map(str, skipped)) or 'there are none'}")
