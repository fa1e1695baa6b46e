// What runs innermost: a block of accumulators that stay in vector registers.

#pragma once

#include <cstdint>
#include <cstring>

namespace convsmith {
namespace {  // One library, one file: nothing is shared with another version's.

using Index = std::int64_t;

constexpr int kBlock = 8;  // Accumulators of one block, in vectors.

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kWide = 2;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kWide = 1;
#else
constexpr int kVectorBytes = 16, kWide = 2;
#endif

// Products to be added into one block: `count` rounds, accumulators [low, high) of the block.
struct Piece {
  Index start[2];
  Index count;
  Index low, high;
};

struct Steps {
  Index block[3], run[2];
};

template <class T, int LANES>
struct Vector {
  typedef T type __attribute__((vector_size(sizeof(T) * LANES), aligned(alignof(T)), may_alias));
};
template <class T>
struct Vector<T, 1> {
  typedef T type;
};

template <class T, int LANES, bool VECTOR>
inline typename Vector<T, LANES>::type load(const T* at) {
  if constexpr (VECTOR && LANES > 1) {
    return *reinterpret_cast<const typename Vector<T, LANES>::type*>(at);
  } else if constexpr (LANES > 1) {
    return typename Vector<T, LANES>::type{} + *at;
  } else {
    return *at;
  }
}

// Returns the sum of all lanes, by halves.
template <class T, int LANES>
inline T across(const typename Vector<T, LANES>::type& x) {
  if constexpr (LANES == 1) {
    return x;
  } else {
    using Half = typename Vector<T, LANES / 2>::type;
    Half low, high;
    std::memcpy(&low, &x, sizeof low);
    std::memcpy(&high, reinterpret_cast<const char*>(&x) + sizeof low, sizeof high);
    return across<T, LANES / 2>(low + high);
  }
}

template <class T>
struct Zeros {
  alignas(64) static constexpr T entries[2 * kVectorBytes / sizeof(T)] = {};
};

// MODE: bit 0, `one` has the lanes; bit 1, `other` has; both without the output: lanes are summed.
enum Mode { kOne = 1, kOther = 2, kBoth = 3, kSummed = 4 };

template <class T, int LANES, int WIDE, int MODE, bool FIXED, int BLOCK>
void kernel(const T* one, const T* other, T* out, const Piece* pieces, Index count,
            const Steps& steps, bool add) {
  using V = typename Vector<T, LANES>::type;
  constexpr bool kA = MODE == kOne || MODE == kBoth || MODE == kSummed;
  constexpr bool kB = MODE == kOther || MODE == kBoth || MODE == kSummed;
  V sums[BLOCK][WIDE];
  for (int j = 0; j < BLOCK; ++j)
    for (int v = 0; v < WIDE; ++v) {
      if constexpr (MODE == kSummed) {
        sums[j][v] = V{};
      } else {
        sums[j][v] = add ? load<T, LANES, true>(out + j * steps.block[2] + v * LANES) : V{};
      }
    }
  const Index aj = steps.block[0], bj = FIXED ? 0 : steps.block[1];
  const Index ar = steps.run[0], br = steps.run[1];
  for (const Piece* piece = pieces; piece != pieces + count; ++piece) {
    const T* a = one + piece->start[0];
    const T* b = other + piece->start[1];
    if (piece->low == 0 && piece->high == BLOCK) {
      for (Index r = 0; r < piece->count; ++r, a += ar, b += br) {
        V shared[WIDE];
        if constexpr (FIXED)
          for (int v = 0; v < WIDE; ++v)
            shared[v] = load<T, LANES, kB>(b + (kB ? v * LANES : 0));
#pragma GCC unroll 8
        for (int j = 0; j < BLOCK; ++j)
#pragma GCC unroll 2
          for (int v = 0; v < WIDE; ++v) {
            const V x = load<T, LANES, kA>(a + j * aj + (kA ? v * LANES : 0));
            if constexpr (FIXED) {
              sums[j][v] += x * shared[v];
            } else {
              sums[j][v] += x * load<T, LANES, kB>(b + j * bj + (kB ? v * LANES : 0));
            }
          }
      }
      continue;
    }
    // Beyond the edge zeros are read: cheaper than to branch on every accumulator.
    for (Index r = 0; r < piece->count; ++r, a += ar, b += br)
#pragma GCC unroll 8
      for (int j = 0; j < BLOCK; ++j) {
        const bool inside = j >= piece->low && j < piece->high;
        const T* x = inside ? a + j * aj : Zeros<T>::entries;
        const T* y = inside ? b + j * bj : Zeros<T>::entries;
#pragma GCC unroll 2
        for (int v = 0; v < WIDE; ++v)
          sums[j][v] += load<T, LANES, kA>(x + (kA ? v * LANES : 0)) *
                        load<T, LANES, kB>(y + (kB ? v * LANES : 0));
      }
  }
  for (int j = 0; j < BLOCK; ++j) {
    T* to = out + j * steps.block[2];
    if constexpr (MODE == kSummed) {
      V total = sums[j][0];
      for (int v = 1; v < WIDE; ++v) total += sums[j][v];
      *to = (add ? *to : T(0)) + across<T, LANES>(total);
    } else {
      for (int v = 0; v < WIDE; ++v) {
        if constexpr (LANES > 1) {
          *reinterpret_cast<V*>(to + v * LANES) = sums[j][v];
        } else {
          to[v] = sums[j][v];
        }
      }
    }
  }
}

template <class T>
using Kernel = void (*)(const T*, const T*, T*, const Piece*, Index, const Steps&, bool);

template <class T, int LANES, int WIDE, int MODE, bool FIXED>
Kernel<T> of_block(int block) {
  static constexpr Kernel<T> table[kBlock] = {
      kernel<T, LANES, WIDE, MODE, FIXED, 1>, kernel<T, LANES, WIDE, MODE, FIXED, 2>,
      kernel<T, LANES, WIDE, MODE, FIXED, 3>, kernel<T, LANES, WIDE, MODE, FIXED, 4>,
      kernel<T, LANES, WIDE, MODE, FIXED, 5>, kernel<T, LANES, WIDE, MODE, FIXED, 6>,
      kernel<T, LANES, WIDE, MODE, FIXED, 7>, kernel<T, LANES, WIDE, MODE, FIXED, 8>};
  return table[block - 1];
}

template <class T, int LANES, int WIDE>
Kernel<T> of_mode(int mode, bool fixed, int block) {
  switch (mode) {
    case kOne:
      return fixed ? of_block<T, LANES, WIDE, kOne, true>(block)
                   : of_block<T, LANES, WIDE, kOne, false>(block);
    case kOther:
      return fixed ? of_block<T, LANES, WIDE, kOther, true>(block)
                   : of_block<T, LANES, WIDE, kOther, false>(block);
    case kSummed:
      return fixed ? of_block<T, LANES, WIDE, kSummed, true>(block)
                   : of_block<T, LANES, WIDE, kSummed, false>(block);
    default:
      return fixed ? of_block<T, LANES, WIDE, kBoth, true>(block)
                   : of_block<T, LANES, WIDE, kBoth, false>(block);
  }
}

}  // namespace
}  // namespace convsmith
