package bertsuite;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Array;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Compares the tokenizer and the decoders with a golden file, on a machine with a JDK.
 *
 * <pre>
 * java bertsuite.Check character_table.txt cases FILE          compares; exits with 1 on a difference
 * java bertsuite.Check character_table.txt sweep LOWERCASE STRIP_ACCENTS SPLIT_CHINESE
 *                                                              digests of all code points, 4096 a line
 * java bertsuite.Check character_table.txt bench VOCABULARY TEXT
 *                                                              lines and tokens a second of processor time
 * </pre>
 */
final class Check {
    private static final double TOLERANCE = 1e-5;
    private static final int BLOCK = 4096;

    private final CharacterTable table;
    private final Map<String, WordPieceTokenizer> tokenizers = new HashMap<>();
    private int compared, different;

    private Check(CharacterTable table) {
        this.table = table;
    }

    public static void main(String[] arguments) throws IOException, NoSuchAlgorithmException {
        if (arguments[1].equals("bench")) {
            bench(arguments[0], arguments[2], read(arguments[3]).split("\n"));
            return;
        }
        Check check = new Check(new CharacterTable(read(arguments[0])));
        if (arguments[1].equals("sweep")) {
            check.sweep(Arrays.copyOfRange(arguments, 2, 5));
        } else {
            check.compareAll(map(Json.parse(read(arguments[2]))));
        }
    }

    private static String read(String path) throws IOException {
        return WordPieceTokenizer.readText(Files.newInputStream(Paths.get(path)));
    }

    // Cases

    private void compareAll(Map<String, Object> golden) {
        for (Map.Entry<String, Object> entry : map(golden.get("options")).entrySet()) {
            Object own = map(golden.get("vocabularies")).get(entry.getKey());
            Object vocabulary = own == null ? map(golden.get("vocabularies")).get("uncased") : own;
            String lines = String.join("\n", strings(vocabulary));
            tokenizers.put(entry.getKey(), new WordPieceTokenizer(lines, table, options(map(entry.getValue()))));
        }
        for (Object one : list(golden.get("texts"))) {
            compareText(map(one));
        }
        for (Object one : list(golden.get("windows"))) {
            compareWindows(map(one));
        }
        for (Object one : list(golden.get("words"))) {
            Map<String, Object> golds = map(one);
            comparePlaces(golds, TagDecoder.words((String) golds.get("text"), table));
        }
        for (Object one : list(golden.get("tags"))) {
            compareTags(map(one));
        }
        for (Object one : list(golden.get("chosen_tags"))) {
            compareChosenTags(map(one));
        }
        for (Object one : list(golden.get("answers"))) {
            compareAnswers(map(one));
        }
        System.out.println(compared + " compared, " + different + " different");
        System.exit(different == 0 ? 0 : 1);
    }

    private static WordPieceTokenizer.Options options(Map<String, Object> from) {
        WordPieceTokenizer.Options options = new WordPieceTokenizer.Options();
        options.lowercase = (boolean) from.getOrDefault("lowercase", true);
        options.stripAccents = (Boolean) from.get("stripAccents");
        options.splitChinese = (boolean) from.getOrDefault("splitChinese", true);
        if (from.containsKey("specialTokens")) {
            Map<String, Object> names = map(from.get("specialTokens"));
            options.unkToken = (String) names.get("unk");
            options.clsToken = (String) names.get("cls");
            options.sepToken = (String) names.get("sep");
            options.padToken = (String) names.get("pad");
            options.maskToken = (String) names.get("mask");
            options.extraTokens = strings(from.get("extraTokens"));
        }
        return options;
    }

    private void compareText(Map<String, Object> golden) {
        String text = (String) golden.get("text"), pair = (String) golden.get("pair");
        Encoding row;
        try {
            row = tokenizers.get(golden.get("kind")).encode(text, pair, integer(golden.get("max_length")),
                    WordPieceTokenizer.Truncation.valueOf(golden.get("truncation").toString().toUpperCase()),
                    (boolean) golden.get("pad"));
        } catch (IllegalArgumentException error) {
            compare(golden, "error", true, golden.getOrDefault("error", error.getMessage()));
            return;
        }
        List<int[]> places = new ArrayList<>();
        List<int[]> points = new ArrayList<>();
        for (int index = 0; index < row.ids.length; index++) {
            int[] place = {row.starts[index], row.ends[index]};
            places.add(place);
            points.add(codePoints(row.segmentIds[index] == 0 ? text : pair, place));
        }
        compare(golden, "ids", row.ids);
        compare(golden, "segment_ids", row.segmentIds);
        compare(golden, "mask", row.mask);
        compare(golden, "utf16", places.toArray());
        compare(golden, "code_points", points.toArray());
    }

