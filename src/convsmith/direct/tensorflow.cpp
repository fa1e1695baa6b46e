// The doors of TensorFlow to the programs of `nest.cpp`: an operation for eager calls and graphs,
// and a custom call for XLA, which gets pointers and one string, so that it has the shapes, too.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_datatype.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"
#include "xla/service/custom_call_status_internal.h"
#include "xla/service/custom_call_target_registry.h"

namespace {

using Direct = const char* (*)(const std::int64_t*, std::int64_t, int, const void*,
                               const std::int64_t*, std::int64_t, const void*,
                               const std::int64_t*, std::int64_t, void*, const std::int64_t*,
                               std::int64_t, int, const void*);

Direct direct = nullptr;

// Numbers in a text, separated by blanks; reading streams would take as long as small work.
class Numbers {
 public:
  Numbers(const char* text, std::size_t length) : text_(text, length), at_(text_.c_str()) {}

  std::int64_t next() {
    char* end = nullptr;
    const std::int64_t number = std::strtoll(at_, &end, 10);
    failed_ |= end == at_;
    at_ = end;
    return number;
  }

  std::vector<std::int64_t> list() {
    std::vector<std::int64_t> numbers;
    for (std::int64_t count = next(); count > 0 && !failed_; --count) numbers.push_back(next());
    return numbers;
  }

  bool failed() const { return failed_; }

 private:
  const std::string text_;
  const char* at_;
  bool failed_ = false;
};

void handler(void* out, const void** in, const char* opaque, std::size_t length,
             XlaCustomCallStatus_* status) {
  Numbers numbers(opaque, length);
  const int dtype = static_cast<int>(numbers.next()), threads = static_cast<int>(numbers.next());
  const auto program = numbers.list(), one = numbers.list(), other = numbers.list(),
             result = numbers.list();
  if (numbers.failed()) {
    status->message = "the program is damaged";
    return;
  }
  const auto size = [](const std::vector<std::int64_t>& list) {
    return static_cast<std::int64_t>(list.size());
  };
  const char* wrong =
      direct(program.data(), size(program), dtype, in[0], one.data(), size(one), in[1],
             other.data(), size(other), out, result.data(), size(result), threads, nullptr);
  if (wrong != nullptr) status->message = wrong;  // Its setter isn't exported.
}

// ----------------------------------------------------------------------------- the operation

struct Program {
  std::vector<std::int64_t> numbers;
  std::int64_t threads = 1;
};

void* create(TF_OpKernelConstruction* context) {
  auto* made = new Program;
  TF_Status* status = TF_NewStatus();
  std::int32_t count = 0, total = 0;
  TF_OpKernelConstruction_GetAttrSize(context, "program", &count, &total, status);
  if (TF_GetCode(status) == TF_OK) {
    made->numbers.resize(count);
    TF_OpKernelConstruction_GetAttrInt64List(context, "program", made->numbers.data(), count,
                                             status);
  }
  if (TF_GetCode(status) == TF_OK)
    TF_OpKernelConstruction_GetAttrInt64(context, "threads", &made->threads, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(context, status);
  TF_DeleteStatus(status);
  return made;
}

std::vector<std::int64_t> shape_of(const TF_Tensor* tensor) {
  std::vector<std::int64_t> shape;
  for (int i = 0; i < TF_NumDims(tensor); ++i) shape.push_back(TF_Dim(tensor, i));
  return shape;
}

void compute(void* kernel, TF_OpKernelContext* context) {
  const auto& program = *static_cast<Program*>(kernel);
  TF_Status* status = TF_NewStatus();
  TF_Tensor* inputs[3] = {nullptr, nullptr, nullptr};
  TF_Tensor* output = nullptr;
  for (int i = 0; i < 3 && TF_GetCode(status) == TF_OK; ++i)
    TF_GetInput(context, i, &inputs[i], status);
  if (TF_GetCode(status) == TF_OK) {
    const auto* wanted = static_cast<const std::int64_t*>(TF_TensorData(inputs[2]));
    const std::vector<std::int64_t> shape(wanted, wanted + TF_TensorElementCount(inputs[2]));
    const TF_DataType dtype = TF_ExpectedOutputDataType(context, 0);
    std::size_t bytes = TF_DataTypeSize(dtype);
    for (std::int64_t size : shape) bytes *= static_cast<std::size_t>(size);
    output = TF_AllocateOutput(context, 0, dtype, shape.data(), static_cast<int>(shape.size()),
                               bytes, status);
    if (TF_GetCode(status) == TF_OK) {
      const auto one = shape_of(inputs[0]), other = shape_of(inputs[1]);
      const auto size = [](const std::vector<std::int64_t>& list) {
        return static_cast<std::int64_t>(list.size());
      };
      const char* wrong = direct(program.numbers.data(), size(program.numbers),
                                 dtype == TF_DOUBLE, TF_TensorData(inputs[0]), one.data(),
                                 size(one), TF_TensorData(inputs[1]), other.data(), size(other),
                                 TF_TensorData(output), shape.data(), size(shape),
                                 static_cast<int>(program.threads), nullptr);
      if (wrong != nullptr) TF_SetStatus(status, TF_INTERNAL, wrong);
    }
  }
  if (TF_GetCode(status) != TF_OK) TF_OpKernelContext_Failure(context, status);
  for (TF_Tensor* tensor : {inputs[0], inputs[1], inputs[2], output})
    if (tensor != nullptr) TF_DeleteTensor(tensor);
  TF_DeleteStatus(status);
}

bool register_operation() {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* definition = TF_NewOpDefinitionBuilder("ConvsmithDirect");
  TF_OpDefinitionBuilderAddInput(definition, "one: T");
  TF_OpDefinitionBuilderAddInput(definition, "other: T");
  TF_OpDefinitionBuilderAddInput(definition, "shape: int64");
  TF_OpDefinitionBuilderAddOutput(definition, "out: T");
  TF_OpDefinitionBuilderAddAttr(definition, "T: {float, double}");
  TF_OpDefinitionBuilderAddAttr(definition, "program: list(int)");
  TF_OpDefinitionBuilderAddAttr(definition, "threads: int");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(
      definition, [](TF_ShapeInferenceContext* context, TF_Status* status) {
        TF_ShapeInferenceContextSetUnknownShape(context, status);
      });
  TF_RegisterOpDefinition(definition, status);
  if (TF_GetCode(status) == TF_OK) {
    TF_KernelBuilder* kernel =
        TF_NewKernelBuilder("ConvsmithDirect", "CPU", create, compute,
                            [](void* made) { delete static_cast<Program*>(made); });
    TF_RegisterKernelBuilder("ConvsmithDirect", kernel, status);
  }
  const bool done = TF_GetCode(status) == TF_OK;
  TF_DeleteStatus(status);
  return done;
}

const bool registered = register_operation();

}  // namespace

extern "C" void convsmith_use(void* function) {
  direct = reinterpret_cast<Direct>(function);
  xla::CustomCallTargetRegistry::Global()->Register(
      "convsmith_direct", reinterpret_cast<void*>(handler), "Host");
}
