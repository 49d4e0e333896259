//! LoRA adapters that are merged into a model when it is read: a folder as PEFT saves it, with `adapter_config.json`
//! and `adapter_model.safetensors`.
//!
//! W becomes W + s B A, with s = alpha / rank or alpha / √rank, where alpha may differ by module (`alpha_pattern`). A
//! module that was trained whole (`modules_to_save`) is replaced. Whatever would give other weights is refused by its
//! key or its tensor: DoRA, transposed weights, initialisations that change the base.

use std::collections::BTreeMap;
use std::path::Path;

use engine::stage::{Input, StageError};
use lm::checkpoint::load_tensors;
use lm::{Kind, Model, Tensor, limits, no_grad_guard};
use serde_json::Value;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const PREFIX: &str = "base_model.model.";
const EMBEDDING: &str = "model.embed_tokens";
const HEAD: &str = "lm_head";

/// Initialisations that leave the base as it is.
const INITIALISATIONS: [&str; 4] = ["true", "gaussian", "eva", "orthogonal"];

/// Refuses a folder that has adapters and no model.
pub(crate) fn refuse_adapter_alone<A>(input: &Input<A>) -> Result<(), StageError> {
    let dir = input.path();
    if !dir.join(CONFIG).is_file() || dir.join("config.json").is_file() {
        return Ok(());
    }
    let message = format!("`{}` is a folder of adapters without the model that they belong to", input.name());
    let help = format!("name both: `{{ model = \"BASE\", adapter = \"{}\" }}`", dir.display());
    Err(StageError::new(message).with_help(help))
}

/// Returns the digest of the files of a folder that [`merge`] reads.
pub(crate) fn digest(dir: &Path) -> Result<blake3::Hash, StageError> {
    let mut hasher = blake3::Hasher::new();
    for name in [CONFIG, WEIGHTS] {
        hasher.update(name.as_bytes()).update_reader(fs_err::File::open(dir.join(name))?)?;
    }
    Ok(hasher.finalize())
}

/// Merges the adapters of a folder into a model, and returns how many of its weights they change.
pub(crate) fn merge(model: &Model, dir: &Path) -> Result<usize, StageError> {
    let of_folder =
        |error: StageError| StageError { message: format!("`{}`: {}", dir.display(), error.message), ..error };
    if !dir.join(CONFIG).is_file() {
        return Err(of_folder(
            StageError::new(format!("it has no `{CONFIG}`"))
                .with_help("`adapter` is a folder of LoRA adapters, as PEFT saves it"),
        ));
    }
    let text = outside::read_text(&dir.join(CONFIG), limits::CONFIG_BYTES, "no real adapter has such a file")?;
    let document: Value = serde_json::from_str(&text).map_err(|error| of_folder(error.into()))?;
    let config = Config::parse(&document).map_err(of_folder)?;
    let changes = Changes::sort(load_tensors(&dir.join(WEIGHTS))?).map_err(of_folder)?;
    changes.apply(model, &config).map_err(of_folder)
}

/// The keys of `adapter_config.json` that decide the weights.
struct Config {
    alpha: f64,
    alphas: BTreeMap<String, f64>,
    is_rslora: bool,
    /// Whether a tied head follows the embedding.
    ties_head: bool,
}

