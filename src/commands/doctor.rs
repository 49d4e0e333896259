//! `r1flow doctor`: what this machine has, and what is missing.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use serde::Deserialize;
use serde_json::json;
use store::Store;

use crate::arguments::Global;
use crate::exit::Status;
use crate::hub::Settings;
use crate::loading::{load_kinds, worker};
use crate::machine;
use crate::ui::{self, Style, Table, bytes, count};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print every attack on the jail of programs that a model wrote, and what held it.
    #[arg(long)]
    attacks: bool,
}

/// Why a worker without a jail checks no programs.
const NO_JAIL: &str = "this worker runs none";

/// Columns before what was found.
const INDENT: usize = 15;

struct Finding {
    name: &'static str,
    is_well: bool,
    found: String,
    /// What to do if it is not well.
    help: Option<String>,
}

/// What the worker tells of its jail.
#[derive(Deserialize)]
struct Jail {
    tools: String,
    layers: Vec<String>,
    missing: Vec<(String, String)>,
    attacks: Vec<Attempt>,
}

#[derive(Deserialize)]
struct Attempt {
    name: String,
    tries: String,
    verdict: Verdict,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Held(String),
    Escaped(String),
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let jail = jail(global);
    if args.attacks {
        return print_attacks(global, &jail.map_err(|reason| anyhow!("there is no jail here: {reason}"))?);
    }
    let findings = [
        worker_finding(global),
        libtorch(global),
        cuda(global),
        memory(),
        pools(),
        programs(jail),
        disk(&global.store),
        store_finding(&global.store),
        hub(),
    ];
    let is_well = findings.iter().all(|finding| finding.is_well);
    if global.json {
        let all = findings.iter().map(|finding| {
            (finding.name.to_owned(), json!({ "ok": finding.is_well, "found": finding.found, "help": finding.help }))
        });
        ui::print_json(&all.collect::<serde_json::Map<_, _>>())?;
    } else {
        for finding in &findings {
            let mark = if finding.is_well { ui::styled("ok  ", Style::Good) } else { ui::styled("miss", Style::Bad) };
            ui::text(&format!("{mark} {:9} {}", finding.name, finding.found), INDENT);
            if let Some(help) = &finding.help {
                ui::text(&format!("{:INDENT$}{}", "", ui::styled(help, Style::Dim)), INDENT);
            }
        }
    }
    Ok(if is_well { Status::Done } else { Status::Refused })
}

fn well(name: &'static str, found: String) -> Finding {
    Finding { name, is_well: true, found, help: None }
}

fn missing(name: &'static str, found: impl Into<String>, help: impl Into<String>) -> Finding {
    Finding { name, is_well: false, found: found.into(), help: Some(help.into()) }
}

fn worker_finding(global: &Global) -> Finding {
    match (worker(global), load_kinds(global)) {
        (Ok(path), Ok(kinds)) => well("worker", format!("{}, {}", path.display(), count(kinds.iter().count(), "kind"))),
        (Ok(path), Err(error)) => {
            missing("worker", format!("{}: {error:#}", path.display()), "build it again: `cargo build --release`")
        }
        (Err(error), _) => missing("worker", format!("{error:#}"), "`./r1flow` builds it"),
    }
}

