"""Say what a checkpoint is: family, sizes, heads, parameters, dtype, tokenizer, and what is missing."""

from keras_bert_suite.cli.shared import print_result

EXAMPLE = """\
  kbs inspect all-MiniLM-L6-v2
  kbs inspect saved_models/intents --json
"""

#: Labels and the like that are shown to people; JSON has all.
MOST = 8

#: What `missing` says of a part -> the same in more words.
MEANINGS = {
    "pooler": "pooler: a head that reads it starts from new weights",
    "head": "head: an encoder alone, to be fine-tuned",
}


def add_arguments(parser):
    parser.add_argument("model", metavar="MODEL", help="a directory in any format, or a model's name")
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a model on the Hub")


def run(options):
    from keras_bert_suite.inspection import inspect_checkpoint

    found = inspect_checkpoint(options.model, options.revision)
    print_result(options, found, "\n".join(f"{name:12}{text}" for name, text in _lines(found)))


def _lines(found):
    """Yield what people read: a word, and what there is to say about it."""
    sizes, parameters, tokenizer = found["sizes"], found["parameters"], found["tokenizer"]
    yield "path", found["path"]
    yield "format", found["format"]
    yield "family", found["family"]
    yield "encoder", _encoder(sizes)
    yield "input", _input(sizes)
    yield (
        "parameters",
        f"{parameters['encoder']:,} in the encoder, {parameters['heads']:,} in heads, of type {found['dtype']}",
    )
    yield "heads", _listed(name.replace("_", " ") for name in found["heads"])
    if found["labels"] is not None:
        yield "labels", f"{len(found['labels'])}: {_listed(found['labels'])}"
    if "embeddings" in found:
        yield "embeddings", _embeddings(found["embeddings"])
    if tokenizer is None:
        yield "tokenizer", "none"
    else:
        yield "tokenizer", _tokenizer(tokenizer)
    if "unknown_weights" in found:
        yield "unknown", f"{_count(len(found['unknown_weights']), 'weight')}: {_listed(found['unknown_weights'])}"
    for part in found["missing"] or ["nothing"]:
        yield "missing", MEANINGS.get(part, part)


def _encoder(sizes):
    parts = [
        _count(sizes["num_layers"], "layer"),
        f"hidden size {sizes['hidden_dim']:,}",
        _count(sizes["num_heads"], "attention head"),
        f"feed-forward size {sizes['intermediate_dim']:,}",
        sizes["activation"].replace("_tanh", " (tanh form)"),
    ]
    if "num_groups" in sizes:
        parts.insert(1, f"{_count(sizes['num_groups'], 'group')} of shared weights")
    return ", ".join(parts)


def _input(sizes):
    parts = [f"vocabulary of {sizes['vocabulary_size']:,}", f"up to {_count(sizes['max_length'], 'token')} a row"]
    if sizes.get("num_segments"):
        parts.append(_count(sizes["num_segments"], "segment"))
    if "embedding_dim" in sizes:
        parts.append(f"embedding size {sizes['embedding_dim']:,}")
    return ", ".join(parts)


def _tokenizer(values):
    longest = "" if values["max_length"] is None else f", for rows of up to {_count(values['max_length'], 'token')}"
    return f"{values['kind']}, {_count(values['tokens'], 'token')}{longest}"


def _embeddings(values):
    parts = [f"{' and '.join(values['pooling']).replace('_', ' ')} pooling"]
    if values["dense"]:
        parts.append(f"then {_count(len(values['dense']), 'dense layer')}")
    parts += [_count(values["dim"], "dimension"), "length 1" if values["normalize"] else "any length"]
    parts.append(f"compared by {values['similarity']}")
    if values["max_length"] is not None:
        parts.append(f"texts cut after {_count(values['max_length'], 'token')}")
    if values["prompts"]:
        parts.append(f"prompts {_listed(values['prompts'])}")
    return ", ".join(parts)


def _count(number, noun):
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _listed(items):
    items = [str(item) for item in items]
    more = f" and {len(items) - MOST} more" if len(items) > MOST else ""
    return ", ".join(items[:MOST]) + more if items else "none"
