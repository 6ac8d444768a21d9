"""Write the checkpoints and expected outputs of the tests beside this file, with TensorFlow itself.

    python -m venv tf && tf/bin/pip install tensorflow-cpu==2.21.0 tf_keras==2.21.0
    tf/bin/python tests/models/tf_checkpoint/make_tf_checkpoint.py

Run once by hand: the tests need what it writes and no TensorFlow. Variables have the names that
google-research/electra, yitu-opensource/ConvBert and NVIDIA's TensorFlow 2 ELECTRA give theirs, and are saved by what
those use: `Saver`, and `tf.train.Checkpoint` over Keras layers. The networks are computed here with TensorFlow's
operations, from the papers (Clark et al. 2020; Jiang et al. 2020), so that they are a reference of their own.
"""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

FOLDER = Path(__file__).parent / "data"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(35))]
IDS = np.array([[2, 7, 4, 30, 9, 4, 3, 0], [2, 11, 12, 4, 39, 3, 4, 3]])
MASK = np.array([[1, 1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1, 1]])
TYPES = np.array([[0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1, 1]])
POSITIONS = np.array([[2, 5], [3, 6]])  # the generator's outputs at these
STEP = 1234


@dataclass
class Sizes:
    """Of one encoder. A `kernel` makes it a ConvBERT, half of whose heads are convolutions."""

    hidden: int
    heads: int
    feed_forward: int
    embedding: int = 8
    layers: int = 2
    kernel: int = 0
    groups: int = 1


