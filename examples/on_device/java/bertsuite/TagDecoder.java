package bertsuite;

import java.util.ArrayList;
import java.util.List;

/**
 * What a model says of each token, as spans of a text: names, places, slots.
 *
 * <p>The first token of each word speaks for the word. Tags may be of the schemes IO, IOB1, BIO and BIOES, and are read
 * as conlleval reads them.
 */
public final class TagDecoder {
    /** The tag of a word that is in no span. */
    private static final String OUTSIDE = "O";

    /** A part of a text and what it is. */
    public static final class Span {
        /** First and last-plus-one UTF-16 unit. */
        public final int start, end;
        public final String label;
        /** Mean probability of the tags of its words, from 0 to 1; NaN where a conditional random field chose them. */
        public final float score;

        Span(int start, int end, String label, float score) {
            this.start = start;
            this.end = end;
            this.label = label;
            this.score = score;
        }
    }

    private TagDecoder() {}

    /**
     * Reads the spans off the output of a model.
     *
     * @param windows the text, as it went into the model
     * @param outputs of each row of the windows, of each place, of each label: probabilities or logits
     * @param areLogits which of both they are
     * @param labels the tags, in the order of the outputs
     * @return the spans in the order of the text
     */
    public static List<Span> decode(Windows windows, float[][][] outputs, boolean areLogits, String[] labels) {
        List<int[]> words = joinedWords(windows);
        int[][] places = windows.bestPlaces();
        String[][] kinds = split(labels);
        String[][] tags = new String[words.size()][];
        float[] certainty = new float[words.size()];
        for (int index = 0; index < tags.length; index++) {
            int token = words.get(index)[2];
            float[] output = outputs[places[token][0]][places[token][1]];
            int best = best(output);
            tags[index] = kinds[best];
            certainty[index] = areLogits ? probability(output, best) : output[best];
        }
        return spans(words, tags, certainty);
    }

    /**
     * Reads the spans off the tags that a model with a conditional random field gives.
     *
     * @param windows the text, as it went into the model together with {@link #wordMask}
     * @param chosen of each row of the windows, of each place: the number of its tag
     * @param labels the tags by number
     * @return the spans in the order of the text
     */
    public static List<Span> decode(Windows windows, int[][] chosen, String[] labels) {
        List<int[]> words = joinedWords(windows);
        int[][] places = windows.bestPlaces();
        String[][] kinds = split(labels);
        String[][] tags = new String[words.size()][];
        float[] certainty = new float[words.size()];
        for (int index = 0; index < tags.length; index++) {
            int token = words.get(index)[2];
            tags[index] = kinds[chosen[places[token][0]][places[token][1]]];
            certainty[index] = Float.NaN;
        }
        return spans(words, tags, certainty);
    }

    /**
     * Returns what a model with a conditional random field takes beside the tokens: 1 at the first token of each word.
     *
     * <p>A word that several rows have is marked where it has the most context.
     */
    public static int[][] wordMask(Windows windows) {
        int[][] mask = new int[windows.rows.length][windows.tokens[0].length];
        int[][] places = windows.bestPlaces();
        for (int[] word : joinedWords(windows)) {
            mask[places[word[2]][0]][places[word[2]][1]] = 1;
        }
        return mask;
    }

    /** Returns the spans that tags of words mean, each a prefix and a label. */
    private static List<Span> spans(List<int[]> words, String[][] tags, float[] certainty) {
        List<Span> spans = new ArrayList<>();
        int begin = -1;
        String label = "", before = OUTSIDE;
        float sum = 0;
        for (int index = 0; index <= tags.length; index++) {
            String[] tag = index < tags.length ? tags[index] : new String[] {OUTSIDE, ""};
            boolean goesOn = "IE".contains(tag[0]) && "BI".contains(before) && tag[1].equals(label);
            if (begin >= 0 && !goesOn) {
                int start = words.get(begin)[0], end = words.get(index - 1)[1];
                spans.add(new Span(start, end, label, sum / (index - begin)));
                begin = -1;
            }
            if (!tag[0].equals(OUTSIDE) && !goesOn) {
                begin = index;
                sum = 0;
            }
            sum += index < tags.length ? certainty[index] : 0;
            before = tag[0];
            label = tag[1];
        }
        return spans;
    }

