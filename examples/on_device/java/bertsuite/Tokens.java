package bertsuite;

import java.util.Arrays;

/** Tokens of a text, without special tokens around them: a growing list of numbers and places. */
public final class Tokens {
    private int[] ids = new int[16], starts = new int[16], ends = new int[16];
    private int size;

    /** Returns the number of tokens. */
    public int size() {
        return size;
    }

    /** Returns the number of a token in the vocabulary. */
    public int id(int index) {
        return ids[index];
    }

    /** Returns the first UTF-16 unit of a token in the text. */
    public int start(int index) {
        return starts[index];
    }

    /** Returns the last-plus-one UTF-16 unit of a token in the text. */
    public int end(int index) {
        return ends[index];
    }

    void add(int id, int start, int end) {
        if (size == ids.length) {
            ids = Arrays.copyOf(ids, 2 * size);
            starts = Arrays.copyOf(starts, 2 * size);
            ends = Arrays.copyOf(ends, 2 * size);
        }
        ids[size] = id;
        starts[size] = start;
        ends[size++] = end;
    }

    void cutTo(int length) {
        size = length;
    }
}
