//! Kind `pretrain`: trains a small model from scratch, tokenizer included. R1's recipe starts from a base model; this
//! kind makes one, so that a workflow can be self-contained.

use engine::artifact::{ArtifactType, Samples};
use engine::stage::{Context, Input, Look, Outcome, Stage, StageError, refusals};
use lm::{Config, Kind, Model, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use text::{Chat, SpecialTokens, char_level, train_byte_bpe};

use crate::artifacts::{Dtype, SampleRow};
use crate::chat::Text;
use crate::device::set_up;
use crate::training::rows::{Learn, Order};
use crate::training::tokenise::{Take, Tokenising, read_all, stopped, tokenise};
use crate::training::{Ended, Optimisation, Supervised, Training, check_keys, export, shown, train};
use crate::{limits, looking};

/// The kind.
pub struct Pretrain;

/// What `pretrain` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Documents: each sample's prompt and completion. The loss is on both.
    pub data: Vec<Input<Samples>>,
}

/// A network architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Qwen2: biases on queries, keys and values.
    Qwen2,
    /// Llama 3: no biases.
    Llama,
    /// Mistral: no biases, and no window.
    Mistral,
    /// Qwen3: a norm on each query and key head, no biases.
    Qwen3,
    /// Qwen3-MoE, small: Qwen3's attention and in each layer eight experts of about a quarter of `intermediate-size`,
    /// of which each token uses two. The router's auxiliary loss is not part of training.
    Qwen3Moe,
    /// DeepSeek-V3, small: latent attention, and from the second layer on eight experts of about a quarter of
    /// `intermediate-size`. Each token uses two of them and one shared expert. `kv-heads` must equal `heads`.
    DeepseekV3,
}

/// A kind of tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// One token for each character that occurs in the data.
    Characters,
    /// Byte-level BPE, trained on the data to `vocab-size` tokens.
    ByteBpe,
}

/// The model, and how to train it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// Network architecture. `qwen3-moe` and `deepseek-v3` are small mixtures of experts, trained without a
    /// load-balancing loss.
    pub architecture: Architecture,
    /// Width of the residual stream.
    #[schemars(range(min = 1, max = limits::WIDTH))]
    pub hidden_size: i64,
    /// Number of layers.
    #[schemars(range(min = 1, max = limits::LAYERS))]
    pub layers: i64,
    /// Query heads.
    #[schemars(range(min = 1, max = limits::HEADS))]
    pub heads: i64,
    /// Key and value heads; divides `heads`, and equals it for `deepseek-v3`.
    #[schemars(range(min = 1, max = limits::HEADS))]
    pub kv_heads: i64,
    /// Width of the MLP's hidden layer.
    #[schemars(range(min = 1, max = limits::WIDTH))]
    pub intermediate_size: i64,
    /// Base of the rotary frequencies; 100 suits rows of fewer than 64 tokens, 1e4 and more suit long ones.
    pub rope_theta: f64,
    /// Longest row that the model can process, in tokens, here and in later stages.
    #[schemars(range(min = 2, max = limits::TOKENS))]
    pub max_position_embeddings: i64,
    /// Whether the output head shares the embedding's weights.
    pub tie_embeddings: bool,
    /// Tokenizer: `characters` has one token for each character of the data; `byte-bpe` is a byte-level BPE trained on
    /// the data.
    pub tokenizer: TokenizerKind,
    /// Vocabulary size of `byte-bpe`. `characters` takes its vocabulary from the data.
    #[schemars(range(min = 256, max = limits::VOCABULARY))]
    pub vocab_size: usize,
    /// Special tokens: the first is padding, the second ends a completion.
    pub special_tokens: Vec<String>,
    /// Chat template of the model: `r1-zero` (R1's, for base models), `chatml`, `plain` (the texts of all turns), one
    /// in Hugging Face's Jinja, or `inputs.NAME` of a text.
    pub chat_template: Text,
    /// Number of updates. If you raise it later, training continues.
    #[schemars(range(max = limits::STEPS), extend("x-role" = "extent"))]
    pub steps: u64,
    /// Documents in an update.
    #[schemars(range(min = 1, max = limits::BATCH))]
    pub batch_size: usize,
    /// Peak learning rate.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// Most tokens in one forward pass; see `sft`.
    #[schemars(range(min = 1, max = limits::TOKENS))]
    pub micro_batch_tokens: usize,
    /// Seed of the weights and of the order of documents.
    pub seed: u64,
    // The engine has checked every key against the schema.
    #[serde(flatten)]
    pub optimisation: Optimisation,
}

impl Default for Params {
    fn default() -> Self {
        let special = ["<pad>", "<eos>", "<think>", "</think>", "<answer>", "</answer>"];
        Self {
            architecture: Architecture::Qwen2,
            hidden_size: 128,
            layers: 4,
            heads: 4,
            kv_heads: 4,
            intermediate_size: 384,
            rope_theta: 10_000.0,
            max_position_embeddings: 1_024,
            tie_embeddings: true,
            tokenizer: TokenizerKind::Characters,
            vocab_size: 4_096,
            special_tokens: special.map(str::to_owned).to_vec(),
            chat_template: Text::Written(
                "{% for message in messages %}{{ message.content }}{{ '\\n' }}{% endfor %}".to_owned(),
            ),
            steps: 1_000,
            batch_size: 32,
            lr: 3e-3,
            micro_batch_tokens: 8_192,
            seed: 0,
            optimisation: Optimisation::default(),
        }
    }
}

