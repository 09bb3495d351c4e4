package bertsuite;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A reader of well-formed JSON, for {@link Check}: maps, lists, strings, doubles, booleans and nulls. */
final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(String text) {
        return new Json(text).value();
    }

    private Object value() {
        char next = peek();
        if (next == '{') {
            Map<String, Object> map = new LinkedHashMap<>();
            while (more('}')) {
                String key = string();
                take(':');
                map.put(key, value());
            }
            return map;
        }
        if (next == '[') {
            List<Object> list = new ArrayList<>();
            while (more(']')) {
                list.add(value());
            }
            return list;
        }
        return next == '"' ? string() : word();
    }

    /** Steps over what opens a list or parts its items; returns whether an item follows. */
    private boolean more(char close) {
        at++;
        if (text.charAt(at - 1) == close || (peek() == close)) {
            at += text.charAt(at - 1) == close ? 0 : 1;
            return false;
        }
        return true;
    }

    private char peek() {
        while (text.charAt(at) <= ' ') {
            at++;
        }
        return text.charAt(at);
    }

    private void take(char expected) {
        if (peek() != expected) {
            throw new IllegalArgumentException("JSON: " + expected + " expected at " + at);
        }
        at++;
    }

    private String string() {
        take('"');
        StringBuilder out = new StringBuilder();
        for (char next; (next = text.charAt(at++)) != '"'; ) {
            if (next == '\\') {
                next = text.charAt(at++);
                int known = "nrtbf".indexOf(next);
                if (next == 'u') {
                    next = (char) Integer.parseInt(text.substring(at, at += 4), 16);
                } else if (known >= 0) {
                    next = "\n\r\t\b\f".charAt(known);
                }
            }
            out.append(next);
        }
        return out.toString();
    }

    private Object word() {
        int begin = at;
        while (at < text.length() && ",]} \n\r\t".indexOf(text.charAt(at)) < 0) {
            at++;
        }
        String word = text.substring(begin, at);
        return word.equals("null") ? null
                : word.equals("true") || word.equals("false") ? (Object) word.equals("true") : Double.valueOf(word);
    }
}
