//! The worker: runs one attempt at a stage with libtorch, as the engine asks on stdin.

fn main() -> std::process::ExitCode {
    engine::worker::serve::serve(stages::KINDS)
}