    private Windows windows(Map<String, Object> golden) {
        return Windows.encode(tokenizers.get(golden.get("kind")), (String) golden.get("text"),
                (String) golden.get("question"), integer(golden.get("length")), integer(golden.get("stride")));
    }

    private void compareWindows(Map<String, Object> golden) {
        Windows windows = windows(golden);
        int count = windows.rows.length;
        int[][] ids = new int[count][], segmentIds = new int[count][], mask = new int[count][];
        for (int row = 0; row < count; row++) {
            ids[row] = windows.rows[row].ids;
            segmentIds[row] = windows.rows[row].segmentIds;
            mask[row] = windows.rows[row].mask;
        }
        compare(golden, "ids", ids);
        compare(golden, "segment_ids", segmentIds);
        compare(golden, "mask", mask);
        compare(golden, "tokens", windows.tokens);
        compare(golden, "best", windows.bestPlaces());
        List<int[]> places = new ArrayList<>();
        for (int token = 0; token < windows.ofText.size(); token++) {
            places.add(new int[] {windows.ofText.start(token), windows.ofText.end(token)});
        }
        comparePlaces(golden, places);
    }

    private void compareTags(Map<String, Object> golden) {
        float[][][] logits = list(golden.get("logits")).stream()
                .map(row -> list(row).stream().map(Check::floats).toArray(float[][]::new)).toArray(float[][][]::new);
        Windows windows = windows(golden);
        String[] labels = strings(golden.get("labels"));
        compareSpans(golden, TagDecoder.decode(windows, logits, true, labels));
        for (float[][] row : logits) {
            for (float[] one : row) {
                softmax(one);
            }
        }
        compareSpans(golden, TagDecoder.decode(windows, logits, false, labels));
    }

    private void compareSpans(Map<String, Object> golden, List<TagDecoder.Span> spans) {
        comparePlaces(golden, spans.stream().map(span -> new int[] {span.start, span.end}));
        compare(golden, "labels_found", spans.stream().map(span -> span.label).toArray());
        compare(golden, "scores", spans.stream().map(span -> (double) span.score).toArray());
    }

    private void compareChosenTags(Map<String, Object> golden) {
        Windows windows = windows(golden);
        int[][] tags = list(golden.get("tags")).stream()
                .map(row -> list(row).stream().mapToInt(Check::integer).toArray()).toArray(int[][]::new);
        compare(golden, "word_mask", TagDecoder.wordMask(windows));
        List<TagDecoder.Span> spans = TagDecoder.decode(windows, tags, strings(golden.get("labels")));
        comparePlaces(golden, spans.stream().map(span -> new int[] {span.start, span.end}));
        compare(golden, "labels_found", spans.stream().map(span -> span.label).toArray());
    }

