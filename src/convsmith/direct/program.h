// Programs: what a nest is told, and how windows with gaps become nests without.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <vector>

namespace convsmith {
namespace {  // One library, one file: nothing is shared with another version's.

using Index = std::int64_t;

constexpr Index kVersion = 1;

struct Loop {
  Index size = -1;
  Index step[3] = {0, 0, 0};  // Entries between neighbours, in each tensor.
};

struct Window {
  Index position, tap, stride, dilation, low, divisor;
  Index size = -1;
  Index step[3] = {0, 0, 0};
};

struct Nest {
  std::vector<Loop> loops;
  std::vector<Window> windows;
  Index start[3] = {0, 0, 0};
  Index lane = -1, block = -1, run = -1;
  Index parts = 1;  // That long sums are cut into; results don't depend on the threads.
  std::vector<Index> tasks, outer, inner, sums;
};

class Reader {
 public:
  Reader(const Index* at, Index length) : at_(at), end_(at + length) {}
  Index next() {
    if (at_ == end_) failed_ = true;
    return failed_ ? 0 : *at_++;
  }
  std::vector<Index> list() {
    Index count = next();
    std::vector<Index> values;
    for (Index i = 0; i < count && !failed_; ++i) values.push_back(next());
    return values;
  }
  bool failed() const { return failed_; }

 private:
  const Index *at_, *end_;
  bool failed_ = false;
};

// Returns an empty string, or what is wrong.
const char* read(const Index* program, Index length, const Index* const shapes[3],
                 const Index ranks[3], Nest& nest) {
  Reader reader(program, length);
  if (reader.next() != kVersion) return "the program is of another version";
  const Index loops = reader.next(), windows = reader.next();
  if (loops < 0 || loops > 64 || windows < 0 || windows > 16) return "the program is damaged";
  nest.loops.resize(loops);
  nest.lane = reader.next();
  nest.block = reader.next();
  nest.run = reader.next();
  nest.parts = reader.next();
  for (auto* list : {&nest.tasks, &nest.outer, &nest.inner, &nest.sums}) *list = reader.list();
  for (Index i = 0; i < windows; ++i) {
    Window w;
    w.position = reader.next();
    w.tap = reader.next();
    w.stride = reader.next();
    w.dilation = reader.next();
    w.low = reader.next();
    w.divisor = reader.next();
    nest.windows.push_back(w);
  }
  for (int tensor = 0; tensor < 3; ++tensor) {
    const std::vector<Index> axes = reader.list();
    if (static_cast<Index>(axes.size()) != ranks[tensor]) return "an operand has another rank";
    Index step = 1;
    for (Index i = ranks[tensor] - 1; i >= 0; --i) {
      const Index code = axes[i], size = shapes[tensor][i];
      if (code >= loops || -code - 1 >= windows) return "the program is damaged";
      if (code >= 0) {
        Loop& loop = nest.loops[code];
        if (loop.size != -1 && loop.size != size) return "sizes of the operands disagree";
        loop.size = size;
        loop.step[tensor] += step;
      } else {
        Window& window = nest.windows[-code - 1];
        if (window.size != -1 && window.size != size) return "sizes of the operands disagree";
        window.size = size;
        window.step[tensor] += step;
      }
      step *= size;
    }
  }
  if (reader.failed()) return "the program is damaged";
  const auto wrong = [loops](Index loop) { return loop < 0 || loop >= loops; };
  for (auto* list : {&nest.tasks, &nest.outer, &nest.inner, &nest.sums})
    if (std::any_of(list->begin(), list->end(), wrong)) return "the program is damaged";
  for (Index loop : {nest.lane, nest.block, nest.run})
    if (loop != -1 && wrong(loop)) return "the program is damaged";
  for (const Window& w : nest.windows)
    if (wrong(w.position) || wrong(w.tap)) return "the program is damaged";
  for (const Loop& loop : nest.loops)
    if (loop.size < 0) return "a loop has no size";
  for (const Window& w : nest.windows)
    if (w.size < 0 || w.divisor < 1) return "a window has no size";
  return nullptr;
}

Index floor_divide(Index a, Index b) {
  const Index quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

Index ceil_divide(Index a, Index b) { return -floor_divide(-a, b); }

// Adds to [low, high) what makes 0 <= start + step * i < size.
void clip(Index start, Index step, Index size, Index& low, Index& high) {
  if (step == 0) {
    if (start < 0 || start >= size) high = low;
  } else if (step > 0) {
    low = std::max(low, ceil_divide(-start, step));
    high = std::min(high, floor_divide(size - 1 - start, step) + 1);
  } else {
    low = std::max(low, ceil_divide(size - 1 - start, step));
    high = std::min(high, floor_divide(-start, step) + 1);
  }
  if (high < low) high = low;
}

Index common(Index a, Index b) { return b == 0 ? std::abs(a) : common(b, a % b); }

// A window that skips between entries reads one entry in `divisor`: each phase of its positions is
// a nest of its own, without the gaps. Calls `use` for every phase of every window.
void phases(const Nest& nest, const std::function<void(const Nest&)>& use) {
  std::size_t which = 0;
  while (which < nest.windows.size() && nest.windows[which].divisor == 1) ++which;
  if (which == nest.windows.size()) return use(nest);
  const Window& w = nest.windows[which];
  const Index s = w.divisor;
  const Loop &position = nest.loops[w.position], &tap = nest.loops[w.tap];
  const Index jump = s / common(w.dilation, s);
  for (Index phase = 0; phase < std::min(s, position.size); ++phase) {
    Index first = 0;
    while (first < jump && (phase + w.dilation * first - w.low) % s != 0) ++first;
    if (first == jump || first >= tap.size) continue;
    Nest one = nest;
    Loop &p = one.loops[w.position], &t = one.loops[w.tap];
    p.size = ceil_divide(position.size - phase, s);
    t.size = ceil_divide(tap.size - first, jump);
    for (int tensor = 0; tensor < 3; ++tensor) {
      one.start[tensor] += phase * p.step[tensor] + first * t.step[tensor];
      p.step[tensor] *= s;
      t.step[tensor] *= jump;
    }
    Window& window = one.windows[which];
    window.stride = 1;
    window.dilation = w.dilation * jump / s;
    window.low = -(phase + w.dilation * first - w.low) / s;
    window.divisor = 1;
    phases(one, use);
  }
}

}  // namespace
}  // namespace convsmith
