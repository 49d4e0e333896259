// The kernels: one for every operation, which runs the CPU's kernel over the device's memory.
#include "gpu.h"

#include <ATen/EmptyTensor.h>
#include <ATen/ops/as_strided_native.h>
#include <algorithm>
#include <set>
#include <torch/library.h>

namespace simulated {

at::Tensor on_host(const at::Tensor& x) {
    if (!x.defined() || !x.is_cuda()) return x;
    auto options = at::TensorOptions().dtype(x.dtype()).device(at::kCPU);
    at::Tensor alias = x.numel() == 0 ? at::empty_strided(x.sizes(), x.strides(), options)
                                      : at::from_blob(view(x.data_ptr()), x.sizes(), x.strides(), options);
    if (x.unsafeGetTensorImpl()->is_wrapped_number()) alias.unsafeGetTensorImpl()->set_wrapped_number(true);
    return alias;
}

namespace {

at::Tensor empty_of(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType dtype) {
    return at::detail::empty_strided_generic(sizes, strides, c10::GetAllocator(c10::kCUDA),
                                             c10::DispatchKeySet(c10::DispatchKey::CUDA), dtype);
}

// Operations without a deterministic algorithm on a GPU: callers of Context::alertNotDeterministic in libtorch_cuda.so
// 2.11 that a language model could use. Some are refused there for some arguments only, here for all.
const std::set<std::string> FORBIDDEN = {"aten::scatter_reduce.two", "aten::index_reduce",       "aten::histc",
                                         "aten::bincount",           "aten::median.dim",         "aten::put_",
                                         "aten::_ctc_loss_backward", "aten::nll_loss2d_forward"};

// Operations whose result's shape depends on values, so that they wait for the device.
const std::set<std::string> WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal",
                                       "aten::_unique2", "aten::is_nonzero"};

// Operations that accept indices on the CPU with tensors on the GPU.
const std::set<std::string> TAKES_INDICES = {"aten::index.Tensor", "aten::index_put_", "aten::_index_put_impl_"};

std::string name_of(const c10::OperatorHandle& op) {
    const c10::OperatorName& name = op.operator_name();
    return name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
}

// One call of an operation: its arguments, and their CPU aliases.
class Call {
   public:
    Call(const c10::OperatorHandle& op, torch::jit::Stack* stack) : op_(op), stack_(stack), name_(name_of(op)) {}

    void run() {
        const auto& schema = op_.schema();
        size_t num = schema.arguments().size();
        arguments_.assign(stack_->end() - num, stack_->end());
        torch::jit::drop(*stack_, num);
        check();
        torch::jit::Stack aliases;
        for (size_t i = 0; i < num; ++i) {
            bool writes = schema.arguments()[i].alias_info() && schema.arguments()[i].alias_info()->isWrite();
            aliases.push_back(alias(arguments_[i], writes));
        }
        torch::jit::Stack results = aliases;
        op_.callBoxed(&results);
        ++counts().launches;
        ++counts().operations[name_];
        for (size_t i = 0; i < num; ++i) grow(arguments_[i], aliases[i]);
        std::vector<c10::IValue> returned;
        for (size_t i = 0; i < results.size(); ++i) returned.push_back(back(results[i], i));
        if (is_capturing()) keep(aliases, results, returned);
        for (auto& value : returned) stack_->push_back(std::move(value));
    }

   private:
    void check() {
        if (at::globalContext().deterministicAlgorithms() && FORBIDDEN.count(name_))
            at::globalContext().alertNotDeterministic(name_);
        if (WAITING.count(name_)) {
            refuse_in_capture(name_.c_str());
            ++counts().to_host;
        }
        for (const auto& argument : arguments_) each(argument, [&](const at::Tensor& x) {
            bool is_number = x.dim() == 0 && name_ != "aten::_fused_adamw_";
            TORCH_CHECK(!x.defined() || x.is_cuda() || is_number || TAKES_INDICES.count(name_),
                        "Expected all tensors to be on the same device, but one of ", name_, " is on ", x.device());
            if (x.defined() && !x.is_cuda() && !is_number) refuse_in_capture(name_.c_str());
        });
    }

    template <typename Body>
    static void each(const c10::IValue& value, Body body) {
        if (value.isTensor()) body(value.toTensor());
        if (value.isTensorList())
            for (const at::Tensor& x : value.toTensorVector()) body(x);
        if (value.isList() && !value.isTensorList())
            for (const c10::IValue& x : value.toListRef())
                if (x.isTensor()) body(x.toTensor());
    }

    c10::IValue alias(const c10::IValue& value, bool writes) {
        auto one = [&](const at::Tensor& x) {
            if (x.defined() && writes) before_write(x);
            at::Tensor alias = on_host(x);
            if (alias.defined() && x.is_cuda()) pairs_.emplace_back(x, alias);
            return alias;
        };
        if (value.isTensor()) return one(value.toTensor());
        if (value.isTensorList()) {
            c10::List<at::Tensor> list;
            for (const at::Tensor& x : value.toTensorVector()) list.push_back(one(x));
            return list;
        }
        if (value.isList()) {
            c10::ArrayRef<c10::IValue> items = value.toListRef();
            bool has_tensors = std::any_of(items.begin(), items.end(), [](const auto& x) { return x.isTensor(); });
            if (!has_tensors) return value;
            c10::List<std::optional<at::Tensor>> list;
            for (const c10::IValue& x : items)
                list.push_back(x.isTensor() ? std::optional<at::Tensor>(one(x.toTensor())) : std::nullopt);
            return list;
        }
        if (value.isDevice() && value.toDevice().is_cuda()) return c10::Device(c10::kCPU);
        return value;
    }

