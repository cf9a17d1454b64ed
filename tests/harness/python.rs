//! Python with published libraries, by which others than us check what the program does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// A Python that has a library, made once under the target directory by the `requirements.txt` of `directory`. None where it
/// cannot be made: the log says what is not checked and what to install, and on CI that is a failure.
pub fn with(library: &str, directory: &Path) -> Option<PathBuf> {
    match made(library, directory) {
        Ok(python) => Some(python),
        Err(why) => {
            let help = format!(
                "nothing is checked with the published library {library}: python3 with its venv module and a way to pip's \
                 registry are needed (Debian: apt-get install python3-venv)"
            );
            assert!(std::env::var_os("CI").is_none(), "{help}: {why}");
            eprintln!("{help}: {why}");
            None
        }
    }
}

fn made(library: &str, directory: &Path) -> Result<PathBuf, String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{library}"));
    let python = home.join("bin/python");
    let works = |python: &Path| {
        let imports = format!("import {library}");
        let status = Command::new(python).args(["-c", &imports]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    // Two tests at once wait for each other.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if works(&python) {
        return Ok(python);
    }
    // Made aside and moved into place: another process may be doing the same.
    let draft = home.with_extension(std::process::id().to_string());
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    };
    run(Path::new("python3"), &["-m", "venv", &draft.to_string_lossy()])?;
    let requirements = directory.join("requirements.txt");
    let arguments = ["-m", "pip", "install", "--quiet", "--requirement", &requirements.to_string_lossy()];
    let installed = run(&draft.join("bin/python"), &arguments);
    if installed.is_err() || std::fs::rename(&draft, &home).is_err() {
        let _ = std::fs::remove_dir_all(&draft);
    }
    installed?;
    if works(&python) { Ok(python) } else { Err(format!("{} cannot import the library", python.display())) }
}

/// Python without anything more. None where there is none; on CI that is a failure.
pub fn plain() -> Option<PathBuf> {
    let python = PathBuf::from("python3");
    let status = Command::new(&python).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if status.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none(), "python3 is needed");
    eprintln!("nothing is checked with Python's own library: python3 is needed");
    None
}