    private static int best(float[] values) {
        int best = 0;
        for (int index = 1; index < values.length; index++) {
            best = values[index] > values[best] ? index : best;
        }
        return best;
    }

    private static float probability(float[] logits, int label) {
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - logits[label]);
        }
        return (float) (1 / sum);
    }

    /** Returns of each of the tags of a model the prefix, spelled as BIOES has it, and its label. */
    private static String[][] split(String[] tags) {
        boolean plain = false; // the plainest form of IO, where "M" is a label too
        for (String tag : tags) {
            plain |= !tag.equals(OUTSIDE) && prefix(tag) < 0;
        }
        String[][] split = new String[tags.length][];
        for (int index = 0; index < tags.length; index++) {
            String tag = tags[index];
            int known = prefix(tag);
            if (tag.equals(OUTSIDE)) {
                split[index] = new String[] {OUTSIDE, ""};
            } else if (known < 0 || (plain && tag.length() == 1)) {
                split[index] = new String[] {"I", tag};
            } else {
                String label = tag.length() < 3 ? "_" : tag.substring(2);
                split[index] = new String[] {"BIESIESS".substring(known, known + 1), label};
            }
        }
        return split;
    }

    /** Returns which of the known prefixes a tag has, or -1. */
    private static int prefix(String tag) {
        boolean alone = tag.length() == 1 || (tag.length() > 1 && tag.charAt(1) == '-');
        return alone ? "BIESMLUW".indexOf(tag.charAt(0)) : -1;
    }

    /** Returns start, end and first token of each word that has one; words that share it are one. */
    private static List<int[]> joinedWords(Windows windows) {
        Tokens tokens = windows.ofText;
        List<int[]> joined = new ArrayList<>();
        int at = 0;
        int before = -1;
        for (int[] word : words(windows.text, windows.table)) {
            // Tokens of nothing, and those that end before the word.
            while (at < tokens.size() && (tokens.start(at) >= tokens.end(at) || tokens.end(at) <= word[0])) {
                at++;
            }
            if (at == tokens.size() || tokens.start(at) >= word[1]) {
                continue; // the normalizer leaves nothing of it
            }
            if (at == before) {
                joined.get(joined.size() - 1)[1] = word[1];
            } else {
                joined.add(new int[] {word[0], word[1], at});
            }
            before = at;
        }
        return joined;
    }

    /**
     * Finds the words of a text, by a rule that no tokenizer has a say in.
     *
     * <p>A word is a run of letters and digits. Punctuation, symbols and the letters of scripts without spaces are
     * words alone; accents and other marks belong to the character before them, and so do characters without a form,
     * where more of the word comes after them.
     *
     * @return first and last-plus-one UTF-16 unit of each
     */
    static List<int[]> words(String text, CharacterTable table) {
        List<int[]> words = new ArrayList<>();
        int[] open = null;
        boolean inRun = false; // whether the last character that is not attached to another goes on a run
        for (int at = 0, after; at < text.length(); at = after) {
            int point = text.codePointAt(at);
            after = at + Character.charCount(point);
            boolean run = table.is(point, CharacterTable.RUN), alone = table.is(point, CharacterTable.ALONE);
            boolean attached = table.is(point, CharacterTable.ATTACHED);
            if (!run && !alone && !attached) {
                open = null;
            } else if (alone || (run && !inRun) || (attached && open == null)) {
                open = new int[] {at, after};
                words.add(open);
            } else if (run || table.is(point, CharacterTable.MARK) || point >= 0xE0000) { // those are tags of flags
                open[1] = after;
            }
            inRun = attached ? inRun : run;
        }
        return words;
    }
}
