//! The jail by hand: `r1flow-jail try` prints how each attack went here, `r1flow-jail run` runs a command in it. It is
//! also the helper of the crate's tests.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    sandbox::serve()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{Read, Write};
    use std::process::{Command, ExitCode};

    use sandbox::{End, Error, Jail, Limits, Policy, Program, Required};

    const USAGE: &str =
        "usage: r1flow-jail serve | try [LAYER-TO-LEAVE-OUT...] | check [LAYER-TO-LEAVE-OUT...] | run COMMAND...";

    pub(super) fn main() -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["serve"] => sandbox::serve(),
            ["try", ref left_out @ ..] => with_layers(left_out, report),
            ["check", ref left_out @ ..] => with_layers(left_out, check),
            ["run", _, ..] => run(&arguments[1..]).unwrap_or_else(|error| fail(&error)),
            _ => {
                say(USAGE);
                ExitCode::from(2)
            }
        }
    }

    fn start(policy: Policy) -> Result<Jail, Error> {
        let mut helper = Command::new(std::env::current_exe().map_err(Error::Helper)?);
        helper.arg("serve");
        Jail::start(helper, policy, |_| false)
    }

    /// Runs a command on standard input, in an empty folder.
    fn run(arguments: &[String]) -> Result<ExitCode, Error> {
        let jail = start(Policy { required: Required::Nothing, ..Policy::default() })?;
        let mut program = Program { arguments: arguments.to_vec(), ..Program::default() };
        std::io::stdin().read_to_end(&mut program.input).map_err(Error::Helper)?;
        let done = jail.run(&program, &Limits::default())?;
        let _ = std::io::stdout().write_all(&done.output);
        let _ = std::io::stderr().write_all(&done.errors);
        Ok(match done.end {
            End::Exited(code) => ExitCode::from(code as u8),
            end => {
                say(&format!("{end:?}"));
                ExitCode::FAILURE
            }
        })
    }

    /// Does something with a policy that leaves out the layers of these names.
    fn with_layers(left_out: &[&str], what: impl FnOnce(Policy) -> ExitCode) -> ExitCode {
        let layers: Result<_, _> = left_out.iter().map(|layer| serde_json::from_value((*layer).into())).collect();
        match layers {
            Ok(leave_out) => what(Policy { leave_out, ..Policy::default() }),
            Err(error) => fail(&error),
        }
    }

    /// Says whether the jail would run programs here.
    fn check(policy: Policy) -> ExitCode {
        match start(policy) {
            Ok(_) => {
                say("the jail holds");
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        }
    }

    /// Prints the layers that work and the attacks as JSON lines.
    fn report(policy: Policy) -> ExitCode {
        let policy = Policy { required: Required::Nothing, ..policy };
        let tried = start(policy).and_then(|jail| {
            say(&serde_json::to_string(jail.layers()).expect("names and numbers"));
            sandbox::attacks::try_all(&jail)
        });
        match tried {
            Ok(tried) => {
                for attempt in &tried {
                    say(&serde_json::to_string(attempt).expect("texts"));
                }
                if tried.iter().any(sandbox::attacks::Attempt::has_escaped) {
                    ExitCode::FAILURE
                } else {
                    ExitCode::SUCCESS
                }
            }
            Err(error) => fail(&error),
        }
    }

    fn fail(error: &impl std::fmt::Display) -> ExitCode {
        say(&format!("error: {error}"));
        ExitCode::from(2)
    }

    fn say(line: &str) {
        // A closed output loses this line and nothing else.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}
