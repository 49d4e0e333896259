//! `r1flow init`: writes a first workflow for the user's model and data, which it asks for.

use std::io::{BufRead, IsTerminal, Write, stdin};
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, Result, anyhow};
use engine::artifact::ArtifactType;
use engine::diagnostic::Severity;
use engine::placement::Device;
use engine::workflow::Workflow;
use engine::workflow::hub::{HubId, PREFIX};

use crate::arguments::{Global, WorkflowArgs, local};
use crate::exit::{Advice, Status};
use crate::first::{Set, Wishes, columns, draft};
use crate::loading::{Checked, load_checked};
use crate::{diagnostic, ui};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file to write; it must not exist.
    #[arg(value_name = "FILE", default_value = "workflow.toml", value_parser = local)]
    file: PathBuf,
    /// The model: a Hugging Face folder, or an id of the hub. Asked for if it is not given.
    #[arg(long, value_name = "PATH")]
    model: Option<String>,
    /// Prompts with gold answers, for GRPO and evaluations: a file, a folder or an id of the hub.
    #[arg(long, value_name = "PATH")]
    prompts: Option<String>,
    /// Samples to learn from by SFT: a file, a folder or an id of the hub.
    #[arg(long, value_name = "PATH")]
    samples: Option<String>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    if args.file.exists() {
        let help = "name another: `r1flow init FILE`";
        return Err(Advice::new(format!("`{}` exists already", args.file.display()), help).into());
    }
    let wishes = wishes(args)?;
    let file = ui::short_path(&args.file);
    let mut made = fs_err::File::create_new(&args.file)?;
    made.write_all(draft(&wishes, &file).as_bytes())?;
    ui::line(&format!("wrote {file}"));
    let workflow = WorkflowArgs { file: args.file.clone(), sets: Vec::new(), device: Device::Cpu };
    let all = |workflow: &Workflow| Ok(workflow.graph.node_weights().map(|stage| stage.name.clone()).collect());
    let Some(Checked { loaded, .. }) = load_checked(global, &workflow, all)? else { return Ok(Status::Refused) };
    diagnostic::show_each(&loaded, Severity::Warning);
    ui::line(&format!("`r1flow plan {file}` shows what would run, `r1flow apply {file}` runs it"));
    Ok(Status::Done)
}

/// Takes what the arguments say, and asks for what they do not. Each answer is checked before the next question.
fn wishes(args: &Args) -> Result<Wishes> {
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let may_ask = stdin().is_terminal() && args.model.is_none();
    let ask = |given: &Option<String>, question: &str| match given {
        Some(given) => Ok(Some(given.clone())),
        None if may_ask => asked(question),
        None => Ok(None),
    };
    let help = "`r1flow init --model PATH --prompts PATH --samples PATH`; prompts or samples may be left out";
    let typed = ask(&args.model, "Model, a Hugging Face folder or an id of the hub")?;
    let typed = typed.ok_or_else(|| Advice::new("there is no model to begin with", help))?;
    let model = place(&typed, folder, ArtifactType::Model)?;
    if Path::new(&typed).exists() && !Path::new(&typed).join("config.json").is_file() {
        let help = "a model is a folder as Hugging Face has it: config.json, tokenizer.json, *.safetensors";
        return Err(Advice::new(format!("`{typed}` is no model: it has no config.json"), help).into());
    }
    let set = |given: &Option<String>, question: &str, artifact: ArtifactType| -> Result<Option<Set>> {
        let Some(typed) = ask(given, question)? else { return Ok(None) };
        Ok(Some(Set { path: place(&typed, folder, artifact)?, columns: columns(Path::new(&typed)) }))
    };
    let prompts = "Prompts with gold answers, for GRPO and evaluations (may be empty)";
    let prompts = set(&args.prompts, prompts, ArtifactType::Prompts)?;
    let samples = set(&args.samples, "Samples to learn from by SFT (may be empty)", ArtifactType::Samples)?;
    if prompts.is_none() && samples.is_none() {
        return Err(Advice::new("there are neither prompts nor samples", help).into());
    }
    let name = args.file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    Ok(Wishes { name, is_base: is_base(Path::new(&typed)), model, prompts, samples })
}

/// Asks a question on the terminal; `None` for an empty answer.
fn asked(question: &str) -> Result<Option<String>> {
    ui::raw(&format!("{question}: "));
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).context("the answer cannot be read")?;
    Ok(Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty()))
}

/// Returns what the user typed as the workflow in `folder` writes it: a path relative to that folder or absolute, with
/// its links as typed, or an id of the hub.
fn place(typed: &str, folder: &Path, artifact: ArtifactType) -> Result<String> {
    if Path::new(typed).exists() {
        let (path, folder) = (absolute(typed)?, absolute(Path::new(".").join(folder))?);
        return Ok(path.strip_prefix(&folder).unwrap_or(&path).display().to_string());
    }
    let id = typed.strip_prefix(PREFIX).unwrap_or(typed);
    let is_id = typed.matches('/').count() > 0 && !typed.starts_with(['.', '/', '~']);
    match HubId::parse(id, artifact) {
        Ok(_) if is_id => Ok(format!("{PREFIX}{id}")),
        _ => Err(anyhow!("`{typed}` is neither here nor an id of the hub, as in `org/name`")),
    }
}

/// Returns whether a folder is a model's without a chat template.
fn is_base(model: &Path) -> bool {
    let has_in_config = || {
        let config = fs_err::read_to_string(model.join("tokenizer_config.json")).unwrap_or_default();
        config.contains("\"chat_template\"")
    };
    model.join("config.json").is_file() && !model.join("chat_template.jinja").is_file() && !has_in_config()
}
