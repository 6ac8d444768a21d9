// What lies between the matrix products of a transformer layer, one pass over memory each: the optional compiled
// kernels of electra_hf.models.fused. Plain C++ with OpenMP and no headers of torch, so that it compiles in seconds;
// the compiler vectorises the loops. `operations.py` says what each function computes; tests compare it with PyTorch.
//
// Every tensor is contiguous. `bf16` says what T is: 0 for float, 1 for bfloat16. Arithmetic is float throughout.
// Noise is not stored: whether an element is dropped is a hash of (seed, row, column), computed again in the backward
// pass. Sums over rows are made in blocks of rows and added in the order of the blocks, so a result does not depend on the
// number of threads.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

struct Bf16 {
    uint16_t bits;
};

inline float as_float(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline uint32_t as_bits(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float get(float value) { return value; }
inline float get(Bf16 value) { return as_float(uint32_t(value.bits) << 16); }

inline void put(float& target, float value) { target = value; }
// Round to nearest, ties away from 0: two operations. The NaN of the processor, and those read from Bf16, stay NaN.
inline void put(Bf16& target, float value) { target.bits = uint16_t((as_bits(value) + 0x8000u) >> 16); }

// How precise a function has to be for results of type T: bfloat16 keeps 8 bits.
template <typename T>
struct Precise {
    static constexpr bool value = sizeof(T) == sizeof(float);
};

// e^x to 2e-7, or to 1e-4 where that is enough; 0 below -87, where the result would not be a normal number.
template <bool precise>
inline float fast_exp(float x) {
    const float bounded = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
    const float scaled = bounded * 1.44269504f;
    const float whole = std::rint(scaled);
    const float f = std::fma(bounded, 1.44269504f, -whole);  // 2^f, f in [-0.5, 0.5]: Taylor's series
    float p = 9.6181291e-3f;
    if (precise) {
        p = std::fma(1.5403530e-4f, f, 1.3333558e-3f);
        p = std::fma(p, f, 9.6181291e-3f);
    }
    p = std::fma(p, f, 5.5504109e-2f);
    p = std::fma(p, f, 2.4022651e-1f);
    p = std::fma(p, f, 6.9314718e-1f);
    p = std::fma(p, f, 1.0f);
    const float power = as_float(uint32_t(int32_t(whole) + 127) << 23);
    return x < -87.0f ? 0.0f : p * power;
}

// -log(1 - v) for v in (0, 1), exact to 1e-6 also where v is tiny.
inline float exponential_variate(float v) {
    const float y = 1.0f - v;
    const uint32_t bits = as_bits(y);
    // y = m 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 artanh((m - 1) / (m + 1))
    const int32_t exponent = int32_t(bits - 0x3F3504F3u) >> 23;
    const float m = as_float(bits - (uint32_t(exponent) << 23));
    const float s = (m - 1.0f) / (m + 1.0f);
    const float q = s * s;
    const float series = std::fma(std::fma(std::fma(std::fma(q, 0.11111111f, 0.14285714f), q, 0.2f), q, 0.33333333f), q, 1.0f);
    const float far = -std::fma(2.0f * s, series, float(exponent) * 0.69314718f);
    const float near = v * std::fma(v, std::fma(v, std::fma(v, 0.25f, 0.33333333f), 0.5f), 1.0f);
    return v < 0.015625f ? near : far;
}

// Phi(x), the normal distribution function, to 1e-7, or to 2e-5 where that is enough, and e^(-x^2/2). Abramowitz and
// Stegun 1964, 7.1.26 and 7.1.25.
template <bool precise>
inline float normal_cdf(float x, float& gaussian) {
    const float z = std::fabs(x) * 0.70710678f;
    gaussian = fast_exp<precise>(-z * z);
    const float t = 1.0f / std::fma(precise ? 0.3275911f : 0.47047f, z, 1.0f);
    float p;
    if (precise) {
        p = std::fma(1.061405429f, t, -1.453152027f);
        p = std::fma(p, t, 1.421413741f);
        p = std::fma(p, t, -0.284496736f);
        p = std::fma(p, t, 0.254829592f);
    } else {
        p = std::fma(0.7478556f, t, -0.0958798f);
        p = std::fma(p, t, 0.3480242f);
    }
    const float tail = 0.5f * p * t * gaussian;
    return x < 0.0f ? tail : 1.0f - tail;
}

// SplitMix64's step (Steele, Lea and Flood 2014), for the two keys of a row.
struct RowKey {
    uint32_t a, b;
    RowKey(uint64_t seed, uint64_t row) {
        uint64_t z = seed + (row + 1) * 0x9E3779B97F4A7C15ull;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        z ^= z >> 31;
        a = uint32_t(z);
        b = uint32_t(z >> 32);
    }
};

// 32 bits for a column of a row whose upper ones are random: enough to be compared with a threshold. The multipliers
// are those of MurmurHash3 and xxHash.
inline uint32_t coarse_noise(RowKey key, uint32_t column) {
    uint32_t x = (column ^ key.a) * 0x85EBCA6Bu;
    return (x ^ (x >> 15) ^ key.b) * 0xC2B2AE35u;
}

// All 32 bits random.
inline uint32_t noise(RowKey key, uint32_t column) {
    uint32_t x = coarse_noise(key, column);
    x = (x ^ (x >> 13)) * 0x27D4EB2Fu;
    return x ^ (x >> 16);
}

// What one row of a tensor loses. A local copy of it lets the compiler keep it in registers.
struct RowDropout {
    RowKey key;
    uint32_t threshold;
    float scale;
    inline float factor(int64_t column) const { return coarse_noise(key, uint32_t(column)) < threshold ? 0.0f : scale; }
};

// In (0, 1), with full precision near 0.
inline float uniform(RowKey key, int64_t column) {
    return (float(noise(key, uint32_t(column)) >> 1) + 0.5f) * 4.6566129e-10f;
}

struct Dropout {
    uint64_t seed;
    uint32_t threshold;  // dropped below it
    float scale;         // of what is kept
    Dropout(double probability, int64_t seed)
        : seed(uint64_t(seed)),
          threshold(uint32_t(probability * 4294967296.0)),
          scale(float(1.0 / (1.0 - probability))) {}
    RowDropout row(int64_t number) const { return {RowKey(seed, number), threshold, scale}; }
};

// Rows that are summed up together, whatever the number of threads.
constexpr int64_t block_rows = 32;

inline int64_t count_blocks(int64_t rows) { return (rows + block_rows - 1) / block_rows; }

// f(first row, last row, number of the block) for every block of rows.
template <typename F>
void for_row_ranges(int64_t rows, F f) {
    const int64_t blocks = count_blocks(rows);
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < blocks; ++block) {
        const int64_t first = block * block_rows;
        f(first, first + block_rows < rows ? first + block_rows : rows, block);
    }
}

// Column sums: one row of partial sums for every block.
struct ColumnSums {
    int64_t columns;
    std::vector<float> partial;
    ColumnSums(int64_t rows, int64_t columns) : columns(columns), partial(columns * count_blocks(rows), 0.0f) {}
    float* of(int64_t block) { return partial.data() + block * columns; }
    void write(float* target) {
        std::memset(target, 0, sizeof(float) * columns);
        for (size_t start = 0; start < partial.size(); start += columns)
            for (int64_t c = 0; c < columns; ++c) target[c] += partial[start + c];
    }
};

template <typename T>
void add_norm_forward_rows(const T* x, const float* bias, const T* residual, const float* gamma, const float* beta, float eps, T* sum,
                           T* y, float* mean, float* rstd, int64_t rows, int64_t columns, Dropout before,
                           Dropout after) {
    for_row_ranges(rows, [=](int64_t first, int64_t last, int64_t) {
        for (int64_t r = first; r < last; ++r) {
            const T* xr = x + r * columns;
            const T* rr = residual ? residual + r * columns : nullptr;
            T* sr = sum + r * columns;
            T* yr = y + r * columns;
            if (before.threshold) {
                const RowDropout drop = before.row(r);
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c) put(sr[c], (get(xr[c]) + bias[c]) * drop.factor(c) + get(rr[c]));
            } else if (rr) {
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c) put(sr[c], get(xr[c]) + bias[c] + get(rr[c]));
            } else {
                std::memcpy(sr, xr, sizeof(T) * columns);
            }
            float total = 0.0f;
#pragma omp simd reduction(+ : total)
            for (int64_t c = 0; c < columns; ++c) total += get(sr[c]);
            const float average = total / columns;
            float squares = 0.0f;
#pragma omp simd reduction(+ : squares)
            for (int64_t c = 0; c < columns; ++c) squares += (get(sr[c]) - average) * (get(sr[c]) - average);
            const float inverse = 1.0f / std::sqrt(squares / columns + eps);
            mean[r] = average;
            rstd[r] = inverse;
            if (after.threshold) {
                const RowDropout drop = after.row(r);
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c)
                    put(yr[c], ((get(sr[c]) - average) * inverse * gamma[c] + beta[c]) * drop.factor(c));
            } else {
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c)
                    put(yr[c], (get(sr[c]) - average) * inverse * gamma[c] + beta[c]);
            }
        }
    });
}

