package bertsuite;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What each code point is to BERT's tokenizer, read from character_table.txt.
 *
 * <p>The table stands in for the Unicode version of the platform, so that every device gives the same ids.
 */
public final class CharacterTable {
    /** Left out by the normalizer: control characters, unassigned and private code points, U+FFFD. */
    static final int DELETED = 1;
    /** Parts words. */
    static final int SPACE = 1 << 1;
    /** A Chinese character, which is a word of its own. */
    static final int IDEOGRAPH = 1 << 2;
    /** An accent that is dropped with strip_accents. */
    static final int STRIPPED = 1 << 3;
    /** A word of its own. */
    static final int PUNCTUATION = 1 << 4;
    /** Goes on the word of a span, for {@link TagDecoder}. */
    static final int RUN = 1 << 5;
    /** A word of its own, for {@link TagDecoder}. */
    static final int ALONE = 1 << 6;
    /** Belongs to the character before it, for {@link TagDecoder}. */
    static final int ATTACHED = 1 << 7;
    /** A combining mark, for {@link AnswerDecoder}. */
    static final int MARK = 1 << 8;

    private static final int LOWER = 1 << 9;
    private static final int DECOMPOSED = 1 << 10;
    private static final int ORDERED = 1 << 11;

    /** Names of the lines of the file, in the order of the flags above. */
    private static final List<String> NAMES = Arrays.asList(
            "deleted", "space", "ideograph", "stripped", "punctuation", "run", "alone", "attached", "mark",
            "lower", "decomposed", "order");

    private static final int FIRST_HANGUL = 0xAC00, LAST_HANGUL = 0xD7A3;
    private static final int FIRST_LEADING = 0x1100, FIRST_VOWEL = 0x1161, BEFORE_TRAILING = 0x11A7;
    private static final int VOWELS = 21, TRAILINGS = 28;

    private final char[] flags = new char[Character.MAX_CODE_POINT + 1];
    private final Map<Integer, int[]> lower = new HashMap<>();
    private final Map<Integer, int[]> decomposed = new HashMap<>();
    private final Map<Integer, int[]> orders = new HashMap<>();

    /**
     * Parses the table.
     *
     * @param table the content of character_table.txt
     * @throws IllegalArgumentException if the text is not a table or lacks a line
     */
    public CharacterTable(String table) {
        int seen = 0;
        for (String line : table.split("\r?\n")) {
            if (line.startsWith("#")) {
                continue;
            }
            String[] items = line.split(" ");
            if (!NAMES.contains(items[0])) {
                throw new IllegalArgumentException("CharacterTable: not a line of character_table.txt: " + items[0]);
            }
            int flag = 1 << NAMES.indexOf(items[0]);
            for (int index = 1; index < items.length; index++) {
                read(items[index], flag);
            }
            seen |= flag;
        }
        if (seen != (1 << NAMES.size()) - 1) {
            throw new IllegalArgumentException("CharacterTable: the table is not complete. Copy the file anew.");
        }
        Arrays.fill(flags, Character.MIN_SURROGATE, Character.MAX_SURROGATE + 1, (char) DELETED); // half a character
        for (int point = FIRST_HANGUL; point <= LAST_HANGUL; point++) {
            flags[point] |= DECOMPOSED;
        }
    }

    /** Reads an item, first[-last][:value[,value]]. */
    private void read(String item, int flag) {
        String[] halves = item.split(":");
        String[] ends = halves[0].split("-");
        int first = Integer.parseInt(ends[0], 16);
        int last = Integer.parseInt(ends[ends.length - 1], 16);
        for (int point = first; point <= last; point++) {
            flags[point] |= flag;
        }
        if (halves.length == 1) {
            return;
        }
        String[] values = halves[1].split(",");
        for (int point = first; point <= last; point++) {
            int[] found = new int[values.length];
            for (int index = 0; index < values.length; index++) {
                found[index] = Integer.parseInt(values[index], 16) + (flag == ORDERED ? 0 : point - first);
            }
            (flag == LOWER ? lower : flag == DECOMPOSED ? decomposed : orders).put(point, found);
        }
    }

    /** Returns the flags of a code point, of which each constant above is one. */
    int flags(int point) {
        return flags[point];
    }

    boolean is(int point, int flag) {
        return (flags[point] & flag) != 0;
    }

    /** Returns the lower-case form of a code point, or null where that is itself. */
    int[] lower(int point) {
        return is(point, LOWER) ? lower.get(point) : null;
    }

    /** Returns the canonical decomposition of a code point (NFD), or null where that is itself. */
    int[] decomposed(int point) {
        if (!is(point, DECOMPOSED)) {
            return null;
        }
        if (point < FIRST_HANGUL || point > LAST_HANGUL) {
            return decomposed.get(point);
        }
        int index = point - FIRST_HANGUL;
        int leading = FIRST_LEADING + index / (VOWELS * TRAILINGS);
        int vowel = FIRST_VOWEL + index / TRAILINGS % VOWELS;
        int trailing = index % TRAILINGS;
        return trailing == 0 ? new int[] {leading, vowel} : new int[] {leading, vowel, BEFORE_TRAILING + trailing};
    }

    /** Returns the canonical combining class of a code point; 0 where it is no mark that NFD reorders. */
    int order(int point) {
        return is(point, ORDERED) ? orders.get(point)[0] : 0;
    }
}