/// Runs `ldd` to find the libtorch that the worker loads.
fn libtorch(global: &Global) -> Finding {
    let help = "`./r1flow` fetches it once; a LIBTORCH of 2.11.0 is used instead";
    let Ok(worker) = worker(global) else { return missing("libtorch", "no worker to ask", help) };
    let Ok(output) = std::process::Command::new("ldd").arg(&worker).output() else {
        return missing("libtorch", "`ldd` cannot be run", "install your system's `ldd`");
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(line) = text.lines().find(|line| line.contains("libtorch_cpu")) else {
        return well("libtorch", "this worker does without".to_owned());
    };
    match line.split_once("=>").and_then(|(_, rest)| rest.split_whitespace().next()).map(PathBuf::from) {
        Some(path) if path.exists() => {
            let version = path.parent().and_then(Path::parent).map(|root| root.join("build-version"));
            let version = version.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
            well("libtorch", format!("{} {}", version.trim(), path.display()).trim().to_owned())
        }
        _ => missing("libtorch", "the worker's libtorch is not there", help),
    }
}

/// Has the worker list its GPUs, if there is an NVIDIA driver or R1FLOW_TORCH_LIB names a folder of libraries.
fn cuda(global: &Global) -> Finding {
    let driver = std::fs::read_to_string("/proc/driver/nvidia/version").ok();
    let is_named = std::env::var_os("R1FLOW_TORCH_LIB").is_some_and(|folder| !folder.is_empty());
    if driver.is_none() && !is_named {
        return well("cuda", "no NVIDIA driver: stages run on the CPU".to_owned());
    }
    let driver = driver.as_deref().and_then(|text| text.lines().next()).unwrap_or("no NVIDIA driver").trim();
    let help = "`scripts/libtorch` fetches CUDA's part of libtorch where there is a driver; R1FLOW_TORCH_LIB names another's folder";
    let Ok(worker) = worker(global) else { return missing("cuda", format!("{driver}; no worker to ask"), help) };
    match std::process::Command::new(&worker).arg("gpus").output() {
        Ok(output) if output.status.success() => {
            well("cuda", format!("{driver}; GPUs: {}", String::from_utf8_lossy(&output.stdout).trim()))
        }
        Ok(output) => {
            let reason = String::from_utf8_lossy(&output.stderr);
            missing("cuda", format!("{driver}; {}", reason.lines().next().unwrap_or("the worker finds no GPU")), help)
        }
        Err(error) => missing("cuda", format!("{driver}; {error}"), help),
    }
}

/// Has the worker try its jail.
fn jail(global: &Global) -> Result<Jail, String> {
    let worker = worker(global).map_err(|error| format!("{error:#}"))?;
    let output = std::process::Command::new(&worker).arg("attacks").output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        // Another worker need not know the word.
        let reason = reason.lines().next().filter(|reason| !reason.starts_with("usage"));
        return Err(reason.unwrap_or(NO_JAIL).to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|_| NO_JAIL.to_owned())
}

/// Whether programs that a model wrote can be run, which only some workflows need.
fn programs(jail: Result<Jail, String>) -> Finding {
    let jail = match jail {
        Ok(jail) => jail,
        Err(reason) => return well("programs", format!("answers with programs cannot be checked here: {reason}")),
    };
    let escaped = jail.attacks.iter().filter(|attempt| matches!(attempt.verdict, Verdict::Escaped(_)));
    let escaped: Vec<&str> = escaped.map(|attempt| attempt.name.as_str()).collect();
    let (tools, of) = (&jail.tools, count(jail.attacks.len(), "attack"));
    if escaped.is_empty() {
        let layers = jail.layers.join(", ");
        return well("programs", format!("{tools}; the jail holds {of} ({layers})"));
    }
    let found = format!("{tools}; of {of} the jail does not hold {}", escaped.join(", "));
    let help = "programs in answers are not run here; `r1flow doctor --attacks` shows what is missing";
    Finding { help: Some(help.to_owned()), ..well("programs", found) }
}

fn print_attacks(global: &Global, jail: &Jail) -> Result<Status> {
    let is_held = |attempt: &Attempt| matches!(attempt.verdict, Verdict::Held(_));
    let told = |attempt: &Attempt| match &attempt.verdict {
        Verdict::Held(by) => ("held", by.clone()),
        Verdict::Escaped(gained) => ("escaped", gained.clone()),
    };
    let is_well = jail.attacks.iter().all(is_held);
    if global.json {
        let rows = jail.attacks.iter().map(|attempt| {
            let (result, by) = told(attempt);
            json!({ "name": attempt.name, "tries": attempt.tries, "result": result, "by": by })
        });
        let missing: serde_json::Map<_, _> =
            jail.missing.iter().map(|(layer, reason)| (layer.clone(), reason.as_str().into())).collect();
        let rows = rows.collect::<Vec<_>>();
        ui::print_json(&json!({ "tools": jail.tools, "layers": jail.layers, "missing": missing, "attacks": rows }))?;
    } else {
        ui::text(&format!("layers: {}", jail.layers.join(", ")), 2);
        for (layer, reason) in &jail.missing {
            ui::text(&format!("without {layer}: {reason}"), 2);
        }
        let mut table = Table::new(["attack", "a program tries to", "", "by"]);
        for attempt in &jail.attacks {
            let (result, by) = told(attempt);
            table.push(vec![attempt.name.clone(), attempt.tries.clone(), result.to_owned(), by]);
        }
        ui::table(&table);
    }
    Ok(if is_well { Status::Done } else { Status::Refused })
}

fn memory() -> Finding {
    match machine::memory() {
        Some((total, free)) => well("memory", format!("{} of {} free", bytes(free), bytes(total))),
        None => well("memory", "unknown".to_owned()),
    }
}

/// The pools that `apply` lends to stages without `--pool`.
fn pools() -> Finding {
    match machine::pools(&[], 1) {
        Ok((pools, gpus)) => {
            let mut parts: Vec<String> = pools.iter().map(|(name, amount)| format!("{name} = {amount}")).collect();
            parts.push(format!("gpus = {}", gpus.len()));
            well("pools", parts.join(", "))
        }
        Err(error) => missing("pools", format!("{error:#}"), "look at `apply --help`"),
    }
}

fn disk(store: &Path) -> Finding {
    const ENOUGH: u64 = 2 << 30;
    let near = store.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    match machine::free_space(near) {
        Some(free) if free < ENOUGH => missing(
            "disk",
            format!("{} free", bytes(free)),
            "checkpoints need room: free some, or choose another --store",
        ),
        Some(free) => well("disk", format!("{} free", bytes(free))),
        None => well("disk", "unknown".to_owned()),
    }
}

/// Sends no request: whether the hub answers is seen when something is fetched.
fn hub() -> Finding {
    let Settings { cache, endpoint, token, is_offline, .. } = Settings::from_env();
    let token = if token.is_some() { "a token" } else { "no token" };
    let asked = if is_offline { "never asked" } else { "asked when something is fetched" };
    let cache = cache
        .map_or("no cache: set HF_HOME to have one".to_owned(), |cache| format!("cache in {}", cache.path().display()));
    well("hub", format!("{endpoint}, {asked}, {token}; {cache}"))
}

fn store_finding(path: &Path) -> Finding {
    match Store::find(path) {
        Ok(None) => well("store", format!("none at `{}` yet; `apply` makes one", path.display())),
        Ok(Some(store)) => match store.all_records() {
            Ok(records) => well("store", format!("{}, {}", store.root().display(), count(records.len(), "record"))),
            Err(error) => missing("store", error.to_string(), "look at the folder's permissions"),
        },
        Err(error) => missing("store", error.to_string(), "name another with --store"),
    }
}
