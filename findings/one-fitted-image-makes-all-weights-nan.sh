#!/usr/bin/env bash
# optax's SAM turns all weights into NaN when the gradient of a batch is exactly 0: one image fitted to the last bit, or a batch of padding.
#
# Seen with optax 0.2.8 (jax 0.10.2, CPU, float32). Its documentation of SAM builds the ascent from `optax.contrib.normalize()`. That
# divides the gradient by its norm, without a small number beside it: 0 / 0 at a gradient of 0, and so are the weights it leads to.
# - A tanh network on the digits of scikit-learn 1.9.1, Adam with 0.01, one image a step (SAM of single images: m-sharpness with m = 1). In
#   epoch 20 one image has a loss whose gradient is 0 in float32; from the next step on every weight is NaN. Plain Adam meets such an image
#   in epoch 24 and goes on.
# - A batch whose losses are all masked, as the last one of data that are padded to full batches: NaN after this one step, from any weights.
# - Without opaque_mode it is the same, and a NaN in a step that is not taken spoils the one that is: it is chosen as 0 * NaN + 1 * step.
# With the norm plus 1e-12, as common implementations for torch have it, all weights stay finite. Nothing is said; no issue was found.
# Why it matters here: a run is lost, in a late epoch, just where a network fits its images best, which is where SAM is watched. Divide by
# the norm plus a small number in an ascent of your own, and put optax.apply_if_finite around the whole.
# Fails if the weights stay finite.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/zero.py" <<'PY'
import importlib.metadata

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax.contrib import normalize, sam
from sklearn.datasets import load_digits

found = load_digits()
x = jnp.array(found.images.reshape(len(found.images), -1) / 16, dtype=jnp.float32)
y = jnp.array(found.target)


def start(draws):
    shapes = {"first": (64, 50), "second": (50, 10)}
    return {name: jnp.array(draws.normal(size=size) / np.sqrt(size[0]), dtype=jnp.float32) for name, size in shapes.items()}


def loss(weights, images, labels, mask):
    logits = jnp.tanh(images @ weights["first"]) @ weights["second"]
    each = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return (each * mask).sum() / jnp.maximum(mask.sum(), 1)


slope = jax.grad(loss)


def with_a_small_number():
    def update(updates, state, params=None):
        return jax.tree.map(lambda g: g / (optax.tree.norm(updates) + 1e-12), updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def step(chosen, opaque):
    def go(carry, batch):
        weights, state = carry
        gradient = slope(weights, *batch)
        again = {"grad_fn": lambda there, _: slope(there, *batch)} if opaque else {}
        updates, state = chosen.update(gradient, state, weights, **again)
        return (optax.apply_updates(weights, updates), state), optax.tree.norm(gradient)

    return go


def finite(weights):
    return all(bool(jnp.isfinite(one).all()) for one in jax.tree.leaves(weights))


def trained(chosen, opaque, epochs=40):
    """The epoch with the first gradient of 0, and whether all weights are finite at its end."""
    draws = np.random.default_rng(0)
    weights = start(draws)
    state, whole = chosen.init(weights), jax.jit(lambda *given: jax.lax.scan(step(chosen, opaque), *given))
    for epoch in range(1, epochs + 1):
        order = jnp.array(draws.permutation(len(x)))[:, None]
        (weights, state), norms = whole((weights, state), (x[order], y[order], jnp.ones(order.shape)))
        if (np.asarray(norms) == 0).any():
            return epoch, finite(weights)
    return None, finite(weights)


print(*(f"{name} {importlib.metadata.version(name)} " for name in ("optax", "jax")))
ascents = {"normalize()": normalize, "norm plus 1e-12": with_a_small_number}
outer = optax.adam(0.01)
seen = {}
for name, divide in ascents.items():
    adversary = optax.chain(divide(), optax.sgd(0.05))
    seen[name] = epoch, well = trained(sam(outer, adversary, opaque_mode=True), opaque=True)
    print(f"  one image a step, {name}: first gradient of 0 in epoch {epoch}, all weights finite: {well}")
    for opaque in (True, False):
        chosen = sam(outer, adversary, opaque_mode=opaque)
        weights = start(np.random.default_rng(0))
        carry, padding = (weights, chosen.init(weights)), (x[:8], y[:8], jnp.zeros(8))
        for _ in range(1 if opaque else 2):
            carry, _ = step(chosen, opaque)(carry, padding)
        seen[name, opaque] = finite(carry[0])
        print(f"    one batch of padding, opaque_mode={opaque}: all weights finite: {seen[name, opaque]}")
plain = trained(optax.adam(0.01), opaque=False)
print(f"  plain Adam: first gradient of 0 in epoch {plain[0]}, all weights finite: {plain[1]}")
assert plain[0] and plain[1], "plain Adam met no such image, or is not finite"
small = "norm plus 1e-12"
assert seen[small][1] and seen[small, True] and seen[small, False]
assert seen["normalize()"][0] and not seen["normalize()"][1], "the behaviour has changed"
assert not seen["normalize()", True] and not seen["normalize()", False], "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 optax==0.2.8 \
  jax==0.10.2 jaxlib==0.10.2
"$here/venv/bin/python" "$here/zero.py"