impl Config {
    fn parse(document: &Value) -> Result<Self, StageError> {
        let refused = |key: &str| {
            StageError::new(format!("`{key}` = {} of `{CONFIG}` is not supported", document[key]))
                .with_help("merge the adapters with PEFT (`merge_and_unload`, then `save_pretrained`)")
        };
        if document["peft_type"] != "LORA" {
            return Err(refused("peft_type"));
        }
        let keys = document.as_object().into_iter().flatten();
        for (key, value) in keys {
            let is_other = match key.as_str() {
                "use_rslora" => false,
                "fan_in_fan_out" | "lora_bias" => *value == true,
                "bias" => !value.is_null() && *value != "none",
                "init_lora_weights" => {
                    let name = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    !["false", "null"].contains(&name.as_str()) && !INITIALISATIONS.contains(&name.as_str())
                }
                "layer_replication" | "trainable_token_indices" | "target_parameters" => !is_empty(value),
                other => other.starts_with("use_") && *value == true,
            };
            if is_other {
                return Err(refused(key));
            }
        }
        let alphas = document["alpha_pattern"].as_object().into_iter().flatten().map(|(pattern, alpha)| {
            let is_name =
                pattern.trim_start_matches('^').chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c));
            let alpha = alpha.as_f64().filter(|_| is_name);
            alpha.map(|alpha| (pattern.clone(), alpha)).ok_or_else(|| refused("alpha_pattern"))
        });
        Ok(Self {
            alpha: document["lora_alpha"].as_f64().ok_or_else(|| refused("lora_alpha"))?,
            alphas: alphas.collect::<Result<_, _>>()?,
            is_rslora: document["use_rslora"] == true,
            ties_head: document["ensure_weight_tying"] == true,
        })
    }

    /// Returns the factor of what the adapters of a module add to its weight.
    fn scale(&self, module: &str, rank: i64) -> Result<f64, StageError> {
        let is_of_module = |pattern: &str| match pattern.strip_prefix('^') {
            Some(whole) => module == whole,
            None => module.strip_suffix(pattern).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
        };
        let mut alphas = self.alphas.iter().filter(|(pattern, _)| is_of_module(pattern));
        let (first, second) = (alphas.next(), alphas.next());
        if let (Some((one, _)), Some((two, _))) = (first, second) {
            let message = format!("`alpha_pattern` has `{one}` and `{two}`, which both mean `{module}`");
            return Err(StageError::new(message).with_help("PEFT would take the first; leave only that one"));
        }
        let alpha = first.map_or(self.alpha, |(_, alpha)| *alpha);
        Ok(alpha / if self.is_rslora { (rank as f64).sqrt() } else { rank as f64 })
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

/// What the tensors of a folder do to a model.
struct Changes {
    /// Parameters that are replaced, by their names.
    whole: Vec<(String, Tensor)>,
    /// A and B of each adapted module, both as a matrix's: [r, in] and [out, r].
    pairs: BTreeMap<String, Pair>,
}

#[derive(Default)]
struct Pair {
    a_ri: Option<Tensor>,
    b_or: Option<Tensor>,
}

impl Changes {
    fn sort(tensors: Vec<(String, Tensor)>) -> Result<Self, StageError> {
        let mut changes = Self { whole: Vec::new(), pairs: BTreeMap::new() };
        for (name, tensor) in tensors {
            let Some(below) = name.strip_prefix(PREFIX) else {
                return Err(StageError::new(format!("tensor `{name}` does not begin with `{PREFIX}`")));
            };
            let tensor = tensor.to_kind(Kind::Float);
            if tensor.isfinite().all().int64_value(&[]) == 0 {
                return Err(StageError::new(format!("tensor `{name}` holds numbers that are infinite or NaN")));
            }
            let is_matrix = tensor.dim() == 2;
            // An embedding's adapters are the other way round.
            let places = [
                (".lora_A.weight", true, false),
                (".lora_B.weight", false, false),
                (".lora_embedding_B", true, true),
                (".lora_embedding_A", false, true),
            ];
            let place = places.iter().find_map(|place| Some((below.strip_suffix(place.0)?, place)));
            match place {
                Some((module, (_, is_a, is_transposed))) if is_matrix => {
                    let matrix = if *is_transposed { tensor.tr() } else { tensor };
                    let pair = changes.pairs.entry(module.to_owned()).or_default();
                    *(if *is_a { &mut pair.a_ri } else { &mut pair.b_or }) = Some(matrix);
                }
                None if !below.contains(".lora_") => {
                    changes.whole.push((below.replace(".modules_to_save", "").replace(".base_layer", ""), tensor));
                }
                _ => {
                    let kind = if below.contains("lora_magnitude") { " (DoRA)" } else { "" };
                    return Err(StageError::new(format!("tensor `{name}` is not supported{kind}"))
                        .with_help("merge the adapters with PEFT (`merge_and_unload`, then `save_pretrained`)"));
                }
            }
        }
        if changes.whole.is_empty() && changes.pairs.is_empty() {
            return Err(StageError::new(format!("`{WEIGHTS}` is empty")));
        }
        Ok(changes)
    }

    fn apply(self, model: &Model, config: &Config) -> Result<usize, StageError> {
        let _guard = no_grad_guard();
        let parameters: BTreeMap<&str, &Tensor> =
            model.parameters().iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let is_tied = model.config.tie_word_embeddings;
        let find = |name: &str, size: &[i64]| {
            let weight = parameters.get(name).copied();
            let weight = weight.ok_or_else(|| StageError::new(format!("its `{name}` is not in the model")))?;
            if weight.size() == size {
                return Ok(weight.shallow_clone());
            }
            Err(StageError::new(format!("its `{name}` has shape {size:?}, and the model's {:?}", weight.size()))
                .with_help("the adapters were trained on another model, or with more tokens"))
        };
        let mut count = 0;
        for (name, tensor) in &self.whole {
            if is_tied && name.strip_suffix(".weight") == Some(HEAD) {
                check_tied(&find(&format!("{EMBEDDING}.weight"), &tensor.size())?, tensor, config)?;
                continue;
            }
            find(name, &tensor.size())?.copy_(tensor);
            count += 1;
        }
        for (module, pair) in &self.pairs {
            let Pair { a_ri: Some(a_ri), b_or: Some(b_or) } = pair else {
                return Err(StageError::new(format!("`{module}` has only one of its two adapters")));
            };
            if is_tied && [EMBEDDING, HEAD].contains(&module.as_str()) && !config.ties_head {
                return Err(StageError::new(format!(
                    "`{module}` is adapted, and the head of the model is the embedding"
                ))
                .with_help("only adapters with `ensure_weight_tying`, which change both, fit such a model"));
            }
            if is_tied && module == HEAD {
                continue;
            }
            let (rank, other) = (a_ri.size()[0], b_or.size()[1]);
            if rank != other {
                return Err(StageError::new(format!("`{module}` has adapters of rank {rank} and {other}")));
            }
            let mut weight = find(&format!("{module}.weight"), &[b_or.size()[0], a_ri.size()[1]])?;
            let device = weight.device();
            let change = b_or.to_device(device).matmul(&a_ri.to_device(device)) * config.scale(module, rank)?;
            weight.copy_(&(weight.to_kind(Kind::Float) + change));
            count += 1;
        }
        Ok(count)
    }
}

/// Refuses a head of its own for a model whose head is the embedding; PEFT saves a copy of it, which is taken.
fn check_tied(embedding: &Tensor, head: &Tensor, config: &Config) -> Result<(), StageError> {
    let is_copy = embedding.to_kind(Kind::Float) == head.to_device(embedding.device());
    if is_copy || config.ties_head {
        return Ok(());
    }
    Err(StageError::new(format!("it has a `{HEAD}` of its own, and the head of the model is the embedding")))
}

#[cfg(test)]
mod tests;
