//! What other programs call our keys: TRL, transformers, PEFT, verl, vLLM and OpenRLHF, for messages about unknown keys.
//! It says what `docs/from-trl.md` and `docs/from-verl.md` say.

/// A name elsewhere, with `_` between words → our key. The first whose key is there counts.
pub(crate) const OTHER_NAMES: &[(&str, &str)] = &[
    ("actor_model", "model"),
    ("adam_beta1", "betas"),
    ("adam_beta2", "betas"),
    ("adam_epsilon", "eps"),
    ("apply_chat_template_kwargs", "template-args"),
    ("assistant_only_loss", "learn"),
    ("base_model", "model"),
    ("beta", "kl"),
    ("bf16", "dtype"),
    ("chat_template", "chat-template"),
    ("chat_template_kwargs", "template-args"),
    ("chat_template_path", "chat-template"),
    ("clip_grad", "max-grad-norm"),
    ("clip_ratio", "clip-low"),
    ("clip_ratio_high", "clip-high"),
    ("clip_ratio_low", "clip-low"),
    ("cliprange", "clip-low"),
    ("custom_chat_template", "chat-template"),
    ("data_seed", "seed"),
    ("dataset", "data"),
    ("dataset", "prompts"),
    ("dataset_name", "data"),
    ("dataset_name", "prompts"),
    ("do_sample", "temperature"),
    ("enable_gradient_checkpointing", "gradient-checkpointing"),
    ("eos_token", "end-token"),
    ("epsilon", "clip-low"),
    ("epsilon_high", "clip-high"),
    ("eval_dataset", "eval-data"),
    ("eval_dataset", "validation-share"),
    ("eval_steps", "eval-every"),
    ("grad_clip", "max-grad-norm"),
    ("gradient_checkpointing_enable", "gradient-checkpointing"),
    ("init_kl_coef", "kl"),
    ("kl_coef", "kl"),
    ("kl_coeff", "kl"),
    ("kl_loss_coef", "kl"),
    ("learning_rate", "lr"),
    ("log_completions", "keep-groups"),
    ("lora_alpha", "alpha"),
    ("lora_alpha", "lora"),
    ("lora_dropout", "dropout"),
    ("lora_dropout", "lora"),
    ("lora_r", "rank"),
    ("lora_r", "lora"),
    ("lora_rank", "rank"),
    ("lora_rank", "lora"),
    ("loss_agg_mode", "aggregate"),
    ("loss_type", "aggregate"),
    ("loss_type", "loss"),
    ("lr_scheduler_type", "schedule"),
    ("lr_warmup_steps", "warmup-steps"),
    ("mask_truncated_completions", "mask-truncated"),
    ("max_completion_length", "max-tokens"),
    ("max_length", "max-tokens"),
    ("max_new_tokens", "max-tokens"),
    ("max_num_seqs", "sampling-batch"),
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
    ("norm_adv_by_std_in_grpo", "scale"),
    ("num_epochs", "epochs"),
    ("num_generations", "group-size"),
    ("num_return_sequences", "completions"),
    ("num_train_epochs", "epochs"),
    ("num_train_epochs", "steps"),
    ("path", "model"),
    ("peft_config", "lora"),
    ("per_device_eval_batch_size", "batch-size"),
    ("per_device_train_batch_size", "batch-size"),
    ("per_device_train_batch_size", "prompts-per-step"),
    ("ppo_max_token_len_per_gpu", "micro-batch-tokens"),
    ("ppo_micro_batch_size_per_gpu", "micro-batch-tokens"),
    ("ppo_mini_batch_size", "prompts-per-step"),
    ("r", "rank"),
    ("ref_model_sync_steps", "reference-refresh"),
    ("reward_fn", "rewards"),
    ("reward_funcs", "rewards"),
    ("reward_function", "rewards"),
    ("reward_weights", "rewards"),
    ("rollout_batch_size", "prompts-per-step"),
    ("scale_rewards", "scale"),
    ("steps_per_generation", "updates-per-rollout"),
    ("stop_strings", "stop"),
    ("sync_ref_model", "reference-refresh"),
    ("system_prompt", "system"),
    ("target_modules", "targets"),
    ("target_modules", "lora"),
    ("teacher_model", "teacher"),
    ("torch_dtype", "dtype"),
    ("total_epochs", "epochs"),
    ("total_epochs", "steps"),
    ("total_training_steps", "steps"),
    ("train_batch_size", "batch-size"),
    ("train_batch_size", "prompts-per-step"),
    ("train_dataset", "data"),
    ("train_dataset", "prompts"),
    ("train_files", "data"),
    ("train_files", "prompts"),
    ("use_dynamic_bsz", "micro-batch-tokens"),
    ("use_kl_loss", "kl"),
    ("use_peft", "lora"),
    ("use_rslora", "rslora"),
    ("use_rslora", "lora"),
    ("warmup_ratio", "warmup-steps"),
];

