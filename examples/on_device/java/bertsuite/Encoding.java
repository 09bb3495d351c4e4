package bertsuite;

import java.util.Arrays;

/** A row of tokens, as a model takes it. All arrays have the same length. */
public final class Encoding {
    /** Number of each token; at the end that of [PAD]. */
    public final int[] ids;
    /** 0 for tokens of the first text, 1 for those of the second, 0 for padding. */
    public final int[] segmentIds;
    /** 1 for a token, 0 for padding. */
    public final int[] mask;
    /** First and last-plus-one UTF-16 unit of each token in its own text; 0 for special tokens and padding. */
    public final int[] starts, ends;

    Encoding(int length, int padId) {
        ids = new int[length];
        Arrays.fill(ids, padId);
        segmentIds = new int[length];
        mask = new int[length];
        starts = new int[length];
        ends = new int[length];
    }
}
