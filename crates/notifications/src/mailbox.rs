//! Messages as files: for development, where nothing is to be set up and nothing may leave the machine.

use std::path::PathBuf;

use posthaste_domain::Timestamp;
use posthaste_domain::ids::MessageId;

use crate::carrier::CarrierError;
use crate::message::{Channel, Message};

#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    directory: PathBuf,
}

impl Mailbox {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The file is whole or not there. Its name sorts by time, and a message that is sent again takes its own place.
    pub(crate) async fn carry(&self, id: MessageId, at: Timestamp, message: &Message) -> Result<(), CarrierError> {
        let (kind, subject) = match message.channel {
            Channel::Email => ("Email", format!("Subject: {}\n", message.subject)),
            Channel::Text => ("Text", String::new()),
        };
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let text = format!("{kind} to: {}\nDate: {at}\n{subject}\n{}\n", message.to, message.text);
        let failed = |error: std::io::Error| CarrierError::away(format!("the mailbox: {error}"));
        tokio::fs::create_dir_all(&self.directory).await.map_err(failed)?;
        let (draft, path) = (self.directory.join(format!(".{id}")), self.directory.join(format!("{id}.txt")));
        tokio::fs::write(&draft, text).await.map_err(failed)?;
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            tokio::fs::set_permissions(&draft, mode).await.map_err(failed)?;
        }
        tokio::fs::rename(&draft, &path).await.map_err(failed)
    }

    pub(crate) async fn newest(&self, most: usize) -> std::io::Result<Vec<String>> {
        let mut entries = match tokio::fs::read_dir(&self.directory).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            if entry.path().extension().is_some_and(|extension| extension == "txt") {
                files.push(entry.path());
            }
        }
        files.sort_unstable_by(|a, b| b.cmp(a));
        let mut texts = Vec::new();
        for file in files.into_iter().take(most) {
            texts.push(tokio::fs::read_to_string(file).await?);
        }
        Ok(texts)
    }
}
