// The C++ door to optimizer steps: parameters of several sizes against plain loops, and errors.
// The full comparison with the NumPy twins is in tests/functional.
#include <cmath>
#include <vector>

#include "expect.hpp"
#include "fastconv/optim.hpp"
#include "fastconv/runtime.hpp"

using namespace fastconv;
using fastconv::tests::error_of;

namespace {

using Values = std::vector<std::vector<float>>;

// More than one thread's share, so that the cut lies inside an array.
constexpr std::int64_t kSizes[] = {5, 40000, 0, 33};
constexpr std::int64_t kCount = 4;

Values numbers(unsigned state) {
  Values values;
  for (const std::int64_t size : kSizes) {
    values.emplace_back(static_cast<std::size_t>(size));
    for (float& value : values.back()) {
      state = state * 1664525u + 1013904223u;
      value = static_cast<float>(state >> 8) / static_cast<float>(1 << 23) - 1.0f;
    }
  }
  return values;
}

std::vector<StepArrays> arrays_of(Values& p, const Values& g, Values& m, Values& s) {
  std::vector<StepArrays> arrays;
  for (std::size_t k = 0; k < p.size(); ++k) {
    arrays.push_back({kSizes[k], p[k].data(), g[k].data(), m[k].data(), s[k].data()});
  }
  return arrays;
}

// f(p, g, m, s) does in double what run(arrays) must have done.
template <class Run, class F>
void compare_with_loops(const Run& run, const F& f) {
  Values p = numbers(1), m = numbers(3), s = numbers(4);
  const Values g = numbers(2);
  for (auto& array : s) {
    for (float& value : array) value = std::fabs(value);
  }
  const Values start_p = p, start_m = m, start_s = s;
  run(arrays_of(p, g, m, s).data());
  double worst = 0;
  for (std::size_t k = 0; k < p.size(); ++k) {
    for (std::size_t i = 0; i < p[k].size(); ++i) {
      double a = start_p[k][i], b = start_m[k][i], c = start_s[k][i];
      f(a, g[k][i], b, c);
      for (const double error : {a - p[k][i], b - m[k][i], c - s[k][i]}) {
        worst = std::fmax(worst, std::isnan(error) ? INFINITY : std::fabs(error));
      }
    }
  }
  EXPECT(worst < 1e-6);
}

void test_steps() {
  Sgd sgd{0.1, 0.9, 0.2, 0.05};
  const auto run_sgd = [&](const StepArrays* arrays) { sgd_step(sgd, kCount, arrays); };
  compare_with_loops(run_sgd, [](double& p, double g, double& v, double&) {
    v = 0.9 * v + 0.8 * (g + 0.05 * p);
    p -= 0.1 * v;
  });
  sgd.nesterov = sgd.first = sgd.lr_in_velocity = true;
  compare_with_loops(run_sgd, [](double& p, double g, double& v, double&) {
    v = 0.1 * (g + 0.05 * p);
    p -= v + 0.9 * v;
  });
  for (const bool decoupled : {false, true}) {
    const Adam adam{3, 0.01, 0.9, 0.99, 1e-3, 0.1, decoupled};
    compare_with_loops([&](const StepArrays* arrays) { adam_step(adam, kCount, arrays); },
                       [=](double& p, double g, double& m, double& s) {
                         if (decoupled) {
                           p -= 0.01 * 0.1 * p;
                         } else {
                           g += 0.1 * p;
                         }
                         m = 0.9 * m + 0.1 * g;
                         s = 0.99 * s + 0.01 * g * g;
                         p -= 0.01 * m / (1 - std::pow(0.9, 3)) /
                              (std::sqrt(s / (1 - std::pow(0.99, 3))) + 1e-3);
                       });
  }
  compare_with_loops([](const StepArrays* arrays) { average_step(0.9, kCount, arrays); },
                     [](double& p, double g, double&, double&) { p = 0.9 * p + 0.1 * g; });
}

void test_sum_of_squares() {
  const Values x = numbers(5);
  std::vector<const float*> data;
  double expected = 0;
  for (const auto& array : x) {
    data.push_back(array.data());
    for (const float value : array) expected += static_cast<double>(value) * value;
  }
  EXPECT(std::fabs(sum_of_squares(kCount, kSizes, data.data()) - expected) < 1e-6 * expected);
  EXPECT(sum_of_squares(0, nullptr, nullptr) == 0);
}

void test_errors() {
  float value = 0;
  const StepArrays one{1, &value, &value};
  EXPECT(error_of([&] {
           sgd_step({0.1, 0.9}, 1, &one);
         }).find("sgd_step: momentum needs velocities (momentum=0.9") == 0);
  EXPECT(error_of([&] { adam_step({0, 0.1, 0.9, 0.99, 1e-8}, 1, &one); }) ==
         "adam_step: step must be at least 1 (step=0)");
  const StepArrays negative{-1, &value, &value};
  EXPECT(error_of([&] { average_step(0.9, 1, &negative); }) ==
         "average_step: sizes must not be negative (size=-1)");
}

}  // namespace

int main() {
  for (const std::string& isa : available_isas()) {
    set_isa(isa);
    for (int threads : {1, 2}) {
      set_num_threads(threads);
      test_steps();
      test_sum_of_squares();
    }
  }
  test_errors();
  return tests::failures == 0 ? 0 : 1;
}
