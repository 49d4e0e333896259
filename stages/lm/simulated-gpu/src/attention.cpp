// The flash kernels, which libtorch has only for GPUs: attention of packed rows and its gradient, with plain matmuls.
#include "gpu.h"

#include <cmath>
#include <torch/library.h>

namespace simulated {
namespace {

typedef std::optional<at::Tensor> Maybe;
typedef std::optional<int64_t> MaybeInt;

struct Row {
    int64_t start, length;
};

std::vector<Row> rows_of(const at::Tensor& starts) {
    TORCH_CHECK(starts.is_cuda() && starts.scalar_type() == at::kInt, "cu_seqlens_q must have dtype int32 on the device");
    at::Tensor host = on_host(starts);
    std::vector<Row> rows;
    for (int64_t i = 0; i + 1 < host.numel(); ++i) {
        int64_t start = host[i].item<int>();
        rows.push_back({start, host[i + 1].item<int>() - start});
    }
    return rows;
}

void check(const at::Tensor& x) {
    bool is_half = x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf;
    TORCH_CHECK(is_half, "FlashAttention only support fp16 and bf16 data type");
    TORCH_CHECK(x.dim() == 3 && x.stride(-1) == 1, "Input tensor must have contiguous last dimension");
    TORCH_CHECK(x.size(2) <= 256 && x.size(2) % 8 == 0, "head_size should be a multiple of 8 and at most 256");
}

// Returns one row's heads in single precision, [h, t, d], with each key head repeated for its query heads.
at::Tensor heads_of(const at::Tensor& x, Row row, int64_t h) {
    at::Tensor heads = x.narrow(0, row.start, row.length).to(at::kFloat).transpose(0, 1);
    return heads.repeat_interleave(h / heads.size(0), 0);
}

at::Tensor scores_of(const at::Tensor& q, const at::Tensor& k, double scale, bool causal, MaybeInt left) {
    int64_t t = q.size(1);
    at::Tensor seen = at::ones({t, t}, at::kBool);
    if (causal) seen = seen.tril();
    if (left && *left >= 0) seen = seen.triu(-*left);
    return (q.matmul(k.transpose(1, 2)) * scale).masked_fill(seen.logical_not(), -INFINITY);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> forward(
    const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Maybe& starts, const Maybe&,
    int64_t longest, int64_t, double, bool causal, bool, std::optional<double> scale, MaybeInt left, MaybeInt,
    const Maybe&, const Maybe&) {
    TORCH_CHECK(!lacks("flash"), "FlashAttention only supports Ampere GPUs or newer.");
    for (const at::Tensor& x : {query, key, value}) check(x);
    TORCH_CHECK(starts, "the simulated flash kernel takes packed rows");
    at::Tensor q = on_host(query), k = on_host(key), v = on_host(value), out = at::empty(q.sizes(), q.options());
    at::Tensor sums = at::zeros({q.size(1), q.size(0)}, at::kFloat);
    for (Row row : rows_of(*starts)) {
        TORCH_CHECK(row.length <= longest, "a row is longer than the longest");
        int64_t h = q.size(1);
        double by = scale.value_or(1.0 / std::sqrt(double(q.size(2))));
        at::Tensor scores = scores_of(heads_of(q, row, h), heads_of(k, row, h), by, causal, left);
        sums.narrow(1, row.start, row.length).copy_(scores.logsumexp(-1));
        out.narrow(0, row.start, row.length).copy_(scores.softmax(-1).matmul(heads_of(v, row, h)).transpose(0, 1));
    }
    ++counts().launches;
    ++counts().flash;
    at::Tensor none = at::empty({0}, at::kLong);
    return {on_device(out), on_device(sums), on_device(none), on_device(none), on_device(none)};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> backward(
    const at::Tensor& grad, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const at::Tensor&,
    const at::Tensor& sums, const at::Tensor& starts, const at::Tensor&, int64_t, int64_t, double, bool causal,
    const at::Tensor&, const at::Tensor&, std::optional<double> scale, MaybeInt left, MaybeInt) {
    at::Tensor q = on_host(query), k = on_host(key), v = on_host(value), dy = on_host(grad), lse = on_host(sums);
    at::Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options()), dv = at::empty_like(dk);
    int64_t h = q.size(1), d = q.size(2);
    double by = scale.value_or(1.0 / std::sqrt(double(d)));
    for (Row row : rows_of(starts)) {
        at::Tensor Q = heads_of(q, row, h), K = heads_of(k, row, h), V = heads_of(v, row, h), dY = heads_of(dy, row, h);
        at::Tensor weights = (scores_of(Q, K, by, causal, left) - lse.narrow(1, row.start, row.length).unsqueeze(-1)).exp();
        at::Tensor dP = dY.matmul(V.transpose(1, 2));
        at::Tensor dS = weights * (dP - (weights * dP).sum(-1, true)) * by;
        auto store = [&](const at::Tensor& to, const at::Tensor& heads) {
            at::Tensor grouped = heads.view({to.size(1), -1, row.length, d}).sum(1);
            to.narrow(0, row.start, row.length).copy_(grouped.transpose(0, 1));
        };
        store(dq, dS.matmul(K));
        store(dk, dS.transpose(1, 2).matmul(Q));
        store(dv, weights.transpose(1, 2).matmul(dY));
    }
    ++counts().launches;
    ++counts().flash;
    return {on_device(dq), on_device(dk), on_device(dv)};
}

TORCH_LIBRARY_IMPL(aten, CUDA, m) {
    m.impl("_flash_attention_forward", TORCH_FN(forward));
    m.impl("_flash_attention_backward", TORCH_FN(backward));
}

}  // namespace
}  // namespace simulated
