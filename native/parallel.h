// Independent tasks on a few threads. Which thread takes which task is open, so no task may depend on another.
#pragma once

#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace exitwave {

// Calls work(task, worker) for every task from 0 to tasks - 1; `worker` counts the threads from 0. With one thread, or
// one task, it runs here and starts none.
template <class Work> void parallel(long tasks, int threads, const Work &work) {
    const int workers = static_cast<int>(tasks < threads ? tasks : threads);
    if (workers <= 1) {
        for (long task = 0; task < tasks; ++task) {
            work(task, 0);
        }
        return;
    }
    std::atomic<long> next{0};
    const auto take = [&](int worker) {
        for (long task = next.fetch_add(1); task < tasks; task = next.fetch_add(1)) {
            work(task, worker);
        }
    };
    std::vector<std::thread> others;
    others.reserve(workers - 1);
    for (int worker = 1; worker < workers; ++worker) {
        try {
            others.emplace_back(take, worker);
        } catch (const std::system_error &) {
            break; // The system has no thread left: those that run do all the work.
        }
    }
    take(0);
    for (std::thread &other : others) {
        other.join();
    }
}

} // namespace exitwave
