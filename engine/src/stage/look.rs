//! What a stage says about its keys and inputs before it runs.

use super::StageError;
use crate::diagnostic::Severity;
use crate::placement::Device;
use crate::worker::check::{Checked, ExpectedMemory, Finding};

/// Collects findings about a stage.
#[derive(Debug, Default)]
pub struct Look {
    device: Device,
    checked: Checked,
}

impl Look {
    /// Begins to look at a stage that will compute on `device`.
    pub fn on(device: Device) -> Self {
        Self { device, ..Self::default() }
    }

    /// Returns the device that the stage will compute on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Says that the stage cannot run.
    pub fn refuse(&mut self, error: StageError) {
        self.add(Severity::Error, None, error.message, error.help);
    }

    /// Says that the stage cannot run because of the input `name`.
    pub fn refuse_input(&mut self, name: &str, error: StageError) {
        self.add(Severity::Error, Some(name), error.message, error.help);
    }

    /// Says that something is probably a mistake; `about` is the input's name, or none for the stage itself.
    pub fn warn(&mut self, about: Option<&str>, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, about, message.into(), Some(help.into()));
    }

    /// Says what is good to know; `about` is the input's name, or none for the stage itself.
    pub fn note(&mut self, about: Option<&str>, message: impl Into<String>) {
        self.add(Severity::Note, about, message.into(), None);
    }

    /// Says how many bytes of memory the stage will hold at its peak, and how that can be lowered.
    pub fn expect_memory(&mut self, bytes: u64, cures: &str) {
        self.checked.memory = Some(ExpectedMemory { bytes, cures: cures.to_owned() });
    }

    /// Returns all that was found.
    pub fn into_checked(self) -> Checked {
        self.checked
    }

    /// Adds a finding, unless the same has been said already, perhaps about another place.
    fn add(&mut self, severity: Severity, about: Option<&str>, message: String, help: Option<String>) {
        if self.checked.findings.iter().any(|finding| finding.message == message) {
            return;
        }
        self.checked.findings.push(Finding { severity, about: about.map(str::to_owned), message, help });
    }
}