template <typename T>
void add_norm_backward_rows(const T* dy, const T* sum, const float* gamma, const float* mean, const float* rstd,
                            T* dsum, T* dx, float* dgamma, float* dbeta, float* dbias, int64_t rows, int64_t columns,
                            Dropout before, Dropout after) {
    ColumnSums gammas(rows, columns), betas(rows, columns), biases(rows, columns);
    for_row_ranges(rows, [&](int64_t first, int64_t last, int64_t block) {
        float *gs = gammas.of(block), *bs = betas.of(block), *xs = biases.of(block);
        std::vector<T> scratch(columns);
        for (int64_t r = first; r < last; ++r) {
            const T* gr = dy + r * columns;
            const T* sr = sum + r * columns;
            T* or_ = dsum + r * columns;
            const float average = mean[r], inverse = rstd[r];
            if (after.threshold) {
                const RowDropout drop = after.row(r);
                T* kept = scratch.data();
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c) put(kept[c], get(gr[c]) * drop.factor(c));
                gr = kept;
            }
            float first_moment = 0.0f, second_moment = 0.0f;
#pragma omp simd reduction(+ : first_moment, second_moment)
            for (int64_t c = 0; c < columns; ++c) {
                const float hat = (get(sr[c]) - average) * inverse, g = get(gr[c]);
                gs[c] += g * hat;
                bs[c] += g;
                first_moment += g * gamma[c];
                second_moment += g * gamma[c] * hat;
            }
            first_moment /= columns;
            second_moment /= columns;
            // inverse * (g gamma - first_moment - hat * second_moment), with hat written out
            const float slope = -second_moment * inverse * inverse;
            const float offset = -first_moment * inverse - slope * average;
            if (before.threshold) {
                const RowDropout drop = before.row(r);
                T* xr = dx + r * columns;
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c) {
                    const float value = get(gr[c]) * gamma[c] * inverse + get(sr[c]) * slope + offset;
                    const float dropped = value * drop.factor(c);
                    put(or_[c], value);
                    put(xr[c], dropped);
                    xs[c] += dropped;
                }
            } else {
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c) {
                    const float value = get(gr[c]) * gamma[c] * inverse + get(sr[c]) * slope + offset;
                    put(or_[c], value);
                    xs[c] += value;
                }
            }
        }
    });
    gammas.write(dgamma);
    betas.write(dbeta);
    biases.write(dbias);
}

