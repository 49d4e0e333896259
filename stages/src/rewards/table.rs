//! The `rewards` table of a workflow: parsing, JSON schema, loading.
//!
//! With serde's `flatten`, the shared keys could be part of each reward's own, but then a misspelt key would go
//! unnoticed. So the two sets of keys are separated here, and each is parsed by a struct that has all of its keys.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use engine::artifact::{Prompts, RewardModel};
use engine::stage::{Input, StageError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::{REWARDS, Reward, Rule, Scorer, judged, own};
use crate::grading::Grader;
use crate::judges::JudgeKeys;
use crate::limits;
use crate::loading::Loading;
use crate::own::Own;

/// A row of [`REWARDS`].
pub(super) struct RewardKind {
    name: &'static str,
    doc: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
    check: fn(&Value) -> Result<(), serde_json::Error>,
    wants_form: bool,
    pub(super) reads_model: bool,
    counts_tokens: bool,
    reward_model: fn(&Value) -> Option<Input<RewardModel>>,
    load: fn(&Value, &Loading<'_>) -> Loaded,
}

type Loaded = Result<Box<dyn Reward>, StageError>;

/// A reward's own keys.
pub(super) trait Keys: DeserializeOwned + JsonSchema {
    /// Whether only completions in the stage's `form` earn it.
    const WANTS_FORM: bool = false;
    /// Whether it reads a reward model.
    const READS_MODEL: bool = false;
    /// Whether it reads a completion's length in tokens.
    const COUNTS_TOKENS: bool = false;

    /// Returns the reward model that it reads, if it reads one.
    fn reward_model(self) -> Option<Input<RewardModel>> {
        None
    }

    /// Makes the reward ready to score.
    fn load(self, loading: &Loading<'_>) -> Loaded;
}

impl RewardKind {
    pub(super) const fn of<K: Keys>(name: &'static str, doc: &'static str) -> Self {
        Self {
            name,
            doc,
            schema: K::json_schema,
            check: |keys| K::deserialize(keys).map(|_| ()),
            wants_form: K::WANTS_FORM,
            reads_model: K::READS_MODEL,
            counts_tokens: K::COUNTS_TOKENS,
            reward_model: |keys| K::deserialize(keys).ok()?.reward_model(),
            load: |keys, loading| K::deserialize(keys)?.load(loading),
        }
    }

    /// Returns whether a weight alone is enough, because the reward has no required keys.
    fn may_be_number(&self) -> bool {
        (self.check)(&json!({})).is_ok()
    }
}

/// The keys that every reward has.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Shared {
    /// Factor by which the score is multiplied in the total reward.
    weight: f64,
    /// Prompt sets that the reward applies to; all if the list is empty.
    on: Vec<Input<Prompts>>,
    /// Number of updates before the reward begins to count. R1 adds preference rewards only in the last 400 of 1,700
    /// steps.
    #[schemars(range(max = limits::STEPS))]
    from_step: u64,
}

impl Default for Shared {
    fn default() -> Self {
        Self { weight: 1.0, on: Vec::new(), from_step: 0 }
    }
}

const SHARED: [&str; 3] = ["weight", "on", "from-step"];

/// The key under which rewards of the user's own are.
const OWN: &str = "own";
/// The key under which the rewards of judges are.
pub(super) const JUDGE: &str = "judge";

/// The `rewards` table: which rewards, how much each weighs, and where they apply.
#[derive(Clone, Debug, Default)]
pub struct Rewards(Vec<Entry>);

#[derive(Clone, Debug)]
struct Entry {
    name: &'static str,
    shared: Shared,
    keys: EntryKeys,
}

/// The keys of a reward beside those of every reward.
#[derive(Clone, Debug)]
enum EntryKeys {
    /// Of a row of [`REWARDS`], already checked.
    Known(Value),
    /// Of one of the user's own.
    Own(Own),
    /// Of a judge's.
    Judge(Box<JudgeKeys>),
}

impl Rewards {
    /// Returns whether there are no rewards.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses a prompt set in `on` that is not one of `prompts`: it would never apply; and a program of the user's own
    /// that could not be started.
    pub fn check_sources(&self, prompts: &[Input<Prompts>]) -> Result<(), StageError> {
        for entry in &self.0 {
            if let EntryKeys::Own(keys) = &entry.keys {
                own::check(keys, entry.name)?;
            }
            let stranger = entry.shared.on.iter().find(|set| prompts.iter().all(|known| known.name() != set.name()));
            if let Some(stranger) = stranger {
                let known = prompts.iter().map(Input::name).collect::<Vec<_>>().join("`, `");
                return Err(StageError::new(format!(
                    "reward `{}` is on `{}`, which is none of the stage's prompts",
                    entry.name,
                    stranger.name()
                ))
                .with_help(format!("the stage's prompts are `{known}`")));
            }
        }
        Ok(())
    }

    /// Returns whether a reward is only for completions in the stage's `form`.
    pub fn want_form(&self) -> bool {
        self.0.iter().any(|entry| kind(entry.name).is_some_and(|kind| kind.wants_form))
    }

    /// Returns the first reward that reads a completion's length in tokens.
    pub(crate) fn counting_tokens(&self) -> Option<&'static str> {
        self.0.iter().map(|entry| entry.name).find(|name| kind(name).is_some_and(|kind| kind.counts_tokens))
    }

    /// Returns the reward models that are read.
    pub fn reward_models(&self) -> Vec<Input<RewardModel>> {
        let model = |entry: &Entry| match &entry.keys {
            EntryKeys::Known(keys) => (kind(entry.name)?.reward_model)(keys),
            EntryKeys::Own(_) | EntryKeys::Judge(_) => None,
        };
        self.0.iter().filter_map(model).collect()
    }

    /// Returns the judges that are asked.
    pub(crate) fn judges(&self) -> impl Iterator<Item = &JudgeKeys> {
        self.0.iter().filter_map(|entry| match &entry.keys {
            EntryKeys::Judge(keys) => Some(&**keys),
            EntryKeys::Known(_) | EntryKeys::Own(_) => None,
        })
    }

    /// Loads every reward, reward models included; `grader` knows the prompts that will be scored.
    pub fn load(&self, grader: Grader, loading: &Loading<'_>) -> Result<Scorer, StageError> {
        let rules = self.0.iter().map(|entry| {
            Ok(Rule {
                name: entry.name,
                weight: entry.shared.weight,
                on: entry.shared.on.iter().map(|set| set.name().to_owned()).collect(),
                from_step: entry.shared.from_step,
                reward: match &entry.keys {
                    EntryKeys::Known(keys) => (kind(entry.name).expect("parsing found the row").load)(keys, loading)?,
                    EntryKeys::Own(keys) => own::load(keys, entry.name, loading)?,
                    EntryKeys::Judge(keys) => judged::load(keys, loading)?,
                },
            })
        });
        Ok(Scorer { grader, rules: rules.collect::<Result<_, StageError>>()? })
    }
}

pub(super) fn kind(name: &str) -> Option<&'static RewardKind> {
    REWARDS.iter().find(|kind| kind.name == name)
}