class Weights:
    """Random arrays by the names of variables, made when they are first asked for: large, and different everywhere."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.arrays = {}

    def __call__(self, name, *shape):
        if name not in self.arrays:
            center = 1.0 if name.endswith("gamma") else 0.0
            self.arrays[name] = (center + 0.3 * self.random.standard_normal(shape)).astype(np.float32)
        return tf.constant(self.arrays[name])

    def dense(self, x, units, name):
        return tf.tensordot(x, self(f"{name}/kernel", x.shape[-1], units), 1) + self(f"{name}/bias", units)

    def grouped(self, x, units, groups, name):
        if groups == 1:
            return self.dense(x, units, f"{name}/dense")
        kernel = self(f"{name}/g_dense/kernel", groups, x.shape[-1] // groups, units // groups)
        parts = [tf.tensordot(part, kernel[i], 1) for i, part in enumerate(tf.split(x, groups, -1))]
        return tf.concat(parts, -1) + self(f"{name}/g_dense/bias", units)

    def layer_norm(self, x, name):
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        scale, shift = self(f"{name}/LayerNorm/gamma", x.shape[-1]), self(f"{name}/LayerNorm/beta", x.shape[-1])
        return (x - mean) / tf.sqrt(variance + 1e-12) * scale + shift


def gelu(x):
    return 0.5 * x * (1 + tf.math.erf(x / math.sqrt(2)))


def encode(weights, scope, sizes, embeddings, mask):
    """(b, l, h): the encoder in `scope`, with the embeddings in the scope `embeddings`."""
    width = sizes.embedding
    x = (
        tf.gather(weights(f"{embeddings}/word_embeddings", len(VOCABULARY), width), IDS)
        + weights(f"{embeddings}/position_embeddings", 12, width)[: IDS.shape[1]]
        + tf.gather(weights(f"{embeddings}/token_type_embeddings", 2, width), TYPES)
    )
    x = weights.layer_norm(x, embeddings)
    if width != sizes.hidden:
        x = weights.dense(x, sizes.hidden, f"{scope}/embeddings_project")
    for number in range(sizes.layers):
        layer = f"{scope}/encoder/layer_{number}"
        context = attend(weights, f"{layer}/attention/self", sizes, x, mask)
        attended = weights.dense(context, sizes.hidden, f"{layer}/attention/output/dense")
        x = weights.layer_norm(x + attended, f"{layer}/attention/output")
        inner = gelu(weights.grouped(x, sizes.feed_forward, sizes.groups, f"{layer}/intermediate"))
        x = weights.layer_norm(
            x + weights.grouped(inner, sizes.hidden, sizes.groups, f"{layer}/output"), f"{layer}/output"
        )
    return x


def attend(weights, name, sizes, x, mask):
    """(b, l, h) contexts of all heads side by side: attention, and for ConvBERT convolutions behind them."""
    head = sizes.hidden // sizes.heads
    heads = max(1, sizes.heads // 2) if sizes.kernel else sizes.heads
    batch, length = IDS.shape

    def divided(y):
        return tf.reshape(y, [batch, length, heads, head])

    query, key, value = (weights.dense(x, heads * head, f"{name}/{part}") for part in ("query", "key", "value"))
    scores = tf.einsum("bqnh,bknh->bnqk", divided(query), divided(key)) / math.sqrt(head)
    scores += tf.cast(1 - mask, tf.float32)[:, None, None, :] * -10000.0
    contexts = [tf.einsum("bnqk,bknh->bqnh", tf.nn.softmax(scores), divided(value))]
    if sizes.kernel:
        contexts.append(convolve(weights, name, sizes.kernel, x, query, divided))
    return tf.reshape(tf.concat(contexts, 2), [batch, length, -1])


def convolve(weights, name, width, x, query, divided):
    """Span-based dynamic convolution: each position and head draws its kernel from the span around it."""
    length, units = IDS.shape[1], query.shape[-1]

    def spans(y):  # (b, l, width, units)
        padded = tf.pad(y, [[0, 0], [width // 2, width // 2], [0, 0]])
        return tf.stack([padded[:, i : i + length] for i in range(width)], 2)

    depthwise = weights(f"{name}/conv_attn_key/depthwise_kernel", width, x.shape[-1], 1)[:, :, 0]
    pointwise = weights(f"{name}/conv_attn_key/pointwise_kernel", 1, x.shape[-1], units)[0]
    key = tf.tensordot(tf.einsum("blkh,kh->blh", spans(x), depthwise), pointwise, 1)
    key += weights(f"{name}/conv_attn_key/bias", units)
    heads = divided(query).shape[2]
    kernels = weights.dense(key * query, heads * width, f"{name}/conv_attn_kernel")
    kernels = tf.nn.softmax(tf.reshape(kernels, [*IDS.shape, heads, width]))
    values = spans(weights.dense(x, units, f"{name}/conv_attn_point"))
    values = tf.reshape(values, [*IDS.shape, width, heads, -1])
    return tf.einsum("blnk,blknh->blnh", kernels, values)


def generator_logits(weights, hidden, embeddings):
    """(b, k, v) at `POSITIONS`."""
    hidden = tf.gather(hidden, POSITIONS, batch_dims=1)
    table = tf.constant(weights.arrays[f"{embeddings}/word_embeddings"])
    hidden = gelu(weights.dense(hidden, table.shape[1], "generator_predictions/dense"))
    hidden = weights.layer_norm(hidden, "generator_predictions")
    return tf.tensordot(hidden, table, [[2], [1]]) + weights("generator_predictions/output_bias", len(VOCABULARY))


def discriminator_logits(weights, hidden):
    """(b, l)"""
    hidden = gelu(weights.dense(hidden, hidden.shape[-1], "discriminator_predictions/dense"))
    return weights.dense(hidden, 1, "discriminator_predictions/dense_1")[..., 0]


def both(seed, discriminator, generator, *, mask=MASK, tied=True):
    """Weights of a pre-training graph, and what it computes for `IDS`."""
    weights = Weights(seed)
    hidden = encode(weights, "electra", discriminator, "electra/embeddings", mask)
    outputs = {"mask": mask, "discriminator_logits": discriminator_logits(weights, hidden)}
    embeddings = "electra/embeddings" if tied else "generator/embeddings"
    hidden = encode(weights, "generator", generator, embeddings, mask)
    outputs["generator_logits"] = generator_logits(weights, hidden, embeddings)
    return weights.arrays, outputs


def save_with_saver(name, arrays, slots=()):
    """As Estimator does: all variables, Adam's moments (of a few, to keep files small) and the step, by a `Saver`."""
    folder = FOLDER / name
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for variable, array in arrays.items():
            tf.compat.v1.get_variable(variable, initializer=array)
            if variable.startswith(slots):
                for slot in ("adam_m", "adam_v"):
                    tf.compat.v1.get_variable(f"{variable}/{slot}", initializer=np.zeros_like(array))
        tf.compat.v1.get_variable("global_step", initializer=np.int64(STEP), trainable=False)
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(save_relative_paths=True)
        saver.save(session, str(folder / "model.ckpt"), global_step=STEP, write_meta_graph=False)


class Embeddings(keras.layers.Layer):
    """Layers with the attributes of NVIDIA's, which name the variables of an object-graph checkpoint."""

    def __init__(self, arrays, scope):
        super().__init__()
        self.position_embeddings = table(arrays[f"{scope}/position_embeddings"])
        self.token_type_embeddings = table(arrays[f"{scope}/token_type_embeddings"])
        self.LayerNorm = norm(arrays, scope)
        array = arrays[f"{scope}/word_embeddings"]
        self.word_embeddings = self.add_weight("weight", shape=array.shape)
        self.word_embeddings.assign(array)


def table(array):
    layer = keras.layers.Embedding(*array.shape)
    layer.build(None)
    layer.set_weights([array])
    return layer


