package bertsuite;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * BERT's tokenizer: text to the numbers of word pieces, with their places in the text.
 *
 * <p>Ids, segments and places are those of Hugging Face tokenizers on the same vocabulary, for every text. Half a
 * surrogate pair, which is no character, is left out. Objects may be shared between threads.
 *
 * <pre>{@code
 * CharacterTable table = new CharacterTable(WordPieceTokenizer.readText(assets.open("character_table.txt")));
 * String vocabulary = WordPieceTokenizer.readText(assets.open("vocab.txt"));
 * WordPieceTokenizer tokenizer = new WordPieceTokenizer(vocabulary, table, new WordPieceTokenizer.Options());
 * Encoding row = tokenizer.encode("Where is my order?", 128);
 * }</pre>
 */
public final class WordPieceTokenizer {
    /** Words of more code points than this are unknown. */
    private static final int LONGEST_WORD = 100;
    private static final String CONTINUES = "##";

    /** How the vocabulary was made; as they are, those of bert-base-uncased. */
    public static final class Options {
        /** Lower-case the text. */
        public boolean lowercase = true;
        /** Drop accents; null follows {@code lowercase}, as in BERT. */
        public Boolean stripAccents = null;
        /** Make each Chinese character a word. */
        public boolean splitChinese = true;
        /** Spellings of the special tokens. All but the mask must be in the vocabulary. */
        public String unkToken = "[UNK]", clsToken = "[CLS]", sepToken = "[SEP]", padToken = "[PAD]",
                maskToken = "[MASK]";
        /** More tokens of the vocabulary that are matched whole wherever a text has them. */
        public String[] extraTokens = {};
    }

    /** Which text is cut where a row is too long. */
    public enum Truncation {
        /** The longer of both. */
        LONGEST_FIRST,
        /** The first; a second text that leaves no room for it is an error. */
        ONLY_FIRST,
        /** The second; a first text that leaves no room for it is an error. */
        ONLY_SECOND
    }

    final CharacterTable table;
    final boolean lowercase, stripAccents, splitChinese;
    private final int unkId, clsId, sepId, padId;
    /** Pieces that begin a word, those that go on with one, and special tokens. */
    private final Map<String, Integer> first = new HashMap<>(), rest = new HashMap<>(), special = new HashMap<>();
    private int longestPiece;

    /**
     * Builds a tokenizer.
     *
     * @param vocabulary the content of vocab.txt: a token a line, the first one being number 0
     * @param table see {@link CharacterTable}
     * @param options see {@link Options}
     * @throws IllegalArgumentException if the vocabulary repeats a token or lacks a special one
     */
    public WordPieceTokenizer(String vocabulary, CharacterTable table, Options options) {
        this.table = table;
        lowercase = options.lowercase;
        stripAccents = options.stripAccents == null ? lowercase : options.stripAccents;
        splitChinese = options.splitChinese;
        Map<String, Integer> all = new HashMap<>();
        String[] lines = (vocabulary.startsWith("\ufeff") ? vocabulary.substring(1) : vocabulary).split("\n", -1);
        for (int id = 0; id < lines.length; id++) {
            String token = lines[id].endsWith("\r") ? lines[id].substring(0, lines[id].length() - 1) : lines[id];
            if (token.isEmpty()) {
                continue;
            }
            if (all.put(token, id) != null) {
                throw new IllegalArgumentException("WordPieceTokenizer: the vocabulary has a token twice: " + token);
            }
            boolean continues = token.startsWith(CONTINUES);
            String piece = continues ? token.substring(CONTINUES.length()) : token;
            (continues ? rest : first).put(piece, id);
            longestPiece = Math.max(longestPiece, piece.length());
        }
        List<String> matched = new ArrayList<>(Arrays.asList(
                options.unkToken, options.clsToken, options.sepToken, options.padToken));
        matched.addAll(Arrays.asList(options.extraTokens));
        for (String token : matched) {
            if (!all.containsKey(token)) {
                throw new IllegalArgumentException("WordPieceTokenizer: the vocabulary lacks " + token
                        + ". Use the model's own vocab.txt, or name its special tokens in the options.");
            }
            special.put(token, all.get(token));
        }
        if (all.containsKey(options.maskToken)) {
            special.put(options.maskToken, all.get(options.maskToken));
        }
        unkId = all.get(options.unkToken);
        clsId = all.get(options.clsToken);
        sepId = all.get(options.sepToken);
        padId = all.get(options.padToken);
    }

