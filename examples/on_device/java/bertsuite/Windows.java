package bertsuite;

import java.util.Arrays;

/**
 * A text of any length as rows that overlap, each short enough for a model.
 *
 * <p>A question, where there is one, stands in front of each row.
 */
public final class Windows {
    /** The text that the rows are of. */
    public final String text;
    /** The rows, each padded to the length. */
    public final Encoding[] rows;
    /** Of each place in each row, which token of the text stands there; -1 at any other. */
    public final int[][] tokens;
    /** Where the text's own tokens are in it. */
    public final Tokens ofText;
    final CharacterTable table;

    private Windows(String text, Encoding[] rows, int[][] tokens, Tokens ofText, CharacterTable table) {
        this.text = text;
        this.rows = rows;
        this.tokens = tokens;
        this.ofText = ofText;
        this.table = table;
    }

    /**
     * Encodes a text.
     *
     * @param tokenizer the tokenizer
     * @param text the text to be read in windows
     * @param question stands in front of each window, cut to half of the row; or null
     * @param length tokens of each row, special ones included
     * @param stride tokens that neighbouring rows share; three quarters of the room at most
     * @return at least one row
     * @throws IllegalArgumentException if the length has no room for text
     */
    public static Windows encode(
            WordPieceTokenizer tokenizer, String text, String question, int length, int stride) {
        int room = length - (question == null ? 2 : 3);
        if (room < 2 || stride < 0) {
            throw new IllegalArgumentException(
                    "Windows: the length must have room for text, and stride be 0 or above. Received: length=" + length
                            + ", stride=" + stride + ".");
        }
        Tokens all = tokenizer.tokenize(text);
        Tokens asked = question == null ? null : tokenizer.tokenize(question);
        int before = asked == null ? 0 : Math.min(asked.size(), room / 2);
        room -= before;
        int step = room - Math.min(stride, room * 3 / 4);
        int count = 1 + Math.max(0, (all.size() - room + step - 1) / step);
        Encoding[] rows = new Encoding[count];
        int[][] tokens = new int[count][length];
        for (int row = 0; row < count; row++) {
            int from = row * step;
            int kept = Math.min(all.size() - from, room);
            rows[row] = asked == null
                    ? tokenizer.frame(all, from, kept, null, 0, 0, length)
                    : tokenizer.frame(asked, 0, before, all, from, kept, length);
            int begin = asked == null ? 1 : before + 2;
            Arrays.fill(tokens[row], -1);
            for (int index = 0; index < kept; index++) {
                tokens[row][begin + index] = from + index;
            }
        }
        return new Windows(text, rows, tokens, all, tokenizer.table);
    }

    /**
     * Finds where each token of the text has the most context, of all rows that have it.
     *
     * @return of each token a row and a place in it
     */
    public int[][] bestPlaces() {
        int[][] places = new int[ofText.size()][];
        int[] most = new int[places.length];
        for (int row = 0; row < rows.length; row++) {
            int count = 0;
            for (int token : tokens[row]) {
                count += token >= 0 ? 1 : 0;
            }
            for (int place = 0, seen = 0; place < tokens[row].length; place++) {
                int token = tokens[row][place];
                if (token < 0) {
                    continue;
                }
                int context = Math.min(seen, count - 1 - seen);
                seen++;
                if (places[token] == null || context > most[token]) {
                    places[token] = new int[] {row, place};
                    most[token] = context;
                }
            }
        }
        return places;
    }
}
