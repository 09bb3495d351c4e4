"""The command `kbs`, as `python -m keras_bert_suite`."""

from keras_bert_suite.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
