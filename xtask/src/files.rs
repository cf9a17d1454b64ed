//! Directories that do not stay, and what differs between two sets of files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::Outcome;

/// A directory that goes when this does.
#[derive(Debug)]
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Temporary {
    /// A new one; `what` is in its name.
    pub(crate) fn new(what: &str) -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("posthaste-xtask-{what}-{}", std::process::id()));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir(&path)?,
        }
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The files of a directory, by name. None where it is not there.
pub(crate) fn read(directory: &Path) -> Outcome<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
        }
    }
    Ok(files)
}

/// What would have to be done to the files of `before` so that they are those of `after`: a line each.
pub(crate) fn differences(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let of_after = after.iter().filter_map(|(name, new)| match before.get(name) {
        None => Some(format!("missing: {name}")),
        Some(old) if old != new => Some(format!("different: {name}")),
        Some(_) => None,
    });
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("superfluous: {name}"));
    of_after.chain(gone).collect()
}

/// Makes the files of a directory these.
pub(crate) fn replace(directory: &Path, files: &BTreeMap<String, Vec<u8>>) -> Outcome {
    let before = read(directory)?;
    for (name, contents) in files.iter().filter(|(name, contents)| before.get(*name) != Some(contents)) {
        fs::write(directory.join(name), contents)?;
    }
    for name in before.keys().filter(|name| !files.contains_key(*name)) {
        fs::remove_file(directory.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gets_exactly_these_files() {
        let place = Temporary::new("files").unwrap();
        let files = |files: &[(&str, &str)]| -> BTreeMap<_, _> {
            files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
        };
        let (before, after) =
            (files(&[("a", "1"), ("b", "1"), ("c", "1")]), files(&[("b", "1"), ("c", "2"), ("d", "1")]));
        replace(&place.0, &before).unwrap();
        assert_eq!(differences(&before, &after), ["different: c", "missing: d", "superfluous: a"]);
        replace(&place.0, &after).unwrap();
        assert_eq!(read(&place.0).unwrap(), after);
        assert_eq!(differences(&after, &after), Vec::<String>::new());
        assert!(read(&place.0.join("nowhere")).unwrap().is_empty());
    }
}
