// Threads: a backend's own where it lends them, others where it doesn't.

#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#ifndef _WIN32
#include <pthread.h>
#endif

namespace convsmith {
namespace {  // One library, one file: nothing is shared with another version's.

using Index = std::int64_t;

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
    try {
      for (Index i = 1; i < calls; ++i) {
        auto share = std::make_unique<std::shared_ptr<Tasks>>(tasks);
        if (lender != nullptr) {
          lender->start(lender->context, Tasks::start, share.get());
        } else {
          own_threads().start(Tasks::start, share.get());
        }
        share.release();  // Whoever was started owns it.
      }
    } catch (const std::bad_alloc&) {
      // Fewer helpers then; those that were started must be waited for.
    }
    tasks->take();
  }
  tasks->close();
}

}  // namespace
}  // namespace convsmith
