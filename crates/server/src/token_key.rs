//! The secret that signs links and tokens of development and seals what the database may not read: from the
//! configuration, or generated once and kept in the data directory. There is
//! no built-in default.
//!
//! A new one is made by who begins an installation alone, and kept only once it is sure that nothing in the database was
//! sealed with another. Who asks for the key of a server that there is not makes none.

use std::io::Write;
use std::path::{Path, PathBuf};

use posthaste_http::auth::Keys;
use posthaste_identity::signing_keys;
use posthaste_storage::pool::Pool;
use posthaste_storage::sealed::Seal;

use crate::Fatal;
use crate::configuration::Configuration;

const FILE: &str = "token-key";
/// Where the demo's data are, beside those of the server.
pub(crate) const DEMO: &str = "demo";

/// The secret of an installation.
pub(crate) struct TokenKey {
    text: String,
    /// Where it is to be kept: it is new.
    draft: Option<PathBuf>,
}

/// The secret in force, or a new one where nothing is kept yet and the Postgres is private.
pub(crate) fn found_or_drafted(configuration: &Configuration) -> Result<TokenKey, Fatal> {
    let (text, draft) = match known(configuration)? {
        Some(text) => (text, None),
        None if configuration.database.database_url.is_some() => {
            return Err("with a database of your own, set POSTHASTE_TOKEN_KEY (at least 32 bytes, for example from \
                        `openssl rand -hex 32`)"
                .into());
        }
        None => {
            let text = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
            (text, Some(configuration.program.data_dir.clone()))
        }
    };
    Ok(TokenKey { text, draft })
}

/// The secret in force, as long as there is one. None is made.
pub(crate) fn known(configuration: &Configuration) -> Result<Option<String>, Fatal> {
    match &configuration.program.token_key {
        Some(secret) => Ok(Some(secret.clone())),
        None if configuration.database.database_url.is_some() => Ok(None),
        None => kept(&configuration.program.data_dir),
    }
}

/// The keys of the server that this configuration is of. An error where it has made none: a new one would be worth
/// nothing to it.
pub(crate) fn keys_of_the_server(configuration: &Configuration) -> Result<Keys, Fatal> {
    let Some(secret) = known(configuration)? else {
        if configuration.database.database_url.is_some() {
            return Err("with a database of your own, give the server's token key here too: POSTHASTE_TOKEN_KEY".into());
        }
        return Err(format!(
            "there is no token key in {}: no server has run there. Start one first (`posthaste serve`), or name its data \
             directory with --data-dir (POSTHASTE_DATA_DIR){}",
            configuration.program.data_dir.display(),
            of_the_demo(configuration).map(|hint| format!("; {hint}")).unwrap_or_default()
        )
        .into());
    };
    keys_from(&secret)
}

/// How to mean the demo, where there is one and this is not its data directory.
pub(crate) fn of_the_demo(configuration: &Configuration) -> Option<String> {
    let demo = crate::configuration::in_default_data_dir(DEMO);
    (demo != configuration.program.data_dir && demo.join(FILE).exists())
        .then(|| format!("the demo's is --data-dir {}", demo.display()))
}

/// Where the generated secret is, or would be.
pub(crate) fn file(configuration: &Configuration) -> PathBuf {
    configuration.program.data_dir.join(FILE)
}

/// The keys of a secret.
pub(crate) fn keys_from(secret: &str) -> Result<Keys, Fatal> {
    Keys::new(secret.as_bytes()).map_err(|error| format!("token_key (POSTHASTE_TOKEN_KEY): {error}").into())
}

impl TokenKey {
    /// What it signs with.
    pub(crate) fn keys(&self) -> Result<Keys, Fatal> {
        keys_from(&self.text)
    }

    /// What seals values in the database, with a key of its own made from the same secret.
    pub(crate) fn seal(&self) -> Seal {
        Seal::new(self.text.as_bytes())
    }

