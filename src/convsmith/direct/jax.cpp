// The door to XLA for JAX: a typed foreign function that runs a program of `nest.cpp`.

#include <cstdint>

#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;

using Direct = const char* (*)(const std::int64_t*, std::int64_t, int, const void*,
                               const std::int64_t*, std::int64_t, const void*,
                               const std::int64_t*, std::int64_t, void*, const std::int64_t*,
                               std::int64_t, int, const void*);

Direct direct = nullptr;

// As `nest.cpp` has it: XLA lends its threads, and starts a function on one when it can.
struct Lender {
  void* context;
  void (*start)(void* context, void (*function)(void*), void* data);
};

void start(void* context, void (*function)(void*), void* data) {
  static_cast<ffi::ThreadPool*>(context)->Schedule([=] { function(data); });
}

ffi::Error run(ffi::ThreadPool pool, ffi::AnyBuffer one, ffi::AnyBuffer other, ffi::Result<ffi::AnyBuffer> out,
               ffi::Span<const std::int64_t> program, std::int64_t threads) {
  const Lender lender{&pool, start};
  const int dtype = out->element_type() == ffi::DataType::F64;
  const auto a = one.dimensions(), b = other.dimensions(), o = out->dimensions();
  const char* wrong =
      direct(program.begin(), static_cast<std::int64_t>(program.size()), dtype,
             one.untyped_data(), a.begin(), static_cast<std::int64_t>(a.size()),
             other.untyped_data(), b.begin(), static_cast<std::int64_t>(b.size()),
             out->untyped_data(), o.begin(), static_cast<std::int64_t>(o.size()),
             static_cast<int>(threads), &lender);
  return wrong == nullptr ? ffi::Error::Success() : ffi::Error::Internal(wrong);
}

}  // namespace

extern "C" void convsmith_use(void* function) { direct = reinterpret_cast<Direct>(function); }

XLA_FFI_DEFINE_HANDLER_SYMBOL(convsmith_handler, run,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<ffi::Span<const std::int64_t>>("program")
                                  .Attr<std::int64_t>("threads"));
