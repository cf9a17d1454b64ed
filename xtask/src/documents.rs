//! `cargo xtask docs`: the documents that the program writes of itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Args;

use crate::files;
use crate::workspace::{Outcome, output, posthaste, program, root};

/// Each document, and the command of the program that writes it.
const DOCUMENTS: [(&str, &str); 3] =
    [("openapi.json", "openapi"), ("asyncapi.json", "asyncapi"), ("access.md", "access")];

/// Write docs/openapi.json, docs/asyncapi.json and docs/access.md anew.
///
/// The program is built, unoptimised, and says what they are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask docs            after a route or a message was changed
  cargo xtask docs --check    whether they are what the program says")]
pub(crate) struct Options {
    /// Change nothing, and fail where one of them is not what the program says.
    #[arg(long)]
    check: bool,
    /// The program, where it is built already.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let posthaste = options.program.clone().map_or_else(posthaste, Ok)?;
    let (mut kept, mut written) = (BTreeMap::new(), BTreeMap::new());
    for (name, command) in DOCUMENTS {
        let path = root().join("docs").join(name);
        kept.insert(name.to_owned(), fs::read(&path).unwrap_or_default());
        written.insert(name.to_owned(), output(program(&posthaste).arg(command))?.into_bytes());
    }
    let differences = files::differences(&kept, &written);
    match (options.check, differences.is_empty()) {
        (_, true) => println!("the {} documents are what the program says", DOCUMENTS.len()),
        (true, false) => return Err(format!("{}: `cargo xtask docs` writes them anew", differences.join(", ")).into()),
        (false, false) => {
            for (name, text) in written.iter().filter(|(name, text)| kept.get(*name) != Some(text)) {
                fs::write(root().join("docs").join(name), text)?;
                println!("written: docs/{name}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_there() {
        for (name, _) in DOCUMENTS {
            assert!(root().join("docs").join(name).exists(), "{name}");
        }
    }
}
