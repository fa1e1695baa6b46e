// A loop nest over three tensors: out[o] += one[i] * other[j], where every index is an affine sum
// of loops and reads beyond an edge are zeros. Convolutions, their gradients, kernels per sample
// and per position are such nests. `direct/program.py` writes the program, this file runs it.
//
// One loop is the lanes of a vector, one is a block of accumulators that stay in registers, one
// runs innermost; the rest is tasks of threads, sums inside registers, and sums in memory.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>
#ifndef _WIN32
#include <pthread.h>
#endif

namespace {

using Index = std::int64_t;

constexpr Index kVersion = 1;
constexpr Index kThreadWork = 200000;  // Multiply-adds that are worth waking a thread.
constexpr int kBlock = 8;  // Accumulators of one block, in vectors.

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kWide = 2;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kWide = 1;
#else
constexpr int kVectorBytes = 16, kWide = 2;
#endif

// ---------------------------------------------------------------------------------- threads

// A backend's own threads are used where it lends them: threads that spin for their next work leave
// no processor to others. Either it starts a function on another thread at some time ...
struct Lender {
  void* context;
  void (*start)(void* context, void (*function)(void*), void* data);
};

// ... or it calls one on each of `count` threads and waits. This is GNU OpenMP's entry point.
using Team = void (*)(void (*function)(void*), void* data, unsigned count, unsigned flags);

std::atomic<Team> team{nullptr};

// Tasks that several threads take one by one. Whoever comes after the last one finds nothing to do,
// so that nobody ever waits for a thread that hasn't started.
class Tasks {
 public:
  Tasks(Index count, const std::function<void(Index)>& task) : count_(count), task_(&task) {}

  void help() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (closed_) return;
      ++busy_;
    }
    take();
    std::lock_guard<std::mutex> lock(mutex_);
    if (--busy_ == 0) done_.notify_all();
  }

  void take() {
    try {
      for (Index i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) (*task_)(i);
    } catch (const std::bad_alloc&) {
      failed_.store(true);
    }
  }

  // Waits for the helpers that are at work, and sends away those who come later.
  void close() {
    std::unique_lock<std::mutex> lock(mutex_);
    closed_ = true;
    done_.wait(lock, [this] { return busy_ == 0; });
    if (failed_.load()) throw std::bad_alloc();
  }

  // What a thread is started with: it owns a share of the tasks.
  static void start(void* data) {
    const std::unique_ptr<std::shared_ptr<Tasks>> share(static_cast<std::shared_ptr<Tasks>*>(data));
    (*share)->help();
  }

 private:
  const Index count_;
  const std::function<void(Index)>* task_;
  std::atomic<Index> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::condition_variable done_;
  int busy_ = 0;
  bool closed_ = false;
};

// Threads of our own, for backends that lend none.
class Workers {
 public:
  void start(void (*function)(void*), void* data) {
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back({function, data});
    if (idle_ < static_cast<int>(waiting_.size())) {
      try {
        std::thread(&Workers::work, this).detach();
        ++idle_;
      } catch (const std::system_error&) {
        // The system has no thread to give; those that there are do it, or the caller.
      }
    }
    wake_.notify_one();
  }

 private:
  struct Job {
    void (*function)(void*);
    void* data;
  };

  void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return !waiting_.empty(); });
      const Job job = waiting_.front();
      waiting_.pop_front();
      --idle_;
      lock.unlock();
      job.function(job.data);
      lock.lock();
      ++idle_;
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> waiting_;
  int idle_ = 0;  // Threads that wait, or are about to.
};

Workers* workers = nullptr;  // Never deleted: its threads live as long as the process.
std::once_flag workers_once;

Workers& own_threads() {
  std::call_once(workers_once, [] {
    workers = new Workers;
#ifndef _WIN32
    // A forked process has none of the threads.
    pthread_atfork(nullptr, nullptr, [] { workers = new Workers; });
#endif
  });
  return *workers;
}

// Calls `task(0) ... task(count - 1)` on up to `threads` threads, this one among them. Throws
// std::bad_alloc if one of them does.
void share_out(Index count, int threads, const Lender* lender,
               const std::function<void(Index)>& task) {
  const auto tasks = std::make_shared<Tasks>(count, task);
  const Index most = std::min<Index>(threads, count);
  if (most > 1 && lender == nullptr && team.load() != nullptr) {
    const auto help = [](void* all) { static_cast<Tasks*>(all)->help(); };
    team.load()(help, tasks.get(), static_cast<unsigned>(most), 0);
  } else {
    // A pool may hand a call to a thread that is busy: more calls than threads find one that isn't.
    const Index calls = most > 1 && lender != nullptr ? 2 * most : most;
    for (Index i = 1; i < calls; ++i) {
      auto* share = new std::shared_ptr<Tasks>(tasks);
      if (lender != nullptr) {
        lender->start(lender->context, Tasks::start, share);
      } else {
        own_threads().start(Tasks::start, share);
      }
    }
    tasks->take();
  }
  tasks->close();
}

// ---------------------------------------------------------------------------------- program

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

// ------------------------------------------------------------------------------ inner kernels

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

// ------------------------------------------------------------------------------------- the nest

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
