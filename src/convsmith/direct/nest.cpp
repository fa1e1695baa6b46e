// A loop nest over three tensors: out[o] += one[i] * other[j], where every index is an affine sum
// of loops and reads beyond an edge are zeros. Convolutions, their gradients, kernels per sample
// and per position are such nests. `lowerings/nest.py` writes the program, this file runs it.
//
// One loop is the lanes of a vector, one is a block of accumulators that stay in registers, one
// runs innermost; the rest is tasks of threads, sums inside registers, and sums in memory.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#include "kernels.h"
#include "program.h"
#include "threads.h"

namespace convsmith {
namespace {

constexpr Index kThreadWork = 200000;  // Multiply-adds that are worth waking a thread.

template <class T>
class Run {
 public:
  Run(const Nest& nest, const T* one, const T* other)
      : nest_(nest), data_{one, other}, at_(nest.loops.size(), 0) {
    const Loop none{1, {0, 0, 0}};
    lane_ = nest.lane < 0 ? none : nest.loops[nest.lane];
    block_ = nest.block < 0 ? none : nest.loops[nest.block];
    run_ = nest.run < 0 ? none : nest.loops[nest.run];
    const bool a = lane_.step[0] != 0, b = lane_.step[1] != 0, o = lane_.step[2] != 0;
    mode_ = nest.lane < 0 ? kBoth : !o ? kSummed : a && b ? kBoth : a ? kOne : kOther;
    steps_.block[2] = block_.step[2];
    for (int t = 0; t < 2; ++t) {
      steps_.block[t] = step(nest.block, t);
      steps_.run[t] = step(nest.run, t);
    }
    held_.assign(nest.loops.size(), false);
    for (Index loop : nest.sums) held_[loop] = true;
    for (Index loop : {nest.block, nest.run})
      if (loop >= 0) held_[loop] = true;
    made_.resize((block_.size + kBlock - 1) / kBlock);
  }

  // Computes the sums [from, to) of the outer loops, for blocks [first, last) of one task.
  void task(Index number, Index first, Index last, Index from, Index to, bool add, T* out) {
    place(nest_.tasks, number);
    for (Index i = from; i < to; ++i) {
      place(nest_.outer, i);
      const Index inner = count(nest_.inner);
      for (Index k = 0; k < inner; ++k) {
        place(nest_.inner, k);
        blocks(first, last, add || i > from, out);
      }
    }
  }

  Index tasks() const { return count(nest_.tasks); }
  Index outer() const { return count(nest_.outer); }
  Index blocks() const { return static_cast<Index>(made_.size()); }

 private:
  // The products of one block, made once for all places whose bounds are the same.
  struct Made {
    std::vector<Index> bounds;
    std::vector<Piece> pieces;
    bool known = false;
  };

  Index count(const std::vector<Index>& loops) const {
    Index total = 1;
    for (Index loop : loops) total *= nest_.loops[loop].size;
    return total;
  }

  void place(const std::vector<Index>& loops, Index number) {
    for (std::size_t i = loops.size(); i-- > 0;) {
      const Index size = nest_.loops[loops[i]].size;
      at_[loops[i]] = number % size;
      number /= size;
    }
  }

  // The entry of a window that the loops stand at.
  Index entry(const Window& w) const {
    return w.stride * at_[w.position] + w.dilation * at_[w.tap] - w.low;
  }

  static Index slope(const Window& w, Index loop) {
    return (w.position == loop ? w.stride : 0) + (w.tap == loop ? w.dilation : 0);
  }

  // Entries of a tensor between neighbours of a loop, windows included.
  Index step(Index loop, int tensor) const {
    if (loop < 0) return 0;
    Index total = nest_.loops[loop].step[tensor];
    for (const Window& w : nest_.windows) total += slope(w, loop) * w.step[tensor];
    return total;
  }

