"""The tokenizer as an ONNX graph: strings to ids in ONNX Runtime itself, without a library of custom operations.

ONNX has hardly an operation for strings. One of ONNX Runtime's own parts them
into characters, and `LabelEncoder` numbers those; the rest is arithmetic on
integers. BERT's normalization is a row of a table for each character, and
WordPiece a walk through a trie from every place at once, followed from the
beginnings of words. ONNX is imported when a tokenizer is built.
"""

import contextlib
import itertools

import numpy as np

from keras_bert_suite.errors import require
from keras_bert_suite.text.code_points import PAGE, SELF, SURROGATES, bert_table
from keras_bert_suite.text.engines import probe_texts
from keras_bert_suite.text.in_graph_parts import Side, check_exact_form, table_options

__all__ = ["build_onnx_tokenizer"]

#: As the models that the ids go to, so that the two can be merged into one file.
OPSET, IR_VERSION = 17, 8
RUNTIME = "com.microsoft"
#: Stands after a text's last character; longer than a character, so that no text has it.
NO_CHARACTER = "none"
#: Symbols that are no character of the vocabulary: what parts words, and what no piece has.
GAP, FOREIGN = 0, 1
#: Ends a slice that goes on to the end.
END = np.iinfo(np.int64).max
#: Stands where a replacement has fewer symbols than the longest one.
EMPTY = -1


def build_onnx_tokenizer(tokenizer, max_length, pair=False, prompt=""):
    """Build the ONNX form of a host tokenizer.

    The graph takes `text`, strings `(B,)`, and `text_b` where `pair`, and
    returns int32 `(B, T)` `token_ids`, `segment_ids` and `padding_mask`, T
    being the longest row of the batch, at most `max_length`; longer rows are
    truncated `"longest_first"`. It runs in ONNX Runtime from 1.15, which
    refuses strings that are not UTF-8.

    Args:
        tokenizer: `WordPieceTokenizer` with BERT's normalizer and pre-tokenizer.
        max_length: int. Tokens a row may have, special ones included.
        pair: bool. Whether a row is a pair of texts.
        prompt: str, put before each text.
    Returns:
        `onnx.ModelProto`.
    Raises:
        ImportError: if onnx or onnxruntime is not installed.
        ValueError: if the tokenizer has a part that this form cannot follow exactly; the part is named.
    """
    subject = "build_onnx_tokenizer"
    room = tokenizer.frame.room(subject, max_length, pair)
    check_exact_form(subject, tokenizer.in_graph_obstacle or _obstacle(tokenizer))
    onnx = require("onnx", "a tokenizer in ONNX")
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = _Graph(onnx)
    names = ["text", "text_b"][: 1 + pair]
    # Both columns in one, so that there is one copy of the tables.
    ids, starts, lengths = _encode(graph, tokenizer, graph("Concat", *names, np.array([""]), axis=0), prompt)
    rows, end = graph("Shape", names[0]), graph.constant([END])
    columns = [(np.array([0]), rows), (rows, end)] if pair else [(np.array([0]), end)]
    sides = [
        Side(ids, *(graph("Reshape", graph("Slice", each, *column), rows, allowzero=1) for each in (starts, lengths)))
        for column in columns  # Reshape fails where one is shorter
    ]
    lengths = _longest_first(graph, [side.lengths for side in sides], room)
    sides = [side._replace(lengths=kept) for side, kept in zip(sides, lengths, strict=True)]
    outputs = _frame_rows(graph, tokenizer.frame, sides, tokenizer.pad_token_id)
    for name, value in outputs.items():
        graph.nodes.append(helper.make_node("Cast", [value], [name], to=kinds.INT32))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "tokenizer",
            [helper.make_tensor_value_info(name, kinds.STRING, ["batch"]) for name in names],
            [helper.make_tensor_value_info(name, kinds.INT32, ["batch", "length"]) for name in outputs],
            graph.initializers,
        ),
        producer_name="keras_bert_suite",
        ir_version=IR_VERSION,
        opset_imports=list(map(helper.make_opsetid, ("", "ai.onnx.ml", RUNTIME), (OPSET, 2, 1))),
    )
    _check_agreement(tokenizer, model, max_length, pair, prompt)
    return model


def _obstacle(tokenizer):
    """What the graph form of TensorFlow can follow and this one cannot, or None."""
    contents = [token["content"] for token in tokenizer.added_tokens]
    for inner, outer in itertools.permutations(contents, 2):
        if inner in outer[1:]:
            return f"the added token {inner!r} inside of {outer!r}"
    marks = set(map(chr, _table(tokenizer).marks)) & set("".join(_vocabulary(tokenizer)))
    return f"a vocabulary with marks that stand in an order of their own, such as {min(marks)!a}" if marks else None


