package bertsuite;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What a model says of each token of a context, as the answer to a question. */
public final class AnswerDecoder {
    /** Spans that the answer is chosen from, and that share its probability. */
    private static final int CANDIDATES = 20;
    private static final int JOINER = 0x200D, FIRST_SKIN = 0x1F3FB, LAST_SKIN = 0x1F3FF;

    /** A part of the context; none of it where there is no answer, and then {@code start} is -1. */
    public static final class Answer {
        public final String text;
        /** First and last-plus-one UTF-16 unit in the context. */
        public final int start, end;
        /** Sum of the logits of its first and its last token. */
        final float logit;
        /** Probability among the candidates, from 0 to 1. */
        public double score;

        Answer(String text, int start, int end, float logit) {
            this.text = text;
            this.start = start;
            this.end = end;
            this.logit = logit;
        }
    }

    private static final class Candidate {
        final float logit;
        final int first, last;

        Candidate(float logit, int first, int last) {
            this.logit = logit;
            this.first = first;
            this.last = last;
        }
    }

    private static final Comparator<Candidate> BEST_FIRST = (one, other) -> Float.compare(other.logit, one.logit);

    private AnswerDecoder() {}

    /**
     * Reads the answer off the output of a model.
     *
     * @param windows the context and its question, as they went into the model
     * @param starts logits of the first token, of each row of the windows, of each place
     * @param ends logits of the last token
     * @param longest tokens of an answer at most; 30 is usual
     * @param nullThreshold no answer is given where the logits speak for none by more than this; null always gives one
     * @return the candidates, the answer itself first, then the others by their score
     */
    public static List<Answer> decode(
            Windows windows, float[][] starts, float[][] ends, int longest, Float nullThreshold) {
        List<Candidate> candidates = new ArrayList<>();
        float nullLogit = Float.POSITIVE_INFINITY;
        for (int row = 0; row < windows.rows.length; row++) {
            candidates.addAll(best(windows.tokens[row], starts[row], ends[row], longest));
            nullLogit = Math.min(nullLogit, starts[row][0] + ends[row][0]); // at [CLS]
        }
        Collections.sort(candidates, BEST_FIRST);
        List<Answer> answers = new ArrayList<>();
        Set<Long> seen = new HashSet<>(); // several windows may have the same span
        for (Candidate one : candidates) {
            if (answers.size() < CANDIDATES && seen.add((long) one.first << 32 | one.last)) {
                int start = widened(windows, windows.ofText.start(one.first));
                int end = windows.ofText.end(one.last);
                while (end > 0 && end < windows.text.length() && isInside(windows, end)) {
                    end += Character.charCount(windows.text.codePointAt(end));
                }
                answers.add(new Answer(windows.text.substring(start, end), start, end, one.logit));
            }
        }
        return scored(answers, nullLogit, nullThreshold);
    }

    /** Returns the spans of one row with the highest sums. */
    private static List<Candidate> best(int[] tokens, float[] starts, float[] ends, int longest) {
        List<Candidate> found = new ArrayList<>();
        for (int first = 0; first < tokens.length; first++) {
            for (int last = first; last < Math.min(first + longest, tokens.length); last++) {
                if (tokens[first] < 0 || tokens[last] < 0) {
                    continue;
                }
                float logit = starts[first] + ends[last];
                if (found.size() == CANDIDATES && logit <= found.get(CANDIDATES - 1).logit) {
                    continue;
                }
                int at = found.size();
                while (at > 0 && found.get(at - 1).logit < logit) {
                    at--;
                }
                found.add(at, new Candidate(logit, tokens[first], tokens[last]));
                if (found.size() > CANDIDATES) {
                    found.remove(CANDIDATES);
                }
            }
        }
        return found;
    }

    /** Sets the scores, and puts first what is to be answered. */
    private static List<Answer> scored(List<Answer> answers, float nullLogit, Float nullThreshold) {
        boolean none = answers.isEmpty()
                || (nullThreshold != null && nullLogit - answers.get(0).logit > nullThreshold);
        if (none || nullThreshold != null) {
            int at = 0;
            while (at < answers.size() && answers.get(at).logit >= nullLogit) {
                at++;
            }
            answers.add(at, new Answer("", -1, -1, nullLogit));
        }
        double sum = 0;
        float highest = answers.get(0).logit;
        for (Answer answer : answers) {
            sum += answer.score = Math.exp((double) answer.logit - highest);
        }
        int chosen = -1;
        for (int index = answers.size() - 1; index >= 0; index--) {
            answers.get(index).score /= sum;
            chosen = (answers.get(index).start < 0) == none ? index : chosen;
        }
        answers.add(0, answers.remove(chosen));
        return answers;
    }

    /** Moves the start of a span out of what a reader sees as one character: an accent, an emoji's colour. */
    private static int widened(Windows windows, int start) {
        while (start > 0 && start < windows.text.length() && isInside(windows, start)) {
            start -= Character.charCount(windows.text.codePointBefore(start));
        }
        return start;
    }

    /** Returns whether the text before and after a place is one character to its reader. */
    private static boolean isInside(Windows windows, int at) {
        int point = windows.text.codePointAt(at);
        boolean extendsIt = point == JOINER || (point >= FIRST_SKIN && point <= LAST_SKIN)
                || windows.table.is(point, CharacterTable.MARK);
        return extendsIt || windows.text.codePointBefore(at) == JOINER;
    }
}
