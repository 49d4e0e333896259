//! The language on small files.
