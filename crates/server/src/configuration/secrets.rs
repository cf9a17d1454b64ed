//! Secrets as files: where the environment has `NAME_FILE`, the secret `NAME` is what is in that file. Containers and service
//! managers hand secrets over like that: what is in the environment is seen by whoever may look at the process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args as _;
use serde::de::DeserializeOwned;

use super::{ConfigurationError, Overrides};

/// What the name of a file's variable ends with.
const SUFFIX: &str = "_FILE";
/// Bytes that a secret may have. A file that is larger is something else.
const MOST: u64 = 64 * 1024;

/// A setting that holds a secret: its name, and that of its variable.
struct Secret {
    setting: String,
    variable: String,
}

/// All of them: those settings whose values are not shown.
fn all() -> Vec<Secret> {
    let command = Overrides::augment_args(clap::Command::new(""));
    let secrets = command.get_arguments().filter(|argument| argument.is_hide_env_values_set());
    let named = secrets.filter_map(|argument| {
        let variable = argument.get_env()?.to_str()?.to_owned();
        Some(Secret { setting: argument.get_id().to_string(), variable })
    });
    named.collect()
}

/// The names of variables that name files with secrets.
pub(crate) fn names() -> Vec<String> {
    all().into_iter().map(|secret| secret.variable + SUFFIX).collect()
}

/// What such files say, of the variables that `variable` knows.
pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Overrides, ConfigurationError> {
    let said = |name: &str| variable(name).filter(|value| !value.is_empty());
    let mut settings = toml::Table::new();
    for Secret { setting, variable } in all() {
        let name = format!("{variable}{SUFFIX}");
        let Some(path) = said(&name).map(PathBuf::from) else { continue };
        let wrong = |problem: String| ConfigurationError::Secret { name: name.clone(), problem };
        if said(&variable).is_some() {
            return Err(wrong(format!("and {variable} are both set: leave one of them out")));
        }
        settings.insert(setting, toml::Value::String(secret(&path).map_err(wrong)?));
    }
    Ok(Overrides {
        config: None,
        serving: section(&settings)?,
        program: section(&settings)?,
        database: section(&settings)?,
        dispatch: section(&settings)?,
        webhooks: section(&settings)?,
        notifications: section(&settings)?,
        identity: section(&settings)?,
    })
}

/// What concerns a section. Not read from text: an error in it would show the secret.
fn section<T: DeserializeOwned>(settings: &toml::Table) -> Result<T, ConfigurationError> {
    let wrong = |_| ConfigurationError::Secret {
        name: "a file".to_owned(),
        problem: "is for a setting that is no text".to_owned(),
    };
    settings.clone().try_into().map_err(wrong)
}

/// The secret in a file, without the end of its line.
fn secret(path: &Path) -> Result<String, String> {
    let named = path.display();
    let size = std::fs::metadata(path).map_err(|error| format!("cannot be read, {named}: {error}"))?.len();
    if size > MOST {
        return Err(format!("names {named}, which has {size} bytes: a secret has {MOST} at most"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read, {named}: {error}"))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(format!("names {named}, which is empty"));
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A file with these bytes.
    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("posthaste-secret-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn read_with(variables: &[(&str, &str)]) -> Result<Overrides, ConfigurationError> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        read(|name| variables.get(name).map(OsString::from))
    }

    #[test]
    fn a_secret_comes_from_a_file_without_the_end_of_its_line() {
        let file = file("key", b"a \"secret\" with \\ and\ttabs\r\n");
        let given = read_with(&[("POSTHASTE_TOKEN_KEY_FILE", file.to_str().unwrap())]).unwrap();
        assert_eq!(given.program.token_key.as_deref(), Some("a \"secret\" with \\ and\ttabs"));
        std::fs::remove_file(file).unwrap();
        assert!(read_with(&[]).unwrap().program.token_key.is_none());
        assert!(read_with(&[("POSTHASTE_TOKEN_KEY_FILE", "")]).unwrap().program.token_key.is_none());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named_and_its_contents_are_not() {
        let (empty, large) = (file("empty", b"\n"), file("large", &[b'x'; 70_000]));
        let wrong = |variables: &[(&str, &str)]| read_with(variables).expect_err("refused").to_string();
        let name = "POSTHASTE_SMTP_URL_FILE";
        assert!(
            wrong(&[(name, "/nowhere/at/all")]).contains("POSTHASTE_SMTP_URL_FILE cannot be read, /nowhere/at/all")
        );
        assert!(wrong(&[(name, empty.to_str().unwrap())]).contains("is empty"));
        assert!(wrong(&[(name, large.to_str().unwrap())]).contains("70000 bytes"));
        let twice = wrong(&[(name, "/a"), ("POSTHASTE_SMTP_URL", "smtp://ada:secret@host")]);
        for file in [empty, large] {
            std::fs::remove_file(file).unwrap();
        }
        assert!(twice.contains("both set") && !twice.contains("secret@"), "{twice}");
    }

    #[test]
    fn every_setting_that_is_not_shown_can_be_a_file() {
        let names = names();
        for name in ["DATABASE_URL_FILE", "POSTHASTE_TOKEN_KEY_FILE", "POSTHASTE_GOOGLE_CLIENT_SECRET_FILE"] {
            assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
        }
        assert_eq!(names.len(), 5, "{names:?}");
    }
}