impl Stage for Pretrain {
    const KIND: &'static str = "pretrain";
    const HISTORY: &'static [&'static str] = &["the first"];
    const DOC: &'static str = "Trains a small model from scratch, tokenizer included.";
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_NAMES;
    const OTHER_WAYS: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_WAYS;
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("model", ArtifactType::Model)];
    type Inputs = Inputs;
    type Params = Params;

    fn check(_: &Inputs, params: &Params) -> Vec<StageError> {
        let size = config(params.vocab_size, params).and_then(|config| check_parameters(config.num_parameters()));
        let mut refused = refusals([special_tokens(params).map(|_| ()), size]);
        refused.extend(check_keys(&params.optimisation, None));
        refused
    }

    fn look(inputs: &Inputs, _: &Params, look: &mut Look) {
        looking::samples(look, &inputs.data, None);
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        let device = set_up(ctx)?;
        let documents = read_all(&inputs.data)?;
        let chat = chat(&documents, &params)?;
        let keys = Tokenising { key: "data", learn: Learn::Last, max_tokens: params.max_position_embeddings as usize };
        let read = |take: &mut Take<'_>| {
            // Whether it breaks says nothing that is needed here.
            let _ = documents.into_iter().try_for_each(take);
            Ok(())
        };
        let Some(mut rows) = tokenise(ctx, &chat, &keys, read)? else { return Ok(stopped(ctx)) };
        // The loss includes the prompts: a base model learns from them what questions look like.
        rows.learn_whole_rows();
        let mut config = config(chat.tokenizer.vocab_size(), &params)?;
        config.set_special_tokens(&[chat.eos], Some(chat.pad));
        check_parameters(config.num_parameters())?;
        let model = Model::init(config, params.seed, device)
            .in_dtype(params.optimisation.dtype.map_or(Kind::Float, Dtype::kind));
        let mut objective = Supervised {
            model: &model,
            rows: &rows,
            order: Order::new(params.seed, rows.len(), params.batch_size),
            micro_batch_tokens: params.micro_batch_tokens,
            recompute: params.optimisation.gradient_checkpointing,
            held_out: None,
        };
        let Params { steps, lr, seed, optimisation, .. } = &params;
        match train(ctx, &mut objective, &Training { steps: *steps, lr: *lr, optimisation, lora: None, seed: *seed })? {
            Ended::Stopped(step) => Ok(Outcome::Stopped(step)),
            Ended::Done { metrics, .. } => {
                export(ctx, "model", (&model, &chat), None)?;
                let mut summary = Map::from_iter([
                    ("parameters".to_owned(), json!(model.num_parameters())),
                    ("documents".to_owned(), json!(rows.len())),
                ]);
                summary.extend(shown(&metrics, &["loss"]));
                Ok(Outcome::Done(summary))
            }
        }
    }
}

/// Refuses a model that is too large to be trained from scratch.
fn check_parameters(parameters: u64) -> Result<(), StageError> {
    let most = limits::PARAMETERS;
    if parameters <= most {
        return Ok(());
    }
    let message = format!("the model would have {parameters} weights, of at most {most}");
    Err(StageError::new(message).with_help("lower `hidden-size`, `intermediate-size` or `layers`"))
}

fn special_tokens(params: &Params) -> Result<SpecialTokens, StageError> {
    match params.special_tokens.as_slice() {
        [pad, eos, ..] => Ok(SpecialTokens { bos: None, eos: eos.clone(), pad: pad.clone() }),
        _ => Err(StageError::new("`special-tokens` needs two at least: padding, then the end of a completion")),
    }
}

fn chat(documents: &[SampleRow], params: &Params) -> Result<Chat, StageError> {
    let prompts: Vec<_> = documents.iter().flat_map(|row| row.prompt.texts()).collect();
    let texts = || prompts.iter().map(AsRef::as_ref).chain(documents.iter().map(|row| row.completion.as_str()));
    let tokenizer = match params.tokenizer {
        // The newline that the default template writes belongs to the alphabet.
        TokenizerKind::Characters => char_level(texts().chain(["\n"]), &params.special_tokens)?,
        TokenizerKind::ByteBpe => {
            let texts: Vec<&str> = texts().collect();
            train_byte_bpe(texts.into_iter(), params.vocab_size, &params.special_tokens)?
        }
    };
    Ok(Chat::new(tokenizer, Some(&params.chat_template.chat_template()?), special_tokens(params)?)?)
}

fn config(num_ids: usize, params: &Params) -> Result<Config, StageError> {
    // Matmul kernels are faster with a multiple of 64. Ids beyond the tokenizer's never occur in the data, so the model
    // soon stops sampling them.
    let vocab_size = num_ids.next_multiple_of(64) as i64;
    let name = match params.architecture {
        Architecture::Qwen2 => "qwen2",
        Architecture::Llama => "llama",
        Architecture::Mistral => "mistral",
        Architecture::Qwen3 => "qwen3",
        Architecture::Qwen3Moe => "qwen3_moe",
        Architecture::DeepseekV3 => "deepseek_v3",
    };
    Ok(Config::new(
        name,
        &Shape {
            vocab_size,
            hidden_size: params.hidden_size,
            intermediate_size: params.intermediate_size,
            num_hidden_layers: params.layers,
            num_attention_heads: params.heads,
            num_key_value_heads: params.kv_heads,
            head_dim: None,
            rope_theta: params.rope_theta,
            max_position_embeddings: params.max_position_embeddings,
            tie_word_embeddings: params.tie_embeddings,
        },
    )?)
}

#[cfg(test)]
mod tests;