impl Entry {
    fn parse(name: &str, value: Value) -> Result<Self, String> {
        let kind = kind(name).ok_or_else(|| {
            let known = REWARDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join("`, `");
            format!(
                "no reward `{name}`; there are `{known}`, and your own, `{OWN}.{name} = {{ program = … }}`, and those of \
                 judges, `{JUDGE}.{name} = {{ model = … }}`"
            )
        })?;
        let (shared, keys) = split(name, value)?;
        (kind.check)(&keys).map_err(|error| format!("reward `{name}`: {error}"))?;
        Ok(Self { name: kind.name, shared, keys: EntryKeys::Known(keys) })
    }

    /// Parses a group of rewards with names of the user's: `own.NAME`, `judge.NAME`.
    fn parse_group(group: &str, value: Value) -> Result<Vec<Self>, String> {
        let Value::Object(rewards) = value else {
            let example = if group == OWN { "program = \"inputs.NAME\"" } else { "model = \"inputs.NAME\"" };
            return Err(format!("`{group}` is a table of rewards: `{group}.NAME = {{ {example} }}`"));
        };
        let entry = |(name, value): (String, Value)| {
            let name = interned(&format!("{group}.{name}"));
            let (shared, keys) = split(name, value)?;
            let keys = if group == OWN {
                Own::deserialize(keys).map(EntryKeys::Own)
            } else {
                JudgeKeys::deserialize(keys).map(|keys| EntryKeys::Judge(Box::new(keys)))
            };
            Ok(Self { name, shared, keys: keys.map_err(|error| format!("reward `{name}`: {error}"))? })
        };
        rewards.into_iter().filter(|(_, value)| !value.is_null()).map(entry).collect()
    }

