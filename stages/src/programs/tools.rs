//! Interpreters and compilers of the machine, as programs in the jail find them.

use std::fmt;
use std::time::Duration;

use sandbox::{End, Jail, Limits, Program};
use text::program::Language;

/// What a machine has to run programs with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools {
    /// The version of `python3`, which runs the tests of all languages.
    pub python: Option<String>,
    /// The version of `g++`.
    pub gcc: Option<String>,
    /// The version of pytest.
    pub pytest: Option<String>,
}

impl Tools {
    /// Returns the languages in which programs can be run.
    pub fn languages(&self) -> Vec<Language> {
        let python = self.python.as_ref().map(|_| Language::Python);
        let cpp = self.python.as_ref().and(self.gcc.as_ref()).map(|_| Language::Cpp);
        python.into_iter().chain(cpp).collect()
    }
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = [("Python", &self.python), ("", &self.gcc), ("pytest", &self.pytest)];
        let found = found.into_iter().filter_map(|(name, version)| Some(format!("{name} {}", version.as_ref()?)));
        let found: Vec<String> = found.map(|tool| tool.trim().to_owned()).collect();
        f.write_str(if found.is_empty() { "no interpreter and no compiler" } else { "" })?;
        f.write_str(&found.join(", "))
    }
}

/// Finds the tools of a jail by starting them in it.
pub fn tools(jail: &Jail) -> Result<Tools, sandbox::Error> {
    let version = |arguments: &[&str]| {
        let program = Program {
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            ..Program::default()
        };
        let limits = Limits { wall: Duration::from_mins(2), ..Limits::default() };
        let outcome = jail.run(&program, &limits)?;
        let first = String::from_utf8_lossy(&outcome.output).lines().next().map(|line| line.trim().to_owned());
        Ok::<_, sandbox::Error>(first.filter(|_| outcome.end == End::Exited(0)))
    };
    Ok(Tools {
        python: version(&["python3", "-I", "-c", "import sys; print(sys.version.replace('\\n', ' '))"])?,
        gcc: version(&["g++", "--version"])?,
        pytest: version(&["python3", "-I", "-c", "import pytest; print(pytest.__version__)"])?,
    })
}