    private static void softmax(float[] logits) {
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit);
        }
        for (int index = 0; index < logits.length; index++) {
            logits[index] = (float) (Math.exp(logits[index]) / sum);
        }
    }

    private void compareAnswers(Map<String, Object> golden) {
        float[][] starts = list(golden.get("start_logits")).stream().map(Check::floats).toArray(float[][]::new);
        float[][] ends = list(golden.get("end_logits")).stream().map(Check::floats).toArray(float[][]::new);
        Double threshold = (Double) golden.get("null_threshold");
        List<AnswerDecoder.Answer> answers = AnswerDecoder.decode(windows(golden), starts, ends,
                integer(golden.get("longest")), threshold == null ? null : threshold.floatValue());
        comparePlaces(golden, answers.stream().map(one -> new int[] {Math.max(one.start, 0), Math.max(one.end, 0)}));
        compare(golden, "answers", answers.stream().map(one -> one.text).toArray());
        compare(golden, "scores", answers.stream().map(one -> one.score).toArray());
    }

    private void comparePlaces(Map<String, Object> golden, Stream<int[]> places) {
        comparePlaces(golden, places.collect(Collectors.toList()));
    }

    private void comparePlaces(Map<String, Object> golden, List<int[]> places) {
        String text = (String) golden.get("text");
        compare(golden, "utf16", places.toArray());
        compare(golden, "code_points", places.stream().map(place -> codePoints(text, place)).toArray());
    }

    private static int[] codePoints(String text, int[] place) {
        return place[1] == 0 ? place : new int[] {text.codePointCount(0, place[0]), text.codePointCount(0, place[1])};
    }

    private void compare(Map<String, Object> golden, String name, Object found) {
        compare(golden, name, golden.get(name), found);
    }

    private void compare(Map<String, Object> golden, String name, Object expected, Object found) {
        compared++;
        if (!equal(expected, found)) {
            different++;
            String given = Arrays.deepToString(new Object[] {found});
            System.out.printf("%s: expected %s, found %s, of %s%n", name, expected, given, golden.get("text"));
        }
    }

    private static boolean equal(Object expected, Object found) {
        if (!(expected instanceof List)) {
            return expected instanceof Double
                    ? Math.abs((Double) expected - ((Number) found).doubleValue()) <= TOLERANCE
                    : expected != null && expected.equals(found);
        }
        List<Object> items = list(expected);
        boolean same = items.size() == Array.getLength(found);
        for (int index = 0; same && index < items.size(); index++) {
            same = equal(items.get(index), Array.get(found, index));
        }
        return same;
    }

    // All code points

    private void sweep(String[] flags) throws NoSuchAlgorithmException {
        WordPieceTokenizer.Options options = new WordPieceTokenizer.Options();
        options.lowercase = Boolean.parseBoolean(flags[0]);
        options.stripAccents = Boolean.parseBoolean(flags[1]);
        options.splitChinese = Boolean.parseBoolean(flags[2]);
        WordPieceTokenizer tokenizer = new WordPieceTokenizer("[PAD]\n[UNK]\n[CLS]\n[SEP]", table, options);
        for (int first = 0; first <= Character.MAX_CODE_POINT; first += BLOCK) {
            StringBuilder text = new StringBuilder();
            for (int point = first; point < first + BLOCK; point++) {
                if (point < Character.MIN_SURROGATE || point > Character.MAX_SURROGATE) {
                    text.append('a').appendCodePoint(point).append("b ");
                }
            }
            StringBuilder words = new StringBuilder();
            for (WordPieceTokenizer.Word word : tokenizer.words(text.toString(), 0, text.length())) {
                words.append(new String(word.text.points, word.first, word.end - word.first)).append('\t');
                words.append(word.text.starts[word.first]).append('\t');
                words.append(word.text.ends[word.end - 1]).append('\n');
            }
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            StringBuilder hexadecimal = new StringBuilder();
            for (byte one : digest.digest(words.toString().getBytes(StandardCharsets.UTF_8))) {
                hexadecimal.append(String.format("%02x", one));
            }
            System.out.println(hexadecimal);
        }
    }

    // Speed

    private static void bench(String tablePath, String vocabularyPath, String[] lines) throws IOException {
        long before = cpuTime();
        WordPieceTokenizer tokenizer = new WordPieceTokenizer(
                read(vocabularyPath), new CharacterTable(read(tablePath)), new WordPieceTokenizer.Options());
        System.out.printf("opened in %d ms%n", (cpuTime() - before) / 1_000_000);
        for (int round = 0; round < 5; round++) {
            long tokens = 0;
            before = cpuTime();
            for (String line : lines) {
                tokens += tokenizer.tokenize(line).size();
            }
            double seconds = (cpuTime() - before) / 1e9;
            System.out.printf("%.0f lines/s, %.0f tokens/s%n", lines.length / seconds, tokens / seconds);
        }
    }

    /** Returns the nanoseconds that this thread has run. */
    private static long cpuTime() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> map(Object value) {
        return (Map<String, Object>) value;
    }

    @SuppressWarnings("unchecked")
    private static List<Object> list(Object value) {
        return (List<Object>) value;
    }

    private static String[] strings(Object value) {
        return list(value).toArray(new String[0]);
    }

    private static int integer(Object value) {
        return ((Double) value).intValue();
    }

    private static float[] floats(Object value) {
        List<Object> items = list(value);
        float[] found = new float[items.size()];
        for (int index = 0; index < found.length; index++) {
            found[index] = ((Double) items.get(index)).floatValue();
        }
        return found;
    }
}
