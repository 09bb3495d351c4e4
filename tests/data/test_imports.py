"""The data floor brings in neither Keras nor a backend, nor pyarrow before a Parquet file is read."""

import subprocess
import sys


def test_importing_data_imports_no_backend():
    heavy = ("keras", "tensorflow", "jax", "torch", "pyarrow", "pandas", "transformers")
    script = f"import sys, keras_bert_suite.data; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