    // Resizes an argument whose alias the kernel resized.
    void grow(const c10::IValue& argument, const c10::IValue& alias) {
        if (!argument.isTensor() || !argument.toTensor().defined() || !argument.toTensor().is_cuda()) return;
        const at::Tensor& x = argument.toTensor();
        const at::Tensor& now = alias.toTensor();
        if (x.sizes() == now.sizes()) return;
        at::Tensor grown = on_device(now);
        x.unsafeGetTensorImpl()->set_storage_keep_dtype(grown.storage());
        x.unsafeGetTensorImpl()->set_storage_offset(0);
        x.unsafeGetTensorImpl()->set_sizes_and_strides(grown.sizes(), grown.strides());
        grown_.emplace_back(on_host(x), now);
    }

    c10::IValue back(const c10::IValue& value, size_t index) {
        const c10::AliasInfo* info = op_.schema().returns()[index].alias_info();
        if (info && info->isWrite() && value.isTensor()) return written(*info);
        if (value.isTensor()) return value.toTensor().defined() ? wrap(value.toTensor()) : value;
        if (value.isTensorList()) {
            c10::List<at::Tensor> list;
            for (const at::Tensor& x : value.toTensorVector()) list.push_back(wrap(x));
            return list;
        }
        return value;
    }

    // Returns the argument that a result is an alias of.
    c10::IValue written(const c10::AliasInfo& info) {
        const auto& arguments = op_.schema().arguments();
        for (size_t i = 0; i < arguments.size(); ++i)
            if (arguments[i].alias_info() && arguments[i].alias_info()->beforeSets() == info.beforeSets()) return arguments_[i];
        TORCH_CHECK(false, name_, " returns what is none of its arguments");
    }

    // Returns a result as a device tensor: a part of an argument's memory, or new.
    at::Tensor wrap(const at::Tensor& x) {
        for (const auto& [original, alias] : pairs_) {
            if (!x.has_storage() || x.numel() == 0 || x.storage().data() != alias.storage().data()) continue;
            at::Tensor part = original.detach();
            int64_t offset = original.storage_offset() + x.storage_offset() - alias.storage_offset();
            part.unsafeGetTensorImpl()->set_sizes_and_strides(x.sizes(), x.strides(), offset);
            return part;
        }
        return on_device(x);
    }

    void keep(const torch::jit::Stack& aliases, const torch::jit::Stack& results, const std::vector<c10::IValue>& returned) {
        std::vector<std::pair<size_t, at::Tensor>> made;
        for (size_t i = 0; i < results.size(); ++i) {
            bool is_new = returned[i].isTensor() && results[i].isTensor() && returned[i].toTensor().defined();
            const c10::AliasInfo* info = op_.schema().returns()[i].alias_info();
            if (is_new && !(info && info->isWrite())) made.emplace_back(i, on_host(returned[i].toTensor()));
        }
        record([op = op_, aliases, made, grown = grown_] {
            torch::jit::Stack stack = aliases;
            op.callBoxed(&stack);
            for (const auto& [to, from] : grown) to.copy_(from);
            for (const auto& [i, to] : made)
                if (to.storage().data() != stack[i].toTensor().storage().data()) to.copy_(stack[i].toTensor());
        });
    }

    c10::OperatorHandle op_;
    torch::jit::Stack* stack_;
    std::string name_;
    std::vector<c10::IValue> arguments_;
    std::vector<std::pair<at::Tensor, at::Tensor>> pairs_;
    // Resized arguments, with the aliases that contain their new contents.
    std::vector<std::pair<at::Tensor, at::Tensor>> grown_;
};

void run(const c10::OperatorHandle& op, torch::jit::Stack* stack) { Call(op, stack).run(); }

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
    return at::detail::empty_generic(size, c10::GetAllocator(c10::kCUDA), c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                     at::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
    return empty_of(size, stride, at::dtype_or_default(dtype));
}

at::Tensor as_strided(const at::Tensor& self, at::IntArrayRef size, at::IntArrayRef stride, std::optional<int64_t> offset) {
    return at::native::as_strided_tensorimpl(self, size, stride, offset);
}

at::Tensor& copy(at::Tensor& self, const at::Tensor& src, bool) {
    bool crosses = self.is_cuda() != src.is_cuda();
    if (crosses) refuse_in_capture("a copy between host and device");
    ++(crosses ? (self.is_cuda() ? counts().to_device : counts().to_host) : counts().launches);
    before_write(self);
    at::Tensor to = on_host(self), from = on_host(src);
    to.copy_(from);
    if (is_capturing()) record([to, from] { to.copy_(from); });
    return self;
}

TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&run>()); }

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
    m.impl("empty.memory_format", TORCH_FN(empty));
    m.impl("empty_strided", TORCH_FN(empty_strided));
    m.impl("as_strided", TORCH_FN(as_strided));
    m.impl("copy_", TORCH_FN(copy));
}

}  // namespace

at::Tensor on_device(const at::Tensor& x) {
    at::Tensor made = empty_of(x.sizes(), x.strides(), x.scalar_type());
    if (x.numel() > 0) on_host(made).copy_(x);
    return made;
}

}  // namespace simulated
