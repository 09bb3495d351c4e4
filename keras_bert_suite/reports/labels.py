"""How well each label is told from the others: scores, and what is taken for what."""

import numpy as np

from keras_bert_suite.reports.markup import clean, isolated, number, plural, section, table, text
from keras_bert_suite.reports.scores import most_confused

__all__ = ["confusion", "labels"]

#: Labels whose confusion matrix is shown in full; of more, the most confused pairs.
FULL_MATRIX = 30
#: Up to so many labels, cells have room for larger figures.
ROOMY_MATRIX = 12
#: Rows of a table by label before the rest is folded away.
MOST_LABELS = 30
#: Pairs of labels, and labels with the lowest score, where there are too many for all.
MOST_PAIRS = 20


def labels(report):
    """Precision, recall and F1 of each label, and their means."""
    scores = report.scores
    if scores is None or not report.labels:
        return ""
    columns = ("precision", "recall", "f1")
    rows = [
        [isolated(name), *(f"{scores[column][index]:.3f}" for column in columns), _bar(scores["f1"][index]),
         number(scores["support"][index])]
        for index, name in enumerate(report.labels)
    ]  # fmt: skip
    examples = number(sum(scores["support"]))
    footer = [
        [f"mean over {of}", *(f"{scores[kind][column]:.3f}" for column in columns), _bar(scores[kind]["f1"]), examples]
        for kind, of in (("macro", "labels (macro)"), ("weighted", "examples (weighted)"))
    ]
    headings = ["label", "precision", "recall", "F1", "", "examples"]
    note = "Precision: share of predictions of a label that are right. Recall: share of its examples that were found."
    if len(rows) <= MOST_LABELS:
        return section("Labels", table("Scores by label", headings, rows, footer, numeric=(1, 2, 3, 5)), note)
    order = np.argsort(scores["f1"], kind="stable")
    lowest = [rows[index] for index in order[:MOST_PAIRS]]
    worst = table(f"The {MOST_PAIRS} labels with the lowest F1", headings, lowest, footer, numeric=(1, 2, 3, 5))
    every = table(f"All {len(rows)} labels", headings, rows, footer, numeric=(1, 2, 3, 5))
    return section("Labels", f"{worst}\n<details><summary>All {len(rows)} labels</summary>{every}</details>", note)


def _bar(share):
    width = 100 * min(max(share, 0.0), 1.0)
    return f'<span class="bar" aria-hidden="true"><i style="width:{width:.1f}%"></i></span>'


def confusion(report):
    """Which labels are taken for which: the whole matrix where it can be read, else the most frequent errors."""
    if report.confusion is None or not report.confusion.size:
        return ""
    wrong = int(report.confusion.sum() - np.trace(report.confusion))
    note = f"{plural(wrong, 'error')} among {plural(int(report.confusion.sum()), 'example')}."
    matrix_note = (
        " Rows are true labels, columns predicted ones. Each cell has its examples and their share of the row."
    )
    pairs = _pairs(report) if wrong else ""
    if len(report.labels) > FULL_MATRIX:
        return section("Confusion", pairs, note)
    if len(report.labels) > ROOMY_MATRIX and pairs:
        folded = f"<details><summary>Most confused pairs</summary>{pairs}</details>"
        return section("Confusion", f"{_matrix(report)}\n{folded}", note + matrix_note)
    return section("Confusion", _matrix(report), note + matrix_note)


def _pairs(report):
    support = report.confusion.sum(axis=1)
    rows = [
        [isolated(report.labels[row]), isolated(report.labels[column]), number(count), f"{count / support[row]:.1%}"]
        for row, column, count in most_confused(report.confusion, MOST_PAIRS)
    ]  # fmt: skip
    headings = ["true", "predicted instead", "examples", "of the true label"]
    return table("The pairs that are confused most often", headings, rows, numeric=(2, 3))


def _matrix(report):
    counts, names = report.confusion, [isolated(name) for name in report.labels]
    support = counts.sum(axis=1)
    roomy = len(names) <= ROOMY_MATRIX
    upright = not roomy or len(names) * max(len(clean(name)) for name in report.labels) > 60
    kind = ' class="upright"' if upright else ""
    heads = "".join(f'<th scope="col"{kind}><span>{name}</span></th>' for name in names)
    rows = []
    for row, name in enumerate(names):
        cells = "".join(_matrix_cell(count, support[row], column == row) for column, count in enumerate(counts[row]))
        total = f'<td class="total">{number(support[row])}</td>'
        rows.append(f'<tr><th scope="row" title="{text(report.labels[row])}">{name}</th>{cells}{total}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix">\n'
        f'<table class="matrix{"" if roomy else " dense"}"><caption>Confusion matrix</caption>\n'
        f'<thead><tr class="side"><td></td><th scope="colgroup" colspan="{len(names)}">predicted</th><td></td></tr>\n'
        f'<tr><th class="side corner" scope="col">true</th>{heads}'
        f'<th class="side" scope="col">total</th></tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _matrix_cell(count, support, hit):
    if not count:
        return '<td class="zero">·</td>'
    share = count / support
    percent = f"{share:.0%}" if share >= 0.005 else "&lt;1%"
    kind = "hit" if hit else "miss"
    return f'<td class="{kind}" style="--share:{share:.3f}">{number(count)}<small>{percent}</small></td>'
