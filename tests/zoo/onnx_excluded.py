"""The cases of ONNX's backend tests that are not for this library, by name, grouped by reason.

Patterns are searched in names such as "test_conv_with_strides_padding_cpu". What matches none of
them must pass.
"""

from __future__ import annotations

import re

__all__ = ["EXCLUDED", "is_excluded"]

# Operators without a converter; their cases are called after them.
OPERATORS = """
    acos acosh adagrad adam affine_grid ai_onnx_ml argmax argmin asin asinh atan atanh attention
    basic_deform bernoulli bitcast bitshift bitwise blackmanwindow col2im compress convinteger cos
    cosh cumprod cumsum deform dequantizelinear det dft dynamicquantizelinear einsum erf eyelike
    gather_elements gathernd gelu_default gridsample gru hammingwindow hannwindow hardmax if
    image_decoder instancenorm isinf isnan l1normalization l2normalization linear_attention loop11
    loop13 loop16 lpnormalization lppool lstm matmulinteger maxunpool melweightmatrix mod momentum
    nesterov nllloss nonmaxsuppression nonzero onehot optional qlinearconv qlinearmatmul
    quantizelinear reduce_prod regex resize reversesequence rnn roialign scan scan9 scatter
    scatternd sce sequence simple_rnn sin sinh stft string strnorm strnormalizer tan tensorscatter
    tfidfvectorizer top_k tril triu unique upsample
"""

# Operators without a converter, whose cases in terms of simpler ones (_expanded) do run.
COMPOSED = """
    causal_conv_with_state center_crop_pad depthtospace flexattention gelu_tanh group_normalization
    layer_normalization mvn reduce_l1 reduce_l2 reduce_log_sum reduce_sum_square
    rms_normalization rotary_embedding spacetodepth split_to_sequence swiglu
"""


def _any(names: str) -> str:
    return "|".join(names.split())


EXCLUDED: dict[str, tuple[str, ...]] = {
    "operators that are not in scope": (
        rf"^test_({_any(OPERATORS)})_",
        rf"^test_({_any(COMPOSED)})_(?!.*expanded)",
        r"^test_range_\w+_expanded",  # a Loop
        r"^test_operator_symbolic_override_cpu",  # an InstanceNormalization
        r"^test_identity_(sequence|opt)_",
    ),
    "training": (
        r"^test_training_dropout",
        r"^test_gradient_of_",
    ),
    "types other than float32 that no kernel takes": (
        r"(?i)(bfloat16|float8|float4|u?int4|u?int2(?!\d)|string)",
        r"^test_(causal_conv_with_state|flexattention|swiglu)\w*_(fp16|double|float16)_",
        r"^test_maxpool_2d_uint8_",
    ),
}


def is_excluded(name: str) -> bool:
    """Whether a case is not for this library."""
    return any(re.search(p, name) for patterns in EXCLUDED.values() for p in patterns)
