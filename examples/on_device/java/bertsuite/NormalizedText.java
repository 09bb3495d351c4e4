package bertsuite;

import java.util.Arrays;

/**
 * Part of a text as BERT's normalizer leaves it: code points, and which characters of the text each one comes from.
 *
 * <p>The steps are those of Hugging Face's BertNormalizer, in its order.
 */
final class NormalizedText {
    /** Below it, nothing decomposes and nothing is a mark. */
    private static final int FIRST_ACCENTED = 0xC0;

    int[] points;
    /** First and last-plus-one UTF-16 unit, in the text, of what each code point comes from. */
    int[] starts, ends;
    int size;

    private NormalizedText(int capacity) {
        points = new int[capacity];
        starts = new int[capacity];
        ends = new int[capacity];
    }

    /** Normalizes the UTF-16 units {@code begin} to {@code end} of a text, as a tokenizer's options say. */
    static NormalizedText of(String text, int begin, int end, WordPieceTokenizer tokenizer) {
        CharacterTable table = tokenizer.table;
        NormalizedText cleaned = clean(text, begin, end, table, tokenizer.splitChinese);
        NormalizedText stripped = tokenizer.stripAccents ? cleaned.withoutAccents(table) : cleaned;
        return tokenizer.lowercase ? stripped.lowered(table) : stripped;
    }

    /** Drops control characters, makes every white space a space, and puts spaces around Chinese characters. */
    private static NormalizedText clean(String text, int begin, int end, CharacterTable table, boolean splitChinese) {
        NormalizedText out = new NormalizedText(end - begin);
        int after;
        for (int at = begin; at < end; at = after) {
            int point = text.codePointAt(at);
            int flags = table.flags(point);
            after = at + Character.charCount(point);
            if ((flags & CharacterTable.DELETED) != 0) {
                continue;
            }
            if ((flags & CharacterTable.IDEOGRAPH) != 0 && splitChinese) {
                out.add(' ', at, after);
                out.add(point, at, after);
                out.add(' ', at, after);
            } else {
                out.add((flags & CharacterTable.SPACE) != 0 ? ' ' : point, at, after);
            }
        }
        return out;
    }

    /** Decomposes every character, puts neighbouring marks into canonical order (NFD), and drops accents. */
    private NormalizedText withoutAccents(CharacterTable table) {
        int plain = 0;
        while (plain < size && points[plain] < FIRST_ACCENTED) {
            plain++;
        }
        if (plain == size) {
            return this;
        }
        NormalizedText out = new NormalizedText(size);
        // In one number, so that sorting is enough: order, place, whether it comes after another part, code point.
        long[] keys = new long[size];
        int count = 0;
        for (int index = 0; index < size; index++) {
            int[] values = table.decomposed(points[index]);
            int length = values == null ? 1 : values.length;
            for (int part = 0; part < length; part++) {
                int point = values == null ? points[index] : values[part];
                keys = count < keys.length ? keys : Arrays.copyOf(keys, 2 * count);
                keys[count] = (long) table.order(point) << 54 | (long) count << 22 | (part > 0 ? 1 << 21 : 0) | point;
                count++;
            }
        }
        for (int first = 0, last; first < count; first = last) {
            for (last = first + 1; last < count && keys[last] >>> 54 != 0 && keys[first] >>> 54 != 0; ) {
                last++;
            }
            Arrays.sort(keys, first, last);
        }
        int source = -1; // A decomposed character is replaced by the first of its parts, wherever that is now.
        for (int index = 0; index < count; index++) {
            source += (keys[index] & 1 << 21) == 0 ? 1 : 0;
            int point = (int) keys[index] & 0x1FFFFF;
            if (!table.is(point, CharacterTable.STRIPPED)) {
                out.add(point, starts[source], ends[source]);
            }
        }
        return out;
    }

    private NormalizedText lowered(CharacterTable table) {
        NormalizedText out = new NormalizedText(size);
        for (int index = 0; index < size; index++) {
            int[] values = table.lower(points[index]);
            for (int part = 0; part < (values == null ? 1 : values.length); part++) {
                out.add(values == null ? points[index] : values[part], starts[index], ends[index]);
            }
        }
        return out;
    }

    private void add(int point, int start, int end) {
        if (size == points.length) {
            points = Arrays.copyOf(points, 2 * size + 16);
            starts = Arrays.copyOf(starts, 2 * size + 16);
            ends = Arrays.copyOf(ends, 2 * size + 16);
        }
        points[size] = point;
        starts[size] = start;
        ends[size++] = end;
    }
}
