//! What can be wrong with a recorded day.

use std::path::{Path, PathBuf};

/// A day that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DayError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that does not read as what it should be.
    #[error("{file}: {problem}")]
    Instance {
        /// The file of the day.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl DayError {
    /// The same about a file of this directory.
    pub(crate) fn within(self, directory: &Path) -> Self {
        match self {
            Self::Instance { file, problem } => {
                Self::Instance { file: directory.join(file).display().to_string(), problem }
            }
            other => other,
        }
    }
}
