//! The workflow that releases, read: what it makes, and that nothing in it can be moved under it.

use crate::{read, texts, yaml};

const WORKFLOW: &str = ".github/workflows/release.yml";

#[test]
fn a_release_has_a_program_an_image_checksums_a_list_of_parts_and_where_it_comes_from() {
    let file = yaml(WORKFLOW);
    let job = &file["jobs"]["release"];
    let steps = job["steps"].as_array().expect("steps");
    let commands: String = steps.iter().filter_map(|step| step["run"].as_str()).collect::<Vec<_>>().join("\n");
    for part in [
        "cargo build --profile dist --locked",
        "docker/try-image",
        "--build-arg PROGRAM=given",
        "sha256sum",
        "cargo cyclonedx",
        "cosign sign",
        "cosign attest",
        "gh release create",
    ] {
        assert!(commands.contains(part), "{part}");
    }
    assert_eq!(texts(&file["on"]["push"]["tags"]), ["v*"]);
}

#[test]
fn it_may_do_what_it_must_and_no_more() {
    let file = yaml(WORKFLOW);
    assert_eq!(file["permissions"], serde_json::json!({"contents": "read"}), "without a word, a job may read");
    let may = file["jobs"]["release"]["permissions"].as_object().expect("permissions");
    let names: Vec<_> = may.keys().map(String::as_str).collect();
    assert_eq!(names, ["contents", "id-token", "packages"]);
    let text = read(WORKFLOW);
    // An expression within a command is text that somebody else may write: it comes by the environment.
    let mut in_command = false;
    for line in text.lines() {
        let indented = line.len() - line.trim_start().len();
        if line.trim_start().starts_with("run: |") {
            in_command = true;
        } else if in_command && indented <= 8 && !line.trim().is_empty() {
            in_command = false;
        }
        assert!(!(in_command && line.contains("${{")), "{line}");
    }
    assert!(!text.contains("latest"), "versions are named");
}