/// A name elsewhere → what takes its place, where no key of [`OTHER_NAMES`] does.
pub(crate) const OTHER_WAYS: &[(&str, &str)] = &[
    ("alpha_pattern", "one `alpha` holds for all matrices; an adapter that is an input may have a pattern"),
    ("bias", "biases are not adapted; `freeze` chooses what SFT without adapters trains"),
    ("center_rewards_coefficient", "there is none: rewards are not centred"),
    ("clip_ratio_c", "there is none: no second bound for negative advantages"),
    ("completion_only_loss", "always: only completions are in the loss"),
    ("custom_reward_function", "rewards are keys of `rewards`: `r1flow kinds grpo`; one of your own is Rust"),
    ("data_source", "`verify` of the input says how answers are checked"),
    ("dataset_text_field", "`fields = { prompt = \"…\", completion = \"…\" }` on the input"),
    ("ddp_backend", "a stage computes on one GPU"),
    ("deepspeed", "a stage computes on one GPU: `lora`, `gradient-checkpointing` and `micro-batch-tokens` save memory"),
    ("entropy_coef", "there is none: the loss has no entropy term"),
    ("entropy_coeff", "there is none: the loss has no entropy term"),
    ("eval_strategy", "`eval-every` says after how many steps, where a kind has it; an `eval` stage measures a model"),
    ("filter_groups", "there is none: a group of equal rewards has no gradient, and is not sampled again"),
    ("filter_overlong_prompts", "automatic: a prompt that leaves no room is left out, with a warning"),
    ("fp16", "there is no float16: `dtype = \"bfloat16\"`"),
    ("fsdp", "a stage computes on one GPU: `lora`, `gradient-checkpointing` and `micro-batch-tokens` save memory"),
    (
        "fsdp_config",
        "a stage computes on one GPU: `lora`, `gradient-checkpointing` and `micro-batch-tokens` save memory",
    ),
    ("gpu_memory_utilization", "there is no second program: one process samples and trains with the same weights"),
    (
        "gradient_accumulation_steps",
        "automatic: an update takes `batch-size` rows, in grpo `prompts-per-step` questions, in passes of at most `micro-batch-tokens` tokens",
    ),
    ("ground_truth", "`fields = { answer = \"reward_model.ground_truth\" }` on the input"),
    ("hub_model_id", "`r1flow export STAGE.model FOLDER` copies a model, which you may upload"),
    ("init_lora_weights", "there is none: B begins at zero"),
    ("kl_ctrl", "there is none: `kl` is a fixed weight of the loss"),
    ("kl_loss_type", "always k3, verl's `low_var_kl`"),
    ("layers_to_transform", "`targets` names the matrices of all layers"),
    ("load_best_model_at_end", "the output `best`, beside `model`: `STAGE.best`, with `eval-data`"),
    ("logger", "every step is kept: `r1flow show STAGE` draws the curves, with `--json` it prints them"),
    ("logging_dir", "every step is kept: `r1flow show STAGE` draws the curves, with `--json` it prints them"),
    ("logging_steps", "every step is kept: `r1flow show STAGE` draws the curves, with `--json` it prints them"),
    ("margin", "there is none: pairs have no margin"),
    ("max_actor_ckpt_to_keep", "`run = { keep-checkpoints = 2 }`"),
    ("max_length", "there is no such key here: whole rows are read"),
    ("max_prompt_length", "there is none: a prompt that leaves no room is left out, with a warning; none is cut"),
    ("min_p", "only `generate` and `eval` have it"),
    ("n_gpus_per_node", "a stage computes on one GPU: `r1flow apply --device cuda`"),
    ("name", "there is no second program: one process samples and trains with the same weights"),
    ("nnodes", "a stage computes on one GPU: `r1flow apply --device cuda`"),
    (
        "num_iterations",
        "there is none: no completion is used twice; `updates-per-rollout` splits a rollout into updates",
    ),
    ("output_dir", "outputs go to the store: `r1flow export STAGE.model FOLDER` copies one"),
    ("packing", "automatic: a pass holds as many whole rows as fit in `micro-batch-tokens`"),
    ("padding_free", "automatic: a pass holds as many whole rows as fit in `micro-batch-tokens`"),
    ("peft_config", "this kind trains all weights"),
    ("ppo_epochs", "there is none: no completion is used twice; `updates-per-rollout` splits a rollout into updates"),
    ("presence_penalty", "there is none; `generate` and `eval` have `repetition-penalty`"),
    ("prompt_key", "`fields = { prompt = \"…\" }` on the input"),
    ("push_to_hub", "`r1flow export STAGE.model FOLDER` copies a model, which you may upload"),
    ("rank_pattern", "one `rank` holds for all matrices; an adapter that is an input may have a pattern"),
    ("ref", "automatic: the reference policy computes where the policy does"),
    ("ref_model", "automatic: the model that the stage begins with; `reference-refresh` renews it"),
    ("reference_model", "automatic: the model that the stage begins with; `reference-refresh` renews it"),
    ("repetition_penalty", "only `generate` and `eval` have it"),
    ("report_to", "every step is kept: `r1flow show STAGE` draws the curves, with `--json` it prints them"),
    ("resume_from_checkpoint", "automatic: the next `apply` finds the checkpoint by content"),
    ("resume_mode", "automatic: the next `apply` finds the checkpoint by content"),
    ("reward_fn_key", "`verify` of the input says how answers are checked"),
    ("reward_model", "`rewards.helpful` and `rewards.harmless` take one; a `reward-model` stage trains it"),
    ("rollout_correction", "there is none: `max-logp-difference` stops the stage where sampling and training disagree"),
    ("rollout_data_dir", "the output `rollouts`: `r1flow show STAGE.rollouts`"),
    ("run_name", "runs are numbered: `r1flow status --all`"),
    ("save_freq", "`run = { checkpoint-steps = 100 }`, or `checkpoint-every`"),
    ("save_steps", "`run = { checkpoint-steps = 100 }`"),
    ("save_strategy", "`run = { checkpoint-steps = 100 }`, or `checkpoint-every`"),
    ("save_total_limit", "`run = { keep-checkpoints = 2 }`"),
    ("shuffle", "automatic: `seed` draws the order"),
    ("strategy", "a stage computes on one GPU: `lora`, `gradient-checkpointing` and `micro-batch-tokens` save memory"),
    ("tensor_model_parallel_size", "a stage computes on one GPU"),
    ("test_freq", "an `eval` stage measures the stage's model"),
    ("tf32", "there is none: `dtype = \"bfloat16\"` is faster"),
    ("top_k", "only `generate` and `eval` have it"),
    ("train_max_samples", "`limit` and `skip` of the input"),
    ("truncation", "there is none: a prompt that leaves no room is left out, with a warning; none is cut"),
    ("use_dora", "there is none: `lora` adapts as LoRA does"),
    ("use_fused_kernels", "automatic: rows are packed, and logits are never held whole"),
    ("use_kl_in_reward", "there is none: `kl` weighs KL in the loss"),
    ("use_liger", "automatic: rows are packed, and logits are never held whole"),
    ("use_liger_kernel", "automatic: rows are packed, and logits are never held whole"),
    ("use_remove_padding", "automatic: rows are packed, and logits are never held whole"),
    ("use_vllm", "there is no second program: one process samples and trains with the same weights"),
    ("val_files", "an `eval` stage measures the stage's model"),
    ("val_kwargs", "the keys of an `eval` stage"),
    (
        "vllm_importance_sampling_correction",
        "there is none: `max-logp-difference` stops the stage where sampling and training disagree",
    ),
    ("vllm_mode", "there is no second program: one process samples and trains with the same weights"),
    ("wandb_project", "every step is kept: `r1flow show STAGE` draws the curves, with `--json` it prints them"),
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

    fn ours() -> BTreeSet<String> {
        let mut ours = BTreeSet::new();
        for kind in KINDS {
            let spec = (kind.spec)();
            keys(&spec.inputs, &mut ours);
            keys(&spec.params, &mut ours);
        }
        ours
    }

    #[test]
    fn every_name_leads_to_a_key_and_is_none_itself() {
        let ours = ours();
        for (name, key) in OTHER_NAMES {
            assert!(ours.contains(*key), "{name}: there is no key `{key}`");
            assert!(!ours.contains(*name), "`{name}` is a key");
        }
        assert!(OTHER_NAMES.is_sorted_by_key(|(name, _)| name), "in alphabetical order");
        assert!(OTHER_WAYS.is_sorted_by_key(|(name, _)| name), "in alphabetical order");
    }

    /// Returns the texts in backticks.
    fn code(cell: &str) -> impl Iterator<Item = &str> {
        cell.split('`').skip(1).step_by(2)
    }

    /// Returns the rows of a page's tables: the other program's names, and the column of ours.
    fn rows(page: &str) -> Vec<(Vec<String>, String)> {
        let lines = page.lines().filter(|line| line.starts_with("| `"));
        let row = |line: &str| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
            // `actor.optim.lr` is `lr` in its table; of `loss_type = "grpo"` only the name counts.
            let name = |name: &str| name.split([' ', '=']).next().unwrap_or("").trim_end_matches(".*").to_owned();
            let name = |full: &str| name(full).rsplit('.').next().unwrap_or("").to_owned();
            (code(cells[0]).map(name).collect(), cells[2].to_owned())
        };
        lines.map(row).collect()
    }

    #[test]
    fn every_name_of_the_pages_gets_the_help_of_the_pages() {
        let ours = ours();
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let mut count = 0;
        for page in ["from-trl.md", "from-verl.md"] {
            for (names, here) in rows(&fs_err::read_to_string(docs.join(page)).unwrap()) {
                // A pattern, a word of a loss, or a function, and no name of a key.
                let is_name =
                    |name: &&String| !name.contains(['*', '"', '-']) && !name.is_empty() && *name != "get_peft_model";
                let is_known = |name: &String| OTHER_NAMES.iter().any(|(other, _)| other == name);
                // Of a row with several names, `a` × `b`, one leads to the key that the page names.
                let of_row = OTHER_NAMES.iter().filter(|(other, _)| names.iter().any(|name| name == other));
                let keys: Vec<&str> = of_row.map(|(_, key)| *key).collect();
                let ours_first: Vec<&str> = code(&here).flat_map(|code| code.split([' ', ',', '.'])).collect();
                for name in names.iter().filter(is_name) {
                    count += 1;
                    let is_ours = ours.contains(&name.replace('_', "-"));
                    let way = OTHER_WAYS.iter().find(|(other, _)| other == name).map(|(_, way)| *way);
                    let has_help = is_ours || is_known(name) || way.is_some();
                    assert!(has_help, "{page}: `{name}` gets no help");
                    if !is_ours && ours_first.first().is_some_and(|first| ours.contains(*first)) {
                        let is_said = way.is_some_and(|way| ours_first.iter().any(|key| way.contains(key)));
                        let is_named = ours_first.iter().any(|key| keys.contains(key));
                        assert!(is_named || is_said, "{page}: `{name}` is {here}, not {keys:?} {way:?}");
                    }
                }
            }
        }
        assert!(count > 120, "{count} names");
    }
}