  void blocks(Index from, Index to, bool add, T* out) {
    // What is the same for all blocks: where the loops stand that aren't part of a block.
    bounds_.clear();
    bool inside = true;
    for (const Window& w : nest_.windows) {
      const bool position = held_[w.position], tap = held_[w.tap];
      if (position && tap) continue;
      const Index start = entry(w);
      if (!position && !tap) {
        inside &= start >= 0 && start < w.size;
        continue;
      }
      const Index loop = position ? w.position : w.tap;
      Index low = 0, high = nest_.loops[loop].size;
      clip(start, slope(w, loop), w.size, low, high);
      inside &= low < high;
      bounds_.push_back(low);
      bounds_.push_back(high);
    }
    if (!inside && add) return;
    Index start[3];
    for (int t = 0; t < 3; ++t) {
      start[t] = nest_.start[t];
      for (std::size_t i = 0; i < at_.size(); ++i) start[t] += at_[i] * nest_.loops[i].step[t];
      if (t < 2)
        for (const Window& w : nest_.windows) start[t] += entry(w) * w.step[t];
    }
    for (Index number = from; number < to; ++number) {
      // Blocks of nearly equal size: 15 are 7 and 8, 9 are 4 and 5.
      const Index first = block_.size * number / blocks();
      const Index length = block_.size * (number + 1) / blocks() - first;
      Made& made = made_[number];
      T* to = out + start[2] + first * steps_.block[2];
      if (!inside) {
        lanes({}, start, to, length, false);
        continue;
      }
      if (!made.known || made.bounds != bounds_) {
        made.pieces.clear();
        if (nest_.block >= 0) at_[nest_.block] = first;
        const Index offset[2] = {first * steps_.block[0], first * steps_.block[1]};
        add_pieces(made.pieces, 0, offset, length);
        if (nest_.block >= 0) at_[nest_.block] = 0;
        made.bounds = bounds_;
        made.known = true;
      }
      if (!made.pieces.empty() || !add) lanes(made.pieces, start, to, length, add);
    }
  }

  // Walks over the sums inside registers, within the bounds of windows that are fixed by then.
  void add_pieces(std::vector<Piece>& pieces, std::size_t depth, const Index offset[2],
                  Index length) {
    if (depth == nest_.sums.size()) return add_runs(pieces, offset, length);
    const Index loop = nest_.sums[depth];
    Index low = 0, high = nest_.loops[loop].size;
    for (const Window& w : nest_.windows) {
      const Index step = slope(w, loop);
      if (step != 0 && fixed_but(w, loop, depth)) clip(entry(w), step, w.size, low, high);
    }
    const Index by[2] = {step(loop, 0), step(loop, 1)};
    for (Index i = low; i < high; ++i) {
      at_[loop] = i;
      const Index there[2] = {offset[0] + i * by[0], offset[1] + i * by[1]};
      add_pieces(pieces, depth + 1, there, length);
    }
    at_[loop] = 0;
  }

  // Whether all loops of a window but this one stand still while the loop runs.
  bool fixed_but(const Window& w, Index loop, std::size_t depth) const {
    for (Index other : {w.position, w.tap}) {
      if (other == loop) continue;
      if (other == nest_.block || other == nest_.run) return false;
      for (std::size_t i = depth + 1; i < nest_.sums.size(); ++i)
        if (nest_.sums[i] == other) return false;
    }
    return true;
  }

  // Adds the rounds of the run: those where the whole block is inside, and those where a part is.
  void add_runs(std::vector<Piece>& pieces, const Index offset[2], Index length) {
    Index whole_low = 0, whole_high = run_.size, low = 0, high = run_.size;
    bool moving = false;
    for (const Window& w : nest_.windows) {
      const Index first = entry(w), run = slope(w, nest_.run), block = slope(w, nest_.block);
      if (block == 0) {
        clip(first, run, w.size, low, high);
        continue;
      }
      moving |= run != 0;
      clip(first, run, w.size, whole_low, whole_high);
      clip(first + block * (length - 1), run, w.size, whole_low, whole_high);
    }
    whole_low = std::max(whole_low, low);
    whole_high = std::min(whole_high, high);
    if (whole_high <= whole_low) whole_low = whole_high = moving ? high : low;
    const auto rounds = [&](Index from, Index to) {
      const Index by = moving ? 1 : to - from;
      for (Index r = from; r < to; r += by) {
        Index first = 0, last = length;
        for (const Window& w : nest_.windows) {
          const Index block = slope(w, nest_.block);
          if (block != 0)
            clip(entry(w) + r * slope(w, nest_.run), block, w.size, first, last);
        }
        piece(pieces, offset, r, r + by, first, last);
      }
    };
    rounds(low, whole_low);
    piece(pieces, offset, whole_low, whole_high, 0, length);
    rounds(whole_high, high);
  }

  void piece(std::vector<Piece>& pieces, const Index offset[2], Index from, Index to, Index low,
             Index high) {
    if (to <= from || high <= low) return;
    const Index start[2] = {offset[0] + from * steps_.run[0], offset[1] + from * steps_.run[1]};
    pieces.push_back({{start[0], start[1]}, to - from, low, high});
  }

