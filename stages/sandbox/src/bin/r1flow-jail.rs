//! The jail by hand: `r1flow-jail try` prints how each attack went here. It is also the helper of the crate's tests.

use std::io::Write;
use std::process::{Command, ExitCode};

use sandbox::{Jail, Policy, Required};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => sandbox::serve(),
        ["try", ref left_out @ ..] => report(left_out),
        _ => {
            say("usage: r1flow-jail serve | try [LAYER-TO-LEAVE-OUT...]");
            ExitCode::from(2)
        }
    }
}

/// Prints the layers that work and the attacks as JSON lines.
fn report(left_out: &[&str]) -> ExitCode {
    let layers: Result<_, _> = left_out.iter().map(|layer| serde_json::from_value((*layer).into())).collect();
    let leave_out = match layers {
        Ok(layers) => layers,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::from(2);
        }
    };
    let policy = Policy { leave_out, required: Required::Nothing, ..Policy::default() };
    let tried = std::env::current_exe().map_err(sandbox::Error::Helper).and_then(|program| {
        let mut helper = Command::new(program);
        helper.arg("serve");
        let jail = Jail::start(helper, policy, |_| false)?;
        say(&serde_json::to_string(jail.layers()).expect("names and numbers"));
        sandbox::attacks::try_all(&jail)
    });
    match tried {
        Ok(tried) => {
            for attempt in &tried {
                say(&serde_json::to_string(attempt).expect("texts"));
            }
            if tried.iter().any(sandbox::attacks::Attempt::has_escaped) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

fn say(line: &str) {
    // If nobody reads, nobody misses it.
    let _ = writeln!(std::io::stdout(), "{line}");
}
