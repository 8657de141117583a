// What the files of this folder share.
#pragma once

#include "fastconv/conv.hpp"

namespace fastconv {

void depthwise_backward_weight(const Conv2dParams& params, std::int64_t batch, PictureSize in,
                               const float* grad_out, const float* x, float* grad_weight);

}  // namespace fastconv
