"""SavedModels whose answers are known without running them.

Of a text: `score`, its length in bytes times the weight, and `label`, `long` or `short`.
"""

import tensorflow as tf


class Toy(tf.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = tf.Variable(float(weight))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def texts(self, text):
        fine = tf.debugging.assert_equal(tf.reduce_any(text == "fail"), False, "the text must not be fail")
        with tf.control_dependencies([fine]):
            length = tf.strings.length(text)
        return {
            "label": tf.where(length > 4, "long", "short"),
            "score": tf.cast(length, tf.float32) * self.weight,
            "probabilities": tf.stack([tf.cast(length, tf.float32) * 0.1, tf.zeros_like(length, tf.float32)], axis=1),
            "raw_bytes": text,
        }

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32)])
    def ids(self, token_ids):
        return {"total": tf.reduce_sum(token_ids, axis=1)}

    @tf.function(
        input_signature=[tf.TensorSpec((None,), tf.string), tf.TensorSpec((None, 2), tf.float32)],
    )
    def two(self, text, numbers):
        return {"sum": tf.reduce_sum(numbers, axis=1) + tf.cast(tf.strings.length(text), tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def words(self, text):
        return {"words": tf.strings.split(text).to_tensor("")}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32)])
    def spin(self, count):
        most = tf.reduce_max(count)
        return {"turns": count + tf.while_loop(lambda i: i < most, lambda i: [i + 1], [0])[0] - most}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def classify(self, inputs):
        x = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature((), tf.float32)})["x"]
        classes = tf.repeat(tf.constant([["low", "high"]]), tf.shape(x)[0], axis=0)
        return {"classes": classes, "scores": tf.stack([1 - x, x], axis=1)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def regress(self, inputs):
        x = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature((), tf.float32)})["x"]
        return {"outputs": x[:, tf.newaxis] * 2}


def write_toy(directory, weight):
    toy = Toy(weight)
    signatures = {
        "serving_default": toy.texts,
        "ids": toy.ids,
        "two": toy.two,
        "words": toy.words,
        "spin": toy.spin,
        "classify": toy.classify,
        "regress": toy.regress,
    }
    tf.saved_model.save(toy, directory, signatures=signatures)
