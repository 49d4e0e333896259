//! Adapters as PEFT has them: `adapter_model.safetensors` and `adapter_config.json`.

use std::path::Path;

use engine::stage::StageError;
use lm::checkpoint::save_tensors;
use lm::no_grad_guard;
use serde_json::json;

use super::Adapters;

impl Adapters {
    /// Writes a folder that PEFT loads on top of the model that training started from.
    pub fn save(&self, dir: &Path) -> Result<(), StageError> {
        fs_err::create_dir_all(dir)?;
        let _guard = no_grad_guard();
        let mut tensors = Vec::new();
        for (name, tensor) in self.parameters() {
            let is_of_embedding = name.contains(".lora_embedding_");
            let tensor_of_file = if is_of_embedding { tensor.tr().contiguous() } else { tensor.shallow_clone() };
            tensors.push((name.clone(), tensor_of_file));
            if let Some(own) = of_tied_head(name).filter(|_| self.ties_head) {
                tensors.push((format!("base_model.model.lm_head.{own}"), tensor.copy()));
            }
        }
        tensors.sort_by(|(left, _), (right, _)| left.cmp(right));
        save_tensors(&dir.join("adapter_model.safetensors"), &tensors)?;
        let mut config = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": null,
            "r": self.lora.rank,
            "lora_alpha": self.lora.alpha,
            "lora_dropout": self.lora.dropout,
            "use_rslora": self.lora.rslora,
            "target_modules": self.targets(),
            "modules_to_save": null,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        });
        if !self.saved.is_empty() {
            // Full names, because PEFT takes whatever ends like a name: `norm` would be every norm.
            config["modules_to_save"] = json!(self.saved);
        }
        if self.ties_head {
            // Without it, PEFT would leave the head as it was.
            config["ensure_weight_tying"] = json!(true);
        }
        fs_err::write(dir.join("adapter_config.json"), serde_json::to_string_pretty(&config)? + "\n")?;
        Ok(())
    }
}

/// Returns what a tensor of the embedding is called for a head that is tied to it, which PEFT wants to read, too. A
/// head's A and B are not transposed.
fn of_tied_head(name: &str) -> Option<&'static str> {
    match name.strip_prefix("base_model.model.model.embed_tokens.")? {
        "weight" => Some("weight"),
        "lora_embedding_B" => Some("lora_A.weight"),
        "lora_embedding_A" => Some("lora_B.weight"),
        _ => None,
    }
}
