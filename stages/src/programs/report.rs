//! What `doctor` is told of the jail: its layers, the tools in it, and how each attack went, tried now.

use std::io::Write;
use std::process::{Command, ExitCode};

use sandbox::{Jail, Policy, Required, attacks};
use serde_json::json;

use super::runner::place;
use super::tools::tools;

/// Tries every attack, and writes the result as one line of JSON to standard output: `{"tools", "layers", "missing",
/// "attacks": [{"name", "tries", "verdict"}]}`. If there is no jail, writes the reason to standard error.
pub fn tell_jail() -> ExitCode {
    match report() {
        Ok(line) => ExitCode::from(u8::from(writeln!(std::io::stdout(), "{line}").is_err())),
        Err(reason) => {
            let _ = writeln!(std::io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}

fn report() -> Result<String, String> {
    let place = place().map_err(|error| error.message)?;
    let (program, arguments) = place.helper.split_first().ok_or("this worker names no helper for its jail")?;
    let mut helper = Command::new(program);
    helper.args(arguments);
    let policy = Policy { readable: place.readable.clone(), required: Required::Nothing, ..Policy::default() };
    let jail = Jail::start(helper, policy, |_| false).map_err(|error| error.to_string())?;
    let tried = attacks::try_all(&jail).map_err(|error| error.to_string())?;
    let tools = tools(&jail).map_err(|error| error.to_string())?;
    let layers = jail.layers();
    Ok(json!({
        "tools": tools.to_string(),
        "layers": layers.working,
        "missing": layers.missing,
        "attacks": tried,
    })
    .to_string())
}
