//! The secret that signs links and tokens of development and seals what the database may not read: from the
//! configuration, or generated once and kept in the data directory. There is
//! no built-in default.

use std::io::Write;
use std::path::Path;

use posthaste_http::auth::Keys;
use posthaste_storage::sealed::Seal;

use crate::Fatal;
use crate::configuration::Configuration;

const FILE: &str = "token-key";

/// The keys in force. Generated where the private Postgres is used and no key is kept yet.
pub(crate) fn keys(configuration: &Configuration) -> Result<Keys, Fatal> {
    Ok(Keys::new(secret(configuration)?.as_bytes())?)
}

/// What seals values in the database, with a key of its own made from the same secret.
pub(crate) fn seal(configuration: &Configuration) -> Result<Seal, Fatal> {
    Ok(Seal::new(secret(configuration)?.as_bytes()))
}

fn secret(configuration: &Configuration) -> Result<String, Fatal> {
    if let Some(secret) = &configuration.token_key {
        return Ok(secret.clone());
    }
    if configuration.database_url.is_some() {
        return Err("with a database of your own, set POSTHASTE_TOKEN_KEY (at least 32 bytes, for example from \
                    `openssl rand -hex 32`)"
            .into());
    }
    kept(&configuration.data_dir)
}

/// Reads the kept key, or makes one. Two programs that make one at once end with the same.
fn kept(data_dir: &Path) -> Result<String, Fatal> {
    let path = data_dir.join(FILE);
    let unusable = |error: std::io::Error| format!("the token key {} cannot be used: {error}", path.display());
    match std::fs::read_to_string(&path) {
        Ok(secret) => return Ok(secret.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error).into()),
    }
    std::fs::create_dir_all(data_dir).map_err(unusable)?;
    let secret = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
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
        Ok(()) => Ok(secret),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(std::fs::read_to_string(&path).map_err(unusable)?.trim().to_owned())
        }
        Err(error) => Err(unusable(error).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let directory = std::env::temp_dir().join(format!("posthaste-key-{}", std::process::id()));
        let first = kept(&directory).unwrap();
        assert_eq!(kept(&directory).unwrap(), first);
        assert_eq!(first.len(), 64);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(directory.join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "nobody else may read it");
        }
        std::fs::remove_dir_all(directory).unwrap();
    }
}