template <typename T>
void gelu_forward_rows(const T* x, const float* bias, T* y, int64_t rows, int64_t columns) {
    for_row_ranges(rows, [=](int64_t first, int64_t last, int64_t) {
        for (int64_t r = first; r < last; ++r) {
            const T* xr = x + r * columns;
            T* yr = y + r * columns;
#pragma omp simd
            for (int64_t c = 0; c < columns; ++c) {
                float gaussian;
                const float value = get(xr[c]) + bias[c];
                put(yr[c], value * normal_cdf<Precise<T>::value>(value, gaussian));
            }
        }
    });
}

// dy becomes dx; y is computed once more, for the gradient of the weight that follows.
template <typename T>
void gelu_backward_rows(T* dy, const T* x, const float* bias, T* y, float* dbias, int64_t rows, int64_t columns) {
    ColumnSums biases(rows, columns);
    for_row_ranges(rows, [&](int64_t first, int64_t last, int64_t block) {
        float* bs = biases.of(block);
        for (int64_t r = first; r < last; ++r) {
            T* gr = dy + r * columns;
            const T* xr = x + r * columns;
            T* yr = y + r * columns;
#pragma omp simd
            for (int64_t c = 0; c < columns; ++c) {
                float gaussian;
                const float value = get(xr[c]) + bias[c];
                const float phi = normal_cdf<Precise<T>::value>(value, gaussian);
                const float slope = phi + value * gaussian * 0.39894228f;
                const float gradient = get(gr[c]) * slope;
                put(yr[c], value * phi);
                put(gr[c], gradient);
                bs[c] += gradient;
            }
        }
    });
    biases.write(dbias);
}