  void lanes(const std::vector<Piece>& pieces, const Index start[3], T* out, Index length,
             bool add) {
    constexpr int full = kVectorBytes / sizeof(T);
    const bool fixed = steps_.block[1] == 0;
    const int block = static_cast<int>(length);
    Index lane = 0, left = lane_.size;
    const auto run = [&](Kernel<T> kernel, Index width) {
      for (; left >= width; left -= width, lane += width) {
        kernel(data_[0] + start[0] + lane * lane_.step[0],
               data_[1] + start[1] + lane * lane_.step[1], out + lane * lane_.step[2],
               pieces.data(), static_cast<Index>(pieces.size()), steps_, add);
        add |= mode_ == kSummed;
      }
    };
    if (kWide > 1 && left >= full * kWide)
      run(of_mode<T, full, kWide>(mode_, fixed, block), full * kWide);
    if (left >= full) run(of_mode<T, full, 1>(mode_, fixed, block), full);
    if constexpr (full > 4) {
      if (left >= 4) run(of_mode<T, 4, 1>(mode_, fixed, block), 4);
    }
    if (left >= 1) run(of_mode<T, 1, 1>(mode_, fixed, block), 1);
  }

  const Nest& nest_;
  const T* data_[2];
  std::vector<Index> at_, bounds_;
  std::vector<bool> held_;  // Loops that run inside a block.
  std::vector<Made> made_;
  Loop lane_, block_, run_;
  Steps steps_;
  int mode_ = kBoth;
};

template <class T>
void execute(const Nest& whole, const T* one, const T* other, T* out, Index entries, int threads,
             const Lender* lender) {
  bool add = false, gaps = false, phased = false;
  for (const Window& w : whole.windows)
    if (w.divisor > 1) {
      phased = true;
      add |= whole.loops[w.position].step[2] == 0;  // All phases sum to the same entries.
      gaps |= common(w.dilation, w.divisor) > 1 || whole.loops[w.tap].size < w.divisor;
    }
  gaps |= add;
  const auto empty = [](const Loop& loop) { return loop.size == 0; };
  const bool nothing = std::any_of(whole.loops.begin(), whole.loops.end(), empty);
  if (gaps || nothing) std::memset(out, 0, entries * sizeof(T));
  if (nothing) return;
  phases(whole, [&](const Nest& nest) {
    const Run<T> shape(nest, one, other);
    Index work = 1;
    for (const Loop& loop : nest.loops) work *= loop.size;
    const int useful = static_cast<int>(std::min<Index>(threads, 1 + work / kThreadWork));
    const Index blocks = shape.blocks(), units = shape.tasks() * blocks, outer = shape.outer();
    const Index parts = phased && !gaps ? 1 : std::max<Index>(1, std::min(outer, nest.parts));
    std::vector<std::vector<T>> sums(parts > 1 ? parts : 0);
    const Index chunks = std::min<Index>(units, 8 * useful);
    for (auto& part : sums) part.assign(entries, T(0));
    share_out(chunks * parts, useful, lender, [&](Index i) {
      const Index chunk = i / parts, part = i % parts;
      const Index from = outer * part / parts, to = outer * (part + 1) / parts;
      T* target = parts > 1 ? sums[part].data() : out;
      Run<T> run(nest, one, other);
      const Index end = units * (chunk + 1) / chunks;
      for (Index unit = units * chunk / chunks; unit < end;) {
        const Index task = unit / blocks, first = unit % blocks;
        const Index last = std::min(blocks, first + end - unit);
        run.task(task, first, last, from, to, parts == 1 && add, target);
        unit += last - first;
      }
    });
    for (const auto& part : sums)
      for (Index e = 0; e < entries; ++e)
        out[e] = (phased || &part != &sums.front() ? out[e] : T(0)) + part[e];
  });
}

}  // namespace

extern "C" {

// Lets calls run on a backend's own threads; null: on threads of this library.
void convsmith_team(void* function) { team.store(reinterpret_cast<Team>(function)); }

// Runs a program; dtype: 0 float32, 1 float64; lender: a `Lender` of threads, or null. Returns null,
// or what is wrong.
const char* convsmith_direct(const Index* program, Index length, int dtype, const void* one,
                             const Index* one_shape, Index one_rank, const void* other,
                             const Index* other_shape, Index other_rank, void* out,
                             const Index* out_shape, Index out_rank, int threads,
                             const void* lender) {
  const Index* const shapes[3] = {one_shape, other_shape, out_shape};
  const Index ranks[3] = {one_rank, other_rank, out_rank};
  try {
    Nest nest;
    if (const char* wrong = read(program, length, shapes, ranks, nest)) return wrong;
    Index entries = 1;
    for (Index i = 0; i < out_rank; ++i) entries *= out_shape[i];
    if (entries == 0) return nullptr;
    if (dtype == 0) {
      execute(nest, static_cast<const float*>(one), static_cast<const float*>(other),
              static_cast<float*>(out), entries, threads, static_cast<const Lender*>(lender));
    } else {
      execute(nest, static_cast<const double*>(one), static_cast<const double*>(other),
              static_cast<double*>(out), entries, threads, static_cast<const Lender*>(lender));
    }
    return nullptr;
  } catch (const std::bad_alloc&) {
    return "there is no memory for the sums of the threads";
  }
}

}  // extern "C"

}  // namespace convsmith
