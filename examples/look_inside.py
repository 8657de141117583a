"""Look inside a network: its filters, what each layer sees in a digit, and what it gets wrong.

python examples/look_inside.py      # needs matplotlib
"""

from __future__ import annotations

import fastconv
from fastconv import data, models, plots, train

fastconv.manual_seed(0)
test = data.mnist(split="test")

net = models.lenet5()
history = train.fit(net, data.mnist(), test, epochs=10, augment=data.random_shift)

plots.training_curve(history, path="training.png")
plots.filters(net, path="filters.png")
for layer in ("conv1", "act1", "pool1", "conv2", "act2"):
    plots.feature_maps(net, test.images[0], layer, path=f"maps-{layer}.png")
plots.errors(*test, train.predict(net, test.images), path="errors.png")

# The same in numbers: a hook sees what goes into a layer and what comes out.
net.eval()
for name, layer in net.named_children():
    layer.register_forward_hook(
        lambda _, inputs, out, name=name: print(
            f"{name:8} {inputs[0].shape} -> {out.shape}, {(out.data > 0).mean():.0%} above zero"
        )
    )
net(test.images[:1])
