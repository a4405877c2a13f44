// From own threads to JavaScript: events to a listener, results to a promise.
#pragma once

#include <napi.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <variant>

#include "convert.h"

namespace framebus::binding {

// A bounded queue of events from any thread to one listener on Node's thread.
// While it is open it keeps the event loop alive.
//
//   channel_ = std::make_shared<EventChannel<SourceEvent>>(listener, "framebus source", 256,
//                                                          &source_event_to_js);
//   channel_->post(event);   // any thread
//   channel_->close();       // Node's thread; the listener is never called again
template <class Event>
class EventChannel {
 public:
  using ToJs = std::function<Napi::Value(Napi::Env, Event&)>;

  EventChannel(const Napi::Function& listener, const char* name, size_t capacity, ToJs to_js)
      : state_(std::make_shared<State>()) {
    state_->to_js = std::move(to_js);
    auto context = std::make_unique<Context>(state_);
    state_->function = Function::New(
        listener.Env(), listener, name, capacity, 1, context.get(),
        [](Napi::Env, void*, Context* finished) {
          const std::unique_ptr<Context> owned(finished);
          const std::lock_guard lock((*owned)->mutex);
          (*owned)->open = false;
        },
        static_cast<void*>(nullptr));
    context.release();  // The finalizer owns it now.
  }
  ~EventChannel() { close(); }
  EventChannel(const EventChannel&) = delete;
  EventChannel& operator=(const EventChannel&) = delete;

  // False when the queue is full or the channel closed: the event is lost and
  // counted. Never blocks; any thread.
  bool post(Event event) {
    auto queued = std::make_unique<Event>(std::move(event));
    const std::lock_guard lock(state_->mutex);
    if (state_->open) {
      const napi_status status = state_->function.NonBlockingCall(queued.get());
      if (status == napi_ok) {
        queued.release();  // call_listener owns it now.
        return true;
      }
      if (status == napi_closing) state_->open = false;
    }
    ++state_->lost;
    return false;
  }

  // From here on (when called on Node's thread) the listener is never called
  // again; events still queued are dropped. Idempotent.
  void close() {
    const std::lock_guard lock(state_->mutex);
    if (!state_->open) return;
    state_->open = false;
    state_->function.Abort();
  }

  // Events that post() refused.
  uint64_t lost() const { return state_->lost; }

 private:
  struct State;
  using Context = std::shared_ptr<State>;

  static void call_listener(Napi::Env env, Napi::Function listener, Context* context,
                            Event* queued) {
    const std::unique_ptr<Event> event(queued);
    if (static_cast<napi_env>(env) == nullptr) return;  // The environment is going down.
    const Context state = *context;
    {
      const std::lock_guard lock(state->mutex);
      if (!state->open) return;
    }
    const Napi::HandleScope scope(env);
    listener.Call({state->to_js(env, *event)});
  }

  using Function = Napi::TypedThreadSafeFunction<Context, Event, &EventChannel::call_listener>;

  struct State {
    std::mutex mutex;
    bool open = true;
    Function function;
    ToJs to_js;
    std::atomic<uint64_t> lost = 0;
  };

  std::shared_ptr<State> state_;
};

namespace detail {

// One promise and the thread that works for it. Owned by its thread-safe
// function, whose finalizer joins the thread: at the latest when the
// environment goes down.
template <class Result>
struct AsyncJob {
  using Convert = std::function<Napi::Value(Napi::Env, Result&)>;

  static void settle(Napi::Env env, Napi::Function, AsyncJob* job, void*) {
    if (static_cast<napi_env>(env) == nullptr) return;
    const Napi::HandleScope scope(env);
    if (const auto* failure = std::get_if<framebus::Error>(&job->outcome)) {
      job->deferred.Reject(make_error(env, failure->code(), failure->what()).Value());
    } else {
      job->deferred.Resolve(job->convert(env, std::get<Result>(job->outcome)));
    }
  }

  using Function = Napi::TypedThreadSafeFunction<AsyncJob, void, &AsyncJob::settle>;

  explicit AsyncJob(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise::Deferred deferred;
  Convert convert;
  std::variant<std::monostate, framebus::Error, Result> outcome;
  Function function;
  std::jthread thread;
};

}  // namespace detail

// Runs `work` on a thread of its own and settles a promise with what it
// returns; framebus::Error rejects with its code, any other exception with
// INTERNAL. `work` must end by itself in bounded time.
template <class Result, class Work>
Napi::Promise run_async(Napi::Env env, const char* name, Work work,
                        typename detail::AsyncJob<Result>::Convert convert) {
  using Job = detail::AsyncJob<Result>;
  auto owned = std::make_unique<Job>(env);
  Job* const job = owned.get();  // Borrowed; the finalizer below owns it.
  job->convert = std::move(convert);
  job->function = Job::Function::New(
      env, name, 0, 1, job,
      [](Napi::Env, void*, Job* finished) { const std::unique_ptr<Job> ended(finished); },
      static_cast<void*>(nullptr));
  owned.release();
  job->thread = std::jthread([job, work = std::move(work)]() mutable {
    try {
      job->outcome.template emplace<Result>(work());
    } catch (const framebus::Error& error) {
      job->outcome.template emplace<framebus::Error>(error);
    } catch (const std::exception& error) {
      job->outcome.template emplace<framebus::Error>("INTERNAL", error.what());
    }
    // After Release the job may be gone at any time.
    const typename Job::Function function = job->function;
    function.NonBlockingCall();
    function.Release();
  });
  return job->deferred.Promise();
}

// The same for work that returns nothing; resolves with undefined.
template <class Work>
Napi::Promise run_async(Napi::Env env, const char* name, Work work) {
  return run_async<bool>(
      env, name,
      [work = std::move(work)]() mutable {
        work();
        return true;
      },
      [](Napi::Env to, bool&) { return to.Undefined(); });
}

}  // namespace framebus::binding