def _check_agreement(tokenizer, model, max_length, pair, prompt):
    """Compare both forms on hard strings before anything is shipped."""
    runtime = require("onnxruntime", "a tokenizer in ONNX")
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    probes = probe_texts(tokenizer)
    given = {"text": probes, "text_b": probes[::-1]} if pair else {"text": probes}
    host = tokenizer(*([prompt + text for text in texts] for texts in given.values()), max_length=max_length)
    found = session.run(list(host), {name: np.array(texts, object) for name, texts in given.items()})
    for name, ours, expected in zip(host, found, host.values(), strict=True):
        if not np.array_equal(ours, expected):
            raise ValueError(
                f"build_onnx_tokenizer: {name} differ from the host tokenizer's on a probe text. "
                "Tokenize with the host tokenizer, and report this one."
            )


class _Graph:
    """ONNX nodes in the order in which they run. Values are names; a NumPy array or an int is a constant."""

    def __init__(self, onnx):
        self._onnx = onnx
        self.nodes, self.initializers = [], []
        self._constants = {}
        self._names = map("v{}".format, itertools.count())

    def __call__(self, kind, *inputs, domain="", outputs=1, **attributes):
        """Add an operation; return the name of its output, or a tuple of several."""
        names = [next(self._names) for _ in range(outputs)]
        inputs = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(self._onnx.helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names[0] if outputs == 1 else tuple(names)

    def constant(self, value):
        """Return the name of an initializer: int64, bool or strings."""
        value = np.asarray(value)
        value = value.astype({"b": bool, "U": object}.get(value.dtype.kind, np.int64))
        key = (str(value.tolist()), value.shape)
        if key not in self._constants:
            self._constants[key] = next(self._names)
            self.initializers.append(self._onnx.numpy_helper.from_array(value, self._constants[key]))
        return self._constants[key]

    def filled(self, like, number):
        """A number in the shape of a value."""
        return self("Expand", number, self("Shape", like))

    def cast(self, value):
        """Truth values to int64."""
        return self("Cast", value, to=self._onnx.TensorProto.INT64)

    def any(self, value):
        """Whether one of some truth values is true; of none, it is false."""
        return self("Greater", self("ReduceSum", self.cast(value), keepdims=0), 0)

    def size(self, value):
        """The number of a value's elements."""
        return self("Size", value)

    def number(self, value, keys, numbers, default):
        """Look strings up."""
        return self(
            "LabelEncoder",
            value,
            domain="ai.onnx.ml",
            keys_strings=keys,
            values_int64s=[int(number) for number in numbers],
            default_int64=default,
        )

    def look_up(self, value, table, default):
        """Look int64 up in a dict."""
        return self(
            "LabelEncoder",
            value,
            domain="ai.onnx.ml",
            keys_int64s=list(table),
            values_int64s=list(table.values()),
            default_int64=default,
        )

    def loop(self, go_on, carried, body):
        """Repeat `body(turn, *carried)`, which returns `(go_on, *carried)`, while `go_on`; return what is carried."""
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        turn, asked, *inner = (next(self._names) for _ in range(2 + len(carried)))
        with self._aside() as nodes:
            outputs = body(turn, *inner)
        # An output must not be an input, nor of the graph outside.
        outputs = [(name, next(self._names)) for name in outputs]
        nodes.extend(helper.make_node("Identity", [name], [output]) for name, output in outputs)
        # Older versions of ONNX Runtime want to know that the condition is one value and the rest are vectors.
        forms = [(kinds.BOOL, []), *[(kinds.INT64, [None])] * len(carried)]
        inside = helper.make_graph(
            nodes,
            "turn",
            [
                helper.make_tensor_value_info(turn, kinds.INT64, []),
                *(
                    helper.make_tensor_value_info(name, *form)
                    for name, form in zip([asked, *inner], forms, strict=True)
                ),
            ],
            [helper.make_tensor_value_info(output, *form) for (_, output), form in zip(outputs, forms, strict=True)],
        )
        found = self("Loop", "", go_on, *carried, outputs=len(carried), body=inside)
        return found if len(carried) > 1 else (found,)

    @contextlib.contextmanager
    def _aside(self):
        """Collect nodes apart."""
        outside, self.nodes = self.nodes, []
        nodes = self.nodes
        try:
            yield nodes
        finally:
            self.nodes = outside


class _Trie:
    """Strings of symbols, and the number that each is worth.

    Args:
        num_symbols: int. Symbols are below it.
        roots: int. Tries that share the numbering of their nodes; their first ones are 1, 2, ...
    """

    def __init__(self, num_symbols, roots=1):
        self.num_symbols = num_symbols
        self.steps = {}  # node and symbol, as one number, to node; node 0 is where nothing leads on
        self.worth = [-1] * (1 + roots)

    def add(self, symbols, worth, root=1):
        node = root
        for symbol in symbols:
            following = self.steps.setdefault(node * self.num_symbols + symbol, len(self.worth))
            if following == len(self.worth):
                self.worth.append(-1)
            node = following
        self.worth[node] = worth

    def longest(self, graph, symbols, roots):
        """Match at every place of `symbols` int64 `(N,)`, from its node of `roots`.

        Returns:
            `(lengths, worths)`, each int64 `(N,)`; lengths are 0 where nothing is found.
        """
        count = graph.size(symbols)
        places = graph("Range", 0, count, 1)
        padded = graph("Concat", symbols, np.array([GAP]), axis=0)
        nothing = graph.filled(symbols, 0)

        def step(turn, nodes, lengths, worths):
            ahead = graph("Min", graph("Add", places, turn), count)
            keys = graph("Add", graph("Mul", nodes, self.num_symbols), graph("Gather", padded, ahead))
            nodes = graph.look_up(keys, self.steps, 0)
            worth = graph("Gather", np.array(self.worth), nodes)
            found = graph("GreaterOrEqual", worth, 0)
            lengths = graph("Where", found, graph("Add", turn, 1), lengths)
            return graph.any(graph("Greater", nodes, 0)), nodes, lengths, graph("Where", found, worth, worths)

        _, lengths, worths = graph.loop(graph.any(graph("Greater", roots, 0)), (roots, nothing, nothing), step)
        return lengths, worths


def _encode(graph, tokenizer, texts, prompt):
    """Strings `(B + 1,)`, the last one empty, to the pieces of the others, without special tokens around them."""
    characters = graph(
        "Tokenizer", texts, domain=RUNTIME, mark=0, mincharnum=1, pad_value=NO_CHARACTER, separators=[""]
    )
    if prompt:
        rows = graph("Concat", graph("Shape", texts), np.array([len(prompt)]), axis=0)
        characters = graph("Concat", graph("Expand", np.array([list(prompt)]), rows), characters, axis=1)
    symbols, rows = _normalize(graph, tokenizer, characters)
    lengths, ids, begins = _match(graph, tokenizer, symbols)
    kept, ids = _follow(graph, tokenizer, symbols, lengths, ids, begins)
    first = graph("Not", graph("Equal", rows, _shifted(graph, rows, -1)))
    splits = graph("Compress", graph("CumSum", kept, 0, exclusive=1), first)
    starts, ends = (graph("Slice", splits, np.array([begin]), np.array([end])) for begin, end in ((0, -1), (1, END)))
    return Side(graph("Compress", ids, graph("Equal", kept, 1)), starts, graph("Sub", ends, starts))


def _normalize(graph, tokenizer, characters):
    """Characters `(B, C)` to the symbols of all rows, int64 `(N,)`, a gap after each row, and the row of each."""
    numbers, replacements, specials = _replacements(tokenizer)
    found = graph.number(characters, list(numbers), numbers.values(), replacements.index((FOREIGN,)))
    found = _with_column(graph, found, replacements.index((GAP,)))
    if specials:
        alphabet = {char: number for number, char in enumerate(sorted(set("".join(specials))), start=1)}
        trie = _Trie(1 + len(alphabet))
        for token, number in specials.items():
            trie.add([alphabet[char] for char in token], number)
        spelled = _with_column(graph, graph.number(characters, list(alphabet), alphabet.values(), 0), 0)
        lengths, numbers = trie.longest(graph, spelled, graph.filled(spelled, 1))
        # Where a token begins it stands; the rest of it has no symbols.
        begins = graph("Greater", lengths, 0)
        places = graph("Compress", graph("Range", 0, graph.size(lengths), 1), begins)
        ends = graph("Add", places, graph("Compress", lengths, begins))
        steps = graph("ScatterElements", graph.cast(begins), ends, graph.filled(ends, -1), reduction="add")
        inside = graph("Equal", graph("CumSum", steps, 0), 1)
        found = graph("Where", inside, replacements.index(()), found)
        found = graph("Where", begins, numbers, found)
    longest = max(map(len, replacements))
    table = np.full((len(replacements), longest), EMPTY)
    for row, replacement in zip(table, replacements, strict=True):
        row[: len(replacement)] = replacement
    symbols = graph("Reshape", graph("Gather", table, found), np.array([-1]))
    kept = graph("GreaterOrEqual", symbols, 0)
    width = graph("Add", graph("Gather", graph("Shape", characters), 1), 1)
    rows = graph("Div", graph("Range", 0, graph.size(symbols), 1), graph("Mul", width, longest))
    return graph("Compress", symbols, kept), graph("Compress", rows, kept)


def _match(graph, tokenizer, symbols):
    """The longest piece at every place: its length, 0 for none, its id, and whether a word begins there."""
    alphabet = _alphabet(tokenizer)
    prefix = tokenizer.definition.content["model"].get("continuing_subword_prefix", "##")
    begin, go_on = 1, 2
    trie = _Trie(len(alphabet) + FOREIGN + 1, roots=2)
    for token, token_id in _vocabulary(tokenizer).items():
        trie.add([alphabet[char] for char in token], token_id, begin)
        if token.startswith(prefix) and token != prefix:
            trie.add([alphabet[char] for char in token[len(prefix) :]], token_id, go_on)
    for token in tokenizer.added_tokens:
        trie.add([alphabet[token["content"], "special"]], tokenizer.token_to_id(token["content"]), begin)
    is_gap = graph("Equal", symbols, GAP)
    begins = graph("And", graph("Not", is_gap), graph("Equal", _shifted(graph, symbols, GAP), GAP))
    roots = graph("Where", begins, begin, graph("Where", is_gap, 0, go_on))
    return *trie.longest(graph, symbols, roots), begins


def _follow(graph, tokenizer, symbols, lengths, ids, begins):
    """Go from the beginning of each word from piece to piece; return where one begins, 0 or 1, and ids."""
    model = tokenizer.definition.content["model"]
    count = graph.size(symbols)
    places = graph("Range", 0, count, 1)
    is_gap = graph("Equal", symbols, GAP)
    firsts = graph("Compress", places, begins)
    after = graph("Concat", graph("Slice", is_gap, np.array([1]), np.array([END])), np.array([True]), axis=0)
    after = graph("Slice", after, np.array([0]), _vector(graph, count))
    lasts = graph("Compress", places, graph("And", graph("Not", is_gap), after))
    longest = model.get("max_input_chars_per_word", 100)
    too_long = graph.cast(graph("GreaterOrEqual", graph("Sub", lasts, firsts), longest))
    gaps = graph("Concat", is_gap, np.array([True]), axis=0)
    padded = graph("Concat", lengths, np.array([0]), axis=0)

    def step(turn, place, reached, failed):
        reached = graph("ScatterElements", reached, place, graph.filled(place, 1))
        length = graph("Gather", padded, place)
        stuck = graph("And", graph("Equal", length, 0), graph("Less", place, count))
        failed = graph("Max", failed, graph.cast(stuck))
        place = graph("Add", place, length)
        done = graph("Or", graph("Equal", length, 0), graph("Gather", gaps, place))
        place = graph("Where", done, count, place)
        return graph.any(graph("Less", place, count)), place, reached, failed

    carried = (firsts, graph.filled(padded, 0), too_long)
    _, reached, failed = graph.loop(graph.any(begins), carried, step)
    reached = graph("Slice", reached, np.array([0]), _vector(graph, count))
    word = graph("Sub", graph("CumSum", graph.cast(begins), 0), 1)  # -1, the last, before the first word
    failed = graph("Equal", graph("Gather", graph("Concat", failed, np.array([0]), axis=0), word), 1)
    kept = graph("Where", failed, graph.cast(begins), reached)
    return kept, graph("Where", failed, tokenizer.token_to_id(model["unk_token"]), ids)


def _longest_first(graph, lengths, budget):
    """`kept_lengths` of `truncation`, for its `"longest_first"`."""
    if len(lengths) == 1:
        return [graph("Min", lengths[0], budget)]
    first, second = lengths
    shorter, longer = graph("Min", first, second), graph("Max", first, second)
    fits = graph("LessOrEqual", graph("Add", first, second), budget)
    shorter = graph("Where", fits, shorter, graph("Min", shorter, budget // 2))
    longer = graph("Min", longer, graph("Sub", budget, shorter))
    swapped = graph("Greater", first, second)
    return [graph("Where", swapped, longer, shorter), graph("Where", swapped, shorter, longer)]


def _frame_rows(graph, frame, sides, pad_token_id):
    """Put special tokens around one or two sides and pad: `frame_rows` of `text.in_graph_parts`."""
    pair = len(sides) == 2
    lengths = [_column(graph, side.lengths) for side in sides]
    row_lengths = graph("Add", lengths[0], lengths[1] if pair else 0)
    row_lengths = graph("Add", row_lengths, frame.size(pair))
    width = graph("ReduceMax", graph("Concat", row_lengths, np.array([[0]]), axis=0), keepdims=0)
    positions = graph("Range", 0, width, 1)
    mask = graph("Less", positions, row_lengths)
    token_ids = graph.filled(mask, pad_token_id)
    segment_ids = graph.filled(mask, 0)
    begin = graph.filled(row_lengths, 0)
    for index, part in enumerate(frame.pair if pair else frame.single):
        for token_id in part:
            token_ids = graph("Where", graph("Equal", positions, begin), token_id, token_ids)
            begin = graph("Add", begin, 1)
        if index == len(sides):
            break
        side, length = sides[index], lengths[index]
        places = graph("Sub", positions, begin)
        inside = graph("And", graph("GreaterOrEqual", places, 0), graph("Less", places, length))
        places = graph("Where", inside, graph("Add", places, _column(graph, side.starts)), 0)
        values = graph("Concat", side.values, np.array([pad_token_id]), axis=0)  # there may be none
        token_ids = graph("Where", inside, graph("Gather", values, places), token_ids)
        begin = graph("Add", begin, length)
        if pair and index == 0 and frame.second_from is not None:
            second = graph("GreaterOrEqual", positions, graph("Add", begin, frame.second_from))
            segment_ids = graph.cast(graph("And", mask, second))
    return {"token_ids": token_ids, "segment_ids": segment_ids, "padding_mask": graph.cast(mask)}


def _shifted(graph, values, first):
    """Values `(N,)`, each one place later, after `first`."""
    kept = graph("Slice", values, np.array([0]), np.array([-1]))
    shifted = graph("Concat", np.array([first]), kept, axis=0)
    return graph("Slice", shifted, np.array([0]), _vector(graph, graph.size(values)))


def _with_column(graph, values, last):
    """Numbers `(B, C)` with `last` after each row, in one row."""
    return graph("Reshape", graph("Pad", values, np.array([0, 0, 0, 1]), last), np.array([-1]))


def _column(graph, values):
    return graph("Unsqueeze", values, np.array([1]))


def _vector(graph, value):
    return graph("Unsqueeze", value, np.array([0]))


def _vocabulary(tokenizer):
    """dict from token to id, of the tokens that WordPiece may use."""
    return {token: token_id for token, token_id in tokenizer.definition.content["model"]["vocab"].items() if token}


def _alphabet(tokenizer):
    """dict from a character of the vocabulary, or `(token, "special")`, to its symbol."""
    characters = sorted(set("".join(_vocabulary(tokenizer))))
    special = [(token["content"], "special") for token in tokenizer.added_tokens]
    return {key: symbol for symbol, key in enumerate([*characters, *special], start=FOREIGN + 1)}


def _table(tokenizer):
    return bert_table(*table_options(tokenizer))


def _replacements(tokenizer):
    """What each character, and each token that is matched whole, becomes.

    Returns:
        `(numbers, replacements, specials)`: dict from a character to the number
        of its replacement, of all that are not one foreign symbol; list of
        tuples of symbols; and dict from a token to the number of its replacement.
    """
    table, alphabet = _table(tokenizer), _alphabet(tokenizer)
    known = {char: symbol for char, symbol in alphabet.items() if isinstance(char, str)} | {" ": GAP}
    places = {(GAP,): 0, (FOREIGN,): 1, (): 2}
    numbers = {NO_CHARACTER: places[()]}
    replaced = table.entries.reshape(-1, PAGE)[table.pages].reshape(-1)
    in_order = np.argsort(replaced, kind="stable")
    groups = np.split(in_order, np.searchsorted(replaced[in_order], np.arange(1, len(table.splits) - 1)))
    for number, codes in enumerate(groups):
        values = table.values[table.splits[number] : table.splits[number + 1]].tolist()
        chars = [chr(code) for code in codes.tolist() if code not in SURROGATES] if values != [SELF] else []
        symbols = tuple(FOREIGN if value == SELF else known.get(chr(value), FOREIGN) for value in values)
        if symbols != (FOREIGN,):
            numbers.update(dict.fromkeys(chars, places.setdefault(symbols, len(places))))
        for char in known if SELF in values else ():
            if replaced[ord(char)] == number:
                symbols = tuple(known.get(char if value == SELF else chr(value), FOREIGN) for value in values)
                numbers[char] = places.setdefault(symbols, len(places))
    specials = {
        token["content"]: places.setdefault((GAP, alphabet[token["content"], "special"], GAP), len(places))
        for token in tokenizer.added_tokens
    }
    return numbers, list(places), specials