template <typename T>
void softmax_forward_rows(T* scores, const float* bias, T* dropped, int64_t rows, int64_t columns, int64_t rows_of_bias,
                          float scale, Dropout dropout) {
    for_row_ranges(rows, [=](int64_t first, int64_t last, int64_t) {
        std::vector<float> scratch(columns);
        float* values = scratch.data();
        for (int64_t r = first; r < last; ++r) {
            T* sr = scores + r * columns;
            const float* br = bias ? bias + r / rows_of_bias * columns : nullptr;
            float largest = -INFINITY;
            if (br) {
#pragma omp simd reduction(max : largest)
                for (int64_t c = 0; c < columns; ++c) {
                    values[c] = get(sr[c]) * scale + br[c];
                    largest = values[c] > largest ? values[c] : largest;
                }
            } else {
#pragma omp simd reduction(max : largest)
                for (int64_t c = 0; c < columns; ++c) {
                    values[c] = get(sr[c]) * scale;
                    largest = values[c] > largest ? values[c] : largest;
                }
            }
            float total = 0.0f;
#pragma omp simd reduction(+ : total)
            for (int64_t c = 0; c < columns; ++c) {
                values[c] = fast_exp<Precise<T>::value>(values[c] - largest);
                total += values[c];
            }
            const float inverse = 1.0f / total;
            if (dropout.threshold) {
                const RowDropout drop = dropout.row(r);
                T* dr = dropped + r * columns;
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c) {
                    const float probability = values[c] * inverse;
                    put(sr[c], probability);
                    put(dr[c], probability * drop.factor(c));
                }
            } else {
#pragma omp simd
                for (int64_t c = 0; c < columns; ++c) put(sr[c], values[c] * inverse);
            }
        }
    });
}

// The gradient of what was dropped becomes that of the scores; `dropped` is computed once more.
template <typename T>
void softmax_backward_rows(T* gradient, const T* probabilities, T* dropped, int64_t rows, int64_t columns, float scale,
                           Dropout dropout) {
    for_row_ranges(rows, [=](int64_t first, int64_t last, int64_t) {
        std::vector<float> scratch(columns);
        float* products = scratch.data();
        for (int64_t r = first; r < last; ++r) {
            T* gr = gradient + r * columns;
            const T* pr = probabilities + r * columns;
            float total = 0.0f;
            if (dropout.threshold) {
                const RowDropout drop = dropout.row(r);
                T* dr = dropped + r * columns;
#pragma omp simd reduction(+ : total)
                for (int64_t c = 0; c < columns; ++c) {
                    const float kept = get(pr[c]) * drop.factor(c);
                    put(dr[c], kept);
                    products[c] = kept * get(gr[c]);
                    total += products[c];
                }
            } else {
#pragma omp simd reduction(+ : total)
                for (int64_t c = 0; c < columns; ++c) {
                    products[c] = get(pr[c]) * get(gr[c]);
                    total += products[c];
                }
            }
#pragma omp simd
            for (int64_t c = 0; c < columns; ++c) put(gr[c], (products[c] - get(pr[c]) * total) * scale);
        }
    });
}