def norm(arrays, scope):
    gamma, beta = (arrays[f"{scope}/LayerNorm/{part}"] for part in ("gamma", "beta"))
    layer = keras.layers.LayerNormalization()
    layer.build([None, len(gamma)])
    layer.set_weights([gamma, beta])
    return layer


def linear(arrays, scope):
    kernel, bias = (arrays[f"{scope}/{part}"] for part in ("kernel", "bias"))
    layer = keras.layers.Dense(len(bias))
    layer.build([None, len(kernel)])
    layer.set_weights([kernel, bias])
    return layer


def group(kind=keras.layers.Layer, **children):
    layer = kind()
    for name, child in children.items():
        setattr(layer, name, child)
    return layer


def nvidia_encoder(arrays, scope, embeddings):
    layers = []
    for number in range(2):
        place = f"{scope}/encoder/layer_{number}"
        heads = {part: linear(arrays, f"{place}/attention/self/{part}") for part in ("query", "key", "value")}
        output = group(
            dense=linear(arrays, f"{place}/attention/output/dense"),
            LayerNorm=norm(arrays, f"{place}/attention/output"),
        )
        layers.append(
            group(
                attention=group(self_attention=group(**heads), dense_output=output),
                intermediate=group(dense=linear(arrays, f"{place}/intermediate/dense")),
                bert_output=group(
                    dense=linear(arrays, f"{place}/output/dense"), LayerNorm=norm(arrays, f"{place}/output")
                ),
            )
        )
    project = linear(arrays, f"{scope}/embeddings_project")
    return group(keras.Model, embeddings=embeddings, embeddings_project=project, encoder=group(layer=layers))


class VocabularyHead(keras.layers.Layer):
    def __init__(self, embeddings, bias):
        super().__init__()
        self.input_embeddings = embeddings
        self.bias = self.add_weight("bias", shape=bias.shape)
        self.bias.assign(bias)


def save_as_nvidia(name, arrays):
    embeddings = Embeddings(arrays, "electra/embeddings")
    discriminator = group(
        keras.Model,
        electra=nvidia_encoder(arrays, "electra", embeddings),
        discriminator_predictions=group(
            dense=linear(arrays, "discriminator_predictions/dense"),
            dense_prediction=linear(arrays, "discriminator_predictions/dense_1"),
        ),
    )
    generator = group(
        keras.Model,
        electra=nvidia_encoder(arrays, "generator", embeddings),
        generator_predictions=group(
            LayerNorm=norm(arrays, "generator_predictions"), dense=linear(arrays, "generator_predictions/dense")
        ),
        generator_lm_head=VocabularyHead(embeddings, arrays["generator_predictions/output_bias"]),
    )
    model = group(keras.Model, discriminator=discriminator, generator=generator)
    optimizer = keras.optimizers.legacy.Adam()
    variables = model.generator.generator_predictions.trainable_variables
    optimizer.apply_gradients((tf.zeros_like(variable), variable) for variable in variables)
    checkpoint = tf.train.Checkpoint(
        step=tf.Variable(STEP + 1), phase2=tf.Variable(False), optimizer=optimizer, model=model
    )
    # What tf.train.CheckpointManager calls, with the names that NVIDIA's script chooses.
    checkpoint.write(str(FOLDER / name / "ckpt-0"))


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    tiny, tinier = Sizes(hidden=16, heads=2, feed_forward=24), Sizes(hidden=12, heads=1, feed_forward=20)
    graphs = {
        "google": both(0, tiny, tinier),
        "google_untied": both(
            1,
            Sizes(hidden=16, heads=2, feed_forward=24, layers=1),
            Sizes(hidden=12, heads=1, feed_forward=20, embedding=12, layers=1),
            tied=False,
        ),
        # Rows of full length, as the convolution of the reference also sees what is behind the end of a row.
        "convbert": both(
            2,
            Sizes(hidden=16, heads=4, feed_forward=24, kernel=3, groups=2),
            Sizes(hidden=12, heads=2, feed_forward=20, kernel=3, layers=1),
            mask=np.ones_like(MASK),
        ),
        "nvidia": both(3, tiny, tinier),
    }
    for name, (arrays, outputs) in graphs.items():
        (FOLDER / name).mkdir(parents=True)
        if name == "nvidia":
            save_as_nvidia(name, arrays)
        else:
            save_with_saver(name, arrays, slots=("generator_predictions",) if name == "google" else ())
        np.savez_compressed(
            FOLDER / name / "expected.npz", **{key: np.asarray(value) for key, value in outputs.items()}
        )
    np.savez_compressed(FOLDER / "inputs.npz", input_ids=IDS, token_type_ids=TYPES, positions=POSITIONS)
    (FOLDER / "google" / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
