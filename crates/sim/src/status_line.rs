//! Progress for people: one live line on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

/// How often the live line changes.
const LIVE: Duration = Duration::from_millis(500);
/// How often a plain line is written where there is no terminal.
const PLAIN: Duration = Duration::from_secs(10);

/// Something that can say in one line how far it is.
pub trait Progress: Send + Sync + 'static {
    /// The line.
    fn line(&self) -> String;
}

/// Shows the progress until dropped.
#[derive(Debug)]
pub struct StatusLine {
    bar: Option<ProgressBar>,
    task: JoinHandle<()>,
}

impl StatusLine {
    /// Starts showing. Must be called inside a tokio runtime.
    #[must_use]
    pub fn show(progress: Arc<dyn Progress>) -> Self {
        let live = std::io::stderr().is_terminal();
        let bar = live.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar
        });
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(if live { LIVE } else { PLAIN });
            loop {
                ticks.tick().await;
                match &shown {
                    Some(bar) => {
                        bar.set_message(progress.line());
                        bar.tick();
                    }
                    None => eprintln!("{}", progress.line()),
                }
            }
        });
        Self { bar, task }
    }

    /// Writes a line that stays, above the live one.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
