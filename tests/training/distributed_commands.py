"""Run `kbs` once for each case and print its exit code. Run by test_distribution.py.

Usage: python distributed_commands.py CASES, a JSON list of dicts: `words`, and whether it is `stopped`
before the report is written.
"""

import json
import sys
from unittest import mock

from keras_bert_suite.cli.main import main

if __name__ == "__main__":
    for case in json.loads(sys.argv[1]):
        stop = mock.patch("keras_bert_suite.reports.write_report", side_effect=KeyboardInterrupt)
        if case.get("stopped"):
            with stop:
                code = main(case["words"])
        else:
            code = main(case["words"])
        print("FOUND " + json.dumps(code), flush=True)