    /** Reads UTF-8 text to its end and closes the stream. */
    public static String readText(InputStream stream) throws IOException {
        try (InputStream input = stream) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            byte[] buffer = new byte[1 << 16];
            for (int count = input.read(buffer); count >= 0; count = input.read(buffer)) {
                bytes.write(buffer, 0, count);
            }
            return bytes.toString("UTF-8");
        }
    }

    /**
     * Encodes one text as [CLS] text [SEP], cut and padded to a length.
     *
     * @param text any string
     * @param length tokens of the row
     * @return the row
     */
    public Encoding encode(String text, int length) {
        return encode(text, null, length, Truncation.LONGEST_FIRST, true);
    }

    /**
     * Encodes a text, or two as [CLS] text [SEP] pair [SEP].
     *
     * @param text any string
     * @param pair the second text, or null
     * @param maxLength tokens of the row at most, special ones included
     * @param truncation which text is cut
     * @param pad whether the row is padded to {@code maxLength}
     * @return the row
     * @throws IllegalArgumentException if maxLength has no room for the special tokens, or cutting as asked is not
     *     enough
     */
    public Encoding encode(String text, String pair, int maxLength, Truncation truncation, boolean pad) {
        Tokens one = tokenize(text);
        Tokens two = pair == null ? null : tokenize(pair);
        int[] kept = kept(one.size(), two == null ? -1 : two.size(), maxLength, truncation);
        int length = kept[0] + kept[1] + (two == null ? 2 : 3);
        return frame(one, 0, kept[0], two, 0, kept[1], pad ? maxLength : length);
    }

    /** Tokens that each text keeps; {@code two} is -1 where there is one text. */
    private static int[] kept(int one, int two, int maxLength, Truncation truncation) {
        boolean paired = two >= 0;
        two = Math.max(two, 0);
        int budget = maxLength - (paired ? 3 : 2);
        if (budget < 0) {
            throw new IllegalArgumentException("encode: maxLength has no room for special tokens: " + maxLength);
        }
        int excess = one + two - budget;
        if (excess <= 0) {
            return new int[] {one, two};
        }
        if (budget == 0) {
            return new int[] {0, 0};
        }
        if (truncation == Truncation.LONGEST_FIRST) {
            int shorter = Math.min(Math.min(one, two), budget / 2);
            return one > two ? new int[] {budget - shorter, shorter} : new int[] {shorter, budget - shorter};
        }
        boolean cutsFirst = truncation == Truncation.ONLY_FIRST;
        if ((cutsFirst ? one : two) <= excess) {
            throw new IllegalArgumentException("encode: " + (cutsFirst ? "the first" : "the second")
                    + " text is too short to be cut by " + excess + " tokens. Use LONGEST_FIRST.");
        }
        return cutsFirst ? new int[] {one - excess, two} : new int[] {one, two - excess};
    }

    /** Puts special tokens around {@code keptOne} tokens of the first text and {@code keptTwo} of the second. */
    Encoding frame(Tokens one, int fromOne, int keptOne, Tokens two, int fromTwo, int keptTwo, int length) {
        Encoding row = new Encoding(length, padId);
        row.ids[0] = clsId;
        int at = put(one, fromOne, keptOne, row, 1);
        row.ids[at++] = sepId;
        if (two != null) {
            int begin = at;
            at = put(two, fromTwo, keptTwo, row, at);
            row.ids[at++] = sepId;
            Arrays.fill(row.segmentIds, begin, at, 1);
        }
        Arrays.fill(row.mask, 0, at, 1);
        return row;
    }

    private static int put(Tokens tokens, int from, int count, Encoding row, int at) {
        for (int index = from; index < from + count; index++, at++) {
            row.ids[at] = tokens.id(index);
            row.starts[at] = tokens.start(index);
            row.ends[at] = tokens.end(index);
        }
        return at;
    }

    /** Cuts a text into tokens, all of them, without special tokens around them. */
    public Tokens tokenize(String text) {
        Tokens tokens = new Tokens();
        int begin = 0;
        for (int at = 0; at < text.length(); ) {
            String found = specialAt(text, at);
            if (found == null) {
                at++;
                continue;
            }
            for (Word word : words(text, begin, at)) {
                addPieces(word, tokens);
            }
            tokens.add(special.get(found), at, at + found.length());
            begin = at += found.length();
        }
        for (Word word : words(text, begin, text.length())) {
            addPieces(word, tokens);
        }
        return tokens;
    }

    /** Returns the longest special token that stands at a place, or null. */
    private String specialAt(String text, int at) {
        String found = null;
        for (String token : special.keySet()) {
            if ((found == null || token.length() > found.length()) && text.startsWith(token, at)) {
                found = token;
            }
        }
        return found;
    }

    /** A word or a punctuation mark, normalized: the code points {@code first} to {@code end} of a text. */
    static final class Word {
        final NormalizedText text;
        final int first, end;

        Word(NormalizedText text, int first, int end) {
            this.text = text;
            this.first = first;
            this.end = end;
        }
    }

    /** Returns the words of a part of a text that has no special token. */
    List<Word> words(String text, int begin, int end) {
        NormalizedText normalized = NormalizedText.of(text, begin, end, this);
        List<Word> words = new ArrayList<>();
        int first = 0;
        for (int at = 0; at <= normalized.size; at++) {
            int point = at == normalized.size ? ' ' : normalized.points[at];
            boolean alone = table.is(point, CharacterTable.PUNCTUATION);
            if (alone || point == ' ') {
                if (first < at) {
                    words.add(new Word(normalized, first, at));
                }
                if (alone) {
                    words.add(new Word(normalized, at, at + 1));
                }
                first = at + 1;
            }
        }
        return words;
    }

    /** Adds the longest piece that begins the word, then the longest that begins the rest of it, and so on. */
    private void addPieces(Word word, Tokens tokens) {
        NormalizedText text = word.text;
        int before = tokens.size(), end = word.end;
        boolean known = end - word.first <= LONGEST_WORD;
        for (int from = word.first, to; known && from < end; from = to) {
            Map<String, Integer> pieces = from == word.first ? first : rest;
            Integer id = null;
            for (to = Math.min(end, from + longestPiece); to > from; to--) {
                id = pieces.get(new String(text.points, from, to - from));
                if (id != null) {
                    break;
                }
            }
            known = id != null;
            if (known) {
                tokens.add(id, text.starts[from], text.ends[to - 1]);
            }
        }
        if (!known) {
            tokens.cutTo(before);
            tokens.add(unkId, text.starts[word.first], text.ends[end - 1]);
        }
    }
}