template <typename T>
void cross_entropy_rows(T* logits, const float* bias, const int64_t* targets, const float* weights, const int64_t* disallowed, float* nll,
                        int64_t* sampled, uint8_t* correct, float* dbias, int64_t rows, int64_t columns, int64_t first_row,
                        float inverse_temperature, int64_t seed) {
    ColumnSums biases(rows, columns);
    for_row_ranges(rows, [&](int64_t first, int64_t last, int64_t block) {
        float* bs = biases.of(block);
        std::vector<float> scratch(3 * columns);
        float *odds = scratch.data(), *race = odds + columns, *logit = race + columns;
        for (int64_t r = first; r < last; ++r) {
            T* lr = logits + r * columns;
            float largest = -INFINITY;
#pragma omp simd reduction(max : largest)
            for (int64_t c = 0; c < columns; ++c) {
                logit[c] = get(lr[c]) + bias[c];
                largest = logit[c] > largest ? logit[c] : largest;
            }
            float total = 0.0f;
#pragma omp simd reduction(+ : total)
            for (int64_t c = 0; c < columns; ++c) {
                odds[c] = fast_exp<true>(logit[c] - largest);
                total += odds[c];
            }
            const int64_t target = targets[r];
            const float truth = logit[target];
            nll[r] = std::log(total) + largest - truth;
            // The most likely token is the first of those with the largest logit.
            int64_t earlier = 0;
            if (truth == largest) {
#pragma omp simd reduction(+ : earlier)
                for (int64_t c = 0; c < target; ++c) earlier += logit[c] == largest;
            }
            correct[r] = truth == largest && earlier == 0;
            // Gumbel-max in its exponential form: the largest of log p + Gumbel noise is the largest of p / Exp(1).
            const RowKey key(seed, first_row + r);
            float best = -1.0f;
            if (inverse_temperature == 1.0f && !disallowed) {
#pragma omp simd reduction(max : best)
                for (int64_t c = 0; c < columns; ++c) {
                    race[c] = odds[c] / exponential_variate(uniform(key, c));
                    best = race[c] > best ? race[c] : best;
                }
            } else {
                // Relative to the largest that is allowed, so that something is left of it at any temperature.
                const int64_t excluded = disallowed ? disallowed[r] : -1;
                float top = -INFINITY;
#pragma omp simd reduction(max : top)
                for (int64_t c = 0; c < columns; ++c) {
                    const float allowed = c == excluded ? -INFINITY : logit[c];
                    top = allowed > top ? allowed : top;
                }
#pragma omp simd reduction(max : best)
                for (int64_t c = 0; c < columns; ++c) {
                    const float chance = fast_exp<true>((logit[c] - top) * inverse_temperature);
                    race[c] = c == excluded ? -1.0f : chance / exponential_variate(uniform(key, c));
                    best = race[c] > best ? race[c] : best;
                }
            }
            int32_t winner = int32_t(columns - 1);
#pragma omp simd reduction(min : winner)
            for (int32_t c = 0; c < int32_t(columns); ++c) {
                const int32_t candidate = race[c] == best ? c : int32_t(columns - 1);
                winner = candidate < winner ? candidate : winner;
            }
            sampled[r] = winner;
            const float weight = weights[r], factor = weight / total;
#pragma omp simd
            for (int64_t c = 0; c < columns; ++c) {
                const float gradient = odds[c] * factor;
                put(lr[c], gradient);
                bs[c] += gradient;
            }
            put(lr[target], odds[target] * factor - weight);
            bs[target] -= weight;
        }
    });
    biases.write(dbias);
}

// (b, l, parts, h, d) <-> (parts, b, h, l, d): split_heads adds a bias, merge_heads sums over b and l.
template <typename T>
void split_heads_rows(const T* from, const float* bias, T* to, int64_t batch, int64_t length, int64_t parts,
                      int64_t heads, int64_t width) {
    for_row_ranges(batch * length, [=](int64_t first, int64_t last, int64_t) {
        for (int64_t r = first; r < last; ++r)
            for (int64_t p = 0; p < parts; ++p)
                for (int64_t h = 0; h < heads; ++h) {
                    const int64_t b = r / length, l = r % length, column = (p * heads + h) * width;
                    const T* source = from + r * parts * heads * width + column;
                    T* target = to + (((p * batch + b) * heads + h) * length + l) * width;
                    if (bias) {
                        const float* offsets = bias + column;
#pragma omp simd
                        for (int64_t c = 0; c < width; ++c) put(target[c], get(source[c]) + offsets[c]);
                    } else {
                        std::memcpy(target, source, sizeof(T) * width);
                    }
                }
    });
}

