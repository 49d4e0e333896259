//! The random numbers of sampling: a function of a request's seed and the token's index, never of the batch.

/// Returns the uniform number in [0, 1) for token `t` of a request: a counter hashed with the seed (two rounds of
/// SplitMix64).
pub(super) fn uniform(seed: u64, t: u64) -> f32 {
    let bits = mix(mix(seed).wrapping_add(t.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    // 24 bits, so that every value is exact in single precision, on every device.
    (bits >> 40) as f32 / (1u32 << 24) as f32
}

fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