    /// Makes sure that it is the one that the database's values were sealed with, and keeps it where it is new.
    pub(crate) async fn settle(&mut self, configuration: &Configuration, pool: &Pool) -> Result<(), Fatal> {
        if signing_keys::opens(pool, &self.seal()).await? == Some(false) {
            return Err(self.another(configuration).into());
        }
        if let Some(data_dir) = self.draft.take() {
            self.text = keep(&data_dir, &self.text)?;
        }
        Ok(())
    }

    /// What is wrong where values were sealed with another.
    fn another(&self, configuration: &Configuration) -> String {
        let (file, given) = (file(configuration), configuration.program.token_key.is_some());
        if self.draft.is_some() {
            return format!(
                "the token key {} is missing, and there are data that were sealed with it: put it back from its backup, or \
                 give it as token_key (POSTHASTE_TOKEN_KEY)",
                file.display()
            );
        }
        let named = if given { "token_key (POSTHASTE_TOKEN_KEY)".to_owned() } else { file.display().to_string() };
        format!(
            "{named} is not the key that this database's values were sealed with: give the one that it was made with"
        )
    }
}

/// The kept secret.
fn kept(data_dir: &Path) -> Result<Option<String>, Fatal> {
    let path = data_dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(secret) => Ok(Some(secret.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(data_dir, &error).into()),
    }
}

fn unusable(data_dir: &Path, error: &std::io::Error) -> String {
    format!(
        "the token key {} cannot be used: {error}. Is {} a directory of posthaste's? Another is named with --data-dir \
         (POSTHASTE_DATA_DIR)",
        data_dir.join(FILE).display(),
        data_dir.display()
    )
}

/// Keeps a new one. Two programs that make one at once end with the same.
fn keep(data_dir: &Path, secret: &str) -> Result<String, Fatal> {
    let path = data_dir.join(FILE);
    let unusable = |error: std::io::Error| unusable(data_dir, &error);
    std::fs::create_dir_all(data_dir).map_err(unusable)?;
    let draft = data_dir.join(format!("{FILE}.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft).map_err(unusable)?;
    file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).map_err(unusable)?;
    // A hard link fails where the name exists: whoever comes first decides.
    let linked = std::fs::hard_link(&draft, &path);
    let _ = std::fs::remove_file(&draft);
    match linked {
        Ok(()) => Ok(secret.to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(std::fs::read_to_string(&path).map_err(unusable)?.trim().to_owned())
        }
        Err(error) => Err(unusable(error).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Mode, Overrides};

    fn configuration(name: &str) -> Configuration {
        let data_dir = std::env::temp_dir().join(format!("posthaste-key-{name}-{}", std::process::id()));
        let overrides = Overrides::given(&format!("data_dir = '{}'", data_dir.display()));
        overrides.resolve("", 1.0, Mode::Development).unwrap()
    }

    #[tokio::test]
    async fn a_key_is_made_once_and_kept_private() {
        let database = posthaste_storage::testing::TestDatabase::new().await;
        let configuration = configuration("once");
        let mut first = found_or_drafted(&configuration).unwrap();
        assert_eq!(known(&configuration).unwrap(), None, "a draft is not kept");
        first.settle(&configuration, &database.pool).await.unwrap();
        assert_eq!(known(&configuration).unwrap(), Some(first.text.clone()));
        assert_eq!(found_or_drafted(&configuration).unwrap().text, first.text);
        assert_eq!(first.text.len(), 64);
        assert_eq!(
            keep(&configuration.program.data_dir, "another").unwrap(),
            first.text,
            "who comes second takes the first"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(file(&configuration)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "nobody else may read it");
        }
        std::fs::remove_dir_all(&configuration.program.data_dir).unwrap();
    }

    #[test]
    fn who_asks_for_the_key_of_a_server_that_never_ran_makes_none() {
        let configuration = configuration("none");
        let refused = keys_of_the_server(&configuration).expect_err("refused").to_string();
        for part in ["posthaste serve", "--data-dir", &configuration.program.data_dir.display().to_string()] {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(!configuration.program.data_dir.exists());
    }
}