template <typename T>
void merge_heads_rows(const T* from, T* to, float* sums, int64_t batch, int64_t length, int64_t parts, int64_t heads,
                      int64_t width) {
    ColumnSums columns(sums ? batch * length : 0, parts * heads * width);
    for_row_ranges(batch * length, [&](int64_t first, int64_t last, int64_t block) {
        float* totals = columns.of(block);
        for (int64_t r = first; r < last; ++r)
            for (int64_t p = 0; p < parts; ++p)
                for (int64_t h = 0; h < heads; ++h) {
                    const int64_t b = r / length, l = r % length, column = (p * heads + h) * width;
                    const T* source = from + (((p * batch + b) * heads + h) * length + l) * width;
                    std::memcpy(to + r * parts * heads * width + column, source, sizeof(T) * width);
                    if (sums) {
#pragma omp simd
                        for (int64_t c = 0; c < width; ++c) totals[column + c] += get(source[c]);
                    }
                }
    });
    if (sums) columns.write(sums);
}

}  // namespace

#define DISPATCH(function, ...)                       \
    do {                                              \
        if (bf16) {                                   \
            typedef Bf16 T;                           \
            function<T>(__VA_ARGS__);                 \
        } else {                                      \
            typedef float T;                          \
            function<T>(__VA_ARGS__);                 \
        }                                             \
    } while (0)
#define OF(pointer) static_cast<T*>(pointer)

extern "C" {

void add_norm_forward(int bf16, void* x, const float* bias, void* residual, const float* gamma, const float* beta, double eps, void* sum,
                      void* y, float* mean, float* rstd, int64_t rows, int64_t columns, double p_before,
                      int64_t seed_before, double p_after, int64_t seed_after) {
    DISPATCH(add_norm_forward_rows, OF(x), bias, OF(residual), gamma, beta, float(eps), OF(sum), OF(y), mean, rstd, rows,
             columns, Dropout(p_before, seed_before), Dropout(p_after, seed_after));
}

void add_norm_backward(int bf16, void* dy, void* sum, const float* gamma, const float* mean, const float* rstd,
                       void* dsum, void* dx, float* dgamma, float* dbeta, float* dbias, int64_t rows, int64_t columns,
                       double p_before, int64_t seed_before, double p_after, int64_t seed_after) {
    DISPATCH(add_norm_backward_rows, OF(dy), OF(sum), gamma, mean, rstd, OF(dsum), OF(dx), dgamma, dbeta, dbias, rows,
             columns, Dropout(p_before, seed_before), Dropout(p_after, seed_after));
}

void gelu_forward(int bf16, void* x, const float* bias, void* y, int64_t rows, int64_t columns) {
    DISPATCH(gelu_forward_rows, OF(x), bias, OF(y), rows, columns);
}

void gelu_backward(int bf16, void* dy, void* x, const float* bias, void* y, float* dbias, int64_t rows, int64_t columns) {
    DISPATCH(gelu_backward_rows, OF(dy), OF(x), bias, OF(y), dbias, rows, columns);
}

void softmax_forward(int bf16, void* scores, const float* bias, void* dropped, int64_t rows, int64_t columns,
                     int64_t rows_of_bias, double scale, double p, int64_t seed) {
    DISPATCH(softmax_forward_rows, OF(scores), bias, OF(dropped), rows, columns, rows_of_bias, float(scale),
             Dropout(p, seed));
}

void softmax_backward(int bf16, void* gradient, void* probabilities, void* dropped, int64_t rows, int64_t columns,
                      double scale, double p, int64_t seed) {
    DISPATCH(softmax_backward_rows, OF(gradient), OF(probabilities), OF(dropped), rows, columns, float(scale),
             Dropout(p, seed));
}

void cross_entropy(int bf16, void* logits, const float* bias, const int64_t* targets, const float* weights, const int64_t* disallowed,
                   float* nll, int64_t* sampled, uint8_t* correct, float* dbias, int64_t rows, int64_t columns,
                   int64_t first_row, double inverse_temperature, int64_t seed) {
    DISPATCH(cross_entropy_rows, OF(logits), bias, targets, weights, disallowed, nll, sampled, correct, dbias, rows, columns,
             first_row, float(inverse_temperature), seed);
}

void split_heads(int bf16, void* from, const float* bias, void* to, int64_t batch, int64_t length, int64_t parts, int64_t heads,
                 int64_t width) {
    DISPATCH(split_heads_rows, OF(from), bias, OF(to), batch, length, parts, heads, width);
}

void merge_heads(int bf16, void* from, void* to, float* sums, int64_t batch, int64_t length, int64_t parts,
                 int64_t heads, int64_t width) {
    DISPATCH(merge_heads_rows, OF(from), OF(to), sums, batch, length, parts, heads, width);
}

}  // extern "C"
