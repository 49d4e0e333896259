//! Black-box tests of the command line: the program itself, in a folder of its own, with the toy worker. Tests behind
//! the feature `worker` use the real one.
//!
//! They cover wiring (arguments, output, exit codes, signals), not semantics, which `engine/tests` covers. There is a
//! module for each group of commands; `support` has the sandbox.

#![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

mod cli {
    mod apply;
    mod check;
    mod damage;
    mod defaults;
    #[cfg(feature = "worker")]
    mod edits;
    mod fake_hub;
    mod fetching;
    mod gc;
    #[cfg(feature = "worker")]
    mod gpu;
    #[cfg(feature = "worker")]
    mod grade;
    mod hub;
    mod hub_cache;
    mod hub_lies;
    mod inspect;
    mod judges;
    mod kinds;
    #[cfg(feature = "worker")]
    mod looks;
    mod names;
    mod own_worker;
    mod plan;
    #[cfg(feature = "worker")]
    mod programs;
    #[cfg(feature = "worker")]
    mod programs_killed;
    #[cfg(feature = "worker")]
    mod r1;
    #[cfg(feature = "worker")]
    mod r1_full;
    mod reference;
    mod refine;
    mod resume;
    mod select;
    mod signals;
    #[cfg(feature = "worker")]
    mod smollm2;
    mod support;
    mod tensorboard;
    mod terminal;
    #[cfg(feature = "worker")]
    mod tokens;
    #[cfg(feature = "worker")]
    mod tutorial;
    mod verify;
    #[cfg(feature = "worker")]
    mod word_problems;
    #[cfg(feature = "worker")]
    mod worker;
    mod workflows;
}
