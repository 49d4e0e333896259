//! What other programs call our keys: TRL, transformers, PEFT, verl, vLLM and OpenRLHF, for messages about unknown keys.

/// A name elsewhere, with `_` between words → our key. The first whose key is there counts.
pub(crate) const OTHER_NAMES: &[(&str, &str)] = &[
    ("actor_model", "model"),
    ("adam_beta1", "betas"),
    ("adam_beta2", "betas"),
    ("adam_epsilon", "eps"),
    ("assistant_only_loss", "learn"),
    ("base_model", "model"),
    ("beta", "kl"),
    ("bf16", "dtype"),
    ("chat_template", "chat-template"),
    ("clip_grad", "max-grad-norm"),
    ("clip_ratio", "clip-low"),
    ("clip_ratio_high", "clip-high"),
    ("clip_ratio_low", "clip-low"),
    ("cliprange", "clip-low"),
    ("dataset", "data"),
    ("dataset", "prompts"),
    ("dataset_name", "data"),
    ("dataset_name", "prompts"),
    ("do_sample", "temperature"),
    ("epsilon", "clip-low"),
    ("epsilon_high", "clip-high"),
    ("eval_dataset", "eval-data"),
    ("eval_steps", "eval-every"),
    ("fp16", "dtype"),
    ("gradient_accumulation_steps", "micro-batch-tokens"),
    ("gradient_checkpointing_enable", "gradient-checkpointing"),
    ("init_kl_coef", "kl"),
    ("kl_coef", "kl"),
    ("kl_coeff", "kl"),
    ("kl_loss_coef", "kl"),
    ("learning_rate", "lr"),
    ("lora_alpha", "alpha"),
    ("lora_dropout", "dropout"),
    ("lora_r", "rank"),
    ("lora_rank", "rank"),
    ("loss_agg_mode", "aggregate"),
    ("loss_type", "aggregate"),
    ("loss_type", "loss"),
    ("lr_scheduler_type", "schedule"),
    ("max_completion_length", "max-tokens"),
    ("max_length", "max-tokens"),
    ("max_new_tokens", "max-tokens"),
    ("max_response_length", "max-tokens"),
    ("max_seq_length", "max-tokens"),
    ("max_steps", "steps"),
    ("micro_batch_size", "micro-batch-tokens"),
    ("mini_batch_size", "batch-size"),
    ("model_name", "model"),
    ("model_name_or_path", "model"),
    ("n", "group-size"),
    ("n", "completions"),
    ("n_samples", "completions"),
    ("num_epochs", "epochs"),
    ("num_generations", "group-size"),
    ("num_iterations", "updates-per-rollout"),
    ("num_return_sequences", "completions"),
    ("num_train_epochs", "epochs"),
    ("num_train_epochs", "steps"),
    ("peft_config", "lora"),
    ("per_device_eval_batch_size", "batch-size"),
    ("per_device_train_batch_size", "batch-size"),
    ("per_device_train_batch_size", "prompts-per-step"),
    ("ppo_epochs", "updates-per-rollout"),
    ("ppo_mini_batch_size", "prompts-per-step"),
    ("presence_penalty", "repetition-penalty"),
    ("r", "rank"),
    ("ref_model", "reference-refresh"),
    ("ref_model_sync_steps", "reference-refresh"),
    ("reward_fn", "rewards"),
    ("reward_funcs", "rewards"),
    ("reward_function", "rewards"),
    ("reward_weights", "rewards"),
    ("rollout_batch_size", "prompts-per-step"),
    ("scale_rewards", "scale"),
    ("stop_strings", "stop"),
    ("system_prompt", "system"),
    ("target_modules", "targets"),
    ("teacher_model", "teacher"),
    ("torch_dtype", "dtype"),
    ("total_training_steps", "steps"),
    ("train_batch_size", "batch-size"),
    ("train_batch_size", "prompts-per-step"),
    ("train_dataset", "data"),
    ("train_dataset", "prompts"),
    ("train_files", "data"),
    ("train_files", "prompts"),
    ("use_peft", "lora"),
    ("use_rslora", "rslora"),
    ("warmup_ratio", "warmup-steps"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::kinds::KINDS;

    fn keys(schema: &Value, found: &mut BTreeSet<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            found.insert(name.clone());
            keys(property, found);
        }
    }

    #[test]
    fn every_name_leads_to_a_key_and_is_none_itself() {
        let mut ours = BTreeSet::new();
        for kind in KINDS {
            let spec = (kind.spec)();
            keys(&spec.inputs, &mut ours);
            keys(&spec.params, &mut ours);
        }
        for (name, key) in OTHER_NAMES {
            assert!(ours.contains(*key), "{name}: there is no key `{key}`");
            assert!(!ours.contains(*name), "`{name}` is a key");
        }
        assert!(OTHER_NAMES.is_sorted_by_key(|(name, _)| name), "in alphabetical order");
    }
}