    /// Returns the place of the reward in reports and sums: those of the table in its order, then those with names of the user's.
    fn place(&self) -> (usize, &'static str) {
        let known = REWARDS.iter().position(|kind| kind.name == self.name);
        (known.unwrap_or(REWARDS.len()), self.name)
    }
}

/// Splits a reward into the keys that every reward has and its own.
fn split(name: &str, value: Value) -> Result<(Shared, Value), String> {
    let (shared, own) = match value {
        Value::Number(weight) => (json!({ "weight": weight }), Map::new()),
        Value::Object(keys) => {
            let (shared, own): (Map<_, _>, Map<_, _>) =
                keys.into_iter().partition(|(key, _)| SHARED.contains(&key.as_str()));
            (Value::Object(shared), own)
        }
        other => return Err(format!("reward `{name}` is {other}, expected a weight or a table")),
    };
    let shared = Shared::deserialize(shared).map_err(|error| format!("reward `{name}`: {error}"))?;
    Ok((shared, Value::Object(own)))
}

/// Returns a name that lives as long as the process, as those of the table do: a worker knows few.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(name);
    name
}

impl<'de> Deserialize<'de> for Rewards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Rewards;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of rewards")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut table: M) -> Result<Rewards, M::Error> {
                let mut entries = Vec::new();
                while let Some((name, value)) = table.next_entry::<String, Value>()? {
                    // A key that is absent in the workflow may arrive as an explicit null.
                    if value.is_null() {
                        continue;
                    }
                    if name == OWN || name == JUDGE {
                        entries.extend(Entry::parse_group(&name, value).map_err(M::Error::custom)?);
                    } else {
                        entries.push(Entry::parse(&name, value).map_err(M::Error::custom)?);
                    }
                }
                // The order of keys in a table has no meaning, so it must not decide the order of a sum.
                entries.sort_by_key(Entry::place);
                Ok(Rewards(entries))
            }
        }
        deserializer.deserialize_map(Table)
    }
}

impl JsonSchema for Rewards {
    fn schema_name() -> Cow<'static, str> {
        "rewards".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut rewards: Map<String, Value> =
            REWARDS.iter().map(|kind| (kind.name.to_owned(), entry_schema(kind, generator))).collect();
        let own = "Programs of your own that score completions: name → a table whose `program` is an input `{ text = \"reward.py\" }`.";
        rewards.insert(OWN.to_owned(), group_schema::<Own>(own, generator));
        let judge = "Opinions of judges, from 0 to 1: name → a table with the keys of `judge` below.";
        rewards.insert(JUDGE.to_owned(), group_schema::<JudgeKeys>(judge, generator));
        json_schema!({ "type": "object", "properties": rewards, "additionalProperties": false })
    }
}

/// Returns the schema of one entry: a weight, where that is enough, or a table of shared and own keys. A stage's action
/// contains only the rewards that the stage uses, so that a new reward changes no fingerprint.
fn entry_schema(kind: &RewardKind, generator: &mut SchemaGenerator) -> Value {
    let table = with_shared((kind.schema)(generator), generator);
    let none = json!({ "type": "null" });
    if !kind.may_be_number() {
        return json!({ "description": kind.doc, "x-omit-default": true, "anyOf": [table, none] });
    }
    let shapes = [json!({ "type": "number" }), table, none];
    json!({ "description": kind.doc, "x-omit-default": true, "x-short": "weight", "anyOf": shapes })
}

/// Returns the schema of a group of rewards with names of the user's: name → table.
fn group_schema<K: JsonSchema>(doc: &str, generator: &mut SchemaGenerator) -> Value {
    let table = with_shared(K::json_schema(generator), generator);
    json!({
        "description": doc,
        "x-omit-default": true,
        "anyOf": [{ "type": "object", "additionalProperties": table }, { "type": "null" }],
    })
}

/// Adds the keys that every reward has to a reward's own.
fn with_shared(own: Schema, generator: &mut SchemaGenerator) -> Value {
    let mut table = own.to_value();
    let shared = Shared::json_schema(generator).to_value();
    let mut properties = shared["properties"].as_object().cloned().unwrap_or_default();
    properties.extend(table["properties"].as_object().cloned().unwrap_or_default());
    let keys = table.as_object_mut().expect("a struct's schema is an object");
    keys.insert("properties".to_owned(), Value::Object(properties));
    keys.insert("additionalProperties".to_owned(), Value::Bool(false));
    keys.remove("description");
    table
}
